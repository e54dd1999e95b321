//! The directory of the append-only file: which parts there are, and the steps in which that changes. Each step leaves
//! something that can be loaded, wherever it is cut off, and what it acknowledged is in it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{Manifest, ManifestError, Part, PartKind};
use crate::fs::{Fs, WriteFile, replace_plain};

/// See the module's documentation.
#[derive(Debug)]
pub struct AofDir {
    fs: Arc<dyn Fs>,
    /// `dir`: where the old single file would be.
    parent: PathBuf,
    /// `appenddirname` in it.
    dir: PathBuf,
    /// `appendfilename`.
    filename: String,
    manifest: Manifest,
    /// [`AofDir::start_over`] has been called, and no base has been finished since.
    unsaved: bool,
    /// Files that nothing needs stay (`aof-disable-auto-gc`).
    keep_history: bool,
    /// See [`AofDir::unnamed`].
    unnamed: Vec<PathBuf>,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AofDirError {
    /// The manifest is wrong.
    #[error("{path}: {error}")]
    Manifest {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        error: ManifestError,
    },
    /// The manifest names a file that is not there.
    #[error(
        "the append only file's manifest names {0}, which does not exist; restore it, or remove its line if what it held may be lost"
    )]
    Missing(PathBuf),
    /// An operation on a file failed.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> AofDirError + '_ {
    |error| AofDirError::Io {
        path: path.to_owned(),
        error,
    }
}

impl AofDir {
    /// Looks at what is there; changes nothing but that an old single file `dir/appendfilename` becomes the base, as in
    /// Redis 7. All parts of the manifest exist afterwards.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        appenddirname: &str,
        filename: &str,
    ) -> Result<Self, AofDirError> {
        let mut this = Self {
            fs,
            parent: dir.to_owned(),
            dir: dir.join(appenddirname),
            filename: filename.to_owned(),
            manifest: Manifest::default(),
            unsaved: false,
            keep_history: false,
            unnamed: Vec::new(),
        };
        let path = this.manifest_path();
        let has_manifest = this.fs.exists(&path).map_err(at(&path))?;
        if has_manifest {
            let mut text = Vec::new();
            let read = this
                .fs
                .open(&path)
                .and_then(|mut file| file.read_to_end(&mut text));
            read.map_err(at(&path))?;
            this.manifest = Manifest::parse(&text).map_err(|error| AofDirError::Manifest {
                path: path.clone(),
                error,
            })?;
        }
        this.adopt_single_file(has_manifest)?;
        if this.is_empty() && !has_manifest {
            this.find_unnamed()?;
        }
        for part in this.manifest.parts() {
            let path = this.dir.join(&part.name);
            if !this.fs.exists(&path).map_err(at(&path))? {
                return Err(AofDirError::Missing(path));
            }
        }
        Ok(this)
    }

    /// Without a manifest nobody knows what parts are worth: they may be all that there is, or what a crash has left of a
    /// base that was never finished. They stay, and none of their numbers is used again.
    fn find_unnamed(&mut self) -> Result<(), AofDirError> {
        let files = match self.fs.list(&self.dir) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(&self.dir)(error)),
        };
        for name in files {
            let text = name.file_name().unwrap_or_default().to_string_lossy();
            if self.manifest.leave_alone(&self.filename, &text) {
                self.unnamed.push(self.dir.join(&*text));
            }
        }
        Ok(())
    }

    /// Parts that are there while there is no manifest: they are neither loaded nor overwritten.
    pub fn unnamed(&self) -> &[PathBuf] {
        &self.unnamed
    }

    /// Before version 7 there was one file, in the parent. It is moved here under its name, after the manifest has named
    /// it, so that the move can be made up for if it is cut off.
    fn adopt_single_file(&mut self, has_manifest: bool) -> Result<(), AofDirError> {
        let (old, new) = (self.parent.join(&self.filename), self.dir.join(&self.filename));
        let cut_off = |base: &Part| base.name == self.filename && self.manifest.increments.is_empty();
        let wanted = if has_manifest {
            self.manifest.base.as_ref().is_some_and(cut_off) && !self.fs.exists(&new).map_err(at(&new))?
        } else {
            true
        };
        if !wanted || !self.fs.exists(&old).map_err(at(&old))? {
            return Ok(());
        }
        self.make_dir()?;
        if !has_manifest {
            self.manifest = Manifest::of_single_file(&self.filename);
            self.save(&self.manifest)?;
        }
        self.fs.rename(&old, &new).map_err(at(&old))?;
        self.fs.sync_dir(&self.dir).map_err(at(&self.dir))?;
        self.fs.sync_dir(&self.parent).map_err(at(&self.parent))
    }

    /// Makes the directory if it is not there.
    pub fn make_dir(&self) -> Result<(), AofDirError> {
        self.fs.create_dir(&self.dir).map_err(at(&self.dir))?;
        self.fs.sync_dir(&self.parent).map_err(at(&self.parent))
    }

    fn manifest_path(&self) -> PathBuf {
        self.dir.join(format!("{}.manifest", self.filename))
    }

    fn save(&self, manifest: &Manifest) -> Result<(), AofDirError> {
        let path = self.manifest_path();
        let temporary = self.dir.join(format!("temp_{}.manifest", self.filename));
        let text = manifest.to_string();
        // It says no more than the names of files do, and `redis-check-aof` and people read it.
        replace_plain(&*self.fs, &path, &temporary, |file| {
            file.write_all(text.as_bytes())
        })
        .map_err(at(&path))
    }

    /// The files to load, in order.
    pub fn parts(&self) -> impl Iterator<Item = (PathBuf, PartKind)> {
        self.manifest
            .parts()
            .map(|part| (self.dir.join(&part.name), part.kind))
    }

    /// Whether there is anything to load.
    pub fn is_empty(&self) -> bool {
        self.manifest.parts().next().is_none()
    }

    /// Number of the last increment; 0 if there is none.
    pub fn last_increment(&self) -> u64 {
        self.manifest.increments.last().map_or(0, |part| part.seq)
    }

    /// The last increment's file.
    pub fn last_path(&self) -> Option<PathBuf> {
        let part = self.manifest.increments.last()?;
        Some(self.dir.join(&part.name))
    }

    /// Bytes of all parts, on the disk. The last increment is left out: it is being written.
    pub fn finished_len(&self) -> Result<u64, AofDirError> {
        let last = self.last_path();
        let mut sum = 0;
        for (path, _) in self.parts().filter(|(path, _)| Some(path) != last.as_ref()) {
            sum += self.fs.len(&path).map_err(at(&path))?;
        }
        Ok(sum)
    }

    /// Bytes of the base, on the disk; 0 without one.
    pub fn base_len(&self) -> Result<u64, AofDirError> {
        let base = self.parts().find(|(_, kind)| *kind == PartKind::Base);
        base.map_or(Ok(0), |(path, _)| self.fs.len(&path).map_err(at(&path)))
    }

    /// The file system and a path of it, for who reads the parts.
    pub fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    /// What the parts say is not of use any more: until [`AofDir::finish_rewrite`] the files on the disk stay as they
    /// are, and increments that are begun belong to a base that is still to come.
    pub fn start_over(&mut self) {
        self.unsaved = true;
    }

    /// Whether the files on the disk are those of before [`AofDir::start_over`].
    pub fn is_unsaved(&self) -> bool {
        self.unsaved
    }

    /// Keeps the files that nothing needs, or removes them from now on.
    pub fn set_keep_history(&mut self, keep: bool) {
        self.keep_history = keep;
    }

    /// Begins a new increment; what is written to it is loaded from now on. On an error the manifest is as it was. An
    /// increment without content is taken again: a server that starts often would leave many.
    pub fn begin_increment(&mut self) -> Result<Box<dyn WriteFile>, AofDirError> {
        if let Some(path) = self.last_path()
            && !self.unsaved
            && self.fs.is_blank(&path).map_err(at(&path))?
        {
            return self.write_anew(&path);
        }
        self.next_increment()
    }

    fn write_anew(&self, path: &Path) -> Result<Box<dyn WriteFile>, AofDirError> {
        let file = self.fs.create(path).map_err(at(path))?;
        self.fs.sync_dir(&self.dir).map_err(at(&self.dir))?;
        Ok(file)
    }

    fn next_increment(&mut self) -> Result<Box<dyn WriteFile>, AofDirError> {
        self.make_dir()?;
        let mut manifest = self.manifest.clone();
        let path = self.dir.join(manifest.add_increment(&self.filename));
        let file = self.fs.create(&path).map_err(at(&path))?;
        // The name is durable before the manifest names it; `save` syncs the directory once more.
        self.fs.sync_dir(&self.dir).map_err(at(&self.dir))?;
        if !self.unsaved {
            // If this fails, the manifest on the disk may name the increment all the same: its file stays, it is empty.
            self.save(&manifest)?;
        }
        self.manifest = manifest;
        Ok(file)
    }

    /// The last increment could not be written: what is behind its first `good` bytes is cut off, and the log goes on in
    /// another file, or in the same if nothing of it is good. May be called again after an error.
    pub fn go_on_after(&mut self, good: u64) -> Result<Box<dyn WriteFile>, AofDirError> {
        let Some(path) = self.last_path() else {
            return self.next_increment();
        };
        if good == 0 {
            return self.write_anew(&path);
        }
        self.fs.truncate(&path, good).map_err(at(&path))?;
        self.next_increment()
    }

    /// Removes what was begun since [`AofDir::start_over`]: the base did not come.
    pub fn give_up(self) {
        if !self.unsaved {
            return;
        }
        let path = self.manifest_path();
        let mut text = Vec::new();
        let read = self
            .fs
            .open(&path)
            .and_then(|mut file| file.read_to_end(&mut text));
        let on_disk = match read.map(|_| Manifest::parse(&text)) {
            Ok(Ok(manifest)) => manifest,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Manifest::default(),
            Ok(Err(_)) | Err(_) => return,
        };
        let named = |name: &str| on_disk.parts().any(|part| part.name == name);
        for part in self.manifest.increments.iter().filter(|part| !named(&part.name)) {
            // A file that stays is written anew when its number comes again.
            let _best_effort = self.fs.remove(&self.dir.join(&part.name));
        }
    }

    /// Where a rewrite writes its base before it is whole.
    pub fn temporary_base(&self) -> PathBuf {
        self.dir.join(format!("temp-rewriteaof-{}.base", self.filename))
    }

    /// Makes a new base of the file at [`AofDir::temporary_base`], which must be synced: it holds everything before
    /// increment number `first`. What it replaces is removed. `suffix`: `rdb` or `aof`.
    pub fn finish_rewrite(&mut self, first: u64, suffix: &str) -> Result<(), AofDirError> {
        let mut manifest = self.manifest.clone();
        let base = manifest.next_base(&self.filename, suffix);
        // A number is never used twice: after a failure the manifest on the disk may name this base.
        self.manifest.next_base(&self.filename, suffix);
        let (temporary, path) = (self.temporary_base(), self.dir.join(&base.name));
        self.fs.rename(&temporary, &path).map_err(at(&path))?;
        self.fs.sync_dir(&self.dir).map_err(at(&self.dir))?;
        manifest.rebase(base, first);
        self.save(&manifest)?;
        self.manifest = manifest;
        self.unsaved = false;
        // What it replaces is of no use, but does no harm either: it is tried again after the next rewrite.
        let _later = self.remove_history();
        Ok(())
    }

    /// Removes files that nothing needs. What cannot be removed is tried again after the next rewrite.
    pub fn remove_history(&mut self) -> Result<(), AofDirError> {
        if self.manifest.history.is_empty() || self.keep_history || self.unsaved {
            return Ok(());
        }
        let mut manifest = self.manifest.clone();
        manifest
            .history
            .retain(|part| match self.fs.remove(&self.dir.join(&part.name)) {
                Ok(()) => false,
                Err(error) => error.kind() != io::ErrorKind::NotFound,
            });
        self.save(&manifest)?;
        self.manifest = manifest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use super::*;
    use crate::aof::{AofReader, Item};
    use crate::fs::{FailingFs, Fault, MemoryFs, Survives};

    const ROOT: &str = "/data";

    fn open(fs: &MemoryFs) -> Result<AofDir, AofDirError> {
        AofDir::open(
            Arc::new(fs.clone()),
            Path::new(ROOT),
            "appendonlydir",
            "appendonly.aof",
        )
    }

    fn disk() -> MemoryFs {
        let fs = MemoryFs::new();
        fs.create_dir(Path::new(ROOT)).unwrap();
        fs
    }

    /// One command that says its number.
    fn command(n: u32) -> Vec<u8> {
        let digits = n.to_string();
        format!("*2\r\n$1\r\nN\r\n${}\r\n{digits}\r\n", digits.len()).into_bytes()
    }

    /// The numbers that a restart finds.
    fn found(fs: &MemoryFs) -> Vec<u32> {
        let dir = open(fs).expect("what is there can be loaded");
        let mut numbers = Vec::new();
        for (path, _) in dir.parts() {
            let mut reader = AofReader::new(BufReader::new(fs.open(&path).unwrap()), 0);
            while let Ok(Some(Item::Command(args))) = reader.next_item() {
                numbers.push(std::str::from_utf8(&args[1]).unwrap().parse().unwrap());
            }
        }
        numbers
    }

    /// Writes numbers, rewrites twice while it goes on, and notes what was acknowledged.
    fn campaign(fs: Arc<dyn Fs>, acknowledged: &mut u32) -> Result<(), AofDirError> {
        let io = |path: &str| {
            let path = PathBuf::from(path);
            move |error| AofDirError::Io { path, error }
        };
        let mut dir = AofDir::open(
            Arc::clone(&fs),
            Path::new(ROOT),
            "appendonlydir",
            "appendonly.aof",
        )?;
        let mut file = dir.begin_increment()?;
        let mut next = 0;
        let mut write = |file: &mut Box<dyn WriteFile>, count: u32| -> io::Result<()> {
            for _ in 0..count {
                file.write_all(&command(next))?;
                file.sync()?;
                next += 1;
                *acknowledged = next;
            }
            Ok(())
        };
        write(&mut file, 3).map_err(io("increment"))?;
        for _ in 0..2 {
            let before = dir.last_increment();
            let mut all = Vec::new();
            for (path, _) in dir.parts() {
                fs.open(&path)
                    .and_then(|mut part| part.read_to_end(&mut all))
                    .map_err(io("part"))?;
            }
            file = dir.begin_increment()?;
            write(&mut file, 2).map_err(io("increment"))?;
            let mut base = fs.create(&dir.temporary_base()).map_err(io("base"))?;
            base.write_all(&all)
                .and_then(|()| base.sync())
                .map_err(io("base"))?;
            dir.finish_rewrite(before + 1, "aof")?;
            write(&mut file, 2).map_err(io("increment"))?;
        }
        Ok(())
    }

    #[test]
    fn nothing_acknowledged_is_lost_at_any_point() {
        let operations = {
            let fs = FailingFs::new(disk(), u64::MAX, Fault::Stop);
            campaign(Arc::new(fs.clone()), &mut 0).unwrap();
            fs.operations()
        };
        assert!(operations > 60, "{operations}");
        for stop in 0..operations {
            let fs = disk();
            let mut acknowledged = 0;
            let end = campaign(
                Arc::new(FailingFs::new(fs.clone(), stop, Fault::Stop)),
                &mut acknowledged,
            );
            assert!(end.is_err(), "operation {stop}");
            for survives in [Survives::Everything, Survives::Synced, Survives::HalfOfTheRest] {
                let numbers = found(&fs.after_crash(survives));
                let expected: Vec<u32> = (0..numbers.len() as u32).collect();
                assert_eq!(numbers, expected, "operation {stop}, {survives:?}");
                // The command that was being written may be there; more may not.
                assert!(
                    (acknowledged..=acknowledged + 1).contains(&(numbers.len() as u32)),
                    "operation {stop}, {survives:?}: {} of {acknowledged}",
                    numbers.len()
                );
            }
        }
    }

    #[test]
    fn after_a_rewrite_only_its_files_are_left() {
        let fs = disk();
        campaign(Arc::new(fs.clone()), &mut 0).unwrap();
        let names = fs.list(&Path::new(ROOT).join("appendonlydir")).unwrap();
        let expected = [
            "appendonly.aof.2.base.aof",
            "appendonly.aof.3.incr.aof",
            "appendonly.aof.manifest",
        ];
        assert_eq!(names, expected.map(PathBuf::from));
        assert_eq!(found(&fs), (0..11).collect::<Vec<_>>());
    }

    #[test]
    fn an_old_single_file_becomes_the_base_at_every_point() {
        let make = || {
            let fs = disk();
            let path = Path::new(ROOT).join("appendonly.aof");
            let mut file = fs.create(&path).unwrap();
            file.write_all(&[command(0), command(1)].concat()).unwrap();
            file.sync().unwrap();
            fs.sync_dir(Path::new(ROOT)).unwrap();
            fs
        };
        let open_on = |fs: Arc<dyn Fs>| AofDir::open(fs, Path::new(ROOT), "appendonlydir", "appendonly.aof");
        let whole = FailingFs::new(make(), u64::MAX, Fault::Stop);
        open_on(Arc::new(whole.clone())).unwrap();
        for stop in 0..whole.operations() {
            let fs = make();
            let _cut_off = open_on(Arc::new(FailingFs::new(fs.clone(), stop, Fault::Stop)));
            for survives in [Survives::Everything, Survives::Synced] {
                assert_eq!(
                    found(&fs.after_crash(survives)),
                    [0, 1],
                    "operation {stop}, {survives:?}"
                );
            }
        }
    }

    #[test]
    fn a_part_that_is_missing_is_named() {
        let fs = disk();
        campaign(Arc::new(fs.clone()), &mut 0).unwrap();
        let part = Path::new(ROOT).join("appendonlydir/appendonly.aof.3.incr.aof");
        fs.remove(&part).unwrap();
        assert!(matches!(open(&fs), Err(AofDirError::Missing(path)) if path == part));
        let manifest = Path::new(ROOT).join("appendonlydir/appendonly.aof.manifest");
        fs.create(&manifest)
            .unwrap()
            .write_all(b"file x seq 1\n")
            .unwrap();
        let error = open(&fs).unwrap_err().to_string();
        assert!(
            error.contains("Invalid AOF manifest file format (line 1)"),
            "{error}"
        );
    }

    #[test]
    fn parts_without_a_manifest_are_left_alone() {
        let fs = disk();
        let dir = Path::new(ROOT).join("appendonlydir");
        fs.create_dir(&dir).unwrap();
        let others = [
            "appendonly.aof.x.incr.aof",
            "other.aof.9.base.rdb",
            "appendonly.aof.7.tmp",
        ];
        let parts = [
            "appendonly.aof.1.base.rdb",
            "appendonly.aof.3.incr.aof",
            "appendonly.aof.4.incr.aof",
        ];
        for name in parts.iter().chain(&others) {
            let mut file = fs.create(&dir.join(name)).unwrap();
            file.write_all(name.as_bytes()).unwrap();
            file.sync().unwrap();
        }
        let mut aof = open(&fs).unwrap();
        assert!(aof.is_empty());
        assert_eq!(aof.unnamed(), parts.map(|name| dir.join(name)));
        drop(aof.begin_increment().unwrap());
        assert!(aof.last_path().unwrap().ends_with("appendonly.aof.5.incr.aof"));
        let mut base = fs.create(&aof.temporary_base()).unwrap();
        base.sync().unwrap();
        aof.finish_rewrite(5, "rdb").unwrap();
        let again = open(&fs).unwrap();
        assert!(again.unnamed().is_empty(), "there is a manifest");
        let named: Vec<_> = again.parts().map(|(path, _)| path).collect();
        assert_eq!(
            named,
            ["appendonly.aof.2.base.rdb", "appendonly.aof.5.incr.aof"].map(|name| dir.join(name))
        );
        for name in parts {
            let mut text = String::new();
            fs.open(&dir.join(name))
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            assert_eq!(text, name);
        }
    }

    #[test]
    fn an_error_leaves_what_there_was_and_the_next_attempt_works() {
        for fault in [Fault::Full, Fault::Error(io::ErrorKind::Other)] {
            for at in 0..12 {
                let fs = disk();
                campaign(Arc::new(fs.clone()), &mut 0).unwrap();
                let failing = FailingFs::new(fs.clone(), at, fault);
                let mut dir = AofDir::open(
                    Arc::new(failing.clone()),
                    Path::new(ROOT),
                    "appendonlydir",
                    "appendonly.aof",
                );
                if let Ok(dir) = &mut dir {
                    let _may_fail = dir.begin_increment();
                    failing.heal();
                    let mut file = dir.begin_increment().unwrap();
                    file.write_all(&command(11)).unwrap();
                    file.sync().unwrap();
                    assert_eq!(
                        found(&fs.after_crash(Survives::Synced)),
                        (0..12).collect::<Vec<_>>()
                    );
                }
            }
        }
    }
}
