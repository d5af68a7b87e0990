// What the package promises beyond the vectors.
"use strict";
const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { test } = require("node:test");
const { Worker } = require("node:worker_threads");
const larder = require("..");

const TREE = path.join(__dirname, "..", "..", "..");

/** A store of the test's own, closed and removed with it. */
function newStore(t, options = {}) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "larder-node-"));
  const db = larder.open(path.join(directory, "store"), { sync: "none", ...options });
  t.after(() => {
    db.close();
    fs.rmSync(directory, { recursive: true });
  });
  return { db, location: path.join(directory, "store") };
}

const codeOf = (call) => {
  try {
    call();
  } catch (error) {
    return error.code ?? error.name;
  }
  return "no error";
};

test("strings are UTF-8, arrays of bytes are themselves, and all else is refused", (t) => {
  const { db } = newStore(t);
  db.set("naïve", "€");
  assert.deepEqual(db.get(Buffer.from("naïve")), Buffer.from("€"));
  db.set(new Uint8Array([1, 2]).subarray(1), new Uint8Array(new ArrayBuffer(8), 2, 3).fill(7));
  assert.deepEqual(db.get(new Uint8Array([2])), Buffer.from([7, 7, 7]));
  for (const wrong of [1, null, undefined, {}, [1], true]) {
    for (const call of [() => db.get(wrong), () => db.set("k", wrong), () => db.has(wrong), () => db.getMany([wrong]), () => db.delete(wrong)]) {
      assert.throws(call, TypeError);
    }
  }
  assert.throws(() => db.getInto("k", [1]), TypeError);
  assert.throws(() => db.scan(1), TypeError);
  assert.throws(() => db.setWith("k", "v", { ttlMs: 0.5 }), RangeError);
  assert.throws(() => larder.open("a\0b"), TypeError);
});

test("what comes out is the caller's own", (t) => {
  const { db } = newStore(t);
  db.set("a", "first").set("b", "other");
  const first = db.get("a");
  const [again] = db.getMany(["a"]);
  const [[key, value]] = [...db.scan("a")];
  db.get("b"), db.getMany(["b"]), [...db.scan()];
  assert.deepEqual([first, again, key, value].map(String), ["first", "first", "a", "first"]);
  first.fill(0);
  assert.equal(String(db.get("a")), "first");
});

test("values of every size around the buffers come back", (t) => {
  const { db } = newStore(t);
  for (const size of [0, 1, 65_519, 65_520, 65_521, 65_535, 65_536, 65_537, 300_000]) {
    const value = Buffer.alloc(size, `${size}`);
    db.set("k", value);
    assert.ok(db.get("k").equals(value), `get ${size}`);
    const many = db.getMany(["none", "k", "k"]);
    assert.ok(many[0] === undefined && many[1].equals(value) && many[2].equals(value), `getMany ${size}`);
    assert.ok([...db.scan()][0][1].equals(value), `scan ${size}`);
  }
});

test("a batch keeps its numbers: times to live of more than 32 bits, and below zero", (t) => {
  const { db } = newStore(t);
  const long = 2 ** 40 + 12_345;
  db.batch().set("long", "l", { ttlMs: long }).write();
  assert.ok(db.ttl("long") > 2 ** 40 && db.ttl("long") <= long);
  db.batch().set("long", "m", { keepTtl: true }).write();
  assert.ok(db.ttl("long") > 2 ** 40);
  const batch = db.batch().set("long", "n", { ttlMs: -2 });
  assert.equal(codeOf(() => batch.write()), "LARDER_INVALID_ARGUMENT");
  assert.equal(batch.length, 1);
  assert.equal(db.ttl("none"), undefined);
  assert.equal(db.expire("long", Infinity) && db.ttl("long"), Infinity);
});

test("a store is iterated like a Map, and a loop that is left closes its cursor", (t) => {
  const { db } = newStore(t);
  const wanted = new Map(Array.from({ length: 3000 }, (_, n) => [`k${n}`, `v${n}`]));
  for (const [key, value] of wanted) db.set(key, value);
  assert.deepEqual(new Map(Array.from(db, (pair) => pair.map(String))), wanted);
  assert.equal(new Set(Array.from(db.keys(), String)).size, 3000);
  assert.equal([...db.values()].length, db.size);
  for (const [key] of db) {
    db.delete(key);
    break;
  }
  assert.equal(db.size, 2999);
});

test("an error says what it is, like Node's own", (t) => {
  const { db, location } = newStore(t);
  let failure;
  try {
    larder.open(location);
  } catch (error) {
    failure = error;
  }
  assert.ok(failure instanceof larder.LarderError && failure instanceof Error);
  assert.equal(failure.code, "LARDER_BUSY");
  assert.equal(failure.status, larder.Status.BUSY);
  assert.match(failure.message, new RegExp(`${process.pid}`));
  assert.match(failure.stack, /store\.test\.js/);
  db.close();
  db.close();
  for (const call of [() => db.get("k"), () => db.set("k", "v"), () => db.size, () => db.stats(), () => db.scan(), () => db.sync()]) {
    assert.equal(codeOf(call), "LARDER_CLOSED");
  }
});

test("what waits for the disk has a promise, which rejects with the same errors", async (t) => {
  const { db } = newStore(t);
  db.set("k", "v");
  await Promise.all([db.syncAsync(), db.compactAsync(), db.verifyAsync()]);
  db.sync(), db.compact(), db.verify();
  db.close();
  await assert.rejects(db.syncAsync(), { code: "LARDER_CLOSED" });
});

test("workers share a store that one thread has opened", async (t) => {
  const { db } = newStore(t);
  const program = `
    const { parentPort, workerData } = require("node:worker_threads");
    const larder = require(workerData.module);
    const db = larder.attach(workerData.shared);
    for (let n = 0; n < 500; n++) db.set(workerData.name + n, String(n));
    parentPort.postMessage(db.getMany(Array.from({ length: 500 }, (_, n) => workerData.name + n)).every((v, n) => String(v) === String(n)));
  `;
  const shared = db.share();
  const module = path.join(__dirname, "..");
  const answers = await Promise.all(
    ["a", "b", "c"].map(
      (name) =>
        new Promise((resolve, reject) => {
          const worker = new Worker(program, { eval: true, workerData: { module, shared, name } });
          worker.once("message", resolve);
          worker.once("error", reject);
        }),
    ),
  );
  assert.deepEqual(answers, [true, true, true]);
  assert.equal(db.size, 1500);
});

test("a worker that ends without closing gives its store back", async (t) => {
  const { db, location } = newStore(t);
  db.set("k", "v");
  db.close();
  const program = `
    const { workerData } = require("node:worker_threads");
    const larder = require(workerData.module);
    larder.open(workerData.location).set("w", "x");
    process.exit();
  `;
  const worker = new Worker(program, { eval: true, workerData: { module: path.join(__dirname, ".."), location } });
  await new Promise((resolve) => worker.once("exit", resolve));
  const again = larder.open(location);
  assert.equal(String(again.get("w")), "x");
  again.close();
});

test("what a killed process was told is kept", (t) => {
  const { location } = newStore(t);
  const killed = `${location}-killed`;
  const program = `
    const db = require(${JSON.stringify(path.join(__dirname, ".."))}).open(${JSON.stringify(killed)}, { sync: "none" });
    for (let n = 0; n < 100; n++) db.set("k" + n, "v" + n);
    process.kill(process.pid, "SIGKILL");
  `;
  assert.throws(() => execFileSync(process.execPath, ["-e", program]), { signal: "SIGKILL" });
  const db = larder.open(killed);
  assert.equal(db.size, 100);
  db.close();
});

test("the tour runs", (t) => {
  const { location } = newStore(t);
  const output = execFileSync(process.execPath, [path.join(__dirname, "..", "examples", "tour.js"), `${location}-tour`], { encoding: "utf8" });
  assert.match(output, /hello from larder/);
  assert.match(output, /colour\/red = #f00/);
});

test("statuses and figures are those of the header", (t) => {
  const api = JSON.parse(fs.readFileSync(path.join(TREE, "include", "larder.api.json"), "utf8"));
  const named = Object.fromEntries(api.statuses.map(({ name, number }) => [name.replace("LARDER_", ""), number]));
  assert.deepEqual({ ...larder.Status }, named);
  const { db } = newStore(t);
  const fields = api.structs.find(({ name }) => name === "larder_stats").fields.slice(2);
  const camel = fields.map(({ name }) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()));
  assert.deepEqual(Object.keys(db.stats()), camel);
});
