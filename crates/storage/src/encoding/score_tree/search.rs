//! Where a search goes in the sorted entries of one node.
//!
//! It must not know nodes. A search by score looks at the last score of every cache line at once, then at one line: the
//! loads do not wait for each other, which measures better than the dependent cache misses of a search that halves.

use super::MemberId;

/// What a tree is searched for: a place, with entries before it and entries not before it.
pub(crate) trait Search {
    /// How many of these entries, which stand in the tree's order, are before the place. There are more scores
    /// than ids: those behind are NaN, so a search by score compares a fixed number of them and asks for no length.
    fn place(&mut self, scores: &[f64], ids: &[MemberId]) -> usize;
}

/// The place behind all lower scores and, among equal scores, behind the ids for which `tie` holds.
#[derive(Debug)]
pub(crate) struct ByScore<F> {
    /// Not NaN.
    pub(crate) score: f64,
    /// Must hold for the first so many of the equal entries, and for no others.
    pub(crate) tie: F,
}

impl<F: FnMut(MemberId) -> bool> Search for ByScore<F> {
    #[inline]
    fn place(&mut self, scores: &[f64], ids: &[MemberId]) -> usize {
        let lower = count(scores, |score| score < self.score);
        if scores.get(lower) != Some(&self.score) {
            return lower;
        }
        let upper = match scores.get(lower + 1) {
            Some(next) if *next == self.score => count(scores, |score| score <= self.score),
            Some(_) | None => lower + 1,
        };
        lower + ids[lower..upper].partition_point(|&id| (self.tie)(id))
    }
}

/// Scores of a cache line. Nodes hold a multiple of them.
pub(super) const LINE: usize = 8;

/// For how many scores `holds`: the first so many, and no others.
#[inline]
fn count(scores: &[f64], holds: impl Fn(f64) -> bool) -> usize {
    let (lines, _) = scores.as_chunks::<LINE>();
    let whole: usize = lines.iter().map(|line| usize::from(holds(line[LINE - 1]))).sum();
    match lines.get(whole) {
        Some(line) => whole * LINE + line.iter().map(|&score| usize::from(holds(score))).sum::<usize>(),
        None => scores.len(),
    }
}

/// The place behind the ids for which the predicate holds, whatever the scores.
#[derive(Debug)]
pub(crate) struct ById<F>(pub(crate) F);

impl<F: FnMut(MemberId) -> bool> Search for ById<F> {
    #[inline]
    fn place(&mut self, _scores: &[f64], ids: &[MemberId]) -> usize {
        ids.partition_point(|&id| (self.0)(id))
    }
}
