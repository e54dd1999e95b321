//! What scripts can set of the library, and the functions by which they do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};

use mlua::{Lua, Result, Table, Value};

use crate::args::{Args, add};

/// The settings of one library. Several Luas may share them, as Redis's scripts share one Lua.
#[derive(Debug)]
pub struct Settings {
    /// Write a too sparse array as an object, not as an error.
    pub(super) sparse_convert: AtomicBool,
    /// An array is too sparse if it is this many times longer than it has elements; 0: never.
    pub(super) sparse_ratio: AtomicI32,
    /// Arrays up to this length are not too sparse.
    pub(super) sparse_safe: AtomicI32,
    pub(super) encode_max_depth: AtomicI32,
    pub(super) decode_max_depth: AtomicI32,
    /// What becomes of infinities and NaN: 0 an error, 1 their names, 2 `null`.
    pub(super) encode_invalid: AtomicI32,
    /// Take infinities, NaN and hexadecimal numbers.
    pub(super) decode_invalid: AtomicBool,
    pub(super) keep_buffer: AtomicBool,
    /// Significant digits.
    pub(super) precision: AtomicI32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_convert: AtomicBool::new(false),
            sparse_ratio: AtomicI32::new(2),
            sparse_safe: AtomicI32::new(10),
            encode_max_depth: AtomicI32::new(1000),
            decode_max_depth: AtomicI32::new(1000),
            encode_invalid: AtomicI32::new(0),
            decode_invalid: AtomicBool::new(true),
            keep_buffer: AtomicBool::new(true),
            precision: AtomicI32::new(14),
        }
    }
}

/// Adds the functions that set and show the settings.
pub(super) fn add_functions(lua: &Lua, library: &Table, settings: &Arc<Settings>) -> Result<()> {
    let add = |name, function: fn(&Args<'_>, &Settings) -> Result<Vec<Value>>| {
        let settings = Arc::clone(settings);
        add(lua, library, name, move |args| {
            Ok(mlua::Variadic::from_iter(function(args, &settings)?))
        })
    };
    add("encode_sparse_array", |args, settings| {
        at_most(args, 3)?;
        let convert = switch(args, &settings.sparse_convert)?;
        let ratio = integer(args, 2, &settings.sparse_ratio, 0, i32::MAX)?;
        let safe = integer(args, 3, &settings.sparse_safe, 0, i32::MAX)?;
        Ok(vec![convert, ratio, safe])
    })?;
    add("encode_max_depth", |args, settings| {
        at_most(args, 1)?;
        Ok(vec![integer(args, 1, &settings.encode_max_depth, 1, i32::MAX)?])
    })?;
    add("decode_max_depth", |args, settings| {
        at_most(args, 1)?;
        Ok(vec![integer(args, 1, &settings.decode_max_depth, 1, i32::MAX)?])
    })?;
    add("encode_number_precision", |args, settings| {
        at_most(args, 1)?;
        Ok(vec![integer(args, 1, &settings.precision, 1, 14)?])
    })?;
    add("encode_keep_buffer", |args, settings| {
        at_most(args, 1)?;
        Ok(vec![switch(args, &settings.keep_buffer)?])
    })?;
    add("decode_invalid_numbers", |args, settings| {
        at_most(args, 1)?;
        Ok(vec![switch(args, &settings.decode_invalid)?])
    })?;
    add("encode_invalid_numbers", |args, settings| {
        at_most(args, 1)?;
        let setting = &settings.encode_invalid;
        match args.value(1) {
            Value::Nil => {}
            Value::Boolean(on) => setting.store(i32::from(*on), Relaxed),
            _ => setting.store(option(args, &["off", "on", "null"])? as i32, Relaxed),
        }
        Ok(vec![match setting.load(Relaxed) {
            0 => Value::Boolean(false),
            1 => Value::Boolean(true),
            _ => Value::String(args.lua().create_string("null")?),
        }])
    })
}

fn at_most(args: &Args<'_>, most: usize) -> Result<()> {
    if args.len() > most {
        return Err(args.error(most + 1, "found too many arguments"));
    }
    Ok(())
}

/// Sets and shows a number.
fn integer(args: &Args<'_>, number: usize, setting: &AtomicI32, min: i32, max: i32) -> Result<Value> {
    if !args.is_missing_or_nil(number) {
        // The low 32 bits, as a C `int` gets them.
        let value = args.integer(number)? as i32;
        if !(min..=max).contains(&value) {
            // Always called the first, as in lua-cjson.
            return Err(args.error(1, &format!("expected integer between {min} and {max}")));
        }
        setting.store(value, Relaxed);
    }
    Ok(Value::Number(f64::from(setting.load(Relaxed))))
}

/// Sets and shows a switch: a boolean, `on` or `off`.
fn switch(args: &Args<'_>, setting: &AtomicBool) -> Result<Value> {
    match args.value(1) {
        Value::Nil => {}
        Value::Boolean(on) => setting.store(*on, Relaxed),
        _ => setting.store(option(args, &["off", "on"])? == 1, Relaxed),
    }
    Ok(Value::Boolean(setting.load(Relaxed)))
}

/// Which of the words the first argument is.
fn option(args: &Args<'_>, words: &[&str]) -> Result<usize> {
    let given = args.string(1)?;
    let given = given.as_bytes();
    let place = words.iter().position(|word| word.as_bytes() == &*given);
    place.ok_or_else(|| {
        let given = String::from_utf8_lossy(&given);
        args.error(1, &format!("invalid option '{given}'"))
    })
}
