//! The words of SORT.

use std::ops::Range;

use smallvec::SmallVec;

use super::pattern::Pattern;
use crate::args::Cursor;
use crate::error::CmdError;

/// What the elements are compared by.
#[derive(Clone, Copy, Debug)]
pub(super) enum By<'a> {
    /// The elements themselves.
    Element,
    /// Values of other keys.
    Pattern(Pattern<'a>),
    /// They are not compared: BY with a pattern that names no key for each.
    Nothing,
}

/// The options of SORT.
#[derive(Debug)]
pub(super) struct Options<'a> {
    pub(super) by: By<'a>,
    pub(super) get: SmallVec<[Pattern<'a>; 4]>,
    pub(super) descending: bool,
    /// Compared as text, not as numbers.
    pub(super) alpha: bool,
    pub(super) store: Option<&'a [u8]>,
    offset: i64,
    count: i64,
}

impl<'a> Options<'a> {
    /// Reads all words behind the key; of what is given twice, the last one holds.
    pub(super) fn parse(mut rest: Cursor<'a>, may_store: bool, cluster: bool) -> Result<Self, CmdError> {
        let mut o = Self {
            by: By::Element,
            get: SmallVec::new(),
            descending: false,
            alpha: false,
            store: None,
            offset: 0,
            count: -1,
        };
        // Once one BY named no key, the others are not looked at: Redis remembers that it need not sort.
        let mut unsorted = false;
        while rest.left() > 0 {
            if rest.accept("ASC") {
                o.descending = false;
            } else if rest.accept("DESC") {
                o.descending = true;
            } else if rest.accept("ALPHA") {
                o.alpha = true;
            } else if rest.left() >= 3 && rest.accept("LIMIT") {
                (o.offset, o.count) = (rest.int()?, rest.int()?);
            } else if may_store && rest.left() >= 2 && rest.accept("STORE") {
                o.store = Some(rest.word()?);
            } else if rest.left() >= 2 && rest.accept("BY") {
                let pattern = Pattern::parse(rest.word()?);
                if cluster && pattern.depends_on_element() {
                    return Err(CmdError::msg("ERR BY option of SORT denied in Cluster mode."));
                }
                unsorted |= !pattern.depends_on_element();
                o.by = By::Pattern(pattern);
            } else if rest.left() >= 2 && rest.accept("GET") {
                if cluster {
                    return Err(CmdError::msg("ERR GET option of SORT denied in Cluster mode."));
                }
                o.get.push(Pattern::parse(rest.word()?));
            } else {
                return Err(CmdError::Syntax);
            }
        }
        if unsorted {
            o.by = By::Nothing;
        }
        Ok(o)
    }

    /// The places that LIMIT leaves of `len`.
    pub(super) fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset.max(0)).map_or(len, |n| n.min(len));
        let count = usize::try_from(self.count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}
