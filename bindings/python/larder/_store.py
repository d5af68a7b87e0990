"""A store as a dict of bytes, and what a dict has not: time to live, conditions, batches, views, figures.

Every method is one call of the C ABI; those made in a loop go through `_hot` or, where that could not be built,
`_plain`. Not here: signatures (`_native`), exceptions (`_errors`).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from ctypes import byref, c_int64, c_size_t, c_uint64, c_void_p
from types import TracebackType
from typing import Any, NamedTuple, TypeVar, overload

from . import _native, _plain
from ._errors import Closed, Corrupt, error_of

_Default = TypeVar("_Default")
IF_ABSENT, IF_PRESENT, SYNC = 1, 2, 4
OPERATION = struct.Struct("<IIQq")


def _bytes(what: object) -> bytes:
    """Bytes of any bytes-like object, copied unless they cannot change."""
    if isinstance(what, bytes):
        return what
    if isinstance(what, (bytearray, memoryview)):
        return bytes(what)
    raise TypeError(f"keys and values are bytes, not {type(what).__name__}")


def _text(what: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> bytes:
    """A C string; a NUL inside would silently cut it."""
    encoded = os.fsencode(what)
    if b"\0" in encoded:
        raise ValueError(f"NUL inside {what!r}")
    return encoded


def _option(value: str | int | bool) -> bytes:
    return _text(str(value).lower() if isinstance(value, bool) else str(value))


_plain.bind(error_of, _bytes)
_calls: Any = _plain
if os.environ.get("LARDER_BACKEND") != "ctypes":
    try:
        from . import _hot

        _calls = _hot
    except ImportError:
        pass
_bound = _calls is _plain


def _bind() -> None:
    """Gives the extension its addresses; at the first store, so that importing loads no library."""
    global _bound
    if not _bound:
        names = (
            "larder_get_into", "larder_set", "larder_del", "larder_exists",
            "larder_get_many_packed", "larder_cursor_next",
        )
        _calls.bind({name: _native.address(name) for name in names}, error_of, _bytes)
        _bound = True


def backend() -> str:
    """What makes the calls that programs make in a loop: "extension", or "ctypes" where it could not be built."""
    return "ctypes" if _calls is _plain else "extension"


def version() -> str:
    """The version of the library that is loaded."""
    text: bytes = _native.library().larder_version_string()
    return text.decode()


def abi_version() -> int:
    """`LARDER_ABI_VERSION` of the library that is loaded."""
    number: int = _native.library().larder_abi_version()
    return number


def open(
    location: str | bytes | os.PathLike[str] | os.PathLike[bytes], **options: str | int | bool
) -> Store:
    """Opens the store in directory `location`, creating it if it is not there.

    Options are the library's, by name: sync="none", read_only=True, create=False, segment_size="1MiB" …
    """
    return Store(location, options)


class SalvageReport(NamedTuple):
    """What `salvage` did; `larder_salvage_report` says what each figure is, `larder_salvage` what a loss's line is."""

    segments: int
    records: int
    keys: int
    bytes: int
    lost_bytes: int
    has_whole_manifest: bool
    losses: list[str]


def salvage(
    source: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    target: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    **options: str | int | bool,
) -> SalvageReport:
    """Writes what is intact in the store in `source` into a new store in `target`, which must be missing or empty.

    The source may be a store that `open` refuses; no byte of it is changed. Damage is no failure: the report lists it.
    Of the options `segment_size` is used.
    """
    library, error, wanted = _native.library(), _native.ErrorStruct(), _native.library().larder_options_new()
    report = _native.ReportStruct(struct_size=ctypes.sizeof(_native.ReportStruct))
    text, text_len = c_void_p(), c_size_t()
    try:
        for name, value in options.items():
            _plain.check(library.larder_options_set(wanted, _text(name), _option(value), error), error)
        status = library.larder_salvage(
            _text(source), _text(target), wanted, byref(report), byref(text), byref(text_len), error
        )
        _plain.check(status, error)
    finally:
        library.larder_options_free(wanted)
    try:
        losses = ctypes.string_at(text, text_len.value).decode().splitlines()
    finally:
        library.larder_free(text)
    return SalvageReport(
        report.segments, report.records, report.keys, report.bytes, report.lost_bytes,
        bool(report.has_whole_manifest), losses,
    )


class Stats(NamedTuple):
    """The figures of one store at one moment; `larder_stats` says what each is."""

    keys: int
    live_bytes: int
    dead_bytes: int
    file_bytes: int
    segments: int
    mapped_bytes: int
    index_bytes: int
    pinned_views: int
    gets: int
    hits: int
    sets: int
    dels: int
    expired: int
    syncs: int
    compactions: int
    compacted_bytes: int


class Store(MutableMapping[bytes, bytes]):
    """An open store. Made by `open`; `close` it, or use it in a `with` block."""

    def __init__(
        self,
        location: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        options: Mapping[str, str | int | bool],
    ) -> None:
        self._handle = 0
        _bind()
        library, error, out = _native.library(), _native.ErrorStruct(), c_void_p()
        wanted = library.larder_options_new()
        try:
            for name, value in options.items():
                _plain.check(library.larder_options_set(wanted, _text(name), _option(value), error), error)
            _plain.check(library.larder_open(_text(location), wanted, byref(out), error), error)
        finally:
            library.larder_options_free(wanted)
        self._handle = out.value or 0

    def close(self) -> None:
        """Closes the store, whatever happens; raises what the last sync met. A second close does nothing."""
        try:
            self._call("larder_close")
        except Closed:
            pass

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._handle and not sys.is_finalizing():
            _native.library().larder_close(self._handle, None)

    # One key.

    def __getitem__(self, key: bytes) -> bytes:
        value: bytes = _calls.get(self._handle, key)
        return value

    @overload
    def get(self, key: bytes, /) -> bytes | None: ...
    @overload
    def get(self, key: bytes, /, default: bytes | _Default) -> bytes | _Default: ...
    def get(self, key: bytes, /, default: Any = None) -> Any:
        """The value, or `default` if there is no such live key."""
        return _calls.get(self._handle, key, default)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        _calls.set(self._handle, key, value)

    def __delitem__(self, key: bytes) -> None:
        _calls.delete(self._handle, key)

    def __contains__(self, key: object) -> bool:
        found: bool = _calls.contains(self._handle, key)
        return found

    def set(
        self,
        key: bytes,
        value: bytes,
        ttl_ms: int = 0,
        *,
        if_absent: bool = False,
        if_present: bool = False,
        sync: bool = False,
    ) -> int:
        """Sets a key and returns the version, which grows with every change of the store.

        `ttl_ms`: 0 is no expiry, -1 keeps the present one. `if_absent` raises Exists if the key is live,
        `if_present` NotFound if it is not. With `sync` the write is durable when the call returns.
        """
        key, value, version = _bytes(key), _bytes(value), c_uint64()
        flags = IF_ABSENT * if_absent | IF_PRESENT * if_present | SYNC * sync
        self._call("larder_set_with", key, len(key), value, len(value), ttl_ms, flags, byref(version))
        return version.value

    def get_into(self, key: bytes, buffer: bytearray | memoryview) -> int:
        """Reads into a writable buffer of your own and returns the value's length. If that is more than the buffer
        has, nothing was written."""
        key, need, error = _bytes(key), c_size_t(), _native.ErrorStruct()
        with memoryview(buffer).cast("B") as bytes_of:
            target = (ctypes.c_char * len(bytes_of)).from_buffer(bytes_of)
            try:
                status = _native.library().larder_get_into(
                    self._handle, key, len(key), target, len(target), byref(need), byref(error)
                )
            finally:
                del target
        if status != _plain.BUFFER_TOO_SMALL:
            _plain.check(status, error)
        return need.value

    def view(self, key: bytes) -> memoryview:
        """The value in place, read-only, without a copy: readable through overwrite, delete, compaction and close of
        the store, and given back when the last memoryview of it is released or gone.

        Until then the store cannot reclaim the room. `with db.view(key) as value:` gives it back at once.
        """
        key, view = _bytes(key), _native.ViewStruct()
        self._call("larder_get_view", key, len(key), byref(view))
        pinned = (ctypes.c_ubyte * view.len).from_address(view.data)
        # The memoryview holds the array, and the array's end is the view's.
        weakref.finalize(pinned, _native.library().larder_view_release, byref(view)).atexit = False
        return memoryview(pinned).cast("B").toreadonly()

    def ttl(self, key: bytes) -> int | None:
        """How many milliseconds the key still lives, None for ever; raises NotFound or Expired."""
        key, ttl_ms = _bytes(key), c_int64()
        self._call("larder_ttl", key, len(key), byref(ttl_ms))
        return None if ttl_ms.value == -1 else ttl_ms.value

    def expire(self, key: bytes, ttl_ms: int | None) -> None:
        """Gives a key `ttl_ms` more to live; None: for ever, 0: it is over now."""
        key = _bytes(key)
        self._call("larder_expire", key, len(key), -1 if ttl_ms is None else ttl_ms)

    # Many keys.

    def __iter__(self) -> Iterator[bytes]:
        return (key for key, _ in self.scan())

    def __len__(self) -> int:
        count = c_uint64()
        self._call("larder_len", byref(count))
        return count.value

    def __bool__(self) -> bool:
        return True  # a store is there, also when it is empty

    def items(self) -> Iterator[tuple[bytes, bytes]]:  # type: ignore[override]
        """All pairs, lazily; unlike a dict's, this is an iterator and not a view."""
        return self.scan()

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key begins with `prefix`, in no order, each key that is live throughout once. Not a snapshot:
        changes on the way are allowed."""
        prefix, cursor = _bytes(prefix), c_void_p()
        self._call("larder_cursor_open", prefix, len(prefix), byref(cursor))
        return _Walk(cursor.value or 0)

    def get_many(self, keys: Iterable[bytes]) -> list[bytes | None]:
        """The values of many keys, in their order; None for a key that is not live. One call and no snapshot."""
        values: list[bytes | None] = _calls.get_many(self._handle, [_bytes(key) for key in keys])
        return values

    def batch(self) -> Batch:
        """Collects sets and deletes; all or none of them happen when the `with` block ends."""
        return Batch(self)

    # The whole store.

    def sync(self) -> None:
        """Returns when every write so far is durable."""
        self._call("larder_sync")

    def compact(self) -> None:
        """Reclaims the room of dead records now."""
        self._call("larder_compact")

    def verify(self) -> None:
        """Checks every record; raises Corrupt at damage, whose `bad_records` says how many."""
        bad_records = c_uint64()
        try:
            self._call("larder_verify", byref(bad_records))
        except Corrupt as error:
            error.bad_records = bad_records.value
            raise

    def stats(self) -> Stats:
        """The store's figures."""
        stats = _native.StatsStruct(struct_size=ctypes.sizeof(_native.StatsStruct))
        self._call("larder_stats_get", byref(stats))
        return Stats(*(getattr(stats, name) for name in Stats._fields))

    def _call(self, name: str, *arguments: Any) -> None:
        error = _native.ErrorStruct()
        _plain.check(getattr(_native.library(), name)(self._handle, *arguments, error), error)


class _Walk(Iterator[tuple[bytes, bytes]]):
    """A cursor, closed when the last reference to it is gone. The lock is for two threads that share one against the
    rule: they take turns."""

    def __init__(self, cursor: int) -> None:
        self._cursor, self._lock = cursor, threading.Lock()

    def __next__(self) -> tuple[bytes, bytes]:
        with self._lock:
            pair: tuple[bytes, bytes] | None = _calls.next_pair(self._cursor)
        if pair is None:
            raise StopIteration
        return pair

    def __del__(self) -> None:
        if not sys.is_finalizing():
            _native.library().larder_cursor_close(self._cursor)


class Batch:
    """Sets and deletes in the packed form: one buffer, one call, all or none of them. For one thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parts: list[bytes] = []

    def __len__(self) -> int:
        return len(self._parts)

    def set(self, key: bytes, value: bytes, ttl_ms: int = 0) -> None:
        """`ttl_ms` is as for `Store.set`."""
        self._add(1, _bytes(key), _bytes(value), ttl_ms)

    def delete(self, key: bytes) -> None:
        """The key need not be there."""
        self._add(2, _bytes(key), b"", 0)

    def write(self, *, sync: bool = False) -> None:
        """Carries the batch out and empties it. After a failure nothing was changed, and the batch is as it was."""
        ops, bad_offset = b"".join(self._parts), c_size_t()
        self._store._call("larder_write_packed", ops, len(ops), SYNC * sync, byref(bad_offset))
        self._parts.clear()

    def clear(self) -> None:
        self._parts.clear()

    def _add(self, op: int, key: bytes, value: bytes, ttl_ms: int) -> None:
        entry = OPERATION.pack(op, len(key), len(value), ttl_ms) + key + value
        self._parts.append(entry + bytes(-len(entry) % 8))

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.write()
