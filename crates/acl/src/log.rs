//! What was denied, newest first, in a bounded list: ACL LOG. The same again within a minute is counted, not listed.

use std::collections::VecDeque;

/// Where a command came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A client.
    Toplevel,
    /// A client's transaction.
    Multi,
    /// A script.
    Lua,
}

impl Context {
    /// Redis's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Toplevel => "toplevel",
            Self::Multi => "multi",
            Self::Lua => "lua",
        }
    }
}

/// One denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// `command`, `key`, `channel` or `auth`.
    pub reason: &'static str,
    /// Where the command came from.
    pub context: Context,
    /// The command, key or channel.
    pub object: Box<[u8]>,
    /// The user.
    pub username: Box<[u8]>,
}

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What happened.
    pub incident: Incident,
    /// How often.
    pub count: u64,
    /// The client, as CLIENT LIST shows it, when it happened last.
    pub client: String,
    /// Number of this entry.
    pub id: u64,
    /// Unix ms of the first time.
    pub created_ms: i64,
    /// Unix ms of the last time.
    pub updated_ms: i64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct AclLog {
    entries: VecDeque<Entry>,
    next_id: u64,
}

/// The same within this time of the last is one entry.
const SAME_MS: i64 = 60_000;
/// Entries that are looked through for the same.
const SEARCHED: usize = 10;
/// Bytes of an object or a name that are kept.
const KEPT: usize = 1024;

impl AclLog {
    /// Notes a denial; at most `max_len` entries are kept.
    pub fn add(&mut self, mut incident: Incident, client: String, now_ms: i64, max_len: usize) {
        for text in [&mut incident.object, &mut incident.username] {
            if text.len() > KEPT {
                *text = text[..KEPT].into();
            }
        }
        let same = |known: &Entry| known.incident == incident && now_ms - known.updated_ms <= SAME_MS;
        let at = self.entries.iter().take(SEARCHED).position(same);
        if let Some(mut known) = at.and_then(|at| self.entries.remove(at)) {
            known.count += 1;
            known.updated_ms = now_ms;
            known.client = client;
            self.entries.push_front(known);
        } else {
            self.entries.push_front(Entry {
                incident,
                count: 1,
                client,
                id: self.next_id,
                created_ms: now_ms,
                updated_ms: now_ms,
            });
            self.next_id += 1;
        }
        self.trim(max_len);
    }

    /// Keeps the newest `max_len` entries.
    pub fn trim(&mut self, max_len: usize) {
        self.entries.truncate(max_len);
    }

    /// The newest entries first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(object: &str) -> Incident {
        Incident {
            reason: "key",
            context: Context::Toplevel,
            object: object.as_bytes().into(),
            username: b"u"[..].into(),
        }
    }

    #[test]
    fn the_same_within_a_minute_is_counted() {
        let mut log = AclLog::default();
        log.add(incident("a"), "one".into(), 0, 10);
        log.add(incident("b"), "two".into(), 10, 10);
        log.add(incident("a"), "three".into(), 60_000, 10);
        log.add(incident("b"), "four".into(), 60_011, 10);
        log.add(incident("a"), "five".into(), 120_000, 10);
        let seen: Vec<_> = log
            .entries()
            .map(|e| {
                (
                    e.incident.object[0],
                    e.count,
                    e.id,
                    e.updated_ms,
                    e.client.as_str(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (b'a', 3, 0, 120_000, "five"),
                (b'b', 1, 2, 60_011, "four"),
                (b'b', 1, 1, 10, "two")
            ]
        );
    }

    #[test]
    fn it_keeps_no_more_than_it_may() {
        let mut log = AclLog::default();
        for i in 0..20 {
            log.add(incident(&format!("{i}")), String::new(), 0, 3);
        }
        assert_eq!(log.entries().len(), 3);
        log.add(incident(&"x".repeat(5000)), String::new(), 0, 3);
        assert_eq!(log.entries().next().unwrap().incident.object.len(), KEPT);
        log.add(incident("y"), String::new(), 0, 0);
        assert_eq!(log.entries().len(), 0);
    }
}
