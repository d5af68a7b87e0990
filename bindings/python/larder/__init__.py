"""Larder from Python: a dict of bytes that stays.

    import larder

    with larder.open("pantry") as db:
        db[b"jam"] = b"apricot"

A thin layer over the C ABI: the documentation of `larder.h` holds. Keys and values are bytes (any bytes-like object
goes in, `bytes` comes out); text is refused rather than encoded by guess. Failures are exceptions that carry status,
errno, offset and message, and what a dict would call a KeyError is one.

Threads: a store may be used from any thread, and every call releases the interpreter's lock, so readers run side by
side. A batch and an iterator are for one thread at a time.

Fork: in a forked child an inherited store raises `Forked`; the child opens one of its own.
"""

from ._errors import (
    Busy,
    Closed,
    Conflict,
    Corrupt,
    Error,
    Exists,
    Expired,
    Forked,
    Incompatible,
    Interrupted,
    InvalidArgument,
    IoError,
    NoSpace,
    NotFound,
    OutOfMemory,
    Panic,
    ReadOnly,
    Status,
    TooLarge,
    Unsupported,
    status_name,
)
from ._store import Batch, SalvageReport, Stats, Store, abi_version, backend, open, salvage, version

__all__ = [
    "Batch",
    "Busy",
    "Closed",
    "Conflict",
    "Corrupt",
    "Error",
    "Exists",
    "Expired",
    "Forked",
    "Incompatible",
    "Interrupted",
    "InvalidArgument",
    "IoError",
    "NoSpace",
    "NotFound",
    "OutOfMemory",
    "Panic",
    "ReadOnly",
    "SalvageReport",
    "Stats",
    "Status",
    "Store",
    "TooLarge",
    "Unsupported",
    "abi_version",
    "backend",
    "open",
    "salvage",
    "status_name",
    "version",
]
