//! A listpack's entries in the opposite order.

use super::entry::span_at;
use super::{Format, HEADER, Iter, Listpack, Position};
use crate::encoding::thin::ThinFormat;

impl Listpack {
    /// The same entries from the last to the first.
    pub fn reversed(&self) -> Self {
        let mut reversed = self.clone();
        let (bytes, end) = (self.as_bytes(), self.end());
        let body = reversed.0.body_mut();
        let (mut from, mut to) = (HEADER, end - Format::LEAD);
        while from < end {
            let span = span_at(bytes, from);
            to -= span;
            body[to..to + span].copy_from_slice(&bytes[from..from + span]);
            from += span;
        }
        reversed
    }

    /// The values before the entry at `end`.
    pub fn iter_before(&self, end: Position) -> Iter<'_> {
        Iter {
            back: end.offset(),
            ..self.iter()
        }
    }

    /// Removes the last entry.
    pub fn pop_back(&mut self) {
        if let Some(last) = self.last() {
            let span = self.end() - last.offset();
            self.splice(last.offset(), span, 1, &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reversing_is_what_it_says(values in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            any::<i64>().prop_map(|int| int.to_string().into_bytes()),
        ], 0..20)) {
            let mut pack = Listpack::new();
            values.iter().for_each(|value| pack.push_back(value));
            let reversed = pack.reversed();
            prop_assert!(Listpack::from_bytes(reversed.as_bytes()).is_ok());
            let expected: Vec<_> = pack.iter().rev().map(|item| item.to_vec()).collect();
            prop_assert_eq!(reversed.iter().map(|item| item.to_vec()).collect::<Vec<_>>(), expected);
            prop_assert_eq!(&reversed.reversed(), &pack);
            for at in 0..values.len() {
                let end = pack.seek(at as i64).expect("there are so many");
                prop_assert_eq!(pack.iter_before(end).count(), at);
            }
            pack.pop_back();
            prop_assert_eq!(pack.len(), values.len().saturating_sub(1));
            prop_assert!(Listpack::from_bytes(pack.as_bytes()).is_ok());
        }
    }
}
