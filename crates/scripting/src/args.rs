//! Arguments and errors of library functions, as Lua's auxiliary library words them: scripts match on these texts.
//!
//! Must not know: what any function does.

use mlua::{Error, IntoLuaMulti, Lua, LuaString, MultiValue, Result, Table, Value};

/// The most values that a function may return: Lua 5.1 gives a C function 8000 stack slots, of which the arguments
/// and mlua need some.
pub(crate) const MAX_RESULTS: usize = 7900;

/// The arguments of one call of a library function; numbered from 1, as in error texts.
pub(crate) struct Args<'a> {
    lua: &'a Lua,
    values: MultiValue,
}

impl<'a> Args<'a> {
    /// How many arguments were given, `nil` included.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn lua(&self) -> &'a Lua {
        self.lua
    }

    /// The argument, `nil` if it is missing.
    pub(crate) fn value(&self, number: usize) -> &Value {
        self.values.get(number - 1).unwrap_or(&Value::Nil)
    }

    pub(crate) fn is_missing_or_nil(&self, number: usize) -> bool {
        self.value(number).is_nil()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// A number, or a string that reads as one.
    pub(crate) fn number(&self, number: usize) -> Result<f64> {
        let value = self.value(number);
        if let Value::Integer(_) | Value::Number(_) | Value::String(_) = value
            && let Some(n) = self.lua.coerce_number(value.clone())?
        {
            return Ok(n);
        }
        Err(self.type_error(number, "number"))
    }

    /// A number without its fraction.
    pub(crate) fn integer(&self, number: usize) -> Result<i64> {
        self.number(number).map(truncate)
    }

    /// The same, or `default` if the argument is missing or `nil`.
    pub(crate) fn integer_or(&self, number: usize, default: i64) -> Result<i64> {
        if self.is_missing_or_nil(number) {
            return Ok(default);
        }
        self.integer(number)
    }

    /// A string, or the text of a number.
    pub(crate) fn string(&self, number: usize) -> Result<LuaString> {
        match self.value(number) {
            Value::String(s) => Ok(s.clone()),
            value @ (Value::Integer(_) | Value::Number(_)) => {
                let text = self.lua.coerce_string(value.clone())?;
                text.ok_or_else(|| self.type_error(number, "string"))
            }
            _ => Err(self.type_error(number, "string")),
        }
    }

    /// The error for an argument of the wrong type.
    pub(crate) fn type_error(&self, number: usize, expected: &str) -> Error {
        let got = self.values.get(number - 1).map_or("no value", type_name);
        self.error(number, &format!("{expected} expected, got {got}"))
    }

    /// The error for an argument of the wrong value. The function's name is the one by which the script called it.
    pub(crate) fn error(&self, number: usize, message: &str) -> Error {
        let (name, is_method) = self
            .lua
            .inspect_stack(0, |running| {
                let names = running.names();
                (
                    names.name.map(|name| name.into_owned()),
                    names.name_what == Some("method"),
                )
            })
            .unwrap_or_default();
        let name = name.as_deref().unwrap_or("?");
        // A method's object is no argument in its caller's eyes.
        let number = if is_method {
            number.saturating_sub(1)
        } else {
            number
        };
        if is_method && number == 0 {
            return raise(self.lua, &format!("calling '{name}' on bad self ({message})"));
        }
        raise(
            self.lua,
            &format!("bad argument #{number} to '{name}' ({message})"),
        )
    }

    /// The error, which does not say the place yet, as one of the call as a whole.
    pub(crate) fn placed(&self, error: Error) -> Error {
        match error {
            Error::RuntimeError(message) => self.raise(&message),
            other => other,
        }
    }

    /// An error of the call as a whole.
    pub(crate) fn raise(&self, message: &str) -> Error {
        raise(self.lua, message)
    }
}

/// An error with the place of the call in front, if a Lua function made it.
pub(crate) fn raise(lua: &Lua, message: &str) -> Error {
    let place = lua.inspect_stack(1, |caller| {
        let line = caller.current_line().filter(|line| *line > 0)?;
        Some(format!(
            "{}:{line}: ",
            caller.source().short_src.unwrap_or_default()
        ))
    });
    Error::RuntimeError(format!("{}{message}", place.flatten().unwrap_or_default()))
}

/// Adds a function to a library's table.
pub(crate) fn add<F, R>(lua: &Lua, table: &Table, name: &str, function: F) -> Result<()>
where
    F: Fn(&Args<'_>) -> Result<R> + 'static,
    R: IntoLuaMulti,
{
    let function = lua.create_function(move |lua, values| function(&Args { lua, values }))?;
    table.raw_set(name, function)
}

/// Lua's own name of a value's type.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}

/// The number, if it is one. mlua shows whole numbers as integers; Lua 5.1 knows doubles only.
pub(crate) fn as_double(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Number(n) => Some(*n),
        _ => None,
    }
}

/// C's conversion of a double to a 64-bit integer on x86-64, where all that does not fit becomes the least.
pub(crate) fn truncate(n: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&n) {
        n as i64
    } else {
        i64::MIN
    }
}
