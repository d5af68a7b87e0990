package larder

import "strings"

// Salvage writes what is intact in the store in source into a new store in target, which must be
// missing or empty. No byte of source is changed: it may be a store that Open refuses, and on
// read-only media. Damage is no error; the report lists it.
//
// A value is written only if its record's check holds, and no intact record of its key is newer.
// Where the newest record of a key is damaged, an older one takes its place, if one is left. Of
// the options WithSegmentSize is used. It is ErrBusy while a writer has source open.
func Salvage(source, target string, opts ...Option) (SalvageReport, error) {
	s, err := settingsOf(opts, source, target)
	if err != nil {
		return SalvageReport{}, err
	}
	return salvage(source, target, s)
}

// SalvageReport is what a Salvage did.
type SalvageReport struct {
	Segments  uint64 // files that were read
	Records   uint64 // intact records in them, overwritten and deleted ones too
	Keys      uint64 // keys that the new store has
	Bytes     uint64 // bytes of their records
	LostBytes uint64 // bytes of all losses
	// HasWholeManifest is whether the list of files was there and complete. If not, a record may be
	// back that was no part of the store any more.
	HasWholeManifest bool
	// Losses are the damaged places, one line each, with tabs between file, offset, length, key (in
	// double quotes, \xNN for what is not printable ASCII; "-" if it cannot be read), version of that
	// key in the new store ("-" if it has none) and what is wrong.
	Losses []string
}

func lossLines(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(list, "\n"), "\n")
}
