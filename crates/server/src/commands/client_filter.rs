//! Which connections CLIENT LIST and CLIENT KILL are about: <https://valkey.io/commands/client-list/>. Redis knows TYPE,
//! ID, USER, ADDR, LADDR, SKIPME and MAXAGE; the others are Valkey's, and so is that LIST combines them.
//!
//! A connection has to fit every filter; one that is given again replaces the one before.

use std::sync::atomic::Ordering;

use holdfast_commands::args::{Args, Cursor};
use holdfast_commands::error::CmdError;
use holdfast_resp::parse_i64;

use super::ServerError;
use super::client_list::flags_text;
use crate::client::{Client, ClientClass, capability, flag};
use crate::server::Server;

/// What a filter looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Type,
    User,
    Addr,
    Laddr,
    Name,
    LibName,
    LibVer,
    Flags,
    Db,
    Capa,
    Ip,
    MaxAge,
    Idle,
}

/// Every filter beside ID and SKIPME: its word, what it looks at, and whether there is one with `NOT-` before it.
const FIELDS: &[(&str, Field, bool)] = &[
    ("TYPE", Field::Type, true),
    ("USER", Field::User, true),
    ("ADDR", Field::Addr, true),
    ("LADDR", Field::Laddr, true),
    ("NAME", Field::Name, true),
    ("LIB-NAME", Field::LibName, true),
    ("LIB-VER", Field::LibVer, true),
    ("FLAGS", Field::Flags, true),
    ("DB", Field::Db, true),
    ("CAPA", Field::Capa, true),
    ("IP", Field::Ip, true),
    ("MAXAGE", Field::MaxAge, false),
    ("IDLE", Field::Idle, false),
];

#[derive(Clone, Copy, Debug)]
enum Wanted<'a> {
    Text(&'a [u8]),
    Class(ClientClass),
    Db(u32),
    /// Seconds at least.
    MaxAge(i64),
    /// Seconds at least.
    Idle(i64),
}

#[derive(Clone, Copy, Debug)]
struct Test<'a> {
    field: Field,
    negated: bool,
    wanted: Wanted<'a>,
}

/// How the two commands read the same filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// An id that is no number is an error; ids that no client can have fit none.
    List,
    /// An id must be a number above 0.
    Kill,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Filter<'a> {
    /// Ids, in the order given; None: all.
    pub ids: Option<Vec<i64>>,
    not_ids: Vec<i64>,
    tests: Vec<Test<'a>>,
    skip_me: bool,
}

impl<'a> Filter<'a> {
    /// The client at one address.
    pub fn addr(addr: &'a [u8]) -> Self {
        Self {
            ids: None,
            not_ids: Vec::new(),
            tests: vec![Test {
                field: Field::Addr,
                negated: false,
                wanted: Wanted::Text(addr),
            }],
            skip_me: false,
        }
    }

    /// Reads filters from argument 2 on.
    ///
    /// # Errors
    /// A word that is no filter, a filter without its value, a value that no client can have.
    pub fn parse(server: &Server, args: Args<'a>, style: Style) -> Result<Self, ServerError> {
        let mut filter = Self {
            ids: None,
            not_ids: Vec::new(),
            tests: Vec::new(),
            skip_me: style == Style::Kill,
        };
        let mut rest = args.cursor(2);
        while rest.left() > 0 {
            let word = rest.word()?;
            if rest.left() == 0 {
                return Err(CmdError::Syntax.into());
            }
            if word.eq_ignore_ascii_case(b"SKIPME") {
                filter.skip_me = match (rest.accept("YES"), rest.accept("NO")) {
                    (true, _) => true,
                    (_, true) => false,
                    (false, false) => return Err(CmdError::Syntax.into()),
                };
            } else if word.eq_ignore_ascii_case(b"ID") {
                filter.ids = Some(ids(&mut rest, style)?);
            } else if word.eq_ignore_ascii_case(b"NOT-ID") {
                filter.not_ids = ids(&mut rest, style)?;
            } else {
                let (field, negated) = field(word).ok_or(CmdError::Syntax)?;
                let wanted = wanted(server, field, rest.word()?)?;
                filter
                    .tests
                    .retain(|test| (test.field, test.negated) != (field, negated));
                filter.tests.push(Test {
                    field,
                    negated,
                    wanted,
                });
            }
        }
        Ok(filter)
    }

    /// True if the connection fits. `me`: the id of who asks.
    pub fn matches(&self, client: &Client, me: u64, now_ms: i64) -> bool {
        let id = client.id as i64;
        !(self.skip_me && client.id == me)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&id))
            && !self.not_ids.contains(&id)
            && self
                .tests
                .iter()
                .all(|test| test.matches(client, now_ms) != test.negated)
    }
}

fn field(word: &[u8]) -> Option<(Field, bool)> {
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let (word, negated) = match word.get(..4) {
        Some(not) if is(not, "NOT-") => (&word[4..], true),
        Some(_) | None => (word, false),
    };
    let found = FIELDS.iter().find(|(name, _, _)| is(word, name));
    found
        .filter(|(_, _, negatable)| *negatable || !negated)
        .map(|(_, field, _)| (*field, negated))
}

/// One id and what follows it, up to the next filter.
fn ids(rest: &mut Cursor<'_>, style: Style) -> Result<Vec<i64>, ServerError> {
    let mut ids = Vec::new();
    loop {
        let id = parse_i64(rest.word()?);
        match (style, id) {
            (Style::List, Some(id)) => ids.push(id),
            (Style::Kill, Some(id)) if id > 0 => ids.push(id),
            (Style::List, None) => return Err(ServerError::new("ERR Invalid client ID")),
            (Style::Kill, _) => return Err(ServerError::new("ERR client-id should be greater than 0")),
        }
        let more = rest.peek().is_some_and(|word| !is_filter(word));
        if !more {
            return Ok(ids);
        }
        // CLIENT KILL's next word is an id or a mistake in the grammar, as it is in Redis.
        if style == Style::Kill && rest.peek().and_then(parse_i64).is_none() {
            return Err(CmdError::Syntax.into());
        }
    }
}

fn is_filter(word: &[u8]) -> bool {
    let others: [&[u8]; 3] = [b"ID", b"NOT-ID", b"SKIPME"];
    field(word).is_some() || others.iter().any(|other| word.eq_ignore_ascii_case(other))
}

fn wanted<'a>(server: &Server, field: Field, word: &'a [u8]) -> Result<Wanted<'a>, ServerError> {
    let text = || String::from_utf8_lossy(word).into_owned();
    match field {
        Field::Type => class(word).map(Wanted::Class),
        Field::User => {
            if server.acl.users.get(word).is_none() {
                return Err(ServerError(format!("ERR No such user '{}'", text())));
            }
            Ok(Wanted::Text(word))
        }
        Field::Flags => {
            let known =
                |c: &u8| *c == b'N' || flag::LETTERS.iter().any(|(_, letter)| *letter == char::from(*c));
            if word.is_empty() || !word.iter().all(known) {
                return Err(ServerError(format!(
                    "ERR Unknown flags found in the provided filter: {}",
                    text()
                )));
            }
            Ok(Wanted::Text(word))
        }
        Field::Capa => {
            let known = |c: &u8| {
                capability::LETTERS
                    .iter()
                    .any(|(_, letter)| *letter == char::from(*c))
            };
            if word.is_empty() || !word.iter().all(known) {
                return Err(ServerError(format!(
                    "ERR Unknown capa found in the provided filter: {}",
                    text()
                )));
            }
            Ok(Wanted::Text(word))
        }
        Field::Db => {
            let last = i64::from(server.keyspace.databases()) - 1;
            let db = parse_i64(word)
                .ok_or_else(|| ServerError::new("ERR DB is not an integer or out of range"))?;
            if !(0..=last).contains(&db) {
                return Err(ServerError(format!(
                    "ERR DB number should be between 0 and {last}"
                )));
            }
            Ok(Wanted::Db(db as u32))
        }
        Field::MaxAge => seconds(word, "ERR maxage should be greater than 0").map(Wanted::MaxAge),
        Field::Idle => seconds(word, "ERR idle should be greater than 0").map(Wanted::Idle),
        Field::Addr | Field::Laddr | Field::Name | Field::LibName | Field::LibVer | Field::Ip => {
            Ok(Wanted::Text(word))
        }
    }
}

fn seconds(word: &[u8], error: &str) -> Result<i64, ServerError> {
    let seconds = parse_i64(word).filter(|&seconds| seconds > 0);
    seconds.ok_or_else(|| ServerError::new(error))
}

/// A class by its name.
fn class(name: &[u8]) -> Result<ClientClass, ServerError> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(ClientClass::Normal),
        b"replica" | b"slave" => Ok(ClientClass::Replica),
        b"pubsub" => Ok(ClientClass::Pubsub),
        b"master" | b"primary" => Ok(ClientClass::Master),
        _ => {
            let name = String::from_utf8_lossy(name);
            Err(ServerError(format!("ERR Unknown client type '{name}'")))
        }
    }
}

impl Test<'_> {
    fn matches(&self, client: &Client, now_ms: i64) -> bool {
        let seconds = |since_ms: i64| (now_ms - since_ms).max(0) / 1000;
        match self.wanted {
            Wanted::Class(class) => client.class() == class,
            Wanted::Db(db) => client.db.load(Ordering::Relaxed) == db,
            Wanted::MaxAge(age) => seconds(client.created_ms) >= age,
            Wanted::Idle(idle) => seconds(client.last_active_ms.load(Ordering::Relaxed)) >= idle,
            Wanted::Text(text) => self.text_matches(client, text),
        }
    }

    fn text_matches(&self, client: &Client, text: &[u8]) -> bool {
        let contains_all = |have: &str| text.iter().all(|c| have.as_bytes().contains(c));
        let names = || client.names.lock();
        match self.field {
            Field::User => client.account().is_some_and(|account| account.name() == text),
            Field::Name => names().name.as_bytes() == text,
            Field::LibName => names().lib_name.as_bytes() == text,
            Field::LibVer => names().lib_ver.as_bytes() == text,
            Field::Addr => client.addr.as_bytes() == text,
            Field::Laddr => client.laddr.as_bytes() == text,
            Field::Flags => contains_all(&flags_text(client)),
            Field::Capa => contains_all(&client.capabilities_text()),
            Field::Ip => ip(&client.addr).as_bytes() == text,
            Field::Type | Field::Db | Field::MaxAge | Field::Idle => false,
        }
    }
}

/// The address without its port, and without the brackets of IPv6.
fn ip(addr: &str) -> &str {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}
