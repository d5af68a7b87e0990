package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"larder.dev/go"
)

const (
	changedKey = "demo/changed"
	copyPrefix = "copy/"
	copySuffix = "copied by go\n"

	batchLenMax = 4 << 20 // bytes of values that go into one batch
	lookupCount = 64      // keys per GetMany
)

// changes is what the store differs in from the files: the list under demo/changed.
type changes struct {
	copied, deleted map[string]bool // by path
}

// readChanges reads the list that an earlier run left, if there was one.
func readChanges(db *larder.DB) (changes, error) {
	c := changes{map[string]bool{}, map[string]bool{}}
	list, err := db.Get([]byte(changedKey))
	if errors.Is(err, larder.ErrNotFound) {
		return c, nil
	}
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSuffix(line, "\n")
		if path, ok := strings.CutPrefix(line, "set "+copyPrefix); ok {
			c.copied[path] = true
		} else if path, ok := strings.CutPrefix(line, "del "); ok {
			c.deleted[path] = true
		} else {
			return c, fmt.Errorf("%s has a line that says neither set nor del: %q", changedKey, line)
		}
	}
	return c, err
}

// list is the text form, sorted.
func (c changes) list() []byte {
	var lines []string
	for path := range c.copied {
		lines = append(lines, "set "+copyPrefix+path+"\n")
	}
	for path := range c.deleted {
		lines = append(lines, "del "+path+"\n")
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, ""))
}

// copyOf is what the copy of path must hold.
func copyOf(root, path string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	return append(content, copySuffix...), err
}

// compareAll goes through the whole store with an iterator and compares it with the files, both
// ways: nothing may differ, be missing or be too many.
func compareAll(db *larder.DB, root string, paths []string, c changes) (count int, size int64, err error) {
	missing := map[string]bool{}
	for _, path := range paths {
		missing[path] = !c.deleted[path]
	}
	entries, failed := db.All()
	for key, value := range entries {
		name := string(key)
		if name == changedKey {
			continue
		}
		count++
		size += int64(len(value))
		var want []byte
		switch path, isCopy := strings.CutPrefix(name, copyPrefix); {
		case missing[name]:
			missing[name] = false
			want, err = os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		case isCopy && c.copied[path]:
			want, err = copyOf(root, path)
		default:
			err = fmt.Errorf("the store holds %q, which is no file", name)
		}
		if err != nil {
			return count, size, err
		}
		if !bytes.Equal(value, want) {
			return count, size, fmt.Errorf("%q holds %d bytes, which differ from the file's %d", name, len(value), len(want))
		}
	}
	if err := failed(); err != nil {
		return count, size, err
	}
	for _, path := range paths {
		if missing[path] {
			return count, size, fmt.Errorf("%q is missing in the store", path)
		}
	}
	return count, size, nil
}

// done counts what change did.
type done struct {
	copied, deleted, batches int
	copiedBytes              int64
}

// change copies and deletes, and records it in c. Each batch also carries the list of all that was
// done so far, so that the two agree wherever the program is stopped.
func change(db *larder.DB, s settings, paths []string, c changes) (done, error) {
	isFile := map[string]bool{}
	for _, path := range paths {
		isFile[path] = true
	}
	var d done
	var pendingLen int
	batch := db.Batch()
	write := func() error {
		batch.Set([]byte(changedKey), c.list())
		d.batches++
		pendingLen = 0
		return batch.Write()
	}
	for i, path := range paths {
		// The list has a line per path, so a path of two lines has to stay as it is.
		if strings.ContainsAny(path, "\r\n") {
			continue
		}
		// A file below a directory that is itself named copy is not to be overwritten.
		if i%s.copyEvery == 0 && !isFile[copyPrefix+path] {
			value, err := copyOf(s.root, path)
			if err != nil {
				return d, err
			}
			batch.SetTTL([]byte(copyPrefix+path), value, s.copiesLive)
			c.copied[path] = true
			d.copied++
			d.copiedBytes += int64(len(value))
			pendingLen += len(value)
		}
		if strings.HasSuffix(path, s.deleted) && !c.deleted[path] {
			batch.Delete([]byte(path))
			c.deleted[path] = true
			d.deleted++
		}
		if pendingLen >= batchLenMax {
			if err := write(); err != nil {
				return d, err
			}
		}
	}
	return d, write()
}

// checkChanges reads all copies back, many at a time, and looks for what was deleted.
func checkChanges(db *larder.DB, root string, c changes) (size int64, err error) {
	var paths []string
	for path := range c.copied {
		paths = append(paths, path)
	}
	for group := range slices.Chunk(paths, lookupCount) {
		var keys [][]byte
		for _, path := range group {
			keys = append(keys, []byte(copyPrefix+path))
		}
		values, err := db.GetMany(keys)
		if err != nil {
			return size, err
		}
		for i, path := range group {
			want, err := copyOf(root, path)
			if err != nil {
				return size, err
			}
			if values[i] == nil || !bytes.Equal(values[i], want) {
				return size, fmt.Errorf("%q is not the copy that was written", keys[i])
			}
			if _, err := db.TTL(keys[i]); err != nil {
				return size, fmt.Errorf("time to live of %q: %w", keys[i], err)
			}
			size += int64(len(want))
		}
	}
	for path := range c.deleted {
		if has, err := db.Has([]byte(path)); has || err != nil {
			return size, fmt.Errorf("%q was deleted: there %v, error %v", path, has, err)
		}
	}
	return size, nil
}
