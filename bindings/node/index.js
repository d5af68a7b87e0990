// Larder from Node: a map of bytes that stays.
//
//   const larder = require("larder");
//   const db = larder.open("pantry");
//   db.set("jam", "apricot");
//   db.get("jam").toString();
//
// A thin layer over the C ABI: the documentation of larder.h holds. Calls are synchronous, because most of them end
// sooner than a promise would be made; what waits for the disk has an …Async twin. Keys and values are Uint8Array or
// Buffer, or strings, which are UTF-8; what comes out is a Buffer of its own.
//
// Not here: views without a copy. JavaScript has no memory that cannot be written, and a write into one would be a
// write into the store's files.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { Batch } = require("./batch.js");
const { ANSWER_HEAD_LEN, KEY_HEAD_LEN, bytesOf, packKeys, padded } = require("./bytes.js");
const { LarderError, Status } = require("./errors.js");

const native = require("./build/larder.node");

/** LARDER_LIBRARY; else what the package carries; else what the source tree has built; else what the system finds. */
function libraryPath() {
  if (process.env.LARDER_LIBRARY) return process.env.LARDER_LIBRARY;
  const places = [
    path.join(__dirname, "lib", "liblarder.so.0"),
    path.join(__dirname, "..", "..", "target", "release", "liblarder.so"),
  ];
  return places.find((place) => fs.existsSync(place)) ?? "liblarder.so.0";
}
native.load(libraryPath(), LarderError);

const IF_ABSENT = 1;
const IF_PRESENT = 2;
const SYNC = 4;
const Job = { sync: 0, compact: 1, verify: 2 };

const FIGURES = [
  "keys", "liveBytes", "deadBytes", "fileBytes", "segments", "mappedBytes", "indexBytes", "pinnedViews",
  "gets", "hits", "sets", "dels", "expired", "syncs", "compactions", "compactedBytes",
];

// One thread runs the JavaScript of one environment, so one buffer serves every store's reads.
const scratch = Buffer.allocUnsafeSlow(64 * 1024);

function ttlOf(ttlMs) {
  if (ttlMs === Infinity) return 0;
  if (!Number.isSafeInteger(ttlMs)) throw new RangeError(`a time to live is whole milliseconds or Infinity, not ${ttlMs}`);
  return ttlMs;
}

/** An open store. Made by `open`, or by `attach` in another thread. */
class Store {
  #handle;

  constructor(handle) {
    this.#handle = handle;
  }

  /** Closes the store, whatever happens; throws what the last sync met. A second close does nothing. */
  close() {
    try {
      native.close(this.#handle);
    } catch (error) {
      if (error.status !== Status.CLOSED) throw error;
    }
  }

  /** What another thread of this process hands to `attach`, to use the same open store. */
  share() {
    return { larder: native.address(this.#handle) };
  }

  /** The value, or undefined if there is no such live key. */
  get(key) {
    const bytes = bytesOf(key);
    const need = native.getInto(this.#handle, bytes, scratch);
    if (need < 0) return undefined;
    if (need <= scratch.length) return Buffer.from(scratch.subarray(0, need));
    return this.#getLarge(bytes, need);
  }

  /** Reads into a buffer of your own: the value's length, or undefined. If it is more than the buffer has, nothing was
   *  written. */
  getInto(key, target) {
    if (!(target instanceof Uint8Array)) throw new TypeError("the target is no Uint8Array");
    const need = native.getInto(this.#handle, bytesOf(key), target);
    return need < 0 ? undefined : need;
  }

  has(key) {
    return native.has(this.#handle, bytesOf(key));
  }

  /** Sets a key, and clears an expiry. */
  set(key, value) {
    native.set(this.#handle, bytesOf(key), bytesOf(value));
    return this;
  }

  /** Sets as `options` say and returns the version, which grows with every change of the store; undefined if the
   *  condition did not hold. */
  setWith(key, value, { ttlMs = 0, keepTtl = false, ifAbsent = false, ifPresent = false, sync = false } = {}) {
    const flags = (ifAbsent ? IF_ABSENT : 0) | (ifPresent ? IF_PRESENT : 0) | (sync ? SYNC : 0);
    return native.setWith(this.#handle, bytesOf(key), bytesOf(value), keepTtl ? -1 : ttlOf(ttlMs), flags);
  }

  /** Whether there was something to delete. */
  delete(key) {
    return native.delete(this.#handle, bytesOf(key));
  }

  /** Milliseconds that the key has left, Infinity without expiry; undefined if it is not live. */
  ttl(key) {
    const ttlMs = native.ttl(this.#handle, bytesOf(key));
    return ttlMs === -1 ? Infinity : ttlMs;
  }

  /** Gives a live key a new time to live: 0 is over at once, Infinity for ever. Whether it was live. */
  expire(key, ttlMs) {
    return native.expire(this.#handle, bytesOf(key), ttlMs === Infinity ? -1 : ttlMs < 0 ? -2 : ttlOf(ttlMs));
  }

  /** The values of many keys, in their order, undefined where a key is not live. Few calls, and no snapshot. */
  getMany(keys) {
    const list = Array.from(keys, bytesOf);
    const packed = packKeys(list);
    const values = new Array(list.length).fill(undefined);
    let done = 0;
    let offset = 0;
    do {
      const answered = native.getManyPacked(this.#handle, packed.subarray(offset), scratch);
      let at = 0;
      for (const last = done + answered; done < last; done++) {
        const status = scratch.readInt32LE(at);
        const len = scratch.readUInt32LE(at + 8);
        if (status === Status.OK) values[done] = Buffer.from(scratch.subarray(at + ANSWER_HEAD_LEN, at + ANSWER_HEAD_LEN + len));
        // An answer has a status and no message; reading that key alone gives one.
        else if (status !== Status.NOT_FOUND) values[done] = this.get(list[done]);
        at += padded(ANSWER_HEAD_LEN + len);
        offset += padded(KEY_HEAD_LEN + list[done].length);
      }
      if (answered === 0 && done < list.length) {
        // The next value alone is larger than the buffer.
        values[done] = this.get(list[done]);
        offset += padded(KEY_HEAD_LEN + list[done].length);
        done++;
      }
    } while (done < list.length);
    return values;
  }

  /** Collects sets and deletes; all or none of them happen when it is written. */
  batch() {
    return new Batch((ops, sync) => native.writePacked(this.#handle, ops, sync ? SYNC : 0));
  }

  /** Pairs whose key begins with `prefix`, in no order, each key that is live throughout once. Not a snapshot. Pairs
   *  are read ahead by up to 64 KiB. */
  scan(prefix = "") {
    return walk(native.cursorOpen(this.#handle, bytesOf(prefix)));
  }

  entries() {
    return this.scan();
  }

  *keys() {
    for (const [key] of this.scan()) yield key;
  }

  *values() {
    for (const [, value] of this.scan()) yield value;
  }

  [Symbol.iterator]() {
    return this.scan();
  }

  /** How many keys there are. */
  get size() {
    return native.len(this.#handle);
  }

  /** Returns when every write so far is durable. */
  sync() {
    native.run(this.#handle, Job.sync);
  }

  syncAsync() {
    return native.runAsync(this.#handle, Job.sync);
  }

  /** Reclaims the room of dead records now. */
  compact() {
    native.run(this.#handle, Job.compact);
  }

  compactAsync() {
    return native.runAsync(this.#handle, Job.compact);
  }

  /** Checks every record; throws at damage, with `badRecords`. */
  verify() {
    native.run(this.#handle, Job.verify);
  }

  verifyAsync() {
    return native.runAsync(this.#handle, Job.verify);
  }

  /** The store's figures. */
  stats() {
    const figures = native.stats(this.#handle);
    return Object.fromEntries(FIGURES.map((name, i) => [name, figures[i]]));
  }

  #getLarge(key, need) {
    for (;;) {
      const value = Buffer.allocUnsafeSlow(need);
      // The value may change between two calls.
      need = native.getInto(this.#handle, key, value);
      if (need < 0) return undefined;
      if (need <= value.length) return value.subarray(0, need);
    }
  }
}

if (Symbol.dispose) Store.prototype[Symbol.dispose] = Store.prototype.close;

/** The pairs of a cursor, which is closed when the loop over them ends, or is left, or is forgotten. */
function* walk(cursor) {
  try {
    let buffer = Buffer.allocUnsafeSlow(64 * 1024);
    for (;;) {
      const used = native.cursorFill(cursor, buffer);
      if (used === 0) return;
      if (used < 0) buffer = Buffer.allocUnsafeSlow(-used);
      for (let at = 0; at < used; ) {
        const key = at + 8;
        const value = key + buffer.readUInt32LE(at);
        const end = value + buffer.readUInt32LE(at + 4);
        yield [Buffer.from(buffer.subarray(key, value)), Buffer.from(buffer.subarray(value, end))];
        at = end;
      }
    }
  } finally {
    native.cursorClose(cursor);
  }
}

/** Opens the store in directory `location`, creating it if it is not there. Options are the library's, by name. */
function open(location, options = {}) {
  const pairs = Object.entries(options).flatMap(([name, value]) => [name, String(value)]);
  for (const text of [location, ...pairs]) {
    if (typeof text !== "string") throw new TypeError("a location is a string");
    if (text.includes("\0")) throw new TypeError("a NUL inside a location or an option");
  }
  return new Store(native.open(location, pairs));
}

/** The store that another thread of this process has opened; `shared` is what its `share()` returned. */
function attach(shared) {
  return new Store(native.attach(shared.larder));
}

module.exports = {
  LarderError,
  Status,
  Store,
  Batch,
  abiVersion: native.abiVersion,
  attach,
  open,
  statusName: native.statusName,
  version: native.version,
};
