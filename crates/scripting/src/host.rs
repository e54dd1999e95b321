//! What a running script may ask of the server, and how Lua's callbacks get at it.
//!
//! Callbacks that Lua calls outlive every run, so they cannot borrow the server. [`Host`] is lent for the time of one run
//! through a scoped thread-local: nothing is made and dropped for each call, as `mlua`'s scopes would.

use holdfast_resp::{Frame, Proto};
use scoped_tls_hkt::scoped_thread_local;

/// What became of a command that a script called.
#[derive(Debug)]
pub enum Called<'h> {
    /// Its reply as RESP, an error reply included.
    Reply(&'h [u8]),
    /// The run must end: nothing that the script does can prevent it.
    Stop,
}

/// Level of a line that a script writes to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// `redis.LOG_DEBUG`
    Debug,
    /// `redis.LOG_VERBOSE`
    Verbose,
    /// `redis.LOG_NOTICE`
    Notice,
    /// `redis.LOG_WARNING`
    Warning,
}

/// Answer to a script that tells that it is still running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// It may go on.
    Continue,
    /// It must end, as after [`Called::Stop`].
    Stop,
}

/// The server, as one run sees it.
pub trait Host {
    /// Runs a command; the reply is in protocol `proto` and valid until the next call.
    fn call(&mut self, argv: Frame<'_>, proto: Proto) -> Called<'_>;
    /// Whether the user could run this command with these keys; None: there is no such command.
    fn may_call(&mut self, argv: Frame<'_>) -> Option<bool>;
    /// Writes a line to the server's log.
    fn log(&mut self, level: LogLevel, text: &[u8]);
    /// Whether the effects of the commands that follow are propagated (`redis.set_repl`; bits: 1 AOF, 2 replicas).
    fn set_repl(&mut self, bits: u8);
    /// Called every now and then while Lua code runs.
    fn tick(&mut self) -> Tick;
}

scoped_thread_local!(static mut HOST: for<'h> &'h mut (dyn Host + 'h));

/// Lends `host` to the callbacks while `f` runs.
pub(crate) fn lend<R>(host: &mut dyn Host, f: impl FnOnce() -> R) -> R {
    HOST.set(host, f)
}

/// Gives the host to `f`; None outside of a run.
pub(crate) fn with<R>(f: impl FnOnce(&mut dyn Host) -> R) -> Option<R> {
    HOST.is_set().then(|| HOST.with(|host| f(host)))
}
