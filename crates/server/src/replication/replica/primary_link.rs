//! The thread that follows the primary: connects, synchronizes, applies the stream, and tries again when that breaks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use holdfast_replication::replica::{Auth, Failure, Greeting, Handshake, Next, Pace, Wanted};
use holdfast_replication::{ReplId, first_wanted};
use holdfast_resp::{CommandDecoder, DecodeLimits, DecodeScratch, Frame, encode_command};
use rand::Rng;

use super::super::failover;
use super::scan::{Piece, Scan};
use super::socket::{Broken, Socket};
use super::sync::full_sync;
use super::{Link, LinkState};
use crate::apply::{Applier, ApplyError};
use crate::client::{Client, flag};
use crate::cluster::endpoint;
use crate::config::{Param, PropagationErrors};
use crate::memory;
use crate::server::{APPLIER_ROW, Server};

/// An idle thread looks for the server's end so often.
const LOOK: Duration = Duration::from_millis(500);
/// The primary is told how far we are so often, as Redis's replicas do.
const ACK: Duration = Duration::from_secs(1);
/// Commands that are decoded before the first of them is applied.
const BATCH: usize = 64;
/// Errors of the stream's commands are told to the log so often.
const TELL: Duration = Duration::from_secs(1);

/// Serves the link that there is, until the server ends.
pub fn run(server: &Arc<Server>) {
    let follower = &server.replication.follower;
    let (mut pace, mut served): (Pace, Option<Arc<Link>>) = (Pace::default(), None);
    let mut distrust = false;
    while !server.shutdown.is_cancelled() {
        let Some(link) = follower.next_link(LOOK) else {
            continue;
        };
        if server.is_loading() {
            follower.pause(&link, LOOK / 5);
            continue;
        }
        if !served.as_ref().is_some_and(|s| Arc::ptr_eq(s, &link)) {
            (pace, served) = (Pace::default(), Some(Arc::clone(&link)));
        }
        let Err(broken) = follow(server, &link, &mut pace, distrust);
        let reached = link.state();
        link.set_state(LinkState::Connect, server.now_ms());
        memory::publish(server.threads + APPLIER_ROW);
        distrust = broken.spoils_history();
        if matches!(broken, Broken::Stopped) {
            continue;
        }
        say(&link, reached, &broken);
        let failure = if reached == LinkState::Transfer || distrust {
            follower.broken_syncs.fetch_add(1, Ordering::Relaxed);
            Failure::Sync
        } else {
            Failure::Link
        };
        follower.pause(&link, pace.failed(failure, rand::rng().random()));
    }
}

/// Tells the log why a connection has ended. The lines begin as Redis's: alarms look for them.
fn say(link: &Link, reached: LinkState, broken: &Broken) {
    let line = match (reached, broken) {
        // The standard library has no kind for a name that nobody can resolve.
        (LinkState::Connecting, Broken::Io(error))
            if error.to_string().starts_with("failed to lookup address") =>
        {
            format!("Unable to connect to MASTER: {error}")
        }
        (LinkState::Connecting | LinkState::Handshake, Broken::Io(error)) => {
            format!("Error condition on socket for SYNC: {error}")
        }
        (LinkState::Transfer, Broken::Io(error)) => format!("I/O error trying to sync with MASTER: {error}"),
        (LinkState::Transfer, Broken::Closed) => {
            "I/O error trying to sync with MASTER: connection lost".to_owned()
        }
        (LinkState::Transfer, Broken::Silence) => {
            "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' \
             parameter to a larger value."
                .to_owned()
        }
        (LinkState::Connecting | LinkState::Handshake, Broken::Silence) => {
            "Timeout connecting to the MASTER...".to_owned()
        }
        (LinkState::Connected, Broken::Io(error)) => format!("Connection with master lost. {error}"),
        (_, broken) => broken.to_string(),
    };
    tracing::warn!(primary = %format_args!("{}:{}", link.host, link.port), reached = reached.name(), "{line}");
    if reached == LinkState::Connected && !broken.spoils_history() {
        tracing::info!("Caching the disconnected master state.");
    }
}

/// One connection, from its begin to its end.
fn follow(
    server: &Arc<Server>,
    link: &Arc<Link>,
    pace: &mut Pace,
    distrust: bool,
) -> Result<std::convert::Infallible, Broken> {
    tracing::info!("Connecting to MASTER {}:{}", link.host, link.port);
    link.set_state(LinkState::Connecting, server.now_ms());
    let mut socket = Socket::connect(server, link)?;
    tracing::info!("MASTER <-> REPLICA sync started");
    link.set_state(LinkState::Handshake, server.now_ms());
    let shaken = shake_hands(server, &mut socket, distrust);
    match &shaken {
        Ok(_) => failover::answered(server, Ok(())),
        Err(Broken::Refused(refusal)) => failover::answered(server, Err(&refusal.to_string())),
        Err(_) => {} // nobody has answered: it is asked again
    }
    let (next, everything) = shaken?;

    let (addr, laddr) = socket.addresses();
    let client = Arc::new(Client::new(
        server.clients.next_id(),
        addr,
        laddr,
        socket.descriptor(),
        server.now_ms(),
        false,
    ));
    client.set_flag(flag::PRIMARY, true);
    server.clients.add(Arc::clone(&client));
    socket.client = Some(Arc::clone(&client));
    let row = server.threads + APPLIER_ROW;
    let mut applier = Applier::mirror(server, row, client, Arc::clone(&link.stop));
    match next {
        Next::Full { id, offset } => {
            tracing::info!("Full resync from master: {id}:{offset}");
            if !everything {
                tracing::info!("Discarding previously cached master state.");
            }
            full_sync(server, link, &mut socket, &mut applier, (id, offset))?;
        }
        Next::Continue { id } => go_on(server, link, id)?,
        Next::Wait | Next::Send(_) => return Err(Broken::Stopped), // shake_hands ends with neither
    }
    let follower = &server.replication.follower;
    if let Err(error) = applier.select(follower.stream_db.load(Ordering::Relaxed)) {
        tracing::error!(%error, "the primary's stream is in a database that this server does not have");
    }
    let mut stream = Mirror {
        server,
        link,
        socket,
        applier,
        scan: Scan::default(),
        decoder: CommandDecoder::new(),
        scratch: DecodeScratch::new(),
        begin: server.log.end_offset(),
        taken: 0,
        ack_wanted: true,
        told: None,
    };
    let end = stream.run(pace);
    follower.set_stream_db(stream.applier.db());
    end
}

/// The answer to PSYNC, and whether everything was asked for.
fn shake_hands(server: &Server, socket: &mut Socket<'_>, distrust: bool) -> Result<(Next, bool), Broken> {
    let greeting = greeting(server, distrust);
    let wanted = greeting.wanted;
    let (mut handshake, first) = Handshake::begin(greeting);
    socket.send(&first)?;
    let mut alive = false;
    loop {
        match handshake.line(&socket.line()?)? {
            Next::Wait => {}
            Next::Send(bytes) => {
                if !std::mem::replace(&mut alive, true) {
                    tracing::info!("Master replied to PING, replication can continue...");
                } else if let Wanted::Rest { id, end } = wanted {
                    tracing::info!(
                        "Trying a partial resynchronization (request {id}:{}).",
                        first_wanted(end)
                    );
                } else {
                    tracing::info!("Partial resynchronization not possible (no cached master)");
                }
                socket.send(&bytes)?;
            }
            answer @ (Next::Full { .. } | Next::Continue { .. }) => {
                for refused in handshake.refused() {
                    tracing::info!("(Non critical) Master does not understand REPLCONF: {refused}");
                }
                return Ok((answer, wanted == Wanted::Everything));
            }
        }
    }
}

/// Where the cluster finds this node, if it does. The primary knows its replicas by that; the address that a connection comes
/// from may be another one of this machine.
fn place_in_cluster(server: &Server) -> Option<(Vec<u8>, u16)> {
    let view = server.cluster.get()?.view();
    let at = &view.state.nodes.get(&view.me)?.endpoint;
    let port = endpoint::port(at, server.config.flag(Param::TlsReplication));
    (!at.ip.is_empty()).then(|| (at.ip.clone().into_bytes(), port))
}

fn greeting(server: &Server, distrust: bool) -> Greeting {
    let config = &server.config;
    let text = |param| Some(config.text(param).to_vec()).filter(|text| !text.is_empty());
    let port = match config.int(Param::ReplicaAnnouncePort) {
        0 if config.flag(Param::TlsReplication) => config.int(Param::TlsPort),
        0 => config.int(Param::Port),
        announced => announced,
    };
    let (ip, port) = match place_in_cluster(server) {
        Some((ip, port)) => (Some(ip), port),
        None => (text(Param::ReplicaAnnounceIp), port as u16),
    };
    let end = server.log.end_offset();
    let has_none = end == 0 && !server.replication.follower.has_synced.load(Ordering::Relaxed);
    Greeting {
        auth: text(Param::Masterauth).map(|password| Auth {
            user: text(Param::Masteruser),
            password,
        }),
        port,
        ip,
        wanted: if distrust || has_none {
            Wanted::Everything
        } else {
            Wanted::Rest {
                id: server.replication.history().id(),
                end,
            }
        },
        gives_way: server.replication.failover.note_asked(),
    }
}

/// The primary goes on where our log ends.
fn go_on(server: &Server, link: &Link, id: Option<ReplId>) -> Result<(), Broken> {
    tracing::info!("Successful partial resynchronization with master.");
    let _role_stays = server.keyspace.lock_one(0);
    if link.is_stopped() {
        return Err(Broken::Stopped);
    }
    if let Some(id) = id
        && id != server.replication.history().id()
    {
        tracing::info!("Master replication ID changed to {id}");
    }
    server.replication.partial_sync_done(server, id);
    link.set_state(LinkState::Connected, server.now_ms());
    server.replication.follower.note_whole();
    tracing::info!("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
    Ok(())
}

/// The stream, on its way into the data and into our log.
struct Mirror<'l> {
    server: &'l Arc<Server>,
    link: &'l Link,
    socket: Socket<'l>,
    applier: Applier,
    scan: Scan,
    decoder: CommandDecoder,
    scratch: DecodeScratch,
    /// Where the log ended before the stream.
    begin: u64,
    /// Bytes of the stream that were taken since.
    taken: u64,
    ack_wanted: bool,
    /// When the log was told last of a command that failed.
    told: Option<Instant>,
}

impl Mirror<'_> {
    fn run(&mut self, pace: &mut Pace) -> Result<std::convert::Infallible, Broken> {
        let (mut acked, mut held) = (Instant::now(), false);
        loop {
            // Whoever holds writers back (a disk, a snapshot) holds the primary back, too: what cannot be kept is not taken.
            let throttle = &self.server.throttle;
            held = throttle.stops() || (throttle.is_on() && !held);
            if !held {
                self.apply()?;
            }
            if acked.elapsed() >= ACK {
                // It has held for a while: the next failure is a new one.
                pace.succeeded();
                self.ack_wanted = true;
            }
            if std::mem::take(&mut self.ack_wanted) {
                acked = Instant::now();
                let ack = self.acknowledgement();
                self.socket.send(&ack)?;
            }
            if held {
                std::thread::sleep(Duration::from_millis(self.server.throttle.tick_ms()));
                self.socket.check()?;
            } else {
                self.socket.fill()?;
            }
        }
    }

    fn acknowledgement(&self) -> Vec<u8> {
        let end = self.server.log.end_offset();
        // The file may still be one of the log before a full synchronization: then nothing of this one is in it.
        let synced = Some(self.server.acks.local_synced()).filter(|synced| *synced <= end);
        let (offset, synced) = (end.to_string(), synced.unwrap_or(0).to_string());
        let mut argv: Vec<&[u8]> = vec![b"REPLCONF", b"ACK", offset.as_bytes()];
        if self.server.config.flag(Param::Appendonly) {
            argv.extend([&b"FACK"[..], synced.as_bytes()]);
        }
        let mut out = Vec::new();
        encode_command(&mut out, &argv);
        out
    }

    /// Applies the commands that have come whole.
    fn apply(&mut self) -> Result<(), Broken> {
        let inbox = std::mem::take(&mut self.socket.inbox);
        let result = self.apply_from(&inbox);
        self.applier.flush();
        let taken = match &result {
            Ok(taken) => *taken,
            Err(_) => 0,
        };
        self.taken += taken as u64;
        self.link
            .waiting
            .store((inbox.len() - taken) as u64, Ordering::Relaxed);
        self.socket.inbox = inbox;
        self.socket.inbox.drain(..taken);
        result?;
        let agrees = self.server.log.end_offset() == self.begin + self.taken;
        if taken > 0 && !agrees && !self.applier.in_transaction() {
            // Either the role has changed just now, and what follows in the log is ours, or this program is wrong.
            return Err(if self.link.is_stopped() {
                Broken::Stopped
            } else {
                Broken::Offsets
            });
        }
        Ok(())
    }

    /// How many bytes were used.
    fn apply_from(&mut self, inbox: &[u8]) -> Result<usize, Broken> {
        const LIMITS: DecodeLimits = DecodeLimits {
            max_bulk_len: usize::MAX,
            max_inline_len: 64 << 10,
            max_query_buffer: usize::MAX,
            authenticated: true,
        };
        let mut at = 0;
        let mut scratch = std::mem::take(&mut self.scratch);
        while at < inbox.len() {
            let rest = &inbox[at..];
            let ahead = match self.scan.is_midway() {
                true => 0,
                false => self.decoder.batch(rest, &mut scratch, &LIMITS, BATCH),
            };
            let mut begin = 0;
            for i in 0..ahead {
                let (frame, end) = scratch.frame(rest, i);
                self.command(frame, &rest[begin..end])?;
                begin = end;
            }
            at += begin;
            if ahead > 0 {
                continue;
            }
            match self.scan.next(rest)? {
                None => break,
                Some(Piece::Nothing(len)) => {
                    self.applier.aside(&rest[..len]);
                    at += len;
                }
                Some(Piece::Command(len)) => {
                    let raw = &rest[..len];
                    let mut decoder = std::mem::take(&mut self.decoder);
                    match decoder.next(&mut &*raw, &mut scratch, &LIMITS) {
                        Ok(Some(frame)) => self.command(frame, raw)?,
                        // A command without words.
                        Ok(None) => self.applier.aside(raw),
                        Err(_) => return Err(super::scan::BadStream::Length.into()),
                    }
                    at += len;
                }
            }
        }
        self.scratch = scratch;
        Ok(at)
    }

    fn command(&mut self, frame: Frame<'_>, raw: &[u8]) -> Result<(), Broken> {
        let asks = frame.name().eq_ignore_ascii_case(b"replconf")
            && frame
                .get(1)
                .is_some_and(|word| word.eq_ignore_ascii_case(b"getack"));
        self.ack_wanted |= asks;
        match self.applier.command(frame, raw) {
            Ok(()) => Ok(()),
            Err(ApplyError::Stopped) => Err(Broken::Stopped),
            Err(error @ (ApplyError::Unknown(_) | ApplyError::Failed { .. } | ApplyError::TooLong)) => {
                let failed = &self.server.replication.follower.failed_commands;
                let count = failed.fetch_add(1, Ordering::Relaxed) + 1;
                if self.told.is_none_or(|told| told.elapsed() >= TELL) {
                    self.told = Some(Instant::now());
                    tracing::error!(
                        count,
                        "== CRITICAL == This replica has applied a command of its master in vain: {error}"
                    );
                }
                match PropagationErrors::from_code(self.server.config.int(Param::PropagationErrorBehavior)) {
                    PropagationErrors::Ignore => Ok(()),
                    PropagationErrors::Panic | PropagationErrors::PanicOnReplicas => Err(Broken::Failed),
                }
            }
        }
    }
}
