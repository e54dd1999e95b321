<?php
// What both clients of PHP do: keys are counted up until the input ends.

const KEYS = 30;

function count_up(string $name, $client, callable $incr): void {
    stream_set_blocking(STDIN, false);
    [$known, $unsure, $done, $turn] = [[], [], 0, 0];
    while (true) {
        if ($turn % 20 == 0 && fread(STDIN, 1) === "" && feof(STDIN)) {
            break;
        }
        $key = "$name:" . $turn++ % KEYS;
        try {
            $value = $incr($key);
        } catch (Exception $error) {
            echo "error ", get_class($error), " ", $error->getMessage(), "\n";
            $unsure[$key] = ($unsure[$key] ?? 0) + 1;
            usleep(50000);
            continue;
        }
        $least = ($known[$key] ?? 0) + 1;
        if ($value < $least || $value > $least + ($unsure[$key] ?? 0)) {
            echo "wrong $key is $value and must be $least\n";
        }
        $unsure[$key] = 0;
        $known[$key] = $value;
        if (++$done % 50 == 0) {
            echo "at $done\n";
        }
    }
    foreach ($known as $key => $value) {
        $found = (int) $client->get($key);
        if ($found !== $value) {
            echo "wrong $key is $found and was $value\n";
        }
    }
    echo "over $done\n";
}
