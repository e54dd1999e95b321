//! The logs of commands that were slow, or large, or had a large reply: SLOWLOG and COMMANDLOG.
//!
//! Each log keeps its newest entries, cut to a size that does not depend on the command's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_resp::Frame;
use parking_lot::Mutex;

use super::redact::Secrets;

/// Arguments of a command that are kept; the last one tells how many more there were.
const MOST_ARGUMENTS: usize = 32;
/// Bytes of an argument that are kept; more are counted in a remark behind them.
const MOST_BYTES: usize = 128;

/// What a log is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// Commands that took long; the value is their time in us.
    Slow,
    /// Commands that were long; the value is their bytes.
    LargeRequest,
    /// Commands with a long reply; the value is its bytes.
    LargeReply,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Numbers begin at 0 with the start of the server and never come again.
    pub id: u64,
    /// Unix time in seconds.
    pub time: i64,
    /// What [`LogKind`] says.
    pub value: u64,
    /// Name and arguments, cut.
    pub args: Vec<Box<[u8]>>,
    /// The client's address.
    pub addr: String,
    /// The client's name.
    pub name: String,
}

/// Who sent a command, for the logs.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    /// The client's address.
    pub addr: String,
    /// The client's name.
    pub name: String,
}

/// One log.
#[derive(Debug, Default)]
pub struct CommandLog {
    entries: Mutex<VecDeque<LogEntry>>,
    next: AtomicU64,
}

impl CommandLog {
    /// Adds a command and drops the oldest beyond `most`.
    pub fn push(
        &self,
        frame: &Frame<'_>,
        secrets: Secrets,
        sender: &Sender,
        time: i64,
        value: u64,
        most: usize,
    ) {
        let args = cut(frame, secrets);
        let mut entries = self.entries.lock();
        entries.push_front(LogEntry {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            time,
            value,
            args,
            addr: sender.addr.clone(),
            name: sender.name.clone(),
        });
        entries.truncate(most);
    }

    /// The newest entries, the newest first.
    pub fn newest(&self, count: usize) -> Vec<LogEntry> {
        self.entries.lock().iter().take(count).cloned().collect()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// True if nothing is logged.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries; numbers go on.
    pub fn clear(&self) {
        self.entries.lock().clear();
    }
}

/// The three logs.
#[derive(Debug, Default)]
pub struct CommandLogs {
    slow: CommandLog,
    large_request: CommandLog,
    large_reply: CommandLog,
}

impl CommandLogs {
    /// The log of a kind.
    pub fn of(&self, kind: LogKind) -> &CommandLog {
        match kind {
            LogKind::Slow => &self.slow,
            LogKind::LargeRequest => &self.large_request,
            LogKind::LargeReply => &self.large_reply,
        }
    }
}

fn cut(frame: &Frame<'_>, secrets: Secrets) -> Vec<Box<[u8]>> {
    let kept = if frame.len() > MOST_ARGUMENTS {
        MOST_ARGUMENTS - 1
    } else {
        frame.len()
    };
    let mut args: Vec<Box<[u8]>> = (0..kept).map(|i| shorten(secrets.show(frame, i))).collect();
    if kept < frame.len() {
        let more = format!("... ({} more arguments)", frame.len() - kept);
        args.push(more.into_bytes().into());
    }
    args
}

fn shorten(arg: &[u8]) -> Box<[u8]> {
    if arg.len() <= MOST_BYTES {
        return arg.into();
    }
    let more = format!("... ({} more bytes)", arg.len() - MOST_BYTES);
    [&arg[..MOST_BYTES], more.as_bytes()].concat().into()
}

#[cfg(test)]
mod tests {
    use holdfast_resp::OwnedFrame;

    use super::*;

    fn push(log: &CommandLog, words: &[&[u8]], most: usize) {
        let owned = OwnedFrame::from_args(words.iter().copied());
        let sender = Sender::default();
        log.push(&owned.frame().unwrap(), Secrets::None, &sender, 1, 2, most);
    }

    #[test]
    fn the_newest_are_kept() {
        let log = CommandLog::default();
        for _ in 0..5 {
            push(&log, &[b"GET", b"k"], 3);
        }
        let ids = |n| log.newest(n).iter().map(|e| e.id).collect::<Vec<_>>();
        assert_eq!(ids(9), [4, 3, 2]);
        assert_eq!(ids(1), [4]);
        log.clear();
        assert!(log.is_empty());
        push(&log, &[b"GET", b"k"], 3);
        assert_eq!(ids(9), [5]);
        push(&log, &[b"GET", b"k"], 0);
        assert_eq!(log.len(), 0);
    }

    #[test]
    fn long_commands_are_cut() {
        let log = CommandLog::default();
        let long = [b'x'; 129];
        let mut words: Vec<&[u8]> = vec![b"MSET", &long, &long[..128]];
        words.resize(32, b"y");
        push(&log, &words, 9);
        let args = &log.newest(1)[0].args;
        assert_eq!(args.len(), 32);
        assert_eq!(&*args[1], [&long[..128], b"... (1 more bytes)"].concat());
        assert_eq!(&*args[2], &long[..128]);
        words.push(b"z");
        push(&log, &words, 9);
        let args = &log.newest(1)[0].args;
        assert_eq!(args.len(), 32);
        assert_eq!(&*args[31], b"... (2 more arguments)");
    }
}
