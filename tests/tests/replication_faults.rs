//! A replica whose primary does what none should: whatever comes, the old data stay until the new are whole, the log says
//! what happened, and it is tried again.

use anyhow::{Context, Result, ensure};
use holdfast_tests::ask::info;
use holdfast_tests::replication::{Asked, FakePrimary, Link, follow, small_rdb, wait_for_link};
use holdfast_tests::reply::Reply;
use holdfast_tests::server::{Options, Role, Server};
use holdfast_tests::wait::wait_until;

const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER: &str = "89abcdef0123456789abcdef0123456789abcdef";
const MARK: &str = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm";

/// A replica with a key of its own, that gives up a silent primary soon.
fn replica() -> Result<Server> {
    let server = Server::start(Role::Subject, &Options::new().directive("repl-timeout", "2"))?;
    server.connect()?.command("SET old data")?;
    Ok(server)
}

fn has_old(server: &Server) -> Result<bool> {
    Ok(server.connect()?.command("GET old")? == Reply::Bulk(b"data".to_vec()))
}

fn keys(server: &Server) -> Result<i64> {
    match server.connect()?.command("DBSIZE")? {
        Reply::Integer(n) => Ok(n),
        other => anyhow::bail!("{other:?}"),
    }
}

/// After some misbehaviour a whole synchronization.
fn recovers(bad: impl Fn(usize, &mut Link) + Send + 'static, times: usize) -> Result<(Server, Vec<Asked>)> {
    let primary = FakePrimary::start(move |n, link, note| {
        if n < times {
            return bad(n, link);
        }
        let Some(asked) = link.shake_hands() else { return };
        note(asked);
        link.full_sync(ID, 100, &small_rdb(3));
        link.send(b"*3\r\n$3\r\nSET\r\n$5\r\nafter\r\n$1\r\nx\r\n");
        link.wait_for_close();
    })?;
    let server = replica()?;
    follow(&server, primary.address())?;
    wait_until("the stream has been applied", || {
        let both = server.connect()?.command("EXISTS old k0")?;
        ensure!(both == Reply::Integer(1), "neither old nor new, or both");
        let there = server.connect()?.command("GET after")? == Reply::Bulk(b"x".to_vec());
        Ok(there)
    })
    .with_context(|| server.log())?;
    assert_eq!(keys(&server)?, 4);
    assert!(!has_old(&server)?);
    let mut client = server.connect()?;
    assert_eq!(info(&mut client, "replication", "master_replid")?, ID);
    assert_eq!(info(&mut client, "replication", "master_repl_offset")?, "131");
    let asked = primary.asked();
    Ok((server, asked))
}

#[test]
fn a_peer_that_is_no_primary_is_asked_again() -> Result<()> {
    let answers: [&[u8]; 6] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"-ERR no\r\n",
        b"\xff\xfe\x00garbage\r\n",
        b"",
        &[b'x'; 70_000],
        b"+PONG\r\n+OK\r\n+OK\r\n$12\r\nno answer to\r\n",
    ];
    let count = answers.len();
    let answers: Vec<Vec<u8>> = answers.iter().map(|a| a.to_vec()).collect();
    let (server, _) = recovers(
        move |n, link| {
            link.send(&answers[n]);
            // Then it closes, whether the replica has seen it or not.
            if n % 2 == 0 {
                link.command();
            }
        },
        count,
    )?;
    assert!(
        server.log().contains("Bad protocol from MASTER") || server.log().contains("Error reply to PING")
    );
    Ok(())
}

#[test]
fn refusals_of_psync_are_waited_out() -> Result<()> {
    let answers = [
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-NOMASTERLINK Can't SYNC while not connected with my master\r\n",
        "-BUSY Redis is busy running a script\r\n",
        "-ERR unknown command 'PSYNC'\r\n",
        "+CONTINUE\r\n+CONTINUE\r\n",
        "+FULLRESYNC\r\n",
        "+FULLRESYNC xyz 1\r\n",
        "+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 -7\r\n",
        "+FULLRESYNC 0123456789abcdef0123456789abcdef01234567 9223372036854775807\r\n",
    ];
    let (server, _) = recovers(
        move |n, link| {
            if link.shake_hands().is_some() {
                link.send(answers[n].as_bytes());
            }
        },
        answers.len(),
    )?;
    let log = server.log();
    assert!(
        log.contains("MASTER is currently unable to PSYNC but should be in the future"),
        "{log}"
    );
    Ok(())
}

#[test]
fn a_primary_that_says_nothing_is_given_up() -> Result<()> {
    let (server, _) = recovers(
        |n, link| match n {
            0 => link.wait_for_close(),
            1 => {
                link.shake_hands();
                link.wait_for_close();
            }
            _ => {
                link.shake_hands();
                link.send(format!("+FULLRESYNC {ID} 100\r\n$1000\r\nREDIS0009").as_bytes());
                link.wait_for_close();
            }
        },
        3,
    )?;
    for line in [
        "Timeout connecting to the MASTER...",
        "Timeout receiving bulk data from MASTER...",
    ] {
        assert!(server.log().contains(line), "{}", server.log());
    }
    Ok(())
}

#[test]
fn a_snapshot_that_is_none_leaves_the_old_data() -> Result<()> {
    let rdb = small_rdb(3);
    let mut wrong_sum = rdb.clone();
    *wrong_sum.last_mut().expect("it has a checksum") = 1;
    let mut twice = rdb[..rdb.len() - 9].to_vec();
    twice.extend_from_slice(b"\x00\x02k0\x05again\xff\0\0\0\0\0\0\0\0");
    let framed = |rdb: &[u8]| [format!("${}\r\n", rdb.len()).as_bytes(), rdb].concat();
    let payloads: Vec<Vec<u8>> = vec![
        framed(&wrong_sum),
        framed(&rdb[..rdb.len() - 12]),
        framed(b"this is no RDB at all, is it?"),
        framed(&twice),
        b"$-5\r\n".to_vec(),
        b"$99999999999999999999999\r\n".to_vec(),
        b"$EOF:short\r\n".to_vec(),
        b"-ERR out of memory\r\n".to_vec(),
        b"REDIS0009\r\n".to_vec(),
        [format!("$EOF:{MARK}\r\n").as_bytes(), &rdb, &[b'n'; 40]].concat(),
        [format!("$EOF:{MARK}\r\n").as_bytes(), &rdb, &[b'm'; 20]].concat(),
    ];
    let count = payloads.len();
    let (server, _) = recovers(
        move |n, link| {
            if link.shake_hands().is_some() {
                link.send(format!("+FULLRESYNC {OTHER} 7000\r\n").as_bytes());
                link.send(&payloads[n]);
            }
        },
        count,
    )?;
    let log = server.log();
    assert!(
        log.contains("Failed trying to load the MASTER synchronization DB"),
        "{log}"
    );
    Ok(())
}

#[test]
fn ten_full_synchronizations_that_break_change_nothing() -> Result<()> {
    let primary = FakePrimary::start(|n, link, note| {
        let Some(asked) = link.shake_hands() else { return };
        note(asked);
        let rdb = small_rdb(20);
        if n < 10 {
            link.send(format!("+FULLRESYNC {ID} 100\r\n\n\n$EOF:{MARK}\r\n").as_bytes());
            link.send(&rdb[..rdb.len() * n / 10]);
            return;
        }
        link.send(format!("+FULLRESYNC {ID} 100\r\n$EOF:{MARK}\r\n").as_bytes());
        link.send(&rdb);
        link.send(MARK.as_bytes());
        link.send(b"*1\r\n$4\r\nPING\r\n");
        link.wait_for_close();
    })?;
    let server = replica()?;
    follow(&server, primary.address())?;
    for n in 1..=10 {
        primary.wait_for_questions(n)?;
        assert!(has_old(&server)? && keys(&server)? == 1 || n == 10);
    }
    primary.wait_for_questions(11)?;
    wait_for_link(&server)?;
    assert_eq!(keys(&server)?, 20);
    // The history is its own until the primary's data are there: each time it asks to go on from there.
    assert!(
        primary.asked()[..11]
            .iter()
            .all(|words| words == &primary.asked()[0])
    );
    Ok(())
}

/// The most that a process has had in memory, in bytes.
fn peak(server: &Server) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    Ok(number.context("VmHWM")?.parse::<u64>()? * 1024)
}

#[test]
fn a_payload_without_end_takes_no_memory() -> Result<()> {
    const MB: usize = 1 << 20;
    const SENT: usize = 80;
    // A note that no file has, of a megabyte: `0xfa`, its name, its length in 32 bits, itself.
    let note = [&b"\xfa\x01x\x80\x00\x10\x00\x00"[..], &vec![b'x'; MB]].concat();
    let primary = FakePrimary::start(move |n, link, tell| {
        let Some(asked) = link.shake_hands() else { return };
        tell(asked);
        link.send(format!("+FULLRESYNC {ID} 100\r\n").as_bytes());
        let endless = match n {
            // It is preparing for ever.
            0 => vec![b'\n'; MB],
            1 => {
                link.send(format!("$EOF:{MARK}\r\nREDIS0009").as_bytes());
                note.clone()
            }
            // The snapshot is whole, and something follows that is as long as a number can say.
            2 => {
                link.send(format!("${}\r\n", i64::MAX).as_bytes());
                link.send(&small_rdb(3));
                vec![0; MB]
            }
            _ => {
                link.send(format!("$EOF:{MARK}\r\n").as_bytes());
                link.send(&small_rdb(5));
                link.send(MARK.as_bytes());
                return link.wait_for_close();
            }
        };
        for _ in 0..SENT {
            link.send(&endless);
        }
    })?;
    let server = Server::start(Role::Subject, &Options::new())?;
    let mut client = server.connect()?;
    client.command("SET old data")?;
    let before = peak(&server)?;
    follow(&server, primary.address())?;
    for n in 1..=3 {
        primary.wait_for_questions(n)?;
        assert!(has_old(&server)?);
    }
    // The fourth question comes when the third payload has broken off.
    primary.wait_for_questions(4)?;
    let grown = peak(&server)?.saturating_sub(before);
    assert!(grown < 48 * MB as u64, "{grown} bytes more");
    wait_for_link(&server)?;
    assert_eq!(keys(&server)?, 5);
    Ok(())
}

#[test]
fn a_stream_that_is_none_is_followed_by_everything_anew() -> Result<()> {
    let primary = FakePrimary::start(|n, link, note| {
        let Some(asked) = link.shake_hands() else { return };
        note(asked);
        link.full_sync(ID, 100, &small_rdb(2 + n));
        match n {
            0 => link.send(b"SET inline command\r\n"),
            1 => link.send(b"*2\r\n$3\r\nGET\r\n:7\r\n"),
            2 => link.send(b"*1\r\n$99999999999\r\n"),
            3 => link.send(b"*99999999999999\r\n"),
            // A link that breaks in the middle of a command is no such thing.
            4 => return link.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100\r\nhalf"),
            _ => link.send(b"*1\r\n$4\r\nPING\r\n"),
        }
        link.wait_for_close();
    })?;
    let server = replica()?;
    follow(&server, primary.address())?;
    let asked = primary.wait_for_questions(6)?;
    for words in &asked[1..5] {
        assert_eq!(words, &["?", "-1"], "{asked:?}");
    }
    assert_eq!(asked[5], [ID, "101"], "{asked:?}");
    wait_until("the last data are there", || Ok(keys(&server)? == 7)).with_context(|| server.log())?;
    assert!(server.log().contains("Protocol error from master"));
    Ok(())
}

#[test]
fn a_primary_may_change_its_id_and_go_back_in_time() -> Result<()> {
    let primary = FakePrimary::start(|n, link, note| {
        let Some(asked) = link.shake_hands() else { return };
        note(asked);
        match n {
            0 => link.full_sync(ID, 5_000, &small_rdb(5)),
            1 => link.send(format!("+CONTINUE {OTHER}\r\n").as_bytes()),
            // What it was promised is gone: it takes what it gets.
            2 => link.full_sync(OTHER, 10, &small_rdb(2)),
            _ => link.send(b"+CONTINUE\r\n"),
        }
        link.send(b"*1\r\n$4\r\nPING\r\n");
        // Until the replica has acknowledged something.
        while let Some(words) = link.command() {
            if words[0] == "REPLCONF"
                && words[1] == "ACK"
                && words[2]
                    .parse::<u64>()
                    .is_ok_and(|o| o % 100 == 14 || o % 100 == 24 || o % 100 == 28 || o % 100 == 38)
            {
                break;
            }
        }
        if n > 3 {
            link.wait_for_close();
        }
    })?;
    let server = replica()?;
    follow(&server, primary.address())?;
    let asked = primary.wait_for_questions(5)?;
    assert_eq!(asked[1], [ID, "5015"], "{asked:?}");
    assert_eq!(asked[2], [OTHER, "5029"], "{asked:?}");
    assert_eq!(asked[3], [OTHER, "25"], "{asked:?}");
    assert_eq!(asked[4], [OTHER, "39"], "{asked:?}");
    assert_eq!(keys(&server)?, 2);
    Ok(())
}

#[test]
fn commands_that_fail_here_are_told_and_counted_and_the_offsets_stay() -> Result<()> {
    let primary = FakePrimary::start(|n, link, note| {
        let Some(asked) = link.shake_hands() else { return };
        note(asked);
        if n > 0 {
            link.send(b"+CONTINUE\r\n");
            return link.wait_for_close();
        }
        link.full_sync(ID, 0, &small_rdb(2));
        link.send(b"*1\r\n$6\r\nNOSUCH\r\n*2\r\n$4\r\nINCR\r\n$2\r\nk0\r\n\r\n*0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n");
        while link
            .command()
            .is_some_and(|words| words.last().is_none_or(|w| w != "71"))
        {}
    })?;
    let server = replica()?;
    follow(&server, primary.address())?;
    let asked = primary.wait_for_questions(2).with_context(|| server.log())?;
    assert_eq!(asked[1], [ID, "72"]);
    assert_eq!(server.connect()?.command("GET a")?, Reply::Bulk(b"b".to_vec()));
    assert!(server.log().contains("== CRITICAL =="), "{}", server.log());
    Ok(())
}

#[test]
fn promotion_in_the_middle_of_a_full_synchronization_keeps_the_old_data() -> Result<()> {
    let primary = FakePrimary::start(|_, link, note| {
        let Some(asked) = link.shake_hands() else { return };
        note(asked);
        let rdb = small_rdb(9);
        link.send(format!("+FULLRESYNC {ID} 100\r\n$EOF:{MARK}\r\n").as_bytes());
        link.send(&rdb[..rdb.len() / 2]);
        link.wait_for_close();
    })?;
    let server = replica()?;
    follow(&server, primary.address())?;
    let mut client = server.connect()?;
    wait_until("the transfer has begun", || {
        Ok(info(&mut client, "replication", "master_sync_in_progress")? == "1")
    })?;
    wait_until("the load has begun", || {
        Ok(info(&mut client, "persistence", "async_loading")? == "1")
    })?;
    assert!(has_old(&server)?);
    assert!(client.command("SET a b")?.is_error());
    assert_eq!(client.command("REPLICAOF NO ONE")?, Reply::ok());
    assert_eq!(client.command("SET a b")?, Reply::ok());
    assert_eq!(keys(&server)?, 2);
    wait_until("the load is over", || {
        Ok(info(&mut client, "persistence", "async_loading")? == "0")
    })?;
    assert!(has_old(&server)?);
    Ok(())
}
