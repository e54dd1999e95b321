//! Lua values to MessagePack.

use mlua::{Error, Result, Table, Value};

use crate::args::{Args, as_double};
use crate::limits::MAX_OUTPUT;

/// Tables nested deeper than this are written as `nil`: they may contain themselves.
const MAX_NESTING: usize = 16;
/// Lua 5.1 gives a function 8000 stack slots, and Redis asks for two for each argument.
const MAX_ARGUMENTS: usize = 4000;

/// All arguments, one after the other.
pub(super) fn pack(args: &Args<'_>) -> Result<Value> {
    if args.len() == 0 {
        return Err(args.error(0, "MessagePack pack needs input."));
    }
    if args.len() > MAX_ARGUMENTS {
        return Err(args.error(0, "Too many arguments for MessagePack pack."));
    }
    let mut packer = Packer { out: Vec::new() };
    for value in args.values() {
        packer.value(value, 0).map_err(|error| args.placed(error))?;
    }
    args.lua().create_string(packer.out).map(Value::String)
}

/// Its errors do not say the place yet: inside an iteration of mlua's, Lua does not see the caller.
struct Packer {
    out: Vec<u8>,
}

impl Packer {
    fn value(&mut self, value: &Value, nesting: usize) -> Result<()> {
        if self.out.len() > MAX_OUTPUT {
            return Err(Error::runtime(format!(
                "MessagePack output exceeds {MAX_OUTPUT} bytes"
            )));
        }
        match value {
            Value::String(string) => {
                let bytes = string.as_bytes();
                self.string_header(bytes.len());
                self.out.extend_from_slice(&bytes);
            }
            Value::Boolean(false) => self.out.push(0xc2),
            Value::Boolean(true) => self.out.push(0xc3),
            Value::Table(table) if nesting < MAX_NESTING => self.table(table, nesting)?,
            value => match as_double(value) {
                Some(number) => self.number(number),
                None => self.out.push(0xc0),
            },
        }
        Ok(())
    }

    fn table(&mut self, table: &Table, nesting: usize) -> Result<()> {
        let (entries, is_array) = count(table)?;
        if is_array {
            self.header(entries, 0x90, 0xdc);
            for index in 1..=entries {
                self.value(&table.raw_get(index)?, nesting + 1)?;
            }
            return Ok(());
        }
        self.header(entries, 0x80, 0xde);
        table.for_each(|key: Value, value: Value| {
            self.value(&key, nesting + 1)?;
            self.value(&value, nesting + 1)
        })
    }

    /// Of an array or a map: one byte for up to 15 entries, else `wide` and 16 or 32 bits.
    fn header(&mut self, entries: usize, narrow: u8, wide: u8) {
        match entries {
            0..=15 => self.out.push(narrow | entries as u8),
            16..=0xffff => self.tagged(wide, &(entries as u16).to_be_bytes()),
            _ => self.tagged(wide + 1, &(entries as u32).to_be_bytes()),
        }
    }

    fn string_header(&mut self, length: usize) {
        match length {
            0..=31 => self.out.push(0xa0 | length as u8),
            32..=0xff => self.tagged(0xd9, &[length as u8]),
            0x100..=0xffff => self.tagged(0xda, &(length as u16).to_be_bytes()),
            _ => self.tagged(0xdb, &(length as u32).to_be_bytes()),
        }
    }

    /// Whole numbers as the shortest integer, others as a float if it holds them exactly.
    fn number(&mut self, number: f64) {
        let integer = number as i64;
        // 2^63 saturates to the greatest integer, which reads back as 2^63.
        if integer as f64 == number && integer != i64::MAX {
            self.integer(integer);
        } else if f64::from(number as f32) == number {
            self.tagged(0xca, &(number as f32).to_be_bytes());
        } else {
            self.tagged(0xcb, &number.to_be_bytes());
        }
    }

    fn integer(&mut self, n: i64) {
        match n {
            -32..=127 => self.out.push(n as u8),
            128..=0xff => self.tagged(0xcc, &[n as u8]),
            0x100..=0xffff => self.tagged(0xcd, &(n as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.tagged(0xce, &(n as u32).to_be_bytes()),
            0x1_0000_0000.. => self.tagged(0xcf, &n.to_be_bytes()),
            -0x80..=-33 => self.tagged(0xd0, &[n as u8]),
            -0x8000..=-0x81 => self.tagged(0xd1, &(n as i16).to_be_bytes()),
            -0x8000_0000..=-0x8001 => self.tagged(0xd2, &(n as i32).to_be_bytes()),
            ..=-0x8000_0001 => self.tagged(0xd3, &n.to_be_bytes()),
        }
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.out.push(tag);
        self.out.extend_from_slice(bytes);
    }
}

/// The number of entries, and whether their keys are exactly 1 to that number.
fn count(table: &Table) -> Result<(usize, bool)> {
    let (mut entries, mut only_indices, mut max) = (0, true, 0.0);
    table.for_each(|key: Value, _: Value| {
        entries += 1;
        match as_double(&key) {
            Some(n) if n > 0.0 && n <= f64::from(i32::MAX) && n.trunc() == n => max = f64::max(max, n),
            _ => only_indices = false,
        }
        Ok(())
    })?;
    Ok((entries, only_indices && max == entries as f64))
}
