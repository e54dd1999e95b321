//! Tests of reading files and the command line: what is accepted, what is refused and with which words.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn read(text: &[u8]) -> Result<Config, LoadError> {
    let mut settings = Settings::default();
    settings.read_text("test", text)?;
    settings.check()?;
    Ok(Config::from_settings(settings))
}

fn command_line(args: &[&str], stdin: &str) -> Result<Config, LoadError> {
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    match parse_command_line(&args, &mut stdin.as_bytes())? {
        Invocation::Run { config } => Ok(*config),
        other => panic!("{other:?}"),
    }
}

fn print(config: &Config, name: &str) -> String {
    String::from_utf8_lossy(&config.print(Param::find(name.as_bytes()).unwrap())).into_owned()
}

/// Line, its text as an error shows it, and the reason; read off redis-server 7.0.15.
fn fault(result: Result<Config, LoadError>) -> (usize, String, String) {
    match result.unwrap_err() {
        LoadError::Line {
            line, text, reason, ..
        } => (line, String::from_utf8_lossy(&text).into_owned(), reason),
        other => panic!("{other}"),
    }
}

#[test]
fn lines_comments_and_quotes() {
    let text = "# comment\n\n  \tPORT\t7312 \r\n  # indented\n\"maxmemory\" \"10\"\nmasterauth 'a b'\ndbfilename x\"y\"\n";
    let config = read(text.as_bytes()).unwrap();
    assert_eq!((config.port(), config.maxmemory()), (7312, 10));
    assert_eq!(config.masterauth().as_deref(), Some(&b"a b"[..]));
    assert_eq!(config.dbfilename(), Some("xy".into()));
}

#[test]
fn wrong_lines_are_refused_in_the_words_of_redis() {
    const BAD: &str = "Bad directive or wrong number of arguments";
    for (text, line, shown, reason) in [
        ("port 7312\nfoo bar\n", 2, "foo bar", BAD),
        (
            "\n\nport 7312 # comment",
            3,
            "port 7312 # comment",
            "wrong number of arguments",
        ),
        ("save \"", 1, "save \"", "Unbalanced quotes in configuration line"),
        (
            "maxmemory zz",
            1,
            "maxmemory zz",
            "argument must be a memory value",
        ),
        ("maxmemory", 1, "maxmemory", "wrong number of arguments"),
        ("maxmemory 5 mb", 1, "maxmemory 5 mb", "wrong number of arguments"),
        ("\tfoo\t1\r", 1, "foo\t1", BAD),
        ("include a b", 1, "include a b", BAD),
        ("rename-command GET", 1, "rename-command GET", BAD),
        ("user", 1, "user", BAD),
        ("loadmodule", 1, "loadmodule", BAD),
        ("save 1", 1, "save 1", "Invalid save parameters"),
        ("save", 1, "save", "wrong number of arguments"),
        ("bind", 1, "bind", "wrong number of arguments"),
        (
            "client-output-buffer-limit normal 1 1",
            1,
            "client-output-buffer-limit normal 1 1",
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "dir /does/not/exist",
            1,
            "dir /does/not/exist",
            "No such file or directory",
        ),
        ("dir /dev/null", 1, "dir /dev/null", "Not a directory"),
        ("replicaof a", 1, "replicaof a", "wrong number of arguments"),
        ("replicaof a 99999", 1, "replicaof a 99999", "Invalid master port"),
        (
            "sentinel foo",
            1,
            "sentinel foo",
            "sentinel directive while not in sentinel mode",
        ),
        (
            "unixsocketperm 888",
            1,
            "unixsocketperm 888",
            "argument couldn't be parsed as an octal number",
        ),
        (
            "unixsocketperm 7777",
            1,
            "unixsocketperm 7777",
            "argument must be between 0 and 777 inclusive",
        ),
        (
            "appendfilename a/b",
            1,
            "appendfilename a/b",
            "appendfilename can't be a path, just a filename",
        ),
        (
            "appenddirname \"\"",
            1,
            "appenddirname \"\"",
            "appenddirname can't be empty",
        ),
        (
            "io-threads 0",
            1,
            "io-threads 0",
            "argument must be between 1 and 512 inclusive",
        ),
        (
            "appendfsync always no",
            1,
            "appendfsync always no",
            "wrong number of arguments",
        ),
    ] {
        assert_eq!(
            fault(read(text.as_bytes())),
            (line, shown.to_owned(), reason.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn an_error_shows_file_line_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (outer, inner) = (dir.path().join("outer.conf"), dir.path().join("inner.conf"));
    std::fs::write(&outer, format!("hz 10\ninclude {}\n", inner.display())).unwrap();
    std::fs::write(&inner, "\nport 1 2\n").unwrap();
    let error = command_line(&[outer.to_str().unwrap()], "")
        .unwrap_err()
        .to_string();
    let expected = format!(
        "\n*** FATAL CONFIG FILE ERROR (Holdfast {}) ***\nReading the configuration file {}, at line 2\n\
         >>> 'port 1 2'\nwrong number of arguments",
        env!("CARGO_PKG_VERSION"),
        inner.display()
    );
    assert_eq!(error, expected);
    let missing = dir.path().join("missing.conf");
    let error = command_line(&[missing.to_str().unwrap()], "")
        .unwrap_err()
        .to_string();
    let expected = format!(
        "Fatal error, can't open config file '{}': No such file or directory",
        missing.display()
    );
    assert_eq!(error, expected);
}

#[test]
fn repeated_directives() {
    let config =
        read(b"hz 10\nhz 20\nbind 127.0.0.1\nbind ::1 -10.0.0.1\nslave-priority 1\nreplica-priority 2")
            .unwrap();
    assert_eq!((config.hz(), config.replica_priority()), (20, 2));
    assert_eq!(print(&config, "bind"), "::1 -10.0.0.1");
    for (text, save) in [
        ("hz 10", "3600 1 300 100 60 10000"),
        ("save 5 5\nsave 6 6", "5 5 6 6"),
        ("save 5 5\nsave \"\"\nsave 6 6", "6 6"),
        ("save \"\"", ""),
        ("save ''\nsave 5 5 6 6", "5 5 6 6"),
        ("save \"5 5\"", "5 5"),
    ] {
        assert_eq!(print(&read(text.as_bytes()).unwrap(), "save"), save, "{text}");
    }
    let text =
        "client-output-buffer-limit normal 1 1 1 replica 2 2 2\nclient-output-buffer-limit pubsub 3mb 3mb 3";
    let limits = print(&read(text.as_bytes()).unwrap(), "client-output-buffer-limit");
    assert_eq!(limits, "normal 1 1 1 slave 2 2 2 pubsub 3145728 3145728 3");
}

#[test]
fn directives_of_the_file_only_are_kept_in_order() {
    let config = read(b"rename-command KEYS \"\"\nuser a on >x\nrename-command GET g\nuser b off").unwrap();
    let words = |param| -> Vec<String> {
        config
            .lines(param)
            .map(|words| String::from_utf8(words.join(&b' ')).unwrap())
            .collect()
    };
    assert_eq!(words(Param::RenameCommand), ["KEYS ", "GET g"]);
    assert_eq!(words(Param::User), ["a on >x", "b off"]);
}

#[test]
fn what_redis_dropped_is_read_and_modules_are_not() {
    assert!(read(b"list-max-ziplist-entries 5\nlua-replicate-commands yes").is_ok());
    let (_, _, reason) = fault(read(b"loadmodule /x.so"));
    assert_eq!(reason, "Holdfast has no modules: remove this line to start");
}

#[test]
fn a_replica_is_no_cluster_node() {
    let error = read(b"cluster-enabled yes\nreplicaof h 1")
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("***\nreplicaof directive not allowed in cluster mode"),
        "{error}"
    );
    assert!(read(b"cluster-enabled yes\nreplicaof no one").is_ok());
}

#[test]
fn includes_take_wildcards_and_relative_paths_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    write("conf.d/b.conf", "hz 2\ntimeout 2");
    write("conf.d/a.conf", "hz 1\ntimeout 1");
    write("conf.d/.hidden.conf", "hz 99");
    write("conf.d/c.other", "hz 98");
    let main = format!(
        "dir {}\ninclude conf.d/*.conf\ninclude conf.d/none*\ntimeout 3",
        dir.path().display()
    );
    let config = read(main.as_bytes()).unwrap();
    assert_eq!((config.hz(), config.timeout_seconds()), (2, 3));
    let main = format!("dir {}\ninclude nope.conf", dir.path().display());
    assert!(matches!(read(main.as_bytes()), Err(LoadError::Unreadable { .. })));

    let here = dir.path().display();
    write("one.conf", &format!("include {here}/two.conf"));
    write("two.conf", &format!("include {here}/./one.conf"));
    let (_, _, reason) = fault(command_line(&[&format!("{here}/one.conf")], ""));
    assert_eq!(reason, "include: this file is being read already");
    for n in 0..20 {
        write(
            &format!("deep{n}.conf"),
            &format!("include {here}/deep{}.conf", n + 1),
        );
    }
    let (_, _, reason) = fault(command_line(&[&format!("{here}/deep0.conf")], ""));
    assert_eq!(reason, "include: too many files within files");
}

#[test]
fn options_are_read_as_redis_reads_them() {
    let check = |args: &[&str], stdin: &str, name: &str, value: &str| {
        let config = command_line(args, stdin).unwrap_or_else(|error| panic!("{args:?}: {error}"));
        assert_eq!(print(&config, name), value, "{args:?}");
    };
    check(&["--port", "7312", "--save", ""], "", "save", "");
    check(&["--save", "", "--save", "100", "1"], "", "save", "100 1");
    check(&["--save", "100", "1", "200", "2"], "", "save", "100 1 200 2");
    check(&["--save", "--port", "7312"], "", "save", "");
    check(&["--port", "7312", "--save"], "", "save", "");
    check(&["--port 7312", "--maxmemory 1gb"], "", "maxmemory", "1073741824");
    check(&["--port", "1", "--port", "2"], "", "port", "2");
    check(&["--requirepass", "--foo"], "", "requirepass", "--foo");
    check(&["--masterauth", "a b"], "", "masterauth", "a b");
    check(&["--masterauth", "\"a b\""], "", "masterauth", "\"a b\"");
    check(&["--masterauth", "", "--maxmemory", "5"], "", "maxmemory", "5");
    check(&["--masterauth", "-x"], "", "masterauth", "-x");
    check(
        &["--shutdown-on-sigint", "save", "now"],
        "",
        "shutdown-on-sigint",
        "save now",
    );
    check(
        &["--shutdown-on-sigint", "now force"],
        "",
        "shutdown-on-sigint",
        "now force",
    );
    check(&["--replicaof", "127.0.0.1", "9"], "", "slaveof", "127.0.0.1 9");
    check(&["--unixsocketperm", "0700"], "", "unixsocketperm", "700");
    check(&["-", "--hz", "5"], "hz 7\ntimeout 3", "hz", "5");
    check(&["--hz", "5", "-"], "hz 7\ntimeout 3", "timeout", "3");
    check(&[], "hz 7", "hz", "10");
    check(&["--threads", "3"], "", "io-threads", "3");
}

#[test]
fn wrong_options_are_refused_as_redis_refuses_them() {
    const BAD: &str = "Bad directive or wrong number of arguments";
    for (args, line, shown, reason) in [
        (
            &["--port", "6379", "6380"][..],
            1,
            "port \"6379\" \"6380\"",
            "wrong number of arguments",
        ),
        (&["--invalid"], 1, "invalid", BAD),
        (&["--port"], 1, "port", "wrong number of arguments"),
        (&["--port", "1", "--invalid", "x"], 2, "invalid \"x\"", BAD),
        (&["--port=7312"], 1, "port=7312", BAD),
        (&["--port 7312", "--foo bar"], 2, "foo bar", BAD),
        (
            &["--maxmemory", "--loglevel", "verbose"],
            1,
            "maxmemory \"--loglevel\" \"verbose\"",
            "wrong number of arguments",
        ),
        (&["-x"], 1, "\"-x\"", BAD),
    ] {
        assert_eq!(
            fault(command_line(args, "")),
            (line, shown.to_owned(), reason.to_owned()),
            "{args:?}"
        );
    }
}

#[test]
fn the_file_comes_before_the_options() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.conf");
    std::fs::write(&path, "hz 7\nsave 5 5").unwrap();
    let config = command_line(&[path.to_str().unwrap(), "--hz", "9", "--save", "100", "1"], "").unwrap();
    assert_eq!((config.hz(), print(&config, "save").as_str()), (9, "5 5 100 1"));
    assert_eq!(config.file(), Some(path.as_path()));
}

#[test]
fn what_is_no_server_start() {
    let invocation = |arg: &str| parse_command_line(&[arg.into()], &mut std::io::empty()).unwrap();
    for (arg, version) in [
        ("-v", true),
        ("--version", true),
        ("-h", false),
        ("--help", false),
    ] {
        assert_eq!(matches!(invocation(arg), Invocation::Version), version);
        assert_eq!(matches!(invocation(arg), Invocation::Help), !version);
    }
    assert!(matches!(
        invocation("--print-default-config"),
        Invocation::SampleConfig
    ));
    assert!(version_line().starts_with("Holdfast server v="));
}

#[test]
fn hostile_files() {
    let long = [b"masterauth ".to_vec(), vec![b'a'; 1 << 20]].concat();
    assert_eq!(
        read(&long).unwrap().masterauth().map(|text| text.len()),
        Some(1 << 20)
    );
    assert_eq!(
        fault(read(b"masterauth a\0b")).2,
        "NUL byte in configuration line"
    );
    let config = read(b"masterauth \xff\xfe\ndbfilename \xff").unwrap();
    assert_eq!(config.masterauth().as_deref(), Some(&b"\xff\xfe"[..]));
    assert_eq!(config.dbfilename(), Some(OsString::from_vec(vec![0xff]).into()));
    assert_eq!(
        fault(read(b"\xff\xfe 1")).2,
        "Bad directive or wrong number of arguments"
    );
    assert_eq!(
        fault(read(b"tls-cert-file \"a\\x00b\"")).2,
        "argument must not contain a NUL byte"
    );
    let endless = Settings::default()
        .read_stream(&mut std::io::repeat(b'#'))
        .unwrap_err();
    assert!(endless.to_string().ends_with("larger than 16 megabytes"));
    let directory = Settings::default().read_file(Path::new("/")).unwrap_err();
    assert!(directory.to_string().ends_with("Is a directory"), "{directory}");
}

/// Rows whose value any short text of these letters may be, and some that refuse most.
fn any_pair() -> impl Strategy<Value = (Param, Vec<u8>)> {
    let param = (0..Param::ALL.len()).prop_map(|index| Param::ALL[index]);
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..12),
        "[0-9]{1,6}( [0-9]{1,4}){0,3}".prop_map(String::into_bytes),
        "(yes|no|normal 1 2 3|pubsub 4kb 5 6|[KEg$lxn]{1,4}|10%|1gb|512kb|save now|a b|h 7000)"
            .prop_map(String::into_bytes),
    ];
    (param, value)
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&text);
        let line = [b"masterauth ".as_slice(), &text].concat();
        let _ = read(&line);
    }

    #[test]
    fn a_rewritten_file_reads_back(
        first in proptest::collection::vec(any_pair(), 0..12),
        second in proptest::collection::vec(any_pair(), 0..12),
    ) {
        let config = Config::default();
        let change = |pairs: &[(Param, Vec<u8>)]| for (param, value) in pairs {
            if !param.row().kind.is_file_only() && *param != Param::Dir {
                let words = set::split_argument(param.row().kind.takes_words(), value);
                // What is refused changes nothing.
                let _ = config.store(*param, &words);
            }
        };
        let mut text = b"# head\nhz 10\ninclude /dev/null\n".to_vec();
        for pairs in [first, second] {
            change(&pairs);
            text = config.rewritten(&text, None).unwrap();
            let again = read(&text).unwrap_or_else(|error| match error {
                // Both settings may be random here; a server never has them both.
                LoadError::Contradiction { .. } => {
                    let mut settings = Settings::default();
                    settings.read_text("test", &text).unwrap();
                    Config::from_settings(settings)
                }
                other => panic!("{other}"),
            });
            for &param in Param::ALL {
                prop_assert_eq!(again.print(param), config.print(param), "{}", param.name());
            }
            prop_assert!(text.starts_with(b"# head\n"));
        }
    }
}
