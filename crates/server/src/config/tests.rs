//! Tests of the table and of CONFIG GET and SET. Those of files and rewriting stand beside them.

use super::*;

fn get(config: &Config, name: &str) -> String {
    let pairs = config.get(&[name.as_bytes()]);
    assert_eq!(pairs.len(), 1, "{name}");
    String::from_utf8_lossy(&pairs[0].1).into_owned()
}

fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<Vec<Param>, String> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    config.set(&pairs, false).map_err(|error| error.to_string())
}

fn failed(name: &str, reason: &str) -> Result<Vec<Param>, String> {
    Err(format!(
        "ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"
    ))
}

#[test]
fn rows_are_sorted_by_name_and_named_once() {
    let names: Vec<_> = PARAMS.iter().map(|row| row.name).collect();
    assert!(names.is_sorted(), "sort the rows of params.rs by name");
    let mut all: Vec<_> = names
        .into_iter()
        .chain(PARAMS.iter().filter_map(|row| row.alias))
        .collect();
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "a name or alias is given twice");
    assert!(all.iter().all(|name| *name == name.to_ascii_lowercase()));
}

#[test]
fn every_row_is_documented_as_a_sentence() {
    for row in PARAMS {
        assert!(row.doc.ends_with('.') && row.doc.is_ascii(), "{}", row.name);
    }
}

#[test]
fn every_default_parses_prints_as_itself_and_can_be_set() {
    let config = Config::default();
    for &param in Param::ALL {
        let row = param.row();
        if row.kind.is_file_only() {
            continue;
        }
        let printed = String::from_utf8(config.print(param)).unwrap();
        if param != Param::Dir && row.computed.is_none() {
            assert_eq!(printed, row.default, "{}", row.name);
        }
        match row.mutability {
            Mutability::Mutable => {
                let changed = if row.reread { vec![param] } else { vec![] };
                assert_eq!(set(&config, &[(row.name, &printed)]), Ok(changed), "{}", row.name);
            }
            Mutability::Immutable => {
                assert_eq!(
                    set(&config, &[(row.name, &printed)]),
                    failed(row.name, "can't set immutable config")
                );
            }
            Mutability::Protected => {
                assert_eq!(
                    set(&config, &[(row.name, &printed)]),
                    failed(row.name, "can't set protected config")
                );
            }
        }
    }
}

#[test]
fn get_answers_names_aliases_and_patterns() {
    let config = Config::default();
    let names = |patterns: &[&[u8]]| -> Vec<String> {
        let pairs = config.get(patterns);
        pairs
            .into_iter()
            .map(|(name, _)| String::from_utf8(name).unwrap())
            .collect()
    };
    assert_eq!(names(&[b"HZ", b"h?"]), ["HZ"], "as it was asked, and once");
    assert_eq!(names(&[b"*-priority"]), ["replica-priority", "slave-priority"]);
    assert_eq!(names(&[b"slave-priority", b"slave-priority"]), ["slave-priority"]);
    assert_eq!(names(&[b"key-load-delay"]), ["key-load-delay"]);
    assert!(names(&[b"key-load-dela*"]).is_empty(), "hidden");
    assert!(names(&[b"include", b"nope", b"\xff*", b""]).is_empty());
    assert_eq!(names(&[b"MAXMEMORY-P*"]), ["maxmemory-policy"]);
}

#[test]
fn set_is_all_or_nothing_and_counts_versions() {
    let config = Config::default();
    assert_eq!(
        set(&config, &[("hz", "20"), ("timeout", "abc")]),
        failed("timeout", "argument couldn't be parsed into an integer")
    );
    assert_eq!((config.hz(), config.version()), (10, 0));
    assert_eq!(
        set(&config, &[("hz", "20"), ("timeout", "0")]),
        Ok(vec![Param::Hz])
    );
    assert_eq!((config.hz(), config.version()), (20, 1));
    assert_eq!(
        set(&config, &[("slave-priority", "1"), ("replica-priority", "2")]),
        Ok(vec![Param::ReplicaPriority])
    );
    assert_eq!(config.replica_priority(), 2);
}

#[test]
fn set_refuses_names_as_redis_does() {
    let config = Config::default();
    let unknown = |name: &str| {
        Err(format!(
            "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
        ))
    };
    assert_eq!(set(&config, &[("foo", "1"), ("databases", "2")]), unknown("foo"));
    assert_eq!(set(&config, &[("include", "x")]), unknown("include"));
    assert_eq!(set(&config, &[("a\r\nb", "x")]), unknown("a  b"));
    assert_eq!(
        set(&config, &[("hz", "abc"), ("databases", "2")]),
        failed("databases", "can't set immutable config")
    );
    assert_eq!(
        set(&config, &[("HZ", "1"), ("Hz", "2")]),
        failed("Hz", "duplicate parameter")
    );
    assert_eq!(
        set(&config, &[("hz", "1"), ("hz", "2"), ("foo", "1")]),
        failed("hz", "duplicate parameter")
    );
}

#[test]
fn a_change_that_cannot_be_applied_is_undone() {
    let config = Config::default();
    let mut seen = Vec::new();
    let result = config.set_and_apply(&[(b"Port", b"1"), (b"hz", b"50")], false, |changed| {
        seen.push((changed.to_vec(), config.port(), config.hz()));
        if config.port() == 1 {
            Err((Param::Port, "busy".to_owned()))
        } else {
            Ok(())
        }
    });
    let error = "ERR CONFIG SET failed (possibly related to argument 'Port') - busy";
    assert_eq!(result.map_err(|error| error.to_string()), Err(error.to_owned()));
    let changed = vec![Param::Port, Param::Hz];
    assert_eq!(seen, [(changed.clone(), 1, 50), (changed, 6379, 10)]);
}

#[test]
fn protected_rows_follow_the_guard() {
    let mut settings = Settings::default();
    settings
        .read_text("test", b"enable-protected-configs local")
        .unwrap();
    let config = Config::from_settings(settings);
    assert!(config.set(&[(b"dbfilename", b"x.rdb")], false).is_err());
    assert_eq!(
        config.set(&[(b"dbfilename", b"x.rdb")], true),
        Ok(vec![Param::Dbfilename])
    );
    assert_eq!(config.dbfilename(), Some("x.rdb".into()));
}

/// Name, value, and what CONFIG GET then says or why it is refused; read off redis-server 7.0.15.
const VALUES: &[(&str, &str, Result<&str, &str>)] = &[
    ("appendonly", "YES", Ok("yes")),
    ("appendonly", "yes ", Err("argument must be 'yes' or 'no'")),
    ("appendfsync", "ALWAYS", Ok("always")),
    (
        "appendfsync",
        "x",
        Err("argument(s) must be one of the following: everysec, always, no"),
    ),
    ("hz", "05", Err("argument couldn't be parsed into an integer")),
    ("hz", "+5", Err("argument couldn't be parsed into an integer")),
    ("hz", "-0", Err("argument couldn't be parsed into an integer")),
    (
        "hz",
        "-1",
        Err("argument must be between 0 and 2147483647 inclusive"),
    ),
    (
        "port",
        "70000",
        Err("argument must be between 0 and 65535 inclusive"),
    ),
    ("maxmemory", "1k", Ok("1000")),
    ("maxmemory", "1KB", Ok("1024")),
    ("maxmemory", "1mb", Ok("1048576")),
    ("maxmemory", "2g", Ok("2000000000")),
    ("maxmemory", "1gb", Ok("1073741824")),
    ("maxmemory", "7B", Ok("7")),
    ("maxmemory", "", Ok("0")),
    ("maxmemory", "1t", Err("argument must be a memory value")),
    ("maxmemory", "-1", Err("argument must be a memory value")),
    ("maxmemory", "1.5mb", Err("argument must be a memory value")),
    ("maxmemory", "10%", Err("argument must be a memory value")),
    (
        "maxmemory",
        "99999999999gb",
        Err("argument must be a memory value"),
    ),
    (
        "repl-backlog-size",
        "0",
        Err("argument must be between 1 and 9223372036854775807 inclusive"),
    ),
    (
        "repl-backlog-size",
        "18446744073709551615",
        Err("argument must be between 1 and 9223372036854775807 inclusive"),
    ),
    ("maxmemory-clients", "10%", Ok("10%")),
    ("maxmemory-clients", "0%", Ok("0")),
    (
        "maxmemory-clients",
        "101%",
        Err("percentage argument must be less or equal to 100"),
    ),
    (
        "maxmemory-clients",
        "5.5%",
        Err("argument must be a memory or percent value"),
    ),
    (
        "client-output-buffer-limit",
        "replica 1mb 2mb 3",
        Ok("normal 0 0 0 slave 1048576 2097152 3 pubsub 33554432 8388608 60"),
    ),
    (
        "client-output-buffer-limit",
        "NORMAL 1 1 1 pubsub 4 5 6",
        Ok("normal 1 1 1 slave 1048576 2097152 3 pubsub 4 5 6"),
    ),
    (
        "client-output-buffer-limit",
        "",
        Ok("normal 1 1 1 slave 1048576 2097152 3 pubsub 4 5 6"),
    ),
    (
        "client-output-buffer-limit",
        "normal 0 0",
        Err("Wrong number of arguments in buffer limit configuration."),
    ),
    (
        "client-output-buffer-limit",
        "normal  5 5 5",
        Err("Wrong number of arguments in buffer limit configuration."),
    ),
    (
        "client-output-buffer-limit",
        "master 1 2 3",
        Err("Invalid client class specified in buffer limit configuration."),
    ),
    (
        "client-output-buffer-limit",
        "normal 1 1 -1",
        Err("Error in hard, soft or soft_seconds setting in buffer limit configuration."),
    ),
    ("save", "3600 1 300 100", Ok("3600 1 300 100")),
    ("save", "1 0", Ok("1 0")),
    ("save", "0 1", Err("Invalid save parameters")),
    ("save", "1", Err("Invalid save parameters")),
    ("save", "1 1 ", Err("Invalid save parameters")),
    ("save", "", Ok("")),
    ("notify-keyspace-events", "KEA", Ok("AKE")),
    ("notify-keyspace-events", "g$lshzxetdmn", Ok("Amn")),
    ("notify-keyspace-events", "Ex", Ok("xE")),
    ("notify-keyspace-events", "nm", Ok("nm")),
    (
        "notify-keyspace-events",
        "Kq",
        Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
    ),
    ("notify-keyspace-events", "", Ok("")),
    ("oom-score-adj", "relative", Ok("yes")),
    ("oom-score-adj-values", "3 2 1", Ok("3 2 1")),
    ("oom-score-adj-values", "1 2", Err("wrong number of arguments")),
    (
        "oom-score-adj-values",
        "0 0 2001",
        Err("Invalid oom-score-adj-values, elements must be between -2000 and 2000."),
    ),
    (
        "latency-tracking-info-percentiles",
        "50.0 99.999 1e1",
        Ok("50 99.999 10"),
    ),
    ("latency-tracking-info-percentiles", "0.12345678", Ok("0.123457")),
    (
        "latency-tracking-info-percentiles",
        "101",
        Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"),
    ),
    (
        "latency-tracking-info-percentiles",
        "a",
        Err("Invalid latency-tracking-info-percentiles parameters"),
    ),
    ("latency-tracking-info-percentiles", "", Ok("")),
    ("shutdown-on-sigint", "now save", Ok("save now")),
    ("shutdown-on-sigint", "default save", Ok("save")),
    (
        "shutdown-on-sigint",
        "",
        Err("argument(s) must be one of the following: default, save, nosave, now, force"),
    ),
    (
        "shutdown-on-sigint",
        "save nosave",
        Err("shutdown options SAVE and NOSAVE can't be used simultaneously"),
    ),
    (
        "proc-title-template",
        "{title} {config-file}",
        Ok("{title} {config-file}"),
    ),
    (
        "proc-title-template",
        "{foo}",
        Err("template format is invalid or contains unknown variables"),
    ),
    (
        "proc-title-template",
        "{",
        Err("template format is invalid or contains unknown variables"),
    ),
    (
        "proc-title-template",
        "",
        Err("template format is invalid or contains unknown variables"),
    ),
    ("cluster-announce-hostname", "a.b-c", Ok("a.b-c")),
    (
        "cluster-announce-hostname",
        "bad host",
        Err("Hostnames may only contain alphanumeric characters, hyphens or dots"),
    ),
    ("bind", "127.0.0.1 -::1", Ok("127.0.0.1 -::1")),
    ("bind", "", Ok("")),
    (
        "bind",
        "1 2 3 4 5 6 7 8 9 a b c d e f g h",
        Err("Too many bind addresses specified."),
    ),
    ("list-max-listpack-size", "-6", Ok("-6")),
    ("activedefrag", "no", Ok("no")),
];

#[test]
fn values_are_read_and_printed_as_redis_does() {
    let config = Config::default();
    for &(name, value, expected) in VALUES {
        let result = set(&config, &[(name, value)]);
        match expected {
            Ok(printed) => {
                assert!(result.is_ok(), "{name} {value}: {result:?}");
                assert_eq!(get(&config, name), printed, "{name} {value}");
            }
            Err(reason) => assert_eq!(result, failed(name, reason), "{name} {value}"),
        }
    }
}

#[test]
fn typed_access() {
    let config = Config::default();
    assert_eq!(config.maxmemory_policy(), MaxmemoryPolicy::Noeviction);
    assert_eq!(config.save_points().len(), 3);
    let replica = OutputLimit {
        hard_bytes: 256 << 20,
        soft_bytes: 64 << 20,
        soft_seconds: 60,
    };
    assert_eq!(config.client_output_limit(ClientClass::Replica), replica);
    assert_eq!(config.bind(), [("*".to_owned(), false), ("::*".to_owned(), true)]);
    assert_eq!(config.latency_percentiles(), [50.0, 99.0, 99.9]);
    assert_eq!(config.oom_score_adj_values(), [0, 200, 800]);
    assert_eq!(config.cluster_bus_port(), Some(16379));
    assert!(config.io_threads() >= 1);
    assert_eq!(get(&config, "threads"), get(&config, "io-threads"));
    assert_eq!(config.replicaof(), None);
    config.store(Param::Replicaof, &[b"::1", b"7000"]).unwrap();
    assert_eq!(config.replicaof(), Some(("::1".to_owned(), 7000)));
    assert_eq!(get(&config, "slaveof"), "::1 7000");
    assert!(config.dir().is_absolute());
    assert!(config.requirepass().is_none());
}

#[test]
fn a_password_may_hold_any_bytes_and_a_path_no_nul() {
    let config = Config::default();
    let password = b"a\0\xff\n";
    assert_eq!(
        config.set(&[(b"requirepass", password)], false),
        Ok(vec![Param::Requirepass])
    );
    assert_eq!(config.requirepass().as_deref(), Some(&password[..]));
    assert!(config.set(&[(b"tls-cert-file", b"a\0b")], false).is_err());
}

#[test]
fn only_what_is_ignored_and_not_default_is_listed() {
    let mut settings = Settings::default();
    settings
        .read_text("test", b"activerehashing no\ndisable-thp yes\nhz 50")
        .unwrap();
    let names: Vec<_> = Config::from_settings(settings)
        .ignored()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["activerehashing"]);
}
