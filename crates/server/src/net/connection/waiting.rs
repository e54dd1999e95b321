//! A command that cannot run yet: it waits for keys, or for the end of a pause.
//!
//! Must not know: how output reaches the socket.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use holdfast_resp::OwnedFrame;
use tokio::time::Sleep;

use super::Connection;
use crate::blocking::{self, Waiter};
use crate::session::{Flow, Wait};
use crate::worker::Worker;

#[derive(Debug)]
pub(super) enum Waiting {
    Nothing,
    Keys {
        waiter: Arc<Waiter>,
        timer: Option<Pin<Box<Sleep>>>,
    },
    Pause {
        frame: OwnedFrame,
        timer: Pin<Box<Sleep>>,
        /// Clients are held back, and it may go on when they are let go; if not, it tries again after the time.
        held: bool,
    },
}

impl Connection {
    pub(super) fn wait_for_keys(&mut self, Wait { waiter, timeout_ms }: Wait) {
        let timer = timeout_ms.map(|ms| Box::pin(tokio::time::sleep(Duration::from_millis(ms))));
        self.waiting = Waiting::Keys { waiter, timer };
    }

    pub(super) fn wait_for_unpause(&mut self, frame: OwnedFrame) {
        let held = std::mem::take(&mut self.session.is_held);
        let server = &self.session.server;
        let ms = match server.pause_left_ms() {
            _ if !held => 1,
            // Who is held back by a throttle is woken at its end; he looks by himself, too.
            0 if server.throttle.is_on() => server.throttle.tick_ms(),
            ms => ms.max(1),
        };
        self.waiting = Waiting::Pause {
            frame,
            held,
            timer: Box::pin(tokio::time::sleep(Duration::from_millis(ms))),
        };
    }

    /// True if the connection may go on.
    pub(super) fn poll_waiting(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.waiting {
            Waiting::Nothing => true,
            Waiting::Keys { waiter, timer } => {
                if waiter.is_done() {
                    // Served: the reply was put into the mailbox before, under the same locks.
                    self.take_mail();
                    self.waiting = Waiting::Nothing;
                    cx.waker().wake_by_ref();
                    return true;
                }
                if timer.as_mut().is_some_and(|t| t.as_mut().poll(cx).is_ready()) {
                    let waiter = Arc::clone(waiter);
                    if blocking::cancel(&self.session.server, &waiter) {
                        let reply = blocking::timeout_reply(&waiter);
                        self.out.buffer().extend_from_slice(&reply);
                        self.hold();
                    } else {
                        self.take_mail();
                    }
                    self.waiting = Waiting::Nothing;
                    cx.waker().wake_by_ref();
                    return true;
                }
                false
            }
            Waiting::Pause { timer, held, .. } => {
                if (!*held || self.session.server.is_holding()) && timer.as_mut().poll(cx).is_pending() {
                    return false;
                }
                self.session.let_go_ms = self.session.server.now_ms();
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
                Flow::Replica(attachment) => self.attached = Some(*attachment),
            }
            w.end_batch();
        });
    }
}
