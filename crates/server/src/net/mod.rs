//! Sockets: listening, accepting, and the life of a connection.

pub mod connection;
pub mod listener;
