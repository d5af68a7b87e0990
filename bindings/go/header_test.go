package larder

import (
	"bytes"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The header in this directory is a copy: `go mod vendor` and the module cache take what lies beside
// .go files, and nothing from above the module.
//
//go:generate cp ../../include/larder.h larder.h

func TestTheHeaderHereIsTheLibrarys(t *testing.T) {
	ours, err := os.ReadFile("larder.h")
	must(t, err)
	theirs, err := os.ReadFile("../../include/larder.h")
	if os.IsNotExist(err) {
		t.Skip("SKIPPED: this package is not in the library's source tree")
	}
	must(t, err)
	if !bytes.Equal(ours, theirs) {
		t.Error("larder.h differs from include/larder.h: run go generate")
	}
}

// notBound are the functions of the header that this package leaves out, and why.
var notBound = map[string]string{
	"larder_get":            "larder_get_into does the same without memory of C's",
	"larder_version_number": "Version is the same as text",
}

func TestEveryFunctionOfTheHeaderIsBoundOrLeftOutOnPurpose(t *testing.T) {
	bound, err := os.ReadFile("bridge.h")
	must(t, err)
	boundInGo, err := os.ReadFile("bridge.go")
	must(t, err)
	bound = append(bound, boundInGo...)
	functions := declarations(t, `\b(larder_[a-z_]+)\(`)
	if len(functions) < 20 {
		t.Fatalf("only %d functions were found in larder.h", len(functions))
	}
	for _, match := range functions {
		name := match[1]
		_, left := notBound[name]
		if calls := bytes.Contains(bound, []byte(name+"(")); calls == left {
			t.Errorf("%s: bound %v, left out on purpose %v", name, calls, left)
		}
	}
}

func TestEveryStatusHasItsNumberNameAndError(t *testing.T) {
	statuses := declarations(t, `(?m)^#define (LARDER_[A-Z_]+) (\d+)$`)
	named := 0
	for _, match := range statuses {
		n, err := strconv.Atoi(match[2])
		must(t, err)
		if Status(n).String() != match[1] {
			continue // another kind of constant
		}
		named++
		if match[1] == "LARDER_OK" || match[1] == "LARDER_DONE" {
			continue
		}
		if _, ok := sentinels[Status(n)]; !ok {
			t.Errorf("%s (%d) has no error value", match[1], n)
		}
	}
	if named < len(sentinels)+2 {
		t.Errorf("larder.h names %d of %d statuses", named, len(sentinels)+2)
	}
}

func TestEveryFigureOfTheHeaderIsInStats(t *testing.T) {
	body := declarations(t, `(?s)typedef struct larder_stats \{(.*?)\}`)
	if len(body) != 1 {
		t.Fatal("larder.h has no larder_stats")
	}
	ours := reflect.TypeFor[Stats]()
	count := 0
	for _, field := range regexp.MustCompile(`uint64_t ([a-z_, ]+);`).FindAllStringSubmatch(body[0][1], -1) {
		for name := range strings.SplitSeq(field[1], ",") {
			var camel string
			for word := range strings.SplitSeq(strings.TrimSpace(name), "_") {
				camel += strings.ToUpper(word[:1]) + word[1:]
			}
			if _, ok := ours.FieldByName(camel); !ok {
				t.Errorf("Stats has no %s", camel)
			}
			count++
		}
	}
	if count != ours.NumField() {
		t.Errorf("larder_stats has %d figures, Stats %d", count, ours.NumField())
	}
}

// declarations finds pattern in larder.h, comments left out.
func declarations(t *testing.T, pattern string) [][]string {
	t.Helper()
	header, err := os.ReadFile("larder.h")
	must(t, err)
	code := regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`).ReplaceAllString(string(header), "")
	return regexp.MustCompile(pattern).FindAllStringSubmatch(code, -1)
}
