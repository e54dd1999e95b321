//! A file system in memory that knows what a loss of power would leave: contents up to their last sync, names up to
//! their directory's last sync. Stricter than most real ones, as POSIX allows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Fs, SyncFile, WriteFile, directory_of};

/// See the module's documentation. Clones share the files.
#[derive(Clone, Debug, Default)]
pub struct MemoryFs(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    /// Files by number.
    files: BTreeMap<u64, Content>,
    next: u64,
    names: BTreeMap<PathBuf, u64>,
    /// The names that would survive.
    synced_names: BTreeMap<PathBuf, u64>,
    directories: BTreeSet<PathBuf>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// What would survive.
    synced: Vec<u8>,
}

/// What is left of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    /// Everything that was written: the process died, the machine did not.
    Everything,
    /// What was synced, and nothing else.
    Synced,
    /// What was synced, and of what was written behind it the first half; names as they were last.
    HalfOfTheRest,
}

impl MemoryFs {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk that is found after a crash.
    pub fn after_crash(&self, survives: Survives) -> Self {
        let disk = self.disk();
        let names = match survives {
            Survives::Everything | Survives::HalfOfTheRest => &disk.names,
            Survives::Synced => &disk.synced_names,
        };
        let content = |file: &Content| match survives {
            Survives::Everything => file.bytes.clone(),
            Survives::Synced => file.synced.clone(),
            Survives::HalfOfTheRest => {
                let rest = file.bytes.get(file.synced.len()..).unwrap_or_default();
                [&file.synced, &rest[..rest.len() / 2]].concat()
            }
        };
        let files = names.values().filter_map(|number| {
            let bytes = content(disk.files.get(number)?);
            let synced = bytes.clone();
            Some((*number, Content { bytes, synced }))
        });
        Self(Arc::new(Mutex::new(Disk {
            files: files.collect(),
            next: disk.next,
            names: names.clone(),
            synced_names: names.clone(),
            directories: disk.directories.clone(),
        })))
    }

    /// Content of a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk();
        let number = disk.names.get(path)?;
        Some(disk.files.get(number)?.bytes.clone())
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // A test that failed in the middle leaves the disk as it was: still a disk.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, number: u64) -> Box<MemoryFile> {
        Box::new(MemoryFile {
            fs: self.clone(),
            number,
        })
    }
}

impl Disk {
    fn add(&mut self, path: &Path) -> io::Result<u64> {
        let directory = directory_of(path);
        if directory != Path::new(".") && directory != Path::new("/") && !self.directories.contains(directory)
        {
            return Err(not_found(directory));
        }
        self.next += 1;
        self.files.insert(self.next, Content::default());
        self.names.insert(path.to_owned(), self.next);
        Ok(self.next)
    }

    fn find(&mut self, path: &Path) -> io::Result<&mut Content> {
        let number = *self.names.get(path).ok_or_else(|| not_found(path))?;
        self.files.get_mut(&number).ok_or_else(|| not_found(path))
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("{} does not exist", path.display()),
    )
}

#[derive(Debug)]
struct MemoryFile {
    fs: MemoryFs,
    number: u64,
}

impl Write for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = self.fs.disk().files.get_mut(&self.number) {
            file.bytes.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WriteFile for MemoryFile {
    fn sync(&mut self) -> io::Result<()> {
        SyncFile::sync(self)
    }

    fn handle(&self) -> io::Result<Box<dyn SyncFile>> {
        Ok(self.fs.file(self.number))
    }
}

impl SyncFile for MemoryFile {
    fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = self.fs.disk().files.get_mut(&self.number) {
            file.synced.clone_from(&file.bytes);
        }
        Ok(())
    }
}

impl Fs for MemoryFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let number = self.disk().add(path)?;
        Ok(self.file(number))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut disk = self.disk();
        let number = match disk.names.get(path) {
            Some(number) => *number,
            None => disk.add(path)?,
        };
        Ok(self.file(number))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let bytes = self.disk().find(path)?.bytes.clone();
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(self.disk().find(path)?.bytes.len() as u64)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut disk = self.disk();
        let file = disk.find(path)?;
        file.bytes.truncate(len as usize);
        file.synced.clone_from(&file.bytes);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        let number = disk.names.remove(from).ok_or_else(|| not_found(from))?;
        disk.names.insert(to.to_owned(), number);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk().names.remove(path).ok_or_else(|| not_found(path))?;
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk().directories.insert(path.to_owned());
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let disk = self.disk();
        let inside = disk.names.keys().filter(|name| directory_of(name) == path);
        Ok(inside
            .filter_map(|name| name.file_name().map(PathBuf::from))
            .collect())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        let Disk {
            names, synced_names, ..
        } = &mut *disk;
        synced_names.retain(|name, _| directory_of(name) != path);
        let inside = names.iter().filter(|(name, _)| directory_of(name) == path);
        synced_names.extend(inside.map(|(name, number)| (name.clone(), *number)));
        Ok(())
    }
}
