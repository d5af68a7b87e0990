// Runs the conformance vectors of tests/vectors through this package; their README has the verbs.
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const larder = require("..");

const FILE = path.join(__dirname, "..", "..", "..", "tests", "vectors", "vectors.jsonl");

/** The verbs that this package has no way to say, with the reason. */
const LEFT_OUT = {
  close_again: "close() may be called twice, as everywhere in Node",
  write_packed: "Batch writes the packed form, nobody writes it by hand",
  view: "JavaScript has no memory that cannot be written: a write into a view would be one into the store's files",
  view_check: "see view",
  view_release: "see view",
};

/** Name and steps of each case. */
function cases(file = FILE) {
  const found = [];
  for (const line of fs.readFileSync(file, "utf8").split("\n")) {
    if (line.trim() === "") continue;
    const entry = JSON.parse(line);
    if (entry.case) found.push({ name: entry.case, steps: [] });
    else found.at(-1).steps.push(entry);
  }
  return found;
}

/** Bytes as the vectors write them: "hex:00ff", "repeat:00ff*3", or the text itself. */
function bytesOf(text) {
  if (text === null) return undefined;
  if (text.startsWith("hex:")) return Buffer.from(text.slice(4), "hex");
  if (text.startsWith("repeat:")) {
    const [unit, count] = text.slice(7).split("*");
    const bytes = Buffer.from(unit, "hex");
    return Buffer.alloc(bytes.length * Number(count), bytes);
  }
  return Buffer.from(text);
}

const figureName = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const sorted = (pairs) => pairs.map(([key, value]) => `${key.toString("hex")}=${value.toString("hex")}`).sort();
const ttlOf = (ttlMs) => (ttlMs === -1 ? { keepTtl: true } : { ttlMs });

/** One case, in a directory of its own. */
class Run {
  constructor(directory) {
    this.directory = directory;
    this.objects = {};
    this.version = 0n;
    this.counted = 0;
  }

  async run(steps) {
    for (const [number, step] of steps.entries()) {
      // What other verbs say about views is left out with them.
      if (step.do in LEFT_OUT || step.figures?.pinned_views > 0) continue;
      try {
        await this.step(step);
      } catch (error) {
        error.message = `step ${number + 1}, ${JSON.stringify(step).slice(0, 200)}: ${error.message}`;
        throw error;
      }
      this.counted++;
    }
  }

  async step(step) {
    const wanted = [step.status ?? "LARDER_OK"].flat();
    let status = "LARDER_OK";
    let error;
    try {
      status = (await verbs[step.do].call(this, step, this.objects[step.on ?? "db"])) ?? status;
    } catch (caught) {
      if (!(caught instanceof larder.LarderError)) throw caught;
      error = caught;
      status = error.code;
    }
    assert.ok(wanted.includes(status), `${status}: ${error?.message}`);
    for (const word of step.message ?? []) assert.ok(error.message.includes(word), error.message);
    if ("os_errno" in step) assert.equal(error.errno, step.os_errno);
    if ("offset" in step) assert.ok(error.offset > 0);
    if (step.do === "verify" && "bad_records" in step) assert.equal(error?.badRecords ?? 0, step.bad_records);
  }
}

const verbs = {
  version(step) {
    assert.match(larder.version(), /^\d+\.\d+\.\d+$/);
    assert.equal(larder.abiVersion(), step.abi);
  },
  status_name(step) {
    assert.equal(larder.statusName(step.number), step.name);
  },
  sleep: (step) => new Promise((resolve) => setTimeout(resolve, step.ms)),
  write_file(step) {
    const file = path.join(this.directory, step.at);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, bytesOf(step.value));
  },
  flip(step) {
    const store = path.join(this.directory, step.at);
    for (const name of fs.readdirSync(store).filter((each) => each.endsWith(".seg"))) {
      const content = fs.readFileSync(path.join(store, name));
      const at = content.indexOf(bytesOf(step.find));
      if (at < 0) continue;
      content[at] ^= 1;
      fs.writeFileSync(path.join(store, name), content);
      return;
    }
    assert.fail("no segment has these bytes");
  },
  open(step) {
    const options = Object.fromEntries(step.options ?? []);
    this.objects[step.as ?? "db"] = larder.open(step.location ?? path.join(this.directory, step.at), options);
  },
  close: (_, db) => db.close(),
  set: (step, db) => void db.set(bytesOf(step.key), bytesOf(step.value)),
  get(step, db) {
    const value = db.get(bytesOf(step.key));
    if (value === undefined) return "LARDER_NOT_FOUND";
    assert.ok(value.equals(bytesOf(step.value)), "another value");
  },
  get_into(step, db) {
    const target = Buffer.alloc(step.capacity, 0xaa);
    const need = db.getInto(bytesOf(step.key), target);
    if (need === undefined) return "LARDER_NOT_FOUND";
    if (need <= target.length) return void assert.ok(target.subarray(0, need).equals(bytesOf(step.value)), "another value");
    assert.equal(need, step.need);
    assert.ok(target.equals(Buffer.alloc(step.capacity, 0xaa)), "the target was touched");
    return "LARDER_BUFFER_TOO_SMALL";
  },
  exists: (step, db) => (db.has(bytesOf(step.key)) ? "LARDER_OK" : "LARDER_NOT_FOUND"),
  del: (step, db) => (db.delete(bytesOf(step.key)) ? "LARDER_OK" : "LARDER_NOT_FOUND"),
  set_with(step, db) {
    const has = (flag) => step.flags.includes(flag);
    const flags = { ifAbsent: has("if_absent"), ifPresent: has("if_present"), sync: has("sync") };
    const version = db.setWith(bytesOf(step.key), bytesOf(step.value), { ...ttlOf(step.ttl_ms), ...flags });
    if (version === undefined) return flags.ifAbsent ? "LARDER_EXISTS" : "LARDER_NOT_FOUND";
    if (step.version) assert.ok(version > this.version, `${version} after ${this.version}`);
    this.version = version;
  },
  ttl(step, db) {
    let left = db.ttl(bytesOf(step.key));
    if (left === undefined) return "LARDER_NOT_FOUND";
    if (left === Infinity) left = -1;
    if ("ttl_ms" in step) assert.equal(left, step.ttl_ms);
    if ("at_least_ms" in step) assert.ok(left >= step.at_least_ms && left <= step.at_most_ms, `${left}`);
  },
  expire(step, db) {
    const ttlMs = step.ttl_ms === -1 ? Infinity : step.ttl_ms;
    return db.expire(bytesOf(step.key), ttlMs) ? "LARDER_OK" : "LARDER_NOT_FOUND";
  },
  len: (step, db) => void assert.equal(db.size, step.count),
  sync: (_, db) => db.syncAsync(),
  compact: (_, db) => db.compactAsync(),
  verify: (_, db) => db.verifyAsync(),
  stats(step, db) {
    const stats = db.stats();
    for (const [name, figure] of Object.entries(step.figures)) assert.equal(stats[figureName(name)], figure, name);
  },
  scan(step, db) {
    assert.deepEqual(sorted([...db.scan(bytesOf(step.prefix))]), sorted(step.pairs.map((pair) => pair.map(bytesOf))));
  },
  cursor_open(step, db) {
    this.objects[step.as ?? "cursor"] = db.scan(bytesOf(step.prefix));
  },
  cursor_next(step) {
    const { done, value } = this.objects[step.on ?? "cursor"].next();
    if (done) return "LARDER_DONE";
    assert.ok(sorted(step.one_of.map((pair) => pair.map(bytesOf))).includes(sorted([value])[0]), "another pair");
  },
  cursor_close(step) {
    this.objects[step.on ?? "cursor"].return();
  },
  batch(step, db) {
    const batch = db.batch();
    for (const [op, key, value, ttlMs] of step.ops) {
      if (op === "set") batch.set(bytesOf(key), bytesOf(value), ttlOf(ttlMs ?? 0));
      else batch.delete(bytesOf(key));
    }
    batch.write({ sync: step.sync ?? false });
  },
  get_many(step, db) {
    const values = db.getMany(step.keys.map(bytesOf));
    assert.equal(values.length, step.keys.length);
    for (const [i, wanted] of step.values.map(bytesOf).entries()) {
      assert.ok(i in values && (wanted === undefined ? values[i] === wanted : values[i]?.equals(wanted)), `value ${i}`);
    }
  },
};

module.exports = { LEFT_OUT, Run, cases };
