// go-redis against a server on a Unix socket, whose path is the argument.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

var checks int

func check(ok bool, what string, details ...any) {
	if !ok {
		log.Fatalf("go-redis: %s %v", what, details)
	}
	checks++
}

func main() {
	ctx := context.Background()
	for _, protocol := range []int{2, 3} {
		db := redis.NewClient(&redis.Options{Network: "unix", Addr: os.Args[1], Protocol: protocol, ClientName: "gopher"})
		check(db.FlushDB(ctx).Err() == nil, "flush")
		check(db.Set(ctx, "a", "one", time.Minute).Err() == nil, "set")
		value, err := db.Get(ctx, "a").Result()
		check(err == nil && value == "one", "get", value, err)
		_, err = db.Get(ctx, "none").Result()
		check(err == redis.Nil, "a missing key", err)
		ttl, err := db.PTTL(ctx, "a").Result()
		check(err == nil && ttl > 50*time.Second && ttl <= time.Minute, "ttl", ttl, err)
		replies, err := db.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Incr(ctx, "n")
			pipe.IncrBy(ctx, "n", 10)
			return nil
		})
		check(err == nil && replies[1].(*redis.IntCmd).Val() == 11, "transaction", err)
		_, err = db.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i := range 1000 {
				pipe.Set(ctx, fmt.Sprintf("many:%d", i), i, 0)
			}
			return nil
		})
		check(err == nil, "pipeline", err)
		count := 0
		for walk := db.Scan(ctx, 0, "many:*", 100).Iterator(); walk.Next(ctx); {
			count++
		}
		check(count == 1000, "scan", count)

		// Everybody adds one to the same number, each time only if nobody else has meanwhile.
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for done := 0; done < 25; {
					err := db.Watch(ctx, func(tx *redis.Tx) error {
						n, err := tx.Get(ctx, "counter").Int()
						if err != nil && err != redis.Nil {
							return err
						}
						_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
							return pipe.Set(ctx, "counter", n+1, 0).Err()
						})
						return err
					}, "counter")
					if err == nil {
						done++
					} else if err != redis.TxFailedErr {
						log.Fatal(err)
					}
				}
			})
		}
		wait.Wait()
		check(db.Get(ctx, "counter").Val() == "100", "optimistic transactions", db.Get(ctx, "counter").Val())

		listener := db.PSubscribe(ctx, "chan*")
		_, err = listener.Receive(ctx)
		check(err == nil, "subscribe", err)
		check(db.Publish(ctx, "channel", "hello").Val() == 1, "publish")
		message, err := listener.ReceiveMessage(ctx)
		check(err == nil && message.Payload == "hello", "message", err)
		listener.Close()

		script := redis.NewScript("return redis.call('set', KEYS[1], ARGV[1])")
		check(script.Run(ctx, db, []string{"s"}, "v").Err() == nil && script.Run(ctx, db, []string{"s"}, "w").Err() == nil, "script")
		check(db.Do(ctx, "HSET", "h", "a", "1").Err() != nil, "hashes are not there")
		check(db.Close() == nil, "close")
	}
	fmt.Printf("go-redis %s: %d checks\n", redis.Version(), checks)
}
