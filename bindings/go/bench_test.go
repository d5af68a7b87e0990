package larder

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
)

// The benchmarks run each workload on the store and on what a Go program has without one: a map
// behind a lock, which copies in and out as the store does. Keys are 16 hashed bytes, values 100.
const (
	benchCount    = 200_000
	benchValueLen = 100
	benchMany     = 32
)

func benchKey(i uint64) (key [16]byte) {
	binary.LittleEndian.PutUint64(key[:], i*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(key[8:], (i+1)*0xbf58476d1ce4e5b9)
	return key
}

// lockedMap is the comparison.
type lockedMap struct {
	mu      sync.RWMutex
	entries map[string][]byte
}

func (m *lockedMap) get(key []byte) []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok := m.entries[string(key)]
	if !ok {
		return nil
	}
	return append([]byte{}, value...)
}

func (m *lockedMap) getInto(key, dst []byte) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return copy(dst, m.entries[string(key)])
}

func (m *lockedMap) set(key, value []byte) {
	own := append([]byte{}, value...)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[string(key)] = own
}

// benchStore is a store with benchCount entries, benchMap a map with the same. Each benchmark makes
// only the one that it measures: a large map slows everything else down through the collector.
func benchStore(b *testing.B) *DB {
	b.Helper()
	db := openNew(b)
	value := make([]byte, benchValueLen)
	batch := db.Batch()
	for i := range uint64(benchCount) {
		key := benchKey(i)
		binary.LittleEndian.PutUint64(value, i)
		batch.Set(key[:], value)
		if batch.Len() == 1000 || i+1 == benchCount {
			must(b, batch.Write())
		}
	}
	b.ResetTimer()
	return db
}

func benchMap(b *testing.B) *lockedMap {
	b.Helper()
	m := &lockedMap{entries: map[string][]byte{}}
	value := make([]byte, benchValueLen)
	for i := range uint64(benchCount) {
		key := benchKey(i)
		binary.LittleEndian.PutUint64(value, i)
		m.set(key[:], value)
	}
	b.ResetTimer()
	return m
}

func BenchmarkGet(b *testing.B) {
	b.Run("larder", func(b *testing.B) {
		db := benchStore(b)
		b.ReportAllocs()
		for b.Loop() {
			key := benchKey(rand.Uint64N(benchCount))
			if value, err := db.Get(key[:]); err != nil || len(value) != benchValueLen {
				b.Fatal(len(value), err)
			}
		}
	})
	b.Run("map", func(b *testing.B) {
		m := benchMap(b)
		b.ReportAllocs()
		for b.Loop() {
			key := benchKey(rand.Uint64N(benchCount))
			if value := m.get(key[:]); len(value) != benchValueLen {
				b.Fatal(len(value))
			}
		}
	})
}

func BenchmarkGetInto(b *testing.B) {
	dst := make([]byte, benchValueLen)
	b.Run("larder", func(b *testing.B) {
		db := benchStore(b)
		b.ReportAllocs()
		for b.Loop() {
			key := benchKey(rand.Uint64N(benchCount))
			if _, err := db.GetInto(key[:], dst); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("larder/missing", func(b *testing.B) {
		db := benchStore(b)
		b.ReportAllocs()
		for b.Loop() {
			key := benchKey(benchCount + rand.Uint64N(benchCount))
			if _, err := db.GetInto(key[:], dst); err != ErrNotFound {
				b.Fatal(err)
			}
		}
	})
	b.Run("map", func(b *testing.B) {
		m := benchMap(b)
		b.ReportAllocs()
		for b.Loop() {
			key := benchKey(rand.Uint64N(benchCount))
			if m.getInto(key[:], dst) != benchValueLen {
				b.Fatal("missing")
			}
		}
	})
}

func BenchmarkGetIntoParallel(b *testing.B) {
	b.Run("larder", func(b *testing.B) {
		db := benchStore(b)
		b.RunParallel(func(pb *testing.PB) {
			dst := make([]byte, benchValueLen)
			for pb.Next() {
				key := benchKey(rand.Uint64N(benchCount))
				if _, err := db.GetInto(key[:], dst); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("map", func(b *testing.B) {
		m := benchMap(b)
		b.RunParallel(func(pb *testing.PB) {
			dst := make([]byte, benchValueLen)
			for pb.Next() {
				key := benchKey(rand.Uint64N(benchCount))
				m.getInto(key[:], dst)
			}
		})
	})
}

// BenchmarkView reads without copying.
func BenchmarkView(b *testing.B) {
	db := benchStore(b)
	for b.Loop() {
		key := benchKey(rand.Uint64N(benchCount))
		must(b, db.View(key[:], func([]byte) error { return nil }))
	}
}

// BenchmarkGetMany32 is per key, so that it compares with BenchmarkGet.
func BenchmarkGetMany32(b *testing.B) {
	raw := make([][16]byte, benchMany)
	keys := make([][]byte, benchMany)
	shuffle := func() {
		for i := range raw {
			raw[i] = benchKey(rand.Uint64N(benchCount))
			keys[i] = raw[i][:]
		}
	}
	perKey := func(b *testing.B, run func()) {
		b.ReportAllocs()
		for b.Loop() {
			shuffle()
			run()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchMany), "ns/key")
	}
	b.Run("larder", func(b *testing.B) {
		db := benchStore(b)
		perKey(b, func() {
			_, err := db.GetMany(keys)
			must(b, err)
		})
	})
	b.Run("larder/one by one", func(b *testing.B) {
		db := benchStore(b)
		perKey(b, func() {
			for _, key := range keys {
				_, err := db.Get(key)
				must(b, err)
			}
		})
	})
	b.Run("map", func(b *testing.B) {
		m := benchMap(b)
		perKey(b, func() {
			for _, key := range keys {
				m.get(key)
			}
		})
	})
}

func BenchmarkSet(b *testing.B) {
	value := make([]byte, benchValueLen)
	b.Run("larder", func(b *testing.B) {
		db := benchStore(b)
		b.ReportAllocs()
		for b.Loop() {
			key := benchKey(rand.Uint64N(benchCount))
			must(b, db.Set(key[:], value))
		}
	})
	b.Run("map", func(b *testing.B) {
		m := benchMap(b)
		b.ReportAllocs()
		for b.Loop() {
			key := benchKey(rand.Uint64N(benchCount))
			m.set(key[:], value)
		}
	})
}

// BenchmarkSetDurable is what one goroutine gets when each write is on the disk before it returns.
func BenchmarkSetDurable(b *testing.B) {
	db := openAt(b, b.TempDir()+"/store", WithSyncAlways())
	value := make([]byte, benchValueLen)
	for b.Loop() {
		key := benchKey(rand.Uint64N(benchCount))
		must(b, db.Set(key[:], value))
	}
}

// BenchmarkBatch32 is per key, so that it compares with BenchmarkSet.
func BenchmarkBatch32(b *testing.B) {
	value := make([]byte, benchValueLen)
	key := make([]byte, 16)
	perKey := func(b *testing.B, set func(key, value []byte), write func()) {
		b.ReportAllocs()
		for b.Loop() {
			for range benchMany {
				raw := benchKey(rand.Uint64N(benchCount))
				copy(key, raw[:])
				set(key, value)
			}
			write()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchMany), "ns/key")
	}
	b.Run("larder", func(b *testing.B) {
		db := benchStore(b)
		batch := db.Batch()
		perKey(b, batch.Set, func() { must(b, batch.Write()) })
	})
	b.Run("map", func(b *testing.B) { perKey(b, benchMap(b).set, func() {}) })
}

// BenchmarkAll is per entry.
func BenchmarkAll(b *testing.B) {
	perEntry := func(b *testing.B, run func()) {
		for b.Loop() {
			run()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchCount), "ns/entry")
	}
	b.Run("larder", func(b *testing.B) {
		db := benchStore(b)
		perEntry(b, func() {
			count := 0
			entries, failed := db.All()
			for range entries {
				count++
			}
			must(b, failed())
			if count != benchCount {
				b.Fatal(count)
			}
		})
	})
	b.Run("map", func(b *testing.B) {
		m := benchMap(b)
		perEntry(b, func() {
			m.mu.RLock()
			defer m.mu.RUnlock()
			for key, value := range m.entries {
				_, _ = []byte(key), append([]byte{}, value...)
			}
		})
	})
}
