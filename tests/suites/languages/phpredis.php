<?php
// phpredis, the extension.
function check($holds, $what) {
    if (!$holds) {
        fwrite(STDERR, "wrong: $what\n");
        exit(1);
    }
}

$c = new Redis();
check($c->connect('127.0.0.1', (int) $argv[1]), 'connect');
$binary = "a\0\r\nb";

check($c->set('k', $binary) === true, 'SET');
check($c->get('k') === $binary, 'GET');

$pipe = $c->multi(Redis::PIPELINE);
for ($i = 0; $i < 100; $i++) {
    $pipe->incr('n');
}
$replies = $pipe->exec();
check(count($replies) === 100 && $replies[99] === 100, 'pipeline');

check($c->hMSet('h', ['f' => '1', 'g' => '2']), 'HMSET');
check($c->hGetAll('h') === ['f' => '1', 'g' => '2'], 'HGETALL');

check($c->rPush('l', 'a', 'b', 'c') === 3, 'RPUSH');
check($c->lRange('l', 1, -1) === ['b', 'c'], 'LRANGE');

check($c->zAdd('z', 2.5, 'b', 1, 'a') === 2, 'ZADD');
check($c->zRange('z', 0, -1, true) === ['a' => 1.0, 'b' => 2.5], 'ZRANGE');

$subscriber = new Redis();
$subscriber->connect('127.0.0.1', (int) $argv[1]);
$subscriber->setOption(Redis::OPT_READ_TIMEOUT, 30);
// Blocks until the connection ends, so that the message has to come from another process, and the end, too.
$publisher = proc_open(
    [PHP_BINARY, '-r', '$c = new Redis(); $c->connect("127.0.0.1", (int) $argv[1]);
        while ($c->publish("news", "hello") === 0) { usleep(1000); }
        $c->rawCommand("CLIENT", "KILL", "TYPE", "pubsub");', '--', $argv[1]],
    [],
    $pipes
);
$got = null;
try {
    $subscriber->subscribe(['news'], function ($redis, $channel, $message) use (&$got) {
        $got = $message;
    });
} catch (RedisException $ended) {
}
check($got === 'hello', 'message');
proc_close($publisher);

$result = $c->eval("return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}", ['k', 'x'], 1);
check($result === ['k', 'x', 101], 'EVAL');

$id = $c->xAdd('s', '*', ['f' => 'v']);
check($c->xRange('s', '-', '+') === [$id => ['f' => 'v']], 'XRANGE');

$done = $c->multi()->incr('n')->get('n')->exec();
check($done === [102, '102'], 'EXEC');

check($c->lPush('k', 'x') === false && strpos($c->getLastError(), 'WRONGTYPE') === 0, 'error');
