// The shortest tour in Node: node tour.js [directory]
"use strict";
const larder = require("..");

const db = larder.open(process.argv[2] ?? "tour.larder");
db.set("greeting", "hello");
db.setWith("session", "anna", { ttlMs: 60_000 });
db.batch().set("colour/red", "#f00").set("colour/blue", "#00f").write(); // all or none

console.log(`${db.get("greeting")} from larder ${larder.version()}`);
console.log(`session lives for ${db.ttl("session")} ms more`);
for (const [key, value] of db.scan("colour/")) console.log(`${key} = ${value}`);
console.log(db.has("nothing"), db.size);
db.close();
