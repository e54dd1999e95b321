//! Lua 5.1 for EVAL and functions: the sandbox, the libraries that scripts find there, the conversion of replies.
//!
//! Must not know: sessions, sockets, the keyspace. What a script asks of the server goes through a trait.
