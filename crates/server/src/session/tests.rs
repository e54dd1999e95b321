//! Sessions without sockets, on a clock that the tests turn: what clients see of each other.

mod clients;
mod cluster;
mod scripting;
mod tracking;

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use holdfast_resp::encode_command;
use holdfast_storage::effects::Garbage;
use holdfast_storage::evict::Policy;

use super::*;
use crate::config::{Invocation, parse_command_line};
use crate::throttle::Cause;

/// A server, a thread's worker and what waits to be freed.
pub(crate) struct Desk {
    pub server: Arc<Server>,
    pub w: Worker,
    garbage: Receiver<Vec<Garbage>>,
    /// Milliseconds by which the tests' clock is ahead.
    pub ahead_ms: i64,
}

impl Desk {
    pub fn new() -> Self {
        Self::with(&[], |_| {})
    }

    /// With more words on the command line, and a server that is prepared before its thread begins.
    pub fn with(more: &[&str], prepare: impl FnOnce(&Arc<Server>)) -> Self {
        let words = ["--save", "", "--enable-debug-command", "yes"];
        let words: Vec<_> = words.iter().chain(more).map(Into::into).collect();
        let Invocation::Run { config } =
            parse_command_line(&words, &mut std::io::empty()).expect("good words")
        else {
            panic!("the command line starts no server");
        };
        let (server, garbage) = Server::new(*config, 1);
        prepare(&server);
        let w = Worker::new(Arc::clone(&server), 0);
        Self {
            server,
            w,
            garbage,
            ahead_ms: 0,
        }
    }

    /// A desk whose server has its files there.
    pub fn with_files(fs: Arc<dyn holdfast_persistence::fs::Fs>, more: &[&str]) -> Self {
        let mut words: Vec<std::ffi::OsString> = ["--save", ""].map(Into::into).to_vec();
        words.extend(more.iter().map(Into::into));
        let Invocation::Run { config } =
            parse_command_line(&words, &mut std::io::empty()).expect("good words")
        else {
            panic!("the command line starts no server");
        };
        let (mut server, garbage) = Server::new(*config, 1);
        let own = Arc::get_mut(&mut server).expect("nobody else has it yet");
        Arc::get_mut(&mut own.saving).expect("nor its part").fs = fs;
        let w = Worker::new(Arc::clone(&server), 0);
        Self {
            server,
            w,
            garbage,
            ahead_ms: 0,
        }
    }

    pub fn session(&self) -> Session {
        let id = self.server.clients.next_id();
        let client = Client::new(
            id,
            format!("127.0.0.1:{id}"),
            "127.0.0.1:6379".into(),
            -1,
            self.server.now_ms(),
            false,
        );
        let client = Arc::new(client);
        self.server.clients.add(Arc::clone(&client));
        Session::new(Arc::clone(&self.server), client)
    }

    /// Runs commands, one a line, as one pipeline; what the client has received then.
    pub fn run(&mut self, s: &mut Session, lines: &str) -> String {
        let mut input = Vec::new();
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            encode_command(&mut input, &argv);
        }
        self.run_bytes(s, &input)
    }

    pub fn run_bytes(&mut self, s: &mut Session, mut input: &[u8]) -> String {
        self.w.begin_batch();
        self.w.now_ms += self.ahead_ms;
        let _flow = s.process(&mut input, &mut self.w, usize::MAX);
        let mut out = self.w.reply.take();
        s.client.take_mail(&mut out);
        self.w.end_batch();
        String::from_utf8_lossy(&out).replace("\r\n", " ")
    }

    pub fn log(&self) -> String {
        let bytes = self.server.log.read(0, usize::MAX).expect("a short log");
        String::from_utf8_lossy(&bytes).replace("\r\n", " ")
    }
}

#[test]
fn a_key_that_was_over_when_it_was_watched_does_not_stop_exec() {
    let mut desk = Desk::new();
    let (mut a, mut b) = (desk.session(), desk.session());
    desk.run(&mut a, "SET k v PX 10");
    desk.ahead_ms = 1_000;
    desk.run(&mut a, "WATCH k\nMULTI\nPING");
    assert_eq!(desk.run(&mut a, "EXEC"), "*1 +PONG ");
    desk.run(&mut a, "SET k v PX 10");
    desk.ahead_ms = 2_000;
    desk.run(&mut a, "WATCH k\nMULTI\nPING");
    desk.run(&mut b, "EXISTS k");
    assert_eq!(
        desk.run(&mut a, "EXEC"),
        "*1 +PONG ",
        "its removal changes nothing"
    );
    desk.run(&mut a, "SET k v PX 10\nWATCH k\nMULTI\nPING");
    desk.ahead_ms = 3_000;
    assert_eq!(
        desk.run(&mut a, "EXEC"),
        "*-1 ",
        "it was live when it was watched"
    );
}

#[test]
fn a_swap_that_brings_a_key_whose_time_is_over_changes_nothing() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    desk.run(&mut s, "SELECT 1\nSET k v PX 10\nSELECT 0");
    desk.ahead_ms = 1_000;
    desk.run(&mut s, "WATCH k\nSWAPDB 0 1\nMULTI\nPING");
    assert_eq!(desk.run(&mut s, "EXEC"), "*1 +PONG ");
}

#[test]
fn messages_come_before_the_end_of_the_subscription_that_they_were_sent_to() {
    let message = "*3 $7 message $1 c $2 hi ";
    for (before, last, reply) in [
        ("SUBSCRIBE c", "UNSUBSCRIBE", "*3 $11 unsubscribe $1 c :0 "),
        (
            "SUBSCRIBE c",
            "UNSUBSCRIBE c\nPING",
            "*3 $11 unsubscribe $1 c :0 +PONG ",
        ),
        ("SUBSCRIBE c", "RESET\nPING", "+RESET +PONG "),
    ] {
        let mut desk = Desk::new();
        let (mut listener, mut other) = (desk.session(), desk.session());
        desk.run(&mut listener, before);
        desk.run(&mut other, "PUBLISH c hi");
        assert_eq!(desk.run(&mut listener, last), format!("{message}{reply}"));
    }
    let mut desk = Desk::new();
    let (mut listener, mut other) = (desk.session(), desk.session());
    desk.run(&mut listener, "HELLO 3\nSUBSCRIBE c\nMULTI\nPING\nUNSUBSCRIBE c");
    desk.run(&mut other, "PUBLISH c hi");
    assert_eq!(
        desk.run(&mut listener, "EXEC\nPING"),
        ">3 $7 message $1 c $2 hi *2 +PONG >3 $11 unsubscribe $1 c :0 +PONG "
    );
    desk.run(&mut listener, "SUBSCRIBE c");
    desk.run(&mut other, "PUBLISH c hi");
    let reply = desk.run(&mut listener, "HELLO 2");
    assert!(reply.starts_with(">3 $7 message"), "{reply}");
}

#[test]
fn a_key_without_expiry_is_not_evicted_under_a_volatile_policy() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    desk.run(&mut s, "SET stays v\nSET goes v EX 100");
    desk.w.policy = Policy::VolatileLru;
    // The candidate was drawn while it still had an expiry.
    assert!(!execute::evict(&mut desk.w, 0, b"stays"));
    assert!(execute::evict(&mut desk.w, 0, b"goes"));
    desk.w.policy = Policy::AllKeysLru;
    assert!(execute::evict(&mut desk.w, 0, b"stays"));
}

#[test]
fn what_is_evicted_is_free_when_the_next_key_is_chosen() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    for i in 0..200 {
        desk.run(&mut s, &format!("RPUSH big {i} {}", "x".repeat(5_000)));
    }
    desk.w.policy = Policy::AllKeysLru;
    assert!(execute::evict(&mut desk.w, 0, b"big"));
    assert!(desk.garbage.try_recv().is_err());
}

#[test]
fn a_transaction_of_one_command_that_becomes_several_is_a_block_in_the_log() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    let members: Vec<String> = (0..3_000).map(|i| format!("m{i}")).collect();
    desk.run(&mut s, &format!("SADD s {}", members.join(" ")));
    let start = desk.server.log.end_offset();
    desk.run(&mut s, "MULTI\nSPOP s 2500\nEXEC");
    let bytes = desk.server.log.read(start, usize::MAX).expect("a short log");
    let log = String::from_utf8_lossy(&bytes).replace("\r\n", " ");
    assert!(log.matches("SREM").count() > 1, "{log}");
    assert!(
        log.starts_with("*1 $5 MULTI ") && log.ends_with("*1 $4 EXEC "),
        "{log}"
    );
}

#[test]
fn writers_wait_while_somebody_is_behind_and_readers_do_not() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    desk.run(&mut s, "SET k v");
    let server = Arc::clone(&desk.server);
    let hold = |cause, on| server.throttle.set(&server.clients, cause, on);
    hold(Cause::Snapshot, true);
    hold(Cause::AppendOnlyFile, true);
    hold(Cause::AppendOnlyFile, true);
    assert_eq!(
        desk.run(&mut s, "GET k\nSET k w\nPING"),
        "$1 v ",
        "the second one waits"
    );
    let mut t = desk.session();
    assert_eq!(
        desk.run(&mut t, "MULTI\nSET k x\nEXEC\nPING"),
        "+OK +QUEUED ",
        "EXEC waits"
    );
    hold(Cause::Snapshot, false);
    assert!(server.throttle.is_on());
    hold(Cause::AppendOnlyFile, false);
    assert!(!server.throttle.is_on());
    assert_eq!(server.throttle.times(Cause::AppendOnlyFile), 1);
    assert_eq!(desk.run(&mut t, "EXEC"), "*1 +OK ");
}

#[test]
fn nothing_goes_away_by_itself_while_clients_are_paused() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    desk.run(&mut s, "SET k v PX 10\nCLIENT PAUSE 100000 WRITE");
    let log = desk.log();
    desk.ahead_ms = 1_000;
    assert_eq!(desk.run(&mut s, "GET k\nEXISTS k\nDBSIZE"), "$-1 :0 :1 ");
    assert_eq!(desk.log(), log);
    desk.run(&mut s, "CLIENT UNPAUSE");
    assert_eq!(desk.run(&mut s, "GET k\nDBSIZE"), "$-1 :0 ");
    assert!(desk.log().ends_with("$3 DEL $1 k "), "{}", desk.log());
    // A transaction that was let in writes even where it has paused the others before.
    desk.run(&mut s, "SET k v PX 10");
    desk.ahead_ms = 2_000;
    let reply = desk.run(&mut s, "MULTI\nCLIENT PAUSE 100000 WRITE\nSET k w\nDBSIZE\nEXEC");
    assert!(reply.ends_with("*3 +OK +OK :1 "), "{reply}");
}

#[test]
fn a_huge_command_leaves_no_huge_buffer_behind() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    let value = "x".repeat(8 << 20);
    desk.run(
        &mut s,
        &format!("SET k {value}\nAPPEND k {value}\nGETSET k {value}"),
    );
    assert!(
        desk.w.log_buf.capacity() < 1 << 20,
        "{}",
        desk.w.log_buf.capacity()
    );
}

#[test]
fn what_a_command_that_panicked_left_behind_reaches_nobody() {
    let mut desk = Desk::new();
    let (mut s, mut other) = (desk.session(), desk.session());
    desk.w.begin_batch();
    desk.w.reply.bulk(b"half a secret");
    desk.w.transaction = Some(crate::worker::Transaction {
        commands: vec![(0, b"half".to_vec())],
        count: 1,
    });
    // No end of the batch: the stack was unwound.
    drop(s.client.clone());
    s.close();
    assert_eq!(desk.run(&mut other, "SET k v"), "+OK ");
    assert!(desk.log().ends_with("$3 SET $1 k $1 v "), "{}", desk.log());
}

#[test]
fn a_client_that_is_being_ended_is_given_nothing() {
    let mut desk = Desk::new();
    let (mut slow, mut patient, mut pusher) = (desk.session(), desk.session(), desk.session());
    assert_eq!(desk.run(&mut slow, "BLPOP k 0"), "");
    assert_eq!(desk.run(&mut patient, "BLPOP k 0"), "");
    // As when its output has passed a limit: its own thread has not noticed yet.
    slow.client.kill();
    desk.run(&mut pusher, "RPUSH k v");
    let mut mail = Vec::new();
    slow.client.take_mail(&mut mail);
    assert!(mail.is_empty());
    patient.client.take_mail(&mut mail);
    assert_eq!(mail, b"*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
}

/// Words of every kind of argument that some command takes.
const WORDS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "list",
    "0",
    "1",
    "-1",
    "2",
    "3",
    "10",
    "-10",
    "1.5",
    "-inf",
    "+inf",
    "(1",
    "[a",
    "-",
    "+",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "4294967296",
    "nan",
    "1e400",
    "",
    "*",
    "#",
    "a*",
    "a->b",
    "EX",
    "PX",
    "NX",
    "XX",
    "GT",
    "LT",
    "CH",
    "INCR",
    "GET",
    "SET",
    "KEEPTTL",
    "STORE",
    "STOREDIST",
    "BY",
    "LIMIT",
    "ASC",
    "DESC",
    "ALPHA",
    "WITHSCORES",
    "WITHVALUES",
    "WITHCOORD",
    "COUNT",
    "RANK",
    "MAXLEN",
    "MATCH",
    "TYPE",
    "LEFT",
    "RIGHT",
    "BEFORE",
    "AFTER",
    "MIN",
    "MAX",
    "AGGREGATE",
    "SUM",
    "WEIGHTS",
    "REV",
    "BYSCORE",
    "BYLEX",
    "u8",
    "i64",
    "u64",
    "#1",
    "OVERFLOW",
    "FAIL",
    "SAT",
    "AND",
    "NOT",
    "XOR",
    "BIT",
    "BYTE",
    "FROMMEMBER",
    "FROMLONLAT",
    "BYRADIUS",
    "BYBOX",
    "km",
    "m",
    "13.3",
    "38.1",
    "ANY",
    "REPLACE",
    "DB",
    "ABSTTL",
    "IDLETIME",
    "FREQ",
    "ASYNC",
    "SYNC",
    "IDX",
    "LEN",
    "MINMATCHLEN",
    "WITHMATCHLEN",
    "PERSIST",
    "EXAT",
    "PXAT",
    "ENCODING",
    "NOVALUES",
    "LIST",
    "NUMKEYS",
];

/// Commands whose purpose is to end or to stall.
const LEFT_OUT: &[&str] = &[
    "shutdown", "debug", "quit", "monitor", "config", "client", "psync", "sync", "replconf",
];

fn reply_count(mut bytes: &[u8]) -> usize {
    fn skip(bytes: &mut &[u8]) -> Option<()> {
        let end = bytes.windows(2).position(|w| w == b"\r\n")?;
        let (line, rest) = bytes.split_at(end);
        *bytes = &rest[2..];
        let number = || std::str::from_utf8(&line[1..]).ok()?.parse::<i64>().ok();
        match line.first()? {
            b'$' | b'=' | b'!' => {
                let n = number()?;
                if n >= 0 {
                    *bytes = bytes.get(n as usize + 2..)?;
                }
            }
            b'*' | b'~' | b'>' => (0..number()?).try_for_each(|_| skip(bytes))?,
            b'%' => (0..2 * number()?).try_for_each(|_| skip(bytes))?,
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {}
            _ => return None,
        }
        Some(())
    }
    let mut n = 0;
    while !bytes.is_empty() {
        if skip(&mut bytes).is_none() {
            return usize::MAX;
        }
        n += 1;
    }
    n
}

/// Every command with arguments that mean nothing, or nearly something: no panic (a key that was not declared, an
/// index, an overflow), and exactly one reply.
#[test]
fn no_arguments_panic_and_every_command_has_one_reply() {
    use rand::{Rng, SeedableRng};
    let seed: u64 = std::env::var("SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(1);
    let rounds: u32 = std::env::var("ROUNDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(60_000);
    let mut rng = rand::rngs::SmallRng::seed_from_u64(seed);
    let mut desk = Desk::new();
    let mut s = desk.session();
    let entries: Vec<&Entry> = Registry::get()
        .all()
        .filter(|e| !LEFT_OUT.contains(&e.spec.name.split('|').next().unwrap_or_default()))
        .filter(|e| !e.spec.name.contains("subscribe") && !e.spec.name.starts_with("auth"))
        .collect();
    for round in 0..rounds {
        if round % 500 == 0 {
            desk.run(
                &mut s,
                "FLUSHALL\nRPUSH list 3 1 2\nRPUSH a 1 b\nSADD b 1 2 a\nZADD c 1 a 2 b 3 c\nHSET d a 1 b 2",
            );
            desk.run(
                &mut s,
                "SET e 12\nSET f abc EX 100\nGEOADD list2 13.3 38.1 a\nSETBIT 0 9 1\nPFADD 1 a b",
            );
        }
        let entry = entries[rng.random_range(0..entries.len())];
        let mut argv: Vec<Vec<u8>> = entry
            .spec
            .name
            .split('|')
            .map(|w| w.as_bytes().to_vec())
            .collect();
        let least = entry.spec.arity.unsigned_abs() as usize;
        let most = if entry.spec.arity < 0 {
            least + rng.random_range(0..9)
        } else {
            least
        };
        while argv.len() < most {
            // Keys come first, mostly.
            let word = if argv.len() < 4 && rng.random_bool(0.6) {
                WORDS[rng.random_range(0..14)]
            } else {
                WORDS[rng.random_range(0..WORDS.len())]
            };
            argv.push(word.as_bytes().to_vec());
        }
        let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
        let mut bytes = Vec::new();
        encode_command(&mut bytes, &argv);
        let text = || {
            argv.iter()
                .map(|a| String::from_utf8_lossy(a))
                .collect::<Vec<_>>()
                .join(" ")
        };
        if rng.random_bool(0.02) {
            desk.ahead_ms += 700;
        }
        let now_ms = desk.server.now_ms() + desk.ahead_ms;
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            desk.w.begin_batch();
            desk.w.now_ms = now_ms;
            let mut input = &bytes[..];
            let flow = s.process(&mut input, &mut desk.w, usize::MAX);
            let reply = desk.w.reply.take();
            desk.w.end_batch();
            (flow, reply)
        }));
        let Ok((flow, reply)) = result else {
            panic!("seed {seed}, round {round}: {} panicked", text());
        };
        match flow {
            Flow::Continue => assert_eq!(
                reply_count(&reply),
                1,
                "seed {seed}, round {round}: {}: {:?}",
                text(),
                String::from_utf8_lossy(&reply)
            ),
            Flow::Blocked(wait) => {
                blocking::cancel(&desk.server, &wait.waiter);
            }
            Flow::Close | Flow::Paused(_) | Flow::Replica(_) => {}
        }
        while desk.garbage.try_recv().is_ok() {}
    }
}

#[test]
fn while_the_data_are_loaded_only_some_commands_are_taken() {
    let mut d = Desk::new();
    let mut s = d.session();
    d.server.set_loading(true);
    let loading = "-LOADING Redis is loading the dataset in memory";
    for line in ["GET k", "SET k v", "PING", "SAVE", "BGSAVE", "DBSIZE"] {
        assert_eq!(d.run(&mut s, line).trim_end(), loading, "{line}");
    }
    for line in [
        "LASTSAVE",
        "INFO persistence",
        "CONFIG GET save",
        "MULTI",
        "CLIENT ID",
    ] {
        assert_ne!(d.run(&mut s, line).trim_end(), loading, "{line}");
    }
    assert_eq!(d.run(&mut s, "SET k v").trim_end(), loading);
    d.server.set_loading(false);
    assert!(d.run(&mut s, "EXEC").starts_with("-EXECABORT"));
    assert_eq!(d.run(&mut s, "SET k v").trim_end(), "+OK");
}
