//! What `redis.register_function` takes while a library loads.

use mlua::{Function, MultiValue, Table, Value};

use crate::header::{BAD_NAME, ScriptFlags, is_name};

/// One function of a library.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its name.
    pub name: Vec<u8>,
    /// What it is for.
    pub description: Option<Vec<u8>>,
    /// What it says about itself.
    pub flags: ScriptFlags,
    pub(crate) callback: Function,
}

/// Why a library could not be loaded; the text is Redis's, without code word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The code does not compile.
    #[error("Error compiling function: {0}")]
    Compile(String),
    /// It failed while it ran.
    #[error("Error registering functions: {0}")]
    Run(String),
    /// It registered nothing.
    #[error("No functions registered")]
    Empty,
}

/// Reads the arguments of `redis.register_function`.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn read(args: MultiValue) -> Result<Registered, &'static str> {
    let mut args = args.into_iter();
    match (args.next(), args.next(), args.next()) {
        (Some(Value::Table(named)), None, _) => read_named(&named),
        (Some(_), None, _) => Err(
            "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        ),
        (Some(name), Some(callback), None) => {
            let name = text(&name).ok_or("first argument to redis.register_function must be a string")?;
            let Value::Function(callback) = callback else {
                return Err("second argument to redis.register_function must be a function");
            };
            finish(name, None, ScriptFlags::default(), callback)
        }
        (None, _, _) | (Some(_), Some(_), Some(_)) => {
            Err("wrong number of arguments to redis.register_function")
        }
    }
}

fn read_named(named: &Table) -> Result<Registered, &'static str> {
    const UNKNOWN: &str = "unknown argument given to redis.register_function";
    let (mut name, mut description, mut callback) = (None, None, None);
    let mut flags = ScriptFlags::default();
    for pair in named.pairs::<Value, Value>() {
        let Ok((Value::String(key), value)) = pair else {
            return Err(UNKNOWN);
        };
        match &*key.as_bytes() {
            b"function_name" => {
                name = Some(
                    text(&value)
                        .ok_or("function_name argument given to redis.register_function must be a string")?,
                );
            }
            b"description" => {
                description = Some(
                    text(&value)
                        .ok_or("description argument given to redis.register_function must be a string")?,
                );
            }
            b"callback" => match value {
                Value::Function(f) => callback = Some(f),
                _ => return Err("callback argument given to redis.register_function must be a function"),
            },
            b"flags" => match value {
                Value::Table(list) => flags = read_flags(&list)?,
                _ => {
                    return Err(
                        "flags argument to redis.register_function must be a table representing function flags",
                    );
                }
            },
            _ => return Err(UNKNOWN),
        }
    }
    let name = name.ok_or("redis.register_function must get a function name argument")?;
    let callback = callback.ok_or("redis.register_function must get a callback argument")?;
    finish(name, description, flags, callback)
}

fn read_flags(list: &Table) -> Result<ScriptFlags, &'static str> {
    let mut flags = ScriptFlags::default();
    for i in 1.. {
        match list.raw_get(i) {
            Ok(Value::Nil) => break,
            Ok(Value::String(name)) if flags.set(&name.as_bytes()) => {}
            Ok(_) | Err(_) => return Err("unknown flag given"),
        }
    }
    Ok(flags)
}

fn finish(
    name: Vec<u8>,
    description: Option<Vec<u8>>,
    flags: ScriptFlags,
    callback: Function,
) -> Result<Registered, &'static str> {
    if !is_name(&name) {
        return Err(BAD_NAME);
    }
    Ok(Registered {
        name,
        description,
        flags,
        callback,
    })
}

/// Strings, and numbers as Lua writes them.
fn text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(s) => Some(s.as_bytes().to_vec()),
        Value::Integer(_) | Value::Number(_) => value.to_string().ok().map(String::into_bytes),
        _ => None,
    }
}
