-- The world that scripts see, built once for each Lua state.
--
-- Lua 5.1 has no read-only tables. A script gets a stand-in for each shared table: empty, its reads fall through to the
-- table behind it, its writes fail. What reads or writes past metatables (rawset, next, table.insert, ...) is wrapped so
-- that it knows stand-ins. Scripts can reach the tables themselves in no way.
--
-- native: what Rust provides. libs: tables of libraries made elsewhere. Returns the entry points that Rust calls.

local native, libs, VERSION, VERSION_NUM = ...

local error, type, select, tostring, tonumber = error, type, select, tostring, tonumber
local setmetatable, getmetatable, rawget, rawset, rawequal = setmetatable, getmetatable, rawget, rawset, rawequal
local pcall, xpcall, next, pairs, ipairs, unpack = pcall, xpcall, next, pairs, ipairs, unpack
local loadstring, setfenv, collectgarbage = loadstring, setfenv, collectgarbage
local insert, concat, byte = table.insert, table.concat, string.byte
local dying = native.dying

local READONLY = "Attempt to modify a readonly table"

local behind = {}   -- stand-in -> the table behind it
local front = {}    -- the table -> its stand-in

local function refuse() error(READONLY, 2) end

local function protect(t)
  local p = {}
  behind[p], front[t] = t, p
  return setmetatable(p, { __index = t, __newindex = refuse })
end

local function bad_table(n, name, level, ...)
  local got = select("#", ...) < n and "no value" or type((select(n, ...)))
  error("bad argument #" .. n .. " to '" .. name .. "' (table expected, got " .. got .. ")", level + 1)
end

---- errors ----

-- Errors that Rust raises are no Lua values. As Redis has it, scripts see tables whose err field is the text.
local function plain(e)
  if type(e) ~= "userdata" then return e end
  local ours, text, counted = native.raised(e)
  if not ours then return text end
  return { err = text, ignore_error_stats_update = counted or nil }
end

-- What a failed call gives back. A script that is being ended must not go on because it caught the error.
local function failed(e)
  if dying() then error(e, 0) end
  return plain(e)
end

local function settle_text(ok, ...)
  if ok then return ok, ... end
  local e = failed((...))
  if type(e) == "table" and behind[e] == nil then
    local text = rawget(e, "err")
    if text ~= nil then return false, text end
  end
  return false, e
end

local function settle(ok, ...)
  if ok then return ok, ... end
  return false, failed((...))
end

-- Runs as the handler of xpcall, where the stack of the error still stands.
local function handler(e)
  if type(e) == "userdata" then
    local ours, text, counted, source, line = native.raised(e)
    if ours and source then return { text, source, line, counted } end
    e = ours and { err = text, ignore_error_stats_update = counted } or text
  end
  local source, line = native.where()
  if type(e) ~= "table" then return { "ERR " .. tostring(e), source, line } end
  local text = rawget(e, "err")
  if type(text) == "number" then text = tostring(text) end
  if type(text) ~= "string" then text = "ERR unknown error" end
  return { text, source, line, rawget(e, "ignore_error_stats_update") }
end

---- globals ----

local base = {
  _VERSION = _VERSION, assert = assert, error = error, gcinfo = gcinfo, ipairs = ipairs, rawequal = rawequal,
  select = select, tonumber = tonumber, tostring = tostring, type = type, unpack = unpack,
}

base.next = function(t, k)
  local r = behind[t]
  if r then return next(r, k) end
  if type(t) ~= "table" then bad_table(1, "next", 2, t, k) end
  return next(t, k)
end

local guarded_next = base.next

base.pairs = function(...)
  local t = ...
  if behind[t] then return guarded_next, t, nil end
  if type(t) ~= "table" then bad_table(1, "pairs", 2, ...) end
  return pairs(t)
end

base.rawget = function(...)
  local t, k = ...
  if type(t) ~= "table" then bad_table(1, "rawget", 2, ...) end
  return rawget(behind[t] or t, k)
end

base.rawset = function(...)
  local t, k, v = ...
  if type(t) ~= "table" then bad_table(1, "rawset", 2, ...) end
  if behind[t] then error(READONLY, 0) end
  return rawset(t, k, v)
end

base.setmetatable = function(...)
  local t, m = ...
  if type(t) ~= "table" then bad_table(1, "setmetatable", 2, ...) end
  if behind[t] then error(READONLY, 0) end
  if m ~= nil and type(m) ~= "table" then
    error("bad argument #2 to 'setmetatable' (nil or table expected)", 2)
  end
  return setmetatable(t, m)
end

local string_meta
base.getmetatable = function(...)
  if select("#", ...) == 0 then error("bad argument #1 to 'getmetatable' (value expected)", 2) end
  local v = ...
  if type(v) == "string" then return string_meta end
  local r = behind[v]
  if r then
    local m = getmetatable(r)
    return m and front[m]
  end
  return getmetatable(v)
end

base.pcall = function(...)
  return settle_text(pcall(...))
end

base.xpcall = function(...)
  if select("#", ...) < 2 then error("bad argument #2 to 'xpcall' (value expected)", 2) end
  local f, h = ...
  return settle(xpcall(f, function(e)
    if dying() then return e end
    return h(plain(e))
  end))
end

-- What would change the collector beyond this script has no effect.
local collects = { collect = true, count = true, step = true }
base.collectgarbage = function(what, n)
  if what == nil then what = "collect" end
  if what == "stop" or what == "restart" or what == "setpause" or what == "setstepmul" then return 0 end
  if not collects[what] then
    error("bad argument #1 to 'collectgarbage' (invalid option '" .. tostring(what) .. "')", 2)
  end
  return collectgarbage(what, n)
end

-- Text only: bytecode could break the interpreter.
local function compile(env, text, name)
  if byte(text, 1) == 27 then
    return nil, '[string "binary"]:1: unexpected symbol near \'char(27)\''
  end
  local f, e = loadstring(text, name)
  if f then setfenv(f, env) end
  return f, e
end

local function loaders(env, t)
  t.loadstring = function(text, name)
    if type(text) ~= "string" and type(text) ~= "number" then
      error("bad argument #1 to 'loadstring' (string expected, got " .. (text == nil and "no value" or type(text)) .. ")", 2)
    end
    return compile(env, tostring(text), name)
  end
  t.load = function(reader, name)
    if type(reader) ~= "function" then
      error("bad argument #1 to 'load' (function expected, got " .. (reader == nil and "no value" or type(reader)) .. ")", 2)
    end
    local parts, n = {}, 0
    while true do
      local piece = reader()
      if piece == nil or piece == "" then break end
      if type(piece) ~= "string" then return nil, "reader function must return a string" end
      n = n + 1
      parts[n] = piece
    end
    return compile(env, concat(parts), name or "=(load)")
  end
end

---- libraries ----

local function copy(t)
  local c = {}
  for k, v in next, t do c[k] = v end
  return c
end

local tables = copy(table)
tables.insert = function(...)
  local t = ...
  if behind[t] then error(READONLY, 0) end
  local n = select("#", ...)
  if type(t) ~= "table" then bad_table(1, "insert", 2, ...) end
  if n == 2 then return insert(t, (select(2, ...))) end
  if n ~= 3 then error("wrong number of arguments to 'insert'", 2) end
  return insert(...)
end
tables.foreach = function(t, f)
  if type(t) ~= "table" then bad_table(1, "foreach", 2, t) end
  for k, v in next, behind[t] or t do
    local r = f(k, v)
    if r ~= nil then return r end
  end
end

local numbers = copy(math)
for name, f in next, native.math do numbers[name] = f end

local threads = copy(coroutine)
local resume = coroutine.resume
threads.resume = function(...) return settle(resume(...)) end

---- the redis table ----

local constants = {
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REDIS_VERSION = VERSION, REDIS_VERSION_NUM = VERSION_NUM,
}

local redis = copy(constants)
redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL = 0, 1, 2, 2, 3
for name, f in next, native.redis do redis[name] = f end
redis.replicate_commands = function() return true end
-- Without a debugger there is nobody to stop for and nobody to tell.
redis.breakpoint = function() return false end
redis.debug = function() end

---- putting it together ----

local eval_env, eval_globals, missing

missing = function(_, name)
  error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

local shared = {
  string = protect(string), table = protect(tables), math = protect(numbers), coroutine = protect(threads),
  os = protect({ clock = native.clock }),
}
for name, lib in next, libs do shared[name] = protect(lib) end

do
  local m = getmetatable("")
  string_meta = protect({ __index = shared.string })
  front[m] = string_meta
end

local strict = { __index = missing }
protect(strict)

local function globals(redis_table)
  local g = copy(base)
  for name, lib in next, shared do g[name] = lib end
  g.redis = protect(redis_table)
  setmetatable(g, strict)
  local env = protect(g)
  g._G = env
  loaders(env, g)
  return env, g
end

eval_env, eval_globals = globals(redis)

-- Functions have neither KEYS nor ARGV, and breakpoints make no sense there.
local function_redis = copy(redis)
function_redis.breakpoint, function_redis.debug, function_redis.replicate_commands = nil, nil, nil
local function_env, function_globals = globals(function_redis)

-- While a library loads it sees nothing but what registers its functions.
local registering = copy(constants)
registering.log = redis.log
registering.register_function = native.register
setmetatable(registering, strict)
local load_globals = { redis = protect(registering) }
setmetatable(load_globals, strict)
local function_meta = getmetatable(function_env)

return {
  env = eval_env,
  function_env = function_env,
  -- Runs a compiled script. true and its result, or false and {text, source, line, counted}.
  run = function(f, keys, argv)
    eval_globals.KEYS, eval_globals.ARGV = keys, argv
    return xpcall(f, handler)
  end,
  -- Runs a function of a library.
  call = function(f, keys, argv)
    return xpcall(function() return f(keys, argv) end, handler)
  end,
  -- Runs a library's code, which registers its functions.
  load = function(f)
    function_meta.__index = load_globals
    behind[function_env] = load_globals
    local ok, e = xpcall(f, handler)
    function_meta.__index = function_globals
    behind[function_env] = function_globals
    return ok, e
  end,
}
