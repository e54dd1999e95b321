//! The timeout of blocking commands: seconds, with fractions.
//!
//! Must not know: what is waited for.

use holdfast_storage::longdouble::LongDouble;
use holdfast_storage::numeric;

use crate::error::CmdError;

/// A timeout in seconds as milliseconds, rounded up; None: for ever. `now_ms` is a Unix time: the end must be
/// representable as one.
pub(crate) fn parse(text: &[u8], now_ms: i64) -> Result<Option<u64>, CmdError> {
    let ms = (seconds(text).ok_or(CmdError::TimeoutNotFloat)? * 1000.0).ceil();
    // What does not fit in 64 bits is negative for Redis 7.0.
    if ms < 0.0 || ms >= i64::MAX as f64 {
        return Err(CmdError::TimeoutNegative);
    }
    let ms = ms as i64;
    if now_ms.checked_add(ms).is_none() {
        return Err(CmdError::msg("ERR timeout is out of range"));
    }
    Ok((ms > 0).then_some(ms as u64))
}

/// A number that C's `strtold` can read. One that a double cannot hold becomes infinite, or the least there is.
fn seconds(text: &[u8]) -> Option<f64> {
    if let Some(seconds) = numeric::parse_f64(text) {
        return Some(seconds);
    }
    LongDouble::parse(text)?;
    let rounded = numeric::parse_score_bound(text)?;
    Some(if rounded == 0.0 {
        f64::MIN_POSITIVE.copysign(rounded)
    } else {
        rounded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds() {
        for (text, want) in [
            ("0", Ok(None)),
            ("-0", Ok(None)),
            ("1", Ok(Some(1000))),
            ("0.0001", Ok(Some(1))),
            ("1.5", Ok(Some(1500))),
            ("-1", Err(CmdError::TimeoutNegative)),
            ("1e300", Err(CmdError::TimeoutNegative)),
            ("1e400", Err(CmdError::TimeoutNegative)),
            ("1e-400", Ok(Some(1))),
            ("-1e-400", Ok(None)),
            ("1e5000", Err(CmdError::TimeoutNotFloat)),
            ("", Err(CmdError::TimeoutNotFloat)),
            (" 1", Err(CmdError::TimeoutNotFloat)),
            ("inf", Err(CmdError::TimeoutNegative)),
            ("nan", Err(CmdError::TimeoutNotFloat)),
            ("a", Err(CmdError::TimeoutNotFloat)),
            (
                "9223372036854774",
                Err(CmdError::msg("ERR timeout is out of range")),
            ),
        ] {
            assert_eq!(parse(text.as_bytes(), 1_000_000), want, "{text}");
        }
    }
}
