//! docs/migrate-from-redis.md, line by line: every line behind a `$` is run by a shell, with our ports in the place of
//! 6379 (Redis) and 6380 (Holdfast), until it prints what the page says; writers work wherever the page lets them.

use std::collections::VecDeque;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use holdfast_tests::datasets::borders;
use holdfast_tests::replication::wait_for_sync;
use holdfast_tests::server::{Options, Role, Server, tool};
use holdfast_tests::torture::model::Model;
use holdfast_tests::torture::verify;
use holdfast_tests::torture::writer::Writer;
use holdfast_tests::wait::wait_until;

const PAGE: &str = include_str!("../../docs/migrate-from-redis.md");
const WRITERS: usize = 3;
const SEED: u64 = 11;

/// The lines to be run under each heading, with what they print.
fn steps() -> Vec<(&'static str, VecDeque<(String, String)>)> {
    let mut steps: Vec<(&str, VecDeque<(String, String)>)> = Vec::new();
    let mut in_block = false;
    for line in PAGE.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if line.starts_with('#') && !in_block {
            steps.push((line.trim_start_matches(['#', ' ']), VecDeque::new()));
        } else if in_block {
            let lines = &mut steps.last_mut().expect("a heading comes first").1;
            match line.strip_prefix("$ ") {
                Some(command) => lines.push_back((command.to_owned(), String::new())),
                None => {
                    let printed = &mut lines.back_mut().expect("a command comes first").1;
                    *printed += line;
                    *printed += "\n";
                }
            }
        }
    }
    steps.retain(|(_, lines)| !lines.is_empty());
    steps
}

struct Move {
    redis: Server,
    holdfast: Server,
}

impl Move {
    /// Runs the lines of a heading, each until it prints what it should.
    fn run(&self, lines: &VecDeque<(String, String)>) -> Result<()> {
        for (line, expected) in lines {
            let command = line
                .replace("6379", &self.redis.address().port().to_string())
                .replace("6380", &self.holdfast.address().port().to_string());
            let mut printed = String::new();
            wait_until(line, || {
                let output = Command::new("sh").args(["-c", &command]).output()?;
                printed = String::from_utf8_lossy(&output.stdout).replace('\r', "");
                // What is printed for nobody: an empty line.
                Ok(printed.trim() == expected.trim())
            })
            .with_context(|| {
                let log = self.holdfast.log();
                format!("it prints {printed:?}, and the page says {expected:?}; the log of Holdfast:\n{log}")
            })?;
        }
        Ok(())
    }
}

/// Writers on `server` while `during` runs; they stop before it returns.
fn under_load(server: &Server, writers: &[Writer], during: impl FnOnce() -> Result<()>) -> Result<()> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = writers
            .iter()
            .map(|writer| scope.spawn(|| writer.run(SEED, server.address(), &stop)))
            .collect();
        let done = during();
        // Each has written a while.
        let far = |w: &Writer| w.acknowledged.load(Ordering::SeqCst);
        let goals: Vec<u64> = writers.iter().map(|w| far(w) + 50).collect();
        let far_enough = wait_until("all writers write", || {
            Ok(writers.iter().zip(&goals).all(|(w, goal)| far(w) >= *goal))
        });
        stop.store(true, Ordering::SeqCst);
        for thread in threads {
            let end = thread.join().expect("no writer panics");
            ensure!(end.refused.is_none(), "{:?}", end.refused);
        }
        done.and(far_enough)
    })
}

/// Everything that was acknowledged is on `server`, and nothing else.
fn holds(server: &Server, writers: &[Writer], models: &mut [Model]) -> Result<()> {
    let mut client = server.connect()?;
    for (writer, model) in writers.iter().zip(models.iter_mut()) {
        let done = |n: &AtomicU64| n.load(Ordering::SeqCst);
        let (acknowledged, sent) = (done(&writer.acknowledged), done(&writer.sent));
        ensure!(acknowledged == sent, "the writers have stopped");
        verify::advance(&mut client, SEED, writer.index, model, acknowledged, sent)?;
    }
    verify::accounts(&mut client, models)
}

#[test]
fn the_page_works_as_it_is_written() -> Result<()> {
    tool("redis-cli", "apt-get install redis-tools")?;
    let servers = Move {
        redis: Server::start(
            Role::Oracle,
            &Options::new().directive("repl-diskless-sync-delay", "0"),
        )?,
        holdfast: Server::start(Role::Subject, &Options::new().threads(3))?,
    };
    let mut client = servers.redis.connect()?;
    for words in borders() {
        let reply = client.call(&words)?;
        ensure!(!reply.is_error(), "{words:?}: {reply:?}");
    }
    let mut steps: VecDeque<_> = steps().into();
    let mut step = |name: &str| -> Result<VecDeque<(String, String)>> {
        let (heading, lines) = steps.pop_front().context("the page is shorter")?;
        ensure!(
            heading == name,
            "the page has {heading:?} where this test has {name:?}"
        );
        Ok(lines)
    };
    let writers: Vec<Writer> = (0..WRITERS).map(|i| Writer::new(i, 0)).collect();
    let mut models = vec![Model::default(); WRITERS];
    let (before, follows) = (step("Before")?, step("1. Holdfast follows Redis")?);
    under_load(&servers.redis, &writers, || {
        servers.run(&before)?;
        servers.run(&follows)
    })?;
    servers.run(&step("2. Compare")?)?;
    holds(&servers.holdfast, &writers, &mut models)?;
    let over = step("3. Change over")?;
    let (first, rest) = over.as_slices().0.split_at(1);
    servers.run(&first.to_vec().into())?;
    under_load(&servers.holdfast, &writers, || servers.run(&rest.to_vec().into()))?;
    holds(&servers.holdfast, &writers, &mut models)?;
    servers.run(&step("4. And back, if it has to be")?)?;
    holds(&servers.redis, &writers, &mut models)?;
    under_load(&servers.redis, &writers, || Ok(()))?;
    // WAIT on a connection that has written nothing waits for nothing.
    wait_for_sync(&servers.redis, &servers.holdfast)?;
    holds(&servers.holdfast, &writers, &mut models)
}
