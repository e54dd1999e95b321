//! Replies and mail on their way to the socket: what waits for the gate, what the socket does not take, and how much of it
//! there may be.
//!
//! Must not know: which commands the replies are of.

use std::io;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use super::{Connection, KEEP_BUFFER};
use crate::aof::commit::CROWD;
use crate::server::Server;
use crate::stats::Counters;
use crate::worker::Worker;

/// Output from which on a connection does not execute further commands until the client has read: 64 MiB, or 1 MiB when
/// many connections hold output. What the client has sent meanwhile is kept, up to `client-query-buffer-limit`.
const OUTPUT_HIGH: usize = 64 << 20;
const OUTPUT_HIGH_CROWDED: usize = 1 << 20;

impl Connection {
    /// Sends the worker's reply buffer; what the socket does not take is kept.
    pub(super) fn send_reply(&mut self, w: &mut Worker, cx: &mut Context<'_>) {
        if w.reply.is_empty() {
            return;
        }
        let waits_for = self.waits_for(w.logged);
        let mut done = 0;
        if self.pending() == 0 && waits_for.is_none() {
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
            self.out.buffer().extend_from_slice(&w.reply.as_bytes()[done..]);
            if let Some((offset, wrote)) = waits_for {
                self.out.mark(offset, wrote);
            }
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

    /// The offset of the log that what is in the worker's reply depends on: what this client has written, and what others
    /// had before it looked; and whether it tells of what was written. None: nobody has to have it, or everybody has.
    #[inline]
    fn waits_for(&mut self, wrote: bool) -> Option<(u64, bool)> {
        let gate = &self.session.server.gate;
        let wrote = std::mem::take(&mut self.has_mail) || wrote;
        if !gate.is_on() || (gate.is_stuck() && !wrote) {
            return None;
        }
        let offset = self.session.server.log.end_offset();
        (offset > gate.open_to()).then_some((offset, wrote))
    }

    pub(super) fn take_mail(&mut self) {
        self.session.client.take_mail(self.out.buffer());
        self.hold();
    }

    /// What others have put into the output may tell of what they wrote just now.
    pub(super) fn hold(&mut self) {
        if let Some((offset, wrote)) = self.waits_for(true) {
            self.out.mark(offset, wrote);
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let gate = &self.session.server.gate;
            let (open, stuck) = (gate.open_to(), gate.is_stuck());
            while !self.out.sendable(open, stuck).is_empty() {
                let n = ready!(self.stream.poll_write(cx, self.out.sendable(open, stuck)))?;
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.out.advance(n);
                // Who has waited long for this is not idle: `timeout` begins anew.
                let now_ms = self.session.server.now_ms();
                self.session
                    .client
                    .last_active_ms
                    .store(now_ms, Ordering::Relaxed);
                Worker::with(|w, _| w.counters.net_out += n as u64);
            }
            ready!(self.stream.poll_flush(cx))?;
            if !self.out.is_held() {
                return Poll::Ready(Ok(()));
            }
            if self.session.client.let_go_in.load(Ordering::Relaxed) != 0 {
                // The gate may have closed again since it let this client go: it is to be asked again.
                self.out.ask_again();
            }
            match self.out.to_ask() {
                Some(offset) if self.wait_at_gate(offset) => return Poll::Pending,
                Some(_) => {}
                None => return Poll::Pending,
            }
        }
    }

    /// Has the connection woken when the gate is open for an offset. False: it is.
    fn wait_at_gate(&self, offset: u64) -> bool {
        let server = &self.session.server;
        let lane = Worker::with(|w, _| w.id);
        let waits = server.gate.wait(lane, offset, &self.session.client);
        if server.gate.times_asked(lane) >= CROWD {
            // This thread has no time to sleep, and its clients do not wait for that.
            commit_asked(server, lane);
        }
        waits
    }

    pub(super) fn output_high(&self) -> usize {
        if self.session.server.is_output_crowded() {
            OUTPUT_HIGH_CROWDED
        } else {
            OUTPUT_HIGH
        }
    }

    pub(super) fn over_hard_limit(&mut self) -> bool {
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

    pub(super) fn note_overflow(&self, pending: usize) {
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
}

/// Has done what the thread's clients wait for, as far as it is this thread's business. Called when the thread has nothing
/// else to do.
pub fn before_sleep(server: &Server, lane: usize) {
    // They are slower than they would be if they had the core that serves them to themselves: up to two syncs' time.
    if server.gate.lingers(lane, 2 * server.aof.usual_sync()) {
        // Those who are waited for may want this core.
        std::thread::yield_now();
    } else {
        commit_asked(server, lane);
    }
}

fn commit_asked(server: &Server, lane: usize) {
    if let Some(offset) = server.gate.take_asked(lane) {
        server.aof.commit(server, offset);
    }
}
