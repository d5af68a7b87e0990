package larder_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"larder.dev/go"
)

// opened is a new store for an example, and what removes it.
func opened() (*larder.DB, func()) {
	dir, err := os.MkdirTemp("", "larder-example-")
	if err != nil {
		log.Fatal(err)
	}
	db, err := larder.Open(filepath.Join(dir, "store"))
	if err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
		os.RemoveAll(dir)
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "larder-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	db, err := larder.Open(filepath.Join(dir, "store"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	if err := db.Set([]byte("greeting"), []byte("hello")); err != nil {
		log.Fatal(err)
	}
	value, err := db.Get([]byte("greeting"))
	fmt.Printf("%s %v\n", value, err)

	_, err = db.Get([]byte("farewell"))
	fmt.Println(errors.Is(err, larder.ErrNotFound))
	// Output:
	// hello <nil>
	// true
}

func ExampleDB_GetInto() {
	db, done := opened()
	defer done()
	db.Set([]byte("key"), []byte("value"))

	buffer := make([]byte, 2)
	n, err := db.GetInto([]byte("key"), buffer)
	if err == larder.ErrBufferTooSmall {
		buffer = make([]byte, n)
		n, err = db.GetInto([]byte("key"), buffer)
	}
	fmt.Printf("%s %v\n", buffer[:n], err)
	// Output: value <nil>
}

func ExampleDB_View() {
	db, done := opened()
	defer done()
	db.Set([]byte("key"), make([]byte, 1<<20))

	err := db.View([]byte("key"), func(value []byte) error {
		fmt.Println(len(value), "bytes, not copied")
		return nil
	})
	fmt.Println(err)
	// Output:
	// 1048576 bytes, not copied
	// <nil>
}

func ExampleDB_Batch() {
	db, done := opened()
	defer done()
	db.Set([]byte("account/1"), []byte("10"))

	batch := db.Batch()
	batch.Set([]byte("account/2"), []byte("10"))
	batch.Delete([]byte("account/1"))
	if err := batch.Write(); err != nil {
		log.Fatal(err) // and nothing was changed
	}

	keys, err := db.Keys()
	fmt.Printf("%s %v\n", keys, err)
	// Output: [account/2] <nil>
}

func ExampleDB_GetMany() {
	db, done := opened()
	defer done()
	db.Set([]byte("a"), []byte("1"))
	db.Set([]byte("c"), nil)

	values, err := db.GetMany([][]byte{[]byte("a"), []byte("b"), []byte("c")})
	fmt.Printf("%q %v %v\n", values, values[1] == nil, err)
	// Output: ["1" "" ""] true <nil>
}

func ExampleDB_Prefix() {
	db, done := opened()
	defer done()
	db.Set([]byte("fruit/apple"), []byte("red"))
	db.Set([]byte("fruit/lemon"), []byte("yellow"))
	db.Set([]byte("fish/trout"), []byte("brown"))

	var found []string
	entries, failed := db.Prefix([]byte("fruit/"))
	for key, value := range entries {
		found = append(found, fmt.Sprintf("%s is %s", key, value))
	}
	if err := failed(); err != nil {
		log.Fatal(err)
	}
	slices.Sort(found) // they come in no particular order
	fmt.Println(found)
	// Output: [fruit/apple is red fruit/lemon is yellow]
}

func ExampleDB_SetTTL() {
	db, done := opened()
	defer done()

	db.SetTTL([]byte("session"), []byte("token"), time.Hour)
	ttl, err := db.TTL([]byte("session"))
	fmt.Println(ttl.Round(time.Minute), err)

	db.Persist([]byte("session"))
	ttl, err = db.TTL([]byte("session"))
	fmt.Println(ttl == larder.NoExpiry, err)
	// Output:
	// 1h0m0s <nil>
	// true <nil>
}

func ExampleDB_SetIfAbsent() {
	db, done := opened()
	defer done()

	fmt.Println(db.SetIfAbsent([]byte("leader"), []byte("me")))
	err := db.SetIfAbsent([]byte("leader"), []byte("you"))
	fmt.Println(errors.Is(err, larder.ErrExists))
	// Output:
	// <nil>
	// true
}
