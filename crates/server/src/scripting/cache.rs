//! Sources of scripts by their digest. What SCRIPT LOAD has brought stays; of what EVAL has brought, the most recently
//! used are kept, as Redis does since 7.4.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use holdfast_scripting::{HeaderError, ScriptFlags, script_header};
use parking_lot::Mutex;
use sha1::{Digest, Sha1};

use super::Learned;

/// A SHA1.
pub type Sha = [u8; 20];

/// Scripts that are kept although only EVAL has brought them.
const KEEP_EVALS: usize = 500;

/// One script.
#[derive(Debug)]
pub struct Script {
    /// Digest of the source.
    pub sha: Sha,
    /// The same as 40 hex digits.
    pub hex: String,
    /// As it was sent.
    pub source: Box<[u8]>,
    /// What its first line says.
    pub flags: ScriptFlags,
    /// Whether it keeps to its keys.
    pub learned: Learned,
    used_ms: AtomicI64,
    stays: AtomicBool,
    alive: AtomicBool,
}

impl Script {
    /// A script that nobody else knows yet.
    ///
    /// # Errors
    /// Its first line is wrong.
    pub fn new(source: &[u8]) -> Result<Self, HeaderError> {
        Self::with_sha(source, sha_of(source))
    }

    fn with_sha(source: &[u8], sha: Sha) -> Result<Self, HeaderError> {
        Ok(Self {
            sha,
            hex: hex(&sha),
            flags: script_header(source)?.flags,
            source: source.into(),
            learned: Learned::default(),
            used_ms: AtomicI64::new(0),
            stays: AtomicBool::new(false),
            alive: AtomicBool::new(true),
        })
    }

    /// The code without the first line, if that is for the server.
    pub fn body(&self) -> &[u8] {
        script_header(&self.source).map_or(&self.source, |h| h.body)
    }

    /// False once it has been flushed or has made place for others.
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// Notes a use at a Unix time in ms.
    pub fn used(&self, now_ms: i64) {
        self.used_ms.store(now_ms, Ordering::Relaxed);
    }
}

/// SHA1 of a source.
pub fn sha_of(source: &[u8]) -> Sha {
    Sha1::digest(source).into()
}

/// Hex digits, lower case.
pub fn hex(sha: &Sha) -> String {
    sha.iter().map(|b| format!("{b:02x}")).collect()
}

/// A digest from 40 hex digits in any case.
pub fn parse_sha(text: &[u8]) -> Option<Sha> {
    let mut sha = Sha::default();
    let text = Some(text).filter(|t| t.len() == 40 && t.iter().all(u8::is_ascii_hexdigit))?;
    for (byte, digits) in sha.iter_mut().zip(text.chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(sha)
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct ScriptCache {
    scripts: Mutex<HashMap<Sha, Arc<Script>>>,
}

impl ScriptCache {
    /// A script that is there.
    pub fn get(&self, sha: &Sha) -> Option<Arc<Script>> {
        self.scripts.lock().get(sha).cloned()
    }

    /// Keeps a script; the one that is there already, if it is. `stays`: it makes no place for others.
    pub fn insert(&self, script: Arc<Script>, stays: bool, now_ms: i64) -> Arc<Script> {
        let mut scripts = self.scripts.lock();
        let script = Arc::clone(scripts.entry(script.sha).or_insert(script));
        script.used(now_ms);
        if stays {
            script.stays.store(true, Ordering::Relaxed);
        }
        let evals = || scripts.values().filter(|s| !s.stays.load(Ordering::Relaxed));
        // One more than are kept at most: each insertion looks.
        if scripts.len() > KEEP_EVALS && evals().count() > KEEP_EVALS {
            let oldest = evals()
                .filter(|s| s.sha != script.sha)
                .min_by_key(|s| s.used_ms.load(Ordering::Relaxed))
                .map(|s| s.sha);
            if let Some(old) = oldest.and_then(|sha| scripts.remove(&sha)) {
                old.alive.store(false, Ordering::Release);
            }
        }
        script
    }

    /// Forgets every script.
    pub fn flush(&self) {
        for (_, script) in self.scripts.lock().drain() {
            script.alive.store(false, Ordering::Release);
        }
    }

    /// Number of scripts, and bytes of their sources.
    pub fn size(&self) -> (usize, usize) {
        let scripts = self.scripts.lock();
        (scripts.len(), scripts.values().map(|s| s.source.len()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Arc<Script> {
        Arc::new(Script::new(text.as_bytes()).unwrap())
    }

    #[test]
    fn digests() {
        let one = script("return 1");
        assert_eq!(one.hex, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(parse_sha(one.hex.to_uppercase().as_bytes()), Some(one.sha));
        for bad in [
            "",
            "abc",
            "+0e1f9fabfc9d4800c877a703b823ac0578ff8db",
            "ä0e1f9fabfc9d4800c877a703b823ac0578ff8d",
        ] {
            assert_eq!(parse_sha(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn evals_make_place_loaded_scripts_stay() {
        let cache = ScriptCache::default();
        let loaded = cache.insert(script("return 'loaded'"), true, 0);
        let first = cache.insert(script("return 'first'"), false, 1);
        for i in 0..KEEP_EVALS as i64 - 1 {
            cache.insert(script(&format!("return {i}")), false, 2 + i);
        }
        assert!(first.is_alive());
        first.used(1 << 40);
        let second = cache.get(&sha_of(b"return 0")).unwrap();
        cache.insert(script("return 'one more'"), false, 1 << 20);
        assert!(first.is_alive() && loaded.is_alive() && !second.is_alive());
        assert_eq!(cache.size().0, KEEP_EVALS + 1);
        cache.flush();
        assert!(!first.is_alive() && !loaded.is_alive());
        assert_eq!(cache.size(), (0, 0));
    }
}
