//! The thread of the engine: gives it what happens, one thing at a time, and performs what comes out. Must not know: what
//! any of it means.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::bus;
use super::clock::monotonic_ms;
use super::handle::{MeetError, Shared};
use crate::engine::{Address, Engine, Event, Input, NO_ANSWER, Output, Persist, ProposeError, Report, Token};
use crate::ids::{NodeId, ShardId};
use crate::proto;
use crate::state::{Applied, Endpoint, Entry};

/// What the driver is asked for.
pub(super) enum Command {
    Message(Box<proto::Envelope>),
    Propose(Entry, oneshot::Sender<Result<Applied, ProposeError>>),
    Meet(Address, oneshot::Sender<Result<(), MeetError>>),
    Reset(Option<NodeId>, ShardId, oneshot::Sender<()>),
    Report(Report),
    Loaded(bool),
    Endpoint(Endpoint),
    Publish(proto::Publish),
    HandOver(u64, u64),
}

/// A MEET that waits for its end.
pub(super) struct Meeting {
    address: Address,
    answer: oneshot::Sender<Result<(), MeetError>>,
}

pub(super) struct Driver {
    pub engine: Engine,
    pub observer: Box<dyn FnMut(&Event) + Send>,
    pub shared: Arc<Shared>,
    pub writer: std::sync::mpsc::Sender<Persist>,
    pub queue: mpsc::Receiver<Command>,
    pub written: mpsc::UnboundedReceiver<u64>,
    pub waiting: HashMap<Token, oneshot::Sender<Result<Applied, ProposeError>>>,
    pub next_token: Token,
    pub meetings: Vec<Meeting>,
}

/// Meetings that may wait.
const MAX_MEETINGS: usize = 1000;

/// Runs until it is told to stop, or nobody can tell it so any more.
pub(super) fn run(
    mut driver: Driver,
    parts: bus::Parts,
    first: Output,
    stop: oneshot::Receiver<()>,
    ready: oneshot::Sender<std::io::Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    runtime.block_on(async move {
        let port = driver.shared.bus_port;
        let bus = bus::start(parts, Arc::clone(&driver.shared), port);
        let mut bus = match bus {
            Ok(bus) => bus,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        driver.perform(&mut bus, first);
        let _ = ready.send(Ok(()));
        driver.work(&mut bus, stop).await;
    });
}

impl Driver {
    async fn work(&mut self, bus: &mut bus::Sender, mut stop: oneshot::Receiver<()>) {
        let mut ticks = tokio::time::interval(Duration::from_millis(self.engine.timing().tick_ms));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let input = tokio::select! {
                // Also when the handle is gone.
                _ = &mut stop => return,
                _ = ticks.tick() => {
                    let status = self.engine.status();
                    if status.in_contact && status.leader.is_some() {
                        self.shared.contact_at.store(monotonic_ms(), Ordering::Relaxed);
                    }
                    *self.shared.status.lock() = status;
                    Input::Tick
                }
                number = self.written.recv() => match number {
                    Some(number) => Input::Persisted(number),
                    None => return,
                },
                command = self.queue.recv() => match command {
                    Some(command) => self.input_of(command),
                    None => return,
                },
            };
            let output = self.engine.step(monotonic_ms(), input);
            self.perform(bus, output);
        }
    }

    /// The engine's input for a command.
    fn input_of(&mut self, command: Command) -> Input {
        match command {
            Command::Message(envelope) => Input::Message(envelope),
            Command::Propose(entry, answer) => {
                self.next_token += 1;
                self.waiting.insert(self.next_token, answer);
                Input::Propose {
                    token: self.next_token,
                    entry,
                }
            }
            Command::Meet(address, answer) => {
                if self.meetings.len() < MAX_MEETINGS {
                    self.meetings.push(Meeting {
                        address: address.clone(),
                        answer,
                    });
                }
                Input::Meet(address)
            }
            Command::Reset(node, shard, answer) => {
                // The answer leaves when the output is performed: nothing is awaited between.
                let _ = answer.send(());
                Input::Reset { node, shard }
            }
            Command::Report(report) => Input::Report(report),
            Command::Loaded(kept) => Input::Loaded { kept },
            Command::Endpoint(endpoint) => Input::Endpoint(endpoint),
            Command::Publish(message) => Input::Publish(message),
            Command::HandOver(epoch, offset) => Input::HandOver { epoch, offset },
        }
    }

    fn perform(&mut self, bus: &mut bus::Sender, output: Output) {
        for persist in output.persist {
            // It fails when the thread of the log has ended, which ends this one, too.
            let _ = self.writer.send(persist);
        }
        if let Some(until) = output.lease_until_ms {
            // Who loses a role loses the lease before the view shows it; who gains one gains the lease after.
            self.shared.lease_until.fetch_min(until, Ordering::SeqCst);
        }
        if let Some(view) = output.view {
            *self.shared.node.lock() = view.me;
            self.shared.view.set(view);
        }
        if let Some(until) = output.lease_until_ms {
            self.shared.lease_until.store(until, Ordering::SeqCst);
        }
        for message in output.messages {
            bus.send(message);
        }
        for event in output.events {
            self.note(&event);
            (self.observer)(&event);
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Answer { token, result } => {
                if let Some(answer) = self.waiting.remove(token) {
                    let _ = answer.send(result.clone());
                }
            }
            Event::Down(nodes) => self.shared.peers.down.lock().clone_from(nodes),
            Event::Met { with } => self.met(with, Ok(())),
            Event::JoinRefused { with, reason } => {
                let mut reason = reason.clone();
                if reason.starts_with(NO_ANSWER)
                    && let Some(why) = self.shared.peers.why_silent(with)
                {
                    reason = format!("{reason}: {why}");
                }
                self.met(with, Err(MeetError::Refused(reason)));
            }
            Event::Replaced => {
                // This node has joined: whatever was asked to meet is met or moot.
                for meeting in std::mem::take(&mut self.meetings) {
                    let _ = meeting.answer.send(Ok(()));
                }
                self.shared.peers.down.lock().clear();
            }
            Event::Leader(leader) => tracing::debug!("the cluster's leader: {leader:?}"),
            Event::Refused(why) => {
                if self.shared.notices.due(&why.to_string()) {
                    tracing::warn!("a message on the cluster bus was refused: {why}");
                }
            }
            Event::Halted(why) => tracing::error!(
                "the cluster's log has what this version cannot read ({why}): upgrade this node"
            ),
            Event::Changed { .. } | Event::Publish(_) | Event::HandOver { .. } => {}
        }
    }

    fn met(&mut self, with: &Address, result: Result<(), MeetError>) {
        let (these, others) = std::mem::take(&mut self.meetings)
            .into_iter()
            .partition(|meeting| meeting.address == *with);
        self.meetings = others;
        let these: Vec<Meeting> = these;
        for meeting in these {
            let _ = meeting.answer.send(result.clone());
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.lease_until.store(0, Ordering::SeqCst);
        for (_, answer) in self.waiting.drain() {
            let _ = answer.send(Err(ProposeError::Unknown));
        }
    }
}
