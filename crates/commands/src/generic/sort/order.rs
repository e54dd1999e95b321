//! How SORT compares.
//!
//! Numbers that are equal are ordered by the elements' bytes, so the result does not depend on the way. With ALPHA and
//! BY, elements of equal weight keep their order; a weight that is not there comes before all others.

use std::cmp::Ordering;
use std::ops::Range;

use holdfast_storage::numeric;

use super::options::Options;
use super::pattern::Pattern;
use crate::ctx::Ctx;
use crate::error::CmdError;

type Element = Vec<u8>;

/// Sorts by the elements themselves. Only the places in `range` are right.
pub(super) fn by_element(
    mut elements: Vec<Element>,
    options: &Options<'_>,
    range: &Range<usize>,
) -> Result<Vec<Element>, CmdError> {
    if options.alpha {
        arrange(&mut elements, range, options.descending, |a, b| a.cmp(b));
        return Ok(elements);
    }
    let weighted = elements
        .into_iter()
        .map(|e| number(&e).map(|n| (n, e)))
        .collect::<Result<_, _>>()?;
    Ok(by_number(weighted, options, range))
}

/// Sorts by what the pattern names for each element. Only the places in `range` are right.
pub(super) fn by_pattern(
    ctx: &mut Ctx<'_, '_>,
    elements: Vec<Element>,
    pattern: Pattern<'_>,
    options: &Options<'_>,
    range: &Range<usize>,
) -> Result<Vec<Element>, CmdError> {
    if options.alpha {
        let mut weighted: Vec<(Option<Vec<u8>>, Element)> = elements
            .into_iter()
            .map(|e| (pattern.look_up(&mut ctx.data, &e, |w| w.map(<[u8]>::to_vec)), e))
            .collect();
        arrange(&mut weighted, range, options.descending, |a, b| a.0.cmp(&b.0));
        return Ok(weighted.into_iter().map(|(_, e)| e).collect());
    }
    let mut weighted = Vec::with_capacity(elements.len());
    for e in elements {
        let weight = pattern.look_up(&mut ctx.data, &e, |w| w.map_or(Ok(0.0), number))?;
        weighted.push((weight, e));
    }
    Ok(by_number(weighted, options, range))
}

fn by_number(mut weighted: Vec<(f64, Element)>, options: &Options<'_>, range: &Range<usize>) -> Vec<Element> {
    arrange(&mut weighted, range, options.descending, |a, b| {
        a.0.partial_cmp(&b.0)
            .unwrap_or(Ordering::Equal)
            .then_with(|| a.1.cmp(&b.1))
    });
    weighted.into_iter().map(|(_, e)| e).collect()
}

/// Puts the right items into the places of `range`: all are sorted, or with a small LIMIT only the first ones.
fn arrange<T>(
    items: &mut [T],
    range: &Range<usize>,
    descending: bool,
    ascending: impl Fn(&T, &T) -> Ordering,
) {
    let compare = |a: &T, b: &T| {
        if descending {
            ascending(b, a)
        } else {
            ascending(a, b)
        }
    };
    if range.is_empty() {
        return;
    }
    if range.end < items.len() / 4 {
        items.select_nth_unstable_by(range.end, compare);
        items[..range.end].sort_by(compare);
    } else {
        items.sort_by(compare);
    }
}

/// A number as C's `strtod` reads it: leading white space is skipped, the text ends at a zero byte, nothing at all
/// is 0.
fn number(text: &[u8]) -> Result<f64, CmdError> {
    let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
    let text = &text[..end];
    if text.is_empty() {
        return Ok(0.0);
    }
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let skipped = text.iter().take_while(is_space).count();
    numeric::parse_f64(&text[skipped..])
        .ok_or_else(|| CmdError::msg("ERR One or more scores can't be converted into double"))
}
