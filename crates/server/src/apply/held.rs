//! A replay into data whose shards the caller holds, all of them, from its beginning to its end: nobody sees a state in between,
//! and nothing of others comes in between.
//!
//! Must not know: files.

use std::mem;

use holdfast_resp::{Frame, Proto};
use holdfast_storage::keyspace::Locked;

use super::{Applier, ApplyError, BATCH, Source, failed, find, wrong_arity};
use crate::execute;
use crate::registry::{Entry, Run};

impl Applier {
    /// As [`Self::command`], for a replay whose caller holds every shard. Clients that wait for keys are served by
    /// [`Self::take_ready`]'s caller, when nothing is held any more.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub fn command_held(&mut self, frame: Frame<'_>, locked: &mut Locked<'_>) -> Result<(), ApplyError> {
        debug_assert!(self.w.source == Source::Replay);
        if self.in_batch == 0 {
            self.w.begin_batch();
            self.w.reply.set_proto(Proto::Resp2);
        }
        self.in_batch += 1;
        let result = match find(&frame) {
            Ok(entry) => self.dispatch_held(entry, frame, locked),
            Err(error) => self.leave_out(error, &[]),
        };
        execute::after_unlock(&mut self.w);
        if self.in_batch >= BATCH {
            self.flush();
        }
        result
    }

    fn dispatch_held(
        &mut self,
        entry: &'static Entry,
        frame: Frame<'_>,
        locked: &mut Locked<'_>,
    ) -> Result<(), ApplyError> {
        match (entry.spec.name, entry.run) {
            ("exec", _) => match self.queue.take() {
                Some(mut queue) => match queue.failed.take() {
                    Some(error) => Err(error),
                    None => self.run_queue(&queue, locked),
                },
                None => Err(failed("exec", "ERR EXEC without MULTI")),
            },
            // They touch no shard, or are kept for later.
            ("multi" | "discard" | "select" | "ping" | "replconf", _) => self.dispatch(entry, frame, &[]),
            _ if self.queue.is_some() => self.enqueue(entry, frame, &[]),
            (_, Run::Data(_)) => self.run_locked(entry, frame, locked),
            (_, Run::Server(_)) => self.serve(entry, frame, Some(locked)),
            (_, Run::Container) => Err(wrong_arity(entry)),
        }
    }

    /// Keys that came into being while clients wait for them.
    pub fn take_ready(&mut self) -> Vec<(u32, Box<[u8]>)> {
        mem::take(&mut self.w.effects.ready)
    }
}
