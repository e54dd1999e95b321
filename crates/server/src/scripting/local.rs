//! This thread's Lua state and what it has compiled. Sources are shared, compiled code cannot be: it belongs to a state.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use holdfast_resp::{Proto, Reply};
use holdfast_scripting::{Compiled, Vm, VmOptions};

use super::Scripts;
use super::cache::{Script, Sha};
use super::libraries::LibrarySet;
use crate::server::REDIS_VERSION;

/// Compiled scripts that one thread keeps; when there are more, it begins anew.
const KEEP: usize = 1024;
/// A reply to a script's command that is larger is not kept.
const KEEP_REPLY: usize = 256 << 10;

/// See the module's documentation.
#[derive(Debug)]
pub struct Local {
    /// The Lua state.
    pub vm: Vm,
    /// The libraries whose functions it has.
    pub libraries: Arc<LibrarySet>,
    /// Where replies to scripts' commands are built.
    pub reply: Reply,
    by_source: HashMap<u64, Loaded, foldhash::fast::FixedState>,
    by_sha: HashMap<Sha, Loaded, foldhash::fast::FixedState>,
    hasher: foldhash::fast::RandomState,
}

/// A script with its code for this thread.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The script.
    pub script: Arc<Script>,
    /// Its code.
    pub code: Compiled,
}

thread_local! {
    static LOCAL: RefCell<Option<Box<Local>>> = const { RefCell::new(None) };
}

impl Local {
    fn new(scripts: &Scripts) -> Result<Self, String> {
        let vm = Vm::new(VmOptions {
            version: REDIS_VERSION,
            version_num: version_num(),
            cjson: Arc::clone(&scripts.cjson),
        });
        Ok(Self {
            vm: vm.map_err(|e| format!("ERR no Lua state could be made: {e}"))?,
            libraries: Arc::default(),
            reply: Reply::new(Vec::new(), Proto::Resp2),
            by_source: HashMap::default(),
            by_sha: HashMap::default(),
            hasher: foldhash::fast::RandomState::default(),
        })
    }

    /// Takes this thread's state out, or makes one. It is given back with [`Local::give_back`]; one that is lost because a
    /// command panicked is made anew.
    ///
    /// # Errors
    /// Lua could not be started; the text is a reply.
    pub fn take(scripts: &Scripts) -> Result<Box<Self>, String> {
        match LOCAL.with_borrow_mut(Option::take) {
            Some(local) => Ok(local),
            None => Self::new(scripts).map(Box::new),
        }
    }

    /// The end of what [`Local::take`] began.
    pub fn give_back(mut self: Box<Self>) {
        if self.reply.len() > KEEP_REPLY {
            drop(self.reply.take());
        }
        self.reply.clear();
        LOCAL.with_borrow_mut(|l| *l = Some(self));
    }

    /// Hash of a source, to find it without its digest.
    pub fn hash(&self, source: &[u8]) -> u64 {
        self.hasher.hash_one(source)
    }

    /// A script that has run on this thread before.
    pub fn by_source(&self, hash: u64, source: &[u8]) -> Option<&Loaded> {
        let loaded = self.by_source.get(&hash)?;
        (*loaded.script.source == *source && loaded.script.is_alive()).then_some(loaded)
    }

    /// The same by its digest.
    pub fn by_sha(&self, sha: &Sha) -> Option<&Loaded> {
        self.by_sha.get(sha).filter(|l| l.script.is_alive())
    }

    /// Keeps a script's code.
    pub fn keep(&mut self, loaded: &Loaded) {
        if self.by_sha.len() >= KEEP {
            self.by_sha.clear();
            self.by_source.clear();
        }
        let hash = self.hash(&loaded.script.source);
        self.by_source.insert(hash, loaded.clone());
        self.by_sha.insert(loaded.script.sha, loaded.clone());
    }
}

/// `REDIS_VERSION` as one number, a byte for each part.
fn version_num() -> u32 {
    REDIS_VERSION
        .split('.')
        .fold(0, |n, part| n << 8 | part.parse::<u32>().unwrap_or(0))
}
