//! Access control lists: who may run which command on which keys and channels.
//!
//! ```text
//! catalog.rs    the commands by name and category            rule.rs      what can be wrong with a rule
//! selector.rs   one set of permissions: rules in, text out   check.rs     may this command run?
//! user.rs       a user: passwords, switches, selectors       users.rs     the table of users, and who is logged in
//! file.rs       users as lines of a file                     log.rs       what was denied
//! ```
//!
//! Follows the pages "ACL" and ACL SETUSER of the Redis documentation and the answers of 7.0.15; rules are kept and shown
//! as they were given, as 7.2 does. Must not know: sessions, sockets, files' places, which commands exist.

#![forbid(unsafe_code)]

mod catalog;
mod check;
mod file;
mod log;
mod rule;
mod selector;
mod user;
mod users;

#[cfg(test)]
mod testing;

pub use catalog::{Catalog, Defaults};
pub use check::{Denied, SortOption};
pub use file::{Declared, parse_file, print_file};
pub use log::{AclLog, Context, Entry, Incident};
pub use rule::{RuleError, join_selectors};
pub use selector::{KeyPattern, Selector};
pub use user::{Digest, Sanitize, User};
pub use users::{Account, Login, Replaced, SetError, Users, check_name};
