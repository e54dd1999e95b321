//! JSON to Lua values. Open arrays and objects wait on a stack of our own, so that hostile nesting costs no machine stack.

use std::sync::atomic::Ordering::Relaxed;

use mlua::{Error, LuaString, Result, Table, Value};

use super::settings::Settings;
use super::token::{Token, Tokens};
use crate::args::Args;

/// Deeper nesting would use up the slots in which mlua keeps values, whatever the settings allow.
const MAX_NESTING: usize = 6000;

/// `cjson.decode`.
pub(super) fn decode(args: &Args<'_>, settings: &Settings) -> Result<Value> {
    if args.len() != 1 {
        return Err(args.error(1, "expected 1 argument"));
    }
    let text = args.string(1)?;
    let text = text.as_bytes();
    if let [first, second, ..] = *text
        && (first == 0 || second == 0)
    {
        return Err(args.raise("JSON parser does not support UTF-16 or UTF-32"));
    }
    let max_depth = usize::try_from(settings.decode_max_depth.load(Relaxed)).unwrap_or(0);
    Decoder {
        args,
        tokens: Tokens::new(&text, settings.decode_invalid.load(Relaxed)),
        max_depth: max_depth.min(MAX_NESTING),
        open: Vec::new(),
    }
    .document()
}

/// An array or object that is not closed yet.
struct Open {
    table: Table,
    place: Place,
}

/// Where its next value goes.
enum Place {
    Index(usize),
    Key(Vec<u8>),
}

struct Decoder<'a> {
    args: &'a Args<'a>,
    tokens: Tokens<'a>,
    max_depth: usize,
    open: Vec<Open>,
}

impl Decoder<'_> {
    fn document(&mut self) -> Result<Value> {
        let mut token = self.tokens.next();
        loop {
            let mut done = self.begin(token)?;
            // Puts a complete value into what contains it, which may be complete by that.
            while let Some(value) = done.take() {
                let Some(innermost) = self.open.last_mut() else {
                    return match self.tokens.next() {
                        Token::End => Ok(value),
                        other => Err(self.unexpected("the end", other)),
                    };
                };
                innermost.put(value)?;
                done = self.after_value()?;
            }
            token = self.tokens.next();
        }
    }

    /// Reads a value from its first token: a scalar or an empty table is complete, others are left open.
    fn begin(&mut self, token: Token) -> Result<Option<Value>> {
        let mut token = token;
        loop {
            match token {
                Token::String => {
                    let string = self.args.lua().create_string(&self.tokens.string)?;
                    return Ok(Some(Value::String(string)));
                }
                Token::Number(number) => return Ok(Some(Value::Number(number))),
                Token::Boolean(boolean) => return Ok(Some(Value::Boolean(boolean))),
                Token::Null => return Ok(Some(Value::NULL)),
                Token::ObjectBegin => {
                    let table = self.descend()?;
                    match self.tokens.next() {
                        Token::ObjectEnd => return Ok(Some(Value::Table(table))),
                        token => {
                            let place = Place::Key(self.key(token)?);
                            self.open.push(Open { table, place });
                            return Ok(None);
                        }
                    }
                }
                Token::ArrayBegin => {
                    let table = self.descend()?;
                    token = self.tokens.next();
                    if let Token::ArrayEnd = token {
                        return Ok(Some(Value::Table(table)));
                    }
                    let place = Place::Index(1);
                    self.open.push(Open { table, place });
                }
                other @ (Token::ObjectEnd
                | Token::ArrayEnd
                | Token::Colon
                | Token::Comma
                | Token::End
                | Token::Error(_)) => return Err(self.unexpected("value", other)),
            }
        }
    }

    /// The innermost table if it ends here, nothing if another value follows.
    fn after_value(&mut self) -> Result<Option<Value>> {
        let token = self.tokens.next();
        let Some(innermost) = self.open.last_mut() else {
            return Ok(None);
        };
        match (&mut innermost.place, token) {
            (Place::Index(_), Token::ArrayEnd) | (Place::Key(_), Token::ObjectEnd) => {
                Ok(self.open.pop().map(|closed| Value::Table(closed.table)))
            }
            (Place::Index(index), Token::Comma) => {
                *index += 1;
                Ok(None)
            }
            (Place::Key(_), Token::Comma) => {
                let token = self.tokens.next();
                let key = self.key(token)?;
                if let Some(innermost) = self.open.last_mut() {
                    innermost.place = Place::Key(key);
                }
                Ok(None)
            }
            (Place::Index(_), other) => Err(self.unexpected("comma or array end", other)),
            (Place::Key(_), other) => Err(self.unexpected("comma or object end", other)),
        }
    }

    /// A key with its colon.
    fn key(&mut self, token: Token) -> Result<Vec<u8>> {
        let Token::String = token else {
            return Err(self.unexpected("object key string", token));
        };
        let key = std::mem::take(&mut self.tokens.string);
        match self.tokens.next() {
            Token::Colon => Ok(key),
            other => Err(self.unexpected("colon", other)),
        }
    }

    fn descend(&mut self) -> Result<Table> {
        let depth = self.open.len() + 1;
        if depth > self.max_depth {
            let position = self.tokens.position;
            let message = format!("Found too many nested data structures ({depth}) at character {position}");
            return Err(self.args.raise(&message));
        }
        self.args.lua().create_table()
    }

    fn unexpected(&self, expected: &str, found: Token) -> Error {
        let (found, character) = (found.name(), self.tokens.start + 1);
        self.args.raise(&format!(
            "Expected {expected} but found {found} at character {character}"
        ))
    }
}

impl Open {
    fn put(&mut self, value: Value) -> Result<()> {
        match &self.place {
            Place::Index(index) => self.table.raw_set(*index, value),
            Place::Key(key) => self.table.raw_set(LuaString::wrap(key), value),
        }
    }
}
