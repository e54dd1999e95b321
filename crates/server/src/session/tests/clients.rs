//! Connections among each other: filters, acknowledgements, import mode.

use super::*;
use crate::acks::Acked;

/// The ids that a listing shows, in order.
fn ids(text: &str) -> Vec<u64> {
    let words = text
        .split([' ', '\n'])
        .filter_map(|word| word.strip_prefix("id="));
    words.filter_map(|id| id.parse().ok()).collect()
}

#[test]
fn filters_of_valkey_choose_connections() {
    let mut desk = Desk::new();
    let (mut a, mut b, mut c) = (desk.session(), desk.session(), desk.session());
    desk.run(
        &mut a,
        "CLIENT SETNAME alice\nSELECT 3\nCLIENT SETINFO LIB-NAME lib\nCLIENT SETINFO LIB-VER 1.0",
    );
    desk.run(&mut b, "CLIENT CAPA redirect other\nSUBSCRIBE x");
    desk.run(&mut c, "MULTI");
    let mut asker = desk.session();
    desk.ahead_ms = 10_000;
    for (filters, expected) in [
        ("NAME alice", &[1][..]),
        ("NOT-NAME alice", &[2, 3, 4]),
        ("DB 3", &[1]),
        ("NOT-DB 3 SKIPME yes", &[2, 3]),
        ("LIB-NAME lib LIB-VER 1.0", &[1]),
        ("LIB-NAME lib LIB-VER 2.0", &[]),
        ("NOT-LIB-NAME lib NOT-LIB-VER 1.0", &[2, 3, 4]),
        ("FLAGS P", &[2]),
        ("FLAGS N", &[1, 4]),
        ("NOT-FLAGS N", &[2, 3]),
        ("FLAGS xP", &[]),
        ("CAPA r", &[2]),
        ("NOT-CAPA r", &[1, 3, 4]),
        ("TYPE pubsub", &[2]),
        ("NOT-TYPE pubsub TYPE normal", &[1, 3, 4]),
        ("IP 127.0.0.1", &[1, 2, 3, 4]),
        ("NOT-IP 127.0.0.1", &[]),
        ("ADDR 127.0.0.1:2", &[2]),
        ("NOT-ADDR 127.0.0.1:2", &[1, 3, 4]),
        ("LADDR 127.0.0.1:6379 NOT-LADDR 127.0.0.1:1", &[1, 2, 3, 4]),
        ("USER default", &[1, 2, 3, 4]),
        ("NOT-USER default", &[]),
        ("ID 3 1 3 TYPE normal", &[3, 1, 3]),
        ("NOT-ID 3 1", &[2, 4]),
        ("MAXAGE 5", &[1, 2, 3, 4]),
        ("MAXAGE 50", &[]),
        ("IDLE 50", &[]),
        ("NAME nobody NAME alice", &[1]),
    ] {
        let listed = desk.run(&mut asker, &format!("CLIENT LIST {filters}"));
        assert_eq!(ids(&listed), expected, "{filters}: {listed}");
    }
    for (filters, error) in [
        ("FLAGS Q", "-ERR Unknown flags found in the provided filter: Q "),
        (
            "NOT-CAPA rz",
            "-ERR Unknown capa found in the provided filter: rz ",
        ),
        ("DB 16", "-ERR DB number should be between 0 and 15 "),
        ("DB x", "-ERR DB is not an integer or out of range "),
        ("IDLE 0", "-ERR idle should be greater than 0 "),
        ("NOT-MAXAGE 5", "-ERR syntax error "),
        ("NOT-IDLE 5", "-ERR syntax error "),
        ("NOT-SKIPME yes", "-ERR syntax error "),
        ("NAME", "-ERR syntax error "),
        ("NOT- x", "-ERR syntax error "),
        ("ID 1 nosuch", "-ERR Invalid client ID "),
    ] {
        assert_eq!(
            desk.run(&mut asker, &format!("CLIENT LIST {filters}")),
            error,
            "{filters}"
        );
    }
    assert_eq!(
        desk.run(&mut asker, "CLIENT KILL ID 1 nosuch"),
        "-ERR syntax error "
    );
    assert_eq!(
        desk.run(&mut asker, "CLIENT KILL NOT-NAME alice NOT-FLAGS P"),
        ":1 "
    );
    assert!(c.client.is_killed() && !b.client.is_killed());
    assert_eq!(desk.run(&mut asker, "CLIENT KILL ID 1 2 SKIPME no"), ":2 ");
}

#[test]
fn a_wait_for_replicas_ends_when_enough_have_acknowledged() {
    let mut desk = Desk::new();
    let (mut writer, mut other) = (desk.session(), desk.session());
    assert_eq!(desk.run(&mut writer, "WAIT 0 0\nWAIT -1 0"), ":0 :0 ");
    desk.run(&mut writer, "SET k 1");
    let written = desk.server.log.end_offset();
    assert_eq!(
        desk.run(&mut writer, "MULTI\nWAIT 1 0\nEXEC"),
        "+OK +QUEUED *1 :0 "
    );
    assert_eq!(desk.run(&mut writer, "WAIT 2 0"), "");
    assert!(writer.client.has_flag(flag::BLOCKED));
    assert_eq!(desk.server.blocking.clients(), 1);
    let ack = |desk: &Desk, id: u64, received: u64, synced: u64| {
        let server = Arc::clone(&desk.server);
        server.acks.acknowledged(&server, id, Acked { received, synced });
    };
    ack(&desk, 100, written, 0);
    ack(&desk, 101, written - 1, 0);
    assert!(writer.client.has_flag(flag::BLOCKED), "one of two");
    ack(&desk, 101, written, 0);
    assert!(!writer.client.has_flag(flag::BLOCKED));
    assert_eq!(desk.run(&mut writer, ""), ":2 ");
    // Who has written nothing has nothing to wait for.
    assert_eq!(desk.run(&mut other, "WAIT 2 0"), ":2 ");
    assert_eq!(desk.run(&mut other, "WAITAOF 0 2 0"), "*2 :0 :2 ");
    assert_eq!(desk.run(&mut writer, "WAITAOF 0 1 0"), "");
    ack(&desk, 100, written, written);
    assert_eq!(desk.run(&mut writer, ""), "*2 :0 :1 ");
    desk.server.acks.forget(100);
    assert_eq!(desk.run(&mut writer, "WAIT 2 0"), "");
    let id = writer.client.id;
    assert_eq!(desk.run(&mut other, &format!("CLIENT UNBLOCK {id}")), ":1 ");
    assert_eq!(desk.run(&mut writer, ""), ":1 ");
    assert_eq!(desk.run(&mut writer, "WAIT 2 0"), "");
    assert_eq!(desk.run(&mut other, &format!("CLIENT UNBLOCK {id} ERROR")), ":1 ");
    assert_eq!(
        desk.run(&mut writer, ""),
        "-UNBLOCKED client unblocked via CLIENT UNBLOCK "
    );
    assert_eq!(desk.server.blocking.clients(), 0);
}

/// Replicas are served by different threads, and their acknowledgements may come at one moment.
#[test]
fn a_wait_that_two_acknowledgements_end_at_once_is_answered_once() {
    let mut desk = Desk::new();
    let mut writer = desk.session();
    desk.run(&mut writer, "SET k 1");
    for _ in 0..500 {
        desk.run(&mut writer, "INCR k");
        let received = desk.server.log.end_offset();
        assert_eq!(desk.run(&mut writer, "WAIT 1 0"), "");
        let together = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for id in [100, 101] {
                let (server, together) = (Arc::clone(&desk.server), &together);
                scope.spawn(move || {
                    together.wait();
                    server
                        .acks
                        .acknowledged(&server, id, Acked { received, synced: 0 });
                });
            }
        });
        let answer = desk.run(&mut writer, "");
        assert!([":1 ", ":2 "].contains(&answer.as_str()), "{answer}");
        assert_eq!(desk.server.blocking.clients(), 0);
    }
}

#[test]
fn errors_of_waitaof() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    for (line, error) in [
        (
            "WAITAOF 2 0 0",
            "-ERR value is out of range, value must between 0 and 1 ",
        ),
        ("WAITAOF 0 -1 0", "-ERR value is out of range, must be positive "),
        ("WAITAOF 0 0 -1", "-ERR timeout is negative "),
        ("WAITAOF x 0 0", "-ERR value is not an integer or out of range "),
        (
            "WAITAOF 1 0 0",
            "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled. ",
        ),
        ("WAITAOF 0 0 9223372036854775807", "-ERR timeout is out of range "),
        ("WAITAOF 0 0 0", "*2 :0 :0 "),
    ] {
        assert_eq!(desk.run(&mut s, line), error, "{line}");
    }
}

#[test]
fn in_import_mode_only_the_importer_sees_keys_whose_time_is_over() {
    let mut desk = Desk::new();
    let (mut importer, mut reader) = (desk.session(), desk.session());
    assert_eq!(
        desk.run(&mut importer, "CLIENT IMPORT-SOURCE ON"),
        "-ERR Server is not in import mode "
    );
    assert_eq!(
        desk.run(&mut importer, "CLIENT IMPORT-SOURCE OFF\nCLIENT IMPORT-SOURCE x"),
        "+OK -ERR syntax error "
    );
    desk.run(&mut importer, "CONFIG SET import-mode yes");
    assert_eq!(desk.run(&mut importer, "CLIENT IMPORT-SOURCE ON"), "+OK ");
    desk.run(&mut importer, "SET n 1 PX 10\nSET m 1 PX 10");
    desk.ahead_ms = 1_000;
    assert_eq!(desk.run(&mut reader, "GET n\nDBSIZE"), "$-1 :2 ");
    assert_eq!(desk.run(&mut importer, "INCR n\nGET n"), ":2 $1 2 ");
    assert!(desk.run(&mut reader, "CLIENT LIST FLAGS I").contains("id=1 "));
    desk.run(&mut importer, "RESET");
    assert_eq!(desk.run(&mut importer, "GET n"), "$-1 ");
    // A write of another client is an ordinary one.
    assert_eq!(desk.run(&mut reader, "INCR m"), ":1 ");
    desk.run(&mut importer, "CONFIG SET import-mode no");
    assert_eq!(desk.run(&mut reader, "GET n\nDBSIZE"), "$-1 :1 ");
}

#[test]
fn all_of_cluster_is_switched_off() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    for line in [
        "CLUSTER INFO",
        "CLUSTER HELP",
        "CLUSTER MYSHARDID",
        "READONLY",
        "READWRITE",
        "ASKING",
    ] {
        let reply = desk.run(&mut s, line);
        assert_eq!(
            reply, "-ERR This instance has cluster support disabled ",
            "{line}"
        );
    }
}

/// The events that a command causes: `event key` for each.
fn events(desk: &mut Desk, listener: &mut Session, s: &mut Session, line: &str) -> Vec<String> {
    desk.run(s, line);
    let mail = desk.run(listener, "");
    let words: Vec<&str> = mail
        .split(' ')
        .filter(|word| !word.starts_with(['$', '*']))
        .collect();
    let messages = words.chunks_exact(4);
    messages
        .map(|m| format!("{} {}", m[2].rsplit(':').next().unwrap_or_default(), m[3]))
        .collect()
}

#[test]
fn values_that_replace_others_are_told_of_where_asked_for() {
    let mut desk = Desk::new();
    let (mut s, mut listener) = (desk.session(), desk.session());
    desk.run(&mut s, "CONFIG SET notify-keyspace-events Eoc$");
    assert!(
        desk.run(&mut s, "CONFIG GET notify-keyspace-events")
            .ends_with("$4 $Eoc ")
    );
    desk.run(&mut listener, "PSUBSCRIBE __keyevent@*");
    for (line, expected) in [
        ("SET k v", &["set k"][..]),
        ("SET k w", &["overwritten k", "set k"]),
        ("SET k w KEEPTTL", &["overwritten k", "set k"]),
        ("GETSET k x", &["overwritten k", "set k"]),
        ("APPEND k y", &["append k"]),
        ("SETRANGE k 0 z", &["setrange k"]),
        ("SADD s a", &[]),
        ("SET s v", &["overwritten s", "type_changed s", "set s"]),
        ("SET n 1", &["set n"]),
        ("INCR n", &["incrby n"]),
        ("INCRBYFLOAT n 1.5", &["incrbyfloat n"]),
        ("SETBIT k 0 1", &["setbit k"]),
        ("SADD t a", &[]),
        ("SUNIONSTORE k t", &["overwritten k", "type_changed k"]),
        ("SUNIONSTORE k t", &["overwritten k"]),
        ("RENAME t n", &["overwritten n", "type_changed n"]),
        ("COPY n s REPLACE", &["overwritten s", "type_changed s"]),
        ("COPY n s", &[]),
        ("COPY n fresh", &[]),
        ("SADD n b", &[]),
    ] {
        assert_eq!(events(&mut desk, &mut listener, &mut s, line), expected, "{line}");
    }
    desk.run(&mut s, "CONFIG SET notify-keyspace-events EA");
    assert_eq!(events(&mut desk, &mut listener, &mut s, "SET n 1"), ["set n"]);
    for (given, shown) in [("KEAnoc", "AKEnoc"), ("oK", "Ko"), ("Ac", "Ac")] {
        desk.run(&mut s, &format!("CONFIG SET notify-keyspace-events {given}"));
        let reply = desk.run(&mut s, "CONFIG GET notify-keyspace-events");
        assert!(reply.ends_with(&format!(" {shown} ")), "{given}: {reply}");
    }
}
