//! Bounds of ranges by score and by member. Knows nothing of encodings: each bound only says on which side a score
//! or a member stands.

/// A range of scores, as ZRANGEBYSCORE and its family take it. Infinities stand for open ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreRange {
    /// The lowest score.
    pub min: f64,
    /// Whether `min` itself is outside.
    pub min_excl: bool,
    /// The highest score.
    pub max: f64,
    /// Whether `max` itself is outside.
    pub max_excl: bool,
}

impl ScoreRange {
    /// Every score.
    pub const ALL: Self = Self {
        min: f64::NEG_INFINITY,
        min_excl: false,
        max: f64::INFINITY,
        max_excl: false,
    };

    /// Whether a score lies before the range.
    pub(super) fn starts_after(&self, score: f64) -> bool {
        if self.min_excl {
            score <= self.min
        } else {
            score < self.min
        }
    }

    /// Whether a score does not lie behind the range.
    pub(super) fn ends_after(&self, score: f64) -> bool {
        if self.max_excl {
            score < self.max
        } else {
            score <= self.max
        }
    }
}

/// One end of a range of members, as ZRANGEBYLEX and its family take it. Members compare as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: before every member.
    NegInf,
    /// `+`: behind every member.
    PosInf,
    /// `[bytes`: this member is inside.
    Incl(&'a [u8]),
    /// `(bytes`: this member is outside.
    Excl(&'a [u8]),
}

impl LexBound<'_> {
    /// Whether, as a minimum, it leaves out a member.
    pub(super) fn starts_after(&self, member: &[u8]) -> bool {
        match self {
            LexBound::NegInf => false,
            LexBound::PosInf => true,
            LexBound::Incl(bound) => member < *bound,
            LexBound::Excl(bound) => member <= *bound,
        }
    }

    /// Whether, as a maximum, it lets a member in.
    pub(super) fn ends_after(&self, member: &[u8]) -> bool {
        match self {
            LexBound::NegInf => false,
            LexBound::PosInf => true,
            LexBound::Incl(bound) => member <= *bound,
            LexBound::Excl(bound) => member < *bound,
        }
    }
}
