//! MULTI: the commands that a connection has queued.
//!
//! Must not know: how EXEC runs them.

use std::sync::atomic::Ordering;

use holdfast_resp::{Frame, OwnedFrame};

use super::{Flow, Session};
use crate::client::flag;
use crate::registry::Entry;
use crate::worker::Worker;

/// Queued commands of MULTI.
#[derive(Debug, Default)]
pub struct Multi {
    /// What has been queued.
    pub queue: Vec<(&'static Entry, OwnedFrame)>,
    /// A command could not be queued: EXEC will refuse.
    pub aborted: bool,
    /// Memory of the queue in bytes.
    pub memory: usize,
}

impl Session {
    pub(super) fn enqueue(&mut self, entry: &'static Entry, frame: Frame<'_>, w: &mut Worker) -> Flow {
        if let Some(multi) = &mut self.multi {
            if multi.aborted {
                // EXEC will refuse: nothing more needs to be kept, and a queue cannot grow without end that way.
                w.reply.simple("QUEUED");
                return Flow::Continue;
            }
            let frame = frame.to_owned();
            multi.memory += frame.memory();
            if multi.memory > w.decode_limits.max_query_buffer {
                return self.reject(w, "ERR the transaction's queue exceeds client-query-buffer-limit");
            }
            multi.queue.push((entry, frame));
            self.client
                .multi
                .store(multi.queue.len() as i64, Ordering::Relaxed);
            self.client.multi_mem.store(multi.memory, Ordering::Relaxed);
        }
        w.reply.simple("QUEUED");
        Flow::Continue
    }

    /// Leaves MULTI without executing.
    pub fn discard(&mut self) {
        self.multi = None;
        self.client.multi.store(-1, Ordering::Relaxed);
        self.client.multi_mem.store(0, Ordering::Relaxed);
        self.client.set_flag(flag::MULTI, false);
        self.unwatch();
    }
}

pub(super) fn runs_inside_multi(entry: &Entry) -> bool {
    matches!(
        entry.spec.name,
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    )
}
