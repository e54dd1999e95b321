//! Sets.

use std::io::{self, Write};

use holdfast_storage::encoding::intset::Intset;
use holdfast_storage::types::set::{Set, SetLimits};

use crate::error::RdbError;
use crate::input::Input;
use crate::read;
use crate::types::Type;
use crate::value::{count, read_listpack};
use crate::write::Writer;

pub(crate) fn write<W: Write>(w: &mut Writer<W>, set: &Set) -> io::Result<()> {
    if let Some(ints) = set.as_intset() {
        return w.string(ints.as_bytes());
    }
    w.len(set.len() as u64)?;
    set.iter().try_for_each(|member| w.item(member))
}

pub(crate) fn read(input: &mut impl Input, ty: Type, limits: &SetLimits) -> Result<Set, RdbError> {
    match ty {
        Type::SetIntset => {
            let ints = Intset::from_bytes(&read::string(input)?)?;
            if ints.is_empty() {
                return Err(RdbError::Empty);
            }
            Ok(Set::from_intset(ints, limits))
        }
        Type::SetListpack => Set::from_listpack(read_listpack(input)?, limits).ok_or(RdbError::Duplicate),
        _ => {
            debug_assert_eq!(ty, Type::Set);
            let count = count(input)?;
            let (mut set, mut member) = (Set::new(), Vec::new());
            for i in 0..count {
                read::string_into(input, &mut member)?;
                if i == 0 {
                    set.expect(&member, usize::try_from(count).unwrap_or(usize::MAX), limits);
                }
                if !set.insert(&member, limits) {
                    return Err(RdbError::Duplicate);
                }
            }
            Ok(set)
        }
    }
}
