package larder

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

func TestErrorsOfOneStatusAreAlikeBothWays(t *testing.T) {
	detailed := &Error{Status: StatusNoSpace, Errno: syscall.ENOSPC, Text: "cannot grow 000003.seg"}
	wrapped := fmt.Errorf("saving: %w", detailed)
	for _, pair := range [][2]error{{detailed, ErrNoSpace}, {ErrNoSpace, detailed}, {wrapped, ErrNoSpace}, {wrapped, syscall.ENOSPC}} {
		if !errors.Is(pair[0], pair[1]) {
			t.Errorf("%v is not %v", pair[0], pair[1])
		}
	}
	for _, pair := range [][2]error{{detailed, ErrIO}, {ErrNoSpace, ErrIO}, {ErrNoSpace, syscall.ENOSPC}, {detailed, fs.ErrNotExist}} {
		if errors.Is(pair[0], pair[1]) {
			t.Errorf("%v is %v", pair[0], pair[1])
		}
	}
	var failure *Error
	if !errors.As(wrapped, &failure) || failure.Errno != syscall.ENOSPC || failure.Status != StatusNoSpace {
		t.Errorf("errors.As gives %+v", failure)
	}
}

func TestAStatusOfALaterLibraryIsStillAnError(t *testing.T) {
	err := sentinelOf(77)
	var failure *Error
	if !errors.As(err, &failure) || failure.Status != 77 || failure.Text == "" {
		t.Errorf("%#v", err)
	}
}
