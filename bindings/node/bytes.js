// Bytes in and out: what a key or value may be, and the packed forms of larder.h.
"use strict";

const KEY_HEAD_LEN = 4;
const ANSWER_HEAD_LEN = 16;

/** A key or value as bytes; text is UTF-8. */
function bytesOf(what) {
  if (what instanceof Uint8Array) return what;
  if (typeof what === "string") return Buffer.from(what);
  throw new TypeError(`keys and values are Uint8Array, Buffer or string, not ${what === null ? "null" : typeof what}`);
}

/** Entries of packed buffers begin at multiples of 8. */
function padded(len) {
  return Math.ceil(len / 8) * 8;
}

/** { u32 key_len, key, zeros to 8 }* */
function packKeys(keys) {
  let len = 0;
  for (const key of keys) len += padded(KEY_HEAD_LEN + key.length);
  const packed = Buffer.alloc(len);
  let at = 0;
  for (const key of keys) {
    packed.writeUInt32LE(key.length, at);
    packed.set(key, at + KEY_HEAD_LEN);
    at += padded(KEY_HEAD_LEN + key.length);
  }
  return packed;
}

module.exports = { ANSWER_HEAD_LEN, KEY_HEAD_LEN, bytesOf, packKeys, padded };
