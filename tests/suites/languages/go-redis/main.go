// go-redis, version 5.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"gopkg.in/redis.v5"
)

func check(holds bool, what string) {
	if !holds {
		fmt.Fprintln(os.Stderr, "wrong:", what)
		os.Exit(1)
	}
}

func main() {
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Args[1]})
	binary := "a\x00\r\nb"

	check(c.Set("k", binary, 0).Val() == "OK", "SET")
	check(c.Get("k").Val() == binary, "GET")

	replies, err := c.Pipelined(func(pipe *redis.Pipeline) error {
		for i := 0; i < 100; i++ {
			pipe.Incr("n")
		}
		return nil
	})
	check(err == nil && len(replies) == 100 && replies[99].(*redis.IntCmd).Val() == 100, "pipeline")

	check(c.HMSet("h", map[string]string{"f": "1", "g": "2"}).Val() == "OK", "HMSET")
	hash := c.HGetAll("h").Val()
	check(hash["f"] == "1" && hash["g"] == "2", "HGETALL")

	check(c.RPush("l", "a", "b", "c").Val() == 3, "RPUSH")
	check(strings.Join(c.LRange("l", 1, -1).Val(), ",") == "b,c", "LRANGE")

	check(c.ZAdd("z", redis.Z{Score: 2.5, Member: "b"}, redis.Z{Score: 1, Member: "a"}).Val() == 2, "ZADD")
	scores := c.ZRangeWithScores("z", 0, -1).Val()
	check(len(scores) == 2 && scores[1].Score == 2.5 && scores[1].Member == "b", "ZRANGE")

	subscriber, err := c.Subscribe("news")
	check(err == nil, "SUBSCRIBE")
	_, err = subscriber.ReceiveTimeout(5 * time.Second)
	check(err == nil, "SUBSCRIBE")
	check(c.Publish("news", "hello").Val() == 1, "PUBLISH")
	message, err := subscriber.ReceiveMessage()
	check(err == nil && message.Payload == "hello", "message")

	script := redis.NewScript("return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}")
	result, err := script.Run(c, []string{"k"}, "x").Result()
	check(err == nil && result.([]interface{})[2].(int64) == 101, "EVAL")

	// This version has no methods for streams.
	added := redis.NewStringCmd("XADD", "s", "*", "f", "v")
	check(c.Process(added) == nil && strings.Contains(added.Val(), "-"), "XADD")
	entries := redis.NewSliceCmd("XRANGE", "s", "-", "+")
	check(c.Process(entries) == nil && len(entries.Val()) == 1, "XRANGE")

	var n *redis.IntCmd
	var text *redis.StringCmd
	_, err = c.TxPipelined(func(pipe *redis.Pipeline) error {
		n = pipe.Incr("n")
		text = pipe.Get("n")
		return nil
	})
	check(err == nil && n.Val() == 102 && text.Val() == "102", "EXEC")

	err = c.LPush("k", "x").Err()
	check(err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE"), "error")
}
