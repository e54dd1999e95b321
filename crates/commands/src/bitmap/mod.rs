//! Strings as arrays of bits.

mod bits;
mod count;
mod field;
mod op;

use holdfast_storage::effects::{Class, Event};

use crate::ctx::Command;

/// What every command that changes bits in place is called in events.
const EVENT: Event = Event(Class::String, "setbit");

/// The family.
pub const COMMANDS: &[&Command] = &[
    &bits::GETBIT,
    &bits::SETBIT,
    &count::BITCOUNT,
    &count::BITPOS,
    &field::BITFIELD,
    &field::BITFIELD_RO,
    &op::BITOP,
];
