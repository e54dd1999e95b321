//! Jobs with rising numbers: one client adds them to a list, another waits for them and moves each to a second list. Both
//! lists together always hold a row of numbers without a gap, each once.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};

use crate::client::Client;

const JOBS: &str = "jobs";
const DONE: &str = "done";
/// Moved jobs that are kept.
const KEPT: u64 = 500;

/// What is known of the jobs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Courier {
    /// Number of the last job that must be there.
    added: u64,
    /// Number of the last job that must have been moved.
    moved: u64,
    /// Number of the last job that was sent.
    sent: u64,
}

impl Courier {
    /// Adds and moves jobs until the server is gone or `stop` is set: what was acknowledged.
    pub fn run(&self, address: SocketAddr, stop: &AtomicBool) -> Courier {
        std::thread::scope(|scope| {
            let mover = scope.spawn(|| {
                let mut moved = self.moved;
                let _gone = mover(address, stop, &mut moved);
                moved
            });
            let (mut added, mut sent) = (self.added, self.sent);
            let _gone = adder(address, stop, &mut added, &mut sent);
            Courier {
                added,
                sent,
                moved: mover.join().expect("the mover does not panic"),
            }
        })
    }

    /// What must be there after a round in which `told` was acknowledged, all of it or at least what was there before.
    pub fn expect(&mut self, told: Courier, all: bool) {
        if all {
            *self = told;
        } else {
            self.sent = told.sent;
        }
    }

    /// Compares with the server's lists, and goes on from there. Returns the number of jobs moved in all.
    ///
    /// # Errors
    /// A job is missing, or there twice, or in the wrong list.
    pub fn verify(&mut self, client: &mut Client) -> Result<u64> {
        client.command("SELECT 0")?;
        let mut list = |name: &str| -> Result<Vec<u64>> {
            let reply = client.command(&format!("LRANGE {name} 0 -1"))?;
            let items = reply.elements().context("a list")?;
            items
                .iter()
                .map(|i| Ok(i.text().context("a number")?.parse()?))
                .collect()
        };
        let (done, jobs) = (list(DONE)?, list(JOBS)?);
        let all: Vec<u64> = done.iter().chain(&jobs).copied().collect();
        ensure!(
            all.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "jobs are missing, or there twice: {done:?}, {jobs:?}"
        );
        let (last, moved) = (
            all.last().copied().unwrap_or(0),
            done.last().copied().unwrap_or(0),
        );
        ensure!(
            (self.added..=self.sent).contains(&last),
            "the last job is {last}, {} were acknowledged, {} sent",
            self.added,
            self.sent
        );
        ensure!(
            moved >= self.moved,
            "the last job moved is {moved}, and {} was acknowledged",
            self.moved
        );
        *self = Courier {
            added: last,
            moved,
            sent: last,
        };
        Ok(moved)
    }
}

fn adder(address: SocketAddr, stop: &AtomicBool, added: &mut u64, sent: &mut u64) -> Result<()> {
    let mut client = Client::connect(address)?;
    while !stop.load(Ordering::Relaxed) {
        let numbers: Vec<u64> = (*sent + 1..=*sent + 3).collect();
        *sent += 3;
        let commands: Vec<Vec<String>> = numbers
            .iter()
            .map(|n| vec!["RPUSH".into(), JOBS.into(), n.to_string()])
            .collect();
        for reply in client.pipeline(&commands)? {
            reply.integer().context("the length of the list")?;
        }
        *added = *sent;
    }
    Ok(())
}

fn mover(address: SocketAddr, stop: &AtomicBool, moved: &mut u64) -> Result<()> {
    let mut client = Client::connect(address)?;
    while !stop.load(Ordering::Relaxed) {
        let reply = client.call(&["BLMOVE", JOBS, DONE, "LEFT", "RIGHT", "0.05"])?;
        if let Some(number) = reply.text() {
            *moved = number.parse()?;
        }
        if moved.is_multiple_of(100) {
            client.command(&format!("LTRIM {DONE} -{KEPT} -1"))?;
        }
    }
    Ok(())
}
