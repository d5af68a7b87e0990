// The border of Node: costs.js COUNT DIRECTORY. What it does and prints is in costs.h; every language does the same.
"use strict";
const larder = require("../../../bindings/node");

const GROUP = 32;
const ROUNDS = 15;
const count = Math.floor(Number(process.argv[2]) / GROUP) * GROUP;
const keys = Array.from({ length: count }, (_, n) => Buffer.from(String(n).padStart(16, "0")));
const shuffled = keys.map((_, n) => keys[Number((BigInt(n) * 2654435761n) % BigInt(count))]);
const groups = Array.from({ length: count / GROUP }, (_, n) => shuffled.slice(n * GROUP, (n + 1) * GROUP));
const value = Buffer.alloc(100);
const db = larder.open(process.argv[3], { sync: "none" });
const best = [Infinity, Infinity, Infinity];

function measure(what, work) {
  const start = process.hrtime.bigint();
  work();
  best[what] = Math.min(best[what], Number(process.hrtime.bigint() - start) / count);
}

for (let round = 0; round < ROUNDS; round++) {
  measure(2, () => {
    const batch = db.batch();
    for (let n = 0; n < count; n++) {
      batch.set(keys[n], value);
      if (n % GROUP === GROUP - 1) batch.write();
    }
  });
  measure(0, () => {
    for (const key of shuffled) if (db.get(key).length !== 100) throw new Error("another value");
  });
  measure(1, () => {
    for (const group of groups) if (db.getMany(group)[GROUP - 1].length !== 100) throw new Error("another value");
  });
}
db.close();
console.log("Node", ...best.map(Math.round));
