//! Scripts against a host that keeps a few strings.

use std::collections::HashMap;

use holdfast_resp::{Frame, Proto, Reply};

use super::*;

#[derive(Default)]
struct Strings {
    data: HashMap<Vec<u8>, Vec<u8>>,
    reply: Vec<u8>,
    logged: Vec<String>,
    ticks: u32,
    stop_after: Option<u32>,
}

impl Host for Strings {
    fn call(&mut self, argv: Frame<'_>, proto: Proto) -> Called<'_> {
        let mut reply = Reply::new(Vec::new(), proto);
        match argv.name() {
            b"set" => {
                self.data.insert(argv.arg(1).to_vec(), argv.arg(2).to_vec());
                reply.ok();
            }
            b"get" => match self.data.get(argv.arg(1)) {
                Some(v) => reply.bulk(v),
                None => reply.null(),
            },
            b"map" => {
                reply.map(1);
                reply.bulk(b"f");
                reply.double(1.5);
            }
            b"stop" => return Called::Stop,
            _ => reply.error("ERR Unknown Redis command called from script"),
        }
        self.reply = reply.into_inner();
        Called::Reply(&self.reply)
    }
    fn may_call(&mut self, argv: Frame<'_>) -> Option<bool> {
        (argv.name() == b"get").then_some(true)
    }
    fn log(&mut self, _: LogLevel, text: &[u8]) {
        self.logged.push(String::from_utf8_lossy(text).into_owned());
    }
    fn set_repl(&mut self, _: u8) {}
    fn tick(&mut self) -> Tick {
        self.ticks += 1;
        match self.stop_after {
            Some(n) if self.ticks > n => Tick::Stop,
            _ => Tick::Continue,
        }
    }
}

const LIMIT: usize = 32 << 20;

fn vm() -> Vm {
    Vm::new(VmOptions {
        cjson: std::sync::Arc::default(),
        version: "7.2.4",
        version_num: 0x0007_0204,
    })
    .unwrap()
}

fn eval_on(vm: &Vm, host: &mut Strings, source: &str) -> String {
    let script = match vm.compile(source.as_bytes()) {
        Ok(script) => script,
        Err(text) => return format!("compile: {text}"),
    };
    let keys = [b"k1".as_slice(), b"k2"];
    let mut reply = Reply::new(Vec::new(), Proto::Resp2);
    match vm.run(
        &script,
        keys.into_iter(),
        [b"a1".as_slice()].into_iter(),
        LIMIT,
        host,
    ) {
        Ok(answer) => vm.write(answer, &mut reply),
        Err(e) => {
            let place = e.place.map(|(s, l)| format!(" at {s}:{l}")).unwrap_or_default();
            let stopped = if e.stopped { " stopped" } else { "" };
            return format!("-{}{place}{stopped}", String::from_utf8_lossy(&e.text));
        }
    }
    String::from_utf8_lossy(reply.as_bytes())
        .replace("\r\n", " ")
        .trim_end()
        .into()
}

fn eval(source: &str) -> String {
    eval_on(&vm(), &mut Strings::default(), source)
}

#[test]
fn results() {
    assert_eq!(eval("return 1.9"), ":1");
    assert_eq!(eval("return {1,2,nil,3}"), "*2 :1 :2");
    assert_eq!(
        eval("return {KEYS[1], KEYS[2], ARGV[1], #KEYS}"),
        "*4 $2 k1 $2 k2 $2 a1 :2"
    );
    assert_eq!(eval("return {ok='fine'}"), "+fine");
    assert_eq!(eval("return {err='bad'}"), "-bad");
    assert_eq!(eval("return false"), "$-1");
    assert_eq!(eval("return {map={a={set={b=true}}}}"), "*2 $1 a *1 $1 b");
    assert_eq!(eval("return 1/0"), ":-9223372036854775808");
    assert_eq!(eval("return {{{}}, 5}"), "*2 *1 *0 :5");
}

#[test]
fn calls() {
    assert_eq!(
        eval("redis.call('set', 'x', 0.1) return redis.call('get', 'x')"),
        "$19 0.10000000000000001"
    );
    assert_eq!(eval("return type(redis.call('get', 'none'))"), "$7 boolean");
    assert_eq!(
        eval("redis.setresp(3) return type(redis.call('get', 'none'))"),
        "$3 nil"
    );
    assert_eq!(
        eval("redis.setresp(3) return redis.call('map').map.f.double * 2"),
        ":3"
    );
    assert_eq!(
        eval("\nredis.call('nosuch')"),
        "-ERR Unknown Redis command called from script at @user_script:2"
    );
    assert_eq!(
        eval("return redis.pcall('nosuch').err"),
        "$44 ERR Unknown Redis command called from script"
    );
    assert_eq!(
        eval("local ok, e = pcall(redis.call, 'nosuch') return e"),
        "$44 ERR Unknown Redis command called from script"
    );
    assert_eq!(
        eval("return redis.call({})"),
        "-ERR Lua redis lib command arguments must be strings or integers at @user_script:1"
    );
}

#[test]
fn errors_say_where() {
    assert_eq!(eval("error('foo')"), "-ERR user_script:1: foo at @user_script:1");
    assert_eq!(eval("\nerror({err='My x'})"), "-My x at @user_script:2");
    assert_eq!(eval("error({})"), "-ERR unknown error at @user_script:1");
    assert_eq!(eval("error()"), "-ERR nil at @user_script:1");
    assert_eq!(
        eval("local t t.x = 1"),
        "-ERR user_script:1: attempt to index local 't' (a nil value) at @user_script:1"
    );
    assert_eq!(
        eval("return 1 +"),
        "compile: user_script:1: unexpected symbol near '<eof>'"
    );
}

#[test]
fn nothing_can_be_changed_for_other_scripts() {
    let readonly = "-ERR user_script:1: Attempt to modify a readonly table at @user_script:1";
    for write in [
        "x = 10",
        "_G.x = 1",
        "string.foo = 1",
        "redis.call = 1",
        "KEYS = {}",
        "math.pi = 3",
        "getmetatable('').__index = 1",
        "getmetatable(_G).__index = nil",
        "getmetatable('').__index.rep = 1",
    ] {
        assert_eq!(eval(write), readonly, "{write}");
    }
    let readonly = "-ERR Attempt to modify a readonly table at @user_script:1";
    for write in [
        "rawset(_G, 'x', 1)",
        "setmetatable(_G, {})",
        "table.insert(redis, 1)",
        "setmetatable(string, {})",
        "rawset(getmetatable(''), '__index', 1)",
        "local f, t = pairs(redis) rawset(t, 'call', 1)",
        "local n = next(_G) rawset(_G[n] ~= nil and _G, 'a', 1)",
    ] {
        assert_eq!(eval(write), readonly, "{write}");
    }
    assert_eq!(
        eval("loadstring('x = 1')()"),
        "-ERR [string \"x = 1\"]:1: Attempt to modify a readonly table at x = 1:1"
    );
    assert_eq!(
        eval("coroutine.wrap(function() _G.x = 1 end)()"),
        readonly.replace("Attempt", "user_script:1: user_script:1: Attempt")
    );
}

#[test]
fn the_outside_is_not_there() {
    for name in [
        "print", "io", "require", "dofile", "loadfile", "debug", "package", "setfenv", "getfenv", "newproxy",
        "module",
    ] {
        let text = format!(
            "-ERR user_script:1: Script attempted to access nonexistent global variable '{name}' at @user_script:1"
        );
        assert_eq!(eval(&format!("return {name}")), text);
    }
    assert_eq!(eval("return os.time"), "$-1");
    assert_eq!(eval("return type(os.clock())"), "$6 number");
    assert_eq!(
        eval("return {loadstring(string.dump(function() return 1 end))}"),
        "*0"
    );
    assert_eq!(eval("return loadstring('return 1+1')()"), ":2");
    assert_eq!(
        eval(
            "local n = 0 for k in pairs(_G) do n = n + 1 end return n > 25 and rawget(_G, 'string') == string"
        ),
        ":1"
    );
}

#[test]
fn random_numbers_are_those_of_redis() {
    let numbers = "return {math.random(100), math.random(100), math.random() * 1000000}";
    assert_eq!(eval(numbers), "*3 :40 :85 :353336");
    assert_eq!(
        eval(&format!("math.randomseed(10) {numbers}")),
        "*3 :88 :80 :480827"
    );
    assert_eq!(
        eval("math.random(5, 4)"),
        "-ERR user_script:1: bad argument #2 to 'random' (interval is empty) at @user_script:1"
    );
}

#[test]
fn memory_is_bounded() {
    assert_eq!(
        eval("return #string.rep('x', 1024 * 1024 * 1024)"),
        "-ERR not enough memory"
    );
    assert_eq!(
        eval("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end"),
        "-ERR not enough memory"
    );
    assert_eq!(
        eval("local s = 'x' while true do s = s .. s end"),
        "-ERR not enough memory"
    );
    let (vm, mut host) = (vm(), Strings::default());
    for _ in 0..5 {
        eval_on(&vm, &mut host, "local t = {} while true do t[#t + 1] = {} end");
    }
    assert_eq!(eval_on(&vm, &mut host, "return 1"), ":1");
    assert!(vm.used_memory() < 1 << 20, "{}", vm.used_memory());
}

#[test]
fn recursion_is_bounded() {
    assert!(
        eval("local function f() return f() + 1 end return f()")
            .starts_with("-ERR user_script:1: stack overflow")
    );
    assert_eq!(
        eval("local function f() local ok = pcall(f) return ok end return f()"),
        ":1"
    );
    assert_eq!(
        eval("return unpack({}, 1, 1e7)"),
        "-ERR user_script:1: too many results to unpack at @user_script:1"
    );
    assert!(
        eval("local t = {} local q = t for i = 1, 9000 do q[1] = {} q = q[1] end return t")
            .ends_with("-ERR reached lua stack limit")
    );
}

#[test]
fn a_run_that_must_end_ends() {
    for loop_ in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function again() xpcall(function() while true do end end, again) again() end again()",
        "local f = coroutine.wrap(function() while true do end end) f()",
        "while true do local co = coroutine.create(function() while true do end end) coroutine.resume(co) end",
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) while true do pcall(function() return t[1] end) end",
        "while true do pcall(loadstring, 'while true do end') end",
    ] {
        let mut host = Strings {
            stop_after: Some(3),
            ..Strings::default()
        };
        let answer = eval_on(&vm(), &mut host, loop_);
        assert!(
            answer.contains("Script killed by user with SCRIPT KILL..."),
            "{loop_}: {answer}"
        );
        assert!(answer.ends_with("stopped"), "{loop_}: {answer}");
    }
    for caught in [
        "return pcall(redis.call, 'stop')",
        "return redis.pcall('stop')",
        "while true do pcall(redis.pcall, 'stop') end",
    ] {
        assert!(eval(caught).ends_with("stopped"), "{caught}");
    }
}

#[test]
fn log_lines() {
    let mut host = Strings::default();
    eval_on(&vm(), &mut host, "redis.log(redis.LOG_WARNING, nil, 1, {}, 'x')");
    assert_eq!(host.logged, ["1 x"]);
    assert_eq!(
        eval("redis.log(1)"),
        "-ERR redis.log() requires two arguments or more. at @user_script:1"
    );
}

fn load(vm: &Vm, body: &str) -> Result<Vec<Registered>, String> {
    vm.load_library(format!("\n{body}").as_bytes(), LIMIT, &mut Strings::default())
        .map_err(|e| e.to_string())
}

#[test]
fn libraries() {
    let mut vm = vm();
    let functions = load(&vm, "local n = 0\nredis.register_function('Count', function(keys, args) n = n + 1 return {n, keys[1], args[1]} end)\nredis.register_function{function_name='bad', callback=function() x = 1 end, flags={'no-writes'}, description='d'}").unwrap();
    assert_eq!(functions[1].description.as_deref(), Some(b"d".as_slice()));
    assert!(functions[1].flags.has(ScriptFlags::NO_WRITES));
    vm.add_functions(functions);
    let call = |name: &[u8]| {
        let mut reply = Reply::new(Vec::new(), Proto::Resp2);
        match vm.call(
            name,
            [b"k".as_slice()].into_iter(),
            [b"a".as_slice()].into_iter(),
            LIMIT,
            &mut Strings::default(),
        ) {
            Some(Ok(answer)) => vm.write(answer, &mut reply),
            Some(Err(e)) => reply.error(&format!("{} {:?}", String::from_utf8_lossy(&e.text), e.place)),
            None => reply.null(),
        }
        String::from_utf8_lossy(reply.as_bytes()).replace("\r\n", " ")
    };
    assert_eq!(call(b"COUNT"), "*3 :1 $1 k $1 a ");
    assert_eq!(call(b"count"), "*3 :2 $1 k $1 a ");
    assert_eq!(
        call(b"bad"),
        "-ERR user_function:4: Attempt to modify a readonly table Some((\"@user_function\", 4)) "
    );
    assert_eq!(call(b"none"), "$-1 ");
}

#[test]
fn libraries_that_do_not_load() {
    let vm = vm();
    let f = "function() end";
    for (body, text) in [
        ("return 1", "No functions registered"),
        (
            "x x",
            "Error compiling function: user_function:2: '=' expected near 'x'",
        ),
        (
            "redis.register_function()",
            "Error registering functions: ERR wrong number of arguments to redis.register_function",
        ),
        (
            "redis.register_function('x', 1)",
            "Error registering functions: ERR second argument to redis.register_function must be a function",
        ),
        (
            "redis.register_function{function_name='x', callback=function() end, flags={'bad'}}",
            "Error registering functions: ERR unknown flag given",
        ),
        (
            "redis.call('get', 'x')",
            "Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'call'",
        ),
        (
            "return math",
            "Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'math'",
        ),
        (
            "while true do end",
            "Error registering functions: ERR FUNCTION LOAD timeout",
        ),
    ] {
        assert_eq!(load(&vm, body).unwrap_err(), text, "{body}");
    }
    let twice = format!("redis.register_function('g', {f}) redis.register_function('g', {f})");
    assert_eq!(
        load(&vm, &twice).unwrap_err(),
        "Error registering functions: ERR Function already exists in the library"
    );
    assert!(load(&vm, &format!("redis.register_function('g', {f})")).is_ok());
}

#[test]
fn header_lines() {
    assert_eq!(script_header(b"return 1").unwrap().flags, ScriptFlags::COMPAT);
    let h = script_header(b"#!lua flags=no-writes,allow-oom\nreturn 1").unwrap();
    assert!(h.flags.has(ScriptFlags::NO_WRITES) && h.flags.has(ScriptFlags::ALLOW_OOM));
    assert_eq!(h.body, b"\nreturn 1");
    for (source, text) in [
        ("#!lua flags=bad\n", "Unexpected flag in script shebang: bad"),
        ("#!python\n", "Unexpected engine in script shebang: #!python"),
        ("#!lua name=x\n", "Unknown lua shebang option: name=x"),
        ("#!lua", "Invalid script shebang"),
    ] {
        assert_eq!(script_header(source.as_bytes()).unwrap_err().to_string(), text);
    }
    assert_eq!(library_header(b"#!lua name=lib\nx").unwrap().name, b"lib");
    for (source, text) in [
        ("return 1", "Missing library metadata"),
        ("#!lua\n", "Library name was not given"),
        ("#!foo name=lib\n", "Engine 'foo' not found"),
        (
            "#!lua name=a-b\n",
            "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        ("#!lua name=a x=y\n", "Invalid metadata value given: x=y"),
        ("#!lua name=a", "Invalid library metadata"),
    ] {
        assert_eq!(library_header(source.as_bytes()).unwrap_err().to_string(), text);
    }
}

#[test]
#[ignore = "runs the script in SCRIPT"]
fn one() {
    let mut host = Strings {
        stop_after: Some(30),
        ..Strings::default()
    };
    println!("{}", eval_on(&vm(), &mut host, &std::env::var("SCRIPT").unwrap()));
}

#[test]
fn errors_of_libraries_are_texts() {
    let caught = eval("local ok, e = pcall(function() cjson.decode('{') end) return e");
    assert!(
        caught.contains("user_script:1: Expected object key string"),
        "{caught}"
    );
    let raised = eval("cjson.decode('{')");
    assert!(
        raised.starts_with("-ERR user_script:1: Expected") && raised.ends_with("at @user_script:1"),
        "{raised}"
    );
    assert_eq!(eval("return bit.band(7, 3) + struct.size('i')"), ":7");
    assert_eq!(
        eval("return cjson.encode(cmsgpack.unpack(cmsgpack.pack({1, 'a'})))"),
        "$7 [1,\"a\"]"
    );
    assert_eq!(
        eval("cjson.x = 1"),
        "-ERR user_script:1: Attempt to modify a readonly table at @user_script:1"
    );
}
