//! MessagePack to Lua values. Nested values wait on a stack of our own, so that hostile nesting costs no machine stack;
//! tables grow with the input that is really there, not with what a header announces.

use mlua::{Lua, MultiValue, Result, Table, Value};

use crate::args::{Args, MAX_RESULTS};

/// Deeper nesting would use up the slots in which mlua keeps values.
const MAX_NESTING: usize = 3000;

/// Everything.
pub(super) fn unpack(args: &Args<'_>) -> Result<MultiValue> {
    unpack_some(args, 0, 0)
}

/// One value from an offset, after the offset of the next.
pub(super) fn unpack_one(args: &Args<'_>) -> Result<MultiValue> {
    let offset = args.integer_or(2, 0)?;
    unpack_some(args, 1, offset)
}

/// As many values as the second argument says, after the offset of the next.
pub(super) fn unpack_limit(args: &Args<'_>) -> Result<MultiValue> {
    let limit = args.integer(2)?;
    let offset = args.integer_or(3, 0)?;
    unpack_some(args, limit, offset)
}

/// Neither limit nor offset stands for everything, without an offset in front.
fn unpack_some(args: &Args<'_>, limit: i64, offset: i64) -> Result<MultiValue> {
    let input = args.string(1)?;
    let input = input.as_bytes();
    // The texts show 32 bits of each number, as in Redis.
    let length = input.len() as i32;
    let (Ok(wanted), Ok(start)) = (usize::try_from(limit), usize::try_from(offset)) else {
        let shown = offset as i32;
        let message = format!("Invalid request to unpack with offset of {shown} and limit of {length}.");
        return Err(args.raise(&message));
    };
    if start > input.len() {
        let shown = offset as i32;
        return Err(args.raise(&format!(
            "Start offset {shown} greater than input length {length}."
        )));
    }
    let everything = wanted == 0 && start == 0;
    let mut reader = Reader {
        lua: args.lua(),
        rest: &input[start..],
    };
    let mut results = Vec::new();
    while !reader.rest.is_empty() && (everything || results.len() < wanted) {
        if results.len() >= MAX_RESULTS {
            return Err(args.raise(Malformed::TooManyResults.text()));
        }
        match reader.value() {
            Ok(value) => results.push(value),
            Err(Failure::Malformed(reason @ Malformed::BadKey(_))) => {
                // Raised by the table itself, which does not know the caller.
                return Err(mlua::Error::RuntimeError(reason.text().to_owned()));
            }
            Err(Failure::Malformed(reason)) => return Err(args.raise(reason.text())),
            // Results that are tables or strings stand in the slots in which mlua keeps values, which are as many.
            Err(Failure::Lua(mlua::Error::StackError)) => {
                return Err(args.raise(Malformed::TooManyResults.text()));
            }
            Err(Failure::Lua(error)) => return Err(error),
        }
    }
    if !everything {
        let rest = reader.rest.len();
        let next = if rest == 0 {
            -1.0
        } else {
            (input.len() - rest) as f64
        };
        results.insert(0, Value::Number(next));
    }
    Ok(results.into())
}

/// Why a value could not be read.
enum Failure {
    Malformed(Malformed),
    Lua(mlua::Error),
}

enum Malformed {
    Truncated,
    BadFormat,
    TooDeep,
    TooManyResults,
    /// A key that no table can have.
    BadKey(&'static str),
}

impl Malformed {
    fn text(&self) -> &'static str {
        match self {
            Self::Truncated => "Missing bytes in input.",
            Self::BadFormat => "Bad data format in input.",
            Self::TooDeep => "stack overflow (in function mp_decode_to_lua_array)",
            Self::TooManyResults => {
                "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)"
            }
            Self::BadKey(text) => text,
        }
    }
}

impl From<Malformed> for Failure {
    fn from(reason: Malformed) -> Self {
        Self::Malformed(reason)
    }
}

impl From<mlua::Error> for Failure {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

/// A table that is being filled.
struct Open {
    table: Table,
    kind: Kind,
}

enum Kind {
    Array { filled: u32, length: u32 },
    Map { left: u32, key: Option<Value> },
}

/// What stands at the reader's place.
enum Item {
    Value(Value),
    Open(Kind),
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl Reader<'_> {
    /// One value with all that it contains.
    fn value(&mut self) -> std::result::Result<Value, Failure> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            let mut done = match self.item()? {
                Item::Value(value) => Some(value),
                Item::Open(_) if open.len() >= MAX_NESTING => return Err(Malformed::TooDeep.into()),
                Item::Open(kind) => {
                    let table = self.lua.create_table()?;
                    open.push(Open { table, kind });
                    None
                }
            };
            // Puts what is complete into what contains it, which may be complete by that.
            loop {
                let Some(innermost) = open.last_mut() else {
                    return Ok(done.expect("nothing is open, so a value was complete"));
                };
                if let Some(value) = done.take() {
                    innermost.put(value)?;
                }
                if !innermost.is_full() {
                    break;
                }
                done = open.pop().map(|full| Value::Table(full.table));
            }
        }
    }

    fn item(&mut self) -> std::result::Result<Item, Failure> {
        let [tag] = self.take()?;
        let value = match tag {
            0x00..=0x7f => Value::Number(f64::from(tag)),
            0x80..=0x8f => return Ok(Item::Open(map(u32::from(tag & 15)))),
            0x90..=0x9f => return Ok(Item::Open(array(u32::from(tag & 15)))),
            0xa0..=0xbf => self.string(u32::from(tag & 31))?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f64::from(f32::from_be_bytes(self.take()?))),
            0xcb => Value::Number(f64::from_be_bytes(self.take()?)),
            0xcc => Value::Number(f64::from(u8::from_be_bytes(self.take()?))),
            0xcd => Value::Number(f64::from(u16::from_be_bytes(self.take()?))),
            0xce => Value::Number(f64::from(u32::from_be_bytes(self.take()?))),
            // Unsigned ones above 2^63 come out negative, as in Redis.
            0xcf | 0xd3 => Value::Number(i64::from_be_bytes(self.take()?) as f64),
            0xd0 => Value::Number(f64::from(i8::from_be_bytes(self.take()?))),
            0xd1 => Value::Number(f64::from(i16::from_be_bytes(self.take()?))),
            0xd2 => Value::Number(f64::from(i32::from_be_bytes(self.take()?))),
            0xd9 => {
                let length = u8::from_be_bytes(self.take()?);
                self.string(u32::from(length))?
            }
            0xda => {
                let length = u16::from_be_bytes(self.take()?);
                self.string(u32::from(length))?
            }
            0xdb => {
                let length = u32::from_be_bytes(self.take()?);
                self.string(length)?
            }
            0xdc => return Ok(Item::Open(array(u32::from(u16::from_be_bytes(self.take()?))))),
            0xdd => return Ok(Item::Open(array(u32::from_be_bytes(self.take()?)))),
            0xde => return Ok(Item::Open(map(u32::from(u16::from_be_bytes(self.take()?))))),
            0xdf => return Ok(Item::Open(map(u32::from_be_bytes(self.take()?)))),
            0xe0..=0xff => Value::Number(f64::from(tag as i8)),
            0xc1 | 0xc4..=0xc9 | 0xd4..=0xd8 => return Err(Malformed::BadFormat.into()),
        };
        Ok(Item::Value(value))
    }

    fn string(&mut self, length: u32) -> std::result::Result<Value, Failure> {
        let Some((bytes, rest)) = self.rest.split_at_checked(length as usize) else {
            return Err(Malformed::Truncated.into());
        };
        self.rest = rest;
        Ok(Value::String(self.lua.create_string(bytes)?))
    }

    fn take<const N: usize>(&mut self) -> std::result::Result<[u8; N], Failure> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(Malformed::Truncated.into());
        };
        self.rest = rest;
        Ok(*bytes)
    }
}

fn array(length: u32) -> Kind {
    Kind::Array { filled: 0, length }
}

fn map(left: u32) -> Kind {
    Kind::Map { left, key: None }
}

impl Open {
    fn is_full(&self) -> bool {
        match &self.kind {
            Kind::Array { filled, length } => filled == length,
            Kind::Map { left, key } => *left == 0 && key.is_none(),
        }
    }

    fn put(&mut self, value: Value) -> std::result::Result<(), Failure> {
        match &mut self.kind {
            Kind::Array { filled, .. } => {
                *filled += 1;
                self.table.raw_set(*filled, value)?;
            }
            Kind::Map { left, key: waiting } => match waiting.take() {
                None => {
                    *left -= 1;
                    *waiting = Some(value);
                }
                Some(Value::Nil) => return Err(Malformed::BadKey("table index is nil").into()),
                Some(Value::Number(n)) if n.is_nan() => {
                    return Err(Malformed::BadKey("table index is NaN").into());
                }
                Some(key) => self.table.raw_set(key, value)?,
            },
        }
        Ok(())
    }
}
