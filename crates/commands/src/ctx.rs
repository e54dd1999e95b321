//! What a handler sees, and what it gives back.
//!
//! Must not know: sessions, sockets, the process.

use holdfast_resp::{Proto, Reply, encode_command};
use holdfast_storage::data::Data;

use crate::args::Args;
use crate::error::CmdError;
use crate::limits::Limits;
use crate::spec::Spec;

/// One data command: its declaration and its handler.
#[derive(Debug)]
pub struct Command {
    /// What it declares.
    pub spec: &'static Spec,
    /// What it does. Synchronous and deterministic; writes exactly one reply, returns an error, or blocks.
    pub run: Handler,
}

/// A handler. On `Err` nothing that it wrote to the reply is kept.
pub type Handler = fn(&mut Ctx<'_, '_>, Args<'_>) -> CmdResult;

/// Result of a handler.
pub type CmdResult = Result<Outcome, CmdError>;

/// What a handler that did not fail has done.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Written its reply.
    Done,
    /// Written nothing: the client waits. The command runs again when one of the keys has come into being.
    Block(Wait),
}

/// What a blocked client waits for.
#[derive(Debug, PartialEq)]
pub struct Wait {
    /// Indices of the arguments that are the awaited keys.
    pub keys: std::ops::Range<usize>,
    /// Milliseconds until the client gets `on_timeout`; None: for ever.
    pub timeout_ms: Option<u64>,
    /// What the client is told then.
    pub on_timeout: TimeoutReply,
    /// Arguments, by index, that stood for something which was found out now (`$`): what the command runs with when it
    /// runs again.
    pub resolved: Vec<(usize, Box<[u8]>)>,
}

/// Reply to a client that has waited in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReply {
    /// `$-1`, or `_`.
    Null,
    /// `*-1`, or `_`.
    NullArray,
}

/// Everything that a handler may use.
#[derive(Debug)]
pub struct Ctx<'a, 'k> {
    /// The data, through doors that record effects; clock and randomness are there too.
    pub data: Data<'a, 'k>,
    /// The reply of this command.
    pub reply: &'a mut Reply,
    /// What is written to the replication log if the data changed: this command as it is, unless told otherwise here.
    pub log: &'a mut Propagation,
    /// Configured sizes.
    pub limits: &'a Limits,
    /// False inside MULTI and scripts: a command that would block answers at once.
    pub may_block: bool,
}

impl Ctx<'_, '_> {
    /// Version of the protocol that the client speaks.
    pub fn resp3(&self) -> bool {
        self.reply.proto() == Proto::Resp3
    }

    /// The end of a handler that writes an integer.
    pub fn done_int(&mut self, n: i64) -> CmdResult {
        self.reply.int(n);
        Ok(Outcome::Done)
    }

    /// The end of a handler that answers OK.
    pub fn done_ok(&mut self) -> CmdResult {
        self.reply.ok();
        Ok(Outcome::Done)
    }

    /// The end of a handler that answers with the null bulk.
    pub fn done_null(&mut self) -> CmdResult {
        self.reply.null();
        Ok(Outcome::Done)
    }
}

/// What a command becomes in the replication log: effects, not requests (random or relative commands are rewritten).
#[derive(Debug, Default)]
pub struct Propagation {
    rewritten: Vec<u8>,
    count: usize,
    silent: bool,
}

impl Propagation {
    /// Replaces the command by this one; called again, by several.
    pub fn rewrite(&mut self, argv: &[&[u8]]) {
        encode_command(&mut self.rewritten, argv);
        self.count += 1;
    }

    /// Nothing is written although the data changed.
    pub fn nothing(&mut self) {
        self.silent = true;
    }

    /// The commands that replace it, encoded, and their number; None: as it is.
    pub fn rewritten(&self) -> Option<(&[u8], usize)> {
        (self.silent || self.count > 0).then_some((&self.rewritten[..], self.count))
    }

    /// Gives the buffer back if it holds more than `bytes`; for the next command.
    pub fn shrink(&mut self, bytes: usize) {
        if self.rewritten.capacity() > bytes {
            *self = Self::default();
        }
    }

    /// For the next command.
    pub fn clear(&mut self) {
        self.rewritten.clear();
        self.count = 0;
        self.silent = false;
    }
}
