# redis-rb; `ruby.rb PORT hiredis` with hiredis's parser.
require 'redis'
require 'hiredis' if ARGV[1]

def check(holds, what)
  abort "wrong: #{what}" unless holds
end

driver = (ARGV[1] || 'ruby').to_sym
connect = -> { Redis.new(host: '127.0.0.1', port: ARGV[0].to_i, driver: driver, timeout: 10) }
c = connect.call
binary = "a\0\r\nb"

check c.set('k', binary) == 'OK', 'SET'
check c.get('k') == binary, 'GET'

replies = c.pipelined { |pipe| 100.times { pipe.incr('n') } }
check replies == (1..100).to_a, 'pipeline'

check c.hset('h', 'f' => '1', 'g' => '2') == 2, 'HSET'
check c.hgetall('h') == { 'f' => '1', 'g' => '2' }, 'HGETALL'

check c.rpush('l', %w[a b c]) == 3, 'RPUSH'
check c.lrange('l', 1, -1) == %w[b c], 'LRANGE'

check c.zadd('z', [[2.5, 'b'], [1, 'a']]) == 2, 'ZADD'
check c.zrange('z', 0, -1, with_scores: true) == [['a', 1.0], ['b', 2.5]], 'ZRANGE'

got = nil
subscriber = connect.call
subscriber.subscribe('news') do |on|
  on.subscribe { check c.publish('news', 'hello') == 1, 'PUBLISH' }
  on.message do |_, message|
    got = message
    subscriber.unsubscribe
  end
end
check got == 'hello', 'message'

result = c.eval("return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}", keys: ['k'], argv: ['x'])
check result == ['k', 'x', 101], 'EVAL'

id = c.xadd('s', { 'f' => 'v' })
check c.xrange('s') == [[id, { 'f' => 'v' }]], 'XRANGE'

done = c.multi { |transaction| transaction.incr('n'); transaction.get('n') }
check done == [102, '102'], 'EXEC'

begin
  c.lpush('k', 'x')
  check false, 'error'
rescue Redis::CommandError => e
  check e.message.start_with?('WRONGTYPE'), 'error'
end
