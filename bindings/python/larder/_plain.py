"""The calls that a program makes in a loop, over ctypes: what `_hot` does where it could not be built.

Each function is that of the same name in `_hot.c`, with the same results. Not here: what is not called in a loop.
"""

from __future__ import annotations

import ctypes
import struct
from ctypes import byref, c_size_t, c_void_p
from typing import Callable

from . import _native

OK, NOT_FOUND, DONE, BUFFER_TOO_SMALL = 0, 1, 5, 6
ANSWER_HEAD = struct.Struct("<iIQ")
ANSWERS_LEN = 65536

_error_of: Callable[[int, int, int, bytes], BaseException]
_as_bytes: Callable[[object], bytes]
_MISSING = object()


def bind(
    error_of: Callable[[int, int, int, bytes], BaseException], as_bytes: Callable[[object], bytes]
) -> None:
    """Where exceptions and bytes come from; once, before anything else."""
    global _error_of, _as_bytes
    _error_of, _as_bytes = error_of, as_bytes


def check(status: int, error: _native.ErrorStruct) -> None:
    if status:
        raise _error_of(status, error.os_errno, error.offset, error.message)


def get(handle: int, key: object, default: object = _MISSING) -> object:
    library, name, error = _native.library(), _as_bytes(key), _native.ErrorStruct()
    value, length = c_void_p(), c_size_t()
    status = library.larder_get(handle, name, len(name), byref(value), byref(length), byref(error))
    if status == NOT_FOUND and default is not _MISSING:
        return default
    check(status, error)
    try:
        return ctypes.string_at(value, length.value)
    finally:
        library.larder_free(value)


def set(handle: int, key: object, value: object) -> None:
    name, copy, error = _as_bytes(key), _as_bytes(value), _native.ErrorStruct()
    check(_native.library().larder_set(handle, name, len(name), copy, len(copy), byref(error)), error)


def delete(handle: int, key: object) -> None:
    name, error = _as_bytes(key), _native.ErrorStruct()
    check(_native.library().larder_del(handle, name, len(name), byref(error)), error)


def contains(handle: int, key: object) -> bool:
    name, error = _as_bytes(key), _native.ErrorStruct()
    status = _native.library().larder_exists(handle, name, len(name), byref(error))
    if status == NOT_FOUND:
        return False
    check(status, error)
    return True


def get_many(handle: int, keys: list[bytes]) -> list[bytes | None]:
    entries = [struct.pack("<I", len(key)) + key for key in keys]
    packed = [entry + bytes(-len(entry) % 8) for entry in entries]
    values: list[bytes | None] = []
    capacity, library = ANSWERS_LEN, _native.library()
    while True:
        rest, out = b"".join(packed[len(values):]), ctypes.create_string_buffer(capacity)
        used, answered, error = c_size_t(), c_size_t(), _native.ErrorStruct()
        status = library.larder_get_many_packed(
            handle, rest, len(rest), out, capacity, byref(used), byref(answered), byref(error)
        )
        if status != BUFFER_TOO_SMALL:
            check(status, error)
        offset = 0
        for _ in range(answered.value):
            key_status, _, value_len = ANSWER_HEAD.unpack_from(out, offset)
            offset += ANSWER_HEAD.size
            if key_status == OK:
                values.append(ctypes.string_at(ctypes.addressof(out) + offset, value_len))
            elif key_status == NOT_FOUND:
                values.append(None)
            else:
                # An answer has a status and no message; reading that key alone gives one.
                get(handle, keys[len(values)])
                raise _error_of(key_status, 0, 0, b"")
            offset += value_len + -(ANSWER_HEAD.size + value_len) % 8
        if status == OK:
            return values
        if answered.value == 0:
            capacity *= 4


def next_pair(cursor: int) -> tuple[bytes, bytes] | None:
    key, value, key_len, value_len = c_void_p(), c_void_p(), c_size_t(), c_size_t()
    error = _native.ErrorStruct()
    status = _native.library().larder_cursor_next(
        cursor, byref(key), byref(key_len), byref(value), byref(value_len), byref(error)
    )
    if status == DONE:
        return None
    check(status, error)
    return ctypes.string_at(key, key_len.value), ctypes.string_at(value, value_len.value)
