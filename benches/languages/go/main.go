// Command rates sets and gets 16-byte keys and 100-byte values in a loop, one call each, in Larder
// and in a map behind a lock.
//
// rates COUNT DIRECTORY prints "Go <sets> <gets>" and "Go map <sets> <gets>" in thousands a second,
// without a sync per operation.
package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	larder "larder.dev/go"
)

const valueLen = 100

// mixed is the finalizer of SplitMix64: one-to-one, so that keys are distinct and in no order.
func mixed(n uint64) uint64 {
	n = (n ^ (n >> 30)) * 0xBF58476D1CE4E5B9
	n = (n ^ (n >> 27)) * 0x94D049BB133111EB
	return n ^ (n >> 31)
}

func putKey(key []byte, n uint64) {
	binary.LittleEndian.PutUint64(key, mixed(n))
	binary.LittleEndian.PutUint64(key[8:], mixed(n+1))
}

// rate is how many thousand times a second do ran.
func rate(count uint64, do func(n uint64)) float64 {
	start := time.Now()
	for n := range count {
		do(n)
	}
	return float64(count) / time.Since(start).Seconds() / 1e3
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: rates COUNT DIRECTORY")
	}
	count, err := strconv.ParseUint(os.Args[1], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	db, err := larder.Open(os.Args[2], larder.WithSyncNone())
	if err != nil {
		log.Fatal(err)
	}
	key, value := make([]byte, 16), make([]byte, valueLen)
	sets := rate(count, func(n uint64) {
		putKey(key, n)
		if err := db.Set(key, value); err != nil {
			log.Fatal(err)
		}
	})
	gets := rate(count, func(n uint64) {
		putKey(key, mixed(n+7)%count)
		if _, err := db.GetInto(key, value); err != nil {
			log.Fatal(err)
		}
	})
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Go %.0f %.0f\n", sets, gets)

	var lock sync.RWMutex
	entries := make(map[string][]byte)
	sets = rate(count, func(n uint64) {
		putKey(key, n)
		lock.Lock()
		entries[string(key)] = append([]byte(nil), value...)
		lock.Unlock()
	})
	gets = rate(count, func(n uint64) {
		putKey(key, mixed(n+7)%count)
		lock.RLock()
		copy(value, entries[string(key)])
		lock.RUnlock()
	})
	fmt.Printf("Go map %.0f %.0f\n", sets, gets)
}
