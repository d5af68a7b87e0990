// Sets and deletes that happen together, in the packed form: one buffer, one call.
"use strict";
const { bytesOf, padded } = require("./bytes.js");

const OP_HEAD_LEN = 24;
const SET = 1;
const DELETE = 2;

/** Collects operations; `write` carries out all of them or none. */
class Batch {
  #write;
  #ops = Buffer.alloc(1024);
  #len = 0;
  #count = 0;

  /** @param write takes the packed operations and whether they are to be durable. */
  constructor(write) {
    this.#write = write;
  }

  get length() {
    return this.#count;
  }

  set(key, value, { ttlMs = 0, keepTtl = false } = {}) {
    return this.#add(SET, bytesOf(key), bytesOf(value), keepTtl ? -1 : ttlMs === Infinity ? 0 : ttlMs);
  }

  delete(key) {
    return this.#add(DELETE, bytesOf(key), Buffer.alloc(0), 0);
  }

  clear() {
    this.#len = this.#count = 0;
  }

  /** After a failure nothing was changed, and the batch is as it was. */
  write({ sync = false } = {}) {
    this.#write(this.#ops.subarray(0, this.#len), sync);
    this.clear();
  }

  #add(op, key, value, ttlMs) {
    const len = padded(OP_HEAD_LEN + key.length + value.length);
    if (this.#len + len > this.#ops.length) {
      const grown = Buffer.alloc(Math.max(this.#ops.length * 2, this.#len + len));
      this.#ops.copy(grown, 0, 0, this.#len);
      this.#ops = grown;
    }
    const at = this.#len;
    this.#ops.writeUInt32LE(op, at);
    this.#ops.writeUInt32LE(key.length, at + 4);
    // A length and a time to live are 64 bits wide there; both halves by hand, which is faster than a BigInt.
    this.#ops.writeUInt32LE(value.length % 2 ** 32, at + 8);
    this.#ops.writeUInt32LE(Math.floor(value.length / 2 ** 32), at + 12);
    this.#ops.writeUInt32LE(((ttlMs % 2 ** 32) + 2 ** 32) % 2 ** 32, at + 16);
    this.#ops.writeInt32LE(Math.floor(ttlMs / 2 ** 32), at + 20);
    this.#ops.set(key, at + OP_HEAD_LEN);
    this.#ops.set(value, at + OP_HEAD_LEN + key.length);
    this.#ops.fill(0, at + OP_HEAD_LEN + key.length + value.length, at + len);
    this.#len += len;
    this.#count++;
    return this;
  }
}

module.exports = { Batch };
