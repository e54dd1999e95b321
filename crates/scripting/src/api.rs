//! What `sandbox.lua` gets from Rust: the ways to the host, and what Lua cannot do by itself.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use holdfast_resp::{OwnedFrame, Proto, format_double};
use mlua::{Lua, MultiValue, Table, Value, Variadic};

use crate::args;
use crate::host::{self, Called, LogLevel, Tick};
use crate::library::{self, Registered};
use crate::numbers::{Random, c_int, sha1_hex};
use crate::reply::{self, Names};

/// A library's code may run for this long while it is loaded.
const LOAD_LIMIT: Duration = Duration::from_millis(500);
/// Arguments that a script gives back to a command larger than this are not kept.
const KEEP_ARGV: usize = 256 << 10;

/// What callbacks and the state's owner share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) names: Names,
    pub(crate) random: Random,
    /// The protocol that the script has chosen for replies.
    pub(crate) resp: Cell<Proto>,
    /// The run must end.
    pub(crate) dying: Cell<bool>,
    /// Bytes that the state may use while Lua code runs.
    pub(crate) memory_limit: Cell<usize>,
    /// Functions of the library that is being loaded, and since when.
    pub(crate) loading: RefCell<Option<(Instant, Vec<Registered>)>>,
    /// Loading has taken too long.
    pub(crate) timed_out: Cell<bool>,
    argv: RefCell<OwnedFrame>,
}

impl State {
    pub(crate) fn new(lua: &Lua) -> mlua::Result<Self> {
        Ok(Self {
            names: Names::new(lua)?,
            random: Random::new(),
            resp: Cell::new(Proto::Resp2),
            dying: Cell::new(false),
            memory_limit: Cell::new(0),
            loading: RefCell::new(None),
            timed_out: Cell::new(false),
            argv: RefCell::default(),
        })
    }

    /// Called by the hook. Err: the code that runs must end.
    pub(crate) fn tick(&self) -> mlua::Result<()> {
        if let Ok(loading) = self.loading.try_borrow()
            && let Some((since, _)) = &*loading
        {
            if self.timed_out.get() || since.elapsed() > LOAD_LIMIT {
                self.timed_out.set(true);
                self.dying.set(true);
                return Err(stop());
            }
            return Ok(());
        }
        if self.dying.get() || host::with(|h| h.tick()) == Some(Tick::Stop) {
            self.dying.set(true);
            return Err(stop());
        }
        Ok(())
    }
}

/// An error that a function of the `redis` table raises; scripts see a table (see `plain` in `sandbox.lua`).
#[derive(Clone, Debug)]
pub(crate) struct Raised {
    /// The text, code word included.
    pub(crate) text: Vec<u8>,
    /// A command's error, which has been counted already.
    pub(crate) counted: bool,
    /// Chunk and line of the call.
    pub(crate) place: Option<(String, usize)>,
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

impl std::error::Error for Raised {}

impl Raised {
    fn at(lua: &Lua, text: impl AsRef<[u8]>, counted: bool) -> mlua::Error {
        mlua::Error::external(Self {
            text: text.as_ref().to_vec(),
            counted,
            place: place(lua),
        })
    }

    fn find(error: &mlua::Error) -> Option<&Self> {
        match error {
            mlua::Error::CallbackError { cause, .. } => Self::find(cause),
            mlua::Error::ExternalError(e) => e.downcast_ref(),
            _ => None,
        }
    }

    /// What an error says as a reply, whoever raised it.
    pub(crate) fn text_of(error: &mlua::Error) -> Vec<u8> {
        match Self::find(error) {
            Some(raised) => raised.text.clone(),
            None => format!("ERR {}", text_of(error)).into_bytes(),
        }
    }
}

/// Lua's own text, without what `mlua` adds.
pub(crate) fn text_of(error: &mlua::Error) -> String {
    let text = match error {
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::RuntimeError(text) | mlua::Error::MemoryError(text) => text.clone(),
        mlua::Error::CallbackError { cause, .. } => return text_of(cause),
        other => other.to_string(),
    };
    let text = text.split("\nstack traceback:").next().unwrap_or_default();
    text.to_owned()
}

fn stop() -> mlua::Error {
    mlua::Error::external(Raised {
        text: b"ERR Script killed by user with SCRIPT KILL...".to_vec(),
        counted: false,
        place: None,
    })
}

/// Fills `argv` with a call's arguments. Numbers are written as Redis writes them, not as Lua would.
///
/// # Errors
/// They cannot be a command.
fn read_args(argv: &mut OwnedFrame, args: &[Value]) -> Result<(), &'static str> {
    argv.clear();
    if args.is_empty() {
        return Err("ERR Please specify at least one argument for this redis lib call");
    }
    for arg in args {
        match arg {
            Value::String(text) => argv.push(&text.as_bytes()),
            Value::Integer(i) => argv.push(i.to_string().as_bytes()),
            Value::Number(x) => {
                let mut text = Vec::new();
                format_double(*x, &mut text);
                argv.push(&text);
            }
            _ => return Err("ERR Lua redis lib command arguments must be strings or integers"),
        }
    }
    Ok(())
}

/// `{err = text}`
fn error_table(lua: &Lua, names: &Names, text: impl AsRef<[u8]>) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(&names.err, lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

/// Without a limit `mlua` makes strings and tables without a protected call each: three times as fast. A reply is no
/// larger than what the server has made already; the next allocation of the script itself is checked again.
fn unlimited<R>(lua: &Lua, state: &State, f: impl FnOnce() -> mlua::Result<R>) -> mlua::Result<R> {
    lua.set_memory_limit(0)?;
    let result = f();
    lua.set_memory_limit(state.memory_limit.get())?;
    result
}

/// `redis.call` (`raise`: errors are raised) and `redis.pcall`.
fn call(lua: &Lua, state: &State, args: &[Value], raise: bool) -> mlua::Result<Value> {
    let mut argv = state.argv.borrow_mut();
    if let Err(text) = read_args(&mut argv, args) {
        return match raise {
            true => Err(Raised::at(lua, text, false)),
            false => error_table(lua, &state.names, text),
        };
    }
    let proto = state.resp.get();
    let done = host::with(|host| {
        let frame = argv.frame()?;
        Some(match host.call(frame, proto) {
            Called::Reply(bytes) => match reply::error_text(bytes) {
                Some(text) if raise => Err(Raised::at(lua, text, true)),
                Some(_) | None => reply::to_lua(lua, &state.names, bytes, proto),
            },
            Called::Stop => {
                state.dying.set(true);
                Err(stop())
            }
        })
    });
    if argv.memory() > KEEP_ARGV {
        *argv = OwnedFrame::default();
    }
    done.flatten().unwrap_or_else(|| {
        Err(Raised::at(
            lua,
            "ERR a command was called outside of a script",
            false,
        ))
    })
}

fn may_call(lua: &Lua, state: &State, args: &[Value]) -> mlua::Result<Value> {
    let mut argv = state.argv.borrow_mut();
    read_args(&mut argv, args).map_err(|text| Raised::at(lua, text, false))?;
    match host::with(|host| argv.frame().and_then(|frame| host.may_call(frame))).flatten() {
        Some(allowed) => Ok(Value::Boolean(allowed)),
        None => Err(Raised::at(
            lua,
            "ERR Invalid command passed to redis.acl_check_cmd()",
            false,
        )),
    }
}

fn log(lua: &Lua, args: &[Value]) -> mlua::Result<()> {
    let [level, rest @ ..] = args else {
        return Err(Raised::at(
            lua,
            "ERR redis.log() requires two arguments or more.",
            false,
        ));
    };
    if rest.is_empty() {
        return Err(Raised::at(
            lua,
            "ERR redis.log() requires two arguments or more.",
            false,
        ));
    }
    let level = lua
        .coerce_number(level.clone())?
        .ok_or_else(|| Raised::at(lua, "ERR First argument must be a number (log level).", false))?;
    let level = match c_int(level) {
        0 => LogLevel::Debug,
        1 => LogLevel::Verbose,
        2 => LogLevel::Notice,
        3 => LogLevel::Warning,
        _ => return Err(Raised::at(lua, "ERR Invalid debug level.", false)),
    };
    let mut line: Vec<u8> = Vec::new();
    for part in rest {
        if let Some(text) = lua.coerce_string(part.clone())? {
            if !line.is_empty() {
                line.push(b' ');
            }
            line.extend_from_slice(&text.as_bytes());
        }
    }
    host::with(|host| host.log(level, &line));
    Ok(())
}

/// `redis.error_reply` and `redis.status_reply`.
fn reply_table(lua: &Lua, names: &Names, args: &[Value], error: bool) -> mlua::Result<Value> {
    let [Value::String(text)] = args else {
        return error_table(lua, names, "ERR wrong number or type of arguments");
    };
    let bytes = text.as_bytes();
    if !error {
        let table = lua.create_table_with_capacity(0, 1)?;
        table.raw_set(&names.ok, text)?;
        return Ok(Value::Table(table));
    }
    let text = bytes.strip_prefix(b"-").unwrap_or(&bytes);
    if text.contains(&b' ') {
        error_table(lua, names, text)
    } else {
        error_table(lua, names, [b"ERR ", text].concat())
    }
}

fn sha1(lua: &Lua, args: &[Value]) -> mlua::Result<String> {
    let [value] = args else {
        return Err(Raised::at(lua, "ERR wrong number of arguments", false));
    };
    let text = lua.coerce_string(value.clone())?;
    Ok(sha1_hex(
        text.map(|t| t.as_bytes().to_vec()).unwrap_or_default().as_slice(),
    ))
}

fn set_resp(lua: &Lua, state: &State, args: &[Value]) -> mlua::Result<()> {
    let [version] = args else {
        return Err(Raised::at(
            lua,
            "ERR redis.setresp() requires one argument.",
            false,
        ));
    };
    state
        .resp
        .set(match lua.coerce_number(version.clone())?.map(c_int) {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            Some(_) | None => return Err(Raised::at(lua, "ERR RESP version must be 2 or 3.", false)),
        });
    Ok(())
}

fn set_repl(lua: &Lua, args: &[Value]) -> mlua::Result<()> {
    const BITS: i32 = 3;
    let [flags] = args else {
        return Err(Raised::at(
            lua,
            "ERR redis.set_repl() requires two arguments.",
            false,
        ));
    };
    let flags = lua.coerce_number(flags.clone())?.map_or(0, c_int);
    if flags & !BITS != 0 {
        let text = "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(Raised::at(lua, text, false));
    }
    host::with(|host| host.set_repl(flags as u8));
    Ok(())
}

/// Where the error that is being handled was raised: the innermost place in code of a script.
fn place(lua: &Lua) -> Option<(String, usize)> {
    const FRAMES: usize = 64;
    for level in 0..FRAMES {
        let found = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let ours = source.what == "C" || source.what == "tail";
            let name = source.source.map(|s| s.into_owned()).unwrap_or_default();
            (!ours && name != SANDBOX_NAME).then(|| (name, debug.current_line()))
        })?;
        if let Some((name, line)) = found {
            return line.map(|line| (name, line));
        }
    }
    None
}

/// The chunk of `sandbox.lua`.
pub(crate) const SANDBOX_NAME: &str = "=sandbox";

/// The table `native` of `sandbox.lua`.
pub(crate) fn natives(lua: &Lua, state: &Rc<State>) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    native.set("redis", redis_table(lua, state)?)?;
    let s = Rc::clone(state);
    native.set("dying", lua.create_function(move |_, ()| Ok(s.dying.get()))?)?;
    native.set("where", lua.create_function(|lua, ()| Ok(place(lua).unzip()))?)?;
    native.set(
        "raised",
        lua.create_function(|lua, error: Value| {
            let Value::Error(error) = error else {
                return Ok((false, lua.create_string(error.to_string()?)?, false, None, None));
            };
            match Raised::find(&error) {
                Some(Raised { text, counted, place }) => {
                    let (source, line) = place.clone().unzip();
                    Ok((true, lua.create_string(text)?, *counted, source, line))
                }
                None => Ok((false, lua.create_string(text_of(&error))?, false, None, None)),
            }
        })?,
    )?;
    native.set("math", math(lua, state)?)?;
    let began = Instant::now();
    native.set(
        "clock",
        lua.create_function(move |_, ()| Ok(began.elapsed().as_secs_f64()))?,
    )?;
    let s = Rc::clone(state);
    native.set(
        "register",
        lua.create_function(move |lua, args: MultiValue| {
            register(&s, args).map_err(|text| Raised::at(lua, format!("ERR {text}"), false))
        })?,
    )?;
    Ok(native)
}

/// What of `math` draws numbers: as Redis has it, from a generator of its own.
fn math(lua: &Lua, state: &Rc<State>) -> mlua::Result<Table> {
    const EMPTY: &str = "interval is empty";
    let math = lua.create_table()?;
    let s = Rc::clone(state);
    args::add(lua, &math, "random", move |args| {
        let drawn = s.random.next();
        match args.len() {
            0 => Ok(drawn),
            1 => {
                let high = f64::from(c_int(args.number(1)?));
                if high < 1.0 {
                    return Err(args.error(1, EMPTY));
                }
                Ok((drawn * high).floor() + 1.0)
            }
            2 => {
                let (low, high) = (args.number(1)?, args.number(2)?);
                let (low, high) = (f64::from(c_int(low)), f64::from(c_int(high)));
                if low > high {
                    return Err(args.error(2, EMPTY));
                }
                Ok((drawn * (high - low + 1.0)).floor() + low)
            }
            _ => Err(args.raise("wrong number of arguments")),
        }
    })?;
    let s = Rc::clone(state);
    args::add(lua, &math, "randomseed", move |args| {
        s.random.seed(c_int(args.number(1)?));
        Ok(())
    })?;
    Ok(math)
}

/// The functions of the `redis` table.
fn redis_table(lua: &Lua, state: &Rc<State>) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    for (name, raise) in [("call", true), ("pcall", false)] {
        let s = Rc::clone(state);
        redis.set(
            name,
            lua.create_function(move |lua, args: Variadic<Value>| {
                unlimited(lua, &s, || call(lua, &s, &args, raise))
            })?,
        )?;
    }
    let s = Rc::clone(state);
    redis.set(
        "acl_check_cmd",
        lua.create_function(move |lua, args: Variadic<Value>| may_call(lua, &s, &args))?,
    )?;
    redis.set(
        "log",
        lua.create_function(|lua, args: Variadic<Value>| log(lua, &args))?,
    )?;
    for (name, error) in [("error_reply", true), ("status_reply", false)] {
        let s = Rc::clone(state);
        redis.set(
            name,
            lua.create_function(move |lua, args: Variadic<Value>| reply_table(lua, &s.names, &args, error))?,
        )?;
    }
    redis.set(
        "sha1hex",
        lua.create_function(|lua, args: Variadic<Value>| sha1(lua, &args))?,
    )?;
    let s = Rc::clone(state);
    redis.set(
        "setresp",
        lua.create_function(move |lua, args: Variadic<Value>| set_resp(lua, &s, &args))?,
    )?;
    redis.set(
        "set_repl",
        lua.create_function(|lua, args: Variadic<Value>| set_repl(lua, &args))?,
    )?;
    Ok(redis)
}

fn register(state: &State, args: MultiValue) -> Result<(), &'static str> {
    let function = library::read(args)?;
    let mut loading = state.loading.borrow_mut();
    let Some((_, functions)) = &mut *loading else {
        return Err("redis.register_function can only be called on FUNCTION LOAD command");
    };
    if functions.iter().any(|f| f.name == function.name) {
        return Err("Function already exists in the library");
    }
    functions.push(function);
    Ok(())
}
