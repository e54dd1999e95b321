//! Commands run in process, for the tests of this crate: a fresh keyspace, a clock moved by hand, a seeded generator.
//!
//! Only the shards of a command's declared keys are locked, as the server does it, so a handler that touches a key
//! which its declaration does not name fails here too. Must not know: any command in particular.

#![allow(dead_code, reason = "a tool box: not every tool is in use at every time")]

use holdfast_resp::{OwnedFrame, Proto, Reply, Value, decode_value, encode_command, split_args};
use holdfast_storage::data::Data;
use holdfast_storage::effects::{Class, Effects};
use holdfast_storage::keyspace::{Keyspace, ShardSet};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::args::Args;
use crate::ctx::{Command, Ctx, Outcome, Propagation, Wait};
use crate::error::CmdError;
use crate::key_positions::{KeyRefs, find_keys, needs_all_shards};
use crate::limits::Limits;
use crate::spec::{Flags, Spec};

/// A server without sockets, and one client of it.
pub(crate) struct Fixture {
    pub(crate) keyspace: Keyspace,
    /// What the commands have done since [`Fixture::log`] and [`Fixture::events`] were asked.
    pub(crate) effects: Effects,
    pub(crate) rng: SmallRng,
    pub(crate) limits: Limits,
    /// Unix time in milliseconds.
    pub(crate) now_ms: i64,
    /// Selected database.
    pub(crate) db: u32,
    /// HELLO 2 or 3.
    pub(crate) proto: Proto,
    /// False: as inside MULTI.
    pub(crate) may_block: bool,
    /// `dirty` of the last command.
    pub(crate) dirty: u64,
    log: Vec<u8>,
}

/// What a command did with the client.
#[derive(Debug)]
pub(crate) enum Ran {
    /// The bytes of its reply.
    Replied(Vec<u8>),
    /// The client waits.
    Waits(Wait),
}

impl Fixture {
    /// Four databases, 16 shards, the time 1000000 ms, all events recorded.
    pub(crate) fn new() -> Self {
        let effects = Effects {
            // All but those that are told beside another event of the same change.
            event_mask: !(Class::Overwritten as u16 | Class::TypeChanged as u16),
            ..Effects::default()
        };
        Self {
            keyspace: Keyspace::new(4, 16),
            effects,
            rng: SmallRng::seed_from_u64(1),
            limits: Limits::default(),
            now_ms: 1_000_000,
            db: 0,
            proto: Proto::Resp2,
            may_block: true,
            dirty: 0,
            log: Vec::new(),
        }
    }

    /// The same, for a client that said HELLO 3.
    pub(crate) fn resp3() -> Self {
        Self {
            proto: Proto::Resp3,
            ..Self::new()
        }
    }

    /// Runs a line (words as redis-cli takes them, quotes included) and gives the reply's bytes as text, in one line:
    /// a space for each CRLF but the last, other bytes escaped. `SMEMBERS s` may give `*2 $1 a $1 b`. Of a command
    /// that blocks, `(waits for KEY .. until TIME)`.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let argv = split_args(line.as_bytes()).expect("balanced quotes");
        let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
        self.run_argv(&argv)
    }

    /// As [`Fixture::run`], with any bytes as arguments.
    pub(crate) fn run_argv(&mut self, argv: &[&[u8]]) -> String {
        match self.execute(argv) {
            Ran::Replied(bytes) => one_line(&bytes),
            Ran::Waits(wait) => {
                let keys: Vec<_> = wait.keys.map(|i| argv[i].escape_ascii().to_string()).collect();
                let end = match wait.timeout_ms {
                    None => "for ever".to_owned(),
                    Some(ms) => format!("{ms} ms"),
                };
                format!("(waits for {}, {end}, {:?})", keys.join(" "), wait.on_timeout)
            }
        }
    }

    /// Runs a line and decodes its reply.
    pub(crate) fn value(&mut self, line: &str) -> Value {
        let argv = split_args(line.as_bytes()).expect("balanced quotes");
        let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
        match self.execute(&argv) {
            Ran::Replied(bytes) => decode_value(&bytes).expect("a reply").expect("a whole reply").0,
            Ran::Waits(wait) => panic!("{line:?} waits: {wait:?}"),
        }
    }

    /// The texts of an array or set of strings, sorted.
    pub(crate) fn sorted(&mut self, line: &str) -> Vec<String> {
        let (Value::Array(elements) | Value::Set(elements)) = self.value(line) else {
            panic!("{line:?} answers no array");
        };
        let mut texts: Vec<String> = elements
            .into_iter()
            .map(|element| match element {
                Value::Bulk(bytes) => bytes.escape_ascii().to_string(),
                other => other.to_string(),
            })
            .collect();
        texts.sort();
        texts
    }

    /// A table of lines and the replies that they get, one after the other.
    #[track_caller]
    pub(crate) fn check(&mut self, table: &[(&str, &str)]) {
        for (line, expected) in table {
            let got = self.run(line);
            assert_eq!(&got, expected, "{line}");
        }
    }

    /// A table of lines: what is propagated for each (`=`: the line itself), the events, and by how much
    /// `rdb_changes_since_last_save` grows.
    #[track_caller]
    pub(crate) fn check_effects(&mut self, table: &[(&str, &str, &str, u64)]) {
        for (line, log, events, dirty) in table {
            let reply = self.run(line);
            assert_eq!(&self.dirty, dirty, "changes of {line}, which answered {reply}");
            let expected = if *log == "=" { line } else { log };
            assert_eq!(&self.log(), expected, "log of {line}");
            assert_eq!(&self.events(), events, "events of {line}");
        }
    }

    /// What was propagated since the last call: words apart by a space, commands by `; `.
    pub(crate) fn log(&mut self) -> String {
        let bytes = std::mem::take(&mut self.log);
        let (mut rest, mut lines) = (&bytes[..], Vec::new());
        while let Some((value, len)) = decode_value(rest).expect("commands") {
            let Value::Array(words) = value else {
                panic!("a command is an array");
            };
            let word = |w: &Value| match w {
                Value::Bulk(bytes) => bytes.escape_ascii().to_string(),
                other => panic!("a word is a string, not {other:?}"),
            };
            lines.push(words.iter().map(word).collect::<Vec<_>>().join(" "));
            rest = &rest[len..];
            if rest.is_empty() {
                break;
            }
        }
        lines.join("; ")
    }

    /// The events since the last call, e.g. `sadd s; del s`. Classes KEYMISS and NEW are left out.
    pub(crate) fn events(&mut self) -> String {
        use holdfast_storage::effects::Class;
        let events = std::mem::take(&mut self.effects.events);
        let texts: Vec<_> = events
            .iter()
            .filter(|e| !matches!(e.event.0, Class::KeyMiss | Class::New))
            .map(|e| format!("{} {}", e.event.1, e.key.escape_ascii()))
            .collect();
        texts.join("; ")
    }

    /// What OBJECT ENCODING answers, `none` without a key.
    pub(crate) fn encoding(&mut self, key: &str) -> &'static str {
        self.with_data(|data| data.peek(key.as_bytes()).map_or("none", |value| value.encoding()))
    }

    /// Works on the data with every shard locked; effects are kept.
    pub(crate) fn with_data<R>(&mut self, work: impl FnOnce(&mut Data<'_, '_>) -> R) -> R {
        let mut locked = self.keyspace.lock(&ShardSet::All);
        let mut data = Data::new(
            &mut locked,
            self.db,
            self.now_ms,
            &mut self.effects,
            &mut self.rng,
        );
        work(&mut data)
    }

    /// Runs a command.
    pub(crate) fn execute(&mut self, argv: &[&[u8]]) -> Ran {
        let command = find(argv);
        let owned = OwnedFrame::from_args(argv.iter().copied());
        let frame = owned.frame().expect("a command has a name");
        let mut reply = Reply::new(Vec::new(), self.proto);
        if !command.spec.arity_ok(frame.len()) {
            reply.error(&CmdError::Arity(command.spec.name).to_string());
            return Ran::Replied(reply.into_inner());
        }
        let mut locked = self
            .keyspace
            .lock(&shards_of(&self.keyspace, command.spec, &frame));
        let mut log = Propagation::default();
        let mut ctx = Ctx {
            data: Data::new(
                &mut locked,
                self.db,
                self.now_ms,
                &mut self.effects,
                &mut self.rng,
            ),
            reply: &mut reply,
            log: &mut log,
            limits: &self.limits,
            may_block: self.may_block,
        };
        let ran = match (command.run)(&mut ctx, Args::new(frame)) {
            Ok(Outcome::Done) => None,
            Ok(Outcome::Block(wait)) => {
                assert!(reply.is_empty(), "{argv:?} blocks and has written a reply");
                Some(wait)
            }
            Err(error) => {
                reply.clear();
                reply.error(&error.to_string());
                None
            }
        };
        drop(locked);
        for removal in self.effects.field_removals.drain(..) {
            let mut argv: Vec<&[u8]> = vec![b"HDEL", &removal.key];
            argv.extend(removal.fields.iter().map(|field| &**field));
            encode_command(&mut self.log, &argv);
        }
        for removal in self.effects.removals.drain(..) {
            encode_command(&mut self.log, &[b"DEL", &removal.key]);
        }
        self.dirty = std::mem::take(&mut self.effects.dirty);
        if self.dirty > 0 {
            match log.rewritten() {
                None if command.spec.flags.has(Flags::WRITE) => encode_command(&mut self.log, argv),
                None => {}
                Some((bytes, _)) => self.log.extend_from_slice(bytes),
            }
        }
        match ran {
            Some(wait) => Ran::Waits(wait),
            None => {
                let bytes = reply.into_inner();
                let whole = decode_value(&bytes).expect("a reply").map(|(_, len)| len);
                assert_eq!(whole, Some(bytes.len()), "{argv:?} must write exactly one reply");
                Ran::Replied(bytes)
            }
        }
    }
}

/// The command of this name; of a container, the subcommand that the next word names.
fn find(argv: &[&[u8]]) -> &'static Command {
    let named = |name: &[u8]| crate::all().find(|c| c.spec.name.as_bytes().eq_ignore_ascii_case(name));
    argv.get(1)
        .and_then(|sub| named(&[argv[0], b"|", sub].concat()))
        .or_else(|| named(argv[0]))
        .unwrap_or_else(|| panic!("no command {:?}", argv[0].escape_ascii().to_string()))
}

fn shards_of(keyspace: &Keyspace, spec: &Spec, frame: &holdfast_resp::Frame<'_>) -> ShardSet {
    if spec.flags.has(Flags::ALL_SHARDS) || needs_all_shards(spec, frame) {
        return ShardSet::All;
    }
    let (mut set, mut keys) = (ShardSet::none(), KeyRefs::new());
    if spec.flags.has(Flags::ROAM) {
        set.add(0);
    }
    let _misfit = find_keys(spec, frame, &mut keys);
    for key in keys {
        set.add(keyspace.shard_of(keyspace.hash(frame.arg(key.index as usize)).slot));
    }
    set
}

fn one_line(reply: &[u8]) -> String {
    let text = reply.strip_suffix(b"\r\n").unwrap_or(reply);
    let mut line = String::new();
    for (i, part) in text.split_inclusive(|&b| b == b'\n').enumerate() {
        if i > 0 {
            line.push(' ');
        }
        let part = part.strip_suffix(b"\r\n").unwrap_or(part);
        line.extend(part.iter().map(|&b| match b {
            b' '..=b'~' => char::from(b).to_string(),
            other => other.escape_ascii().to_string(),
        }));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_shown_in_one_line() {
        let mut f = Fixture::new();
        f.check(&[
            ("SET k \"a b\"", "+OK"),
            ("GET k", "$3 a b"),
            ("GET missing", "$-1"),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
        ]);
        assert_eq!(f.log(), "SET k a b");
        assert_eq!(f.log(), "");
        assert_eq!(f.events(), "set k");
        assert_eq!(f.run_argv(&[b"SET", b"k", b"\r\n\xff"]), "+OK");
        assert_eq!(f.encoding("k"), "embstr");
    }
}
