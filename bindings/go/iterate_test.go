package larder

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"testing"
	"time"
)

// filled is a store of count entries "0000" → "value 0" and so on, and what it holds.
func filled(t testing.TB, count int) (*DB, map[string]string) {
	t.Helper()
	db, want := openNew(t), map[string]string{}
	batch := db.Batch()
	for i := range count {
		key, value := fmt.Sprintf("%04d", i), fmt.Sprint("value ", i)
		batch.Set([]byte(key), []byte(value))
		want[key] = value
	}
	must(t, batch.Write())
	return db, want
}

// collect takes everything from entries, and fails if a key comes twice.
func collect(t testing.TB, entries iter.Seq2[[]byte, []byte], failed func() error) map[string]string {
	t.Helper()
	got := map[string]string{}
	for key, value := range entries {
		if _, twice := got[string(key)]; twice {
			t.Errorf("%q came twice", key)
		}
		got[string(key)] = string(value)
	}
	must(t, failed())
	return got
}

func TestAllYieldsEveryLiveEntryOnce(t *testing.T) {
	db, want := filled(t, 5000)
	must(t, db.Set([]byte("empty"), nil))
	want["empty"] = ""
	must(t, db.Delete([]byte("0007")))
	delete(want, "0007")
	must(t, db.SetTTL([]byte("0008"), nil, time.Millisecond))
	delete(want, "0008")
	time.Sleep(10 * time.Millisecond)

	entries, failed := db.All()
	must(t, failed())
	for range 2 { // it may be used again
		if got := collect(t, entries, failed); !maps.Equal(got, want) {
			t.Errorf("%d entries, want %d", len(got), len(want))
		}
	}
}

func TestPrefixYieldsWhatBeginsWithIt(t *testing.T) {
	db, _ := filled(t, 3000)
	for prefix, want := range map[string]int{"": 3000, "1": 1000, "12": 100, "123": 10, "1234": 1, "12345": 0, "x": 0} {
		at := []byte(prefix)
		entries, failed := db.Prefix(at)
		for i := range at {
			at[i] = '?' // it is the caller's again
		}
		got := collect(t, entries, failed)
		if len(got) != want {
			t.Errorf("%d keys begin with %q, want %d", len(got), prefix, want)
		}
	}
}

func TestEntriesLargerThanTheReadAhead(t *testing.T) {
	db := openNew(t)
	want := map[string]string{}
	for i, length := range []int{0, 10, readAheadLen - entryHeadLen - 1, readAheadLen - entryHeadLen, readAheadLen, 3 * readAheadLen, 1 << 20, 5} {
		key, value := fmt.Sprint(i), string(bytes.Repeat([]byte{byte(i)}, length))
		must(t, db.Set([]byte(key), []byte(value)))
		want[key] = value
	}
	entries, failed := db.All()
	if got := collect(t, entries, failed); !maps.Equal(got, want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
}

func TestLeavingALoopEarlyClosesItsCursor(t *testing.T) {
	db, _ := filled(t, 2000)
	entries, failed := db.All()
	for how, leave := range map[string]func(){
		"break": func() {
			for range entries {
				break
			}
		},
		"return": func() {
			for range entries {
				return
			}
		},
		"panic": func() {
			defer func() { recover() }()
			for range entries {
				panic("out")
			}
		},
		"stop": func() {
			next, stop := iter.Pull2(entries)
			next()
			stop()
		},
	} {
		before := runtime.NumCgoCall()
		leave()
		// Open, fill once, close.
		if calls := runtime.NumCgoCall() - before; calls != 3 {
			t.Errorf("leaving by %s took %d calls, want 3", how, calls)
		}
		must(t, failed())
	}
}

func TestLoopsNest(t *testing.T) {
	db, _ := filled(t, 50)
	entries, failed := db.All()
	pairs := 0
	for outer := range entries {
		for inner := range entries {
			if len(outer) == len(inner) {
				pairs++
			}
		}
	}
	must(t, failed())
	if pairs != 50*50 {
		t.Errorf("%d pairs of 2500", pairs)
	}
}

func TestEntriesAreTheCallers(t *testing.T) {
	db, want := filled(t, 2000)
	got := map[string]string{}
	var keys, values [][]byte
	entries, failed := db.All()
	for key, value := range entries {
		keys, values = append(keys, key), append(values, value)
		_ = append(key, "over"...)
	}
	must(t, failed())
	for i := range keys {
		got[string(keys[i])] = string(values[i])
	}
	if !maps.Equal(got, want) {
		t.Error("entries changed after they were handed out")
	}
}

func TestALoopMayChangeTheStore(t *testing.T) {
	db, _ := filled(t, 3000)
	entries, failed := db.All()
	for key, value := range entries {
		if key[3] == '0' {
			must(t, db.Delete(key))
			continue
		}
		must(t, db.Set(key, append(value, " changed"...)))
	}
	must(t, failed())
	entries, failed = db.All()
	got := collect(t, entries, failed)
	if len(got) != 2700 {
		t.Errorf("%d entries are left, want 2700", len(got))
	}
	for key, value := range got {
		if want := fmt.Sprintf("value %d changed", number(key)); value != want {
			t.Fatalf("%q holds %q, want %q", key, value, want)
		}
	}
}

func number(key string) (n int) {
	fmt.Sscanf(key, "%d", &n)
	return n
}

func TestALoopOverAStoreThatIsClosedMeanwhileSaysSo(t *testing.T) {
	db, _ := filled(t, 5000)
	entries, failed := db.All()
	seen := 0
	for range entries {
		if seen++; seen == 1 {
			must(t, db.Close())
		}
	}
	if err := failed(); err != ErrClosed {
		t.Errorf("after %d entries: %v", seen, err)
	}
	if seen == 5000 {
		t.Error("the close was not noticed")
	}
}
