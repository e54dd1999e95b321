//! Holdfast as a replica: of a real `redis-server`, of itself, and in chains of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use holdfast_tests::ask::{digest, info, number};
use holdfast_tests::client::Client;
use holdfast_tests::datasets;
use holdfast_tests::replication::{assert_same, cut_link, follow, wait_for_link, wait_for_sync};
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;

fn redis() -> Result<Server> {
    redis_with(Options::new())
}

fn redis_with(options: Options) -> Result<Server> {
    let options = options
        .directive("repl-diskless-sync-delay", "0")
        .directive("repl-ping-replica-period", "1");
    Server::start(Role::Oracle, &options)
}

fn fill(server: &Server) -> Result<()> {
    let mut client = server.connect()?;
    datasets::fill(&mut client)?;
    datasets::load_library(&mut client)?;
    for line in [
        "SELECT 7",
        "SET elsewhere 1 PXAT 9999999999998",
        "RPUSH list a b c",
    ] {
        client.command(line)?;
    }
    Ok(())
}

/// What a primary's stream may hold: each kind of command, transactions, scripts, expiry, whole databases.
fn write_a_bit_of_everything(client: &mut Client, round: usize) -> Result<()> {
    let lines = [
        "SELECT 0".to_owned(),
        format!("SET s{round} value{round}"),
        format!("APPEND s{} more", round / 2),
        format!("SETRANGE s{} 70 x", round / 3),
        "INCR counter".into(),
        "INCRBYFLOAT float 0.1".into(),
        format!("SETEX short{round} 100 v"),
        format!("SET gone{round} v PX 1"),
        format!("GETEX s{round} EX 1000"),
        format!("PERSIST s{round}"),
        format!("RPUSH l{} a b c d", round % 7),
        format!("LPOP l{} 2", round % 5),
        format!("LMOVE l{} l{} LEFT RIGHT", round % 3, round % 7),
        format!("SADD set{} {round} member", round % 7),
        format!("SPOP set{} 1", round % 7),
        format!("ZADD z{} {round} m{round} 1 n", round % 7),
        format!("ZPOPMIN z{}", round % 3),
        format!("HSET h{} f{round} v g w", round % 7),
        format!("HINCRBY h{} n 3", round % 7),
        format!("XADD x{} * f v g {round}", round % 3),
        format!("XADD x{} MAXLEN ~ 10 * f v", round % 3),
        format!("SETBIT bits {round} 1"),
        format!("PFADD hll {round}"),
        "PFCOUNT hll".into(),
        format!("GEOADD geo 13.{round} 38.1 p{round}"),
        format!("COPY s{round} copy{round} REPLACE"),
        format!("RENAME copy{round} named{}", round % 4),
        format!("DEL s{}", round / 2 + 1),
        "SELECT 3".into(),
        format!("SET other{round} in3"),
        format!("MOVE other{round} 4"),
        "MULTI".into(),
        format!("SET a{round} 1"),
        "SELECT 0".into(),
        format!("INCRBY counter {round}"),
        "EXEC".into(),
        format!(
            "EVAL 'redis.call(\"SET\", KEYS[1], ARGV[1]); redis.call(\"INCR\", KEYS[2]); return redis.call(\"TIME\")' 2 script{round} counter {round}"
        ),
        "PUBLISH channel message".into(),
    ];
    for line in lines {
        let reply = client.command(&line)?;
        // Another writer may have taken it away.
        let gone = line.starts_with("RENAME") && reply.is_error();
        ensure!(!reply.is_error() || gone, "{line}: {reply:?}");
    }
    if round % 50 == 30 {
        client.command("SWAPDB 0 4")?;
    }
    if round % 100 == 99 {
        client.command("FLUSHDB")?;
    }
    Ok(())
}

#[test]
fn everything_of_redis_comes_over_and_the_stream_after_it() -> Result<()> {
    for (diskless, sync) in [("yes", "EOF"), ("no", "bytes from master")] {
        let primary = redis_with(Options::new().directive("repl-diskless-sync", diskless))?;
        fill(&primary)?;
        let replica = Server::subject()?;
        replica.connect()?.command("SET old data")?;
        follow(&replica, primary.address())?;
        assert_same(&primary, &replica)?;
        assert!(replica.log().contains(sync), "{}", replica.log());
        assert_eq!(
            replica.connect()?.command("FUNCTION LIST")?,
            primary.connect()?.command("FUNCTION LIST")?
        );
        let mut client = primary.connect()?;
        for round in 0..120 {
            write_a_bit_of_everything(&mut client, round)?;
        }
        client.call(&["SET", "big", &"x".repeat(5 << 20)])?;
        client.call(&["APPEND", "big", &"y".repeat(3 << 20)])?;
        assert_same(&primary, &replica)?;
        client.command("FLUSHALL")?;
        client.command("SET last 1")?;
        assert_same(&primary, &replica)?;
    }
    Ok(())
}

#[test]
fn links_that_are_cut_under_load_are_mended_with_what_is_missing() -> Result<()> {
    let primary = redis_with(Options::new().directive("repl-backlog-size", "1gb"))?;
    fill(&primary)?;
    let replica = Server::subject()?;
    follow(&replica, primary.address())?;
    wait_for_link(&replica)?;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|n| {
            let (stop, mut client) = (Arc::clone(&stop), primary.connect()?);
            Ok(std::thread::spawn(move || -> Result<()> {
                let mut round = n;
                while !stop.load(Ordering::Relaxed) {
                    write_a_bit_of_everything(&mut client, round)?;
                    round += 3;
                    if round % 60 < 3 {
                        // A build for tests is slower than redis-server: it must not fall behind by the whole backlog.
                        client.command("WAIT 1 100")?;
                    }
                }
                Ok(())
            }))
        })
        .collect::<Result<_>>()?;
    let mut client = primary.connect()?;
    for n in 1..=20 {
        wait_until("there is a link to cut", || cut_link(&replica))?;
        wait_until("it is mended", || {
            Ok(number(&mut client, "stats", "sync_partial_ok")? >= n)
        })
        .with_context(|| {
            format!(
                "cut {n}; replica:\n{}\nprimary:\n{}",
                replica.log(),
                primary.log()
            )
        })?;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().expect("a writer's mistake")?;
    }
    assert_same(&primary, &replica)?;
    assert_eq!(info(&mut client, "stats", "sync_full")?, "1");
    Ok(())
}

#[test]
fn the_primary_decides_what_expires() -> Result<()> {
    let primary = redis()?;
    let replica = Server::subject()?;
    follow(&replica, primary.address())?;
    wait_for_link(&replica)?;
    let (mut p, mut r) = (primary.connect()?, replica.connect()?);
    p.command("DEBUG SET-ACTIVE-EXPIRE 0")?;
    p.command("SET short v PX 5")?;
    p.command("SET long v EX 1000")?;
    wait_for_sync(&primary, &replica)?;
    // It is over, but the primary has not said so: hidden, and still there.
    wait_until("the time is over", || {
        Ok(r.command("GET short")? == Reply::NullBulk)
    })?;
    assert_eq!(r.command("EXISTS short")?, Reply::Integer(0));
    assert_eq!(r.command("DBSIZE")?, Reply::Integer(2));
    assert_eq!(info(&mut r, "stats", "expired_keys")?, "0");
    // The primary notices, and its DEL arrives.
    p.command("GET short")?;
    wait_until(
        "the key is gone",
        || Ok(r.command("DBSIZE")? == Reply::Integer(1)),
    )?;
    p.command("DEBUG SET-ACTIVE-EXPIRE 1")?;
    assert_same(&primary, &replica)?;
    // What is promoted expires by itself.
    p.command("DEBUG SET-ACTIVE-EXPIRE 0")?;
    p.command("SET short v PX 5")?;
    wait_for_sync(&primary, &replica)?;
    r.command("REPLICAOF NO ONE")?;
    wait_until("it has expired", || Ok(r.command("DBSIZE")? == Reply::Integer(1)))?;
    Ok(())
}

#[test]
fn eviction_is_the_primarys_business() -> Result<()> {
    let primary = redis_with(Options::new().directive("maxmemory-policy", "allkeys-random"))?;
    let replica = Server::start(Role::Subject, &Options::new().directive("maxmemory", "1"))?;
    let mut client = primary.connect()?;
    for i in 0..3000 {
        client.call(&["SET", &format!("k{i}"), &"v".repeat(500)])?;
    }
    follow(&replica, primary.address())?;
    assert_same(&primary, &replica)?;
    assert!(!client.command("CONFIG SET maxmemory 2mb")?.is_error());
    for i in 0..500 {
        client.call(&["SET", &format!("n{i}"), &"v".repeat(500)])?;
    }
    assert_ne!(info(&mut client, "stats", "evicted_keys")?, "0");
    assert_same(&primary, &replica)?;
    assert_eq!(info(&mut replica.connect()?, "stats", "evicted_keys")?, "0");
    Ok(())
}

#[test]
fn clients_of_a_replica_read_and_do_not_write() -> Result<()> {
    let primary = redis()?;
    let replica = Server::subject()?;
    let mut r = replica.connect()?;
    let mut waiting = replica.connect()?;
    waiting.send(&["BLPOP", "nothing", "0"])?;
    wait_until("somebody waits", || {
        Ok(info(&mut r, "clients", "blocked_clients")? == "1")
    })?;
    follow(&replica, primary.address())?;
    let unblocked = waiting.receive()?.lines().join(" ");
    assert!(unblocked.contains("UNBLOCKED force unblock"), "{unblocked}");
    wait_for_link(&replica)?;
    const READONLY: &str = "-READONLY You can't write against a read only replica.";
    for line in [
        "SET a b",
        "DEL a",
        "BLPOP a 1",
        "GETDEL a",
        "FLUSHALL",
        "SORT a STORE b",
    ] {
        assert_eq!(r.command(line)?.lines().join(" "), READONLY, "{line}");
    }
    r.command("MULTI")?;
    assert_eq!(r.command("SET a b")?.lines().join(" "), READONLY);
    assert!(r.command("EXEC")?.lines().join(" ").starts_with("-EXECABORT"));
    let script = r
        .command("EVAL 'return redis.call(\"SET\", KEYS[1], 1)' 1 k")?
        .lines()
        .join(" ");
    assert!(script.starts_with(READONLY), "{script}");
    let ours = [
        r.command("EVAL '#!lua\nreturn 1' 0")?.lines().join(" "),
        r.command("EVAL '#!lua flags=no-writes\nreturn 1' 0")?
            .lines()
            .join(" "),
        r.command("PFCOUNT a")?.lines().join(" "),
        r.command("PUBLISH a b")?.lines().join(" "),
    ];
    assert_eq!(ours, [READONLY, ":1", ":0", ":0"]);

    // A transaction that was begun before the change of the role.
    let other = Server::subject()?;
    let mut o = other.connect()?;
    o.command("MULTI")?;
    o.command("SET a b")?;
    follow(&other, primary.address())?;
    let refused = o.command("EXEC")?.lines().join(" ");
    assert!(
        refused.starts_with("-EXECABORT") && refused.contains("READONLY"),
        "{refused}"
    );

    // The role, as tools ask for it.
    let role = r.command("ROLE")?.lines().join(" ");
    assert!(role.contains("slave") && role.contains("connected"), "{role}");
    assert!(r.command("HELLO")?.lines().join(" ").contains("replica"));
    assert!(
        r.command("CLIENT LIST TYPE master")?
            .lines()
            .join(" ")
            .contains("flags=M")
    );
    assert_eq!(
        r.command(&format!("REPLICAOF 127.0.0.1 {}", primary.address().port()))?,
        Reply::Simple(b"OK Already connected to specified master".to_vec())
    );
    for bad in ["REPLICAOF a b", "REPLICAOF a 65536", "REPLICAOF a -1"] {
        assert_eq!(r.command(bad)?.lines().join(" "), "-ERR Invalid master port");
    }
    Ok(())
}

#[test]
fn a_writable_replica_keeps_its_writes_to_itself() -> Result<()> {
    let primary = redis()?;
    let replica = Server::start(
        Role::Subject,
        &Options::new().directive("replica-read-only", "no"),
    )?;
    follow(&replica, primary.address())?;
    wait_for_link(&replica)?;
    let (mut p, mut r) = (primary.connect()?, replica.connect()?);
    p.command("SET theirs 1")?;
    wait_for_sync(&primary, &replica)?;
    let before = info(&mut r, "replication", "slave_repl_offset")?;
    assert_eq!(r.command("SET ours 1")?, Reply::ok());
    r.command("MULTI")?;
    r.command("INCR ours")?;
    assert!(!r.command("EXEC")?.is_error());
    assert!(
        !r.command("EVAL 'return redis.call(\"INCR\", KEYS[1])' 1 ours")?
            .is_error()
    );
    r.command("SET soon 1 PX 1")?;
    p.command("SET theirs 2")?;
    wait_for_sync(&primary, &replica)?;
    assert_ne!(info(&mut r, "replication", "slave_repl_offset")?, before);
    let both = vec![Reply::Bulk(b"3".to_vec()), Reply::Bulk(b"2".to_vec())];
    assert_eq!(r.command("MGET ours theirs")?, Reply::Array(both));
    assert_eq!(p.command("EXISTS ours")?, Reply::Integer(0));
    Ok(())
}

#[test]
fn a_replica_without_link_may_be_told_to_be_silent() -> Result<()> {
    let options = Options::new().directive("replica-serve-stale-data", "no");
    let replica = Server::start(Role::Subject, &options)?;
    let oracle = Server::start(Role::Oracle, &options)?;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    for server in [&replica, &oracle] {
        server.connect()?.command("SET a b")?;
        follow(server, nobody)?;
    }
    let lines = [
        "GET a",
        "PING",
        "SET a c",
        "EVAL 'return 1' 0",
        "EVAL '#!lua flags=no-writes\nreturn 1' 0",
        "EVAL '#!lua flags=no-writes,allow-stale\nreturn 7' 0",
        "PUBLISH a b",
        "CONFIG GET replica-serve-stale-data",
        "MULTI",
        "GET a",
        "EXEC",
        "CONFIG SET replica-serve-stale-data yes",
        "GET a",
    ];
    let (mut r, mut o) = (replica.connect()?, oracle.connect()?);
    for line in lines {
        assert_eq!(r.command(line)?, o.command(line)?, "{line}");
    }
    Ok(())
}

/// Those who have followed the same primary come to the new one, and go on from its backlog.
#[test]
fn the_backlog_of_who_is_promoted_is_kept_for_its_time() -> Result<()> {
    for role in [Role::Subject, Role::Oracle] {
        let (primary, replica) = (redis()?, Server::start(role, &Options::new())?);
        let mut client = replica.connect()?;
        client.command("CONFIG SET repl-backlog-ttl 3")?;
        follow(&replica, primary.address())?;
        wait_for_link(&replica)?;
        let begin = Instant::now();
        client.command("REPLICAOF NO ONE")?;
        wait_until("the backlog is freed", || {
            Ok(info(&mut client, "replication", "repl_backlog_active")? == "0")
        })?;
        // Redis counts whole seconds.
        let kept = begin.elapsed();
        ensure!(kept >= Duration::from_secs(2), "{role:?} kept it for {kept:?}");
    }
    Ok(())
}

#[test]
fn the_log_tells_of_a_link_as_that_of_redis_does() -> Result<()> {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    for role in [Role::Subject, Role::Oracle] {
        let (primary, replica) = (redis()?, Server::start(role, &Options::new())?);
        let says = |lines: &[&str]| {
            wait_until("the log says so", || {
                Ok(lines.iter().all(|line| replica.log().contains(line)))
            })
            .with_context(|| replica.log())
        };
        follow(&replica, nobody)?;
        says(&["Error condition on socket for SYNC: Connection refused"])?;
        follow(&replica, primary.address())?;
        wait_for_link(&replica)?;
        primary.kill()?;
        says(&[
            "Connection with master lost.",
            "Caching the disconnected master state.",
        ])?;
    }
    Ok(())
}

#[test]
fn a_promoted_replica_goes_on_and_others_go_on_with_it() -> Result<()> {
    let primary = redis()?;
    fill(&primary)?;
    let (first, second) = (Server::subject()?, redis()?);
    follow(&first, primary.address())?;
    wait_for_link(&first)?;
    follow(&second, primary.address())?;
    wait_for_link(&second)?;
    let mut client = primary.connect()?;
    (0..30).try_for_each(|round| write_a_bit_of_everything(&mut client, round))?;
    assert_same(&primary, &first)?;
    assert_same(&primary, &second)?;
    let mut f = first.connect()?;
    let id = info(&mut f, "replication", "master_replid")?;
    assert_eq!(f.command("REPLICAOF NO ONE")?, Reply::ok());
    assert_eq!(info(&mut f, "replication", "role")?, "master");
    assert_eq!(info(&mut f, "replication", "master_replid2")?, id);
    assert_ne!(info(&mut f, "replication", "master_replid")?, id);
    (30..40).try_for_each(|round| write_a_bit_of_everything(&mut f, round))?;
    Ok(())
}

#[test]
fn configuration_tells_whom_the_server_follows() -> Result<()> {
    let primary = redis()?;
    let dir = tempfile_dir()?;
    let file = dir.join("holdfast.conf");
    std::fs::write(
        &file,
        format!(
            "replicaof 127.0.0.1 {}\nreplica-priority 7\n",
            primary.address().port()
        ),
    )?;
    let replica = Server::start(Role::Subject, &Options::new().config(&file))?;
    assert_same(&primary, &replica)?;
    let mut r = replica.connect()?;
    assert_eq!(info(&mut r, "replication", "slave_priority")?, "7");
    r.command("REPLICAOF NO ONE")?;
    assert_eq!(r.command("CONFIG REWRITE")?, Reply::ok());
    assert!(!std::fs::read_to_string(&file)?.contains("replicaof 127"));
    follow(&replica, primary.address())?;
    assert_eq!(r.command("CONFIG REWRITE")?, Reply::ok());
    let text = std::fs::read_to_string(&file)?;
    ensure!(
        text.contains(&format!("replicaof 127.0.0.1 {}", primary.address().port())),
        "{text}"
    );
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn tempfile_dir() -> Result<std::path::PathBuf> {
    let dir = std::env::temp_dir().join(format!("holdfast-replica-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

#[test]
fn passwords_are_given() -> Result<()> {
    let primary = redis_with(Options::new().directive("requirepass", "secret"))?;
    let mut p = primary.connect()?;
    p.command("AUTH secret")?;
    p.command("SET a b")?;
    p.command("ACL SETUSER copier on >pass +psync +replconf +ping")?;
    let replica = Server::subject()?;
    let mut r = replica.connect()?;
    follow(&replica, primary.address())?;
    wait_until("it is refused", || Ok(replica.log().contains("NOAUTH"))).with_context(|| replica.log())?;
    r.command("CONFIG SET masterauth wrong")?;
    wait_until("it is refused", || {
        Ok(replica.log().contains("Unable to AUTH to MASTER"))
    })?;
    r.command("CONFIG SET masterauth secret")?;
    wait_for_link(&replica)?;
    assert_eq!(r.command("GET a")?, Reply::Bulk(b"b".to_vec()));
    r.command("REPLICAOF NO ONE")?;
    for line in ["CONFIG SET masteruser copier", "CONFIG SET masterauth pass"] {
        r.command(line)?;
    }
    follow(&replica, primary.address())?;
    wait_for_link(&replica)?;
    Ok(())
}

#[test]
fn wait_counts_us_and_watchers_hear_of_new_data() -> Result<()> {
    let primary = redis()?;
    let replica = Server::subject()?;
    let mut watcher = replica.connect()?;
    watcher.command("SET watched old")?;
    watcher.command("WATCH watched")?;
    watcher.command("MULTI")?;
    watcher.command("GET watched")?;
    follow(&replica, primary.address())?;
    wait_for_link(&replica)?;
    assert_eq!(watcher.command("EXEC")?, Reply::NullArray);
    let mut p = primary.connect()?;
    p.set_timeout(Duration::from_secs(60));
    for i in 0..20 {
        p.command(&format!("SET k {i}"))?;
        assert_eq!(p.command("WAIT 1 30000")?, Reply::Integer(1));
        assert_eq!(
            replica.connect()?.command("GET k")?,
            Reply::Bulk(i.to_string().into_bytes())
        );
    }
    // A reader that waits for a stream is served by what the primary sends.
    let mut reader = replica.connect()?;
    reader.send(&["XREAD", "BLOCK", "0", "STREAMS", "x", "$"])?;
    let mut r = replica.connect()?;
    wait_until("it waits", || {
        Ok(info(&mut r, "clients", "blocked_clients")? == "1")
    })?;
    p.command("XADD x 1-1 f v")?;
    assert!(reader.receive()?.lines().join(" ").contains("1-1"));
    assert_eq!(digest(&mut primary.connect()?)?, digest(&mut replica.connect()?)?);
    Ok(())
}

#[test]
fn chains_of_both_kinds_hold_the_same() -> Result<()> {
    let top = redis()?;
    fill(&top)?;
    let (first, second) = (Server::subject()?, Server::subject()?);
    let third = redis()?;
    follow(&first, top.address())?;
    wait_for_link(&first)?;
    follow(&second, first.address())?;
    follow(&third, second.address())?;
    let mut client = top.connect()?;
    for round in 0..60 {
        write_a_bit_of_everything(&mut client, round)?;
        match round {
            20 => drop(cut_link(&second)?),
            40 => drop(cut_link(&first)?),
            _ => {}
        }
    }
    for server in [&first, &second, &third] {
        assert_same(&top, server)?;
    }
    let id = info(&mut client, "replication", "master_replid")?;
    for server in [&first, &second, &third] {
        assert_eq!(info(&mut server.connect()?, "replication", "master_replid")?, id);
    }
    // The middle is promoted: those behind it go on, with the new id, without their data being sent again.
    first.connect()?.command("REPLICAOF NO ONE")?;
    let mut f = first.connect()?;
    (60..80).try_for_each(|round| write_a_bit_of_everything(&mut f, round))?;
    for server in [&second, &third] {
        assert_same(&first, server)?;
    }
    assert_eq!(info(&mut f, "stats", "sync_full")?, "1");
    // The old top comes back with what nobody else has, and loses it.
    client.command("SET lost 1")?;
    follow(&top, first.address())?;
    wait_until("it takes everything anew", || {
        Ok(info(&mut f, "stats", "sync_full")? == "2")
    })?;
    assert_same(&first, &top)?;
    assert_eq!(client.command("EXISTS lost")?, Reply::Integer(0));
    Ok(())
}

#[test]
fn an_old_primary_goes_on_behind_the_new_one() -> Result<()> {
    let (old, new) = (Server::subject()?, Server::subject()?);
    fill(&old)?;
    follow(&new, old.address())?;
    assert_same(&old, &new)?;
    new.connect()?.command("REPLICAOF NO ONE")?;
    let mut n = new.connect()?;
    (0..20).try_for_each(|round| write_a_bit_of_everything(&mut n, round))?;
    // Nothing was written to the old one since: it lacks but the rest.
    follow(&old, new.address())?;
    assert_same(&new, &old)?;
    assert_eq!(info(&mut n, "stats", "sync_full")?, "0");
    assert_eq!(info(&mut n, "stats", "sync_partial_ok")?, "1");
    Ok(())
}

#[test]
fn a_restart_goes_on_from_the_file() -> Result<()> {
    let primary = redis()?;
    fill(&primary)?;
    let dir = tempfile::tempdir()?;
    let replica = Server::start(Role::Subject, &Options::new().dir(dir.path()))?;
    follow(&replica, primary.address())?;
    assert_same(&primary, &replica)?;
    let mut p = primary.connect()?;
    for line in ["SELECT 5", "SET before 1"] {
        p.command(line)?;
    }
    assert_same(&primary, &replica)?;
    assert_eq!(replica.connect()?.command("SAVE")?, Reply::ok());
    replica.terminate()?;
    // The stream stays in database 5: no SELECT is sent again.
    p.command("SET after 1")?;
    let of = format!("127.0.0.1 {}", primary.address().port());
    let replica = Server::start(
        Role::Subject,
        &Options::new().dir(dir.path()).directive("replicaof", &of),
    )?;
    assert_same(&primary, &replica)?;
    assert_eq!(info(&mut p, "stats", "sync_full")?, "1");
    assert_eq!(info(&mut p, "stats", "sync_partial_ok")?, "1");
    Ok(())
}

#[test]
fn a_replicas_append_only_file_has_what_the_primary_sent() -> Result<()> {
    for primary in [redis()?, Server::start(Role::Subject, &Options::new())?] {
        let dir = tempfile::tempdir()?;
        let options = || {
            let options = Options::new().dir(dir.path());
            options
                .directive("appendonly", "yes")
                .directive("appendfsync", "always")
        };
        let replica = Server::start(Role::Subject, &options())?;
        replica.connect()?.command("SET old data")?;
        fill(&primary)?;
        follow(&replica, primary.address())?;
        assert_same(&primary, &replica)?;
        let mut client = primary.connect()?;
        (0..25).try_for_each(|round| write_a_bit_of_everything(&mut client, round))?;
        assert_same(&primary, &replica)?;
        if !primary.binary().is_redis() {
            // The replica says how far its file is.
            let both = vec![Reply::Integer(0), Reply::Integer(1)];
            client.command("SET waited 1")?;
            assert_eq!(client.command("WAITAOF 0 1 30000")?, Reply::Array(both));
        }
        assert_same(&primary, &replica)?;
        let mut r = replica.connect()?;
        wait_until("the file has a base of the new data", || {
            Ok(info(&mut r, "persistence", "aof_rewrite_in_progress")? == "0"
                && info(&mut r, "persistence", "aof_rewrite_scheduled")? == "0"
                && info(&mut r, "persistence", "aof_buffer_length")? == "0"
                && info(&mut r, "persistence", "aof_pending_bio_fsync")? == "0")
        })?;
        // The end that nobody has prepared.
        drop(replica);
        let again = Server::start(Role::Subject, &options())?;
        // A primary that is slow to take away what has expired counts it still.
        wait_until("the file holds what the primary does", || {
            Ok(digest(&mut again.connect()?)? == digest(&mut client)?)
        })
        .with_context(|| again.log())?;
        assert_eq!(again.connect()?.command("EXISTS old")?, Reply::Integer(0));
    }
    Ok(())
}
