//! A listpack that a snapshot may hold at the same time: the first change after that copies it.
//!
//! Must not know: what the listpack is a part of.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::listpack::Listpack;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub enum SharedPack {
    /// Of its own.
    Own(Listpack),
    /// Held by somebody else, too.
    Shared(Arc<Listpack>),
}

impl SharedPack {
    /// A second owner of the same bytes.
    pub fn fork(&mut self) -> Self {
        if let Self::Own(pack) = self {
            *self = Self::Shared(Arc::new(std::mem::take(pack)));
        }
        self.clone()
    }
}

impl From<Listpack> for SharedPack {
    fn from(pack: Listpack) -> Self {
        Self::Own(pack)
    }
}

impl Deref for SharedPack {
    type Target = Listpack;
    fn deref(&self) -> &Listpack {
        match self {
            Self::Own(pack) => pack,
            Self::Shared(pack) => pack,
        }
    }
}

impl DerefMut for SharedPack {
    fn deref_mut(&mut self) -> &mut Listpack {
        if let Self::Shared(pack) = self {
            *self = Self::Own(Listpack::clone(pack));
        }
        match self {
            Self::Own(pack) => pack,
            Self::Shared(_) => unreachable!("made its own above"),
        }
    }
}
