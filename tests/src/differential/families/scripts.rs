//! Random scripts on random keys: what they read and write, and what they answer, errors included.

use super::Maker;
use crate::differential::pool::Kind::{Hash, List, Set, Text};
use crate::differential::pool::{Command, Pool, cmd};

/// Scripts that use two keys and one argument; none depends on an order that Redis leaves open.
const SCRIPTS: &[&str] = &[
    "return redis.call('GET', KEYS[1])",
    "return redis.call('SET', KEYS[1], ARGV[1])",
    "return {redis.call('TYPE', KEYS[1]), redis.call('EXISTS', KEYS[1], KEYS[2])}",
    "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('APPEND', KEYS[1], ARGV[1])",
    "return redis.pcall('INCRBY', KEYS[1], ARGV[1])",
    "local r = redis.pcall('LPUSH', KEYS[1], ARGV[1]); if r.err then return 'failed: ' .. r.err end return r",
    "return redis.call('RPUSH', KEYS[1], ARGV[1], ARGV[1])",
    "return redis.call('LRANGE', KEYS[1], 0, -1)",
    "redis.call('HSET', KEYS[1], 'f', ARGV[1]); return redis.call('HGET', KEYS[1], 'f')",
    "redis.call('SADD', KEYS[1], ARGV[1]); return redis.call('SCARD', KEYS[1])",
    "local v = redis.call('GET', KEYS[1]); redis.call('SET', KEYS[2], v or 'none'); return #KEYS + #ARGV",
    "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('RENAME', KEYS[1], KEYS[2]) end return false",
    "redis.call('SET', KEYS[1], ARGV[1], 'EX', 100000); return redis.call('PERSIST', KEYS[1])",
    "return redis.call('STRLEN', 's:' .. tostring(#ARGV[1] % 4))",
    "redis.call('SET', 's:' .. tostring(#ARGV[1] % 4), ARGV[1]); return redis.status_reply('STORED')",
    "for i = 1, 5 do redis.call('INCR', 's:counter') end return redis.call('DEL', 's:counter')",
    "return redis.error_reply('MY ' .. tostring(#ARGV[1]))",
    "return redis.call('NOSUCH', KEYS[1])",
    "return redis.call('GET')",
    "return redis.call('SUBSCRIBE', 'c')",
    "return {1, 2.7, 'three', {4, {5}}, true, false, 'never'}",
    "return {tonumber(ARGV[1]) or 'no number', redis.sha1hex(ARGV[1])}",
    "return cjson.encode({ARGV[1], #KEYS, {a = false}})",
    "return pcall(function() return redis.call('LPUSH', KEYS[1]) end) and 1 or 0",
    "return redis.call('SELECT', '1')",
    "local t = redis.call('HMGET', KEYS[1], 'f', 'g'); return {type(t[1]), type(t[2])}",
    "unknown = 1",
    "return unknown",
    "return struct.pack('>I2s', #ARGV[1], ARGV[1])",
    "return {bit.band(#ARGV[1], 6), bit.tohex(#ARGV[1])}",
    "this is no Lua",
    "redis.setresp(3); return redis.call('EXISTS', KEYS[1])",
    "return redis.call('INCRBYFLOAT', KEYS[1], '0.5')",
    "redis.call('MSET', KEYS[1], ARGV[1], KEYS[2], ARGV[1]); return redis.call('MGET', KEYS[1], KEYS[2])",
];

pub(super) const MAKERS: &[Maker] = &[
    eval,
    eval,
    eval,
    eval,
    |p| call("EVAL_RO", p),
    |_| {
        cmd("EVALSHA")
            .arg("ffffffffffffffffffffffffffffffffffffffff")
            .arg("0")
    },
    |p| {
        let script = p.one_of(SCRIPTS);
        cmd("SCRIPT").arg("LOAD").arg(script)
    },
    |p| {
        cmd("EVAL")
            .arg("return #KEYS")
            .number(p.between(-1, 3))
            .arg(p.any_key())
    },
];

fn eval(p: &mut Pool) -> Command {
    call("EVAL", p)
}

fn call(name: &str, p: &mut Pool) -> Command {
    let script = p.one_of(SCRIPTS);
    let kind = p.one_of(&[Text, Text, List, Hash, Set]);
    let keys = if p.chance(1, 8) {
        [p.any_key(), p.any_key()]
    } else {
        [p.key(kind), p.key(Text)]
    };
    let value = if p.chance(1, 3) { p.step() } else { p.value() };
    cmd(name).arg(script).arg("2").args(keys).arg(value)
}
