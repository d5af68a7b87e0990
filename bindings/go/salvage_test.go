package larder

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestSalvageRecoversAllButTheDamagedRecord(t *testing.T) {
	dir := t.TempDir()
	source, target := filepath.Join(dir, "source"), filepath.Join(dir, "target")
	db := openAt(t, source, WithSyncNone())
	for n := range 50 {
		must(t, db.Set(fmt.Appendf(nil, "key %d", n), bytes.Repeat([]byte{byte(n)}, 300)))
	}
	if _, err := Salvage(source, target); !errors.Is(err, ErrBusy) {
		t.Fatalf("a salvage beside a writer: %v", err)
	}
	must(t, db.Close())
	segments, err := filepath.Glob(filepath.Join(source, "*.seg"))
	must(t, err)
	hits := 0
	for _, name := range segments {
		content, err := os.ReadFile(name)
		must(t, err)
		if at := bytes.Index(content, bytes.Repeat([]byte{7}, 300)); at >= 0 {
			content[at+100] ^= 1
			must(t, os.WriteFile(name, content, 0o644))
			hits++
		}
	}
	if hits != 1 {
		t.Fatalf("the value was found %d times", hits)
	}
	report, err := Salvage(source, target, WithSegmentSize(64<<10))
	must(t, err)
	if report.Keys != 49 || !report.HasWholeManifest || len(report.Losses) != 1 ||
		!strings.Contains(report.Losses[0], "\t\"key 7\"\t-\t") {
		t.Fatalf("%+v", report)
	}
	salvaged := openAt(t, target)
	for n := range 50 {
		value, err := salvaged.Get(fmt.Appendf(nil, "key %d", n))
		switch {
		case n == 7 && errors.Is(err, ErrNotFound):
		case n != 7 && err == nil && bytes.Equal(value, bytes.Repeat([]byte{byte(n)}, 300)):
		default:
			t.Errorf("key %d: %v %v", n, value, err)
		}
	}
	if _, err := Salvage(source, target); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("a salvage into a store: %v", err)
	}
	if _, err := Salvage(source+"\x00", target); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("a zero byte: %v", err)
	}
	if _, err := Salvage(source, filepath.Join(dir, "new"), WithSegmentSize(1)); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("a wrong option: %v", err)
	}
}

func TestEveryFigureOfTheHeaderIsInSalvageReport(t *testing.T) {
	body := declarations(t, `(?s)typedef struct larder_salvage_report \{(.*?)\}`)
	if len(body) != 1 {
		t.Fatal("larder.h has no larder_salvage_report")
	}
	ours := reflect.TypeFor[SalvageReport]()
	fields := regexp.MustCompile(`uint64_t ([a-z_]+);`).FindAllStringSubmatch(body[0][1], -1)
	for _, field := range fields {
		var camel string
		for word := range strings.SplitSeq(field[1], "_") {
			camel += strings.ToUpper(word[:1]) + word[1:]
		}
		if _, ok := ours.FieldByName(camel); !ok {
			t.Errorf("SalvageReport has no %s", camel)
		}
	}
	if len(fields) != ours.NumField() {
		t.Errorf("larder_salvage_report has %d figures, SalvageReport %d", len(fields), ours.NumField())
	}
}
