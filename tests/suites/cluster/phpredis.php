<?php
// phpredis, RedisCluster.

require __DIR__ . "/count.php";

$client = new RedisCluster(null, explode(",", $argv[1]), 1, 1);
count_up($argv[2], $client, function (string $key) use ($client): int {
    $value = $client->incr($key);
    if ($value === false) {
        throw new Exception($client->getLastError() ?? "false");
    }
    return $value;
});
