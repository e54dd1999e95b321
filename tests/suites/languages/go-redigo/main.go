// redigo.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/gomodule/redigo/redis"
)

func check(holds bool, what string) {
	if !holds {
		fmt.Fprintln(os.Stderr, "wrong:", what)
		os.Exit(1)
	}
}

func connect() redis.Conn {
	c, err := redis.Dial("tcp", "127.0.0.1:"+os.Args[1])
	check(err == nil, "connect")
	return c
}

func main() {
	c := connect()
	binary := "a\x00\r\nb"

	ok, err := redis.String(c.Do("SET", "k", binary))
	check(err == nil && ok == "OK", "SET")
	got, err := redis.String(c.Do("GET", "k"))
	check(err == nil && got == binary, "GET")

	for i := 0; i < 100; i++ {
		check(c.Send("INCR", "n") == nil, "pipeline")
	}
	check(c.Flush() == nil, "pipeline")
	for i := 1; i <= 100; i++ {
		n, err := redis.Int(c.Receive())
		check(err == nil && n == i, "pipeline")
	}

	n, err := redis.Int(c.Do("HSET", "h", "f", "1", "g", "2"))
	check(err == nil && n == 2, "HSET")
	hash, err := redis.StringMap(c.Do("HGETALL", "h"))
	check(err == nil && hash["f"] == "1" && hash["g"] == "2", "HGETALL")

	n, err = redis.Int(c.Do("RPUSH", "l", "a", "b", "c"))
	check(err == nil && n == 3, "RPUSH")
	list, err := redis.Strings(c.Do("LRANGE", "l", 1, -1))
	check(err == nil && strings.Join(list, ",") == "b,c", "LRANGE")

	n, err = redis.Int(c.Do("ZADD", "z", 2.5, "b", 1, "a"))
	check(err == nil && n == 2, "ZADD")
	list, err = redis.Strings(c.Do("ZRANGE", "z", 0, -1, "WITHSCORES"))
	check(err == nil && strings.Join(list, ",") == "a,1,b,2.5", "ZRANGE")

	subscriber := redis.PubSubConn{Conn: connect()}
	check(subscriber.Subscribe("news") == nil, "SUBSCRIBE")
	_, isConfirmed := subscriber.Receive().(redis.Subscription)
	check(isConfirmed, "SUBSCRIBE")
	n, err = redis.Int(c.Do("PUBLISH", "news", "hello"))
	check(err == nil && n == 1, "PUBLISH")
	message, isMessage := subscriber.Receive().(redis.Message)
	check(isMessage && string(message.Data) == "hello", "message")

	script := redis.NewScript(1, "return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}")
	result, err := redis.Values(script.Do(c, "k", "x"))
	check(err == nil && len(result) == 3 && result[2].(int64) == 101, "EVAL")

	id, err := redis.String(c.Do("XADD", "s", "*", "f", "v"))
	check(err == nil && strings.Contains(id, "-"), "XADD")
	entries, err := redis.Values(c.Do("XRANGE", "s", "-", "+"))
	check(err == nil && len(entries) == 1, "XRANGE")

	c.Send("MULTI")
	c.Send("INCR", "n")
	c.Send("GET", "n")
	done, err := redis.Strings(c.Do("EXEC"))
	check(err == nil || len(done) == 2, "EXEC")
	after, err := redis.Int(c.Do("GET", "n"))
	check(err == nil && after == 102, "EXEC")

	_, err = c.Do("LPUSH", "k", "x")
	check(err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE"), "error")
}
