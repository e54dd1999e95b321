//! From a command's reply to what a script sees: the table of the Redis page "Lua API", for RESP2 and RESP3.

use holdfast_resp::{Proto, parse_i64};
use mlua::{Lua, LuaString, Table, Value};

/// The names of the fields, made once: making a string for each reply would cost more than the reply.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) ok: LuaString,
    pub(crate) err: LuaString,
    pub(crate) double: LuaString,
    pub(crate) map: LuaString,
    pub(crate) set: LuaString,
    pub(crate) big_number: LuaString,
    pub(crate) verbatim: LuaString,
    pub(crate) string: LuaString,
    pub(crate) format: LuaString,
    pub(crate) counted: LuaString,
}

impl Names {
    pub(crate) fn new(lua: &Lua) -> mlua::Result<Self> {
        Ok(Self {
            ok: lua.create_string("ok")?,
            err: lua.create_string("err")?,
            double: lua.create_string("double")?,
            map: lua.create_string("map")?,
            set: lua.create_string("set")?,
            big_number: lua.create_string("big_number")?,
            verbatim: lua.create_string("verbatim_string")?,
            string: lua.create_string("string")?,
            format: lua.create_string("format")?,
            counted: lua.create_string("ignore_error_stats_update")?,
        })
    }
}

/// A reply as a Lua value. `bytes` is one whole reply, written by our own encoder in protocol `proto`.
pub(crate) fn to_lua(lua: &Lua, names: &Names, bytes: &[u8], proto: Proto) -> mlua::Result<Value> {
    let mut reader = Reader {
        lua,
        names,
        rest: bytes,
        proto,
    };
    reader.value()
}

/// The text of an error reply.
pub(crate) fn error_text(bytes: &[u8]) -> Option<&[u8]> {
    let text = bytes.strip_prefix(b"-")?;
    Some(text.strip_suffix(b"\r\n").unwrap_or(text))
}

struct Reader<'r> {
    lua: &'r Lua,
    names: &'r Names,
    rest: &'r [u8],
    proto: Proto,
}

fn broken() -> mlua::Error {
    mlua::Error::runtime("the reply of a command is broken")
}

impl<'r> Reader<'r> {
    fn value(&mut self) -> mlua::Result<Value> {
        let (&kind, rest) = self.rest.split_first().ok_or_else(broken)?;
        self.rest = rest;
        let line = self.line()?;
        match kind {
            b':' => Ok(Value::Number(parse_i64(line).ok_or_else(broken)? as f64)),
            b'$' => match parse_i64(line) {
                Some(-1) => Ok(self.null()),
                Some(len) => {
                    let bytes = self.bytes(len)?;
                    Ok(Value::String(self.lua.create_string(bytes)?))
                }
                None => Err(broken()),
            },
            b'+' => self.one(&self.names.ok, self.lua.create_string(line)?),
            b'-' => {
                let table = self.lua.create_table_with_capacity(0, 2)?;
                table.raw_set(&self.names.err, self.lua.create_string(line)?)?;
                table.raw_set(&self.names.counted, true)?;
                Ok(Value::Table(table))
            }
            b'*' | b'>' => match parse_i64(line) {
                Some(-1) => Ok(self.null()),
                Some(len) => self.array(len),
                None => Err(broken()),
            },
            b'%' => {
                let len = parse_i64(line).ok_or_else(broken)?;
                let map = self.lua.create_table_with_capacity(0, hint(len))?;
                for _ in 0..len {
                    let key = self.value()?;
                    let value = self.value()?;
                    set(&map, key, value)?;
                }
                self.one(&self.names.map, map)
            }
            b'~' => {
                let len = parse_i64(line).ok_or_else(broken)?;
                let members = self.lua.create_table_with_capacity(0, hint(len))?;
                for _ in 0..len {
                    let member = self.value()?;
                    set(&members, member, Value::Boolean(true))?;
                }
                self.one(&self.names.set, members)
            }
            b'_' => Ok(Value::Nil),
            b'#' => Ok(Value::Boolean(line == b"t")),
            b',' => {
                let number = std::str::from_utf8(line).ok().and_then(|t| t.parse::<f64>().ok());
                self.one(&self.names.double, number.ok_or_else(broken)?)
            }
            b'(' => self.one(&self.names.big_number, self.lua.create_string(line)?),
            b'=' => {
                let text = self.bytes(parse_i64(line).ok_or_else(broken)?)?;
                let (format, text) = (text.get(..3), text.get(4..));
                let (format, text) = format.zip(text).ok_or_else(broken)?;
                let table = self.lua.create_table_with_capacity(0, 2)?;
                table.raw_set(&self.names.string, self.lua.create_string(text)?)?;
                table.raw_set(&self.names.format, self.lua.create_string(format)?)?;
                self.one(&self.names.verbatim, table)
            }
            b'|' => {
                for _ in 0..2 * parse_i64(line).ok_or_else(broken)? {
                    self.value()?;
                }
                self.value()
            }
            _ => Err(broken()),
        }
    }

    fn array(&mut self, len: i64) -> mlua::Result<Value> {
        let table = self.lua.create_table_with_capacity(hint(len), 0)?;
        for i in 1..=len {
            let value = self.value()?;
            table.raw_set(i, value)?;
        }
        Ok(Value::Table(table))
    }

    fn null(&self) -> Value {
        match self.proto {
            Proto::Resp2 => Value::Boolean(false),
            Proto::Resp3 => Value::Nil,
        }
    }

    fn one(&self, name: &LuaString, value: impl mlua::IntoLua) -> mlua::Result<Value> {
        let table = self.lua.create_table_with_capacity(0, 1)?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    }

    fn line(&mut self) -> mlua::Result<&'r [u8]> {
        let end = self.rest.iter().position(|&b| b == b'\r').ok_or_else(broken)?;
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).ok_or_else(broken)?;
        Ok(line)
    }

    fn bytes(&mut self, len: i64) -> mlua::Result<&'r [u8]> {
        let len = usize::try_from(len).map_err(|_| broken())?;
        let bytes = self.rest.get(..len).ok_or_else(broken)?;
        self.rest = self.rest.get(len + 2..).ok_or_else(broken)?;
        Ok(bytes)
    }
}

/// Tables cannot be indexed by nil or by what is no number.
fn set(table: &Table, key: Value, value: Value) -> mlua::Result<()> {
    match key {
        Value::Nil => Ok(()),
        Value::Number(n) if n.is_nan() => Ok(()),
        key => table.raw_set(key, value),
    }
}

/// Places to make at once: as many as are announced, within reason.
fn hint(len: i64) -> usize {
    len.clamp(0, 1 << 20) as usize
}
