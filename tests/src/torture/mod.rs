//! Servers that are killed under load, again and again, on the same data: what was acknowledged must be there, what was
//! not may be there, nothing may be there by half.
//!
//! Each writer has keys of its own and does steps that follow from the seed ([`model`]); after a restart its keys must be
//! the state after some number of steps, between what it knows to be safe and what it sent ([`verify`]). Transactions
//! also move amounts between accounts that all share. A courier takes jobs from one list to another while its partner
//! adds to the first ([`courier`]). A disturber saves and rewrites files meanwhile.

pub mod courier;
pub mod model;
pub mod verify;
pub mod writer;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::client::Client;
use crate::server::{Options, Role, Server};
use crate::wait::wait_until;
use courier::Courier;
use model::Model;
use writer::{End, Writer};

/// What `everysec` may lose: the second that Redis promises, and one in which the disk is slow.
const EVERYSEC_LOSES: Duration = Duration::from_secs(2);

/// How data are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Policy {
    /// `appendfsync always`: nothing acknowledged is lost.
    Always,
    /// `appendfsync everysec`: two seconds at most are lost.
    Everysec,
    /// Snapshots alone: what was written after the last good one is lost, and that one is of one moment.
    Snapshots,
}

/// A campaign.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which steps are done, and when servers are killed.
    pub seed: u64,
    /// Number of kills.
    pub rounds: u32,
    /// Clients that write.
    pub writers: usize,
    /// How data are kept.
    pub policy: Policy,
    /// With `encryption-key-file`.
    pub encrypted: bool,
    /// Begins each round with the log off, and turns it on under load.
    pub convert: bool,
    /// How long a round lasts, at most.
    pub longest: Duration,
    /// The server.
    pub role: Role,
}

impl Config {
    /// The short form, for the test suite.
    pub fn short(seed: u64, policy: Policy) -> Config {
        Config {
            seed,
            rounds: 4,
            writers: 4,
            policy,
            encrypted: false,
            convert: false,
            longest: Duration::from_millis(700),
            role: Role::Subject,
        }
    }
}

/// What happened.
#[derive(Debug, Default)]
pub struct Report {
    /// Servers killed under load, and asked to end.
    pub killed: u32,
    /// See there.
    pub ended: u32,
    /// Servers killed while they started, which includes loading.
    pub killed_early: u32,
    /// Kills while a rewrite or a save ran, as far as INFO told just before.
    pub in_rewrite: u32,
    /// See there.
    pub in_save: u32,
    /// Saves and rewrites that ended well under load.
    pub snapshots: u32,
    /// Steps acknowledged.
    pub acknowledged: u64,
    /// Steps found that were not acknowledged: sent, and cut off from their replies.
    pub beyond: u64,
    /// Steps acknowledged and lost, which `everysec` and snapshots allow.
    pub lost: u64,
    /// Jobs that the couriers moved.
    pub jobs: u64,
}

/// How a round ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Kill,
    Terminate,
    Shutdown,
}

/// Which of a writer's steps may be found.
#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    least: u64,
    acknowledged: u64,
    most: u64,
}

/// What is known to be safe while a round runs.
#[derive(Debug)]
struct Safe {
    /// Steps of each writer that are on disk.
    steps: Vec<u64>,
    /// The log is on: what is acknowledged is as safe as the policy makes it.
    logged: bool,
}

struct Campaign {
    config: Config,
    rng: SmallRng,
    /// Holds `data`, and `keys` if files are encrypted.
    home: TempDir,
    models: Vec<Model>,
    bounds: Vec<Bounds>,
    courier: Courier,
    report: Report,
}

/// Runs a campaign in a folder of its own. `progress` is called after each round.
///
/// # Errors
/// Something acknowledged is missing, something is there by half, a server does not start again. The files are kept then,
/// and the message says where.
pub fn run(config: &Config, progress: impl Fn(u32, &Report)) -> Result<Report> {
    let home = tempfile::Builder::new().prefix("holdfast-torture-").tempdir()?;
    std::fs::create_dir(home.path().join("data"))?;
    std::fs::write(home.path().join("keys"), format!("1 {}\n", "5a".repeat(32)))?;
    let mut campaign = Campaign {
        rng: SmallRng::seed_from_u64(config.seed),
        home,
        models: vec![Model::default(); config.writers],
        bounds: vec![Bounds::default(); config.writers],
        courier: Courier::default(),
        report: Report::default(),
        config: config.clone(),
    };
    for round in 1..=config.rounds {
        if let Err(error) = campaign.round() {
            let kept = campaign.home.keep();
            return Err(error).with_context(|| {
                format!(
                    "{config:?}\nround {round}, {:?}; the files are in {}",
                    campaign.report,
                    kept.display()
                )
            });
        }
        progress(round, &campaign.report);
    }
    campaign.start()?; // looks at what the last kill left
    Ok(campaign.report)
}

impl Campaign {
    fn round(&mut self) -> Result<()> {
        let server = self.start()?;
        if self.config.convert {
            // The snapshot holds the data meanwhile; the log's files are of before.
            let mut client = server.connect()?;
            for line in ["SAVE", "CONFIG SET appendonly no"] {
                let reply = client.command(line)?;
                ensure!(!reply.is_error(), "{line}: {reply:?}");
            }
        }
        let began: Vec<u64> = self.models.iter().map(|m| m.steps).collect();
        let writers: Vec<Writer> = began
            .iter()
            .enumerate()
            .map(|(i, n)| Writer::new(i, *n))
            .collect();
        let round = Round {
            seed: self.rng.random(),
            config: &self.config,
            address: server.address(),
            stop: AtomicBool::new(false),
            writers: &writers,
            safe: Mutex::new(Safe {
                steps: began.clone(),
                logged: self.config.policy != Policy::Snapshots && !self.config.convert,
            }),
        };
        let lasts = self
            .rng
            .random_range(Duration::from_millis(50)..self.config.longest);
        let ending = match self.rng.random_range(0..6) {
            0 if !self.config.convert => Ending::Terminate,
            1 if !self.config.convert => Ending::Shutdown,
            _ => Ending::Kill,
        };
        let report = &mut self.report;
        let courier = &self.courier;
        let (ends, told, killed_at) = std::thread::scope(|scope| -> Result<_> {
            let round = &round;
            let threads: Vec<_> = writers
                .iter()
                .map(|writer| scope.spawn(|| writer.run(round.config.seed, round.address, &round.stop)))
                .collect();
            let courier = scope.spawn(|| courier.run(round.address, &round.stop));
            let disturber = scope.spawn(|| round.disturb());
            // The moment of the kill is random: nothing is waited for.
            std::thread::sleep(lasts);
            if let Ok(info) = server.connect().and_then(|mut c| c.command("INFO persistence")) {
                let has = |field: &str| info.text().is_some_and(|t| t.contains(field));
                report.in_rewrite += u32::from(has("aof_rewrite_in_progress:1"));
                report.in_save += u32::from(has("rdb_bgsave_in_progress:1"));
            }
            let killed_at = Instant::now();
            let ended = end(server, ending);
            round.stop.store(true, Ordering::SeqCst);
            let ends: Vec<End> = threads
                .into_iter()
                .map(|t| t.join().expect("no writer panics"))
                .collect();
            let told = courier.join().expect("the courier does not panic");
            report.snapshots += disturber.join().expect("the disturber does not panic")?;
            ended?;
            Ok((ends, told, killed_at))
        })?;
        match ending {
            Ending::Kill => self.report.killed += 1,
            Ending::Terminate | Ending::Shutdown => self.report.ended += 1,
        }
        let safe = round.safe.into_inner().expect("nobody panics with it");
        let keeps_all = match (self.config.policy, ending) {
            (Policy::Always, Ending::Kill) => safe.logged,
            (Policy::Everysec | Policy::Snapshots, Ending::Kill) => false,
            // Snapshots have a save point, so the end saves.
            (_, Ending::Terminate | Ending::Shutdown) => true,
        };
        for (writer, end) in writers.iter().zip(&ends) {
            if let Some(refused) = &end.refused {
                anyhow::bail!("{refused}");
            }
            let acknowledged = writer.acknowledged.load(Ordering::SeqCst);
            let old = |(at, _): &&(Instant, u64)| *at + EVERYSEC_LOSES < killed_at;
            let least = match self.config.policy {
                _ if keeps_all => acknowledged,
                Policy::Everysec if safe.logged => {
                    end.acknowledged.iter().rev().find(old).map_or(0, |(_, n)| *n)
                }
                Policy::Always | Policy::Everysec | Policy::Snapshots => 0,
            };
            self.report.acknowledged += acknowledged - began[writer.index];
            self.bounds[writer.index] = Bounds {
                least: least.max(safe.steps[writer.index]),
                acknowledged,
                most: writer.sent.load(Ordering::SeqCst),
            };
        }
        self.courier.expect(told, keeps_all);
        Ok(())
    }

    /// Starts the server, sometimes only after it was killed while it loaded, and looks at what it holds.
    fn start(&mut self) -> Result<Server> {
        for _ in 0..self.rng.random_range(0..3) {
            let server = Server::launch(self.config.role, &self.options())?;
            std::thread::sleep(self.rng.random_range(Duration::ZERO..Duration::from_millis(80)));
            server.kill()?;
            self.report.killed_early += 1;
        }
        let server = Server::start(self.config.role, &self.options())?;
        let mut client = server.connect()?;
        for (writer, (model, bounds)) in self.models.iter_mut().zip(&self.bounds).enumerate() {
            let (least, most) = (bounds.least, bounds.most);
            verify::advance(&mut client, self.config.seed, writer, model, least, most)
                .with_context(|| format!("{bounds:?}; the log:\n{}", server.log()))?;
            self.report.beyond += model.steps.saturating_sub(bounds.acknowledged);
            self.report.lost += bounds.acknowledged.saturating_sub(model.steps);
        }
        verify::accounts(&mut client, &self.models)?;
        self.report.jobs = self.courier.verify(&mut client)?;
        Ok(server)
    }

    fn options(&self) -> Options {
        let options = Options::new().dir(&self.home.path().join("data")).threads(3);
        let options = match self.config.policy {
            Policy::Snapshots => options.directive("save", "3600 1"),
            Policy::Always => options
                .directive("appendonly", "yes")
                .directive("appendfsync", "always"),
            Policy::Everysec => options
                .directive("appendonly", "yes")
                .directive("appendfsync", "everysec"),
        };
        // Small, so that it is rewritten without being asked, too.
        let options = options
            .directive("auto-aof-rewrite-percentage", "100")
            .directive("auto-aof-rewrite-min-size", "4mb");
        if self.config.encrypted {
            options.directive(
                "encryption-key-file",
                &self.home.path().join("keys").to_string_lossy(),
            )
        } else {
            options
        }
    }
}

struct Round<'a> {
    seed: u64,
    config: &'a Config,
    address: SocketAddr,
    stop: AtomicBool,
    writers: &'a [Writer],
    safe: Mutex<Safe>,
}

impl Round<'_> {
    /// Saves and rewrites until the end; the number of those that ended well.
    fn disturb(&self) -> Result<u32> {
        let mut ended = 0;
        match self.save_and_rewrite(&mut ended) {
            Err(error) if !self.stop.load(Ordering::SeqCst) && !self.is_gone() => Err(error),
            _ => Ok(ended),
        }
    }

    fn is_gone(&self) -> bool {
        let answer = Client::connect(self.address).and_then(|mut c| c.command("PING"));
        answer.is_err()
    }

    fn save_and_rewrite(&self, ended: &mut u32) -> Result<()> {
        let mut rng = SmallRng::seed_from_u64(self.seed);
        let mut client = Client::connect(self.address)?;
        std::thread::sleep(rng.random_range(Duration::ZERO..self.config.longest / 4));
        if self.config.convert {
            let reply = client.command("CONFIG SET appendonly yes")?;
            ensure!(!reply.is_error(), "{reply:?}");
            self.wait_for_snapshot(&mut client)?;
            self.safe.lock().expect("nobody panics with it").logged = true;
            *ended += 1;
        }
        while !self.stop.load(Ordering::SeqCst) {
            let before: Vec<u64> = self
                .writers
                .iter()
                .map(|w| w.acknowledged.load(Ordering::SeqCst))
                .collect();
            let saves = self.config.policy == Policy::Snapshots || rng.random_bool(0.4);
            let reply = client.command(if saves { "BGSAVE" } else { "BGREWRITEAOF" })?;
            // An automatic rewrite may be under way.
            if !reply.is_error() {
                self.wait_for_snapshot(&mut client)?;
                *ended += 1;
                if self.config.policy == Policy::Snapshots {
                    self.safe.lock().expect("nobody panics with it").steps = before;
                }
            }
            std::thread::sleep(rng.random_range(Duration::ZERO..Duration::from_millis(100)));
        }
        Ok(())
    }

    /// Until neither a save nor a rewrite runs or is to come.
    fn wait_for_snapshot(&self, client: &mut Client) -> Result<()> {
        wait_until("nothing is saved or rewritten", || {
            let info = client.command("INFO persistence")?;
            let text = info.text().context("INFO answers text")?;
            let bad = text.lines().find(|l| l.ends_with("_status:err"));
            ensure!(bad.is_none(), "{bad:?}");
            let runs = [
                "rdb_bgsave_in_progress",
                "aof_rewrite_in_progress",
                "aof_rewrite_scheduled",
            ];
            Ok(!runs.iter().any(|field| text.contains(&format!("{field}:1"))))
        })
    }
}

fn end(server: Server, ending: Ending) -> Result<()> {
    match ending {
        Ending::Kill => server.kill(),
        Ending::Terminate => server.terminate(),
        Ending::Shutdown => {
            let mut client = server.connect()?;
            client.send(&["SHUTDOWN"])?;
            server.wait_for_end()
        }
    }
}
