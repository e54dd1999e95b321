//! The words EX, PX, EXAT and PXAT of SET and GETEX, and the numbers behind them.

use crate::args::{self, Cursor};
use crate::error::CmdError;

/// What the number of an expiry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// EX: seconds from now.
    Seconds,
    /// PX: milliseconds from now.
    Milliseconds,
    /// EXAT: Unix time in seconds.
    UnixSeconds,
    /// PXAT: Unix time in milliseconds.
    UnixMilliseconds,
}

impl Unit {
    const WORDS: [(&'static str, Self); 4] = [
        ("EX", Self::Seconds),
        ("PX", Self::Milliseconds),
        ("EXAT", Self::UnixSeconds),
        ("PXAT", Self::UnixMilliseconds),
    ];

    /// `value` of this unit as a Unix time in milliseconds; an error if it is not positive or does not fit.
    pub(crate) fn resolve(self, value: i64, now_ms: i64, command: &'static str) -> Result<i64, CmdError> {
        let (scale, base_ms) = match self {
            Self::Seconds => (1000, now_ms),
            Self::Milliseconds => (1, now_ms),
            Self::UnixSeconds => (1000, 0),
            Self::UnixMilliseconds => (1, 0),
        };
        Some(value)
            .filter(|value| *value > 0)
            .and_then(|value| value.checked_mul(scale))
            .and_then(|ms| ms.checked_add(base_ms))
            .ok_or(CmdError::InvalidExpire(command))
    }
}

/// An expiry as it was written. The number is looked at last: any other error of the command wins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ExpiryArg<'a>(Option<(Unit, &'a [u8])>);

impl<'a> ExpiryArg<'a> {
    /// True if none was written.
    pub(crate) fn is_none(self) -> bool {
        self.0.is_none()
    }

    /// Takes one of the four words and its number if they come next. The same word may come again, another may not.
    pub(crate) fn take(&mut self, rest: &mut Cursor<'a>) -> bool {
        let mut probe = rest.clone();
        let Some((_, unit)) = Unit::WORDS.into_iter().find(|(word, _)| probe.accept(word)) else {
            return false;
        };
        let Some(number) = probe.next() else {
            return false;
        };
        if self.0.is_some_and(|(before, _)| before != unit) {
            return false;
        }
        self.0 = Some((unit, number));
        *rest = probe;
        true
    }

    /// As a Unix time in milliseconds.
    pub(crate) fn resolve(self, now_ms: i64, command: &'static str) -> Result<Option<i64>, CmdError> {
        match self.0 {
            None => Ok(None),
            Some((unit, number)) => unit.resolve(args::int(number)?, now_ms, command).map(Some),
        }
    }
}
