//! One Lua state: compiles, runs, and keeps the functions of libraries. Each worker thread has one.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use holdfast_resp::{Proto, Reply};
use mlua::chunk::ChunkMode;
use mlua::{Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};

use crate::api::{Raised, SANDBOX_NAME, State, natives, text_of};
use crate::cjson::Settings as CjsonSettings;
use crate::header::ScriptFlags;
use crate::host::{self, Host};
use crate::library::{LoadError, Registered};
use crate::result;

/// Instructions between two looks at the clock: about a millisecond.
const TICK: u32 = 100_000;
/// A state that uses more than this after a run is cleaned at once.
const KEEP: usize = 16 << 20;

/// What scripts are told about the server.
#[derive(Clone, Debug)]
pub struct VmOptions {
    /// What scripts have chosen for `cjson`, on whichever thread.
    pub cjson: Arc<CjsonSettings>,
    /// `redis.REDIS_VERSION`
    pub version: &'static str,
    /// `redis.REDIS_VERSION_NUM`: three bytes.
    pub version_num: u32,
}

/// See the module's documentation.
pub struct Vm {
    lua: Lua,
    state: Rc<State>,
    env: Table,
    function_env: Table,
    run: Function,
    call: Function,
    load: Function,
    functions: HashMap<Vec<u8>, (Function, ScriptFlags)>,
    /// Which state of the libraries the functions are from.
    pub functions_version: u64,
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm")
            .field("used_memory", &self.lua.used_memory())
            .field("functions", &self.functions.len())
            .finish_non_exhaustive()
    }
}

/// A compiled script.
#[derive(Clone, Debug)]
pub struct Compiled(Function);

/// What a script has returned; [`Vm::write`] makes a reply of it.
#[derive(Debug)]
pub struct Answer {
    value: Value,
    resp: Proto,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The text, code word included.
    pub text: Vec<u8>,
    /// Chunk and line where it was raised.
    pub place: Option<(String, i64)>,
    /// A command's error, which has been counted already.
    pub counted: bool,
    /// The host ended the run.
    pub stopped: bool,
}

impl ScriptError {
    /// A text, code word included.
    pub fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            place: None,
            counted: false,
            stopped: false,
        }
    }
}

impl Vm {
    /// A new state.
    ///
    /// # Errors
    /// Memory is short, or the sandbox cannot be built.
    pub fn new(options: VmOptions) -> mlua::Result<Self> {
        let libs = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libs, LuaOptions::default())?;
        lua.set_app_data(options.cjson);
        let state = Rc::new(State::new(&lua)?);
        let native = natives(&lua, &state)?;
        let made: Table = lua
            .load(include_str!("sandbox.lua"))
            .set_name(SANDBOX_NAME)
            .call((native, libraries(&lua)?, options.version, options.version_num))?;
        let env: Table = made.get("env")?;
        lua.set_globals(env.clone())?;
        let s = Rc::clone(&state);
        lua.set_global_hook(HookTriggers::new().every_nth_instruction(TICK), move |_, _| {
            s.tick().map(|()| VmState::Continue)
        })?;
        Ok(Self {
            function_env: made.get("function_env")?,
            run: made.get("run")?,
            call: made.get("call")?,
            load: made.get("load")?,
            lua,
            state,
            env,
            functions: HashMap::new(),
            functions_version: 0,
        })
    }

    /// Bytes in use.
    pub fn used_memory(&self) -> usize {
        self.lua.used_memory()
    }

    /// Compiles a script, header line taken off.
    ///
    /// # Errors
    /// Lua's text.
    pub fn compile(&self, body: &[u8]) -> Result<Compiled, String> {
        self.compile_in(&self.env, "@user_script", body).map(Compiled)
    }

    fn compile_in(&self, env: &Table, name: &str, body: &[u8]) -> Result<Function, String> {
        self.lua
            .load(body)
            .set_name(name)
            .set_mode(ChunkMode::Text)
            .set_environment(env.clone())
            .into_function()
            .map_err(|e| text_of(&e))
    }

    /// Runs a script. `memory_limit`: bytes that the whole state may use meanwhile.
    ///
    /// # Errors
    /// As [`ScriptError`] says.
    pub fn run<'a>(
        &self,
        script: &Compiled,
        keys: impl Iterator<Item = &'a [u8]>,
        argv: impl Iterator<Item = &'a [u8]>,
        memory_limit: usize,
        host: &mut dyn Host,
    ) -> Result<Answer, ScriptError> {
        self.enter(&self.run, &script.0, keys, argv, memory_limit, host)
    }

    /// Runs a function of a library by its name in any case; None: there is none.
    ///
    /// # Errors
    /// As [`ScriptError`] says.
    pub fn call<'a>(
        &self,
        name: &[u8],
        keys: impl Iterator<Item = &'a [u8]>,
        argv: impl Iterator<Item = &'a [u8]>,
        memory_limit: usize,
        host: &mut dyn Host,
    ) -> Option<Result<Answer, ScriptError>> {
        let (function, _) = self.functions.get(&name.to_ascii_lowercase())?;
        Some(self.enter(&self.call, function, keys, argv, memory_limit, host))
    }

    fn enter<'a>(
        &self,
        way: &Function,
        function: &Function,
        keys: impl Iterator<Item = &'a [u8]>,
        argv: impl Iterator<Item = &'a [u8]>,
        memory_limit: usize,
        host: &mut dyn Host,
    ) -> Result<Answer, ScriptError> {
        self.state.resp.set(Proto::Resp2);
        self.state.dying.set(false);
        let list = |items: &mut dyn Iterator<Item = &'a [u8]>| -> mlua::Result<Table> {
            let (low, _) = items.size_hint();
            let table = self.lua.create_table_with_capacity(low, 0)?;
            for (i, item) in items.enumerate() {
                table.raw_set(i + 1, self.lua.create_string(item)?)?;
            }
            Ok(table)
        };
        let (mut keys, mut argv) = (keys, argv);
        let lists = list(&mut keys).and_then(|k| Ok((k, list(&mut argv)?)));
        let (keys, argv) = lists.map_err(|e| self.failed(&e))?;
        self.limit(memory_limit);
        let result = host::lend(host, || way.call::<(bool, Value)>((function, keys, argv)));
        self.limit(0);
        if self.lua.used_memory() > KEEP {
            let _pending_error = self.lua.gc_collect();
        }
        match result {
            Ok((true, value)) => Ok(Answer {
                value,
                resp: self.state.resp.get(),
            }),
            Ok((false, error)) => Err(self.raised(error)),
            Err(e) => Err(self.failed(&e)),
        }
    }

    /// True for an error reply of a command that the script has passed on: it has been counted already.
    pub fn is_counted(&self, answer: &Answer) -> bool {
        match &answer.value {
            Value::Table(t) => matches!(t.raw_get(&self.state.names.counted), Ok(Value::Boolean(true))),
            _ => false,
        }
    }

    /// Writes a script's result as a reply.
    pub fn write(&self, answer: Answer, reply: &mut Reply) {
        let mark = reply.mark();
        if let Err(error) = result::write(&self.state.names, answer.value, answer.resp, reply) {
            reply.truncate_to(mark);
            reply.error(&format!("ERR {}", text_of(&error)));
        }
    }

    /// Runs a library's code (header line taken off) and says which functions it has registered. They are not yet
    /// among those that [`Vm::call`] finds.
    ///
    /// # Errors
    /// As [`LoadError`] says.
    pub fn load_library(
        &self,
        body: &[u8],
        memory_limit: usize,
        host: &mut dyn Host,
    ) -> Result<Vec<Registered>, LoadError> {
        let code = self
            .compile_in(&self.function_env, "@user_function", body)
            .map_err(LoadError::Compile)?;
        self.state.dying.set(false);
        self.state.timed_out.set(false);
        *self.state.loading.borrow_mut() = Some((Instant::now(), Vec::new()));
        self.limit(memory_limit);
        let result = host::lend(host, || self.load.call::<(bool, Value)>(code));
        self.limit(0);
        let functions = self.state.loading.borrow_mut().take();
        if self.state.timed_out.get() {
            return Err(LoadError::Run("ERR FUNCTION LOAD timeout".into()));
        }
        match result {
            Ok((true, _)) => match functions {
                Some((_, functions)) if !functions.is_empty() => Ok(functions),
                Some(_) | None => Err(LoadError::Empty),
            },
            Ok((false, error)) => Err(self.load_failed(&self.raised(error))),
            Err(e) => Err(self.load_failed(&self.failed(&e))),
        }
    }

    fn load_failed(&self, error: &ScriptError) -> LoadError {
        LoadError::Run(String::from_utf8_lossy(&error.text).into_owned())
    }

    /// Forgets the functions of all libraries.
    pub fn clear_functions(&mut self) {
        self.functions.clear();
    }

    /// Makes a library's functions known to [`Vm::call`].
    pub fn add_functions(&mut self, functions: Vec<Registered>) {
        for f in functions {
            self.functions
                .insert(f.name.to_ascii_lowercase(), (f.callback, f.flags));
        }
    }

    fn limit(&self, bytes: usize) {
        self.state.memory_limit.set(bytes);
        self.lua
            .set_memory_limit(bytes)
            .expect("the state has mlua's own allocator");
    }

    /// The error that a run ended with, as `handler` in `sandbox.lua` made it.
    fn raised(&self, error: Value) -> ScriptError {
        let text = |v: &Value| match v {
            Value::String(s) => s.as_bytes().to_vec(),
            Value::Error(e) => Raised::text_of(e),
            other => format!("ERR {}", other.to_string().unwrap_or_default()).into_bytes(),
        };
        let mut made = ScriptError {
            text: Vec::new(),
            place: None,
            counted: false,
            stopped: self.state.dying.get(),
        };
        match &error {
            Value::Table(t) => {
                made.text = text(&t.raw_get(1).unwrap_or(Value::Nil));
                let (source, line) = (t.raw_get::<Value>(2), t.raw_get::<Option<i64>>(3));
                if let (Ok(Value::String(source)), Ok(Some(line))) = (source, line) {
                    made.place = Some((source.to_string_lossy(), line));
                }
                made.counted = matches!(t.raw_get(4), Ok(Value::Boolean(true)));
            }
            // Without the handler: memory is short, or the handler itself failed.
            Value::String(s) => made.text = [b"ERR ", &*s.as_bytes()].concat(),
            other => made.text = text(other),
        }
        made
    }

    fn failed(&self, error: &mlua::Error) -> ScriptError {
        ScriptError {
            text: Raised::text_of(error),
            place: None,
            counted: false,
            stopped: self.state.dying.get(),
        }
    }
}

/// Libraries that scripts find under their names.
fn libraries(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    crate::libraries::install(lua, &table)?;
    Ok(table)
}
