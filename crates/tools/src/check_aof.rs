//! `check-aof`: reads an append-only file to its end, says where it is damaged, and cuts it there if asked to.
//!
//! Only the last part may be cut: what stands in the parts behind it came later.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use holdfast_persistence::aof::{AofError, AofReader, Item, Manifest, PartKind};
use holdfast_persistence::encryption::{DecryptError, EncryptedFs};
use holdfast_persistence::fs::Fs;

use crate::check_rdb::{self, Checked};
use crate::cli::CheckAof;
use crate::files::{at, file_system, hold_directory, manifests, read_small};
use crate::progress::Progress;

/// Names of commands that are counted apart.
const NAMES: usize = 256;
/// Longest name that is, in bytes.
const NAME_MAX: usize = 32;
/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// Runs the tool. False: something is damaged and was not mended; the report says so.
pub fn run(options: &CheckAof, answers: &mut dyn BufRead, out: &mut dyn Write) -> Result<bool, String> {
    let fs = file_system(options.key_file.as_deref())?;
    let path = the_file(&options.file)?;
    let mut check = Check {
        fs: &fs,
        options,
        answers,
        out,
        counts: Counts::default(),
    };
    let good = if is_manifest(&path, &fs)? {
        check.manifest(&path)
    } else {
        check.single(&path)
    }?;
    check.counts.write(check.out).map_err(|error| error.to_string())?;
    Ok(good)
}

/// The file itself, or the manifest of a directory.
fn the_file(path: &Path) -> Result<PathBuf, String> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    match &manifests(path)?[..] {
        [one] => Ok(one.clone()),
        [] => Err(format!("{} is a directory without a manifest", path.display())),
        _ => Err(format!("{} has several manifests: name one", path.display())),
    }
}

/// Whether the first line that is no comment is one of a manifest.
fn is_manifest(path: &Path, fs: &EncryptedFs) -> Result<bool, String> {
    let file = fs.open(path).map_err(at(path))?;
    let mut beginning = Vec::new();
    match file.take(64 << 10).read_to_end(&mut beginning) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(at(path)(error)),
    }
    let mut lines = beginning.split(|byte| *byte == b'\n');
    let first = lines.find(|line| !line.starts_with(b"#"));
    Ok(first.is_some_and(|line| line.starts_with(b"file ")))
}

struct Check<'a> {
    fs: &'a EncryptedFs,
    options: &'a CheckAof,
    answers: &'a mut dyn BufRead,
    out: &'a mut dyn Write,
    counts: Counts,
}

/// A line of the report.
macro_rules! say {
    ($check:expr, $($text:tt)*) => {
        writeln!($check.out, $($text)*).map_err(|error| error.to_string())?
    };
}

/// What is wrong behind the whole part of a file.
struct Fault {
    what: String,
    /// It may be cut off: what is before it is surely ours.
    mendable: bool,
}

/// What was read of a file.
struct Found {
    /// Bytes up to the end of the last whole command or transaction.
    good_to: u64,
    /// Line behind them.
    line: u64,
    /// Where the first command after the time stands.
    late_from: Option<u64>,
    fault: Option<Fault>,
}

impl Check<'_> {
    fn manifest(&mut self, path: &Path) -> Result<bool, String> {
        say!(self, "Start checking Multi Part AOF");
        let manifest =
            Manifest::parse(&read_small(path)?).map_err(|error| format!("{}: {error}", path.display()))?;
        let dir = path.parent().unwrap_or(Path::new(""));
        let last = manifest.parts().count();
        for (number, part) in manifest.parts().enumerate() {
            let kind = match part.kind {
                PartKind::Base => "BASE",
                PartKind::Increment | PartKind::History => "INCR",
            };
            say!(self, "Start to check {kind} AOF {}", part.name);
            if !self.part(&dir.join(&part.name), number + 1 == last)? {
                return Ok(false);
            }
            say!(self, "{kind} AOF {} is valid", part.name);
        }
        say!(self, "All AOF files and manifest are valid");
        Ok(true)
    }

    fn single(&mut self, path: &Path) -> Result<bool, String> {
        say!(self, "Start checking Old-Style AOF");
        if !self.part(path, true)? {
            return Ok(false);
        }
        say!(self, "AOF {} is valid", path.display());
        Ok(true)
    }

    /// Checks a file. True: it is whole, or has been made so.
    fn part(&mut self, path: &Path, is_last: bool) -> Result<bool, String> {
        let name = path.display();
        let on_disk = self.fs.len(path).map_err(at(path))?;
        if on_disk == 0 {
            say!(self, "AOF {name} is empty");
            return Ok(true);
        }
        let Some(begin) = self.preamble(path, on_disk)? else {
            return Ok(false);
        };
        let (read, size) = self.commands(path, begin, on_disk)?;
        if let Some(to) = self.options.truncate_to_timestamp {
            return self.truncate_to(path, to, &read, is_last);
        }
        if let Some(fault) = &read.fault {
            say!(self, "{}", fault.what);
        }
        let (good_to, line) = (read.good_to, read.line);
        say!(
            self,
            "AOF analyzed: filename={name}, size={size}, ok_up_to={good_to}, ok_up_to_line={line}, diff={}",
            size.saturating_sub(good_to)
        );
        let Some(fault) = read.fault else {
            return Ok(true);
        };
        if !fault.mendable {
            say!(self, "AOF {name} is not valid, and cutting it would not help.");
            return Ok(false);
        }
        if !self.options.fix {
            say!(
                self,
                "AOF {name} is not valid. Use the --fix option to try fixing it."
            );
            return Ok(false);
        }
        if !is_last {
            say!(
                self,
                "Failed to truncate AOF {name} because it is not the last file"
            );
            return Ok(false);
        }
        say!(
            self,
            "This will shrink the AOF {name} from {size} bytes, with {} bytes, to {good_to} bytes",
            size.saturating_sub(good_to)
        );
        if !self.options.yes && !self.is_wanted()? {
            say!(self, "Aborting...");
            return Ok(false);
        }
        let _held = hold_directory(path)?;
        self.fs.truncate(path, good_to).map_err(at(path))?;
        say!(self, "Successfully truncated AOF {name}");
        Ok(true)
    }

    /// Where the commands begin: behind an RDB, if there is one. None: it is damaged.
    fn preamble(&mut self, path: &Path, len: u64) -> Result<Option<u64>, String> {
        let mut magic = Vec::new();
        match self.open(path)?.take(6).read_to_end(&mut magic) {
            Ok(_) => {}
            // The commands' reader says so.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(at(path)(error)),
        }
        if !magic.starts_with(b"REDIS") && !magic.starts_with(b"VALKEY") {
            return Ok(Some(0));
        }
        let file = self.open(path)?;
        match check_rdb::check(file, len, path, self.out).map_err(|error| error.to_string())? {
            Checked::Whole { end, .. } => {
                say!(self, "RDB preamble is OK, proceeding with AOF tail...");
                Ok(Some(end))
            }
            Checked::Damaged => {
                say!(self, "RDB preamble of AOF file is not sane, aborting.");
                Ok(None)
            }
        }
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, String> {
        self.fs.open(path).map_err(at(path))
    }

    /// Reads the commands behind byte `begin`. The second: how many bytes there are, of an encrypted file as far as it
    /// can be read.
    fn commands(&mut self, path: &Path, begin: u64, on_disk: u64) -> Result<(Found, u64), String> {
        let mut file = self.open(path)?;
        io::copy(&mut file.by_ref().take(begin), &mut io::sink()).map_err(at(path))?;
        let mut reader = AofReader::new(BufReader::with_capacity(BUFFER, file), begin);
        let mut progress = Progress::new(on_disk);
        let mut read = Found {
            good_to: begin,
            line: 1,
            late_from: None,
            fault: None,
        };
        let mut line = 1;
        let end = loop {
            let (before, whole) = (reader.position(), reader.good_to());
            match reader.next_item() {
                Ok(Some(item)) => {
                    line += match &item {
                        Item::Command(args) => 1 + 2 * args.len() as u64,
                        Item::Time(_) => 1,
                    };
                    if reader.good_to() == reader.position() {
                        read.line = line;
                    }
                    self.counts.add(&item, reader.position() - before);
                    let to = self.options.truncate_to_timestamp;
                    if let (Item::Time(time), Some(to)) = (&item, to)
                        && *time > to
                        && read.late_from.is_none()
                    {
                        // A transaction stays whole.
                        read.late_from = Some(whole);
                    }
                    progress.at(reader.position(), self.counts.commands, "commands");
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        read.good_to = reader.good_to();
        let mut seen = reader.position();
        let encrypted = self.fs.key_of(path).map_err(at(path))?;
        if encrypted.is_none() {
            seen = on_disk;
        }
        if let Some(error) = end {
            read.fault = Some(fault(error, seen).map_err(at(path))?);
        }
        Ok((read, seen))
    }

    fn truncate_to(&mut self, path: &Path, to: i64, read: &Found, is_last: bool) -> Result<bool, String> {
        let name = path.display();
        let Some(from) = read.late_from else {
            if let Some(fault) = &read.fault {
                say!(self, "{}", fault.what);
                say!(self, "AOF {name} is not valid: mend it with --fix first.");
                return Ok(false);
            }
            say!(self, "Truncate nothing in AOF {name} to timestamp {to}");
            return Ok(true);
        };
        if !is_last {
            say!(
                self,
                "Failed to truncate AOF {name} to timestamp {to} to offset {from} because it is not the last file."
            );
            say!(
                self,
                "If you insist, please delete all files after this file according to the manifest file and delete the \
                 corresponding records in manifest file manually. Then run this again."
            );
            return Ok(false);
        }
        if from == 0 {
            say!(self, "AOF {name} has nothing before timestamp {to}, aborting...");
            return Ok(false);
        }
        let _held = hold_directory(path)?;
        self.fs.truncate(path, from).map_err(at(path))?;
        say!(self, "Successfully truncated AOF {name} to timestamp {to}");
        Ok(true)
    }

    fn is_wanted(&mut self) -> Result<bool, String> {
        write!(self.out, "Continue? [y/N]: ")
            .and_then(|()| self.out.flush())
            .map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        let read = self.answers.take(64).read_until(b'\n', &mut answer);
        read.map_err(|error| error.to_string())?;
        Ok(answer
            .first()
            .is_some_and(|first| first.eq_ignore_ascii_case(&b'y')))
    }
}

/// What an error means for the file; the error itself if the disk failed.
fn fault(error: AofError, seen: u64) -> Result<Fault, io::Error> {
    let what = error.to_string();
    match error {
        AofError::Truncated { .. } => Ok(Fault {
            what: format!("{seen:#18x}: {what}"),
            mendable: true,
        }),
        AofError::Format { at, .. } => Ok(Fault {
            what: format!("{at:#18x}: {what}"),
            mendable: true,
        }),
        AofError::Io(error) => {
            let block = match error.get_ref().and_then(|error| error.downcast_ref()) {
                Some(DecryptError::Damaged { block, .. }) => *block,
                Some(DecryptError::Trailing { .. }) => u32::MAX,
                Some(_) | None => return Err(error),
            };
            // If not even the first block is genuine, the key may be the wrong one.
            Ok(Fault {
                what,
                mendable: block > 0,
            })
        }
    }
}

/// What is in the increments.
#[derive(Debug, Default)]
struct Counts {
    commands: u64,
    transactions: u64,
    /// Earliest and latest time.
    times: Option<(i64, i64)>,
    /// Commands and their bytes by name; the empty name stands for those beyond the bound.
    names: BTreeMap<String, (u64, u64)>,
}

impl Counts {
    fn add(&mut self, item: &Item, bytes: u64) {
        let args = match item {
            Item::Time(time) => {
                let (first, last) = self.times.unwrap_or((*time, *time));
                self.times = Some((first.min(*time), last.max(*time)));
                return;
            }
            Item::Command(args) => args,
        };
        self.commands += 1;
        let mut name = args[0].to_ascii_uppercase();
        self.transactions += u64::from(name == b"EXEC");
        name.truncate(NAME_MAX);
        let mut name = name.escape_ascii().to_string();
        if self.names.len() >= NAMES && !self.names.contains_key(&name) {
            name.clear();
        }
        let count = self.names.entry(name).or_default();
        count.0 += 1;
        count.1 += bytes;
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.commands == 0 {
            return Ok(());
        }
        let Self {
            commands,
            transactions,
            ..
        } = self;
        writeln!(out, "[info] {commands} commands, {transactions} transactions")?;
        if let Some((first, last)) = self.times {
            writeln!(out, "[info] times from {first} to {last}")?;
        }
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|(_, (_, bytes))| std::cmp::Reverse(*bytes));
        writeln!(out)?;
        writeln!(out, "{:<20} {:>12} {:>16}", "command", "count", "bytes")?;
        for (name, (count, bytes)) in names {
            let name = if name.is_empty() { "(others)" } else { name };
            writeln!(out, "{name:<20} {count:>12} {bytes:>16}")?;
        }
        Ok(())
    }
}
