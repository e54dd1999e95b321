//! Client-side caching between sessions.

use super::*;

const K: &str = ">2 $10 invalidate *1 $1 k ";

/// A reader that tracks in RESP3 and a writer.
fn pair(desk: &mut Desk, how: &str) -> (Session, Session) {
    let (mut reader, writer) = (desk.session(), desk.session());
    desk.run(
        &mut reader,
        format!("HELLO 3\nCLIENT TRACKING on {how}").trim_end(),
    );
    (reader, writer)
}

#[test]
fn another_client_gets_the_messages_until_it_is_gone() {
    let mut desk = Desk::new();
    let (mut reader, mut writer) = (desk.session(), desk.session());
    let mut target = desk.session();
    let id = target.client.id;
    desk.run(&mut target, "SUBSCRIBE __redis__:invalidate");
    let on = format!("HELLO 3\nCLIENT TRACKING on REDIRECT {id} REDIRECT {id}");
    assert!(
        desk.run(&mut reader, &on)
            .ends_with("-ERR A client can only redirect to a single other client ")
    );
    desk.run(&mut reader, &format!("CLIENT TRACKING on REDIRECT {id}\nGET k"));
    assert_eq!(desk.run(&mut reader, "CLIENT GETREDIR"), format!(":{id} "));
    desk.run(&mut writer, "SET k 1");
    assert_eq!(
        desk.run(&mut target, "PING"),
        "*2 $4 pong $0  *3 $7 message $20 __redis__:invalidate *1 $1 k "
    );
    desk.run(&mut writer, "FLUSHALL");
    assert!(
        desk.run(&mut target, "PING")
            .ends_with("$20 __redis__:invalidate $-1 ")
    );
    let list = desk.run(&mut writer, "CLIENT LIST");
    assert!(
        list.contains(" flags=t ") && list.contains(&format!(" redir={id} ")),
        "{list}"
    );
    // A target that is not subscribed to anything cannot be told in RESP2.
    desk.run(&mut reader, "GET k");
    desk.run(&mut target, "UNSUBSCRIBE");
    desk.run(&mut writer, "SET k 2");
    assert_eq!(desk.run(&mut target, "PING"), "+PONG ");
    desk.run(&mut reader, "GET k");
    target.close();
    desk.run(&mut writer, "SET k 3");
    assert_eq!(
        desk.run(&mut reader, "PING"),
        format!("+PONG >2 $21 tracking-redir-broken :{id} ")
    );
    assert!(
        desk.run(&mut reader, "CLIENT TRACKINGINFO")
            .contains("$15 broken_redirect")
    );
    assert!(desk.run(&mut writer, "CLIENT LIST").contains(" flags=tR "));
    desk.run(&mut reader, "CLIENT TRACKING on");
    assert!(
        desk.run(&mut reader, "CLIENT TRACKINGINFO")
            .contains("~1 $2 on $8 redirect :0 ")
    );
}

#[test]
fn keys_that_go_away_by_themselves_are_told() {
    let mut desk = Desk::new();
    let (mut reader, mut writer) = pair(&mut desk, "");
    desk.run(&mut writer, "SET k v PX 10");
    desk.run(&mut reader, "GET k");
    desk.ahead_ms = 1_000;
    desk.run(&mut writer, "EXISTS k");
    assert_eq!(desk.run(&mut reader, ""), K);
    desk.run(&mut writer, "SET k v");
    desk.run(&mut reader, "GET k");
    desk.w.policy = Policy::AllKeysLru;
    assert!(execute::evict(&mut desk.w, 0, b"k"));
    assert_eq!(desk.run(&mut reader, ""), K);
    // Who finds out itself is told behind the reply, and what it has been told now is remembered.
    desk.run(&mut reader, "SET k v PX 10\nGET k");
    desk.ahead_ms = 2_000;
    assert_eq!(desk.run(&mut reader, "GET k"), format!("_ {K}"));
    desk.run(&mut writer, "SET k v");
    assert_eq!(desk.run(&mut reader, ""), K);
}

#[test]
fn an_eviction_is_nobodys_own_change() {
    let mut desk = Desk::new();
    let (mut reader, _) = pair(&mut desk, "NOLOOP");
    desk.run(&mut reader, "SET k v\nGET k");
    desk.w.policy = Policy::AllKeysLru;
    assert!(execute::evict(&mut desk.w, 0, b"k"));
    assert_eq!(desk.run(&mut reader, ""), K);
}

#[test]
fn databases_that_change_places_are_told_as_one_change_of_everything() {
    let mut desk = Desk::new();
    let (mut reader, mut writer) = pair(&mut desk, "");
    desk.run(&mut reader, "GET k");
    desk.run(&mut writer, "SWAPDB 0 0");
    assert_eq!(desk.run(&mut reader, ""), "");
    desk.run(&mut writer, "SWAPDB 0 1");
    assert_eq!(desk.run(&mut reader, ""), ">2 $10 invalidate _ ");
    desk.run(&mut writer, "SET k 1");
    assert_eq!(desk.run(&mut reader, ""), "", "it knows nothing any more");
}

#[test]
fn what_is_read_in_a_transaction_behind_a_change_of_it_is_remembered() {
    let mut desk = Desk::new();
    let (mut reader, mut writer) = pair(&mut desk, "");
    desk.run(&mut reader, "MULTI\nSET k 1\nGET k\nFLUSHALL\nGET k\nEXEC");
    desk.run(&mut writer, "SET k 1");
    assert!(desk.run(&mut reader, "").ends_with(K));
    desk.run(&mut reader, "CLIENT TRACKING off");
    desk.run(&mut reader, "MULTI\nCLIENT TRACKING on\nGET k\nEXEC");
    desk.run(&mut writer, "SET k 1");
    assert_eq!(desk.run(&mut reader, ""), K);
}

#[test]
fn what_a_script_reads_is_remembered_for_its_client() {
    let mut desk = Desk::new();
    let (mut reader, mut writer) = pair(&mut desk, "");
    let eval =
        "EVAL return{redis.call('get',KEYS[1]),redis.call('set','other',1),redis.call('get','k')} 1 declared";
    assert_eq!(desk.run(&mut reader, eval), "*3 _ +OK _ ");
    desk.run(&mut writer, "SET k 1");
    assert_eq!(desk.run(&mut reader, ""), K);
    desk.run(
        &mut writer,
        "EVAL redis.call('set',KEYS[1],1)redis.call('set','other',2) 1 declared",
    );
    let mail = desk.run(&mut reader, "");
    assert!(mail.contains("$8 declared") && !mail.contains("other"), "{mail}");
}

#[test]
fn a_message_does_not_overtake_the_reply_of_a_transaction_that_unsubscribes() {
    let mut desk = Desk::new();
    let (mut reader, mut writer) = pair(&mut desk, "");
    desk.run(&mut reader, "SUBSCRIBE c\nMULTI\nGET k\nUNSUBSCRIBE c");
    let mut input = Vec::new();
    encode_command(&mut input, &[b"EXEC"]);
    // The writer comes in between the execution and the sending of its reply.
    desk.w.begin_batch();
    let _flow = reader.process(&mut &input[..], &mut desk.w, usize::MAX);
    let reply = String::from_utf8_lossy(&desk.w.reply.take()).replace("\r\n", " ");
    desk.w.end_batch();
    desk.run(&mut writer, "SET k 1");
    assert!(reply.starts_with("*2 _ >3 "), "{reply}");
    assert_eq!(desk.run(&mut reader, ""), K);
}

#[test]
fn a_connection_that_ends_leaves_nothing_but_forgotten_ids() {
    let mut desk = Desk::new();
    let (mut reader, mut writer) = pair(&mut desk, "BCAST PREFIX a PREFIX b");
    let (mut other, _) = pair(&mut desk, "");
    desk.run(&mut other, "GET k");
    let stats = desk.run(&mut writer, "INFO stats");
    for field in [
        "tracking_total_keys:1",
        "tracking_total_items:1",
        "tracking_total_prefixes:2",
    ] {
        assert!(stats.contains(field), "{field}: {stats}");
    }
    assert!(
        desk.run(&mut writer, "INFO clients")
            .contains("tracking_clients:2")
    );
    reader.close();
    other.close();
    assert!(!desk.server.tracking.is_used());
    desk.run(&mut writer, "SET k 1\nSET a1 1");
    assert_eq!(desk.server.tracking.figures().prefixes, 0);
}

#[test]
fn while_nobody_tracks_nothing_is_noted() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    desk.run(&mut s, "SET k 1\nMSET a 1 b 2\nFLUSHALL");
    assert!(!desk.w.effects.want_touched && desk.w.effects.touched.capacity() == 0);
    assert!(!desk.w.effects.flushed);
}
