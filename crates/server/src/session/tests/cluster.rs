//! A node of a cluster of several nodes, as its clients see it. The others are names in the state: nothing runs there.

use holdfast_cluster::state::{Endpoint, Entry as Change, FailoverKind, Fence, Newcomer};
use holdfast_cluster::{NodeId, ShardId, SlotSet};

use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cluster;
use crate::cluster::testing::{Agreed, EVER};
use crate::config::Param;
use crate::replication::Role;

/// `a` and `{a}x` are in slot 15495, `b` in 3300.
const A: u16 = 15_495;
const B: u16 = 3_300;

struct Node {
    desk: Desk,
    me: NodeId,
    /// It owns slots 0 to 8191.
    other: NodeId,
    /// How often this node will find its lease in force.
    lease: Arc<AtomicU64>,
}

fn name(n: u8) -> NodeId {
    NodeId::from_bytes([n; 20])
}

fn newcomer(n: u8, slots: SlotSet) -> Newcomer {
    Newcomer {
        id: name(n),
        raft_id: u64::from(n),
        endpoint: Endpoint {
            ip: format!("10.0.0.{n}"),
            port: 7000 + u16::from(n),
            tls_port: 8000 + u16::from(n),
            bus_port: 17_000,
            hostname: String::new(),
        },
        shard: ShardId::from_bytes([n; 20]),
        slots,
    }
}

impl Node {
    /// A node with slots 8192 to 16383 in a cluster of two.
    fn new() -> Self {
        let lease = Arc::new(AtomicU64::new(EVER));
        let desk = Desk::with(&["--cluster-enabled", "yes"], |server| {
            let state = holdfast_cluster::state::ClusterState::founded(
                holdfast_cluster::ClusterId::from_bytes([9; 20]),
                newcomer(1, SlotSet::from_ranges([(8192, 16_383)]).expect("a range")),
            );
            let plane = Agreed::new(name(1), state.expect("a first node"), Arc::clone(&lease));
            cluster::adopt(server, Box::new(plane), Arc::default());
        });
        let mut node = Self {
            desk,
            me: name(1),
            other: name(2),
            lease,
        };
        let slots = SlotSet::from_ranges([(0, 8191)]).expect("a range");
        node.agree(Change::NodeJoin(newcomer(2, slots)));
        node
    }

    /// All agree on a change.
    fn agree(&mut self, change: Change) {
        let cluster = self.desk.server.cluster.get().expect("cluster mode");
        let pending = cluster.plane().propose(change);
        let applied = futures_util::FutureExt::now_or_never(pending).expect("no runtime, no wait");
        applied.expect("a valid change");
        cluster::react::to_view(&self.desk.server);
    }

    fn give(&mut self, slot: u16, to: NodeId) {
        self.agree(Change::MoveSlots {
            to,
            slots: SlotSet::from_iter([slot]),
            fences: Vec::new(),
        });
    }

    fn check(&mut self, s: &mut Session, steps: &[(&str, &str)]) {
        for (line, reply) in steps {
            assert_eq!(self.desk.run(s, line), *reply, "{line}");
        }
    }

    /// Runs a command that may wait, again and again until it does not.
    fn run_until_answered(&mut self, s: &mut Session, line: &str) -> String {
        loop {
            let reply = self.desk.run(s, line);
            if !reply.is_empty() {
                return reply;
            }
        }
    }

    fn set(&self, param: Param, value: &str) {
        self.desk
            .server
            .config
            .store(param, &[value.as_bytes()])
            .expect("a valid value");
    }
}

const MOVED_A: &str = "-MOVED 15495 10.0.0.2:7002 ";
const MOVED_B: &str = "-MOVED 3300 10.0.0.2:7002 ";
const ASK_A: &str = "-ASK 15495 10.0.0.2:7002 ";
const CROSS: &str = "-CROSSSLOT Keys in request don't hash to the same slot ";
const TRYAGAIN: &str = "-TRYAGAIN Multiple keys request during rehashing of slot ";
const DOWN: &str = "-CLUSTERDOWN The cluster is down ";
const UNBOUND: &str = "-CLUSTERDOWN Hash slot not served ";

#[test]
fn keys_of_others_are_sent_there() {
    let mut node = Node::new();
    let mut s = node.desk.session();
    node.check(
        &mut s,
        &[
            ("SET a 1", "+OK "),
            ("GET b", MOVED_B),
            ("MGET a {a}x", "*2 $1 1 $-1 "),
            ("MGET a b", CROSS),
            ("MGET b {b}x", MOVED_B),
            ("WATCH b", MOVED_B),
            ("EVAL return(1) 1 b", MOVED_B),
            ("EVAL return(1) 0", ":1 "),
            ("SPUBLISH b m", MOVED_B),
            ("SSUBSCRIBE b", MOVED_B),
            ("PUBLISH b m", ":0 "),
            ("OBJECT ENCODING b", MOVED_B),
            ("MEMORY USAGE b", MOVED_B),
            ("DBSIZE", ":1 "),
            ("BLPOP b 0", MOVED_B),
            ("READONLY", "+OK "),
            ("GET b", MOVED_B),
            ("ASKING\nGET b", "+OK -MOVED 3300 10.0.0.2:7002 "),
        ],
    );
    let stats = &node.desk.server;
    assert_eq!(stats.keyspace.databases(), 1);
}

#[test]
fn clients_are_told_the_address_that_fits_them() {
    let mut node = Node::new();
    let mut s = node.desk.session();
    node.set(Param::ClusterPreferredEndpointType, "hostname");
    node.check(&mut s, &[("GET b", "-MOVED 3300 ?:7002 ")]);
    let mut endpoint = newcomer(2, SlotSet::new()).endpoint;
    endpoint.hostname = "two.example".into();
    node.agree(Change::NodeInfo {
        node: name(2),
        endpoint,
    });
    node.check(&mut s, &[("GET b", "-MOVED 3300 two.example:7002 ")]);
    let slots = node.desk.run(&mut s, "CLUSTER SLOTS");
    assert!(slots.contains("$11 two.example :7002 "), "{slots}");
    assert!(slots.contains("*2 $2 ip $8 10.0.0.2 "), "{slots}");
    s.client.set_flag(flag::TLS, true);
    node.check(&mut s, &[("GET b", "-MOVED 3300 two.example:8002 ")]);
    node.set(Param::ClusterPreferredEndpointType, "unknown-endpoint");
    node.check(&mut s, &[("GET b", "-MOVED 3300 :8002 ")]);
    let slots = node.desk.run(&mut s, "CLUSTER SLOTS");
    assert!(slots.contains("*4 $-1 :8002 "), "{slots}");
}

#[test]
fn a_slot_that_leaves_is_asked_for_where_its_keys_are() {
    let mut node = Node::new();
    let mut s = node.desk.session();
    node.check(&mut s, &[("MSET a 1 {a}y 2", "+OK ")]);
    node.agree(Change::MarkMigrating {
        slot: A,
        to: Some(name(2)),
    });
    node.check(
        &mut s,
        &[
            ("GET a", "$1 1 "),
            ("GET {a}x", ASK_A),
            ("SET {a}x 1", ASK_A),
            ("MGET a {a}x", TRYAGAIN),
            ("MGET {a}z {a}x", ASK_A),
            ("MGET a {a}y", "*2 $1 1 $1 2 "),
            ("EVAL return(redis.call('get',KEYS[1])) 1 a", "$1 1 "),
            ("EVAL return(redis.call('get',KEYS[1])) 1 {a}x", ASK_A),
            (
                "SSUBSCRIBE a\nSUNSUBSCRIBE a",
                "*3 $10 ssubscribe $1 a :1 *3 $12 sunsubscribe $1 a :0 ",
            ),
            ("DEL a", ":1 "),
            ("GET a", ASK_A),
        ],
    );
    let line = format!("[15495->-{}]", node.other);
    assert!(node.desk.run(&mut s, "CLUSTER NODES").contains(&line));
    let script = node.desk.run(&mut s, "EVAL return(redis.call('get','{a}x')) 0");
    assert!(
        script.starts_with("-ERR Script attempted to access a non local key in a cluster node script: "),
        "{script}"
    );
    node.give(A, node.other);
    node.check(&mut s, &[("GET {a}y", MOVED_A)]);
}

#[test]
fn a_slot_that_comes_is_served_to_those_who_ask() {
    let mut node = Node::new();
    let mut s = node.desk.session();
    node.agree(Change::MarkImporting {
        slot: B,
        importer: Some(node.me),
    });
    // Who does not ask is sent away, once it is plain that the slot has not just arrived.
    assert_eq!(node.desk.run(&mut s, "GET b"), "");
    assert_eq!(node.run_until_answered(&mut s, "GET b"), MOVED_B);
    node.check(
        &mut s,
        &[
            ("ASKING\nSET b 1", "+OK +OK "),
            ("ASKING\nGET b", "+OK $1 1 "),
            ("ASKING\nASKING\nGET b", "+OK +OK $1 1 "),
            (
                "ASKING\nMGET b {b}x",
                "+OK -TRYAGAIN Multiple keys request during rehashing of slot ",
            ),
            ("ASKING\nMGET {b}x {b}x", "+OK *2 $-1 $-1 "),
            (
                "ASKING\nMULTI\nSET {b}n 1\nINCR {b}n\nEXEC",
                "+OK +OK +QUEUED +QUEUED *2 +OK :2 ",
            ),
        ],
    );
    assert_eq!(node.run_until_answered(&mut s, "GET b"), MOVED_B);
    let payload = node.desk.run(&mut s, "ASKING\nDUMP b");
    assert!(payload.starts_with("+OK $"), "{payload}");
    let restored = node.desk.run(&mut s, "RESTORE-ASKING {b}r 0 junk");
    assert!(restored.starts_with("-ERR DUMP payload version"), "{restored}");
    let refused = node.run_until_answered(&mut s, "RESTORE {b}r 0 junk");
    assert!(refused.starts_with("-MOVED"), "{refused}");
    let line = format!("[3300-<-{}]", node.other);
    assert!(node.desk.run(&mut s, "CLUSTER NODES").contains(&line));
    node.give(B, node.me);
    node.check(
        &mut s,
        &[("GET b", "$1 1 "), ("CLUSTER SETSLOT 3300 STABLE", "+OK ")],
    );
}

#[test]
fn a_transaction_goes_where_its_keys_are_when_it_runs() {
    let mut node = Node::new();
    let mut s = node.desk.session();
    node.check(
        &mut s,
        &[
            (
                "MULTI\nSET a 1\nSET {a}x 1\nEXEC",
                "+OK +QUEUED +QUEUED *2 +OK +OK ",
            ),
            (
                "MULTI\nGET b\nEXEC",
                "+OK -MOVED 3300 10.0.0.2:7002 -EXECABORT Transaction discarded because of previous errors. ",
            ),
            ("MULTI\nGET a\nSET a 5", "+OK +QUEUED +QUEUED "),
        ],
    );
    node.give(A, node.other);
    node.check(&mut s, &[("EXEC", MOVED_A), ("EXEC", "-ERR EXEC without MULTI ")]);
    node.give(B, node.me);
    node.give(A, node.me);
    node.check(
        &mut s,
        &[
            ("MULTI\nGET a\nGET b", "+OK +QUEUED +QUEUED "),
            ("EXEC", CROSS),
            ("DISCARD", "-ERR DISCARD without MULTI "),
            ("GET a", "$1 1 "),
        ],
    );
}

#[test]
fn a_replica_reads_for_those_who_say_readonly() {
    let mut node = Node::new();
    const MOVED_HERE: &str = "-MOVED 15495 127.0.0.1:1 ";
    let mut s = node.desk.session();
    let endpoint = Endpoint {
        ip: "127.0.0.1".into(),
        port: 1, // nobody is there
        ..newcomer(2, SlotSet::new()).endpoint
    };
    let other = node.other;
    node.agree(Change::NodeInfo {
        node: other,
        endpoint,
    });
    node.agree(Change::MoveSlots {
        to: node.other,
        slots: SlotSet::all(),
        fences: Vec::new(),
    });
    node.agree(Change::SetReplica {
        node: node.me,
        primary: node.other,
    });
    node.check(
        &mut s,
        &[
            ("GET a", MOVED_HERE),
            ("READONLY", "+OK "),
            ("GET a", "$-1 "),
            ("SET a 1", MOVED_HERE),
            ("MULTI\nGET a\nEXEC", "+OK +QUEUED *1 $-1 "),
            (
                "MULTI\nGET a\nSET a 1\nEXEC",
                "+OK +QUEUED -MOVED 15495 127.0.0.1:1 -EXECABORT Transaction discarded because of previous errors. ",
            ),
            ("EVAL_RO return(redis.call('get',KEYS[1])) 1 a", "$-1 "),
            ("SSUBSCRIBE a\nSUNSUBSCRIBE a", "*3 $10 ssubscribe $1 a :1 *3 $12 sunsubscribe $1 a :0 "),
            ("READWRITE", "+OK "),
            ("GET a", MOVED_HERE),
            ("CLUSTER SETSLOT 1 STABLE", "-ERR Please use SETSLOT only with masters. "),
            ("READONLY\nRESET\nGET a", "+OK +RESET -MOVED 15495 127.0.0.1:1 "),
        ],
    );
    let following = Role::Replica {
        host: "127.0.0.1".into(),
        port: 1,
    };
    assert_eq!(node.desk.server.replication.role(), following);
    let info = node.desk.run(&mut s, "CLUSTER NODES");
    let line = format!("{} :0@0 myself,slave {} 0 0 ", node.me, node.other);
    assert!(
        info.contains(&line) || info.contains(&format!("myself,slave {}", node.other)),
        "{info}"
    );
    // Promoted, it serves all.
    let epoch = {
        let view = node.desk.server.cluster.get().expect("cluster mode").view();
        view.my_shard().map_or(0, |shard| shard.epoch)
    };
    node.agree(Change::Failover {
        fence: Fence {
            shard: ShardId::from_bytes([2; 20]),
            epoch,
        },
        to: node.me,
        kind: FailoverKind::Forced,
        life: 0,
    });
    assert_eq!(node.desk.server.replication.role(), Role::Primary);
    node.check(&mut s, &[("SET a 1", "+OK "), ("GET b", "$-1 ")]);
}

#[test]
fn what_is_served_while_slots_lack_an_owner() {
    let mut node = Node::new();
    let mut s = node.desk.session();
    node.check(&mut s, &[("SET a 1", "+OK ")]);
    node.agree(Change::RemoveSlots {
        slots: SlotSet::from_iter([7]),
        node: None,
    });
    node.check(&mut s, &[("GET a", DOWN), ("SPUBLISH a m", ":0 ")]);
    node.set(Param::ClusterAllowPubsubshardWhenDown, "no");
    node.check(&mut s, &[("SPUBLISH a m", DOWN)]);
    node.set(Param::ClusterAllowReadsWhenDown, "yes");
    node.check(
        &mut s,
        &[
            ("GET a", "$1 1 "),
            (
                "SET a 1",
                "-CLUSTERDOWN The cluster is down and only accepts read commands ",
            ),
            ("GET b", MOVED_B),
        ],
    );
    node.set(Param::ClusterRequireFullCoverage, "no");
    node.check(&mut s, &[("SET a 2", "+OK ")]);
    node.agree(Change::RemoveSlots {
        slots: SlotSet::from_iter([A]),
        node: None,
    });
    node.check(&mut s, &[("GET a", UNBOUND)]);
}

#[test]
fn who_waits_for_a_key_follows_it() {
    let mut node = Node::new();
    let (mut s, mut stays) = (node.desk.session(), node.desk.session());
    node.check(&mut s, &[("BLPOP {a}list {a}other 0", "")]);
    node.check(&mut stays, &[("BLPOP {d}list 0", "")]);
    assert_eq!(node.desk.server.blocking.clients(), 2);
    node.give(A, node.other);
    let mut mail = Vec::new();
    s.client.take_mail(&mut mail);
    assert_eq!(String::from_utf8_lossy(&mail), "-MOVED 15495 10.0.0.2:7002\r\n");
    assert_eq!(node.desk.server.blocking.clients(), 1);
    node.agree(Change::RemoveSlots {
        slots: SlotSet::from_iter([7]),
        node: None,
    });
    stays.client.take_mail(&mut mail);
    assert!(String::from_utf8_lossy(&mail).ends_with("-CLUSTERDOWN The cluster is down\r\n"));
    assert_eq!(node.desk.server.blocking.clients(), 0);
}

#[test]
fn subscribers_leave_channels_that_have_left() {
    let mut node = Node::new();
    let mut s = node.desk.session();
    node.check(
        &mut s,
        &[(
            "SSUBSCRIBE a\nSSUBSCRIBE {d}1",
            "*3 $10 ssubscribe $1 a :1 *3 $10 ssubscribe $4 {d}1 :2 ",
        )],
    );
    node.give(A, node.other);
    assert!(s.client.has_flag(flag::LEAVES_SHARDS));
    let told = String::from_utf8(s.leave_foreign_channels()).expect("text");
    assert_eq!(told.replace("\r\n", " "), "*3 $12 sunsubscribe $1 a :1 ");
    node.check(&mut s, &[("SUNSUBSCRIBE", "*3 $12 sunsubscribe $4 {d}1 :0 ")]);
}

#[test]
fn keys_of_a_lost_slot_go_away_and_others_stay() {
    let mut node = Node::new();
    let mut s = node.desk.session();
    for i in 0..200 {
        node.desk.run(&mut s, &format!("SET {{a}}{i} x\nSET {{d}}{i} x"));
    }
    node.give(A, node.other);
    for _ in 0..10 {
        cluster::react::cron(&mut node.desk.w);
    }
    node.check(
        &mut s,
        &[
            ("DBSIZE", ":200 "),
            ("CLUSTER COUNTKEYSINSLOT 15495", ":0 "),
            ("GET {d}7", "$1 x "),
        ],
    );
    assert!(node.desk.log().contains("$3 DEL "), "replicas lose them, too");
    // A slot that has come back meanwhile keeps its keys.
    node.give(A, node.me);
    node.check(&mut s, &[("SET a 1", "+OK ")]);
    cluster::react::cron(&mut node.desk.w);
    node.check(&mut s, &[("GET a", "$1 1 ")]);
}

#[test]
fn the_operator_is_told_what_cannot_be() {
    let mut node = Node::new();
    let mut s = node.desk.session();
    let other = node.other;
    node.agree(Change::NodeJoin(newcomer(3, SlotSet::new())));
    let three = name(3);
    let steps = [
        ("SET b 1".to_owned(), MOVED_B),
        (
            format!("CLUSTER SETSLOT 3300 MIGRATING {three}"),
            "-ERR I'm not the owner of hash slot 3300 ",
        ),
        (
            format!("CLUSTER SETSLOT 15495 IMPORTING {other}"),
            "-ERR I'm already the owner of hash slot 15495 ",
        ),
        ("SET a 1".to_owned(), "+OK "),
        (
            format!("CLUSTER SETSLOT 15495 NODE {other}"),
            "-ERR Can't assign hashslot 15495 to a different node while I still hold keys for this hash slot. ",
        ),
        (
            format!("CLUSTER REPLICATE {other}"),
            "-ERR To set a master the node must be empty and without assigned slots. ",
        ),
        (
            format!("CLUSTER FORGET {other}"),
            "-ERR Node 0202020202020202020202020202020202020202 owns slots: move them away first ",
        ),
        (
            format!("CLUSTER FORGET {}", node.me),
            "-ERR I tried hard but I can't forget myself... ",
        ),
        (format!("CLUSTER FORGET {three}"), "+OK "),
        (format!("CLUSTER FORGET {three}"), "+OK "),
        (
            "CLUSTER FORGET 0404040404040404040404040404040404040404".to_owned(),
            "-ERR Unknown node 0404040404040404040404040404040404040404 ",
        ),
        (
            "CLUSTER ADDSLOTS 3300".to_owned(),
            "-ERR Slot 3300 is already busy ",
        ),
        (format!("CLUSTER SETSLOT 15495 MIGRATING {other}"), "+OK "),
        (
            format!("CLUSTER SETSLOT 15495 MIGRATING {}", node.me),
            "-ERR Source and target are the same node ",
        ),
        ("CLUSTER SETSLOT 15495 STABLE".to_owned(), "+OK "),
        ("DEL a".to_owned(), ":1 "),
        (format!("CLUSTER SETSLOT 15495 NODE {other}"), "+OK "),
        (format!("CLUSTER SETSLOT 15495 NODE {other}"), "+OK "),
        ("GET a".to_owned(), MOVED_A),
    ];
    for (line, reply) in &steps {
        assert_eq!(node.desk.run(&mut s, line), *reply, "{line}");
    }
}

const LATE: &str = "-ERR The lease of this node ended while the command ran. Whether it counts is not known ";

/// The lease ends after each number of looks at it, until the command finds it in force to its end. What is answered as
/// done was done under the lease, and what was not done is told so.
#[test]
fn nothing_is_acknowledged_when_the_lease_is_over() {
    let commands = [
        ("SET a new", "+OK "),
        ("APPEND a new", ":3 "),
        ("MULTI\nSET a new\nEXEC", "+OK +QUEUED *1 +OK "),
        ("EVAL return(redis.call('set',KEYS[1],'new')) 1 a", "+OK "),
        ("EVAL return(redis.call('set','a','new')) 0", "+OK "),
    ];
    for (line, done) in commands {
        let (mut late, mut refused) = (0, 0);
        for looks in 0..100 {
            let mut node = Node::new();
            let mut s = node.desk.session();
            node.lease.store(looks, Ordering::SeqCst);
            let reply = node.desk.run(&mut s, line);
            let is_over = node.lease.load(Ordering::SeqCst) == 0;
            node.lease.store(EVER, Ordering::SeqCst);
            // One that waits is told nothing, and stays as it is.
            let mut other = node.desk.session();
            let value = node.desk.run(&mut other, "GET a");
            if reply == done {
                assert_eq!(value, "$3 new ", "{line} after {looks}");
                if !is_over {
                    break;
                }
            } else if reply.ends_with(LATE) {
                late += 1;
                assert_eq!(value, "$3 new ", "{line} after {looks}");
            } else {
                refused += 1;
                assert_eq!(value, "$-1 ", "{line} after {looks}: {reply}");
            }
            assert!(looks < 99, "{line} never finds its lease in force: {reply}");
        }
        assert!(late > 0 && refused > 1, "{line}: {late} late, {refused} refused");
    }
}

#[test]
fn reads_end_with_the_lease_unless_they_are_allowed() {
    let mut node = Node::new();
    let mut s = node.desk.session();
    node.check(&mut s, &[("SET a 1", "+OK ")]);
    for looks in 0..3 {
        node.lease.store(looks, Ordering::SeqCst);
        let reply = node.desk.run(&mut s, "GET a");
        // Before it has run, it may wait for a lease.
        assert!(
            reply == DOWN || (reply.is_empty() && looks < 2),
            "{looks}: {reply}"
        );
    }
    node.set(Param::ClusterAllowReadsWhenDown, "yes");
    for looks in 0..3 {
        node.lease.store(looks, Ordering::SeqCst);
        node.check(&mut s, &[("GET a", "$1 1 ")]);
    }
}

#[test]
fn who_waits_is_served_under_the_lease_only() {
    let mut replies = Vec::new();
    for looks in 0..100 {
        let mut node = Node::new();
        let (mut waits, mut pushes) = (node.desk.session(), node.desk.session());
        node.check(&mut waits, &[("BLPOP a 0", "")]);
        node.lease.store(looks, Ordering::SeqCst);
        let pushed = node.desk.run(&mut pushes, "RPUSH a 1");
        let is_over = node.lease.load(Ordering::SeqCst) == 0;
        node.lease.store(EVER, Ordering::SeqCst);
        let mut mail = Vec::new();
        waits.client.take_mail(&mut mail);
        let mail = String::from_utf8_lossy(&mail).replace("\r\n", " ");
        let kept = node.desk.run(&mut pushes, "LLEN a");
        match &mail[..] {
            "" => assert_ne!(pushed, ":1 ", "nobody was served after {looks}"),
            DOWN => {
                assert!([":1 ", LATE].contains(&&pushed[..]), "{pushed} after {looks}");
                assert_eq!(kept, ":1 ", "after {looks}");
            }
            LATE => assert_eq!((&pushed[..], &kept[..]), (":1 ", ":0 "), "after {looks}"),
            _ => assert_eq!(
                (&mail[..], &kept[..]),
                ("*2 $1 a $1 1 ", ":0 "),
                "after {looks}, {pushed}"
            ),
        }
        let served = mail.starts_with('*');
        replies.push(mail);
        if served && !is_over {
            break;
        }
    }
    for expected in ["", DOWN, LATE, "*2 $1 a $1 1 "] {
        assert!(
            replies.iter().any(|mail| mail == expected),
            "{expected}: {replies:?}"
        );
    }
}

#[test]
fn who_begins_to_wait_while_the_lease_ends_is_answered_once() {
    let mut served = 0;
    for looks in 0..10 {
        let mut node = Node::new();
        let (mut waits, mut pushes) = (node.desk.session(), node.desk.session());
        node.lease.store(looks, Ordering::SeqCst);
        let first = node.desk.run(&mut waits, "BLPOP a 0");
        node.lease.store(EVER, Ordering::SeqCst);
        node.desk.run(&mut pushes, "RPUSH a 1");
        let mut mail = Vec::new();
        waits.client.take_mail(&mut mail);
        let mail = String::from_utf8_lossy(&mail).replace("\r\n", " ");
        assert!(
            first.is_empty() || mail.is_empty(),
            "after {looks}: {first:?}, then {mail:?}"
        );
        served += usize::from(!mail.is_empty());
    }
    assert!(served > 0, "nobody waited");
}

#[test]
fn the_order_to_drop_a_lost_shards_data_ends_when_the_node_is_a_replica_again() {
    let mut node = Node::new();
    let mut session = node.desk.session();
    let other = node.other;
    node.agree(Change::MoveSlots {
        to: other,
        slots: SlotSet::from_ranges([(8192, 16_383)]).expect("a range"),
        fences: Vec::new(),
    });
    node.agree(Change::SetReplica {
        node: node.me,
        primary: other,
    });
    let cluster = |node: &Node| node.desk.server.cluster.get().expect("a cluster").view();
    {
        let plane = node.desk.server.cluster.get().expect("a cluster").plane();
        let reset = futures_util::FutureExt::now_or_never(plane.reset(false));
        reset.expect("at once").expect("it is");
        cluster::react::to_view(&node.desk.server);
    }
    // It is back before its data are dropped.
    node.agree(Change::NodeJoin(newcomer(3, SlotSet::all())));
    let me = cluster(&node).me;
    node.agree(Change::SetReplica {
        node: me,
        primary: name(3),
    });
    cluster::react::cron(&mut node.desk.w);
    let view = cluster(&node);
    let shard = view.my_shard().expect("it has one").clone();
    let fence = Fence {
        shard: shard.id,
        epoch: shard.epoch,
    };
    node.agree(Change::Failover {
        fence,
        to: me,
        kind: FailoverKind::Forced,
        life: 0,
    });
    node.desk.run(&mut session, "SET a 1\nSET b 1");
    cluster::react::cron(&mut node.desk.w);
    assert_eq!(node.desk.run(&mut session, "DBSIZE"), ":2 ");
}
