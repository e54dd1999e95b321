<?php
// Predis, with cluster => redis.

require "Predis/Autoloader.php";
require __DIR__ . "/count.php";
Predis\Autoloader::register();

$nodes = array_map(fn($address) => "tcp://$address?timeout=1&read_write_timeout=1", explode(",", $argv[1]));
$client = new Predis\Client($nodes, ["cluster" => "redis"]);
count_up($argv[2], $client, fn(string $key): int => $client->incr($key));
