//! The campaigns of [`holdfast_tests::cluster`], beside clusters of redis-server:
//! `cargo run --release -p holdfast-tests --bin cluster -- --rounds 20`.

use std::time::Duration;

use clap::Parser;
use holdfast_tests::cluster::Setup;
use holdfast_tests::cluster::kills;
use holdfast_tests::cluster::parted::{Cut, Outcome, cut_off, slow_links, stand_still};
use holdfast_tests::failover::median_and_worst;
use holdfast_tests::server::Role;

/// Six nodes, three of them primaries, under writes with WAIT 1: a primary is killed again and again, or cut off, or stands
/// still.
#[derive(Parser)]
struct Options {
    /// How often a primary of Holdfast's cluster is killed.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// How often in each of the clusters of redis-server: at its default node timeout, and at 1000 ms.
    #[arg(long, default_value_t = 5)]
    redis_rounds: usize,
    /// In place of kills: links that are cut and slow, processes that stand still. Takes root.
    #[arg(long)]
    parted: bool,
    /// Without redis-server.
    #[arg(long)]
    alone: bool,
    /// Without Holdfast.
    #[arg(long)]
    redis: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut sides = Vec::new();
    if !options.redis {
        sides.push(("holdfast", Setup::new(Role::Subject)));
    }
    if !options.alone {
        let redis = Setup::new(Role::Oracle);
        let quick = redis.clone().directive("cluster-node-timeout", "1000");
        if !options.parted {
            sides.push(("redis, defaults", redis));
        }
        sides.push(("redis, node-timeout 1000", quick));
    }
    let mut lost = Vec::new();
    for (name, setup) in sides {
        let ours = setup.role == Role::Subject;
        let gone = match options.parted {
            true => parted(name, &setup)?,
            false => {
                let rounds = if ours {
                    options.rounds
                } else {
                    options.redis_rounds
                };
                killed(name, setup, rounds)?
            }
        };
        if ours {
            lost.extend(gone);
        }
    }
    anyhow::ensure!(lost.is_empty(), "lost: {lost:?}");
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn killed(name: &str, setup: Setup, rounds: usize) -> anyhow::Result<Vec<String>> {
    let report = kills::campaign(setup, rounds)?;
    let times = |leader: Option<bool>| -> Vec<Duration> {
        let wanted = report
            .rounds
            .iter()
            .filter(|r| leader.is_none_or(|l| r.leader == l));
        wanted.map(|r| r.outage).collect()
    };
    for (what, times) in [
        ("all rounds", times(None)),
        ("leader of the control plane among the killed", times(Some(true))),
    ] {
        if times.is_empty() {
            continue;
        }
        let (median, worst) = median_and_worst(&times);
        println!(
            "{name:24} {what}: {} rounds, every slot writable after: median {} worst {}",
            times.len(),
            seconds(median),
            seconds(worst)
        );
    }
    println!(
        "{name:24} acknowledged with WAIT 1: {}, lost: {}",
        report.acked,
        report.lost.len()
    );
    Ok(report.lost)
}

/// What happens to a cluster in one story.
type Story = Box<dyn Fn(Setup) -> anyhow::Result<Outcome>>;

fn parted(name: &str, setup: &Setup) -> anyhow::Result<Vec<String>> {
    let stories: Vec<(&str, Story)> = vec![
        ("cut off", Box::new(|setup| cut_off(setup, Cut::Both))),
        ("hears nothing", Box::new(|setup| cut_off(setup, Cut::Deaf))),
        ("is not heard", Box::new(|setup| cut_off(setup, Cut::Mute))),
        ("stands still", Box::new(stand_still)),
        (
            "links 20 ms slower",
            Box::new(|setup| slow_links(setup, Duration::from_millis(20))),
        ),
    ];
    let mut lost = Vec::new();
    for (what, story) in stories {
        let outcome = match story(setup.clone()) {
            Ok(outcome) => outcome,
            // Redis is not ours to mend: what it does not survive is told.
            Err(error) if setup.role == Role::Oracle => {
                let text = format!("{error:#}");
                println!("{name:24} {what}: {}", text.lines().next().unwrap_or_default());
                continue;
            }
            Err(error) => return Err(error),
        };
        println!(
            "{name:24} {what}: writable after {}, the old primary's last acknowledgement after {}, acknowledged by it after \
             another served: {}, with WAIT 1: {}, lost: {}",
            outcome.outage.map_or("-".to_owned(), seconds),
            outcome.last_ack.map_or("-".to_owned(), seconds),
            outcome.late,
            outcome.acked,
            outcome.lost.len()
        );
        lost.extend(outcome.lost);
        if outcome.late > 0 {
            lost.push(format!("{} late acknowledgements ({what})", outcome.late));
        }
    }
    Ok(lost)
}
