//! AUTH, HELLO, RESET, QUIT: who the client is and how it speaks.

use std::sync::atomic::Ordering;

use holdfast_commands::args::Args;
use holdfast_commands::flags;
use holdfast_commands::spec::{Arg, Deprecated, Group, Spec};
use holdfast_resp::{Proto, parse_i64};

use super::{Call, ServerCommand, ServerError, ServerResult};
use crate::acl;
use crate::client::flag;
use crate::registry::Run;
use crate::server::{REDIS_VERSION, VERSION};
use crate::session::{Flow, Replies};

/// The family.
pub const COMMANDS: &[&ServerCommand] = &[&AUTH, &HELLO, &RESET, &QUIT];

const AUTH: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "auth",
        arity: -2,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        summary: "Authenticates the connection.",
        complexity: "O(N), N: passwords of the user",
        args: &[
            Arg::string("username").opt().since("6.0.0"),
            Arg::string("password"),
        ],
        ..Spec::DEFAULT
    },
    run: Run::Server(auth),
};

const HELLO: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "hello",
        arity: -1,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "6.0.0",
        summary: "Chooses the protocol version, optionally authenticating and naming the connection.",
        complexity: "O(1)",
        args: &[Arg::block(
            "arguments",
            &[
                Arg::integer("protover"),
                Arg::block(
                    "username_password",
                    &[Arg::string("username"), Arg::string("password")],
                )
                .token("AUTH")
                .opt(),
                Arg::string("clientname").token("SETNAME").opt(),
            ],
        )
        .opt()],
        ..Spec::DEFAULT
    },
    run: Run::Server(hello),
};

const RESET: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "reset",
        arity: 1,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        since: "6.2.0",
        summary: "Puts the connection back into the state of a new one.",
        complexity: "O(1)",
        ..Spec::DEFAULT
    },
    run: Run::Server(reset),
};

const QUIT: ServerCommand = ServerCommand {
    spec: &Spec {
        name: "quit",
        arity: -1,
        flags: flags!(Flags: NOSCRIPT, LOADING, STALE, FAST, NO_AUTH, ALLOW_BUSY),
        acl: flags!(Acl: CONNECTION),
        group: Group::Connection,
        summary: "Closes the connection.",
        complexity: "O(1)",
        deprecated: Some(Deprecated {
            since: "7.2.0",
            replaced_by: "closing the connection",
        }),
        ..Spec::DEFAULT
    },
    run: Run::Server(quit),
};

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// Checks a name and password and makes the session that user's. `command`: AUTH or HELLO as it was written.
fn authenticate(
    call: &mut Call<'_, '_>,
    command: &[u8],
    user: &[u8],
    password: &[u8],
) -> Result<(), ServerError> {
    let account = call.session.server.acl.users.authenticate(user, password);
    if account.is_some_and(|account| call.session.log_in(account)) {
        return Ok(());
    }
    acl::note_wrong_password(call.session, call.w, command, user);
    Err(ServerError::new(WRONG_PASSWORD))
}

fn auth(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let (user, password) = match args.len() {
        2 if call
            .session
            .server
            .acl
            .users
            .default_account()
            .user()
            .needs_no_password() =>
        {
            return Err(ServerError::new(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
            ));
        }
        2 => (&b"default"[..], args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return Err(ServerError::new("ERR syntax error")),
    };
    authenticate(call, args.get(0), user, password)?;
    call.ok()
}

fn hello(call: &mut Call<'_, '_>, args: Args<'_>) -> ServerResult {
    let mut proto = call.session.proto;
    let mut rest = args.cursor(1);
    if let Some(version) = rest.next() {
        proto = match parse_i64(version) {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            Some(_) => return Err(ServerError::new("NOPROTO unsupported protocol version")),
            None => {
                return Err(ServerError::new(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        };
    }
    let (mut login, mut name) = (None, None);
    while let Some(word) = rest.peek() {
        if word.eq_ignore_ascii_case(b"AUTH") && rest.left() >= 3 {
            rest.next();
            login = Some((rest.word()?, rest.word()?));
        } else if word.eq_ignore_ascii_case(b"SETNAME") && rest.left() >= 2 {
            rest.next();
            name = Some(rest.word()?);
        } else {
            let word = String::from_utf8_lossy(word);
            return Err(ServerError::new(format!(
                "ERR Syntax error in HELLO option '{word}'"
            )));
        }
    }
    if let Some((user, password)) = login {
        authenticate(call, args.get(0), user, password)?;
    }
    if call.session.must_log_in() {
        return Err(ServerError::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        call.session.client.names.lock().name = client_name(name)?;
    }
    if proto != call.session.proto {
        call.deliver_mail(call.w.reply.len());
    }
    set_proto(call, proto);
    let id = call.session.client.id as i64;
    let clustered = call.session.server.cluster.get().is_some();
    let is_replica = call.session.server.replication.is_replica();
    let reply = &mut call.w.reply;
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.int(if proto == Proto::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.int(id);
    reply.bulk(b"mode");
    reply.bulk(if clustered { b"cluster" } else { b"standalone" });
    reply.bulk(b"role");
    reply.bulk(if is_replica { b"replica" } else { b"master" });
    reply.bulk(b"modules");
    reply.array(0);
    tracing::trace!(client = id, version = VERSION, "hello");
    Ok(Flow::Continue)
}

/// A valid name of a connection.
pub(super) fn client_name(name: &[u8]) -> Result<String, ServerError> {
    if name.iter().any(|b| !(b'!'..=b'~').contains(b)) {
        return Err(ServerError::new(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    Ok(String::from_utf8_lossy(name).into_owned())
}

fn set_proto(call: &mut Call<'_, '_>, proto: Proto) {
    call.session.proto = proto;
    call.session
        .client
        .resp
        .store(if proto == Proto::Resp3 { 3 } else { 2 }, Ordering::Relaxed);
    call.w.reply.set_proto(proto);
}

fn reset(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    let session = &mut *call.session;
    session.discard();
    session.unsubscribe_all();
    session.untrack();
    session.db = 0;
    session.client.db.store(0, Ordering::Relaxed);
    session.client.names.lock().name.clear();
    session.client.set_flag(
        flag::NO_EVICT | flag::NO_TOUCH | flag::IMPORT_SOURCE | flag::READONLY,
        false,
    );
    (session.asking, session.readonly) = (false, false);
    session.client.capabilities.store(0, Ordering::Relaxed);
    session.log_out();
    session.replies = Replies::On;
    call.deliver_mail(call.w.reply.len());
    set_proto(call, Proto::Resp2);
    call.session.monitor(false);
    call.w.reply.simple("RESET");
    Ok(Flow::Continue)
}

fn quit(call: &mut Call<'_, '_>, _: Args<'_>) -> ServerResult {
    call.w.reply.ok();
    Ok(Flow::Close)
}
