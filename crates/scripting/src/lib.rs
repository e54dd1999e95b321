//! Lua 5.1 for EVAL and functions: the sandbox, the libraries that scripts find there, the conversion of replies.
//!
//! | what | where |
//! |---|---|
//! | one Lua state, and the ways to run something in it | [`Vm`] |
//! | what a script asks of the server | [`Host`] |
//! | the first line of a script or library (`#!lua name=x flags=a,b`) | [`script_header`], [`library_header`] |
//! | flags of scripts and functions | [`ScriptFlags`] |
//! | the libraries `bit`, `struct`, `cjson`, `cmsgpack` | [`install_libraries`] |
//!
//! Must not know: sessions, sockets, the keyspace. What a script asks of the server goes through [`Host`].

#![forbid(unsafe_code)]

mod api;
mod args;
mod bit;
mod cjson;
mod cmsgpack;
mod header;
mod host;
mod libraries;
mod library;
mod limits;
#[cfg(test)]
mod lua_testing;
mod numbers;
#[cfg(test)]
mod oracle;
mod reply;
mod result;
mod struct_lib;
#[cfg(test)]
mod tests;
mod vm;

pub use cjson::Settings as CjsonSettings;
pub use header::{HeaderError, LibraryHeader, ScriptFlags, ScriptHeader, library_header, script_header};
pub use host::{Called, Host, LogLevel, Tick};
pub use libraries::install as install_libraries;
pub use library::{LoadError, Registered};
pub use numbers::sha1_hex;
pub use vm::{Answer, Compiled, ScriptError, Vm, VmOptions};
