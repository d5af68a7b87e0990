//go:build larder_targets

package larder

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"
)

// Over the server that LARDER_TARGET names, with a library that opens servers: `make targets-test`.
func TestAServerIsOpenedLikeADirectory(t *testing.T) {
	db, err := Open(os.Getenv("LARDER_TARGET"), WithTimeout(5*time.Second), WithConnectTimeout(time.Second))
	must(t, err)
	must(t, db.Set([]byte("a"), []byte("1")))
	must(t, db.SetTTL([]byte("b"), nil, time.Hour))
	if value, err := db.Get([]byte("a")); err != nil || string(value) != "1" {
		t.Fatalf("%q, %v", value, err)
	}
	if _, err := db.Get([]byte("none")); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if ttl, err := db.TTL([]byte("b")); err != nil || ttl <= time.Minute {
		t.Fatalf("%v, %v", ttl, err)
	}
	buffer := make([]byte, 8)
	if n, err := db.GetInto([]byte("a"), buffer); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	batch := db.Batch()
	batch.Set([]byte("c"), []byte("3"))
	batch.Delete([]byte("a"))
	must(t, batch.Write())
	values, err := db.GetMany([][]byte{[]byte("a"), []byte("b"), []byte("c")})
	if err != nil || values[0] != nil || values[1] == nil || !bytes.Equal(values[2], []byte("3")) {
		t.Fatalf("%q, %v", values, err)
	}
	if keys, err := db.Keys(); err != nil || len(keys) != 2 {
		t.Fatalf("%q, %v", keys, err)
	}
	if _, err := db.Stats(); !errors.Is(err, ErrUnsupported) {
		t.Fatal(err)
	}
	must(t, db.Close())
	if _, err := db.Get([]byte("c")); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}
