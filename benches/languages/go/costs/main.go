// Command costs measures the border of Go: costs COUNT DIRECTORY. What it does and prints is in
// benches/languages/costs/costs.h; every language does the same.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	larder "larder.dev/go"
)

const (
	valueLen = 100
	group    = 32
	rounds   = 15
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: costs COUNT DIRECTORY")
	}
	count, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	count = count / group * group
	keys, order := make([][]byte, count), make([]int, count)
	for n := range keys {
		keys[n] = fmt.Appendf(nil, "%016d", n)
		order[n] = int(uint64(n) * 2654435761 % uint64(count))
	}
	db, err := larder.Open(os.Args[2], larder.WithSyncNone())
	must(err)
	value, dst := make([]byte, valueLen), make([]byte, valueLen)
	var best [3]float64
	for range rounds {
		batch := db.Batch()
		start := time.Now()
		for n, key := range keys {
			batch.Set(key, value)
			if n%group == group-1 {
				must(batch.Write())
				batch.Reset()
			}
		}
		note(&best[2], start, count)
		start = time.Now()
		for _, n := range order {
			_, err := db.GetInto(keys[n], dst)
			must(err)
		}
		note(&best[0], start, count)
		asked := make([][]byte, 0, group)
		start = time.Now()
		for _, n := range order {
			asked = append(asked, keys[n])
			if len(asked) == group {
				values, err := db.GetMany(asked)
				must(err)
				if len(values[group-1]) != valueLen {
					log.Fatal("another value")
				}
				asked = asked[:0]
			}
		}
		note(&best[1], start, count)
	}
	must(db.Close())
	fmt.Printf("Go %.0f %.0f %.0f\n", best[0], best[1], best[2])
}

func note(best *float64, start time.Time, count int) {
	each := float64(time.Since(start).Nanoseconds()) / float64(count)
	if *best == 0 || each < *best {
		*best = each
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
