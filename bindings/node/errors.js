// The statuses of the C ABI, and the one class that every failure is.
"use strict";

/** What kind of outcome a LarderError is: 1 to 99 are expected outcomes, 100 and up are failures. */
const Status = Object.freeze({
  OK: 0,
  NOT_FOUND: 1,
  EXPIRED: 2,
  EXISTS: 3,
  CONFLICT: 4,
  DONE: 5,
  BUFFER_TOO_SMALL: 6,
  INVALID_ARGUMENT: 100,
  TOO_LARGE: 101,
  BUSY: 102,
  CLOSED: 103,
  READ_ONLY: 104,
  NO_SPACE: 105,
  IO: 106,
  CORRUPT: 107,
  FORKED: 108,
  UNSUPPORTED: 109,
  INCOMPATIBLE: 110,
  OUT_OF_MEMORY: 111,
  INTERRUPTED: 112,
  PANIC: 113,
});

const codes = new Map(Object.entries(Status).map(([name, number]) => [number, `LARDER_${name}`]));

/** A status other than OK, with what the library says about it. `code` is the constant's name, as Node's errors have. */
class LarderError extends Error {
  constructor(status, errno, offset, message, badRecords) {
    super(message || "no message");
    this.name = "LarderError";
    this.code = codes.get(status) ?? "LARDER_UNKNOWN";
    this.status = status;
    this.errno = errno;
    this.offset = offset;
    this.badRecords = badRecords;
  }
}

module.exports = { LarderError, Status };
