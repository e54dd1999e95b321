//! The replica's side of the protocol: how it presents itself, what the primary's answers mean, how the snapshot is
//! framed, when a broken link is tried again.
//!
//! Facts: <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/> and what 7.0.15 sends.
//!
//! Must not know: sockets, clocks, what the snapshot and the stream say. Bytes come in, bytes and decisions come out.

mod handshake;
mod lines;
mod pace;
mod payload;

pub use handshake::{Auth, Greeting, Handshake, Next, Refusal, Wanted};
pub use lines::{Lines, TooLong};
pub use pace::{Failure, Pace};
pub use payload::{BadPayload, MARK, Payload};
