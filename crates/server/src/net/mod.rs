//! Sockets: listening, accepting, and the life of a connection.

pub mod connection;
pub mod listener;
pub mod outbound;
pub mod output;
pub mod stream;
pub mod tls;
