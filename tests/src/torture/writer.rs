//! A client that does the steps of a [`Model`](super::model::Model) one after the other, some ahead of their replies,
//! and remembers what was acknowledged when.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::model::{Form, Step, Words, database, step};
use crate::client::Client;
use crate::reply::{Reply, encode_command};

/// Steps that are sent before the first one's reply is read, at most.
const AHEAD: u64 = 16;
/// Runs the commands in ARGV, each after the number of its words.
const SCRIPT: &[u8] = b"local i = 1 while ARGV[i] do local n = tonumber(ARGV[i]) \
    redis.pcall(unpack(ARGV, i + 1, i + n)) i = i + n + 1 end return i";

/// What a writer knows of itself.
#[derive(Debug)]
pub struct Writer {
    /// Number among the writers.
    pub index: usize,
    /// Steps sent, or begun to be.
    pub sent: AtomicU64,
    /// Steps acknowledged.
    pub acknowledged: AtomicU64,
}

/// How it ended.
#[derive(Debug, Default)]
pub struct End {
    /// When which number of steps was acknowledged.
    pub acknowledged: Vec<(Instant, u64)>,
    /// An error reply, which there must not be.
    pub refused: Option<String>,
}

impl Writer {
    /// A writer that has done `steps`.
    pub fn new(index: usize, steps: u64) -> Writer {
        Writer {
            index,
            sent: AtomicU64::new(steps),
            acknowledged: AtomicU64::new(steps),
        }
    }

    /// Does steps until the server is gone, refuses one, or `stop` is set.
    pub fn run(&self, seed: u64, address: SocketAddr, stop: &AtomicBool) -> End {
        let mut end = End::default();
        // Whatever fails: the server is gone, or says so below.
        let _gone = self.work(seed, address, stop, &mut end);
        end
    }

    fn work(&self, seed: u64, address: SocketAddr, stop: &AtomicBool, end: &mut End) -> Result<()> {
        let mut client = Client::connect(address)?;
        client.command(&format!("SELECT {}", database(self.index)))?;
        let mut rng = SmallRng::seed_from_u64(seed ^ self.index as u64);
        let mut next = self.sent.load(Ordering::SeqCst) + 1;
        while !stop.load(Ordering::Relaxed) {
            let (mut bytes, mut awaited) = (Vec::new(), Vec::new());
            let last = next + rng.random_range(0..AHEAD);
            for number in next..=last {
                let commands = sent_as(&step(seed, self.index, number), self.index);
                commands.iter().for_each(|c| encode_command(c, &mut bytes));
                awaited.push((number, commands.len()));
            }
            next = last + 1;
            self.sent.store(last, Ordering::SeqCst);
            client.send_raw(&bytes)?;
            for (number, replies) in awaited {
                for _ in 0..replies {
                    let reply = client.receive()?;
                    if let Some(refusal) = refusal(&reply) {
                        end.refused = Some(format!("step {number} of writer {}: {refusal}", self.index));
                        return Ok(());
                    }
                }
                self.acknowledged.store(number, Ordering::SeqCst);
                end.acknowledged.push((Instant::now(), number));
            }
        }
        Ok(())
    }
}

/// An error that is none of the steps' own (the same id in a stream twice).
fn refusal(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Error(text) if !text.starts_with(b"ERR The ID specified in XADD") => {
            Some(String::from_utf8_lossy(text).into_owned())
        }
        Reply::Array(items) => items.iter().find_map(refusal),
        Reply::NullArray => Some("the transaction was not executed".into()),
        _ => None,
    }
}

/// The commands in which a step is sent.
fn sent_as(step: &Step, writer: usize) -> Vec<Words> {
    let word = |text: &str| text.as_bytes().to_vec();
    match step.form {
        Form::Plain => step.commands.clone(),
        Form::Transaction => {
            let mut all = vec![vec![word("MULTI")]];
            if let Some((from, to, amount)) = step.transfer {
                let amount = word(&amount.to_string());
                all.push(vec![word("SELECT"), word("0")]);
                all.push(vec![
                    word("DECRBY"),
                    word(&format!("account:{from}")),
                    amount.clone(),
                ]);
                all.push(vec![word("INCRBY"), word(&format!("account:{to}")), amount]);
                all.push(vec![word("SELECT"), word(&database(writer).to_string())]);
            }
            all.extend(step.commands.iter().cloned());
            all.push(vec![word("EXEC")]);
            all
        }
        Form::Script => {
            let keys: Vec<Vec<u8>> = step.commands.iter().flat_map(keys_of).collect();
            let mut script = vec![word("EVAL"), SCRIPT.to_vec(), word(&keys.len().to_string())];
            script.extend(keys);
            for command in &step.commands {
                script.push(word(&command.len().to_string()));
                script.extend(command.iter().cloned());
            }
            vec![script]
        }
    }
}

fn keys_of(command: &Words) -> Vec<Vec<u8>> {
    let args = &command[1..];
    match &command[0][..] {
        b"MSET" => args.chunks(2).map(|pair| pair[0].clone()).collect(),
        b"DEL" => args.to_vec(),
        b"COPY" => args[..2].to_vec(),
        _ => args[..1].to_vec(),
    }
}
