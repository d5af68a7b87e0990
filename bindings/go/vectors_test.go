package larder

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The conformance vectors that every language's binding passes; tests/vectors/README.md has the verbs.
const vectorsFile = "../../tests/vectors/vectors.jsonl"

// vectorsLeftOut are the verbs that this package has no way to say, and why.
var vectorsLeftOut = map[string]string{
	"write_packed": "Batch writes the packed form, nobody writes it by hand",
}

type vectorStep struct {
	Case      string
	Do        string
	On, As    string
	At        string
	Location  *string
	Options   [][2]string
	Key       string
	Value     string
	Capacity  int
	Need      int
	Flags     []string
	TTLMillis *int64          `json:"ttl_ms"`
	AtLeast   *int64          `json:"at_least_ms"`
	AtMost    int64           `json:"at_most_ms"`
	Status    json.RawMessage // a string, or several
	Message   []string
	Errno     *uint64 `json:"os_errno"`
	Offset    string
	Version   string
	Count     uint64
	Bad       *uint64 `json:"bad_records"`
	Figures   map[string]uint64
	Prefix    string
	Pairs     [][2]string
	OneOf     [][2]string `json:"one_of"`
	Ops       json.RawMessage
	Sync      bool
	Keys      []string
	Values    []*string
	Number    int32
	Name      string
	Ms        int64
	Find      string
	ABI       int
	BadOffset uint64 `json:"bad_offset"` // of write_packed, which is left out
}

func TestEveryVectorHoldsHere(t *testing.T) {
	file, err := os.Open(vectorsFile)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("SKIPPED: this package is not in the library's source tree")
	}
	must(t, err)
	defer file.Close()
	var names []string
	steps := map[string][]vectorStep{}
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		var step vectorStep
		if err := decoder.Decode(&step); err != nil {
			t.Fatalf("line %d: %v", number, err)
		}
		if step.Case != "" {
			names = append(names, step.Case)
			continue
		}
		last := names[len(names)-1]
		steps[last] = append(steps[last], step)
	}
	must(t, lines.Err())
	if len(names) < 20 {
		t.Fatalf("%d cases", len(names))
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			run := vectorRun{t: t, dir: t.TempDir(), dbs: map[string]*DB{}, cursors: map[string]*vectorCursor{}, views: map[string]*vectorView{}}
			defer run.end()
			for n, step := range steps[name] {
				if _, left := vectorsLeftOut[step.Do]; left {
					continue
				}
				if err := run.judge(step, run.carryOut(step)); err != nil {
					t.Fatalf("step %d, %s: %v", n+1, step.Do, err)
				}
			}
		})
	}
}

type vectorRun struct {
	t       *testing.T
	dir     string
	dbs     map[string]*DB
	cursors map[string]*vectorCursor
	views   map[string]*vectorView
	version uint64
}

// A vectorCursor is a range loop that the steps pull pairs out of.
type vectorCursor struct {
	next func() ([]byte, []byte, bool)
	stop func()
	err  func() error
}

// A vectorView is a View whose function waits until the view is released.
type vectorView struct {
	value   []byte
	release chan struct{}
	ended   chan error
}

// errDiffers is what a step found that is not as the vectors say, as against what the library said.
type errDiffers string

func (e errDiffers) Error() string { return string(e) }

func differs(format string, arguments ...any) error {
	return errDiffers(fmt.Sprintf(format, arguments...))
}

func (r *vectorRun) end() {
	for _, cursor := range r.cursors {
		cursor.stop()
	}
	for _, view := range r.views {
		close(view.release)
		<-view.ended
	}
	for _, db := range r.dbs {
		_ = db.Close()
	}
}

// bytesOfVector are bytes as the vectors write them: "hex:00ff", "repeat:00ff*3", or the text itself.
func bytesOfVector(text string) []byte {
	if digits, ok := strings.CutPrefix(text, "hex:"); ok {
		return vectorHex(digits)
	}
	if rest, ok := strings.CutPrefix(text, "repeat:"); ok {
		unit, count, _ := strings.Cut(rest, "*")
		n, err := strconv.Atoi(count)
		if err != nil {
			panic(err)
		}
		return bytes.Repeat(vectorHex(unit), n)
	}
	return []byte(text)
}

func vectorHex(digits string) []byte {
	decoded, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return decoded
}

func nameOr(name, missing string) string {
	if name == "" {
		return missing
	}
	return name
}

// judge compares how a step ended with what it says.
func (r *vectorRun) judge(step vectorStep, err error) error {
	var wrong errDiffers
	if errors.As(err, &wrong) {
		return wrong
	}
	status, failure := "LARDER_OK", new(Error)
	if err != nil {
		if !errors.As(err, &failure) {
			return err
		}
		status = failure.Status.String()
	}
	wanted := []string{"LARDER_OK"}
	if len(step.Status) > 0 && json.Unmarshal(step.Status, &wanted) != nil {
		must(r.t, json.Unmarshal(step.Status, &wanted[0]))
	}
	switch {
	case !slices.Contains(wanted, status):
		return differs("%s (%v) instead of %v", status, err, wanted)
	case step.Errno != nil && uint64(failure.Errno) != *step.Errno:
		return differs("errno %d", failure.Errno)
	case step.Offset != "" && failure.Offset == 0:
		return differs("no offset")
	case step.Do == "verify" && step.Bad != nil && failure.BadRecords != *step.Bad:
		return differs("%d bad records", failure.BadRecords)
	}
	for _, word := range step.Message {
		if !strings.Contains(failure.Text, word) {
			return differs("no %q in %q", word, failure.Text)
		}
	}
	return nil
}

func (r *vectorRun) carryOut(step vectorStep) error {
	switch step.Do {
	case "version":
		if parts := strings.Split(Version(), "."); len(parts) != 3 {
			return differs("version %s", Version())
		}
		return nil
	case "status_name":
		if got := Status(step.Number).String(); got != step.Name {
			return differs("%s", got)
		}
		return nil
	case "sleep":
		time.Sleep(time.Duration(step.Ms) * time.Millisecond)
		return nil
	case "write_file":
		path := filepath.Join(r.dir, step.At)
		return errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, bytesOfVector(step.Value), 0o666))
	case "flip":
		return r.flip(step)
	case "open":
		return r.open(step)
	case "cursor_next", "cursor_close":
		return r.ofCursor(step)
	case "view_check", "view_release":
		return r.ofView(step)
	}
	db := r.dbs[nameOr(step.On, "db")]
	if db == nil {
		return differs("no such store")
	}
	return r.ofStore(db, step)
}

func (r *vectorRun) flip(step vectorStep) error {
	paths, _ := filepath.Glob(filepath.Join(r.dir, step.At, "*.seg"))
	for _, path := range paths {
		content, err := os.ReadFile(path)
		must(r.t, err)
		if at := bytes.Index(content, bytesOfVector(step.Find)); at >= 0 {
			content[at] ^= 1
			return os.WriteFile(path, content, 0o666)
		}
	}
	return differs("no segment has these bytes")
}

func (r *vectorRun) open(step vectorStep) error {
	var options []Option
	for _, option := range step.Options {
		options = append(options, WithOption(option[0], option[1]))
	}
	location := filepath.Join(r.dir, step.At)
	if step.Location != nil {
		location = *step.Location
	}
	db, err := Open(location, options...)
	if err == nil {
		r.dbs[nameOr(step.As, "db")] = db
	}
	return err
}

func (r *vectorRun) ofStore(db *DB, step vectorStep) error {
	key, value := bytesOfVector(step.Key), bytesOfVector(step.Value)
	switch step.Do {
	case "close", "close_again":
		return db.Close()
	case "set":
		return db.Set(key, value)
	case "get":
		got, err := db.Get(key)
		return orDiffers(err, err != nil || got != nil && bytes.Equal(got, value), "another value")
	case "get_into":
		return getIntoVector(db, step)
	case "exists":
		found, err := db.Has(key)
		if err == nil && !found {
			return ErrNotFound
		}
		return err
	case "del":
		return db.Delete(key)
	case "set_with":
		return r.setWith(db, step)
	case "ttl":
		return ttlVector(db, step)
	case "expire":
		return db.Expire(key, millisOrNoExpiry(*step.TTLMillis))
	case "len":
		got, err := db.Len()
		return orDiffers(err, err != nil || got == step.Count, "another count")
	case "sync":
		return db.Sync()
	case "compact":
		return db.Compact()
	case "verify":
		return db.Verify()
	case "stats":
		return statsVector(db, step)
	case "scan":
		return scanVector(db, step)
	case "cursor_open":
		return r.openCursor(db, step)
	case "view":
		return r.openView(db, step)
	case "batch":
		return batchVector(db, step)
	case "get_many":
		return getManyVector(db, step)
	}
	return differs("a verb that is not known")
}

func orDiffers(err error, same bool, what string) error {
	if err == nil && !same {
		return errDiffers(what)
	}
	return err
}

func millisOrNoExpiry(ms int64) time.Duration {
	if ms == -1 {
		return NoExpiry
	}
	return time.Duration(ms) * time.Millisecond
}

func getIntoVector(db *DB, step vectorStep) error {
	untouched := bytes.Repeat([]byte{0xaa}, step.Capacity)
	dst := bytes.Clone(untouched)
	n, err := db.GetInto(bytesOfVector(step.Key), dst)
	if errors.Is(err, ErrBufferTooSmall) && (n != step.Need || !bytes.Equal(dst, untouched)) {
		return differs("need %d, or the buffer was touched", n)
	}
	return orDiffers(err, err != nil || bytes.Equal(dst[:n], bytesOfVector(step.Value)), "another value")
}

func (r *vectorRun) setWith(db *DB, step vectorStep) error {
	options := SetOptions{KeepTTL: *step.TTLMillis == -1}
	if !options.KeepTTL {
		options.TTL = time.Duration(*step.TTLMillis) * time.Millisecond
	}
	for _, flag := range step.Flags {
		options.IfAbsent = options.IfAbsent || flag == "if_absent"
		options.IfPresent = options.IfPresent || flag == "if_present"
		options.Sync = options.Sync || flag == "sync"
	}
	version, err := db.SetWith(bytesOfVector(step.Key), bytesOfVector(step.Value), options)
	if err != nil {
		return err
	}
	last := r.version
	r.version = version
	return orDiffers(nil, step.Version == "" || version > last, "the version fell")
}

func ttlVector(db *DB, step vectorStep) error {
	left, err := db.TTL(bytesOfVector(step.Key))
	if err != nil {
		return err
	}
	ms := left.Milliseconds()
	if left == NoExpiry {
		ms = -1
	}
	if step.TTLMillis != nil && ms != *step.TTLMillis || step.AtLeast != nil && (ms < *step.AtLeast || ms > step.AtMost) {
		return differs("%d ms left", ms)
	}
	return nil
}

func statsVector(db *DB, step vectorStep) error {
	stats, err := db.Stats()
	if err != nil {
		return err
	}
	for name, want := range step.Figures {
		var camel string
		for word := range strings.SplitSeq(name, "_") {
			camel += strings.ToUpper(word[:1]) + word[1:]
		}
		if got := reflect.ValueOf(stats).FieldByName(camel).Uint(); got != want {
			return differs("%s is %d", name, got)
		}
	}
	return nil
}

func scanVector(db *DB, step vectorStep) error {
	want := map[string]string{}
	for _, pair := range step.Pairs {
		want[string(bytesOfVector(pair[0]))] = string(bytesOfVector(pair[1]))
	}
	got, count := map[string]string{}, 0
	pairs, failed := db.Prefix(bytesOfVector(step.Prefix))
	for key, value := range pairs {
		got[string(key)] = string(value)
		count++
	}
	if err := failed(); err != nil {
		return err
	}
	return orDiffers(nil, count == len(want) && reflect.DeepEqual(got, want), fmt.Sprintf("%d other pairs", count))
}

func (r *vectorRun) openCursor(db *DB, step vectorStep) error {
	pairs, failed := db.Prefix(bytesOfVector(step.Prefix))
	next, stop := iter.Pull2(pairs)
	if step.Status != nil {
		// A range loop opens its cursor when it begins, so what there is to say is said there.
		defer stop()
		if _, _, ok := next(); ok {
			return differs("a pair")
		}
		return failed()
	}
	r.cursors[nameOr(step.As, "cursor")] = &vectorCursor{next, stop, failed}
	return nil
}

func (r *vectorRun) ofCursor(step vectorStep) error {
	cursor := r.cursors[nameOr(step.On, "cursor")]
	if step.Do == "cursor_close" {
		cursor.stop()
		return nil
	}
	key, value, ok := cursor.next()
	if !ok {
		return cmpOr(cursor.err(), error(&Error{Status: StatusDone}))
	}
	same := func(pair [2]string) bool {
		return bytes.Equal(key, bytesOfVector(pair[0])) && bytes.Equal(value, bytesOfVector(pair[1]))
	}
	return orDiffers(nil, slices.ContainsFunc(step.OneOf, same), "another pair")
}

func cmpOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func (r *vectorRun) openView(db *DB, step vectorStep) error {
	view := &vectorView{release: make(chan struct{}), ended: make(chan error, 1)}
	ready := make(chan []byte)
	go func() {
		view.ended <- db.View(bytesOfVector(step.Key), func(value []byte) error {
			ready <- value
			<-view.release
			return nil
		})
	}()
	select {
	case err := <-view.ended:
		return err
	case view.value = <-ready:
	}
	r.views[nameOr(step.As, "view")] = view
	return orDiffers(nil, bytes.Equal(view.value, bytesOfVector(step.Value)), "another value")
}

func (r *vectorRun) ofView(step vectorStep) error {
	name := nameOr(step.On, "view")
	view := r.views[name]
	if step.Do == "view_check" {
		return orDiffers(nil, bytes.Equal(view.value, bytesOfVector(step.Value)), "another value")
	}
	delete(r.views, name)
	close(view.release)
	return <-view.ended
}

func batchVector(db *DB, step vectorStep) error {
	var ops [][]any
	if err := json.Unmarshal(step.Ops, &ops); err != nil {
		return err
	}
	batch := db.Batch()
	for _, op := range ops {
		key := bytesOfVector(op[1].(string))
		switch {
		case op[0] == "del":
			batch.Delete(key)
		case len(op) == 3:
			batch.Set(key, bytesOfVector(op[2].(string)))
		case op[3].(float64) == -1:
			batch.SetKeepTTL(key, bytesOfVector(op[2].(string)))
		default:
			batch.SetTTL(key, bytesOfVector(op[2].(string)), time.Duration(op[3].(float64))*time.Millisecond)
		}
	}
	if step.Sync {
		return batch.WriteSync()
	}
	return batch.Write()
}

func getManyVector(db *DB, step vectorStep) error {
	keys := make([][]byte, len(step.Keys))
	for i, key := range step.Keys {
		keys[i] = bytesOfVector(key)
	}
	values, err := db.GetMany(keys)
	if err != nil {
		return err
	}
	for i, want := range step.Values {
		if (want == nil) != (values[i] == nil) || want != nil && !bytes.Equal(values[i], bytesOfVector(*want)) {
			return differs("value %d differs", i)
		}
	}
	return orDiffers(nil, len(values) == len(step.Values), "another count")
}
