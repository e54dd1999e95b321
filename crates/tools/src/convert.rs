//! `encrypt`, `decrypt`, `generate-key`: files from one form into the other. Nothing is ever overwritten: a new file comes
//! into being whole, under its name, or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_persistence::aof::Manifest;
use holdfast_persistence::encryption::{DecryptReader, EncryptWriter, End, KeyRing, is_encrypted};
use holdfast_persistence::fs::directory_of;

use crate::cli::{Convert, GenerateKey};
use crate::files::{at, keys, manifests, read_small};
use crate::progress::Progress;

/// Bytes that are converted at once.
const STEP: usize = 256 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Encrypted,
    Plain,
}

/// `encrypt`. What is encrypted with another key of the file is decrypted first.
pub fn encrypt(options: &Convert, out: &mut dyn Write) -> Result<bool, String> {
    convert(options, To::Encrypted, out)
}

/// `decrypt`.
pub fn decrypt(options: &Convert, out: &mut dyn Write) -> Result<bool, String> {
    convert(options, To::Plain, out)
}

/// `generate-key`.
pub fn generate_key(options: &GenerateKey, out: &mut dyn Write) -> Result<bool, String> {
    let id = options.id.clone().unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        format!("key-{}", now.map_or(0, |now| now.as_secs()))
    });
    let line = KeyRing::new_line(&id).map_err(|error| error.to_string())?;
    writeln!(out, "{}", *line).map_err(|error| error.to_string())?;
    Ok(true)
}

fn convert(options: &Convert, to: To, out: &mut dyn Write) -> Result<bool, String> {
    let keys = keys(&options.key_file)?;
    let (from, target) = (&options.from, &options.to);
    if fs::symlink_metadata(target).is_ok() {
        return Err(format!(
            "{} is there already, and nothing is overwritten",
            target.display()
        ));
    }
    let is_dir = fs::metadata(from).map_err(at(from))?.is_dir();
    let said = if is_dir {
        convert_dir(from, target, to, &keys)
    } else {
        if to == To::Plain && !starts_encrypted(from).map_err(at(from))? {
            return Err(format!("{} is not encrypted", from.display()));
        }
        convert_file(from, target, to, &keys).map(|done| vec![done.say(from, to)])
    }?;
    for line in said {
        writeln!(out, "{line}").map_err(|error| error.to_string())?;
    }
    Ok(true)
}

fn starts_encrypted(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    File::open(path)?.take(8).read_to_end(&mut beginning)?;
    Ok(is_encrypted(&beginning))
}

/// Converts all files of an append-only directory into a new one.
fn convert_dir(from: &Path, target: &Path, to: To, keys: &KeyRing) -> Result<Vec<String>, String> {
    let manifests = manifests(from)?;
    if manifests.is_empty() {
        return Err(format!(
            "{} is a directory without a manifest: not one of an append-only file",
            from.display()
        ));
    }
    let temporary = temporary(target);
    let mode = fs::metadata(from).map_err(at(from))?.permissions().mode();
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&temporary)
        .map_err(at(&temporary))?;
    let made = (|| {
        let mut said = Vec::new();
        for path in &manifests {
            let manifest = Manifest::parse(&read_small(path)?)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            // What is about to be removed may be gone already.
            let history = manifest
                .history
                .iter()
                .filter(|part| from.join(&part.name).exists());
            for part in manifest.parts().chain(history) {
                let (old, new) = (from.join(&part.name), temporary.join(&part.name));
                said.push(convert_file(&old, &new, to, keys)?.say(&old, to));
            }
            let new = temporary.join(path.file_name().unwrap_or_default());
            copy(path, &new)?;
        }
        fs::set_permissions(&temporary, Permissions::from_mode(mode)).map_err(at(&temporary))?;
        sync_dir(&temporary)?;
        if fs::symlink_metadata(target).is_ok() {
            return Err(format!("{} has come into being meanwhile", target.display()));
        }
        fs::rename(&temporary, target).map_err(at(target))?;
        sync_dir(directory_of(target))?;
        Ok(said)
    })();
    if made.is_err() {
        // The first error is the one that helps.
        let _ = fs::remove_dir_all(&temporary);
    }
    made
}

struct Done {
    was_encrypted: bool,
    /// The file says where it ends.
    ended: bool,
    bytes: u64,
}

impl Done {
    fn say(&self, from: &Path, to: To) -> String {
        let what = match (to, self.was_encrypted) {
            (To::Encrypted, false) => "encrypted",
            (To::Encrypted, true) => "encrypted anew",
            (To::Plain, true) => "decrypted",
            (To::Plain, false) => "was not encrypted",
        };
        let note = if self.was_encrypted && !self.ended {
            " (a log without an end mark: all that was synced is there)"
        } else {
            ""
        };
        format!("{}: {what}, {} bytes{note}", from.display(), self.bytes)
    }
}

fn convert_file(from: &Path, target: &Path, to: To, keys: &KeyRing) -> Result<Done, String> {
    let source = File::open(from).map_err(at(from))?;
    let meta = source.metadata().map_err(at(from))?;
    if !meta.is_file() {
        return Err(format!("{} is no regular file", from.display()));
    }
    let mode = meta.permissions().mode();
    make(target, mode, |file| {
        let mut progress = Progress::new(meta.len());
        let mut sink = BufWriter::with_capacity(STEP, file);
        let done = match to {
            To::Plain => transfer(source, keys, &mut sink, &mut progress)?,
            To::Encrypted => {
                let mut writer = EncryptWriter::begin(&mut sink, keys)?;
                let done = transfer(source, keys, &mut writer, &mut progress)?;
                writer.end()?;
                done
            }
        };
        sink.flush()?;
        Ok(done)
    })
    .map_err(|error| format!("{}: {error}", from.display()))
}

/// Copies what is in a file, decrypted.
fn transfer(
    mut source: File,
    keys: &KeyRing,
    out: &mut dyn Write,
    progress: &mut Progress,
) -> io::Result<Done> {
    let mut beginning = Vec::new();
    Read::by_ref(&mut source).take(8).read_to_end(&mut beginning)?;
    let whole = io::Cursor::new(beginning.clone()).chain(source);
    let mut buffer = vec![0; STEP];
    let mut first = [0; 6];
    let mut bytes = 0;
    let mut pump = |source: &mut dyn Read| -> io::Result<()> {
        loop {
            let got = match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if bytes == 0 {
                let shown = got.min(first.len());
                first[..shown].copy_from_slice(&buffer[..shown]);
            }
            out.write_all(&buffer[..got])?;
            bytes += got as u64;
            progress.at(bytes, bytes >> 20, "MB");
        }
    };
    if !is_encrypted(&beginning) {
        let mut whole = whole;
        pump(&mut whole)?;
        return Ok(Done {
            was_encrypted: false,
            ended: false,
            bytes,
        });
    }
    let mut reader = DecryptReader::new(whole, keys, End::AnyBlock)?;
    pump(&mut reader)?;
    let ended = reader.has_ended();
    if !ended && (first.starts_with(b"REDIS") || first.starts_with(b"VALKEY")) {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the encrypted snapshot is cut off: its end is missing",
        ));
    }
    Ok(Done {
        was_encrypted: true,
        ended,
        bytes,
    })
}

fn copy(from: &Path, target: &Path) -> Result<(), String> {
    let mut source = File::open(from).map_err(at(from))?;
    let mode = source.metadata().map_err(at(from))?.permissions().mode();
    make(target, mode, |file| io::copy(&mut source, file))
        .map(drop)
        .map_err(at(target))
}

/// Makes a file with these permissions, whole and on the disk, or none. It must not be there.
fn make<T>(target: &Path, mode: u32, write: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
    let temporary = temporary(target);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let made = (|| -> io::Result<T> {
        let done = write(&mut file)?;
        file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
        file.sync_all()?;
        // Unlike a rename, a link fails if the name is there.
        fs::hard_link(&temporary, target)?;
        Ok(done)
    })();
    let removed = fs::remove_file(&temporary);
    let done = made?;
    removed?;
    File::open(directory_of(target))?.sync_all()?;
    Ok(done)
}

fn sync_dir(path: &Path) -> Result<(), String> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(at(path))
}

fn temporary(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".temp-{}", std::process::id()));
    PathBuf::from(name)
}
