//! The task of a replica's connection: it hands over the snapshot, then the log as it grows, and hears how far the replica
//! is.
//!
//! What the socket has not taken stays where it is, in the log's blocks and in pieces that replicas share: a slow replica
//! has no buffer of its own.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use holdfast_replication::LogReader;
use smallvec::SmallVec;
use tokio::io::ReadBuf;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};

use super::sync::{Payload, Piece, Start};
use super::{Attached, Attachment, Begin, Stage};
use crate::config::Param;
use crate::net::stream::Stream;
use crate::session::{Flow, Session};
use crate::worker::Worker;

/// Bytes of the log that are on their way to the socket at once.
const STEP: usize = 256 << 10;
/// Bytes after which the connections beside it have their turn.
const TURN: usize = 2 << 20;
/// Reads after which it is sent something.
const ROUNDS: usize = 16;
/// Parts of one write.
const SLICES: usize = 32;
/// A replica has caught up when it is behind by no more than this, and has said so.
const NEAR: u64 = 1 << 20;
/// A replica that waits hears from its primary once in this time.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

type File = Box<dyn Read + Send>;

/// What comes next.
enum Phase {
    /// The snapshot has not begun.
    Waiting(oneshot::Receiver<Start>),
    /// It comes in pieces.
    Pieces(Box<Start>),
    /// A file is being written.
    Writing(Box<Start>),
    /// A part of the file is being read.
    Reading(Box<Start>, u64, JoinHandle<io::Result<(File, Vec<u8>)>>),
    /// The snapshot is sent; its end is seen by what does not come behind it, so the replica speaks first.
    Ack(LogReader),
    /// The log; up to which offset it is in `out` or sent.
    Log(LogReader, u64),
    /// There is nothing more to send.
    Over,
}

/// What is to be sent next.
enum Next {
    /// It is in `out`.
    Filled,
    /// There is nothing yet; the task is woken when there is.
    Nothing,
    /// The connection is to end, for this reason.
    End(&'static str),
}

/// See the module's documentation.
pub struct Link<'a> {
    stream: &'a mut Stream,
    session: &'a mut Session,
    replica: Arc<Attached>,
    phase: Phase,
    out: VecDeque<Bytes>,
    /// It waits for its snapshot, or for its file.
    alive: Interval,
    why: &'static str,
}

impl std::fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
}

impl<'a> Link<'a> {
    /// Goes on with a connection that has asked for data. `unsent`: replies to what it has asked before.
    pub fn new(
        stream: &'a mut Stream,
        session: &'a mut Session,
        attachment: Attachment,
        unsent: Vec<u8>,
    ) -> Self {
        let Attachment { replica, start } = attachment;
        let mut out = VecDeque::new();
        if !unsent.is_empty() {
            out.push_back(Bytes::from(unsent));
        }
        let phase = match start {
            Begin::Log(reader) => {
                let reply = if replica.who.psync2 {
                    format!("+CONTINUE {}\r\n", session.server.replication.history().id())
                } else {
                    "+CONTINUE\r\n".to_owned()
                };
                out.push_back(Bytes::from(reply));
                let sent = reader.place();
                Phase::Log(reader, sent)
            }
            Begin::Snapshot(started) => Phase::Waiting(started),
        };
        if session.server.config.flag(Param::ReplDisableTcpNodelay)
            && let Err(error) = stream.set_nodelay(false)
        {
            tracing::debug!(%error, "repl-disable-tcp-nodelay has no effect");
        }
        let mut alive = tokio::time::interval(KEEP_ALIVE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        alive.reset();
        Self {
            stream,
            session,
            replica,
            phase,
            out,
            alive,
            why: "",
        }
    }

    /// Takes what the replica says. Ready: the connection is over.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let open = Worker::with(|w, read| {
                let mut buf = ReadBuf::new(read);
                ready!(self.stream.poll_read(cx, &mut buf))?;
                let mut input = buf.filled();
                w.counters.net_in += input.len() as u64;
                w.counters.reads += 1;
                if input.is_empty() {
                    return Poll::Ready(Ok::<_, io::Error>(false));
                }
                w.begin_batch();
                let open = self.run(&mut input, w);
                w.end_batch();
                Poll::Ready(Ok(open))
            });
            match ready!(open) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(()),
                Err(error) => {
                    tracing::debug!(%error, "a replica's connection broke");
                    return Poll::Ready(());
                }
            }
        }
        // Others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Executes what it says; a replica gets no replies, as they would be taken for parts of the log. False: the
    /// connection is over.
    fn run(&mut self, input: &mut &[u8], w: &mut Worker) -> bool {
        self.replica.note_heard(w.now_ms);
        self.session
            .client
            .last_active_ms
            .store(w.now_ms, Ordering::Relaxed);
        while !input.is_empty() {
            let flow = self.session.process(input, w, usize::MAX);
            w.reply.clear();
            match flow {
                Flow::Continue => {}
                Flow::Close => return false,
                Flow::Blocked(_) | Flow::Paused(_) | Flow::Replica(_) => {
                    self.why = "it has sent a command that no replica sends";
                    return false;
                }
            }
        }
        true
    }

    /// Sends what is in `out`.
    fn poll_out(&mut self, cx: &mut Context<'_>, sent: &mut usize) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let n = {
                let slices: SmallVec<[IoSlice<'_>; SLICES]> = self
                    .out
                    .iter()
                    .take(SLICES)
                    .map(|part| IoSlice::new(part))
                    .collect();
                ready!(self.stream.poll_write_vectored(cx, &slices))?
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *sent += n;
            self.note_sent(n);
            let mut left = n;
            while left > 0
                && let Some(part) = self.out.front_mut()
            {
                let here = left.min(part.len());
                part.advance(here);
                left -= here;
                if part.is_empty() {
                    self.out.pop_front();
                }
            }
        }
        self.stream.poll_flush(cx)
    }

    fn note_sent(&self, n: usize) {
        let server = &self.session.server;
        self.replica.note_took(server.now_ms());
        server
            .replication
            .primary
            .counts
            .sent
            .fetch_add(n as u64, Ordering::Relaxed);
        Worker::with(|w, _| {
            w.counters.net_out += n as u64;
            w.counters.writes += 1;
            server.stats.add(w.id, &mut w.counters);
        });
    }

    /// Everything that was handed over is sent: looks for more.
    fn next(&mut self, cx: &mut Context<'_>) -> Next {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Waiting(mut started) => match Pin::new(&mut started).poll(cx) {
                Poll::Ready(Ok(start)) => self.begin(start),
                Poll::Ready(Err(_)) => Next::End("there is no snapshot for it"),
                Poll::Pending => self.wait(cx, Phase::Waiting(started)),
            },
            Phase::Pieces(mut start) => {
                let Payload::Stream(pieces) = &mut start.payload else {
                    return Next::End("its snapshot is of another kind");
                };
                match pieces.poll_recv(cx) {
                    Poll::Ready(Some(Piece::Bytes(bytes))) => {
                        self.out.push_back(bytes);
                        self.phase = Phase::Pieces(start);
                        Next::Filled
                    }
                    Poll::Ready(Some(Piece::End)) => {
                        self.out.push_back(Bytes::copy_from_slice(&start.mark));
                        self.snapshot_sent(*start);
                        Next::Filled
                    }
                    Poll::Ready(None) => Next::End("its snapshot was not made to its end"),
                    Poll::Pending => {
                        self.phase = Phase::Pieces(start);
                        Next::Nothing
                    }
                }
            }
            Phase::Writing(mut start) => {
                let Payload::File(made) = &mut start.payload else {
                    return Next::End("its snapshot is of another kind");
                };
                match Pin::new(made).poll(cx) {
                    Poll::Ready(Ok((file, len))) => {
                        self.out.push_back(Bytes::from(format!("${len}\r\n")));
                        self.phase = Phase::Reading(start, len, read(file, len));
                        Next::Filled
                    }
                    Poll::Ready(Err(_)) => Next::End("its snapshot was not made to its end"),
                    Poll::Pending => self.wait(cx, Phase::Writing(start)),
                }
            }
            Phase::Reading(start, len, mut part) => match Pin::new(&mut part).poll(cx) {
                Poll::Ready(Ok(Ok((file, bytes)))) if !bytes.is_empty() => {
                    let left = len.saturating_sub(bytes.len() as u64);
                    self.out.push_back(Bytes::from(bytes));
                    if left > 0 {
                        self.phase = Phase::Reading(start, left, read(file, left));
                    } else {
                        self.snapshot_sent(*start);
                    }
                    Next::Filled
                }
                Poll::Ready(Ok(Ok(_) | Err(_)) | Err(_)) => Next::End("its snapshot could not be read"),
                Poll::Pending => {
                    self.phase = Phase::Reading(start, len, part);
                    Next::Nothing
                }
            },
            Phase::Ack(reader) => {
                if !self.replica.has_acked() {
                    self.phase = Phase::Ack(reader);
                    return Next::Nothing; // what it says wakes this task
                }
                let sent = reader.place();
                self.go_online();
                self.phase = Phase::Log(reader, sent);
                self.next(cx)
            }
            Phase::Log(mut reader, sent) => {
                reader.advance_to(sent);
                self.replica.set_place(sent);
                self.note_near(&reader);
                let Ok(chunk) = reader.read_from(sent, STEP) else {
                    return Next::End("the log has begun anew");
                };
                if !chunk.pieces.is_empty() {
                    self.out.extend(chunk.pieces);
                    self.phase = Phase::Log(reader, chunk.end);
                    return Next::Filled;
                }
                let more = reader.register(sent, cx.waker());
                self.phase = Phase::Log(reader, sent);
                if more {
                    cx.waker().wake_by_ref();
                }
                Next::Nothing
            }
            Phase::Over => Next::End("it has what it wanted"),
        }
    }

    /// Waits, with a sign of life for the replica now and then.
    fn wait(&mut self, cx: &mut Context<'_>, phase: Phase) -> Next {
        self.phase = phase;
        if self.alive.poll_tick(cx).is_pending() {
            return Next::Nothing;
        }
        self.out.push_back(Bytes::from_static(b"\n"));
        Next::Filled
    }

    fn begin(&mut self, start: Start) -> Next {
        let offset = start.reader.place();
        let id = start.id;
        if !self.replica.is_old {
            self.out
                .push_back(Bytes::from(format!("+FULLRESYNC {id} {offset}\r\n")));
        }
        self.phase = match &start.payload {
            Payload::Stream(_) => {
                let mark = std::str::from_utf8(&start.mark).unwrap_or_default();
                self.out.push_back(Bytes::from(format!("$EOF:{mark}\r\n")));
                Phase::Pieces(Box::new(start))
            }
            Payload::File(_) => Phase::Writing(Box::new(start)),
        };
        if self.out.is_empty() {
            self.next_later()
        } else {
            Next::Filled
        }
    }

    fn next_later(&self) -> Next {
        self.session.client.waker.wake();
        Next::Nothing
    }

    fn snapshot_sent(&mut self, start: Start) {
        let name = self.replica.name();
        if self.replica.who.rdb_only {
            self.replica.set_stage(Stage::Sent);
            self.replica.set_catching_up(false);
            tracing::info!("RDB transfer completed, rdb only replica ({name}) should be disconnected asap");
            self.phase = Phase::Over;
            return;
        }
        match start.payload {
            Payload::Stream(_) => {
                tracing::info!(
                    "Streamed replica with replica {name} (socket). Waiting for REPLCONF ACK from replica to enable streaming"
                );
                self.phase = Phase::Ack(start.reader);
            }
            Payload::File(_) => {
                let sent = start.reader.place();
                self.go_online();
                self.phase = Phase::Log(start.reader, sent);
            }
        }
    }

    fn go_online(&self) {
        let server = &self.session.server;
        self.replica.set_stage(Stage::Online);
        self.replica.note_heard(server.now_ms());
        server.replication.primary.refresh_good(server);
        tracing::info!("Synchronization with replica {} succeeded", self.replica.name());
    }

    /// Lets writers go on as they like when the replica is near the log's end.
    fn note_near(&self, reader: &LogReader) {
        let replica = &self.replica;
        if replica.is_catching_up() && (replica.has_acked() || replica.is_old) && reader.behind() <= NEAR {
            replica.set_catching_up(false);
        }
    }
}

/// Reads the next part of a snapshot's file, on a thread that may wait for a disk.
fn read(mut file: File, left: u64) -> JoinHandle<io::Result<(File, Vec<u8>)>> {
    tokio::task::spawn_blocking(move || {
        let mut part = Vec::with_capacity(STEP);
        (&mut file).take(left.min(STEP as u64)).read_to_end(&mut part)?;
        Ok((file, part))
    })
}

impl Future for Link<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.session.client.waker.register(cx.waker());
        if this.session.client.is_killed() || this.poll_input(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut sent = 0;
        loop {
            match this.poll_out(cx, &mut sent) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "a replica's connection broke");
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
            if sent > TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match this.next(cx) {
                Next::Filled => {}
                Next::Nothing => return Poll::Pending,
                Next::End(why) => {
                    this.why = why;
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        if !self.why.is_empty() {
            tracing::info!(
                "Closing the connection of replica {}: {}",
                self.replica.name(),
                self.why
            );
        }
        self.session.replica = None;
        let server = Arc::clone(&self.session.server);
        server.replication.primary.detach(&server, &self.replica);
    }
}
