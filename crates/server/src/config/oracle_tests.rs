//! The table compared with a running redis-server 7.0.15: names, defaults, and answers to CONFIG SET.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use super::*;

/// Directives whose default differs on purpose, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("dir", "each process has its own"),
    ("io-threads", "every core serves by default"),
    (
        "maxclients",
        "Redis lowers it where the limit of open files is low",
    ),
    ("port", "the oracle listens on a Unix socket only"),
    ("unixsocket", "the oracle listens there"),
];

/// Directives that 7.0.15 does not know.
const NEWER: &[(&str, &str)] = &[
    ("availability-zone", "Valkey 8.0"),
    ("cluster-bus-secret", "ours"),
    ("cluster-databases", "Valkey 9.0"),
    ("cluster-failover-time", "ours"),
    ("cluster-initial-primaries", "ours"),
    ("cluster-replicas-per-primary", "ours"),
    ("cluster-seeds", "ours"),
    ("cluster-slot-migration-handoff-max-lag-bytes", "Redis 8.4"),
    ("cluster-slot-migration-max-rate", "ours"),
    ("cluster-slot-migration-write-pause-timeout", "Redis 8.4"),
    ("cluster-slot-stats-enabled", "Valkey 8.0, Redis 8.2"),
    ("cluster-tls-name", "ours"),
    ("commandlog-execution-slower-than", "Valkey 8.1"),
    ("commandlog-large-reply-max-len", "Valkey 8.1"),
    ("commandlog-large-request-max-len", "Valkey 8.1"),
    ("commandlog-reply-larger-than", "Valkey 8.1"),
    ("commandlog-request-larger-than", "Valkey 8.1"),
    ("commandlog-slow-execution-max-len", "Valkey 8.1"),
    ("cluster-announce-human-nodename", "Redis 7.2"),
    ("encryption-key-file", "ours"),
    ("import-mode", "Valkey 8.1"),
    ("lua-memory-limit", "ours: Redis has no bound"),
    ("rdb-dialect", "ours"),
    ("locale-collate", "Redis 7.2"),
    ("repl-full-sync-buffer", "ours: Redis drops the replica"),
    ("set-max-listpack-entries", "Redis 7.2"),
    ("set-max-listpack-value", "Redis 7.2"),
    ("snapshot-buffer-limit", "ours"),
    ("snapshot-hold-timeout", "ours"),
    ("threads", "ours, another name of io-threads"),
];

struct Oracle {
    process: Child,
    stream: BufReader<UnixStream>,
    dir: tempfile::TempDir,
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Oracle {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let mut process = Command::new("redis-server")
            .args(["--port", "0", "--unixsocket"])
            .arg(&socket)
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs the real redis-server 7.0.15: apt-get install redis-server");
        // The log says when the socket is there.
        let mut log = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("ready to accept connections at")
            && !line.contains("Ready to accept connections")
        {
            line.clear();
            assert_ne!(
                log.read_line(&mut line).unwrap(),
                0,
                "redis-server ended while starting"
            );
        }
        // Read to the end, so that the server never waits for room in the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let stream = BufReader::new(UnixStream::connect(&socket).unwrap());
        Oracle { process, stream, dir }
    }

    fn send(&mut self, words: &[&str]) {
        let mut bytes = format!("*{}\r\n", words.len());
        for word in words {
            bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn strings(&mut self) -> Vec<String> {
        let count: usize = self.line()[1..].parse().unwrap();
        let mut string = || {
            let length: usize = self.line()[1..].parse().unwrap();
            let mut bytes = vec![0; length + 2];
            self.stream.read_exact(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        };
        (0..count).map(|_| string()).collect()
    }

    fn get(&mut self, pattern: &str) -> BTreeMap<String, String> {
        self.send(&["CONFIG", "GET", pattern]);
        let strings = self.strings();
        strings
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect()
    }

    /// The error of CONFIG SET, or `OK`.
    fn set(&mut self, name: &str, value: &str) -> String {
        self.send(&["CONFIG", "SET", name, value]);
        self.line()[1..].to_owned()
    }
}

fn ours(config: &Config, pattern: &str) -> BTreeMap<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let pairs = config.get(&[pattern.as_bytes()]);
    pairs
        .into_iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

fn is_listed(list: &[(&str, &str)], name: &str) -> bool {
    list.iter().any(|(known, _)| *known == name)
}

#[test]
fn names_and_defaults_are_those_of_redis() {
    let theirs = Oracle::start().get("*");
    let ours = ours(&Config::default(), "*");
    let unknown: Vec<_> = theirs.keys().filter(|name| !ours.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "Redis knows these, we do not: {unknown:?}");
    let new: Vec<_> = ours
        .keys()
        .filter(|name| !theirs.contains_key(*name) && !is_listed(NEWER, name))
        .collect();
    assert!(new.is_empty(), "we know these, Redis does not: {new:?}");
    for (name, value) in &theirs {
        if !is_listed(DIFFERENT, name) {
            assert_eq!(&ours[name], value, "default of {name}");
        }
    }
}

/// What is tried on every row; chosen to show kind and range.
const PROBES: &[&str] = &[
    "zzz",
    "",
    "-999999999",
    "999999999999",
    "1",
    "-1",
    "0",
    "yes",
    "101%",
    "5 5",
    BEYOND_I64,
];

/// Larger than what we store: such an amount of memory is stored as the largest number that we can.
const BEYOND_I64: &str = "9223372036854775808";

/// Rows on which no value is tried, or not those: the oracle would end, or act on the machine.
const UNTRIED: &[&str] = &[
    "bind",
    "port",
    "tls-port",
    "maxmemory",
    "maxclients",
    "requirepass",
    "hz",
];

/// Where our answer differs from the oracle's, and why.
const ANSWERS_DIFFER: &[(&str, &str)] = &[
    ("activedefrag", "our text names no modified allocator"),
    (
        "maxmemory-clients",
        "Redis takes an amount beyond 63 bits for a percentage",
    ),
    ("oom-score-adj", "the system may refuse the oracle"),
    ("oom-score-adj-values", "the system may refuse the oracle"),
    (
        "repl-backlog-size",
        "Redis raises it to 16384, where our backlog has a minimum of its own",
    ),
    ("tls-cluster", "the oracle has no certificates"),
    ("tls-replication", "the oracle has no certificates"),
];

#[test]
fn config_set_answers_as_redis_does() {
    let mut oracle = Oracle::start();
    let mut settings = Settings::default();
    let dir = oracle.dir.path().to_owned();
    settings
        .read_text("test", format!("dir {}\nsave 3600 1", dir.display()).as_bytes())
        .unwrap();
    let config = Config::from_settings(settings);
    let defaults = oracle.get("*");
    let tried = |name: &&str| !UNTRIED.contains(name) && !is_listed(ANSWERS_DIFFER, name);
    let mut different = Vec::new();
    for name in defaults.keys().map(String::as_str).filter(tried) {
        for probe in PROBES {
            let theirs = oracle.set(name, probe);
            let ours = match config.set(&[(name.as_bytes(), probe.as_bytes())], false) {
                Ok(_) => "OK".to_owned(),
                Err(error) => error.to_string(),
            };
            if ours != theirs {
                different.push(format!("CONFIG SET {name} {probe:?}: {ours} / {theirs}"));
            } else if ours == "OK" && *probe != BEYOND_I64 {
                let (ours, theirs) = (self::ours(&config, name), oracle.get(name));
                if ours != theirs {
                    different.push(format!(
                        "after CONFIG SET {name} {probe:?}: {ours:?} / {theirs:?}"
                    ));
                }
            }
            if theirs.contains("immutable") || theirs.contains("protected") {
                break;
            }
        }
    }
    assert!(different.is_empty(), "ours / theirs:\n{}", different.join("\n"));
}
