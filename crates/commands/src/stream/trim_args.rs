//! The options of XADD and XTRIM that say what is trimmed.
//!
//! Must not know: what is trimmed by them.

use holdfast_storage::types::stream::{Bound, References, Stream, StreamLimits, Trim};

use super::id;
use crate::args::Cursor;
use crate::error::CmdError;

/// Most entries that an approximate trimming without LIMIT removes, and what stands for that if the configured node
/// size gives no number.
const DEFAULT_LIMIT_MOST: u64 = 1_000_000;
const DEFAULT_LIMIT: u64 = 10_000;

/// Options as they were written.
#[derive(Debug, Default)]
pub(super) struct TrimArgs {
    bound: Option<Bound>,
    approximate: bool,
    limit: Option<u64>,
    references: Option<References>,
    /// Where the operator and the threshold stand.
    places: Places,
}

#[derive(Clone, Copy, Debug, Default)]
struct Places {
    operator: Option<usize>,
    threshold: usize,
    /// LIMIT and its number.
    limit: Option<usize>,
}

impl TrimArgs {
    /// Takes an option of these; false if the next argument is none.
    pub(super) fn take(&mut self, rest: &mut Cursor<'_>) -> Result<bool, CmdError> {
        let has_more = rest.left() > 1;
        for (word, references) in [
            ("KEEPREF", References::Keep),
            ("DELREF", References::Delete),
            ("ACKED", References::Acknowledged),
        ] {
            if rest.accept(word) {
                // One of them, once.
                return match self.references.replace(references) {
                    None => Ok(true),
                    Some(_) => Err(CmdError::Syntax),
                };
            }
        }
        if !has_more {
            return Ok(false);
        }
        if rest.accept("MAXLEN") {
            self.threshold(rest)?;
            let max = rest.int()?;
            let max =
                u64::try_from(max).map_err(|_| CmdError::msg("ERR The MAXLEN argument must be >= 0."))?;
            self.bound = Some(Bound::MaxLen(max));
        } else if rest.accept("MINID") {
            self.threshold(rest)?;
            self.bound = Some(Bound::MinId(id::strict(rest.word()?, 0)?));
        } else if rest.accept("LIMIT") {
            self.places.limit = Some(rest.at() - 1);
            let limit = rest.int()?;
            let limit =
                u64::try_from(limit).map_err(|_| CmdError::msg("ERR The LIMIT argument must be >= 0."))?;
            self.limit = Some(limit);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// What stands between MAXLEN or MINID and its threshold.
    fn threshold(&mut self, rest: &mut Cursor<'_>) -> Result<(), CmdError> {
        if self.bound.is_some() {
            return Err(CmdError::msg(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let operator = rest.at();
        self.places.operator = None;
        self.approximate = false;
        if rest.left() >= 2 {
            match rest.peek() {
                Some(b"~") => self.approximate = true,
                Some(b"=") => {}
                _ => {
                    self.places.threshold = operator;
                    return Ok(());
                }
            }
            rest.word()?;
            self.places.operator = Some(operator);
        }
        self.places.threshold = rest.at();
        Ok(())
    }

    /// Checks that the options fit together. `obeys`: the command comes from a log, whose writer trimmed exactly what
    /// it says.
    pub(super) fn check(&self, obeys: bool) -> Result<(), CmdError> {
        if self.limit.is_some_and(|limit| limit > 0) && self.bound.is_none() {
            return Err(CmdError::msg(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if self.limit.is_some() && self.bound.is_some() && !self.approximate && !obeys {
            return Err(CmdError::msg(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        Ok(())
    }

    /// What is to be trimmed, if anything is.
    pub(super) fn trim(&self, limits: &StreamLimits, obeys: bool) -> Option<Trim> {
        let by_default = match limits.node_max_entries.saturating_mul(100) {
            0 => DEFAULT_LIMIT,
            limit => limit.min(DEFAULT_LIMIT_MOST),
        };
        let limit = match self.limit {
            _ if obeys || !self.approximate => None,
            None => Some(by_default),
            Some(0) => None,
            Some(limit) => Some(limit),
        };
        Some(Trim {
            bound: self.bound?,
            approximate: self.approximate,
            limit,
            references: self.references.unwrap_or_default(),
        })
    }

    /// What this argument of an approximate trimming becomes in the log: what was trimmed, exactly. None: it is left
    /// out.
    pub(super) fn logged<'a>(&self, at: usize, argument: &'a [u8], exact: &'a [u8]) -> Option<&'a [u8]> {
        if !self.approximate {
            return Some(argument);
        }
        let Places {
            operator,
            threshold,
            limit,
        } = self.places;
        if operator == Some(at) {
            Some(b"=")
        } else if threshold == at {
            Some(exact)
        } else if limit.is_some_and(|limit| limit == at || limit + 1 == at) {
            None
        } else {
            Some(argument)
        }
    }

    /// The threshold that trims a stream to what it is now.
    pub(super) fn exact_threshold(&self, stream: &Stream) -> id::IdText {
        match self.bound {
            Some(Bound::MinId(_)) if stream.is_empty() => {
                id::text(holdfast_storage::types::stream::StreamId::MAX)
            }
            Some(Bound::MinId(_)) => id::text(stream.first_id()),
            Some(Bound::MaxLen(_)) | None => itoa::Buffer::new().format(stream.len()).as_bytes().into(),
        }
    }

    /// Whether the log must say something else than the client did.
    pub(super) fn is_approximate(&self) -> bool {
        self.bound.is_some() && self.approximate
    }

    /// Whether a strategy was given.
    pub(super) fn has_bound(&self) -> bool {
        self.bound.is_some()
    }
}
