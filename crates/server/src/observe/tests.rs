//! What is noted of commands, seen through sessions without sockets.

use crate::session::tests::Desk;

#[test]
fn a_slow_command_within_a_pipeline_is_logged_and_no_other() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    let fast = "SET k v\nGET k\n".repeat(20);
    desk.run(&mut s, &format!("{fast}DEBUG SLEEP 0.02\n{fast}"));
    let log = desk.run(&mut s, "SLOWLOG GET -1");
    assert!(log.starts_with("*1 *6 "), "{log}");
    assert!(log.contains("*3 $5 DEBUG $5 SLEEP $4 0.02 "), "{log}");
}

#[test]
fn a_pipeline_with_threshold_0_is_logged_whole() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    desk.run(
        &mut s,
        "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 1000",
    );
    desk.run(&mut s, "SLOWLOG RESET");
    desk.run(&mut s, &"GET k\n".repeat(40));
    assert_eq!(desk.run(&mut s, "SLOWLOG LEN"), ":41 ");
}

#[test]
fn every_command_of_a_pipeline_is_in_the_histogram() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    desk.run(&mut s, &"GET k\n".repeat(50));
    let text = desk.run(&mut s, "LATENCY HISTOGRAM get");
    assert!(text.starts_with("*2 $3 get *4 $5 calls :50 "), "{text}");
    let info = desk.run(&mut s, "INFO latencystats");
    assert!(info.contains("latency_percentiles_usec_get:p50="), "{info}");
    desk.run(&mut s, "CONFIG RESETSTAT");
    assert_eq!(desk.run(&mut s, "LATENCY HISTOGRAM get"), "*0 ");
}

#[test]
fn the_time_of_a_command_is_its_own() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    desk.run(&mut s, "GET k\nDEBUG SLEEP 0.02\nGET k");
    let usec = |command| desk.server.stats.command_total(command).nanos / 1000;
    let id = |name: &[u8]| crate::registry::Registry::get().find(name).unwrap().id;
    assert!(usec(id(b"debug")) >= 20_000);
    assert!(usec(id(b"get")) < 20_000);
}

#[test]
fn monitors_see_commands_once_and_in_order() {
    let mut desk = Desk::new();
    let (mut watcher, mut a, mut b) = (desk.session(), desk.session(), desk.session());
    assert_eq!(desk.run(&mut watcher, "MONITOR"), "+OK ");
    assert_eq!(desk.run(&mut watcher, "MONITOR"), "");
    desk.run(&mut a, "BLPOP l 0");
    desk.run(
        &mut b,
        "RPUSH l x\nAUTH secret\nCONFIG GET port\nMULTI\nSET k 1\nEXEC",
    );
    let seen = desk.run(&mut watcher, "");
    let lines: Vec<&str> = seen.split("] ").skip(1).collect();
    let names: Vec<String> = lines
        .iter()
        .map(|line| {
            line.split(" +")
                .next()
                .unwrap_or_default()
                .trim()
                .replace('"', "")
        })
        .collect();
    assert_eq!(
        names,
        [
            "BLPOP l 0",
            "RPUSH l x",
            "AUTH (redacted)",
            "MULTI",
            "SET k 1",
            "EXEC"
        ]
    );
    desk.run(&mut watcher, "RESET");
    desk.run(&mut b, "PING");
    assert_eq!(desk.run(&mut watcher, ""), "");
    assert!(!desk.server.observe.monitors.any());
}

#[test]
fn a_monitor_that_does_not_read_is_ended_at_the_limit_of_subscribers() {
    let mut desk = Desk::new();
    let (mut watcher, mut other) = (desk.session(), desk.session());
    desk.server
        .config
        .store(
            crate::config::Param::ClientOutputBufferLimit,
            &[b"pubsub", b"1000", b"0", b"0"],
        )
        .unwrap();
    desk.run(&mut watcher, "MONITOR");
    desk.run(&mut other, &"PING\n".repeat(50));
    assert!(watcher.client.overflowed());
    watcher.close();
    assert!(!desk.server.observe.monitors.any());
}

#[test]
fn logs_of_large_commands_and_replies() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    desk.run(
        &mut s,
        "CONFIG SET commandlog-request-larger-than 61 commandlog-reply-larger-than 41",
    );
    desk.run(
        &mut s,
        "COMMANDLOG RESET large-reply\nCOMMANDLOG RESET large-request",
    );
    let (short, long) = ("x".repeat(33), "x".repeat(34));
    // *3 $3 SET $1 k $33 x: 4 + 9 + 7 + 5 + 35 bytes; its value as a reply: 5 + 35.
    desk.run(&mut s, &format!("SET k {short}\nGET k"));
    assert_eq!(
        desk.run(&mut s, "COMMANDLOG LEN large-request\nCOMMANDLOG LEN large-reply"),
        ":0 :0 "
    );
    desk.run(&mut s, &format!("SET k {long}\nGET k"));
    let log = desk.run(&mut s, "COMMANDLOG GET -1 large-reply");
    assert!(log.contains(":41 *2 $3 GET $1 k "), "{log}");
    let log = desk.run(&mut s, "COMMANDLOG GET -1 large-request");
    assert!(
        log.starts_with("*1 ") && log.contains(":61 *3 $3 SET $1 k "),
        "{log}"
    );
}

#[test]
fn error_kinds_have_a_limit() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    for i in 0..128 {
        desk.run(&mut s, &format!("DEBUG ERROR E{i}"));
    }
    assert!(
        desk.run(&mut s, "INFO errorstats")
            .contains("errorstat_E127:count=1 ")
    );
    desk.run(&mut s, "DEBUG ERROR E128");
    let text = desk.run(&mut s, "INFO errorstats");
    assert!(
        text.ends_with("# Errorstats errorstat_ERRORSTATS_DISABLED:count=1  "),
        "{text}"
    );
    desk.run(&mut s, "CONFIG RESETSTAT\nNOSUCH");
    assert!(
        desk.run(&mut s, "INFO errorstats")
            .contains("errorstat_ERR:count=1")
    );
}

#[test]
fn a_change_of_settings_leaves_earlier_replies_of_its_pipeline() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    assert_eq!(
        desk.run(&mut s, "PING\nCONFIG SET hz 20\nPING"),
        "+PONG +OK +PONG "
    );
}
