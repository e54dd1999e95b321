//! What SRANDMEMBER and HRANDFIELD share: the count, and how much a reply of repeated draws may take.
//!
//! Must not know: what is drawn.

use holdfast_resp::Reply;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::args;
use crate::ctx::Ctx;
use crate::error::CmdError;

/// The shortest string of a reply in bytes: `$0`, two line ends.
const SHORTEST: usize = 6;

/// How many to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draw {
    /// That many different ones, or all if there are fewer.
    Distinct(usize),
    /// Exactly so many, each one anew.
    Repeated(usize),
}

impl Draw {
    /// Reads a count; a negative one allows repetition.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, CmdError> {
        let count = args::int(text)?;
        let magnitude = usize::try_from(count.unsigned_abs()).map_err(|_| CmdError::OutOfRange)?;
        if count == i64::MIN {
            return Err(CmdError::msg(
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ));
        }
        Ok(if count < 0 {
            Self::Repeated(magnitude)
        } else {
            Self::Distinct(magnitude)
        })
    }

    /// The number as it was given, without its sign.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Distinct(count) | Self::Repeated(count) => count,
        }
    }
}

/// A generator of one's own, so that the data can be borrowed while it draws.
pub(crate) fn fork(ctx: &mut Ctx<'_, '_>) -> SmallRng {
    SmallRng::from_rng(ctx.data.rng)
}

/// Calls `draw` for each of `count` elements of `strings` strings each. Nothing that exists bounds their number, so the
/// size of the reply does: it may take `max` bytes (`proto-max-bulk-len`), as one string may.
///
/// # Errors
/// The reply would be longer.
pub(crate) fn repeat(
    reply: &mut Reply,
    (count, strings, max): (usize, usize, usize),
    mut draw: impl FnMut(&mut Reply),
) -> Result<(), CmdError> {
    if count > max / (SHORTEST * strings) {
        return Err(CmdError::OutOfRange);
    }
    let start = reply.len();
    for _ in 0..count {
        draw(reply);
        if reply.len() - start > max {
            return Err(CmdError::OutOfRange);
        }
    }
    Ok(())
}
