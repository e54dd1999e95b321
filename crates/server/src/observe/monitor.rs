//! MONITOR: every command, as it is executed, to the clients that asked for it.
//!
//! The order of all commands is that of this list's lock. A data command reports while its shards are locked, so commands
//! on one key are seen in the order in which they ran; those of different workers on different keys run at the same time
//! and are seen in one order of many that are true.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_resp::Frame;
use parking_lot::Mutex;

use super::redact::Secrets;
use crate::client::{Client, flag};

/// Where a command comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A connection.
    Client(&'a Client),
    /// A script.
    Script,
}

/// The clients that watch.
#[derive(Debug, Default)]
pub struct Monitors {
    clients: Mutex<Vec<Arc<Client>>>,
    count: AtomicUsize,
}

impl Monitors {
    /// True while somebody watches.
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Adds a client.
    pub fn add(&self, client: &Arc<Client>) {
        let mut clients = self.clients.lock();
        clients.push(Arc::clone(client));
        self.count.store(clients.len(), Ordering::Relaxed);
    }

    /// Removes a client.
    pub fn remove(&self, id: u64) {
        let mut clients = self.clients.lock();
        clients.retain(|client| client.id != id);
        self.count.store(clients.len(), Ordering::Relaxed);
    }

    /// Tells everyone of a command.
    pub fn tell(&self, source: Source<'_>, db: u32, frame: &Frame<'_>, secrets: Secrets) {
        let mut text = Vec::new();
        for i in 0..frame.len() {
            text.extend_from_slice(b" \"");
            escape(secrets.show(frame, i), &mut text);
            text.push(b'"');
        }
        text.extend_from_slice(b"\r\n");
        let clients = self.clients.lock();
        // Under the lock, so that times never go back.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let head = format!(
            "+{}.{:06} [{db} {}]",
            now.as_secs(),
            now.subsec_micros(),
            origin(source)
        );
        let line = [head.as_bytes(), &text].concat();
        for client in clients.iter() {
            client.send(&line);
        }
    }
}

fn origin(source: Source<'_>) -> String {
    match source {
        Source::Script => "lua".to_owned(),
        Source::Client(client) if client.has_flag(flag::UNIX) => {
            let path = client.laddr.strip_suffix(":0").unwrap_or(&client.laddr);
            format!("unix:{path}")
        }
        Source::Client(client) => client.addr.clone(),
    }
}

/// Bytes as C writes them in a string.
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\x");
                out.extend_from_slice(&digits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_escaped() {
        let mut out = Vec::new();
        escape(b"a\x00\xff\n\r\"q'\t\x07\x08\\ ~\x7f", &mut out);
        assert_eq!(out, br#"a\x00\xff\n\r\"q'\t\a\b\\ ~\x7f"#);
    }
}
