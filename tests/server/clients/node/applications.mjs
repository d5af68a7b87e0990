// What is built on Redis clients, against a server on a Unix socket whose path is the argument: sessions of express in
// connect-redis, the limiter rate-limiter-flexible over both clients.
import { createClient } from "redis";
import Redis from "ioredis";
import express from "express";
import session from "express-session";
import { RedisStore } from "connect-redis";
import { RateLimiterRedis } from "rate-limiter-flexible";

const path = process.argv[2];
let checks = 0;

function check(ok, what) {
  if (!ok) {
    console.error(what);
    process.exit(1);
  }
  checks++;
}

const db = createClient({ socket: { path } });
db.on("error", (error) => check(false, `node-redis: ${error}`));
await db.connect();
await db.flushDb();

// Sessions: kept between requests, apart from each other, listed, touched, ended.
const store = new RedisStore({ client: db, prefix: "session:", ttl: 100 });
const app = express();
app.use(session({ store, secret: "pantry", resave: false, saveUninitialized: false, rolling: true, cookie: { maxAge: 60_000 } }));
app.get("/visit", (request, response) => {
  request.session.visits = (request.session.visits ?? 0) + 1;
  response.json({ visits: request.session.visits });
});
app.get("/leave", (request, response) => request.session.destroy(() => response.json({ visits: 0 })));
const server = await new Promise((resolve) => {
  const listening = app.listen(0, "127.0.0.1", () => resolve(listening));
});
const url = `http://127.0.0.1:${server.address().port}`;

async function visit(where, cookie) {
  const answer = await fetch(url + where, { headers: cookie ? { cookie } : {} });
  return { cookie: answer.headers.get("set-cookie")?.split(";")[0] ?? cookie, visits: (await answer.json()).visits };
}

const anna = await visit("/visit");
const berta = await visit("/visit");
check(anna.cookie && anna.cookie !== berta.cookie, "sessions: each visitor has one");
check((await visit("/visit", anna.cookie)).visits === 2 && (await visit("/visit", anna.cookie)).visits === 3, "sessions: kept between requests");
check((await visit("/visit", berta.cookie)).visits === 2, "sessions: apart from each other");
const keys = await db.keys("session:*");
check(keys.length === 2, `sessions: two are stored, ${keys}`);
const ttl = await db.ttl(keys[0]);
check(ttl > 50 && ttl <= 60, `sessions: they expire with the cookie, ${ttl}`);
const call = (name, ...rest) => new Promise((resolve, reject) => store[name](...rest, (error, value) => (error ? reject(error) : resolve(value))));
check((await call("length")) === 2 && (await call("ids")).length === 2 && (await call("all")).length === 2, "sessions: listed by SCAN and MGET");
await visit("/leave", berta.cookie);
check((await call("length")) === 1 && (await visit("/visit", berta.cookie)).visits === 1, "sessions: one that was ended begins anew");
await call("clear");
check((await db.keys("session:*")).length === 0, "sessions: cleared");
server.close();
server.closeAllConnections();

// A limiter: five points in a window, an atomic script each time, blocked when they are used up.
const io = new Redis({ path, maxRetriesPerRequest: 1 });
for (const [name, storeClient, options] of [["ioredis", io, {}], ["node-redis", db, { useRedisPackage: true }]]) {
  const limiter = new RateLimiterRedis({ storeClient, keyPrefix: `limit-${name}`, points: 5, duration: 1, ...options });
  const outcomes = await Promise.allSettled(Array.from({ length: 12 }, () => limiter.consume("user")));
  check(outcomes.filter((outcome) => outcome.status === "fulfilled").length === 5, `limiter over ${name}: five of twelve`);
  check(outcomes.every((outcome) => outcome.status === "fulfilled" || outcome.reason.msBeforeNext <= 1000), `limiter over ${name}: says when`);
  check((await limiter.get("user")).consumedPoints === 12, `limiter over ${name}: counts all`);
  check((await limiter.consume("other")).remainingPoints === 4, `limiter over ${name}: by key`);
  await new Promise((resolve) => setTimeout(resolve, 1100));
  check((await limiter.consume("user")).remainingPoints === 4, `limiter over ${name}: a new window`);
  await limiter.block("user", 60);
  check(await limiter.consume("user").then(() => false, (refusal) => refusal.msBeforeNext > 50_000), `limiter over ${name}: blocked`);
  check((await limiter.delete("user")) && (await limiter.consume("user")).remainingPoints === 4, `limiter over ${name}: deleted`);
}
await io.quit();
await db.close();
console.log(`connect-redis and rate-limiter-flexible: ${checks} checks`);
process.exit(0);
