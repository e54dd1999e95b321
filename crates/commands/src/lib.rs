//! Command declarations, the argument cursor and the handlers of the data commands.
//!
//! A handler is synchronous and deterministic: it sees data, clock, randomness, a reply and its effects, never a
//! socket, a session or the process. One file for each command or close group: declaration, handler, tests; its name in
//! the family's list. A command that is in no list is dead code, and the build fails.

#![forbid(unsafe_code)]

pub mod args;
mod bitmap;
pub mod ctx;
pub mod docs_page;
mod draw;
pub mod error;
mod generic;
mod geo;
mod hash;
mod hll;
pub mod introspect;
mod items;
pub mod key_positions;
pub mod limits;
mod list;
mod set;
mod sorted_set;
pub mod spec;
mod stream;
mod string;
#[cfg(test)]
mod testing;
mod timeout;

use ctx::Command;
pub use generic::scan::ScanOptions;

/// Every data command, by family.
pub fn all() -> impl Iterator<Item = &'static Command> {
    [
        bitmap::COMMANDS,
        generic::COMMANDS,
        geo::COMMANDS,
        list::COMMANDS,
        hash::COMMANDS,
        hll::COMMANDS,
        set::COMMANDS,
        sorted_set::COMMANDS,
        stream::COMMANDS,
        string::COMMANDS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
