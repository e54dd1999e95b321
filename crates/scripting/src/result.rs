//! From what a script returns to a reply: the table of the Redis page "Lua API".

use holdfast_resp::{Deferred, Proto, Reply};
use mlua::{Table, Value};

use crate::args::truncate;
use crate::reply::Names;

/// How deeply tables may be nested: each level holds a slot of a Lua stack, of which there are 8,000.
const MAX_DEPTH: usize = 4000;

/// An aggregate that is being written.
enum Open {
    /// Elements from the index on.
    Array(Table, i64, Deferred),
    /// Values that are left, last first.
    Rest(Vec<Value>),
}

/// Writes a script's result. `resp`: what the script has chosen with `redis.setresp`.
pub(crate) fn write(names: &Names, value: Value, resp: Proto, reply: &mut Reply) -> mlua::Result<()> {
    // No recursion: how deep the tables go is for the script to say.
    let mut open: Vec<Open> = Vec::new();
    let mut next = Some(value);
    loop {
        if let Some(value) = next.take() {
            if open.len() > MAX_DEPTH {
                reply.error("ERR reached lua stack limit");
            } else if let Some(aggregate) = begin(names, value, resp, reply)? {
                open.push(aggregate);
            }
        }
        match open.last_mut() {
            None => return Ok(()),
            Some(Open::Rest(values)) => match values.pop() {
                Some(value) => next = Some(value),
                None => drop(open.pop()),
            },
            Some(Open::Array(table, i, _)) => match table.raw_get(*i)? {
                Value::Nil => {
                    if let Some(Open::Array(_, i, header)) = open.pop() {
                        reply.finish_array(header, (i - 1) as usize);
                    }
                }
                value => {
                    *i += 1;
                    next = Some(value);
                }
            },
        }
    }
}

/// Writes a value, or the header of an aggregate whose members come next.
fn begin(names: &Names, value: Value, resp: Proto, reply: &mut Reply) -> mlua::Result<Option<Open>> {
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(i) => reply.int(i),
        Value::Number(x) => reply.int(truncate(x)),
        Value::Boolean(b) => match (resp, b) {
            (Proto::Resp3, b) => reply.bool(b),
            (Proto::Resp2, true) => reply.int(1),
            (Proto::Resp2, false) => reply.null(),
        },
        Value::Table(table) => return begin_table(names, table, reply),
        _ => reply.null(),
    }
    Ok(None)
}

fn begin_table(names: &Names, table: Table, reply: &mut Reply) -> mlua::Result<Option<Open>> {
    if let Value::String(text) = table.raw_get(&names.err)? {
        let bytes = text.as_bytes();
        reply.error_bytes(bytes.strip_prefix(b"-").unwrap_or(&bytes));
        return Ok(None);
    }
    if let Value::String(text) = table.raw_get(&names.ok)? {
        reply.simple(&text.to_string_lossy());
        return Ok(None);
    }
    match table.raw_get(&names.double)? {
        Value::Number(x) => {
            reply.double(x);
            return Ok(None);
        }
        Value::Integer(i) => {
            reply.double(i as f64);
            return Ok(None);
        }
        _ => {}
    }
    if let Value::Table(map) = table.raw_get(&names.map)? {
        let mut rest = Vec::new();
        for pair in map.pairs::<Value, Value>() {
            let (key, value) = pair?;
            rest.push(key);
            rest.push(value);
        }
        reply.map(rest.len() / 2);
        rest.reverse();
        return Ok(Some(Open::Rest(rest)));
    }
    if let Value::Table(set) = table.raw_get(&names.set)? {
        let members: Result<Vec<Value>, _> = set
            .pairs::<Value, Value>()
            .map(|pair| pair.map(|(key, _)| key))
            .collect();
        let mut members = members?;
        reply.set(members.len());
        members.reverse();
        return Ok(Some(Open::Rest(members)));
    }
    if let Value::String(digits) = table.raw_get(&names.big_number)? {
        let digits: String = digits.to_string_lossy().replace(['\r', '\n'], " ");
        reply.big_number(&digits);
        return Ok(None);
    }
    if let Value::Table(verbatim) = table.raw_get(&names.verbatim)? {
        let text: Value = verbatim.raw_get(&names.string)?;
        let format: Value = verbatim.raw_get(&names.format)?;
        if let (Value::String(text), Value::String(format)) = (text, format) {
            reply.verbatim(&format.to_string_lossy(), &text.as_bytes());
            return Ok(None);
        }
    }
    Ok(Some(Open::Array(table, 1, reply.defer())))
}
