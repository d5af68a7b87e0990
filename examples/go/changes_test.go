package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"larder.dev/go"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// loaded is a directory of files and a store that holds them, as the C program leaves it.
func loaded(t *testing.T) (s settings, files map[string][]byte) {
	t.Helper()
	s = settings{store: filepath.Join(t.TempDir(), "store"), root: t.TempDir(), deleted: ".toml", copyEvery: 10, copiesLive: time.Hour}
	files = map[string][]byte{"empty": {}, "a.toml": []byte("a = 1\n"), "sub/b.toml": nil, "copy/f000": []byte("a file, no copy"),
		"two\nlines": []byte("x"), "sub/large": bytes.Repeat([]byte("large "), 1<<20)}
	for i := range 95 {
		files[fmt.Sprintf("f%03d", i)] = fmt.Appendf(nil, "content %d", i)
	}
	db, err := larder.Open(s.store)
	must(t, err)
	batch := db.Batch()
	for path, content := range files {
		batch.Set([]byte(path), content)
	}
	must(t, batch.Write())
	must(t, db.Close())

	for _, left := range []string{".git/config", "sub/target/x", "build/y"} {
		files[left] = []byte("not to be stored")
	}
	for path, content := range files {
		at := filepath.Join(s.root, path)
		must(t, os.MkdirAll(filepath.Dir(at), 0o777))
		must(t, os.WriteFile(at, content, 0o666))
	}
	for _, left := range []string{".git/config", "sub/target/x", "build/y"} {
		delete(files, left)
	}
	return s, files
}

func TestTheStoreIsWhatTheListSays(t *testing.T) {
	s, files := loaded(t)
	for round := range 2 {
		must(t, run(s))

		db, err := larder.Open(s.store)
		must(t, err)
		list, err := db.Get([]byte(changedKey))
		must(t, err)
		want := map[string][]byte{changedKey: list}
		for path, content := range files {
			want[path] = content
		}
		var set, del int
		for _, line := range strings.Split(strings.TrimSuffix(string(list), "\n"), "\n") {
			if path, ok := strings.CutPrefix(line, "set copy/"); ok {
				set++
				want["copy/"+path] = append(bytes.Clone(files[path]), "copied by go\n"...)
			} else if path, ok := strings.CutPrefix(line, "del "); ok {
				del++
				if _, ok := files[path]; !ok {
					t.Errorf("round %d: %q is listed as deleted and never was there", round, path)
				}
				delete(want, path)
			} else {
				t.Errorf("round %d: line %q", round, line)
			}
		}
		if set < 9 || del != 2 {
			t.Errorf("round %d: %d set, %d deleted", round, set, del)
		}
		entries, failed := db.All()
		for key, value := range entries {
			content, ok := want[string(key)]
			if !ok || !bytes.Equal(content, value) {
				t.Errorf("round %d: %q holds %d bytes, want %d (%v)", round, key, len(value), len(content), ok)
			}
			delete(want, string(key))
		}
		must(t, failed())
		for key := range want {
			t.Errorf("round %d: %q is missing", round, key)
		}
		must(t, db.Close())
	}
}

func TestAnyDifferenceIsNoticed(t *testing.T) {
	for what, spoil := range map[string]func(db *larder.DB) error{
		"f007":  func(db *larder.DB) error { return db.Set([]byte("f007"), []byte("another")) },
		"f008":  func(db *larder.DB) error { return db.Delete([]byte("f008")) },
		"extra": func(db *larder.DB) error { return db.Set([]byte("extra"), nil) },
	} {
		s, _ := loaded(t)
		db, err := larder.Open(s.store)
		must(t, err)
		must(t, spoil(db))
		must(t, db.Close())
		if err := run(s); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestDirectoriesOfToolsAreLeftOut(t *testing.T) {
	s, files := loaded(t)
	paths, err := filesBelow(s.root)
	must(t, err)
	if len(paths) != len(files) {
		t.Errorf("%d files, want %d", len(paths), len(files))
	}
	if i := slices.IndexFunc(paths, func(path string) bool { _, ok := files[path]; return !ok }); i >= 0 {
		t.Errorf("%q is among them", paths[i])
	}
}
