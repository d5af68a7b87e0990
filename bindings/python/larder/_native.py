"""The C ABI over ctypes: where the library is, its structs, and the signature of each function.

Not here: what any of it means. A test holds names, argument counts, statuses and structs against `larder.api.json`.
ctypes releases the interpreter's lock during every call.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import threading
from ctypes import POINTER, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any

ABI_VERSION = 0


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


class ViewStruct(ctypes.Structure):
    """`larder_view`."""

    _fields_ = [
        ("data", c_void_p), ("len", c_size_t), ("version", c_uint64), ("expires_at_ms", c_int64), ("pin", c_void_p),
    ]


_ERR = POINTER(ErrorStruct)
_SIZE = POINTER(c_size_t)
_OUT = POINTER(c_void_p)
_KEY = [c_void_p, c_char_p, c_size_t]

# Name: result type, argument types.
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "larder_options_new": (c_void_p, []),
    "larder_options_set": (c_int32, [c_void_p, c_char_p, c_char_p, _ERR]),
    "larder_options_free": (None, [c_void_p]),
    "larder_open": (c_int32, [c_char_p, c_void_p, _OUT, _ERR]),
    "larder_close": (c_int32, [c_void_p, _ERR]),
    "larder_set": (c_int32, _KEY + [c_char_p, c_size_t, _ERR]),
    "larder_get": (c_int32, _KEY + [_OUT, _SIZE, _ERR]),
    "larder_free": (None, [c_void_p]),
    "larder_get_into": (c_int32, _KEY + [c_void_p, c_size_t, _SIZE, _ERR]),
    "larder_del": (c_int32, _KEY + [_ERR]),
    "larder_exists": (c_int32, _KEY + [_ERR]),
    "larder_set_with": (c_int32, _KEY + [c_char_p, c_size_t, c_int64, c_uint32, POINTER(c_uint64), _ERR]),
    "larder_ttl": (c_int32, _KEY + [POINTER(c_int64), _ERR]),
    "larder_expire": (c_int32, _KEY + [c_int64, _ERR]),
    "larder_len": (c_int32, [c_void_p, POINTER(c_uint64), _ERR]),
    "larder_sync": (c_int32, [c_void_p, _ERR]),
    "larder_compact": (c_int32, [c_void_p, _ERR]),
    "larder_verify": (c_int32, [c_void_p, POINTER(c_uint64), _ERR]),
    "larder_stats_get": (c_int32, [c_void_p, POINTER(StatsStruct), _ERR]),
    "larder_salvage": (c_int32, [c_char_p, c_char_p, c_void_p, POINTER(ReportStruct), _OUT, _SIZE, _ERR]),
    "larder_cursor_open": (c_int32, [c_void_p, c_char_p, c_size_t, _OUT, _ERR]),
    "larder_cursor_next": (c_int32, [c_void_p, _OUT, _SIZE, _OUT, _SIZE, _ERR]),
    "larder_cursor_close": (None, [c_void_p]),
    "larder_write_packed": (c_int32, [c_void_p, c_char_p, c_size_t, c_uint32, _SIZE, _ERR]),
    "larder_get_many_packed": (c_int32, [c_void_p, c_char_p, c_size_t, c_void_p, c_size_t, _SIZE, _SIZE, _ERR]),
    "larder_get_view": (c_int32, _KEY + [POINTER(ViewStruct), _ERR]),
    "larder_view_release": (None, [POINTER(ViewStruct)]),
    "larder_version_string": (c_char_p, []),
    "larder_abi_version": (c_uint32, []),
    "larder_status_name": (c_char_p, [c_int32]),
}


def library_path() -> str:
    """LARDER_LIBRARY if set; else the library inside the package, as a wheel has it; else the one that the source
    tree around the package has built; else whatever the system's loader finds."""
    named = os.environ.get("LARDER_LIBRARY")
    if named:
        return named
    here = pathlib.Path(__file__).resolve().parent
    carried = here / "liblarder.so.0"
    if carried.is_file():
        return str(carried)
    if len(here.parents) > 2 and (tree := here.parents[2] / "Cargo.toml").is_file():
        built = tree.parent / "target" / "release" / "liblarder.so"
        if built.is_file():
            return str(built)
    return "liblarder.so.0"


_library: ctypes.CDLL | None = None
_loading = threading.Lock()


def library() -> ctypes.CDLL:
    """The library, loaded at the first call. OSError says what the system has against it."""
    global _library
    if _library is None:
        with _loading:
            if _library is None:
                _library = load(library_path())
    return _library


def load(path: str, loader: type[ctypes.CDLL] = ctypes.CDLL) -> ctypes.CDLL:
    """The library at `path`, its signatures declared, its ABI checked."""
    loaded = loader(path)
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    abi = loaded.larder_abi_version()
    if abi != ABI_VERSION:
        raise ImportError(f"{path} has ABI {abi}, this package was written for {ABI_VERSION}")
    return loaded


def address(name: str) -> int:
    """Where a function of the library is, for the extension."""
    value = ctypes.cast(getattr(library(), name), c_void_p).value
    assert value is not None
    return value
