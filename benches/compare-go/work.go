package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log"
	"runtime"
	"slices"
	"time"
)

const (
	keyLen   = 16
	valueLen = 100
	groupLen = 32
	// opsMax bounds a row, and so does its time.
	opsMax = 2_000_000
	opsMin = 200_000
)

// A pair is a key and its value.
type pair struct {
	key   [keyLen]byte
	value [valueLen]byte
}

// A store is one of those compared, open. Its slices are the caller's: it keeps none.
type store interface {
	set(key, value []byte) error
	// getInto copies the value into dst, which is large enough; its length.
	getInto(key, dst []byte) (int, error)
	// get hands out the value as a slice of its own.
	get(key []byte) ([]byte, error)
	// getMany hands out the values in the keys' order.
	getMany(keys [][]byte) ([][]byte, error)
	// batch sets all or none.
	batch(pairs []pair) error
	close() error
}

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

// putValue makes a value that names its number, which is its key's but for a multiple of the key count.
func putValue(value []byte, n uint64) {
	for i := range value {
		value[i] = byte(n)
	}
	binary.LittleEndian.PutUint64(value, n)
}

// must ends a child whose figures would mean nothing.
func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// warm reads through the store in the order of the keys' bytes, so that a store that has a cache of its
// own has its blocks in there: they are of 4 KiB, which is more than 16 records.
func warm(db store, keys uint64, timeMax time.Duration) {
	all := make([][keyLen]byte, keys)
	for n := range all {
		putKey(all[n][:], uint64(n))
	}
	slices.SortFunc(all, func(a, b [keyLen]byte) int { return bytes.Compare(a[:], b[:]) })
	value, start := make([]byte, valueLen), time.Now()
	for n := 0; n < len(all) && time.Since(start) < timeMax; n += 16 {
		_, err := db.getInto(all[n][:], value)
		must(err)
	}
}

// work runs all rows on one store.
func work(name string, db store, keys, round uint64, timeMax time.Duration, report func(measured)) {
	say := func(row string, value float64) { report(measured{name, row, keys, value}) }
	rate := func(row string, perOp, ops uint64, timeMax time.Duration, do func(n, random uint64)) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		callsBefore := runtime.NumCgoCall()
		seed, start, done := mixed(round+77), time.Now(), uint64(0)
		for done < ops/perOp && (done%256 != 255 || time.Since(start) < timeMax) {
			do(done, mixed(seed^done))
			done++
		}
		say(row, float64(done*perOp)/time.Since(start).Seconds())
		runtime.ReadMemStats(&after)
		say(row+", allocations per call", float64(after.Mallocs-before.Mallocs)/float64(done))
		if name == "larder" {
			say(row+", cgo calls per call", float64(runtime.NumCgoCall()-callsBefore)/float64(done))
		}
		return done
	}
	check := func(value []byte, n uint64) {
		if len(value) != valueLen || binary.LittleEndian.Uint64(value)%keys != n {
			log.Fatalf("%s: key %d has another's value", name, n)
		}
	}
	key, value := make([]byte, keyLen), make([]byte, valueLen)

	loaded := rate("Set, new keys", 1, keys, 5*timeMax, func(n, _ uint64) {
		putKey(key, n)
		putValue(value, n)
		must(db.set(key, value))
	})
	group := make([]pair, groupLen)
	for loaded < keys {
		count := min(keys-loaded, groupLen)
		for i := range count {
			putKey(group[i].key[:], loaded+i)
			putValue(group[i].value[:], loaded+i)
		}
		must(db.batch(group[:count]))
		loaded += count
	}
	warm(db, keys, 5*timeMax)
	ops := min(max(keys, opsMin), opsMax)
	rate("GetInto", 1, ops, timeMax, func(_, random uint64) {
		putKey(key, random%keys)
		n, err := db.getInto(key, value)
		must(err)
		check(value[:n], random%keys)
	})
	rate("Get", 1, ops, timeMax, func(_, random uint64) {
		putKey(key, random%keys)
		found, err := db.get(key)
		must(err)
		check(found, random%keys)
	})
	asked, packed := make([][]byte, groupLen), make([]byte, groupLen*keyLen)
	for i := range asked {
		asked[i] = packed[i*keyLen : (i+1)*keyLen]
	}
	rate(fmt.Sprintf("GetMany of %d, keys", groupLen), groupLen, ops, timeMax, func(_, random uint64) {
		for i := range asked {
			putKey(asked[i], mixed(random+uint64(i))%keys)
		}
		found, err := db.getMany(asked)
		must(err)
		for i := range found {
			check(found[i], mixed(random+uint64(i))%keys)
		}
	})
	rate("Set, overwriting", 1, ops, timeMax, func(_, random uint64) {
		putKey(key, random%keys)
		putValue(value, random)
		must(db.set(key, value))
	})
	rate(fmt.Sprintf("Batch of %d, keys", groupLen), groupLen, ops, timeMax, func(_, random uint64) {
		for i := range group {
			n := mixed(random + uint64(i))
			putKey(group[i].key[:], n%keys)
			putValue(group[i].value[:], n)
		}
		must(db.batch(group))
	})
	for n := range min(keys, 1_000) {
		putKey(key, n)
		found, err := db.get(key)
		must(err)
		check(found, n)
	}
	must(db.close())
}
