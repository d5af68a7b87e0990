// What one get and one set cost from Node over koffi and over a Node-API addon: nanoseconds a call.
//
//   node node_ways.js LIBLARDER ADDON [COUNT]
//
// `run` beside it builds the addon and calls this. koffi is no dependency of anything here: NODE_PATH says where one
// is installed, and without it only the addon is measured. The best of several rounds counts.
"use strict";
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const ROUNDS = 5;

function koffiWay(koffi, library, location) {
  const lib = koffi.load(library);
  const optionsNew = lib.func("void *larder_options_new()");
  const optionsSet = lib.func("int32_t larder_options_set(void *, const char *, const char *, void *)");
  const openStore = lib.func("int32_t larder_open(const char *, void *, _Out_ void **, void *)");
  const getInto = lib.func("int32_t larder_get_into(void *, const void *, size_t, void *, size_t, void *, void *)");
  const setKey = lib.func("int32_t larder_set(void *, const void *, size_t, const void *, size_t, void *)");
  const options = optionsNew();
  const out = [null];
  optionsSet(options, "sync", "none", null);
  if (openStore(location, options, out, null) !== 0) throw new Error("open");
  // JavaScript runs on one thread, so one buffer does for all calls.
  const buffer = Buffer.alloc(512);
  const need = new BigUint64Array(1);
  const into = (key, target) => {
    if (getInto(out[0], key, key.length, target, target.length, need, null) !== 0) throw new Error("get");
    return Number(need[0]);
  };
  return {
    get: (key) => Buffer.from(buffer.subarray(0, into(key, buffer))),
    getInto: into,
    set: (key, value) => {
      if (setKey(out[0], key, key.length, value, value.length, null) !== 0) throw new Error("set");
    },
  };
}

function nanoseconds(keys, call) {
  const start = process.hrtime.bigint();
  for (const key of keys) call(key);
  return Number(process.hrtime.bigint() - start) / keys.length;
}

const [library, addon, count = "100000"] = process.argv.slice(2);
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "larder-ways-"));
const ways = { "Node-API addon": require(path.resolve(addon)) };
ways["Node-API addon"].open(path.join(scratch, "addon"));
try {
  ways.koffi = koffiWay(require("koffi"), path.resolve(library), path.join(scratch, "koffi"));
} catch (error) {
  if (error.code !== "MODULE_NOT_FOUND") throw error;
  console.log("SKIP: koffi is not installed (npm install koffi, and NODE_PATH)");
}
const keys = Array.from({ length: Number(count) }, (_, n) => Buffer.from(`key-${String(n).padStart(12, "0")}`));
const value = Buffer.alloc(100);
const target = Buffer.alloc(100);
const best = {};
for (let round = 0; round < ROUNDS; round++) {
  for (const [way, { get, getInto, set }] of Object.entries(ways)) {
    const costs = [
      nanoseconds(keys, (key) => set(key, value)),
      nanoseconds(keys, get),
      nanoseconds(keys, (key) => getInto(key, target)),
    ];
    best[way] = costs.map((cost, i) => Math.min(cost, best[way]?.[i] ?? Infinity));
  }
}
for (const [way, [set, get, into]] of Object.entries(best)) {
  console.log(
    `Node, ${way}: ${get.toFixed(0)} ns a get, ${into.toFixed(0)} ns a get into a buffer, ${set.toFixed(0)} ns a set`,
  );
}
fs.rmSync(scratch, { recursive: true });
