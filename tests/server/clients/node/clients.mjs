// node-redis and ioredis against a server on a Unix socket, whose path is the argument.
import { createClient, defineScript } from "redis";
import Redis from "ioredis";

const path = process.argv[2];
let checks = 0;

function check(ok, what) {
  if (!ok) {
    console.error(what);
    process.exit(1);
  }
  checks++;
}

for (const RESP of [2, 3]) {
  const db = createClient({
    RESP,
    socket: { path },
    scripts: { both: defineScript({ NUMBER_OF_KEYS: 1, SCRIPT: "redis.call('set', KEYS[1], ARGV[1]) return redis.call('get', KEYS[1])",
      parseCommand(parser, key, value) { parser.pushKey(key); parser.push(value); }, transformReply: (reply) => reply }) },
  });
  db.on("error", (error) => check(false, `node-redis: ${error}`));
  await db.connect();
  await db.flushDb();
  await db.set("a", "one", { expiration: { type: "EX", value: 100 } });
  check((await db.get("a")) === "one", "node-redis: get");
  check((await db.ttl("a")) > 90, "node-redis: ttl");
  check((await db.get("none")) === null, "node-redis: a missing key");
  const replies = await db.multi().incr("n").incrBy("n", 10).get("n").exec();
  check(JSON.stringify(replies) === '[1,11,"11"]', `node-redis: transaction ${JSON.stringify(replies)}`);
  await Promise.all(Array.from({ length: 1000 }, (_, i) => db.set(`many:${i}`, `${i}`)));
  let count = 0;
  for await (const keys of db.scanIterator({ MATCH: "many:*", COUNT: 100 })) count += keys.length;
  check(count === 1000, `node-redis: scan ${count}`);
  const listener = db.duplicate();
  await listener.connect();
  const heard = new Promise((resolve) => listener.pSubscribe("chan*", resolve));
  await db.publish("channel", "hello");
  check((await heard) === "hello", "node-redis: message");
  await listener.close();
  check((await db.both("s", "v")) === "v" && (await db.both("s", "w")) === "w", "node-redis: script");
  await db.sendCommand(["HSET", "h", "a", "1"]).then(() => check(false, "node-redis: hashes"), () => check(true));
  await db.close();
}

const db = new Redis({ path, connectionName: "io", maxRetriesPerRequest: 1 });
await db.flushdb();
await db.set("a", "one", "EX", 100);
check((await db.get("a")) === "one" && (await db.ttl("a")) > 90, "ioredis: set and get");
const [[, first], [, second]] = await db.multi().incr("n").incrby("n", 10).exec();
check(first === 1 && second === 11, "ioredis: transaction");
const pipeline = db.pipeline();
for (let i = 0; i < 1000; i++) pipeline.set(`many:${i}`, i);
check((await pipeline.exec()).every(([error]) => error === null), "ioredis: pipeline");
let count = 0;
for await (const keys of db.scanStream({ match: "many:*", count: 100 })) count += keys.length;
check(count === 1000, "ioredis: scan");
db.defineCommand("compareAndDelete", { numberOfKeys: 1, lua: "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0" });
check((await db.compareAndDelete("a", "two")) === 0 && (await db.compareAndDelete("a", "one")) === 1, "ioredis: script");
const listener = db.duplicate();
await listener.subscribe("channel");
const heard = new Promise((resolve) => listener.on("message", (_, message) => resolve(message)));
await db.publish("channel", "hello");
check((await heard) === "hello", "ioredis: message");
check((await db.getBuffer("many:1")).equals(Buffer.from("1")), "ioredis: buffers");
await listener.quit();
check((await db.quit()) === "OK", "ioredis: quit");
console.log(`node-redis and ioredis: ${checks} checks`);
process.exit(0);
