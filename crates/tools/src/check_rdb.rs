//! `check-rdb`: reads a snapshot to its end, says where it is damaged, and what is in it.

use std::io::{Read, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_persistence::fs::Fs;
use holdfast_rdb::Limits;
use holdfast_rdb::file::{FileReader, Item};

use crate::cli::CheckRdb;
use crate::files::{at, file_system};
use crate::progress::Progress;
use crate::summary::Summary;

/// Longest part of a note that is shown.
const NOTE_SHOWN: usize = 100;

/// Runs the tool. False: the file is damaged, and the report says so.
pub fn run(options: &CheckRdb, out: &mut dyn Write) -> Result<bool, String> {
    let path = &options.file;
    if path.is_dir() {
        return Err(format!("{} is a directory", path.display()));
    }
    let fs = file_system(options.key_file.as_deref())?;
    let len = fs.len(path).map_err(at(path))?;
    let file = fs.open_whole(path).map_err(at(path))?;
    let checked = check(file, len, path, out).map_err(|error| error.to_string())?;
    if let Checked::Whole { rest: true, end } = checked {
        writeln!(out, "[info] what stands behind byte {end} is no part of the RDB")
            .map_err(|error| error.to_string())?;
    }
    Ok(matches!(checked, Checked::Whole { .. }))
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is whole.
    Whole {
        /// Where it ends.
        end: u64,
        /// Whether more bytes follow.
        rest: bool,
    },
    /// It is not; the report says how.
    Damaged,
}

/// Reads an RDB from its beginning and reports on it. `len`: about the bytes of it, for the progress.
///
/// # Errors
/// The report cannot be written.
pub fn check(file: impl Read, len: u64, path: &Path, out: &mut dyn Write) -> std::io::Result<Checked> {
    writeln!(out, "[offset 0] Checking RDB file {}", path.display())?;
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as i64);
    let mut reader = match FileReader::new(file, &Limits::default(), true) {
        Ok(reader) => reader,
        Err(error) => return damaged(out, 0, 0, &error.to_string(), &Summary::default()),
    };
    let (mut summary, mut progress) = (Summary::default(), Progress::new(len));
    let mut database = None;
    loop {
        let before = reader.offset();
        let item = match reader.next_item() {
            Ok(Some(item)) => item,
            Ok(None) => break,
            Err(error) => return damaged(out, before, reader.offset(), &error.to_string(), &summary),
        };
        let offset = reader.offset();
        match item {
            Item::Aux(name, value) => {
                writeln!(
                    out,
                    "[offset {offset}] AUX FIELD {} = '{}'",
                    shown(&name),
                    shown(&value)
                )?;
            }
            Item::Resize { .. } => {}
            Item::Function(_) => summary.functions += 1,
            Item::Record(record) => {
                if database.replace(record.db) != Some(record.db) {
                    writeln!(out, "[offset {before}] Selecting DB ID {}", record.db)?;
                }
                summary.add(&record, offset - before, now_ms);
                progress.at(offset, summary.keys, "keys");
            }
        }
    }
    let end = reader.offset();
    let rest = match reader.is_at_end() {
        Ok(at_end) => !at_end,
        Err(error) => return damaged(out, end, end, &error.to_string(), &summary),
    };
    if reader.is_verified() {
        writeln!(out, "[offset {end}] Checksum OK")?;
    } else {
        writeln!(
            out,
            "[offset {end}] RDB file was saved with checksum disabled: no check performed."
        )?;
    }
    writeln!(out, "[offset {end}] \\o/ RDB looks OK! \\o/")?;
    write_counts(out, &summary)?;
    summary.write(out)?;
    Ok(Checked::Whole { end, rest })
}

/// `begin`: where the item begins in which something is wrong at `offset`.
fn damaged(
    out: &mut dyn Write,
    begin: u64,
    offset: u64,
    what: &str,
    summary: &Summary,
) -> std::io::Result<Checked> {
    writeln!(out, "--- RDB ERROR DETECTED ---")?;
    writeln!(out, "[offset {offset}] {what}")?;
    writeln!(out, "[additional info] in what begins at byte {begin}")?;
    write_counts(out, summary)?;
    Ok(Checked::Damaged)
}

fn write_counts(out: &mut dyn Write, summary: &Summary) -> std::io::Result<()> {
    writeln!(out, "[info] {} keys read", summary.keys)?;
    writeln!(out, "[info] {} expires", summary.expiring)?;
    writeln!(out, "[info] {} already expired", summary.expired)
}

fn shown(note: &[u8]) -> String {
    let text = note[..note.len().min(NOTE_SHOWN)].escape_ascii();
    let more = if note.len() > NOTE_SHOWN { "..." } else { "" };
    format!("{text}{more}")
}
