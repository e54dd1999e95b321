//! Runs expressions of Lua in the unit tests, the same way here and in `redis-server`.

use mlua::{Error, Function, Lua, Value};

/// Writes the values of `EXPRESSION` as text, or the error behind a `!`. On one line, for errors name the line.
const SCRIPT: &str = r#"
local function show(v, depth)
  if type(v) == 'string' then
    return '"' .. (v:gsub('[^\32-\126]', function(c) return ('\\x%02x'):format(c:byte()) end)) .. '"'
  elseif type(v) == 'number' then
    return ('%.17g'):format(v)
  elseif type(v) == 'table' then
    if depth > 8 then return '{...}' end
    local parts = {}
    for k, x in pairs(v) do parts[#parts + 1] = show(k, depth + 1) .. '=' .. show(x, depth + 1) end
    return '{' .. table.concat(parts, ',') .. '}'
  elseif type(v) == 'function' then
    return 'function'
  end
  return tostring(v)
end
local function show_all(ok, ...)
  if not ok then return '! ' .. tostring((...)) end
  local parts = {}
  for i = 1, select('#', ...) do parts[i] = show((select(i, ...)), 0) end
  return table.concat(parts, ' ')
end
return show_all(pcall(function() return EXPRESSION end))"#;

/// The script that shows `expression`.
pub(crate) fn script(expression: &str) -> String {
    SCRIPT.trim().replace('\n', " ").replace("EXPRESSION", expression)
}

/// A Lua with the libraries, in which errors are text as they are in Redis.
pub(crate) fn lua() -> Lua {
    lua_with(Lua::new())
}

/// The same from a Lua that has been prepared.
pub(crate) fn lua_with(lua: Lua) -> Lua {
    let globals = lua.globals();
    crate::libraries::install(&lua, &globals).unwrap();
    // As for scripts, whose globals are others.
    globals.set("next", Value::Nil).unwrap();
    let as_text = lua
        .create_function(|lua, value: Value| match value {
            Value::Error(error) => lua.create_string(message(&error)).map(Value::String),
            value => Ok(value),
        })
        .unwrap();
    let wrap: Function = lua
        .load(
            "local native, as_text = pcall, ...
             local function fix(ok, ...) if ok then return ok, ... end return ok, as_text((...)) end
             pcall = function(...) return fix(native(...)) end",
        )
        .into_function()
        .unwrap();
    wrap.call::<()>(as_text).unwrap();
    lua
}

fn message(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } => message(cause),
        Error::RuntimeError(text) => text.clone(),
        error => error.to_string(),
    }
}

/// What the expression gives here.
pub(crate) fn eval(lua: &Lua, expression: &str) -> String {
    let chunk = lua.load(script(expression)).set_name("=user_script");
    match chunk.eval::<mlua::LuaString>() {
        Ok(text) => text.to_string_lossy(),
        Err(error) => format!("!! {error}"),
    }
}

/// Asserts what an expression gives.
#[track_caller]
pub(crate) fn check(expression: &str, expected: &str) {
    assert_eq!(eval(&lua(), expression), expected, "{expression}");
}
