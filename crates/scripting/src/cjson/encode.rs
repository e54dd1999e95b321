//! Lua values to JSON. Tables that contain tables wait on a stack of our own, so that deep nesting costs no machine stack
//! and none of Lua's nested C calls.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use mlua::{Error, Function, Result, Table, Value};

use super::number;
use super::settings::Settings;
use crate::args::{Args, as_double, type_name};
use crate::limits::MAX_OUTPUT;

/// Deeper nesting would use up the slots in which mlua keeps values, whatever the settings allow.
const MAX_NESTING: usize = 3000;
/// The largest buffer that is kept for the next call.
const KEPT_BUFFER: usize = 64 * 1024;

/// `cjson.encode` of one library.
pub(super) struct Encoder {
    settings: Arc<Settings>,
    /// Lua's `next`: an iteration that can be left and taken up again.
    next: Function,
    buffer: RefCell<Vec<u8>>,
}

impl Encoder {
    pub(super) fn new(next: Function, settings: Arc<Settings>) -> Self {
        Self {
            settings,
            next,
            buffer: RefCell::default(),
        }
    }

    pub(super) fn encode(&self, args: &Args<'_>) -> Result<Value> {
        if args.len() != 1 {
            return Err(args.error(1, "expected 1 argument"));
        }
        let load = |setting: &std::sync::atomic::AtomicI32| setting.load(Relaxed);
        let settings = &self.settings;
        let mut run = Run {
            next: &self.next,
            out: self.buffer.take(),
            open: Vec::new(),
            max_depth: usize::try_from(load(&settings.encode_max_depth))
                .unwrap_or(0)
                .min(MAX_NESTING),
            sparse_convert: settings.sparse_convert.load(Relaxed),
            sparse_ratio: load(&settings.sparse_ratio),
            sparse_safe: load(&settings.sparse_safe),
            invalid: load(&settings.encode_invalid),
            precision: usize::try_from(load(&settings.precision)).unwrap_or(1),
        };
        run.out.clear();
        run.document(args.value(1)).map_err(|error| args.placed(error))?;
        let out = run.out;
        let text = args.lua().create_string(&out)?;
        if settings.keep_buffer.load(Relaxed) && out.capacity() <= KEPT_BUFFER {
            self.buffer.replace(out);
        }
        Ok(Value::String(text))
    }
}

/// A table that is being written.
struct Open {
    table: Table,
    place: Place,
}

enum Place {
    /// The next index of an array, and its last.
    Index(i64, i64),
    /// The key that was written last, `nil` at first.
    Key(Value),
}

/// What a table is to be written as.
enum Shape {
    Array(i32),
    Object { has_tables: bool },
}

/// One call. Its errors do not say the place yet: inside an iteration of mlua's, Lua does not see the caller.
struct Run<'a> {
    next: &'a Function,
    out: Vec<u8>,
    open: Vec<Open>,
    max_depth: usize,
    sparse_convert: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    invalid: i32,
    precision: usize,
}

impl Run<'_> {
    fn document(&mut self, value: &Value) -> Result<()> {
        self.value(value)?;
        while let Some(innermost) = self.open.last_mut() {
            match &mut innermost.place {
                Place::Index(next, last) if *next > *last => {
                    self.out.push(b']');
                    self.open.pop();
                }
                Place::Index(next, _) => {
                    if *next > 1 {
                        self.out.push(b',');
                    }
                    let value: Value = innermost.table.raw_get(*next)?;
                    *next += 1;
                    self.value(&value)?;
                }
                Place::Key(last) => {
                    let is_first = last.is_nil();
                    let (key, value): (Value, Value) = self.next.call((&innermost.table, &*last))?;
                    if key.is_nil() {
                        self.out.push(b'}');
                        self.open.pop();
                        continue;
                    }
                    if !is_first {
                        self.out.push(b',');
                    }
                    self.key(&key)?;
                    if let Some(innermost) = self.open.last_mut() {
                        innermost.place = Place::Key(key);
                    }
                    self.value(&value)?;
                }
            }
        }
        Ok(())
    }

    /// Writes a scalar, or begins a table.
    fn value(&mut self, value: &Value) -> Result<()> {
        if self.out.len() > MAX_OUTPUT {
            return Err(too_long());
        }
        match value {
            Value::Table(table) => self.begin(table),
            value => self.scalar(value),
        }
    }

    fn scalar(&mut self, value: &Value) -> Result<()> {
        match value {
            Value::String(string) => write_string(&string.as_bytes(), &mut self.out),
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Nil => self.out.extend_from_slice(b"null"),
            value if value.is_null() => self.out.extend_from_slice(b"null"),
            value => match as_double(value) {
                Some(number) => self.number(number)?,
                None => return Err(cannot(value, "type not supported")),
            },
        }
        Ok(())
    }

    fn begin(&mut self, table: &Table) -> Result<()> {
        let depth = self.open.len() + 1;
        if depth > self.max_depth {
            return Err(Error::runtime(format!(
                "Cannot serialise, excessive nesting ({depth})"
            )));
        }
        let place = match self.shape(table)? {
            Shape::Array(length) => {
                self.out.push(b'[');
                Place::Index(1, i64::from(length))
            }
            Shape::Object { has_tables: true } => {
                self.out.push(b'{');
                Place::Key(Value::Nil)
            }
            Shape::Object { has_tables: false } => return self.flat_object(table),
        };
        let table = table.clone();
        self.open.push(Open { table, place });
        Ok(())
    }

    /// An object without tables, at once: several times faster than going on from key to key.
    fn flat_object(&mut self, table: &Table) -> Result<()> {
        self.out.push(b'{');
        let mut is_first = true;
        table.for_each(|key: Value, value: Value| {
            if !is_first {
                self.out.push(b',');
            }
            is_first = false;
            self.key(&key)?;
            self.value(&value)
        })?;
        self.out.push(b'}');
        Ok(())
    }

    fn key(&mut self, key: &Value) -> Result<()> {
        if let Value::String(string) = key {
            write_string(&string.as_bytes(), &mut self.out);
        } else if let Some(number) = as_double(key) {
            self.out.push(b'"');
            self.number(number)?;
            self.out.push(b'"');
        } else {
            return Err(cannot(key, "table key must be a number or string"));
        }
        self.out.push(b':');
        Ok(())
    }

    fn number(&mut self, number: f64) -> Result<()> {
        if !number.is_finite() {
            match self.invalid {
                0 => return Err(cannot(&Value::Number(number), "must not be NaN or Inf")),
                1 => {}
                _ => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
            }
        }
        number::format(number, self.precision, &mut self.out);
        Ok(())
    }

    /// An array if all keys are whole numbers from 1 on and not too many are missing. Indices that are no C `int` are
    /// counted as lua-cjson counts them: as negative ones, which make an object unless a smaller one follows.
    fn shape(&self, table: &Table) -> Result<Shape> {
        let (mut entries, mut last, mut only_indices, mut has_tables) = (0i32, 0i32, true, false);
        table.for_each(|key: Value, value: Value| {
            has_tables |= value.is_table();
            entries = entries.wrapping_add(1);
            match as_double(&key) {
                Some(index) if index >= 1.0 && index.floor() == index => {
                    if index > f64::from(i32::MAX) {
                        last = i32::MIN;
                    } else if index > f64::from(last) {
                        last = index as i32;
                    }
                }
                _ => only_indices = false,
            }
            Ok(())
        })?;
        if !only_indices || last <= 0 {
            return Ok(Shape::Object { has_tables });
        }
        let is_sparse = self.sparse_ratio > 0
            && last > entries.wrapping_mul(self.sparse_ratio)
            && last > self.sparse_safe;
        match (is_sparse, self.sparse_convert) {
            (false, _) => Ok(Shape::Array(last)),
            (true, true) => Ok(Shape::Object { has_tables }),
            (true, false) => Err(cannot(&Value::Table(table.clone()), "excessively sparse array")),
        }
    }
}

fn cannot(value: &Value, reason: &str) -> Error {
    Error::runtime(format!("Cannot serialise {}: {reason}", type_name(value)))
}

fn too_long() -> Error {
    Error::runtime(format!("Cannot serialise, more than {MAX_OUTPUT} bytes"))
}

/// Appends a string in quotes. Bytes above 127 stay as they are.
fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = bytes;
    while let Some(plain) = rest.iter().position(|byte| must_escape(*byte)) {
        out.extend_from_slice(&rest[..plain]);
        match rest[plain] {
            byte @ (b'"' | b'\\' | b'/') => out.extend_from_slice(&[b'\\', byte]),
            8 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
            }
        }
        rest = &rest[plain + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn must_escape(byte: u8) -> bool {
    matches!(byte, 0..=31 | b'"' | b'\\' | b'/' | 127)
}
