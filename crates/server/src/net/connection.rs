//! The task of one connection: read, execute all that was read, write once; wait for keys, for the end of a pause, for
//! messages from other threads.
//!
//! While nothing is going on a connection owns no buffer: reading, executing and writing happen inside one poll, with
//! the worker's buffers. Output that the socket does not take and input that cannot be executed yet are kept here, both
//! within limits.

mod sending;
mod waiting;

pub use sending::before_sleep;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use crate::blocking;
use crate::client::{Client, flag};
use crate::net::output::Output;
use crate::net::stream::Stream;
use crate::replication::primary::Attachment;
use crate::replication::primary::link::Link;
use crate::server::Server;
use crate::session::{Arrival, Flow, Session};
use crate::stats::Counters;
use crate::worker::Worker;

use waiting::Waiting;

/// Replies that pile up within one batch before they are sent.
const BATCH_REPLY: usize = 1 << 20;
/// Bytes of input kept back that are executed before other connections have their turn.
const BACKLOG_STEP: usize = 256 << 10;
/// Buffers that are larger than this are given back after use.
const KEEP_BUFFER: usize = 256 << 10;

/// See the module's documentation.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    session: Session,
    /// Output that the socket has not taken.
    out: Output,
    /// The worker's reply has mail in it.
    has_mail: bool,
    /// Input that has not been executed yet, from `taken` on.
    backlog: Vec<u8>,
    taken: usize,
    waiting: Waiting,
    closing: bool,
    eof: bool,
    /// It has become a replica's: its task goes on as a [`Link`].
    attached: Option<Attachment>,
}

/// Serves a connection to its end.
pub async fn serve(mut connection: Connection) {
    (&mut connection).await;
    if let Some(link) = connection.as_link() {
        link.await;
    }
}

impl Connection {
    /// A connection of a client.
    pub fn new(stream: Stream, server: Arc<Server>, client: Arc<Client>) -> Self {
        Self {
            stream,
            session: Session::new(server, client),
            out: Output::default(),
            has_mail: false,
            backlog: Vec::new(),
            taken: 0,
            waiting: Waiting::Nothing,
            closing: false,
            eof: false,
            attached: None,
        }
    }

    /// What it goes on as, if it has become a replica's.
    fn as_link(&mut self) -> Option<Link<'_>> {
        let attachment = self.attached.take()?;
        let unsent = self.out.take_all();
        Some(Link::new(&mut self.stream, &mut self.session, attachment, unsent))
    }

    fn pending(&self) -> usize {
        self.out.pending()
    }

    /// Runs until there is nothing to do. Ready: the connection is over.
    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.session.client.waker.register(cx.waker());
        loop {
            if self.attached.is_some() {
                return Poll::Ready(());
            }
            if self.session.client.is_killed() {
                if self.session.client.overflowed() {
                    self.note_overflow(self.session.client.mail_len());
                } else if self.session.client.has_mail() {
                    // What was sent to it before it was to end (a message, say) still goes out, as far as it is taken.
                    self.take_mail();
                }
                let _last_words = self.poll_flush(cx);
                return Poll::Ready(());
            }
            if self.session.client.has_mail() {
                self.take_mail();
            }
            if self.session.client.has_flag(flag::LEAVES_SHARDS) {
                self.session.client.set_flag(flag::LEAVES_SHARDS, false);
                let told = self.session.leave_foreign_channels();
                self.out.buffer().extend_from_slice(&told);
                self.hold();
            }
            match self.poll_flush(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) if self.closing => return Poll::Ready(()),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            self.session
                .client
                .output
                .store(self.pending(), Ordering::Relaxed);
            self.note_memory();
            if self.over_hard_limit() {
                return Poll::Ready(());
            }
            if self.closing {
                // The last reply is still on its way; a peer that never takes it is ended by shutdown or CLIENT KILL.
                let mut sink = [0u8; 1024];
                let mut buf = ReadBuf::new(&mut sink);
                return match ready!(self.stream.poll_read(cx, &mut buf)) {
                    Ok(()) if !buf.filled().is_empty() => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    // It has said all that it had to say, and waits for the reply.
                    Ok(()) if self.out.is_held() => Poll::Pending,
                    Ok(()) | Err(_) => Poll::Ready(()),
                };
            }
            if !self.poll_waiting(cx) {
                if self.poll_read_ahead(cx).is_ready() {
                    return Poll::Ready(());
                }
                // Mail that came meanwhile has woken this task again.
                return Poll::Pending;
            }
            if self.pending() > self.output_high() {
                if self.poll_read_ahead(cx).is_ready() {
                    return Poll::Ready(());
                }
                return Poll::Pending;
            }
            if self.taken < self.backlog.len() {
                self.run_backlog(cx);
                // Others of this worker come in between.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.eof {
                return if self.out.is_held() {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                };
            }
            match ready!(self.poll_serve(cx)) {
                Ok(true) => {}
                Ok(false) if self.out.is_held() => self.eof = true,
                Ok(false) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Reads once and executes what came. False: the peer has closed.
    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.session.arrival = Arrival::NotAwaited;
        Worker::with(|w, read| {
            if let Some(mut big) = self.session.decoder.big_buf() {
                // A big argument is read straight to where it will stay.
                let n = ready!(self.stream.poll_read_buf(cx, &mut big))?;
                if n == 0 {
                    return Poll::Ready(Ok(false));
                }
                self.note_read(w, n);
                w.begin_batch();
                let mut nothing: &[u8] = &[];
                self.run(&mut nothing, w, cx);
                return Poll::Ready(Ok(true));
            }
            let mut buf = ReadBuf::new(read);
            ready!(self.stream.poll_read(cx, &mut buf))?;
            let mut input = buf.filled();
            if input.is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.note_read(w, input.len());
            w.begin_batch();
            self.run(&mut input, w, cx);
            self.backlog.extend_from_slice(input);
            Poll::Ready(Ok(true))
        })
    }

    fn note_read(&self, w: &mut Worker, n: usize) {
        w.counters.net_in += n as u64;
        w.counters.reads += 1;
    }

    fn run_backlog(&mut self, cx: &mut Context<'_>) {
        Worker::with(|w, _| {
            w.begin_batch();
            let backlog = std::mem::take(&mut self.backlog);
            let end = backlog.len().min(self.taken + BACKLOG_STEP);
            let mut input = &backlog[self.taken..end];
            self.run(&mut input, w, cx);
            self.taken = end - input.len();
            self.backlog = backlog;
            if self.taken == self.backlog.len() {
                self.backlog.clear();
                self.taken = 0;
                if self.backlog.capacity() > KEEP_BUFFER {
                    self.backlog = Vec::new();
                }
            } else if self.taken > KEEP_BUFFER {
                self.backlog.drain(..self.taken);
                self.taken = 0;
            }
            let held = self.backlog.len() - self.taken + self.session.decoder.buffered();
            self.session.client.query_buffer.store(held, Ordering::Relaxed);
        });
    }

    /// Executes commands until the input is used up or something else has to happen first.
    fn run(&mut self, input: &mut &[u8], w: &mut Worker, cx: &mut Context<'_>) {
        let client = Arc::clone(&self.session.client);
        client.last_active_ms.store(w.now_ms, Ordering::Relaxed);
        if client.has_mail() {
            // What was sent to the client before its commands came stands before their replies.
            let mut mail = w.reply.take();
            client.take_mail(&mut mail);
            w.reply.raw(&mail);
            self.has_mail = true;
        }
        loop {
            let flow = self.session.process(input, w, BATCH_REPLY);
            if client.has_mail() && matches!(flow, Flow::Continue | Flow::Close) {
                let mut reply = w.reply.take();
                client.take_mail(&mut reply);
                w.reply.raw(&reply);
                self.has_mail = true;
            }
            self.send_reply(w, cx);
            match flow {
                Flow::Continue if !input.is_empty() && self.pending() <= self.output_high() => continue,
                Flow::Continue => {}
                Flow::Close => self.close_after_reply(),
                Flow::Blocked(wait) => self.wait_for_keys(wait),
                Flow::Paused(frame) => self.wait_for_unpause(frame),
                Flow::Replica(attachment) => self.attached = Some(*attachment),
            }
            break;
        }
        self.note_memory();
        w.end_batch();
    }

    fn close_after_reply(&mut self) {
        self.closing = true;
        self.session.client.set_flag(flag::CLOSE_AFTER_REPLY, true);
    }

    /// Keeps reading while commands cannot be executed, so that the peer's end is noticed and its sending does not
    /// stall. Ready: the connection is over.
    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.eof {
            return if self.pending() == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            };
        }
        loop {
            let limit = self
                .session
                .server
                .config
                .int(crate::config::Param::ClientQueryBufferLimit) as usize;
            if self.backlog.len() - self.taken > limit {
                self.count(Counters {
                    query_limit_disconnections: 1,
                    ..Counters::default()
                });
                return Poll::Ready(());
            }
            let n = Worker::with(|w, read| {
                let mut buf = ReadBuf::new(read);
                ready!(self.stream.poll_read(cx, &mut buf))?;
                self.backlog.extend_from_slice(buf.filled());
                let n = buf.filled().len();
                self.note_read(w, n);
                Poll::Ready(Ok::<_, io::Error>(n))
            });
            match ready!(n) {
                Ok(0) | Err(_) => {
                    self.eof = true;
                    if self.out.is_held() {
                        return Poll::Pending;
                    }
                    return Poll::Ready(());
                }
                Ok(_) => {
                    let held = self.backlog.len() - self.taken + self.session.decoder.buffered();
                    self.session.client.query_buffer.store(held, Ordering::Relaxed);
                    self.note_memory();
                }
            }
        }
    }

    /// Counts what happens at a connection's end: its thread may have nothing else to do that would show it.
    fn count(&self, mut counters: Counters) {
        let server = &self.session.server;
        server.stats.add(server.threads, &mut counters);
    }

    fn note_memory(&self) {
        let server = &self.session.server;
        server.client_memory.note(&server.clients, &self.session.client);
    }
}

impl Future for Connection {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let polled = this.poll_all(cx);
        if polled.is_ready() {
            if let Waiting::Keys { waiter, .. } = &this.waiting {
                blocking::cancel(&this.session.server, waiter);
            }
            this.waiting = Waiting::Nothing;
        }
        polled
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Waiting::Keys { waiter, .. } = &self.waiting {
            blocking::cancel(&self.session.server, waiter);
        }
        self.session.close();
    }
}
