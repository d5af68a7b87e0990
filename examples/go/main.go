// The demo's second step: Go takes over the store that the C program has filled.
//
//	go run . <store> <directory>        or: go run . -dir <store> -root <directory>
//
// Every regular file below the directory is a key of the store, its path, with the file's bytes.
// This program compares all of them with the files, copies every tenth under a new key, deletes
// those whose path has a given ending, looks at what it did, and writes it down for the next step:
// the key demo/changed lists it, a line each,
//
//	set copy/<path>     whose value is the file's bytes and "copied by go\n"
//	del <path>
//
// Run twice, it finds its own changes and leaves the same store behind.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"larder.dev/go"
)

// settings is what the command line says.
type settings struct {
	store      string        // the store's directory
	root       string        // the files' directory
	deleted    string        // the ending of the paths to delete
	copyEvery  int           // copy each so-manieth
	copiesLive time.Duration // time to live of the copies
}

func main() {
	var s settings
	flag.StringVar(&s.store, "dir", "", "directory of the `store`")
	flag.StringVar(&s.root, "root", "", "`directory` of the files that it holds")
	flag.StringVar(&s.deleted, "delete", ".toml", "`ending` of the paths to delete")
	flag.IntVar(&s.copyEvery, "every", 10, "copy each `n`-th file")
	flag.DurationVar(&s.copiesLive, "ttl", 24*time.Hour, "how long the copies live")
	flag.Parse()
	if s.store == "" && s.root == "" && flag.NArg() == 2 {
		s.store, s.root = flag.Arg(0), flag.Arg(1)
	}
	if s.store == "" || s.root == "" || s.copyEvery < 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "change:", err)
		os.Exit(1)
	}
}

// run is the whole program, over a store that is closed in any case.
func run(s settings) (err error) {
	paths, err := filesBelow(s.root)
	if err != nil {
		return err
	}

	began := time.Now()
	db, err := larder.Open(s.store, larder.WithoutCreate())
	if err != nil {
		return err
	}
	defer func() {
		// Close tells of the last sync's error: it must not get lost.
		if closing := db.Close(); err == nil {
			err = closing
		}
	}()
	report(began, "opened the store, liblarder %s", larder.Version())

	changes, err := readChanges(db)
	if err != nil {
		return err
	}
	began = time.Now()
	count, size, err := compareAll(db, s.root, paths, changes)
	if err != nil {
		return err
	}
	report(began, "compared %d keys, %s, with the files: all alike", count, human(size))

	began = time.Now()
	done, err := change(db, s, paths, changes)
	if err != nil {
		return err
	}
	report(began, "copied %d keys, %s, to live for %v, and deleted %d; batches: %d", done.copied, human(done.copiedBytes),
		s.copiesLive, done.deleted, done.batches)

	began = time.Now()
	size, err = checkChanges(db, s.root, changes)
	if err != nil {
		return err
	}
	report(began, "read %d copies back, %s, and missed %d deleted keys", len(changes.copied), human(size), len(changes.deleted))

	stats, err := db.Stats()
	if err != nil {
		return err
	}
	fmt.Printf("%d keys now, %s live in %d segments of %s\n", stats.Keys, human(int64(stats.LiveBytes)), stats.Segments,
		human(int64(stats.FileBytes)))
	return nil
}

// filesBelow lists the regular files that the C program stores, in lexical order: those of
// directories named .git, target or build are left out, links are not followed.
func filesBelow(root string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case ".git", "target", "build":
				if path != root {
					return fs.SkipDir
				}
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		relative, err := filepath.Rel(root, path)
		paths = append(paths, filepath.ToSlash(relative))
		return err
	})
	return paths, err
}

func report(began time.Time, format string, args ...any) {
	fmt.Printf("%8.1f ms  %s\n", float64(time.Since(began).Microseconds())/1000, fmt.Sprintf(format, args...))
}

// human is size with a unit.
func human(size int64) string {
	value, units := float64(size), []string{"bytes", "KiB", "MiB", "GiB"}
	for len(units) > 1 && value >= 1024 {
		value, units = value/1024, units[1:]
	}
	return strings.Replace(fmt.Sprintf("%.1f %s", value, units[0]), ".0 bytes", " bytes", 1)
}
