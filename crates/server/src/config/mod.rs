//! The configuration: one table of directives, and the values now in effect.
//!
//! ```text
//! params.rs   the rows                     value.rs, composite.rs, rules.rs   words <-> values
//! file.rs     redis.conf -> Settings       command_line.rs                    arguments -> Invocation
//! mod.rs      Settings -> Config           rewrite.rs, sample.rs              values -> text
//! ```
//!
//! `Config` is shared by every thread. Numbers, booleans and choices are atomics, so that a command reads its limits
//! without a lock; texts are behind a lock held for the time of a reference count. What a change means (listening on
//! another port, closing clients) is not known here: CONFIG SET returns the rows that changed, and the server acts.

mod access;
mod choices;
mod command_line;
mod composite;
mod file;
mod params;
mod rewrite;
mod row;
mod rules;
mod sample;
mod set;
mod value;
mod words;

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use holdfast_storage::glob;
use parking_lot::{Mutex, RwLock};

pub use choices::{
    AclPubsubDefault, Appendfsync, DisklessLoad, EndpointType, Guard, LogLevel, MaxmemoryPolicy,
    PropagationErrors, RdbDialect, SHUTDOWN_FORCE, SHUTDOWN_NOSAVE, SHUTDOWN_NOW, SHUTDOWN_SAVE, Sanitize,
    Supervised, SyslogFacility, TlsAuthClients,
};
pub use command_line::{Invocation, help_text, parse_command_line, version_line};
pub use composite::{ClientClass, OutputLimit, SavePoint, events};
pub use file::{LoadError, Settings};
pub use params::{PARAMS, Param};
pub(crate) use rewrite::replace_file;
pub use rewrite::{RewriteError, UserLine};
pub use row::{Choice, Kind, Mutability, Row, Rule, Status};
pub use sample::sample_conf;
pub use set::SetError;
pub use value::{Value, ValueError, memory as parse_memory};

/// The values now in effect; shared by every thread behind an `Arc`.
///
/// ```text
/// ints  [AtomicI64; rows]          numbers, booleans, choices, flags; 0 where the row is a text
/// texts [RwLock<Arc<[u8]>>; rows]  texts; empty where the row is a number
/// limits                           client-output-buffer-limit once more, as numbers
/// ```
pub struct Config {
    ints: Box<[AtomicI64]>,
    texts: Box<[RwLock<Arc<[u8]>>]>,
    limits: [[AtomicU64; 3]; 3],
    /// Directives that only the file knows: `rename-command`, `user`, ...; fixed at start.
    lines: Vec<(Param, Vec<Vec<u8>>)>,
    /// The values before any file was read; `dir` is where the process started.
    defaults: Vec<Value>,
    /// Absolute path of the file the server was started with.
    file: Option<PathBuf>,
    version: AtomicU64,
    /// Held by whoever changes values, so that a change of several rows is one.
    writer: Mutex<()>,
}

impl std::fmt::Debug for Config {
    /// Without the values: among them are passwords.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Config")
            .field("file", &self.file)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::from_settings(Settings::default())
    }
}

impl Config {
    /// The configuration that a file and a command line resolved to.
    pub fn from_settings(settings: Settings) -> Self {
        let config = Config {
            ints: Param::ALL.iter().map(|_| AtomicI64::new(0)).collect(),
            texts: Param::ALL
                .iter()
                .map(|_| RwLock::new(Arc::from(&b""[..])))
                .collect(),
            limits: Default::default(),
            lines: settings.lines,
            defaults: settings.defaults,
            file: settings.file,
            version: AtomicU64::new(0),
            writer: Mutex::new(()),
        };
        for (&param, value) in Param::ALL.iter().zip(&settings.values) {
            config.put(param, value);
        }
        config
    }

    /// The number of a row that is a number, boolean (0 or 1), choice (its code) or set of flags; 0 for a text.
    ///
    /// Memory is in bytes; `maxmemory-clients` in percent is negative.
    #[inline]
    pub fn int(&self, param: Param) -> i64 {
        self.ints[param as usize].load(Ordering::Relaxed)
    }

    /// Whether a `yes`/`no` row is `yes`.
    #[inline]
    pub fn flag(&self, param: Param) -> bool {
        self.int(param) != 0
    }

    /// The text of a row that is a text; empty for a number.
    pub fn text(&self, param: Param) -> Arc<[u8]> {
        self.texts[param as usize].read().clone()
    }

    /// The value of a row as CONFIG GET prints it.
    pub fn print(&self, param: Param) -> Vec<u8> {
        value::print(param.row(), &self.value(param))
    }

    /// How many times values changed since the start. A worker that keeps derived data compares it now and then.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Absolute path of the file the server was started with.
    pub fn file(&self) -> Option<&std::path::Path> {
        self.file.as_deref()
    }

    /// The words after the name of each line of a file-only directive (`rename-command`, `user`), in their order.
    pub fn lines(&self, param: Param) -> impl Iterator<Item = &[Vec<u8>]> {
        self.lines
            .iter()
            .filter(move |(of, _)| *of == param)
            .map(|(_, words)| words.as_slice())
    }

    /// Directives that differ from their default and mean nothing here, with the reason: the one warning at start.
    pub fn ignored(&self) -> Vec<(&'static str, &'static str)> {
        let reason = |param: Param| match param.row().status {
            Status::Used => None,
            Status::Ignored(reason) => (!self.is_default(param)).then_some((param.name(), reason)),
        };
        Param::ALL.iter().filter_map(|&param| reason(param)).collect()
    }

    /// Whether a row has its default value.
    pub fn is_default(&self, param: Param) -> bool {
        self.value(param) == self.defaults[param as usize]
    }

    /// Pairs of name and value for CONFIG GET, as 7.0.15 answers.
    ///
    /// A pattern without `*`, `?` or `[` is a name: it finds hidden rows too, and is answered as it was written. A
    /// row and its alias are two answers; each name is given once, whatever its case.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut push = |name: &[u8], param: Param| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), self.print(param)));
            }
        };
        for &pattern in patterns {
            if !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
                if let Some(param) = Param::find(pattern).filter(|param| !param.row().kind.is_file_only()) {
                    push(pattern, param);
                }
                continue;
            }
            for &param in Param::ALL {
                let row = param.row();
                if row.hidden || row.kind.is_file_only() {
                    continue;
                }
                for name in std::iter::once(row.name).chain(row.alias) {
                    if glob::matches(pattern, name.as_bytes(), true) {
                        push(name.as_bytes(), param);
                    }
                }
            }
        }
        found
    }

    /// Changes a row from within the server (REPLICAOF, the cluster), whoever may change it.
    ///
    /// # Errors
    /// Where the words are no value of the row.
    pub fn store(&self, param: Param, args: &[&[u8]]) -> Result<(), ValueError> {
        let _writing = self.writer.lock();
        let value = value::parse(param.row(), args, &self.value(param))?;
        self.put(param, &value);
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// A copy of the stored value.
    fn value(&self, param: Param) -> Value {
        if param.row().kind.is_number() {
            Value::Int(self.int(param))
        } else {
            Value::Text(self.text(param))
        }
    }

    /// Makes the workers read their settings again, for what is no directive.
    pub fn renew(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Stores a value without counting a version.
    fn put(&self, param: Param, value: &Value) {
        match value {
            Value::Int(int) => self.ints[param as usize].store(*int, Ordering::Relaxed),
            Value::Text(text) => {
                if param == Param::ClientOutputBufferLimit {
                    self.put_limits(&composite::output_limits(text));
                }
                *self.texts[param as usize].write() = text.clone();
            }
        }
    }

    fn put_limits(&self, limits: &[OutputLimit; 3]) {
        for (cells, limit) in self.limits.iter().zip(limits) {
            let numbers = [limit.hard_bytes, limit.soft_bytes, limit.soft_seconds];
            for (cell, number) in cells.iter().zip(numbers) {
                cell.store(number, Ordering::Relaxed);
            }
        }
    }
}
