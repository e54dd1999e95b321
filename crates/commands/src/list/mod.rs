//! Lists.

mod blocking_pop;
mod edit;
mod ends;
mod index;
mod lpos;
mod moving;
mod moving_many;
mod mpop;
mod pop;
mod push;
mod range;

#[cfg(test)]
mod tests;

use crate::ctx::Command;

/// The family.
pub const COMMANDS: &[&Command] = &[
    &blocking_pop::BLPOP,
    &blocking_pop::BRPOP,
    &edit::LINSERT,
    &edit::LREM,
    &index::LINDEX,
    &index::LLEN,
    &index::LSET,
    &lpos::LPOS,
    &moving::BLMOVE,
    &moving::BRPOPLPUSH,
    &moving::LMOVE,
    &moving::RPOPLPUSH,
    &moving_many::BLMOVEM,
    &moving_many::LMOVEM,
    &mpop::BLMPOP,
    &mpop::LMPOP,
    &pop::LPOP,
    &pop::RPOP,
    &push::LPUSH,
    &push::LPUSHX,
    &push::RPUSH,
    &push::RPUSHX,
    &range::LRANGE,
    &range::LTRIM,
];
