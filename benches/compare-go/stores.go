package main

import (
	"errors"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	bolt "go.etcd.io/bbolt"
	larder "larder.dev/go"
)

const cacheBytes = 4 << 30

var errMissing = errors.New("a key is missing")

// names of the stores, Larder first.
var names = []string{"larder", "bbolt", "badger", "pebble"}

var stores = map[string]func(directory string) store{
	"larder": openLarder, "bbolt": openBolt, "badger": openBadger, "pebble": openPebble,
}

func about(name string) string {
	switch name {
	case "larder":
		return "Larder " + larder.Version() + " through bindings/go; sync=none"
	case "bbolt":
		return "bbolt " + versionOf("go.etcd.io/bbolt") + "; one transaction an operation, NoSync, NoFreelistSync, freelist as a map"
	case "badger":
		return "Badger " + versionOf("github.com/dgraph-io/badger/v4") + "; one transaction an operation, no sync, no compression, 4 GiB of block cache, no conflict detection"
	default:
		return "Pebble " + versionOf("github.com/cockroachdb/pebble/v2") + "; WAL without sync, bloom filters of 10 bits, 4 GiB of cache, no compression"
	}
}

type larderStore struct {
	db *larder.DB
	of *larder.Batch
}

func openLarder(directory string) store {
	db, err := larder.Open(directory, larder.WithSyncNone())
	must(err)
	return &larderStore{db, db.Batch()}
}

func (s *larderStore) set(key, value []byte) error             { return s.db.Set(key, value) }
func (s *larderStore) getInto(key, dst []byte) (int, error)    { return s.db.GetInto(key, dst) }
func (s *larderStore) get(key []byte) ([]byte, error)          { return s.db.Get(key) }
func (s *larderStore) getMany(keys [][]byte) ([][]byte, error) { return s.db.GetMany(keys) }
func (s *larderStore) close() error                            { return s.db.Close() }

func (s *larderStore) batch(pairs []pair) error {
	for i := range pairs {
		s.of.Set(pairs[i].key[:], pairs[i].value[:])
	}
	return s.of.Write()
}

var bucketName = []byte("pairs")

type boltStore struct{ db *bolt.DB }

func openBolt(directory string) store {
	db, err := bolt.Open(filepath.Join(directory, "pairs.db"), 0o600, &bolt.Options{
		NoSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistMapType, InitialMmapSize: cacheBytes,
	})
	must(err)
	must(db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucketIfNotExists(bucketName); return err }))
	return &boltStore{db}
}

func (s *boltStore) set(key, value []byte) error {
	return s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketName).Put(key, value) })
}

func (s *boltStore) getInto(key, dst []byte) (n int, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		value := tx.Bucket(bucketName).Get(key)
		if value == nil {
			return errMissing
		}
		n = copy(dst, value)
		return nil
	})
	return n, err
}

func (s *boltStore) get(key []byte) (value []byte, err error) {
	found, err := s.getMany([][]byte{key})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func (s *boltStore) getMany(keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	err := s.db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketName)
		for i, key := range keys {
			value := bucket.Get(key)
			if value == nil {
				return errMissing
			}
			values[i] = append([]byte(nil), value...)
		}
		return nil
	})
	return values, err
}

func (s *boltStore) batch(pairs []pair) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketName)
		for i := range pairs {
			if err := bucket.Put(pairs[i].key[:], pairs[i].value[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *boltStore) close() error { return s.db.Close() }

type badgerStore struct{ db *badger.DB }

func openBadger(directory string) store {
	db, err := badger.Open(badger.DefaultOptions(directory).WithLogger(nil).WithSyncWrites(false).WithDetectConflicts(false).
		WithCompression(options.None).WithBlockCacheSize(cacheBytes).WithMetricsEnabled(false))
	must(err)
	return &badgerStore{db}
}

// Badger keeps what it is given until the transaction is over, and its value log a little longer: copies.
func (s *badgerStore) set(key, value []byte) error {
	return s.db.Update(func(txn *badger.Txn) error {
		return txn.Set(append([]byte(nil), key...), append([]byte(nil), value...))
	})
}

func (s *badgerStore) getInto(key, dst []byte) (n int, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		return item.Value(func(value []byte) error { n = copy(dst, value); return nil })
	})
	return n, err
}

func (s *badgerStore) get(key []byte) (value []byte, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		return err
	})
	return value, err
}

func (s *badgerStore) getMany(keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	err := s.db.View(func(txn *badger.Txn) error {
		for i, key := range keys {
			item, err := txn.Get(key)
			if err != nil {
				return err
			}
			if values[i], err = item.ValueCopy(nil); err != nil {
				return err
			}
		}
		return nil
	})
	return values, err
}

func (s *badgerStore) batch(pairs []pair) error {
	return s.db.Update(func(txn *badger.Txn) error {
		for i := range pairs {
			own := pairs[i]
			if err := txn.Set(own.key[:], own.value[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *badgerStore) close() error { return s.db.Close() }

type pebbleStore struct{ db *pebble.DB }

func openPebble(directory string) store {
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	settings := &pebble.Options{Cache: cache, MemTableSize: 64 << 20, Logger: quiet{}}
	settings.EnsureDefaults()
	for i := range settings.Levels {
		settings.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		settings.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	db, err := pebble.Open(directory, settings)
	must(err)
	return &pebbleStore{db}
}

func (s *pebbleStore) set(key, value []byte) error { return s.db.Set(key, value, pebble.NoSync) }

func (s *pebbleStore) getInto(key, dst []byte) (int, error) {
	value, closer, err := s.db.Get(key)
	if err != nil {
		return 0, err
	}
	n := copy(dst, value)
	return n, closer.Close()
}

func (s *pebbleStore) get(key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if err != nil {
		return nil, err
	}
	value = append([]byte(nil), value...)
	return value, closer.Close()
}

func (s *pebbleStore) getMany(keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		value, err := s.get(key)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

func (s *pebbleStore) batch(pairs []pair) error {
	batch := s.db.NewBatch()
	defer batch.Close()
	for i := range pairs {
		if err := batch.Set(pairs[i].key[:], pairs[i].value[:], nil); err != nil {
			return err
		}
	}
	return batch.Commit(pebble.NoSync)
}

func (s *pebbleStore) close() error { return s.db.Close() }

// quiet says nothing of compactions; what is fatal still ends the program.
type quiet struct{}

func (quiet) Infof(string, ...any)                {}
func (quiet) Errorf(format string, values ...any) { pebble.DefaultLogger.Errorf(format, values...) }
func (quiet) Fatalf(format string, values ...any) { pebble.DefaultLogger.Fatalf(format, values...) }
