//! Lua 5.1 for EVAL and functions: the sandbox, the libraries that scripts find there, the conversion of replies.
//!
//! Must not know: sessions, sockets, the keyspace. What a script asks of the server goes through a trait.

mod args;
mod bit;
mod cjson;
mod cmsgpack;
mod libraries;
mod limits;
#[cfg(test)]
mod lua_testing;
#[cfg(test)]
mod oracle;
mod struct_lib;

pub use cjson::Settings as CjsonSettings;
pub use libraries::install as install_libraries;
