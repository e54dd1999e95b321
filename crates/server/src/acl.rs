//! Access control in the running server: may this connection run this command, who must go when users change, the log.
//!
//! What a user may do is [`holdfast_acl`]'s; here it meets sessions, the registry and files.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use holdfast_acl::{
    Account, AclLog, Catalog, Context, Declared, Defaults, Denied, Incident, RuleError, SortOption, User,
    Users, join_selectors, parse_file, print_file,
};
use holdfast_resp::Frame;
use holdfast_storage::keyspace::Locked;
use parking_lot::Mutex;

use crate::blocking;
use crate::client::{Client, flag};
use crate::commands::client_line;
use crate::config::{AclPubsubDefault, Config, Param, replace_file};
use crate::registry::{Entry, Registry};
use crate::server::Server;
use crate::session::Session;
use crate::worker::Worker;

/// A larger ACL file is none.
const MOST_FILE_BYTES: u64 = 16 << 20;

/// The users and what they were denied.
#[derive(Debug)]
pub struct Acl {
    /// The users.
    pub users: Users,
    /// ACL LOG.
    pub log: Mutex<AclLog>,
    /// Held while the ACL file is read or written.
    file: Mutex<()>,
}

/// On whose word a command runs; errors and the log tell these apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client's, which may be inside MULTI.
    Client,
    /// A queue's, in EXEC: the rules may have changed since it was queued.
    Exec,
    /// A script's.
    Script,
}

/// The commands, as rules name them. The numbers are those of the registry.
pub fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let registry = Registry::get();
        Catalog::new((0..registry.count()).filter_map(|id| Some(registry.by_id(id)?.spec)))
    })
}

/// What rules are read against, as configured now.
pub fn defaults(config: &Config) -> Defaults<'static> {
    Defaults {
        catalog: catalog(),
        all_channels: config.acl_pubsub_default() == AclPubsubDefault::AllChannels,
    }
}

impl Acl {
    /// The default user alone, with the configured password.
    pub fn new(config: &Config) -> Self {
        let acl = Self {
            users: Users::new(&defaults(config)),
            log: Mutex::default(),
            file: Mutex::default(),
        };
        acl.apply_requirepass(config);
        acl
    }

    /// An account of the server itself, which may do everything whatever users there are.
    pub fn own_account(config: &Config) -> Arc<Account> {
        Arc::clone(Users::new(&defaults(config)).default_account())
    }

    /// Gives the default user the password that `requirepass` says.
    pub fn apply_requirepass(&self, config: &Config) {
        let password = config.text(Param::Requirepass);
        if !password.is_empty() || !self.users.default_is_open() {
            self.users.set_default_password(&password, &defaults(config));
        }
    }
}

// ---- may it run? ----

/// Checks a command of a session whose user has not every right ([`Session::is_unrestricted`]).
///
/// # Errors
/// The error reply, code word included. It has been counted and logged.
pub fn permit(
    session: &mut Session,
    w: &mut Worker,
    entry: &Entry,
    frame: &Frame<'_>,
    origin: Origin,
) -> Result<(), String> {
    let user = session.login.user();
    let queued = origin == Origin::Client && session.multi.is_some();
    let Err(denied) = user.check(entry.id, entry.spec, frame, session.db) else {
        // Within a transaction this is the reply of EXEC.
        if queued || !matches!(entry.spec.name, "sort" | "sort_ro") {
            return Ok(());
        }
        return match user.forbidden_sort_option(entry.id, entry.spec, frame, session.db) {
            None => Ok(()),
            Some(option) => Err(sort_text(option)),
        };
    };
    let context = match origin {
        Origin::Client if queued => Context::Multi,
        Origin::Client => Context::Toplevel,
        Origin::Exec => Context::Multi,
        Origin::Script => Context::Lua,
    };
    note_denied(
        w,
        &session.client,
        session.login.account(),
        entry,
        frame,
        denied,
        context,
    );
    Err(text(denied, entry, origin))
}

/// Whether the session's user may run a command, without noting anything (`redis.acl_check_cmd`).
pub fn allows(session: &mut Session, entry: &Entry, frame: &Frame<'_>) -> bool {
    let db = session.db;
    session.is_unrestricted()
        || session
            .login
            .user()
            .check(entry.id, entry.spec, frame, db)
            .is_ok()
}

/// Checks the command of a client that waits, which may have lost rights meanwhile.
///
/// # Errors
/// As [`permit`].
pub fn permit_waiter(
    w: &mut Worker,
    client: &Client,
    entry: &Entry,
    frame: &Frame<'_>,
    db: u32,
) -> Result<(), String> {
    let Some(account) = client.account() else {
        return Ok(());
    };
    if account.is_unrestricted() {
        return Ok(());
    }
    account
        .user()
        .check(entry.id, entry.spec, frame, db)
        .map_err(|denied| {
            note_denied(w, client, &account, entry, frame, denied, Context::Toplevel);
            text(denied, entry, Origin::Client)
        })
}

/// Notes a name and password that were wrong; `command` is AUTH or HELLO as the client wrote it.
pub fn note_wrong_password(session: &Session, w: &mut Worker, command: &[u8], username: &[u8]) {
    w.counters.auth_failures += 1;
    let context = match session.multi {
        Some(_) => Context::Multi,
        None => Context::Toplevel,
    };
    let incident = Incident {
        reason: "auth",
        context,
        object: command.into(),
        username: username.into(),
    };
    add_to_log(w, &session.client, incident);
}

fn note_denied(
    w: &mut Worker,
    client: &Client,
    account: &Account,
    entry: &Entry,
    frame: &Frame<'_>,
    denied: Denied,
    context: Context,
) {
    let number;
    let (reason, object, counter) = match denied {
        Denied::Database(db) => {
            number = db.to_string();
            (
                "database",
                number.as_bytes(),
                &mut w.counters.acl_denied_databases,
            )
        }
        Denied::Command => (
            "command",
            entry.spec.name.as_bytes(),
            &mut w.counters.acl_denied_commands,
        ),
        Denied::Key(at) => ("key", frame.arg(at), &mut w.counters.acl_denied_keys),
        Denied::Channel(at) => ("channel", frame.arg(at), &mut w.counters.acl_denied_channels),
    };
    *counter += 1;
    let incident = Incident {
        reason,
        context,
        object: object.into(),
        username: account.name().into(),
    };
    add_to_log(w, client, incident);
}

fn add_to_log(w: &Worker, client: &Client, incident: Incident) {
    let most = usize::try_from(w.server.config.int(Param::AcllogMaxLen)).unwrap_or(0);
    let line = client_line(client, w.now_ms);
    w.server.acl.log.lock().add(incident, line, w.now_ms, most);
}

fn text(denied: Denied, entry: &Entry, origin: Origin) -> String {
    let name = entry.spec.name;
    match (origin, denied) {
        (Origin::Client, Denied::Command) => {
            format!("NOPERM this user has no permissions to run the '{name}' command")
        }
        (Origin::Client, Denied::Key(_)) => {
            "NOPERM this user has no permissions to access one of the keys used as arguments".to_owned()
        }
        (Origin::Client, Denied::Channel(_)) => {
            "NOPERM this user has no permissions to access one of the channels used as arguments".to_owned()
        }
        (Origin::Client, Denied::Database(_)) => "NOPERM No permissions to access database".to_owned(),
        (Origin::Exec, denied) => format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: {}",
            match denied {
                Denied::Command => "no permission to execute the command or subcommand",
                Denied::Database(_) => "no permission to access the database",
                Denied::Key(_) => "no permission to touch the specified keys",
                Denied::Channel(_) => "no permission to access one of the channels used as arguments",
            }
        ),
        (Origin::Script, denied) => format!(
            "ERR The user executing the script can't {}",
            match denied {
                Denied::Command => "run this command or subcommand",
                Denied::Database(_) => "access the database",
                Denied::Key(_) => "access at least one of the keys mentioned in the command arguments",
                Denied::Channel(_) => "publish to the channel mentioned in the command",
            }
        ),
    }
}

fn sort_text(option: SortOption) -> String {
    let option = match option {
        SortOption::By => "BY",
        SortOption::Get => "GET",
    };
    format!("ERR {option} option of SORT denied due to insufficient ACL permissions.")
}

// ---- who must go? ----

/// Ends the connections of a removed user. True if `me` is one of them: its reply still leaves.
pub fn end_connections_of(
    server: &Server,
    account: &Arc<Account>,
    me: u64,
    locked: Option<&mut Locked<'_>>,
) -> bool {
    end_where(server, account, me, locked, |_| true)
}

/// Ends the connections of a user that listen to channels which the user may not listen to any more. True as above.
pub fn end_listeners_of(
    server: &Server,
    account: &Arc<Account>,
    me: u64,
    locked: Option<&mut Locked<'_>>,
) -> bool {
    let user = account.user();
    end_where(server, account, me, locked, |client| {
        client.has_flag(flag::PUBSUB)
            && server
                .pubsub
                .listens_beyond(client.id, |name, is_pattern| user.may_listen(name, is_pattern))
    })
}

fn end_where(
    server: &Server,
    account: &Arc<Account>,
    me: u64,
    mut locked: Option<&mut Locked<'_>>,
    must_go: impl Fn(&Client) -> bool,
) -> bool {
    let mut ends_me = false;
    for client in server.clients.open() {
        let is_theirs = client.account().is_some_and(|its| Arc::ptr_eq(&its, account));
        if !is_theirs || !must_go(&client) {
            continue;
        }
        if client.id == me {
            ends_me = true;
            continue;
        }
        client.kill();
        if let Some(waiter) = client.waiter() {
            blocking::unblock(server, locked.as_deref_mut(), &waiter, b"");
        }
    }
    ends_me
}

// ---- files ----

/// What is wrong with a `user` line of the configuration file, the first word of which is the name.
///
/// # Errors
/// The reason, in Redis's words.
pub fn check_declaration(words: &[Vec<u8>]) -> Result<(), String> {
    let defaults = Defaults {
        catalog: catalog(),
        all_channels: false,
    };
    declared(words, &defaults).map(drop)
}

/// The user of this name with rules in the text of ACL SAVE.
///
/// # Errors
/// The reason, in Redis's words.
pub fn user_of_rules(name: &[u8], rules: &[u8], defaults: &Defaults<'_>) -> Result<User, String> {
    let rules = rules.split(|byte| *byte == b' ').map(<[u8]>::to_vec);
    let words: Vec<Vec<u8>> = std::iter::once(name.to_vec()).chain(rules).collect();
    declared(&words, defaults)
}

/// A user that may do nothing, and whom nobody can be.
pub fn nobody(config: &Config) -> User {
    User::new(&Defaults {
        all_channels: false,
        ..defaults(config)
    })
}

fn declared(words: &[Vec<u8>], defaults: &Defaults<'_>) -> Result<User, String> {
    let Some((name, rules)) = words.split_first() else {
        return Err("a user needs a name".to_owned());
    };
    if holdfast_acl::check_name(name).is_err() {
        return Err("Spaces not allowed in ACL usernames".to_owned());
    }
    let fault = |rule: &[u8], error: &str| {
        format!(
            "Error in user declaration '{}': {error}",
            String::from_utf8_lossy(rule)
        )
    };
    let rules = join_selectors(rules.iter().map(Vec::as_slice))
        .map_err(|word| fault(word, "Unmatched parenthesis in selector definition."))?;
    let mut user = User::new(defaults);
    for rule in rules {
        user.apply(&rule, defaults)
            .map_err(|error: RuleError| fault(&rule, &error.to_string()))?;
    }
    Ok(user)
}

/// Takes the users from the configuration file or the ACL file.
///
/// # Errors
/// The text is for the operator: both are given, or one of them is wrong.
pub fn load_at_start(server: &Server) -> Result<(), String> {
    let lines: Vec<_> = server.config.lines(Param::User).collect();
    let has_file = server.config.aclfile().is_some();
    if has_file && !lines.is_empty() {
        return Err(
            "Users are declared in the configuration file, and aclfile names a file of users: there may be one of both, or it would not be clear who may do what."
                .to_owned(),
        );
    }
    if has_file {
        return match load(server, None) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("Aborting startup because of ACL errors: {error}")),
        };
    }
    let defaults = defaults(&server.config);
    for words in lines {
        // A declaration makes the user anew, `default` included.
        let user = declared(words, &defaults)?;
        server
            .acl
            .users
            .put(&words[0], user, &defaults)
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Reads the ACL file anew. The users in it take the place of all others; connections of users that are gone are ended,
/// and those that listen to what they may not any more. True if `me` is one of them.
///
/// # Errors
/// The text of the reply without its code word; no user has changed.
pub fn load(server: &Server, me: Option<(u64, Option<&mut Locked<'_>>)>) -> Result<bool, String> {
    let users = read_users(server)?;
    let defaults = defaults(&server.config);
    let replaced = server.acl.users.replace_all(users, &defaults);
    let (me, mut locked) = me.unwrap_or_default();
    let mut ends_me = false;
    for account in &replaced.gone {
        ends_me |= end_connections_of(server, account, me, locked.as_deref_mut());
    }
    for account in &replaced.kept {
        ends_me |= end_listeners_of(server, account, me, locked.as_deref_mut());
    }
    Ok(ends_me)
}

/// The users of the ACL file.
///
/// # Errors
/// The text of a reply without its code word.
pub fn read_users(server: &Server) -> Result<Vec<Declared>, String> {
    let path = server.config.aclfile().ok_or(NO_FILE)?;
    let _reading = server.acl.file.lock();
    let shown = path.display().to_string();
    let text = read(&path).map_err(|error| format!("Error loading ACLs, opening file '{shown}': {error}"))?;
    parse_file(&shown, &text, &defaults(&server.config))
}

/// Writes the ACL file: a new file takes the old one's place at once, after it reached the disk.
///
/// # Errors
/// The text of the reply without its code word.
pub fn save(server: &Server) -> Result<(), String> {
    let path = server.config.aclfile().ok_or(NO_FILE)?;
    let _writing = server.acl.file.lock();
    let accounts = server.acl.users.all();
    let text = print_file(accounts.iter().map(|a| (a.name(), a.user().text())));
    replace_file(&path, &text).map_err(|error| {
        tracing::warn!(path = %path.display(), %error, "Saving ACL file");
        "There was an error trying to save the ACLs. Please check the server logs for more information"
            .to_owned()
    })
}

const NO_FILE: &str = "This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration.";

fn read(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let words = |error: std::io::Error| match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(words)?;
    file.take(MOST_FILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(words)?;
    if text.len() as u64 > MOST_FILE_BYTES {
        return Err("larger than 16 megabytes".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
