package larder

import "syscall"

// Status says what kind of outcome an [Error] is. The numbers are those of the C ABI: 1 to 99 are
// expected outcomes, 100 and up are failures.
type Status int32

// The statuses of the C ABI, those that reach Go code.
const (
	StatusNotFound        Status = 1
	StatusExpired         Status = 2
	StatusExists          Status = 3
	StatusConflict        Status = 4
	StatusDone            Status = 5 // the end of a cursor; the iterators never hand it out
	StatusBufferTooSmall  Status = 6
	StatusInvalidArgument Status = 100
	StatusTooLarge        Status = 101
	StatusBusy            Status = 102
	StatusClosed          Status = 103
	StatusReadOnly        Status = 104
	StatusNoSpace         Status = 105
	StatusIO              Status = 106
	StatusCorrupt         Status = 107
	StatusForked          Status = 108
	StatusUnsupported     Status = 109
	StatusIncompatible    Status = 110
	StatusOutOfMemory     Status = 111
	StatusInterrupted     Status = 112
	StatusPanic           Status = 113
)

// String is the status's name in the C ABI, such as "LARDER_NOT_FOUND".
func (s Status) String() string {
	return statusName(s)
}

// The outcomes to compare with: errors.Is(err, larder.ErrNotFound). Expected outcomes, from
// ErrNotFound to ErrBufferTooSmall, and ErrClosed are returned as these very values; a failure is
// usually an [*Error] with details, which errors.Is recognises just the same.
var (
	// ErrNotFound: no such live key; from Open, no such store.
	ErrNotFound = sentinel(StatusNotFound, "no such live key")
	// ErrExpired: the key is there but its time is over. Only TTL tells this from ErrNotFound.
	ErrExpired = sentinel(StatusExpired, "the key is there but its time is over")
	// ErrExists: the key is live and was to be absent.
	ErrExists = sentinel(StatusExists, "the key is already there")
	// ErrConflict: the key has changed in the meantime.
	ErrConflict = sentinel(StatusConflict, "the key has changed in the meantime")
	// ErrBufferTooSmall: GetInto's dst is shorter than the value.
	ErrBufferTooSmall = sentinel(StatusBufferTooSmall, "the buffer is too small for the value")

	// ErrInvalidArgument: an argument is out of range, or an option is unknown or malformed.
	ErrInvalidArgument = sentinel(StatusInvalidArgument, "an argument is not valid")
	// ErrTooLarge: a key or value is over its limit.
	ErrTooLarge = sentinel(StatusTooLarge, "a key or value is over its limit")
	// ErrBusy: another process or handle has the store open. The text names its process.
	ErrBusy = sentinel(StatusBusy, "the store is open elsewhere")
	// ErrClosed: the DB is closed.
	ErrClosed = sentinel(StatusClosed, "the store is closed")
	// ErrReadOnly: the store was opened read-only, or an earlier failure made it so.
	ErrReadOnly = sentinel(StatusReadOnly, "the store takes no writes")
	// ErrNoSpace: the disk is full, or the store has reached its own limit. Nothing was changed.
	ErrNoSpace = sentinel(StatusNoSpace, "there is no room for this write")
	// ErrIO: the operating system said no. Errno says why.
	ErrIO = sentinel(StatusIO, "the operating system reported an error")
	// ErrCorrupt: stored bytes fail their check. The text names the file, Offset the place.
	ErrCorrupt = sentinel(StatusCorrupt, "stored bytes fail their check")
	// ErrForked: the store was opened by the process that this one was forked from.
	ErrForked = sentinel(StatusForked, "the store was opened by the parent process")
	// ErrUnsupported: this build or this kind of store cannot do that.
	ErrUnsupported = sentinel(StatusUnsupported, "this store or build cannot do that")
	// ErrIncompatible: the store's format or the library's ABI is not one that is known here.
	ErrIncompatible = sentinel(StatusIncompatible, "the version of the format or of the library is not known")
	// ErrOutOfMemory: the library could not get memory.
	ErrOutOfMemory = sentinel(StatusOutOfMemory, "memory could not be had")
	// ErrInterrupted: a long call was interrupted.
	ErrInterrupted = sentinel(StatusInterrupted, "the call was interrupted")
	// ErrPanic: a bug in the library, contained. The store refuses writes from then on.
	ErrPanic = sentinel(StatusPanic, "a bug in the library was contained")
)

// Error is every error of this package, with what is known about the cause. Get at it with
// errors.As; to ask only what kind it is, errors.Is with one of the Err values.
type Error struct {
	// Status is the kind.
	Status Status
	// Errno is the operating system's error number, 0 if none was involved. errors.Is finds it
	// too: errors.Is(err, syscall.ENOSPC), errors.Is(err, fs.ErrPermission).
	Errno syscall.Errno
	// Offset is the file offset of damage (ErrCorrupt), else 0.
	Offset uint64
	// BadRecords is how many records Verify found damaged; 0 from every other call.
	BadRecords uint64
	// Text is one sentence that names the file, the limit or the owner.
	Text string
}

// Error is the text behind the package's name.
func (e *Error) Error() string {
	return "larder: " + e.Text
}

// Is says that two errors of this package are alike when their statuses are, whatever their
// details.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Status == e.Status
}

// Unwrap is the operating system's error number, if one was involved.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

var sentinels = map[Status]error{}

func sentinel(status Status, text string) error {
	err := &Error{Status: status, Text: text}
	sentinels[status] = err
	return err
}

// sentinelOf is the error value for a status that comes without details.
func sentinelOf(status Status) error {
	if err, ok := sentinels[status]; ok {
		return err
	}
	return &Error{Status: status, Text: statusName(status)}
}

// invalid is an ErrInvalidArgument that this package found itself.
func invalid(text string) error {
	return &Error{Status: StatusInvalidArgument, Text: text}
}
