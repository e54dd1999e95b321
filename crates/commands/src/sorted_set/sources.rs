//! The inputs of ZUNION, ZINTER and ZDIFF, sets and sorted sets alike, and what comes out of them.
//!
//! Must not know: replies, destinations.

use std::collections::HashMap;

use holdfast_storage::data::Data;
use holdfast_storage::value::ValueRef;

use crate::error::CmdError;

/// What becomes of the scores of a member that several inputs have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Aggregate {
    /// They are added.
    #[default]
    Sum,
    /// The lowest.
    Min,
    /// Scores do not matter: the weights are added.
    Count,
    /// The highest.
    Max,
}

impl Aggregate {
    fn join(self, score: f64, other: f64) -> f64 {
        match self {
            Self::Sum | Self::Count => number(score + other),
            Self::Min if other < score => other,
            Self::Max if other > score => other,
            Self::Min | Self::Max => score,
        }
    }
}

/// Infinity times 0, and the sum of both infinities, is 0.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// One input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    key: &'a [u8],
    len: usize,
    /// By which its scores are multiplied. The members of a set have the score 1.
    pub weight: f64,
    /// Every member counts as if its score were 1.
    pub counts: bool,
}

/// Members with their scores, in no order.
pub(super) type Members = Vec<(Vec<u8>, f64)>;

impl<'a> Source<'a> {
    /// Looks a key up.
    pub fn find(data: &mut Data<'_, '_>, key: &'a [u8]) -> Result<Self, CmdError> {
        let len = match data.get(key) {
            None => 0,
            Some(ValueRef::Zset(set)) => set.len(),
            Some(ValueRef::Set(set)) => set.len(),
            Some(
                ValueRef::Int(_)
                | ValueRef::Str { .. }
                | ValueRef::Heap(_)
                | ValueRef::List(_)
                | ValueRef::Hash(_)
                | ValueRef::Stream(_),
            ) => return Err(CmdError::WrongType),
        };
        Ok(Self {
            key,
            len,
            weight: 1.0,
            counts: false,
        })
    }

    /// Lends every member with its weighted score.
    fn each(&self, data: &mut Data<'_, '_>, mut each: impl FnMut(&[u8], f64)) {
        let weight = self.weight;
        match data.peek(self.key) {
            Some(ValueRef::Zset(set)) => set.iter().for_each(|(member, score)| {
                let score = number(weight * self.counted(score));
                member.with_bytes(|member| each(member, score));
            }),
            Some(ValueRef::Set(set)) => set
                .iter()
                .for_each(|member| member.with_bytes(|member| each(member, number(weight)))),
            Some(
                ValueRef::Int(_)
                | ValueRef::Str { .. }
                | ValueRef::Heap(_)
                | ValueRef::List(_)
                | ValueRef::Hash(_)
                | ValueRef::Stream(_),
            )
            | None => {}
        }
    }

    /// Keeps what `decide`, told the weighted score that each member has here, does not refuse.
    fn retain(
        &self,
        data: &mut Data<'_, '_>,
        members: &mut Members,
        mut decide: impl FnMut(&mut f64, Option<f64>) -> bool,
    ) {
        let weight = self.weight;
        match data.peek(self.key) {
            Some(ValueRef::Zset(set)) => {
                members.retain_mut(|(member, score)| {
                    decide(score, set.score(member).map(|s| self.counted(s) * weight))
                });
            }
            Some(ValueRef::Set(set)) => {
                members.retain_mut(|(member, score)| decide(score, set.contains(member).then_some(weight)));
            }
            Some(
                ValueRef::Int(_)
                | ValueRef::Str { .. }
                | ValueRef::Heap(_)
                | ValueRef::List(_)
                | ValueRef::Hash(_)
                | ValueRef::Stream(_),
            )
            | None => members.retain_mut(|(_, score)| decide(score, None)),
        }
    }

    fn counted(&self, score: f64) -> f64 {
        if self.counts { 1.0 } else { score }
    }

    fn collect(&self, data: &mut Data<'_, '_>) -> Members {
        let mut members = Vec::with_capacity(self.len);
        self.each(data, |member, score| members.push((member.to_vec(), score)));
        members
    }
}

/// Members of any input. The smallest comes first, which decides how sums are rounded.
pub(super) fn union(data: &mut Data<'_, '_>, sources: &mut [Source<'_>], aggregate: Aggregate) -> Members {
    sources.sort_by_key(|source| source.len);
    if let [only] = sources {
        return only.collect(data);
    }
    let largest = sources.last().map_or(0, |source| source.len);
    let mut union: HashMap<Vec<u8>, f64> = HashMap::with_capacity(largest);
    for source in sources {
        source.each(data, |member, score| match union.get_mut(member) {
            Some(old) => *old = aggregate.join(*old, score),
            None => {
                union.insert(member.to_vec(), score);
            }
        });
    }
    union.into_iter().collect()
}

/// Members of all inputs.
pub(super) fn inter(data: &mut Data<'_, '_>, sources: &mut [Source<'_>], aggregate: Aggregate) -> Members {
    sources.sort_by_key(|source| source.len);
    let Some((smallest, others)) = sources.split_first().filter(|(smallest, _)| smallest.len > 0) else {
        return Members::new();
    };
    let mut members = smallest.collect(data);
    for source in others {
        source.retain(data, &mut members, |score, other| match other {
            Some(other) => {
                *score = aggregate.join(*score, other);
                true
            }
            None => false,
        });
    }
    members
}

/// Members of the first input that no other has.
pub(super) fn diff(data: &mut Data<'_, '_>, sources: &[Source<'_>]) -> Members {
    let Some((first, others)) = sources.split_first() else {
        return Members::new();
    };
    let mut members = first.collect(data);
    for source in others.iter().filter(|source| source.len > 0) {
        source.retain(data, &mut members, |_, other| other.is_none());
    }
    members
}
