//! Reading `redis.conf`: lines to words, words to settings, files within files.
//!
//! Reading knows the table and the file system. It changes nothing in the process: `dir` is remembered, not entered.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use holdfast_storage::glob;

use super::composite;
use super::params::{DROPPED, Param};
use super::row::Kind;
use super::set::split_argument;
use super::value::{self, Value};
use crate::acl;

/// Files within files, at most.
const MAX_DEPTH: usize = 16;
/// A larger file is no configuration.
const MAX_FILE_BYTES: u64 = 16 << 20;

const BAD_DIRECTIVE: &str = "Bad directive or wrong number of arguments";

/// Why the configuration could not be read. Displays as the lines for standard error.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file could not be read.
    #[error("Fatal error, can't open config file '{}': {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A line is wrong.
    #[error(
        "\n*** FATAL CONFIG FILE ERROR (Holdfast {}) ***\nReading the {source_name}, at line {line}\n>>> '{}'\n{reason}",
        env!("CARGO_PKG_VERSION"),
        String::from_utf8_lossy(text)
    )]
    Line {
        /// `configuration file /etc/redis.conf`, `standard input`, `command line`.
        source_name: String,
        /// Counted from 1; of the command line, the number of the option.
        line: usize,
        /// The line, without space around it.
        text: Vec<u8>,
        /// What is wrong.
        reason: String,
    },
    /// The settings contradict each other.
    #[error("\n*** FATAL CONFIG FILE ERROR (Holdfast {}) ***\n{reason}", env!("CARGO_PKG_VERSION"))]
    Contradiction {
        /// Which.
        reason: &'static str,
    },
}

/// What files and the command line said, one over the other; the raw form of a `Config`.
pub struct Settings {
    pub(super) values: Vec<Value>,
    pub(super) defaults: Vec<Value>,
    pub(super) lines: Vec<(Param, Vec<Vec<u8>>)>,
    pub(super) included: Vec<Param>,
    pub(super) file: Option<PathBuf>,
    /// A first `save` replaces the default save points; later ones add to it.
    save_seen: bool,
    /// Files that are being read, outermost first.
    open: Vec<PathBuf>,
}

impl std::fmt::Debug for Settings {
    /// Without the values: among them are passwords.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Settings")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings::starting_with(Param::ALL.iter().map(|&param| default_value(param)).collect())
    }
}

impl Settings {
    /// Settings before anything was read, with the defaults of an earlier start.
    pub(super) fn starting_with(defaults: Vec<Value>) -> Self {
        Settings {
            values: defaults.clone(),
            defaults,
            lines: Vec::new(),
            included: Vec::new(),
            file: None,
            save_seen: false,
            open: Vec::new(),
        }
    }
}

/// The parsed default of a row.
fn default_value(param: Param) -> Value {
    let row = param.row();
    let empty = if row.kind.is_number() {
        Value::Int(0)
    } else {
        Value::text(Vec::new())
    };
    let text = row.default_text();
    let args = split_argument(row.kind.takes_words(), text.as_bytes());
    // Every default parses (a test sees to it), but the directory we start in may be gone: then it stays as written.
    value::parse(row, &args, &empty).unwrap_or_else(|_| Value::text(text.as_bytes()))
}

impl Settings {
    /// Reads `text` as if it stood in the file at `path`.
    ///
    /// # Errors
    /// As [`Settings::read_file`].
    pub(super) fn read_text_of(&mut self, path: &Path, text: &[u8]) -> Result<(), LoadError> {
        self.open
            .push(std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()));
        let read = self.read_text(&format!("configuration file {}", path.display()), text);
        self.open.pop();
        read
    }

    /// Reads the main file. Its name is kept for CONFIG REWRITE.
    ///
    /// # Errors
    /// Where it or a file that it includes cannot be read, or holds a wrong line.
    pub fn read_file(&mut self, path: &Path) -> Result<(), LoadError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        self.file = Some(path.clone());
        self.read_path(&path)
    }

    /// Reads a configuration from a stream.
    ///
    /// # Errors
    /// Where it cannot be read or holds a wrong line.
    pub fn read_stream(&mut self, stream: &mut dyn Read) -> Result<(), LoadError> {
        let text = read_all(stream, Path::new("-"))?;
        self.read_text("standard input", &text)
    }

    /// Reads the lines of `text`; `source_name` is for errors.
    ///
    /// # Errors
    /// Where a line is wrong.
    pub fn read_text(&mut self, source_name: &str, text: &[u8]) -> Result<(), LoadError> {
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            self.read_line(line).map_err(|fault| match fault {
                Fault::Line(reason) => LoadError::Line {
                    source_name: source_name.to_owned(),
                    line: index + 1,
                    text: line.to_vec(),
                    reason,
                },
                Fault::Inner(error) => *error,
            })?;
        }
        Ok(())
    }

    /// Looks for settings that contradict each other, once everything is read.
    ///
    /// # Errors
    /// Where they do.
    pub fn check(&self) -> Result<(), LoadError> {
        let cluster = self.values[Param::ClusterEnabled as usize] == Value::Int(1);
        let replica = self.values[Param::Replicaof as usize] != Value::text(Vec::new());
        if cluster && replica {
            return Err(LoadError::Contradiction {
                reason: "replicaof directive not allowed in cluster mode",
            });
        }
        Ok(())
    }

    fn read_path(&mut self, path: &Path) -> Result<(), LoadError> {
        let unreadable = |error: std::io::Error| LoadError::Unreadable {
            path: path.to_path_buf(),
            reason: error_text(&error),
        };
        let mut file = std::fs::File::open(path).map_err(unreadable)?;
        let text = read_all(&mut file, path)?;
        self.open
            .push(std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()));
        let read = self.read_text(&format!("configuration file {}", path.display()), &text);
        self.open.pop();
        read
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        if line.contains(&0) {
            return Err(Fault::line("NUL byte in configuration line"));
        }
        let words =
            holdfast_resp::split_args(line).ok_or(Fault::line("Unbalanced quotes in configuration line"))?;
        let Some((name, args)) = words.split_first() else {
            return Ok(());
        };
        let Some(param) = Param::find(name) else {
            return unknown(name, args.len());
        };
        if let Kind::Lines { min_words, max_words } = param.row().kind {
            if args.len() < min_words || args.len() > max_words {
                return Err(Fault::line(BAD_DIRECTIVE));
            }
            return match param {
                Param::Include => self.include(&args[0]),
                Param::Loadmodule => Err(Fault::line("Holdfast has no modules: remove this line to start")),
                _ => {
                    if param == Param::User {
                        self.check_user(args)?;
                    }
                    self.lines.push((param, args.to_vec()));
                    Ok(())
                }
            };
        }
        self.assign(param, args)
    }

    /// A user's rules are checked at once, so that the error names the line.
    fn check_user(&self, words: &[Vec<u8>]) -> Result<(), Fault> {
        let is_known = |(param, known): &(Param, Vec<Vec<u8>>)| *param == Param::User && known[0] == words[0];
        if self.lines.iter().any(is_known) {
            let name = String::from_utf8_lossy(&words[0]);
            return Err(Fault::Line(format!(
                "Error in user declaration '{name}': Duplicate user found. A user can only be defined once in config files"
            )));
        }
        acl::check_declaration(words).map_err(Fault::Line)
    }

    fn assign(&mut self, param: Param, args: &[Vec<u8>]) -> Result<(), Fault> {
        let row = param.row();
        let args: Vec<&[u8]> = match args {
            [one] => split_argument(row.kind.takes_words(), one),
            args => args.iter().map(Vec::as_slice).collect(),
        };
        let current = &self.values[param as usize];
        let mut value =
            value::parse(row, &args, current).map_err(|reason| Fault::Line(reason.to_string()))?;
        if param == Param::Save {
            value = self.add_save_points(value, args.is_empty())?;
        }
        self.values[param as usize] = value;
        if self.open.len() > 1 && !self.included.contains(&param) {
            self.included.push(param);
        }
        Ok(())
    }

    /// Joins save points to those of earlier lines; an empty value starts anew.
    fn add_save_points(&mut self, new: Value, bare: bool) -> Result<Value, Fault> {
        if bare {
            return Err(Fault::line("wrong number of arguments"));
        }
        let known = &self.values[Param::Save as usize];
        let joined = match (known, &new) {
            (Value::Text(old), Value::Text(new)) if self.save_seen && !old.is_empty() && !new.is_empty() => {
                let points = [composite::save_points(old), composite::save_points(new)].concat();
                Value::text(composite::save_text(&points))
            }
            _ => new,
        };
        self.save_seen = true;
        Ok(joined)
    }

    fn include(&mut self, pattern: &[u8]) -> Result<(), Fault> {
        let base = match &self.values[Param::Dir as usize] {
            Value::Text(dir) => PathBuf::from(OsStr::from_bytes(dir)),
            Value::Int(_) => PathBuf::new(),
        };
        for path in expand(&base, pattern) {
            let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            if self.open.contains(&real) {
                return Err(Fault::line("include: this file is being read already"));
            }
            if self.open.len() >= MAX_DEPTH {
                return Err(Fault::line("include: too many files within files"));
            }
            self.read_path(&path)
                .map_err(|error| Fault::Inner(Box::new(error)))?;
        }
        Ok(())
    }
}

/// What is wrong with a line: the line itself, or a line of a file that it includes.
enum Fault {
    Line(String),
    Inner(Box<LoadError>),
}

impl Fault {
    fn line(reason: &str) -> Self {
        Fault::Line(reason.to_owned())
    }
}

fn unknown(name: &[u8], args: usize) -> Result<(), Fault> {
    let dropped = DROPPED
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    if dropped && args == 1 {
        return Ok(());
    }
    if name.eq_ignore_ascii_case(b"sentinel") {
        return Err(Fault::line("sentinel directive while not in sentinel mode"));
    }
    Err(Fault::line(BAD_DIRECTIVE))
}

fn read_all(stream: &mut dyn Read, path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |reason: String| LoadError::Unreadable {
        path: path.to_path_buf(),
        reason,
    };
    let mut text = Vec::new();
    stream
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|error| unreadable(error_text(&error)))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(unreadable("larger than 16 megabytes".to_owned()));
    }
    Ok(text)
}

/// The text of an error as the C library words it.
pub(super) fn error_text(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}

/// The files that an include names, sorted; a name without wildcards is itself, whether it exists or not.
fn expand(base: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let is_wild = |part: &[u8]| part.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
    if !is_wild(pattern) {
        return vec![base.join(OsStr::from_bytes(pattern))];
    }
    let start = if pattern.starts_with(b"/") {
        PathBuf::from("/")
    } else {
        base.to_path_buf()
    };
    let mut paths = vec![start];
    for part in pattern
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
    {
        paths = if is_wild(part) {
            paths.iter().flat_map(|dir| matching(dir, part)).collect()
        } else {
            paths
                .iter()
                .map(|dir| dir.join(OsStr::from_bytes(part)))
                .collect()
        };
    }
    paths.retain(|path| path.exists());
    paths.sort();
    paths
}

/// The entries of a directory that match; hidden ones only where the pattern starts with a dot.
fn matching(dir: &Path, part: &[u8]) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let visible = |name: &[u8]| part[0] == b'.' || name.first() != Some(&b'.');
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let fits =
        |name: &std::ffi::OsString| visible(name.as_bytes()) && glob::matches(part, name.as_bytes(), false);
    names.filter(fits).map(|name| dir.join(name)).collect()
}
