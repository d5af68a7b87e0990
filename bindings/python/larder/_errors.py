"""The statuses of the C ABI, and an exception for each that is one.

Not here: any call of the library but the one that names a status.
"""

from __future__ import annotations

import enum

from . import _native


class Status(enum.IntEnum):
    """What kind of outcome an `Error` is: 1 to 99 are expected outcomes, 100 and up are failures."""

    OK = 0
    NOT_FOUND = 1
    EXPIRED = 2
    EXISTS = 3
    CONFLICT = 4
    DONE = 5
    BUFFER_TOO_SMALL = 6
    INVALID_ARGUMENT = 100
    TOO_LARGE = 101
    BUSY = 102
    CLOSED = 103
    READ_ONLY = 104
    NO_SPACE = 105
    IO = 106
    CORRUPT = 107
    FORKED = 108
    UNSUPPORTED = 109
    INCOMPATIBLE = 110
    OUT_OF_MEMORY = 111
    INTERRUPTED = 112
    PANIC = 113


class Error(Exception):
    """A status other than OK, with what the library says about it."""

    def __init__(self, status: int, os_errno: int = 0, offset: int = 0, message: str = "") -> None:
        super().__init__(status, os_errno, offset, message)
        self.status = status
        self.os_errno = os_errno
        self.offset = offset
        self.message = message

    def __str__(self) -> str:
        return f"{self.message or 'no message'} ({status_name(self.status)})"


class NotFound(Error, KeyError):
    """No such live key; from `open`, no such store."""


class Expired(Error, KeyError):
    """The key is there but its time is over (only `ttl` tells this apart)."""


class Exists(Error):
    """The key is live and was to be absent."""


class Conflict(Error):
    """The key has changed in the meantime."""


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


class IoError(Error, OSError):
    """The operating system said no; `errno` says why."""

    def __init__(self, status: int, os_errno: int = 0, offset: int = 0, message: str = "") -> None:
        super().__init__(status, os_errno, offset, message)
        # OSError has read the four arguments in its own way.
        self.errno, self.strerror, self.filename = os_errno, message, None


class Corrupt(Error):
    """Stored bytes fail their check; the message names the file, `offset` the place."""

    #: How many records `verify` found damaged; 0 from every other call.
    bad_records = 0


class Forked(Error):
    """The store was inherited over fork and works only in the process that opened it."""


class Unsupported(Error):
    """This build or this kind of location cannot do that."""


class Incompatible(Error):
    """A version of the format or of the library that is not known."""


class OutOfMemory(Error, MemoryError):
    """The library could not get memory."""


class Interrupted(Error):
    """A long call was interrupted."""


class Panic(Error):
    """A bug in the library, contained. The store refuses writes from then on."""


EXCEPTIONS: dict[int, type[Error]] = {
    Status.NOT_FOUND: NotFound,
    Status.EXPIRED: Expired,
    Status.EXISTS: Exists,
    Status.CONFLICT: Conflict,
    Status.INVALID_ARGUMENT: InvalidArgument,
    Status.TOO_LARGE: TooLarge,
    Status.BUSY: Busy,
    Status.CLOSED: Closed,
    Status.READ_ONLY: ReadOnly,
    Status.NO_SPACE: NoSpace,
    Status.IO: IoError,
    Status.CORRUPT: Corrupt,
    Status.FORKED: Forked,
    Status.UNSUPPORTED: Unsupported,
    Status.INCOMPATIBLE: Incompatible,
    Status.OUT_OF_MEMORY: OutOfMemory,
    Status.INTERRUPTED: Interrupted,
    Status.PANIC: Panic,
}


def status_name(status: int) -> str:
    """The constant's name in the C ABI, as "LARDER_NOT_FOUND"."""
    name: bytes = _native.library().larder_status_name(status)
    return name.decode()


def error_of(status: int, os_errno: int, offset: int, message: bytes) -> Error:
    """The exception for an outcome that is not OK."""
    kind = EXCEPTIONS.get(status, Error)
    return kind(status, os_errno, offset, message.decode("utf-8", "replace"))
