//! Delta debugging: the fewest units of a stream that still show a difference of the same kind.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::driver::{Difference, Driver};
use super::stream::Unit;
use crate::server::Server;

/// Replays `units` on emptied servers; the state is compared at the end.
///
/// # Errors
/// A server that breaks off.
pub fn replay(units: &[Unit], subject: &Server, oracle: &Server) -> Result<Option<Difference>> {
    let mut driver = Driver::new(subject, oracle)?;
    for unit in units {
        if let Err(difference) = driver.take(unit)? {
            return Ok(Some(difference));
        }
    }
    Ok(driver.compare_state()?.err())
}

/// Leaves out units while the difference stays, for at most `patience`. The last unit of `units` is where it showed.
///
/// # Errors
/// A server that breaks off.
pub fn minimise(
    units: Vec<Unit>,
    kind: &str,
    patience: Duration,
    subject: &Server,
    oracle: &Server,
) -> Result<Vec<Unit>> {
    let deadline = Instant::now() + patience;
    let mut units = units;
    let mut pieces = 2;
    while pieces <= units.len() && Instant::now() < deadline {
        let size = units.len().div_ceil(pieces);
        let mut start = 0;
        let mut removed = false;
        while start < units.len() && Instant::now() < deadline {
            let end = (start + size).min(units.len());
            let candidate = [&units[..start], &units[end..]].concat();
            let shows = !candidate.is_empty()
                && replay(&candidate, subject, oracle)?.is_some_and(|difference| difference.kind == kind);
            if shows {
                units = candidate;
                removed = true;
            } else {
                start = end;
            }
        }
        if size == 1 && !removed {
            break;
        }
        pieces = if removed {
            pieces.max(2)
        } else {
            (pieces * 2).min(units.len().max(2))
        };
        if size == 1 && removed {
            pieces = units.len();
        }
    }
    Ok(units)
}
