//! The arguments of XREAD and XREADGROUP.
//!
//! Must not know: streams.

use std::ops::Range;

use holdfast_resp::Reply;

use crate::args::{self, Args};
use crate::error::CmdError;

/// Which of the two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Read,
    ReadGroup,
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct ReadArgs<'a> {
    /// Group and consumer.
    pub(super) group: Option<(&'a [u8], &'a [u8])>,
    /// Entries of each stream; 0: all.
    pub(super) count: usize,
    /// Entries of all streams together, at most.
    pub(super) max_count: Option<usize>,
    /// Bytes of the reply behind which no further entry is begun.
    pub(super) max_size: Option<usize>,
    /// Milliseconds; Some(None): for ever; None: no waiting.
    pub(super) block: Option<Option<u64>>,
    pub(super) no_ack: bool,
    /// Milliseconds after which others' pending entries are claimed.
    pub(super) claim_ms: Option<i64>,
    /// Indices of the keys; the ids follow.
    pub(super) keys: Range<usize>,
}

impl<'a> ReadArgs<'a> {
    pub(super) fn parse(args: Args<'a>, which: Which, now_ms: i64) -> Result<Self, CmdError> {
        let mut parsed = Self {
            group: None,
            count: 0,
            max_count: None,
            max_size: None,
            block: None,
            no_ack: false,
            claim_ms: None,
            keys: 0..0,
        };
        let mut rest = args.cursor(1);
        while rest.left() > 0 {
            let more = rest.left() - 1;
            if more >= 1 && rest.accept("BLOCK") {
                parsed.block = Some(timeout(rest.word()?, now_ms)?);
            } else if more >= 1 && rest.accept("COUNT") {
                parsed.count = usize::try_from(rest.int()?).unwrap_or(0);
            } else if more >= 1 && rest.accept("MAXCOUNT") {
                parsed.max_count = Some(positive(rest.int()?)?);
            } else if more >= 1 && rest.accept("MAXSIZE") {
                parsed.max_size = Some(positive(rest.int()?)?);
            } else if more >= 1 && rest.accept("STREAMS") {
                let first = rest.at();
                if !rest.left().is_multiple_of(2) {
                    return Err(CmdError::msg(
                        "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
                    ));
                }
                parsed.keys = first..first + rest.left() / 2;
                break;
            } else if more >= 2 && rest.accept("GROUP") {
                if which == Which::Read {
                    return Err(CmdError::msg(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                parsed.group = Some((rest.word()?, rest.word()?));
            } else if rest.accept("NOACK") {
                if which == Which::Read {
                    return Err(CmdError::msg(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                parsed.no_ack = true;
            } else if which == Which::ReadGroup && more >= 1 && rest.accept("CLAIM") {
                let claim_ms = rest.int()?;
                if claim_ms < 0 {
                    return Err(CmdError::NotPositive);
                }
                parsed.claim_ms = Some(claim_ms);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        if parsed.keys.is_empty() {
            return Err(CmdError::Syntax);
        }
        if parsed.max_count.is_some_and(|max| max < parsed.count) {
            return Err(CmdError::msg(
                "ERR MAXCOUNT must be greater than or equal to COUNT",
            ));
        }
        if which == Which::ReadGroup && parsed.group.is_none() {
            return Err(CmdError::msg("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(parsed)
    }

    /// Index of the id that belongs to key `key`.
    pub(super) fn id_of(&self, key: usize) -> usize {
        key + self.keys.len()
    }
}

fn positive(number: i64) -> Result<usize, CmdError> {
    usize::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .ok_or(CmdError::NotPositive)
}

/// What may still be written of a reply: entries, and bytes. At least one entry always may.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    max_size: usize,
    /// Where the reply begins.
    begin: usize,
    written: usize,
}

impl Budget {
    pub(super) fn new(parsed: &ReadArgs<'_>, reply: &Reply) -> Self {
        Self {
            left: parsed.max_count.unwrap_or(usize::MAX),
            max_size: parsed.max_size.unwrap_or(usize::MAX),
            begin: reply.len(),
            written: 0,
        }
    }

    /// Whether no further entry may be written.
    pub(super) fn is_spent(&self, reply: &Reply) -> bool {
        self.left == 0 || (self.written > 0 && reply.len().saturating_sub(self.begin) >= self.max_size)
    }

    /// An entry was written.
    pub(super) fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
        self.written += 1;
    }
}

/// A timeout in milliseconds; None: for ever.
fn timeout(text: &[u8], now_ms: i64) -> Result<Option<u64>, CmdError> {
    let ms = args::int(text).map_err(|_| CmdError::msg("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| CmdError::TimeoutNegative)?;
    if now_ms.checked_add_unsigned(ms).is_none() {
        return Err(CmdError::msg("ERR timeout is out of range"));
    }
    Ok((ms > 0).then_some(ms))
}
