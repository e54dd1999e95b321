//! The words EX, PX, EXAT and PXAT of SET, GETEX and their like.

use holdfast_storage::effects::Event;

use crate::args::Cursor;
use crate::ctx::Ctx;
use crate::error::CmdError;

/// An expiry as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExpiryArg {
    None,
    /// Seconds or milliseconds from now.
    In {
        value: i64,
        seconds: bool,
    },
    /// Unix time in seconds or milliseconds.
    At {
        value: i64,
        seconds: bool,
    },
}

impl ExpiryArg {
    /// Takes one of the four words and its number, if it comes next.
    pub(crate) fn take(rest: &mut Cursor<'_>) -> Result<Option<Self>, CmdError> {
        let mut probe = rest.clone();
        let make: fn(i64) -> Self = if probe.accept("EX") {
            |value| Self::In { value, seconds: true }
        } else if probe.accept("PX") {
            |value| Self::In {
                value,
                seconds: false,
            }
        } else if probe.accept("EXAT") {
            |value| Self::At { value, seconds: true }
        } else if probe.accept("PXAT") {
            |value| Self::At {
                value,
                seconds: false,
            }
        } else {
            return Ok(None);
        };
        let value = probe.int()?;
        *rest = probe;
        Ok(Some(make(value)))
    }

    /// As a Unix time in milliseconds.
    pub(crate) fn resolve(self, now_ms: i64, command: &'static str) -> Result<Option<i64>, CmdError> {
        let (value, seconds, base) = match self {
            Self::None => return Ok(None),
            Self::In { value, seconds } => (value, seconds, now_ms),
            Self::At { value, seconds } => (value, seconds, 0),
        };
        let bad = CmdError::InvalidExpire(command);
        if value <= 0 {
            return Err(bad);
        }
        let ms = if seconds {
            value.checked_mul(1000)
        } else {
            Some(value)
        };
        match ms.and_then(|ms| ms.checked_add(base)) {
            Some(ms) => Ok(Some(ms)),
            None => Err(bad),
        }
    }
}

/// The event beside `set` when an expiry was given with it.
pub(crate) fn was_set(ctx: &mut Ctx<'_, '_>, key: &[u8], _at_ms: i64) {
    ctx.data.effects.event(ctx.data.db, Event::EXPIRE, key);
}
