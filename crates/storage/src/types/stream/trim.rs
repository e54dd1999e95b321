//! Trimming: entries leave at the front, by number or by id. Approximately, only whole nodes leave, which costs little;
//! exactly, the entries of one more node are marked.

use super::id::StreamId;
use super::refs::References;
use super::{Inner, Stream, node};

/// What stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// At most so many entries.
    MaxLen(u64),
    /// The entries from this id on.
    MinId(StreamId),
}

/// A trimming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What stays.
    pub bound: Bound,
    /// Whole nodes only.
    pub approximate: bool,
    /// At most so many entries leave; None: any number.
    pub limit: Option<u64>,
    /// What becomes of those that are pending in groups.
    pub references: References,
}

impl Stream {
    /// Trims, and tells how many entries have left.
    pub fn trim(&mut self, trim: &Trim) -> u64 {
        let removed = match trim.references {
            References::Keep => self.trim_nodes(trim, |_| {}),
            References::Delete => {
                let mut gone = Vec::new();
                let removed = self.trim_nodes(trim, |id| gone.push(id));
                for id in gone {
                    self.forget_everywhere(id);
                }
                removed
            }
            References::Acknowledged => self.trim_acknowledged(trim),
        };
        if removed > 0 && self.0.first_id <= self.0.last_id {
            self.find_first();
        }
        removed
    }

    fn trim_nodes(&mut self, trim: &Trim, mut leaves: impl FnMut(StreamId)) -> u64 {
        let want_ids = trim.references == References::Delete;
        let inner = &mut *self.0;
        let mut removed = 0_u64;
        while let Some((first, pack)) = inner.nodes.iter().next() {
            if let Bound::MaxLen(max) = trim.bound
                && inner.len <= max
            {
                break;
            }
            let live = node::counts(pack).live;
            if trim
                .limit
                .is_some_and(|limit| removed.saturating_add(live) > limit)
            {
                break;
            }
            let whole = match trim.bound {
                Bound::MaxLen(max) => inner.len.saturating_sub(live) >= max,
                Bound::MinId(id) => node::NodeIter::new(first, pack)
                    .next_back()
                    .is_none_or(|last| last.entry.id < id),
            };
            if whole {
                if want_ids {
                    node::NodeIter::new(first, pack)
                        .filter(|raw| !raw.deleted)
                        .for_each(|raw| leaves(raw.entry.id));
                }
                inner.nodes.remove(&first);
                inner.len -= live;
                removed += live;
                continue;
            }
            if !trim.approximate {
                removed += trim_inside(inner, first, trim.bound, &mut leaves);
            }
            break;
        }
        removed
    }

    /// Removes those entries within the bound that every group has read and acknowledged; the others stay, and those
    /// behind them may still leave.
    fn trim_acknowledged(&mut self, trim: &Trim) -> u64 {
        let surplus = match trim.bound {
            Bound::MaxLen(max) => self.0.len.saturating_sub(max),
            Bound::MinId(_) => u64::MAX,
        };
        let mut most = surplus.min(trim.limit.unwrap_or(u64::MAX));
        let mut going: Vec<StreamId> = Vec::new();
        let mut looked_at = 0_u64;
        for (first, pack) in self.nodes() {
            let live = node::counts(pack).live;
            looked_at = looked_at.saturating_add(live);
            let whole = match trim.bound {
                Bound::MaxLen(_) => looked_at <= surplus,
                Bound::MinId(id) => node::NodeIter::new(first, pack)
                    .next_back()
                    .is_none_or(|last| last.entry.id < id),
            };
            if most == 0 || (trim.approximate && (!whole || live > most)) {
                break;
            }
            for raw in node::NodeIter::new(first, pack).filter(|raw| !raw.deleted) {
                let out = match trim.bound {
                    Bound::MaxLen(_) => false,
                    Bound::MinId(id) => raw.entry.id >= id,
                };
                if out || most == 0 {
                    break;
                }
                if self.is_acknowledged(raw.entry.id) {
                    going.push(raw.entry.id);
                    most -= 1;
                }
            }
            if !whole && matches!(trim.bound, Bound::MinId(_)) {
                break;
            }
        }
        for id in &going {
            self.unlink(*id);
        }
        going.len() as u64
    }
}

/// Marks entries at the front of the node that begins with `first`, not all of which leave.
fn trim_inside(inner: &mut Inner, first: StreamId, bound: Bound, leaves: &mut impl FnMut(StreamId)) -> u64 {
    let surplus = match bound {
        Bound::MaxLen(max) => inner.len.saturating_sub(max),
        Bound::MinId(_) => u64::MAX,
    };
    let Some(pack) = inner.nodes.get_mut(&first) else {
        return 0;
    };
    let mut marks = Vec::new();
    for raw in node::NodeIter::new(first, pack).filter(|raw| !raw.deleted) {
        let stays = match bound {
            Bound::MaxLen(_) => marks.len() as u64 >= surplus,
            Bound::MinId(id) => raw.entry.id >= id,
        };
        if stays {
            break;
        }
        leaves(raw.entry.id);
        marks.push(raw.position);
    }
    for position in &marks {
        node::mark(pack, *position);
    }
    let marked = marks.len() as u64;
    // A node whose last entry was deleted before may be left without any: it goes with a later trimming, as in Redis.
    if marked > 0 {
        node::count_deleted(pack, marked);
    }
    inner.len -= marked;
    marked
}
