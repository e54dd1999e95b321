<?php
// Predis, in PHP alone.
require 'Predis/Autoloader.php';
Predis\Autoloader::register();

function check($holds, $what) {
    if (!$holds) {
        fwrite(STDERR, "wrong: $what\n");
        exit(1);
    }
}

$address = ['host' => '127.0.0.1', 'port' => (int) $argv[1], 'read_write_timeout' => 10];
$c = new Predis\Client($address);
$binary = "a\0\r\nb";

check((string) $c->set('k', $binary) === 'OK', 'SET');
check($c->get('k') === $binary, 'GET');

$replies = $c->pipeline(function ($pipe) {
    for ($i = 0; $i < 100; $i++) {
        $pipe->incr('n');
    }
});
check(count($replies) === 100 && $replies[99] === 100, 'pipeline');

$c->hmset('h', ['f' => '1', 'g' => '2']);
check($c->hgetall('h') === ['f' => '1', 'g' => '2'], 'HGETALL');

check($c->rpush('l', ['a', 'b', 'c']) === 3, 'RPUSH');
check($c->lrange('l', 1, -1) === ['b', 'c'], 'LRANGE');

check($c->zadd('z', ['b' => 2.5, 'a' => 1]) === 2, 'ZADD');
check($c->zrange('z', 0, -1, 'WITHSCORES') === ['a' => '1', 'b' => '2.5'], 'ZRANGE');

$subscriber = new Predis\Client($address);
$loop = $subscriber->pubSubLoop();
$loop->subscribe('news');
foreach ($loop as $message) {
    if ($message->kind === 'subscribe') {
        check($c->publish('news', 'hello') === 1, 'PUBLISH');
    } elseif ($message->kind === 'message') {
        check($message->payload === 'hello', 'message');
        $loop->unsubscribe('news');
    }
}

$result = $c->eval("return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}", 1, 'k', 'x');
check($result === ['k', 'x', 101], 'EVAL');

// This version has no methods for streams.
$id = $c->executeRaw(['XADD', 's', '*', 'f', 'v']);
check($c->executeRaw(['XRANGE', 's', '-', '+']) === [[$id, ['f', 'v']]], 'XRANGE');

$done = $c->transaction()->incr('n')->get('n')->execute();
check($done === [102, '102'], 'EXEC');

try {
    $c->lpush('k', ['x']);
    check(false, 'error');
} catch (Predis\Response\ServerException $error) {
    check($error->getErrorType() === 'WRONGTYPE', 'error');
}
