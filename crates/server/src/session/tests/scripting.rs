//! Scripts as sessions see them: locks, the log, the end of those that do not end.

use std::thread;

use holdfast_resp::encode_command;

use super::*;
use crate::scripting::busy::{BUSY_SCRIPT, Kind, Unkillable};
use crate::scripting::cache::sha_of;

fn eval(desk: &mut Desk, s: &mut Session, script: &str, rest: &[&str]) -> String {
    let mut argv: Vec<&[u8]> = vec![b"EVAL", script.as_bytes()];
    argv.extend(rest.iter().map(|word| word.as_bytes()));
    let mut input = Vec::new();
    encode_command(&mut input, &argv);
    desk.run_bytes(s, &input)
}

fn is_declared(desk: &Desk, script: &str) -> bool {
    let script = desk.server.scripts.cache.get(&sha_of(script.as_bytes()));
    script.unwrap().learned.is_declared()
}

#[test]
fn what_a_script_writes_is_one_block_of_the_log() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    eval(
        &mut desk,
        &mut s,
        "redis.call('set','a',1) redis.call('incr','a')",
        &["0"],
    );
    eval(&mut desk, &mut s, "return redis.call('set','b',1)", &["0"]);
    eval(
        &mut desk,
        &mut s,
        "redis.set_repl(redis.REPL_NONE) redis.call('set','c',1)",
        &["0"],
    );
    eval(&mut desk, &mut s, "redis.call('set','d',1) error('x')", &["0"]);
    let log = desk.log();
    let block = "*1 $5 MULTI *3 $3 set $1 a $1 1 *2 $4 incr $1 a *1 $4 EXEC ";
    assert!(log.contains(block), "{log}");
    assert!(log.ends_with("*3 $3 set $1 b $1 1 *3 $3 set $1 d $1 1 "), "{log}");
    assert_eq!(desk.run(&mut s, "MGET a b c d"), "*4 $1 2 $1 1 $1 1 $1 1 ");
}

#[test]
fn a_script_is_declared_by_its_first_run_until_it_strays() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    let script =
        "local n = redis.call('get', KEYS[1]) if ARGV[1] then redis.call('set', ARGV[1], 'x') end return n";
    assert_eq!(eval(&mut desk, &mut s, script, &["1", "k"]), "$-1 ");
    assert!(is_declared(&desk, script));
    // It has not written when it strays: it starts over.
    assert_eq!(eval(&mut desk, &mut s, script, &["1", "k", "other"]), "$-1 ");
    assert!(!is_declared(&desk, script));
    assert_eq!(eval(&mut desk, &mut s, script, &["1", "k"]), "$-1 ");
    assert!(
        !is_declared(&desk, script),
        "what has strayed once is not believed again"
    );

    let writes = "redis.call('incr', KEYS[1]) if ARGV[1] then redis.call('incr', ARGV[1]) end";
    eval(&mut desk, &mut s, writes, &["1", "n"]);
    assert!(is_declared(&desk, writes));
    eval(&mut desk, &mut s, writes, &["1", "n", "m"]);
    assert!(!is_declared(&desk, writes));
    assert_eq!(
        desk.run(&mut s, "MGET n m"),
        "*2 $1 2 $1 1 ",
        "each was counted once"
    );
    for all in [
        "return redis.call('dbsize')",
        "return redis.call('keys', '*')",
        "return redis.call('scan', 0)",
    ] {
        eval(&mut desk, &mut s, all, &["0"]);
        assert!(!is_declared(&desk, all), "{all}");
    }
}

#[test]
fn a_database_chosen_in_a_script_is_left_behind() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    eval(
        &mut desk,
        &mut s,
        "redis.call('select', 3) redis.call('set', 'a', 1)",
        &["0"],
    );
    assert_eq!(desk.run(&mut s, "EXISTS a\nSELECT 3\nEXISTS a"), ":0 +OK :1 ");
    assert!(desk.log().contains("SELECT $1 3 "), "{}", desk.log());
}

#[test]
fn many_scripts_on_many_threads_count_right() {
    const THREADS: u64 = 4;
    const RUNS: u64 = 300;
    let desk = Desk::new();
    let server = &desk.server;
    let failed: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|t| {
                let mut s = desk.session();
                scope.spawn(move || {
                    let mut w = Worker::new(Arc::clone(server), 0);
                    let mut failed = 0;
                    for i in 0..RUNS {
                        // Declared at first; later it writes its own key and then one that it did not declare.
                        let (own, other) = (format!("own{t}"), format!("o{}", (t + i) % 7));
                        let script = "redis.call('incr', KEYS[1]) if ARGV[1] then redis.call('incr', ARGV[1]) end return 1";
                        let script = format!("{script} -- {}", i % 50);
                        let mut argv: Vec<&[u8]> = vec![b"EVAL", script.as_bytes(), b"1", own.as_bytes()];
                        if i >= 50 {
                            argv.push(other.as_bytes());
                        }
                        let mut input = Vec::new();
                        encode_command(&mut input, &argv);
                        w.begin_batch();
                        let _flow = s.process(&mut &input[..], &mut w, usize::MAX);
                        failed += u64::from(!w.reply.take().starts_with(b":1"));
                        w.end_batch();
                    }
                    failed
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    let mut desk = desk;
    let mut s = desk.session();
    let sum = |desk: &mut Desk, s: &mut Session, pattern: &str| -> u64 {
        let script = format!(
            "local n = 0 for _, k in ipairs(redis.call('keys', '{pattern}')) do n = n + redis.call('get', k) end return n"
        );
        let reply = eval(desk, s, &script, &["0"]);
        reply.trim().trim_start_matches(':').parse().unwrap()
    };
    // A script that could not extend has written its own key and failed; nothing else is lost or counted twice.
    assert_eq!(sum(&mut desk, &mut s, "own*"), THREADS * RUNS);
    assert_eq!(sum(&mut desk, &mut s, "o[0-9]"), THREADS * (RUNS - 50) - failed);
}

#[test]
fn an_endless_script_makes_others_busy_and_is_ended() {
    let mut desk = Desk::new();
    let mut s = desk.session();
    assert_eq!(desk.run(&mut s, "CONFIG SET busy-reply-threshold 1"), "+OK ");
    let server = Arc::clone(&desk.server);
    for (script, is_killable) in [
        ("while true do pcall(function() while true do end end) end", true),
        (
            "redis.call('set', KEYS[1], 1) while redis.call('get', KEYS[1]) do end",
            false,
        ),
    ] {
        assert_eq!(server.scripts.busy.kill(Kind::Script), Err(Unkillable::None));
        let mut runner = desk.session();
        let reply = thread::scope(|scope| {
            let run = scope.spawn(|| {
                let mut w = Worker::new(Arc::clone(&server), 0);
                let mut input = Vec::new();
                encode_command(&mut input, &[b"EVAL", script.as_bytes(), b"1", b"k"]);
                w.begin_batch();
                let _flow = runner.process(&mut &input[..], &mut w, usize::MAX);
                String::from_utf8(w.reply.take()).unwrap()
            });
            while server.scripts.busy.text().is_none() {
                thread::yield_now();
            }
            for line in ["GET k", "SET other 1", "INFO", "EVAL x 0", "WATCH k"] {
                assert_eq!(desk.run(&mut s, line), format!("-{BUSY_SCRIPT} "), "{line}");
            }
            assert!(desk.run(&mut s, "SHUTDOWN").starts_with("-BUSY"));
            assert_eq!(desk.run(&mut s, "MULTI\nDISCARD"), "+OK +OK ");
            let killed = desk.run(&mut s, "SCRIPT KILL");
            assert_eq!(killed.starts_with("+OK"), is_killable, "{killed}");
            if !is_killable {
                assert!(killed.starts_with("-UNKILLABLE"), "{killed}");
                server.shutdown.cancel();
            }
            run.join().unwrap()
        });
        assert!(reply.contains("Script killed by user"), "{reply}");
        assert!(server.scripts.busy.text().is_none());
    }
}
