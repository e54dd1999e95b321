//! Libraries of functions: one set for all threads. A change makes a new set; each thread notices by its version and
//! loads the libraries into its own Lua state.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_scripting::ScriptFlags;
use parking_lot::{Mutex, MutexGuard};

use super::Learned;

/// One function.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: Vec<u8>,
    /// What it is for.
    pub description: Option<Vec<u8>>,
    /// What it says about itself.
    pub flags: ScriptFlags,
    /// Whether it keeps to its keys.
    pub learned: Learned,
}

/// One library.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: Vec<u8>,
    /// As it was loaded, with the first line.
    pub code: Vec<u8>,
    /// Its functions, in order of their registration.
    pub functions: Vec<Arc<Function>>,
}

/// All libraries at one time.
#[derive(Clone, Debug, Default)]
pub struct LibrarySet {
    /// Different for every set that ever was.
    pub version: u64,
    libraries: BTreeMap<Vec<u8>, Arc<Library>>,
    functions: HashMap<Vec<u8>, Arc<Function>>,
}

/// Why a library was not added; the text is Redis's, without code word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddError {
    /// There is one of this name.
    Library(Vec<u8>),
    /// A library has a function of this name.
    Function(Vec<u8>),
}

impl std::fmt::Display for AddError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Library(name) => write!(f, "Library '{}' already exists", String::from_utf8_lossy(name)),
            Self::Function(name) => write!(f, "Function {} already exists", String::from_utf8_lossy(name)),
        }
    }
}

impl LibrarySet {
    /// The libraries in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.libraries.values()
    }

    /// Number of libraries and of functions.
    pub fn counts(&self) -> (usize, usize) {
        (self.libraries.len(), self.functions.len())
    }

    /// A library.
    pub fn library(&self, name: &[u8]) -> Option<&Arc<Library>> {
        self.libraries.get(name)
    }

    /// A function, its name in any case.
    pub fn function(&self, name: &[u8]) -> Option<&Arc<Function>> {
        self.functions.get(&name.to_ascii_lowercase())
    }

    /// Adds a library; `replace`: in place of the one that has its name.
    ///
    /// # Errors
    /// As [`AddError`] says; the set is then of no use.
    pub fn add(&mut self, library: Library, replace: bool) -> Result<(), AddError> {
        if self.libraries.contains_key(&library.name) {
            if !replace {
                return Err(AddError::Library(library.name));
            }
            self.remove(&library.name);
        }
        for function in &library.functions {
            let name = function.name.to_ascii_lowercase();
            if self.functions.insert(name, Arc::clone(function)).is_some() {
                return Err(AddError::Function(function.name.clone()));
            }
        }
        self.libraries.insert(library.name.clone(), Arc::new(library));
        Ok(())
    }

    /// A function of the library that another library has.
    pub fn collision(&self, library: &Library) -> Option<Vec<u8>> {
        let own = self.libraries.get(&library.name);
        let is_own = |function: &Arc<Function>| {
            own.is_some_and(|own| own.functions.iter().any(|known| Arc::ptr_eq(known, function)))
        };
        let mut functions = library.functions.iter();
        let taken = functions.find(|f| self.function(&f.name).is_some_and(|known| !is_own(known)));
        taken.map(|function| function.name.clone())
    }

    /// Removes a library. False: there is none.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Some(library) = self.libraries.remove(name) else {
            return false;
        };
        for function in &library.functions {
            self.functions.remove(&function.name.to_ascii_lowercase());
        }
        true
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.libraries.clear();
        self.functions.clear();
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Libraries {
    current: Mutex<Arc<LibrarySet>>,
    version: AtomicU64,
}

/// Versions are never used twice in a process, so that threads of several servers (in tests) tell them apart.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Libraries {
    /// The libraries as they are now.
    pub fn get(&self) -> Arc<LibrarySet> {
        Arc::clone(&self.current.lock())
    }

    /// Version of what [`Libraries::get`] would give.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Begins a change: nobody else changes anything until it is over.
    pub fn change(&self) -> Change<'_> {
        let current = self.current.lock();
        Change {
            set: LibrarySet::clone(&current),
            current,
            version: &self.version,
        }
    }
}

/// A change that is being made. Dropped: nothing happens.
#[derive(Debug)]
pub struct Change<'l> {
    /// What will be there.
    pub set: LibrarySet,
    current: MutexGuard<'l, Arc<LibrarySet>>,
    version: &'l AtomicU64,
}

impl Change<'_> {
    /// Makes it so; `log` writes it to the replication log while nobody else can change anything.
    pub fn commit(mut self, log: impl FnOnce()) {
        self.set.version = NEXT.fetch_add(1, Ordering::Relaxed);
        let version = self.set.version;
        *self.current = Arc::new(self.set);
        self.version.store(version, Ordering::Release);
        log();
    }
}
