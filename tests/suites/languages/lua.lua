-- redis-lua.
local redis = require 'redis'

local function check(holds, what)
  if not holds then
    io.stderr:write('wrong: ', what, '\n')
    os.exit(1)
  end
end

local port = tonumber(arg[1])
local c = redis.connect('127.0.0.1', port)
local binary = 'a\0\r\nb'

check(c:set('k', binary) == true, 'SET')
check(c:get('k') == binary, 'GET')

local replies = c:pipeline(function(p)
  for _ = 1, 100 do p:incr('n') end
end)
check(#replies == 100 and replies[100] == 100, 'pipeline')

c:hmset('h', { f = '1', g = '2' })
local hash = c:hgetall('h')
check(hash.f == '1' and hash.g == '2', 'HGETALL')

check(c:rpush('l', 'a', 'b', 'c') == 3, 'RPUSH')
check(table.concat(c:lrange('l', 1, -1), ',') == 'b,c', 'LRANGE')

check(c:zadd('z', 2.5, 'b', 1, 'a') == 2, 'ZADD')
local range = c:zrange('z', 0, -1, { withscores = true })
check(range[2][1] == 'b' and range[2][2] == '2.5', 'ZRANGE')

local subscriber = redis.connect('127.0.0.1', port)
for message, abort in subscriber:pubsub({ subscribe = 'news' }) do
  if message.kind == 'subscribe' then
    check(c:publish('news', 'hello') == 1, 'PUBLISH')
  elseif message.kind == 'message' then
    check(message.payload == 'hello', 'message')
    abort()
  end
end

local result = c:eval("return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}", 1, 'k', 'x')
check(result[2] == 'x' and result[3] == 101, 'EVAL')

-- It does not know streams by itself.
redis.commands.xadd = redis.command('XADD')
redis.commands.xrange = redis.command('XRANGE')
c = redis.connect('127.0.0.1', port)
local id = c:xadd('s', '*', 'f', 'v')
local entries = c:xrange('s', '-', '+')
check(#entries == 1 and entries[1][1] == id and entries[1][2][2] == 'v', 'XRANGE')

local done = c:transaction(function(t)
  t:incr('n')
  t:get('n')
end)
check(done[1] == 102 and done[2] == '102', 'EXEC')

local ok, message = pcall(c.lpush, c, 'k', 'x')
check(not ok and tostring(message):find('WRONGTYPE', 1, true), 'error')
