//! What every collection has in common, so that one guard lends them all: see [`super::Edit`].
//!
//! Must not know: keys, effects, locks.

use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::stream::Stream;
use crate::types::zset::Zset;
use crate::value::{Kind, Value, ValueMut, ValueRef};

/// A collection that an [`super::Edit`] can lend.
pub trait Collection: Sized {
    /// Its kind.
    const KIND: Kind;
    /// An empty one.
    fn empty() -> Self;
    /// True if nothing is left: the key is then removed.
    fn is_empty(&self) -> bool;
    /// As a value.
    fn into_value(self) -> Value;
    /// Out of a value; None if it is of another kind.
    fn from_value(value: Value) -> Option<Self>;
    /// Out of a borrowed value.
    fn of(value: ValueRef<'_>) -> Option<&Self>;
    /// Out of a value lent to be changed.
    fn of_mut(value: ValueMut<'_>) -> Option<&mut Self>;
}

macro_rules! collection {
    ($t:ident) => {
        impl Collection for $t {
            const KIND: Kind = Kind::$t;
            fn empty() -> Self {
                Self::new()
            }
            fn is_empty(&self) -> bool {
                self.len() == 0
            }
            fn into_value(self) -> Value {
                Value::$t(self)
            }
            fn from_value(value: Value) -> Option<Self> {
                if let Value::$t(v) = value {
                    Some(v)
                } else {
                    None
                }
            }
            fn of(value: ValueRef<'_>) -> Option<&Self> {
                if let ValueRef::$t(v) = value {
                    Some(v)
                } else {
                    None
                }
            }
            fn of_mut(value: ValueMut<'_>) -> Option<&mut Self> {
                if let ValueMut::$t(v) = value {
                    Some(v)
                } else {
                    None
                }
            }
        }
    };
}
collection!(List);
collection!(Set);
collection!(Hash);
collection!(Zset);

impl Collection for Stream {
    const KIND: Kind = Kind::Stream;
    fn empty() -> Self {
        Self::new()
    }
    /// The key of a stream without entries stays.
    fn is_empty(&self) -> bool {
        false
    }
    fn into_value(self) -> Value {
        Value::Stream(self)
    }
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Stream(v) = value {
            Some(v)
        } else {
            None
        }
    }
    fn of(value: ValueRef<'_>) -> Option<&Self> {
        if let ValueRef::Stream(v) = value {
            Some(v)
        } else {
            None
        }
    }
    fn of_mut(value: ValueMut<'_>) -> Option<&mut Self> {
        if let ValueMut::Stream(v) = value {
            Some(v)
        } else {
            None
        }
    }
}
