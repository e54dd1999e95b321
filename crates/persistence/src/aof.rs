//! The append-only file: a manifest that names a base and increments, and the commands in them. The layout is Redis 7's:
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/>.
//!
//! Must not know: the data, how commands are run.

mod commands;
mod dir;
mod manifest;
mod read;

pub use commands::{Commands, write_commands};
pub use dir::{AofDir, AofDirError};
pub use manifest::{Manifest, ManifestError, Part, PartKind};
pub use read::{AofError, AofReader, Item};
