//! The task of one connection: read, execute all that was read, write once; wait for keys, for the end of a pause, for
//! messages from other threads.
//!
//! While nothing is going on a connection owns no buffer: reading, executing and writing happen inside one poll, with
//! the worker's buffers. Output that the socket does not take and input that cannot be executed yet are kept here, both
//! within limits.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BufMut;
use holdfast_resp::OwnedFrame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;

use crate::blocking::{self, Waiter};
use crate::client::{Client, flag};
use crate::server::Server;
use crate::session::{Flow, Session, Wait};
use crate::stats::Counters;
use crate::worker::Worker;

/// A stream of bytes to a client.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_read(cx, buf),
        }
    }

    fn poll_read_buf(&mut self, cx: &mut Context<'_>, buf: &mut impl BufMut) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(s) => poll_read_buf(Pin::new(s), cx, buf),
            Self::Unix(s) => poll_read_buf(Pin::new(s), cx, buf),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_write(cx, buf),
        }
    }
}

/// Output from which on a connection does not execute further commands until the client has read: 64 MiB, or 1 MiB when
/// many connections hold output. What the client has sent meanwhile is kept, up to `client-query-buffer-limit`.
const OUTPUT_HIGH: usize = 64 << 20;
const OUTPUT_HIGH_CROWDED: usize = 1 << 20;
/// Replies that pile up within one batch before they are sent.
const BATCH_REPLY: usize = 1 << 20;
/// Bytes of input kept back that are executed before other connections have their turn.
const BACKLOG_STEP: usize = 256 << 10;
/// Buffers that are larger than this are given back after use.
const KEEP_BUFFER: usize = 256 << 10;

#[derive(Debug)]
enum Waiting {
    Nothing,
    Keys {
        waiter: Arc<Waiter>,
        timer: Option<Pin<Box<Sleep>>>,
    },
    Pause {
        frame: OwnedFrame,
        timer: Pin<Box<Sleep>>,
    },
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    session: Session,
    /// Output that the socket has not taken, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// Input that has not been executed yet, from `taken` on.
    backlog: Vec<u8>,
    taken: usize,
    waiting: Waiting,
    closing: bool,
    eof: bool,
}

impl Connection {
    /// A connection of a client.
    pub fn new(stream: Stream, server: Arc<Server>, client: Arc<Client>) -> Self {
        Self {
            stream,
            session: Session::new(server, client),
            out: Vec::new(),
            sent: 0,
            backlog: Vec::new(),
            taken: 0,
            waiting: Waiting::Nothing,
            closing: false,
            eof: false,
        }
    }

    fn pending(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Runs until there is nothing to do. Ready: the connection is over.
    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.session.client.waker.register(cx.waker());
        loop {
            if self.session.client.is_killed() {
                if self.session.client.overflowed() {
                    self.note_overflow(self.session.client.mail_len());
                } else if self.session.client.has_mail() {
                    // What was sent to it before it was to end (a message, say) still goes out, as far as it is taken.
                    self.session.client.take_mail(&mut self.out);
                }
                let _last_words = self.poll_flush(cx);
                return Poll::Ready(());
            }
            if self.session.client.has_mail() {
                self.session.client.take_mail(&mut self.out);
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
                return Poll::Ready(());
            }
            match ready!(self.poll_serve(cx)) {
                Ok(true) => {}
                Ok(false) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Reads once and executes what came. False: the peer has closed.
    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
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
        }
        loop {
            let flow = self.session.process(input, w, BATCH_REPLY);
            if client.has_mail() && matches!(flow, Flow::Continue | Flow::Close) {
                let mut reply = w.reply.take();
                client.take_mail(&mut reply);
                w.reply.raw(&reply);
            }
            self.send_reply(w, cx);
            match flow {
                Flow::Continue if !input.is_empty() && self.pending() <= self.output_high() => continue,
                Flow::Continue => {}
                Flow::Close => self.close_after_reply(),
                Flow::Blocked(wait) => self.wait_for_keys(wait),
                Flow::Paused(frame) => self.wait_for_unpause(frame),
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

    fn wait_for_keys(&mut self, Wait { waiter, timeout_ms }: Wait) {
        let timer = timeout_ms.map(|ms| Box::pin(tokio::time::sleep(Duration::from_millis(ms))));
        self.waiting = Waiting::Keys { waiter, timer };
    }

    fn wait_for_unpause(&mut self, frame: OwnedFrame) {
        let ms = self.session.server.pause_left_ms().max(1);
        self.waiting = Waiting::Pause {
            frame,
            timer: Box::pin(tokio::time::sleep(Duration::from_millis(ms))),
        };
    }

    /// True if the connection may go on.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.waiting {
            Waiting::Nothing => true,
            Waiting::Keys { waiter, timer } => {
                if waiter.is_done() {
                    // Served: the reply was put into the mailbox before, under the same locks.
                    self.session.client.take_mail(&mut self.out);
                    self.waiting = Waiting::Nothing;
                    cx.waker().wake_by_ref();
                    return true;
                }
                if timer.as_mut().is_some_and(|t| t.as_mut().poll(cx).is_ready()) {
                    let waiter = Arc::clone(waiter);
                    if blocking::cancel(&self.session.server, &waiter) {
                        self.out.extend_from_slice(&blocking::timeout_reply(&waiter));
                    } else {
                        self.session.client.take_mail(&mut self.out);
                    }
                    self.waiting = Waiting::Nothing;
                    cx.waker().wake_by_ref();
                    return true;
                }
                false
            }
            Waiting::Pause { timer, .. } => {
                if self.session.server.is_paused() && timer.as_mut().poll(cx).is_pending() {
                    return false;
                }
                if let Waiting::Pause { frame, .. } = std::mem::replace(&mut self.waiting, Waiting::Nothing) {
                    self.run_one(&frame, cx);
                }
                cx.waker().wake_by_ref();
                matches!(self.waiting, Waiting::Nothing)
            }
        }
    }

    /// Runs a command that had to wait.
    fn run_one(&mut self, frame: &OwnedFrame, cx: &mut Context<'_>) {
        let Some(frame) = frame.frame() else { return };
        Worker::with(|w, _| {
            w.begin_batch();
            w.reply.set_proto(self.session.proto);
            let flow = self.session.execute(frame, w);
            self.send_reply(w, cx);
            match flow {
                Flow::Continue => {}
                Flow::Close => self.close_after_reply(),
                Flow::Blocked(wait) => self.wait_for_keys(wait),
                Flow::Paused(frame) => self.wait_for_unpause(frame),
            }
            w.end_batch();
        });
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

    /// Sends the worker's reply buffer; what the socket does not take is kept.
    fn send_reply(&mut self, w: &mut Worker, cx: &mut Context<'_>) {
        if w.reply.is_empty() {
            return;
        }
        let mut done = 0;
        if self.pending() == 0 {
            while done < w.reply.len() {
                match self.stream.poll_write(cx, &w.reply.as_bytes()[done..]) {
                    Poll::Ready(Ok(n)) if n > 0 => {
                        w.counters.net_out += n as u64;
                        w.counters.writes += 1;
                        done += n;
                    }
                    Poll::Ready(Ok(_) | Err(_)) => {
                        self.session.client.kill();
                        break;
                    }
                    Poll::Pending => break,
                }
            }
        }
        if done < w.reply.len() {
            self.out.extend_from_slice(&w.reply.as_bytes()[done..]);
        }
        if w.reply.len() > KEEP_BUFFER {
            drop(w.reply.take());
        } else {
            w.reply.clear();
        }
        self.session
            .client
            .output
            .store(self.pending(), Ordering::Relaxed);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.pending() > 0 {
            let n = ready!(self.stream.poll_write(cx, &self.out[self.sent..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += n;
            // Who has waited long for this is not idle: `timeout` begins anew.
            let now_ms = self.session.server.now_ms();
            self.session
                .client
                .last_active_ms
                .store(now_ms, Ordering::Relaxed);
            Worker::with(|w, _| w.counters.net_out += n as u64);
        }
        if self.sent > 0 {
            self.out.clear();
            self.sent = 0;
            if self.out.capacity() > KEEP_BUFFER {
                self.out = Vec::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn output_high(&self) -> usize {
        if self.session.server.is_output_crowded() {
            OUTPUT_HIGH_CROWDED
        } else {
            OUTPUT_HIGH
        }
    }

    fn over_hard_limit(&mut self) -> bool {
        let pending = self.pending();
        if pending == 0 {
            return false;
        }
        let over = self.session.server.over_hard_limit(&self.session.client, pending);
        if over {
            self.note_overflow(pending);
        }
        over
    }

    fn note_overflow(&self, pending: usize) {
        let client = &self.session.client;
        tracing::warn!(
            client = client.id,
            addr = client.addr,
            pending,
            "closing a client: its output is over the hard limit"
        );
        self.count(Counters {
            output_limit_disconnections: 1,
            ..Counters::default()
        });
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
