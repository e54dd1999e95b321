// redisc, a cluster of redigo's connections.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/mna/redisc"
)

const keys = 30

func main() {
	name := os.Args[2]
	nodes := strings.Split(os.Args[1], ",")
	cluster := redisc.Cluster{
		StartupNodes: nodes,
		DialOptions: []redis.DialOption{
			redis.DialConnectTimeout(time.Second), redis.DialReadTimeout(time.Second), redis.DialWriteTimeout(time.Second),
		},
	}
	if err := cluster.Refresh(); err != nil {
		fmt.Println("ended", err)
		os.Exit(1)
	}
	do := func(words ...interface{}) (int, error) {
		conn, err := redisc.RetryConn(cluster.Get(), 10, 50*time.Millisecond)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		return redis.Int(conn.Do(words[0].(string), words[1:]...))
	}
	var over int32
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		atomic.StoreInt32(&over, 1)
	}()
	known, unsure, done := map[string]int{}, map[string]int{}, 0
	for turn := 0; atomic.LoadInt32(&over) == 0; turn++ {
		key := fmt.Sprintf("%s:%d", name, turn%keys)
		value, err := do("INCR", key)
		if err != nil {
			fmt.Println("error", err)
			unsure[key]++
			time.Sleep(50 * time.Millisecond)
			// As its documentation says: it learns of nodes that changed when it is told to.
			_ = cluster.Refresh()
			continue
		}
		least := known[key] + 1
		if value < least || value > least+unsure[key] {
			fmt.Println("wrong", key, "is", value, "and must be", least)
		}
		unsure[key], known[key] = 0, value
		done++
		if done%50 == 0 {
			fmt.Println("at", done)
		}
	}
	for key, value := range known {
		if found, err := do("GET", key); err != nil || found != value {
			fmt.Println("wrong", key, "is", found, "and was", value, err)
		}
	}
	fmt.Println("over", done)
}
