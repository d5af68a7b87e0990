"""Larder from Python: a dict of bytes that stays, over ctypes and nothing else.

    with larder.open("things") as db:
        db[b"key"] = b"value"

What it is: a thin layer. Every method is one call of the C ABI; the documentation of `larder.h`
holds. Keys and values are bytes (any bytes-like object goes in, `bytes` comes out). Failures are
exceptions that carry status, errno, offset and message; what a dict would call a KeyError is one.

Not here: zero-copy views (a memoryview could outlive its release) and text keys (encode them).

Threads: a store may be used from any thread. ctypes releases the interpreter's lock during every
call, so readers run side by side. An iterator is for one thread at a time.
"""

import ctypes
import os
import struct
import sys
from collections.abc import MutableMapping
from ctypes import POINTER, byref, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

IF_ABSENT, IF_PRESENT, SYNC = 1, 2, 4

STATUSES = {
    "OK": 0, "NOT_FOUND": 1, "EXPIRED": 2, "EXISTS": 3, "CONFLICT": 4, "DONE": 5, "BUFFER_TOO_SMALL": 6,
    "INVALID_ARGUMENT": 100, "TOO_LARGE": 101, "BUSY": 102, "CLOSED": 103, "READ_ONLY": 104,
    "NO_SPACE": 105, "IO": 106, "CORRUPT": 107, "FORKED": 108, "UNSUPPORTED": 109,
    "INCOMPATIBLE": 110, "OUT_OF_MEMORY": 111, "INTERRUPTED": 112, "PANIC": 113,
}


class Error(Exception):
    """A status other than OK, with what the library says about it."""

    def __init__(self, status, os_errno=0, offset=0, message=""):
        super().__init__(status, os_errno, offset, message)
        self.status, self.os_errno, self.offset, self.message = status, os_errno, offset, message

    def __str__(self):
        name = next((name for name, number in STATUSES.items() if number == self.status), "unknown")
        return f"{self.message or 'no message'} (LARDER_{name})"


class NotFound(Error, KeyError):
    """No such live key, or no such store."""


class Expired(Error, KeyError):
    """The key is there but its time is over (only `ttl` tells this apart)."""


class Exists(Error):
    """The key is live and was to be absent."""


class InvalidArgument(Error, ValueError):
    """An argument or an option is not valid."""


class TooLarge(Error, ValueError):
    """A key or a value is over its limit."""


class Busy(Error):
    """The store is open elsewhere; the message names the owner's pid."""


class Closed(Error):
    """The store is closed."""


class ReadOnly(Error):
    """The store takes no writes."""


class NoSpace(Error):
    """Disk full, or the store's own size limit; nothing changed."""


class Corrupt(Error):
    """Stored bytes fail their check; `offset` says where."""


class Forked(Error):
    """The store was inherited over fork and works only in the process that opened it."""


_EXCEPTIONS = {
    1: NotFound, 2: Expired, 3: Exists, 100: InvalidArgument, 101: TooLarge, 102: Busy,
    103: Closed, 104: ReadOnly, 105: NoSpace, 107: Corrupt, 108: Forked,
}


class ErrorStruct(ctypes.Structure):
    """`larder_error`."""

    _fields_ = [("status", c_int32), ("os_errno", c_int32), ("offset", c_uint64), ("message", c_char * 240)]


STATS_FIELDS = (
    "keys", "live_bytes", "dead_bytes", "file_bytes", "segments", "mapped_bytes", "index_bytes", "pinned_views",
    "gets", "hits", "sets", "dels", "expired", "syncs", "compactions", "compacted_bytes",
)


class StatsStruct(ctypes.Structure):
    """`larder_stats`."""

    _fields_ = [("struct_size", c_uint32), ("reserved", c_uint32)] + [(name, c_uint64) for name in STATS_FIELDS]


REPORT_FIELDS = ("segments", "records", "keys", "bytes", "losses", "lost_bytes", "has_whole_manifest")


class ReportStruct(ctypes.Structure):
    """`larder_salvage_report`."""

    _fields_ = [("struct_size", c_uint32), ("reserved", c_uint32)] + [(name, c_uint64) for name in REPORT_FIELDS]


_E, _SIZE, _OUT = POINTER(ErrorStruct), POINTER(c_size_t), POINTER(c_void_p)
_KEY = [c_void_p, c_char_p, c_size_t]

# Name: result type, argument types. A test compares the names with the header's.
SIGNATURES = {
    "larder_options_new": (c_void_p, []),
    "larder_options_set": (c_int32, [c_void_p, c_char_p, c_char_p, _E]),
    "larder_options_free": (None, [c_void_p]),
    "larder_open": (c_int32, [c_char_p, c_void_p, _OUT, _E]),
    "larder_close": (c_int32, [c_void_p, _E]),
    "larder_set_with": (c_int32, _KEY + [c_char_p, c_size_t, c_int64, c_uint32, POINTER(c_uint64), _E]),
    "larder_get": (c_int32, _KEY + [_OUT, _SIZE, _E]),
    "larder_free": (None, [c_void_p]),
    "larder_del": (c_int32, _KEY + [_E]),
    "larder_exists": (c_int32, _KEY + [_E]),
    "larder_ttl": (c_int32, _KEY + [POINTER(c_int64), _E]),
    "larder_expire": (c_int32, _KEY + [c_int64, _E]),
    "larder_len": (c_int32, [c_void_p, POINTER(c_uint64), _E]),
    "larder_sync": (c_int32, [c_void_p, _E]),
    "larder_compact": (c_int32, [c_void_p, _E]),
    "larder_verify": (c_int32, [c_void_p, POINTER(c_uint64), _E]),
    "larder_stats_get": (c_int32, [c_void_p, POINTER(StatsStruct), _E]),
    "larder_salvage": (c_int32, [c_char_p, c_char_p, c_void_p, POINTER(ReportStruct), _OUT, _SIZE, _E]),
    "larder_cursor_open": (c_int32, [c_void_p, c_char_p, c_size_t, _OUT, _E]),
    "larder_cursor_next": (c_int32, [c_void_p, _OUT, _SIZE, _OUT, _SIZE, _E]),
    "larder_cursor_close": (None, [c_void_p]),
    "larder_write_packed": (c_int32, [c_void_p, c_char_p, c_size_t, c_uint32, _SIZE, _E]),
    "larder_version_string": (c_char_p, []),
    "larder_status_name": (c_char_p, [c_int32]),
}

# What this binding leaves out, and why; the same test wants every other function above.
NOT_BOUND = {
    "larder_set": "larder_set_with does it",
    "larder_get_into": "Python needs a new object per value anyway",
    "larder_get_many_packed": "the cost of a call is small beside Python's own",
    "larder_get_view": "a memoryview could outlive its release",
    "larder_view_release": "see larder_get_view",
    "larder_version_number": "larder_version_string does it",
    "larder_abi_version": "the soname says it",
}


def library_path():
    """LARDER_LIBRARY if set, else the library that this source tree has built."""
    here = os.path.dirname(os.path.abspath(__file__))
    built = os.path.join(here, "..", "..", "target", "release", "liblarder.so")
    return os.environ.get("LARDER_LIBRARY") or os.path.normpath(built)


def load(path=None, loader=ctypes.CDLL):
    """The library with its signatures declared; what the system says if it is not there."""
    library = loader(path or library_path())
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_library = None


def _default_library():
    global _library
    if _library is None:
        _library = load()
    return _library


def _bytes(what):
    """Bytes of any bytes-like object; `str` is refused rather than encoded by guess."""
    if isinstance(what, bytes):
        return what
    if isinstance(what, (bytearray, memoryview)):
        return bytes(what)
    raise TypeError(f"keys and values are bytes, not {type(what).__name__}")


def _text(what):
    """A C string; a NUL inside would silently cut it."""
    encoded = os.fsencode(what)
    if b"\0" in encoded:
        raise ValueError(f"NUL inside {what!r}")
    return encoded


def _option(value):
    return _text(str(value).lower() if isinstance(value, bool) else str(value))


def _check(status, error):
    if status:
        raise _EXCEPTIONS.get(status, Error)(
            status, error.os_errno, error.offset, error.message.decode("utf-8", "replace")
        )


def open(location, *, library=None, **options):
    """Opens the store in directory `location`, creating it if it is not there.

    Options are the library's, by name: sync="none", read_only=True, create=False, segment_size="1MiB" …
    """
    return Store(location, library or _default_library(), options)


def salvage(source, target, *, library=None, **options):
    """Writes what is intact in the store in `source` into a new store in `target`.

    Returns the report's figures by name, and the damaged places as a list of lines (larder.h has their form).
    """
    library = library or _default_library()
    error, wanted = ErrorStruct(), library.larder_options_new()
    report, losses, losses_len = ReportStruct(struct_size=ctypes.sizeof(ReportStruct)), c_void_p(), c_size_t()
    try:
        for name, value in options.items():
            _check(library.larder_options_set(wanted, _text(name), _option(value), error), error)
        arguments = _text(source), _text(target), wanted, byref(report), byref(losses), byref(losses_len), error
        _check(library.larder_salvage(*arguments), error)
    finally:
        library.larder_options_free(wanted)
    try:
        lines = ctypes.string_at(losses, losses_len.value).decode().splitlines()
    finally:
        library.larder_free(losses)
    return {name: getattr(report, name) for name in REPORT_FIELDS}, lines


def version():
    """The version of the library that is loaded."""
    return _default_library().larder_version_string().decode()


class Store(MutableMapping):
    """An open store: a dict of bytes, plus what a dict has not (time to live, batches, sync, stats)."""

    def __init__(self, location, library, options):
        self._db, self._library = c_void_p(), library
        error, wanted = ErrorStruct(), library.larder_options_new()
        try:
            for name, value in options.items():
                _check(library.larder_options_set(wanted, _text(name), _option(value), error), error)
            _check(library.larder_open(_text(location), wanted, byref(self._db), error), error)
        finally:
            library.larder_options_free(wanted)

    def close(self):
        """Closes the store; raises what the last sync met. A second close raises Closed."""
        self._call("larder_close")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        try:
            self.close()
        except Closed:
            pass  # closed inside the block

    def __del__(self):
        if self._db and not sys.is_finalizing():
            self._library.larder_close(self._db, None)

    # One key.

    def __getitem__(self, key):
        key, value, length = _bytes(key), c_void_p(), c_size_t()
        self._call("larder_get", key, len(key), byref(value), byref(length))
        try:
            return ctypes.string_at(value, length.value)
        finally:
            self._library.larder_free(value)

    def __setitem__(self, key, value):
        self.set(key, value)

    def __delitem__(self, key):
        key = _bytes(key)
        self._call("larder_del", key, len(key))

    def __contains__(self, key):
        try:
            key = _bytes(key)
            self._call("larder_exists", key, len(key))
        except NotFound:
            return False
        return True

    def set(self, key, value, ttl_ms=0, *, if_absent=False, if_present=False, sync=False):
        """Sets a key and returns the version. `ttl_ms`: 0 no expiry, -1 keep the present one."""
        key, value, version = _bytes(key), _bytes(value), c_uint64()
        flags = IF_ABSENT * if_absent | IF_PRESENT * if_present | SYNC * sync
        self._call("larder_set_with", key, len(key), value, len(value), ttl_ms, flags, byref(version))
        return version.value

    def ttl(self, key):
        """How many milliseconds the key still lives, None for ever; raises NotFound or Expired."""
        key, ttl_ms = _bytes(key), c_int64()
        self._call("larder_ttl", key, len(key), byref(ttl_ms))
        return None if ttl_ms.value == -1 else ttl_ms.value

    def expire(self, key, ttl_ms):
        """Gives a key `ttl_ms` more to live; None: for ever, 0: it is over now."""
        key = _bytes(key)
        self._call("larder_expire", key, len(key), -1 if ttl_ms is None else ttl_ms)

    # All keys.

    def __iter__(self):
        return (key for key, _ in self.scan())

    def __len__(self):
        count = c_uint64()
        self._call("larder_len", byref(count))
        return count.value

    def __bool__(self):
        return True  # a store is there, also when it is empty

    def items(self):
        """All pairs, lazily; unlike a dict's, this is an iterator and not a view."""
        return self.scan()

    def scan(self, prefix=b""):
        """Pairs whose key begins with `prefix`, in no order. Changes on the way are allowed."""
        prefix, cursor, error = _bytes(prefix), c_void_p(), ErrorStruct()
        self._call("larder_cursor_open", prefix, len(prefix), byref(cursor))
        key, key_len, value, value_len = c_void_p(), c_size_t(), c_void_p(), c_size_t()
        try:
            while True:
                status = self._library.larder_cursor_next(
                    cursor, byref(key), byref(key_len), byref(value), byref(value_len), error
                )
                if status == STATUSES["DONE"]:
                    return
                _check(status, error)
                yield ctypes.string_at(key, key_len.value), ctypes.string_at(value, value_len.value)
        finally:
            self._library.larder_cursor_close(cursor)

    # The whole store.

    def batch(self):
        """Collects sets and deletes; all or none of them happen when the `with` block ends."""
        return Batch(self)

    def sync(self):
        """Returns when every write so far is durable."""
        self._call("larder_sync")

    def compact(self):
        """Reclaims the room of dead records now."""
        self._call("larder_compact")

    def verify(self):
        """Checks every record; raises Corrupt at damage."""
        self._call("larder_verify", byref(c_uint64()))

    def stats(self):
        """The store's figures, by name."""
        stats = StatsStruct(struct_size=ctypes.sizeof(StatsStruct))
        self._call("larder_stats_get", byref(stats))
        return {name: getattr(stats, name) for name in STATS_FIELDS}

    def _call(self, name, *arguments):
        error = ErrorStruct()
        _check(getattr(self._library, name)(self._db, *arguments, error), error)


class Batch:
    """Sets and deletes in the packed form: one buffer, one call, atomic."""

    def __init__(self, store):
        self._store, self._parts = store, []

    def set(self, key, value, ttl_ms=0):
        self._add(1, _bytes(key), _bytes(value), ttl_ms)

    def delete(self, key):
        self._add(2, _bytes(key), b"", 0)

    def write(self, *, sync=False):
        """Carries the batch out and empties it."""
        ops, bad_offset = b"".join(self._parts), c_size_t()
        self._store._call("larder_write_packed", ops, len(ops), SYNC * sync, byref(bad_offset))
        self._parts.clear()

    def _add(self, op, key, value, ttl_ms):
        entry = struct.pack("<IIQq", op, len(key), len(value), ttl_ms) + key + value
        self._parts.append(entry + bytes(-len(entry) % 8))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.write()
