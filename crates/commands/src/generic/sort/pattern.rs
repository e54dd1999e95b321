//! The patterns of SORT's BY and GET: a key, or a field of a hash, with the element in the place of `*`.

use holdfast_storage::data::Data;
use holdfast_storage::value::ValueRef;

/// One pattern.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// Without `*`: names no key.
    Constant,
    /// `before*after` or `before*after->field`.
    Key {
        before: &'a [u8],
        after: &'a [u8],
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Self {
        if text == b"#" {
            return Self::Element;
        }
        let Some(star) = text.iter().position(|&b| b == b'*') else {
            return Self::Constant;
        };
        let (before, after) = (&text[..star], &text[star + 1..]);
        // An arrow at the very end is a part of the key.
        let arrow = after
            .windows(2)
            .position(|w| w == b"->")
            .filter(|at| at + 2 < after.len());
        match arrow {
            None => Self::Key {
                before,
                after,
                field: None,
            },
            Some(at) => Self::Key {
                before,
                after: &after[..at],
                field: Some(&after[at + 2..]),
            },
        }
    }

    /// True if the text has a `*`, which alone makes BY sort.
    pub(super) fn depends_on_element(&self) -> bool {
        matches!(self, Self::Key { .. })
    }

    /// Hands over what the pattern names for an element; None if there is no such key or field, or one of another type.
    pub(super) fn look_up<R>(
        &self,
        data: &mut Data<'_, '_>,
        element: &[u8],
        with: impl FnOnce(Option<&[u8]>) -> R,
    ) -> R {
        let (before, after, field) = match self {
            Self::Element => return with(Some(element)),
            Self::Constant => return with(None),
            Self::Key { before, after, field } => (before, after, field),
        };
        let key = [before, element, after].concat();
        match (data.get(&key), field) {
            (Some(ValueRef::Hash(hash)), Some(field)) => match hash.get(field) {
                None => with(None),
                Some(value) => value.with_bytes(|text| with(Some(text))),
            },
            (Some(ValueRef::Int(i)), None) => with(Some(itoa::Buffer::new().format(i).as_bytes())),
            (Some(ValueRef::Str { bytes, .. }), None) => with(Some(bytes)),
            (Some(ValueRef::Heap(text)), None) => with(Some(text.as_slice())),
            (
                None
                | Some(
                    ValueRef::Int(_)
                    | ValueRef::Str { .. }
                    | ValueRef::Heap(_)
                    | ValueRef::List(_)
                    | ValueRef::Set(_)
                    | ValueRef::Hash(_)
                    | ValueRef::Zset(_)
                    | ValueRef::Stream(_),
                ),
                _,
            ) => with(None),
        }
    }
}
