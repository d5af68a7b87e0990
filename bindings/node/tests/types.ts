// The types, used as a program would use them, and misused where they are to refuse. Compiled, never run.
import * as larder from "..";

const db: larder.Store = larder.open("x", { sync: "interval:50", segment_size: "1MiB", read_only: false });
const value: Buffer | undefined = db.get("k");
const length: number | undefined = db.getInto(new Uint8Array(1), Buffer.alloc(1));
const version: bigint | undefined = db.setWith("k", "v", { ttlMs: 1, ifAbsent: true });
for (const [key, found] of db) key.equals(found);
const many: (Buffer | undefined)[] = db.getMany(["a", new Uint8Array(1)]);
db.batch().set("a", "b", { keepTtl: true }).delete("c").write({ sync: true });
const done: Promise<void> = db.syncAsync();
try {
  db.set("k", "v").set("l", "w");
} catch (error) {
  if (error instanceof larder.LarderError && error.status === larder.Status.READ_ONLY) console.log(error.code, error.badRecords);
}
larder.attach(db.share()).close();
console.log(value, length, version, many, done, db.stats().liveBytes, db.size);

// @ts-expect-error a number is no key
db.get(1);
// @ts-expect-error such a sync mode is not known
larder.open("x", { sync: "sometimes" });
// @ts-expect-error a value may be missing
db.get("k").length;
// @ts-expect-error stores are made by open
new larder.Store();
