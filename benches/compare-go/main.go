// Command compare measures Larder's Go binding beside bbolt, Badger and Pebble.
//
// Each store runs in a process of its own, one after the other and round after round. What they
// measure is written as JSON, from which `make bench-compare-render` makes a table of
// docs/benchmarks.md. 16-byte hashed keys, 100-byte values, no sync per operation.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// measured is one row of one round. The names of its fields are those of benches/compare.
type measured struct {
	Engine string  `json:"engine"`
	Row    string  `json:"row"`
	Keys   uint64  `json:"keys"`
	Value  float64 `json:"value"`
}

// part is what a run writes: the format of benches/compare/src/results.rs.
type part struct {
	Part     string      `json:"part"`
	Keys     uint64      `json:"keys"`
	Rounds   uint64      `json:"rounds"`
	Commit   string      `json:"commit"`
	Machine  []string    `json:"machine"`
	Load     [2]float64  `json:"load"`
	Engines  [][2]string `json:"engines"`
	LeftOut  []string    `json:"left_out"`
	Measured []measured  `json:"measured"`
}

var (
	keyCount  = flag.Uint64("keys", 1_000_000, "how many keys")
	rounds    = flag.Uint64("rounds", 3, "how often each store runs")
	seconds   = flag.Float64("seconds", 4, "longest time of a row")
	directory = flag.String("directory", os.TempDir(), "on the disk that is to be measured")
	results   = flag.String("results", ".", "where go-KEYS.json is written")
	child     = flag.String("child", "", "run this store, in -directory, and print what it does")
	round     = flag.Uint64("round", 0, "of a child")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if *keyCount == 0 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if *child != "" {
		open, found := stores[*child]
		if !found {
			log.Fatalf("no store %s", *child)
		}
		encoder := json.NewEncoder(os.Stdout)
		work(*child, open(*directory), *keyCount, *round, time.Duration(*seconds*float64(time.Second)), func(m measured) {
			if err := encoder.Encode(m); err != nil {
				log.Fatal(err)
			}
		})
		return
	}
	if !run() {
		os.Exit(1)
	}
}

// run has each store run in turn, and writes what they measured; false if one has failed.
func run() bool {
	all := part{
		Part: "go", Keys: *keyCount, Rounds: *rounds, Commit: output("git", "rev-parse", "--short", "HEAD"),
		Machine: []string{output("go", "version")}, Load: [2]float64{load(), 0}, LeftOut: []string{},
	}
	for _, name := range names {
		all.Engines = append(all.Engines, [2]string{name, about(name)})
	}
	for round := range *rounds {
		for _, name := range names {
			log.Printf("go, %d keys, round %d of %d: %s", *keyCount, round+1, *rounds, name)
			rows, err := runChild(name, round)
			all.Measured = append(all.Measured, rows...)
			if err != nil {
				all.LeftOut = append(all.LeftOut, fmt.Sprintf("go, %s, round %d: %v", name, round+1, err))
				log.Println("LEFT OUT:", all.LeftOut[len(all.LeftOut)-1])
			}
		}
	}
	all.Load[1] = load()
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(*results, fmt.Sprintf("go-%d.json", *keyCount))
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		log.Fatal(err)
	}
	log.Println(path)
	return len(all.LeftOut) == 0
}

func runChild(name string, round uint64) ([]measured, error) {
	scratch, err := os.MkdirTemp(*directory, "larder-compare-go-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(program, "-child", name, "-keys", strconv.FormatUint(*keyCount, 10),
		"-round", strconv.FormatUint(round, 10), "-seconds", strconv.FormatFloat(*seconds, 'f', -1, 64), "-directory", scratch)
	command.Stderr = os.Stderr
	printed, err := command.Output()
	if err != nil {
		return nil, err
	}
	var rows []measured
	lines := bufio.NewScanner(bytes.NewReader(printed))
	for lines.Scan() {
		var row measured
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return rows, fmt.Errorf("it said %q: %w", lines.Text(), err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// versionOf is the version of a module that this program was built with.
func versionOf(module string) string {
	info, found := debug.ReadBuildInfo()
	if found {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return dependency.Version
			}
		}
	}
	return "of unknown version"
}

func output(program string, arguments ...string) string {
	printed, err := exec.Command(program, arguments...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(printed))
}

// load is how many threads the machine had to run, on average over a minute.
func load() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	average, _, _ := strings.Cut(string(text), " ")
	value, _ := strconv.ParseFloat(average, 64)
	return value
}
