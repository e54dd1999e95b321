use holdfast_resp::encode_command;

use super::*;
use crate::server::APPLIER_ROW;
use crate::session::tests::Desk;

/// Applies commands, one a line; what went wrong.
fn apply(applier: &mut Applier, lines: &str) -> Vec<ApplyError> {
    let mut errors = Vec::new();
    for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut raw = Vec::new();
        encode_command(&mut raw, &argv);
        let owned = OwnedFrame::from_args(argv);
        let frame = owned.frame().expect("a name");
        errors.extend(applier.command(frame, &raw).err());
    }
    applier.flush();
    errors
}

fn applier(desk: &Desk, source: Source) -> Applier {
    Applier::new(&desk.server, desk.server.threads + APPLIER_ROW, source)
}

#[test]
fn a_replay_changes_the_data_and_logs_nothing() {
    let mut desk = Desk::new();
    let mut a = applier(&desk, Source::Replay);
    let errors = apply(
        &mut a,
        "SELECT 3\nSET k v\nMULTI\nINCR n\nSELECT 0\nINCR n\nEXEC\nFUNCTION FLUSH\nEVAL return(redis.call('incr',KEYS[1])) 1 n",
    );
    assert_eq!(errors, []);
    assert_eq!(a.db(), 0);
    assert_eq!(desk.log(), "");
    let mut s = desk.session();
    assert_eq!(
        desk.run(&mut s, "GET n\nSELECT 3\nGET n\nGET k"),
        "$1 2 +OK $1 1 $1 v "
    );
}

#[test]
fn a_mirror_logs_the_bytes_that_came() {
    let desk = Desk::new();
    let mut a = applier(&desk, Source::Mirror);
    let text = "SELECT 2\nSET k v EX 100\nPING\nSPOP nokey\nMULTI\nRPUSH l a b\nPUBLISH c m\nEXEC\nPUBLISH c n\nNOSUCH x";
    let errors = apply(&mut a, text);
    assert_eq!(errors, [ApplyError::Unknown("NOSUCH".into())]);
    let mut all = Vec::new();
    for line in text.lines() {
        let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        encode_command(&mut all, &argv);
    }
    assert_eq!(desk.server.log.read(0, usize::MAX).unwrap(), all);
    assert_eq!(desk.server.log.cut(), (all.len() as u64, Some(2)));
    // What changes nothing is left out of the append-only file.
    let reader = desk.server.log.reader(0).unwrap();
    let changes = reader.read_changes(0, usize::MAX).unwrap().pieces.concat();
    let changes = String::from_utf8_lossy(&changes).into_owned();
    assert!(
        changes.contains("RPUSH") && changes.contains("$1\r\nm\r\n"),
        "{changes}"
    );
    for gone in ["PING", "NOSUCH", "$1\r\nn\r\n"] {
        assert!(!changes.contains(gone), "{changes}");
    }
}

#[test]
fn a_key_whose_time_is_over_stays_until_the_log_says_del() {
    let mut desk = Desk::new();
    let mut a = applier(&desk, Source::Replay);
    let errors = apply(
        &mut a,
        "SET n 5 PXAT 1000\nINCR n\nPERSIST n\nSET gone 1 PXAT 1000\nDEL gone",
    );
    assert_eq!(errors, []);
    let mut s = desk.session();
    assert_eq!(desk.run(&mut s, "GET n\nDBSIZE"), "$1 6 :1 ");
}

#[test]
fn neither_rights_nor_memory_nor_a_pause_stop_a_log() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    desk.run(
        &mut s,
        "ACL SETUSER default -@all +acl\nACL SETUSER default nopass",
    );
    desk.server.pause(i64::MAX / 2, crate::server::PauseMode::All);
    desk.server
        .config
        .store(crate::config::Param::Maxmemory, &[b"1"])
        .unwrap();
    let mut a = applier(&desk, Source::Mirror);
    let errors = apply(
        &mut a,
        "SET k v\nEVAL return(redis.call('set','x','y')) 0\nMULTI\nSET z z\nEXEC",
    );
    assert_eq!(errors, []);
    desk.server.unpause();
    let mut s = desk.session();
    desk.run(&mut s, "ACL SETUSER default +@all");
    assert_eq!(desk.run(&mut s, "GET k\nGET x\nGET z"), "$1 v $1 y $1 z ");
}

#[test]
fn what_fails_says_so_and_the_rest_goes_on() {
    let mut desk = Desk::new();
    let mut a = applier(&desk, Source::Replay);
    let errors = apply(
        &mut a,
        "SET k v\nLPUSH k x\nGET\nSELECT 99\nSELECT x\nEXEC\nMULTI\nNOSUCH\nSET k w\nEXEC\nMULTI\nLPUSH k x\nSET n 1\nEXEC",
    );
    let names: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "the command 'lpush' failed: WRONGTYPE Operation against a key holding the wrong kind of value",
            "the command 'get' failed: ERR wrong number of arguments",
            "the command 'select' failed: ERR DB index is out of range",
            "the command 'select' failed: ERR DB index is out of range",
            "the command 'exec' failed: ERR EXEC without MULTI",
            "Unknown command 'NOSUCH'",
            "Unknown command 'NOSUCH'",
            "the command 'lpush' failed: WRONGTYPE Operation against a key holding the wrong kind of value",
        ]
    );
    let mut s = desk.session();
    assert_eq!(desk.run(&mut s, "GET k\nGET n"), "$1 v $1 1 ");
    apply(&mut a, "MULTI\nSET never 1");
    assert!(a.in_transaction());
    a.forget_transaction();
    assert_eq!(desk.run(&mut s, "EXISTS never"), ":0 ");
}

#[test]
fn a_mirror_tells_clients_and_a_replay_does_not() {
    for (source, told) in [(Source::Mirror, true), (Source::Replay, false)] {
        let mut desk = Desk::new();
        let (mut watcher, mut listener, mut waiter) = (desk.session(), desk.session(), desk.session());
        desk.run(
            &mut listener,
            "CONFIG SET notify-keyspace-events KA\nSUBSCRIBE __keyspace@0__:k",
        );
        desk.run(&mut watcher, "WATCH k\nMULTI\nPING");
        desk.run(&mut waiter, "XREAD BLOCK 0 STREAMS x 0");
        let mut a = applier(&desk, source);
        assert_eq!(apply(&mut a, "SET k v\nXADD x 1-1 a b"), []);
        assert_eq!(desk.run(&mut listener, "").contains("message"), told);
        assert_eq!(desk.run(&mut watcher, "EXEC"), "*-1 ");
        assert!(desk.run(&mut waiter, "").contains("1-1"));
    }
}
