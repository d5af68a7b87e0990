// Every conformance vector, one test per case.
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { test } = require("node:test");
const { LEFT_OUT, Run, cases } = require("./vectors.js");

const all = cases();

for (const { name, steps } of all) {
  test(`vector: ${name}`, async (t) => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "larder-node-"));
    const run = new Run(directory);
    t.after(() => {
      for (const each of Object.values(run.objects)) each.close?.();
      fs.rmSync(directory, { recursive: true });
    });
    await run.run(steps);
    assert.ok(run.counted > 0);
  });
}

test("what is left out is a verb of the vectors", () => {
  const verbs = new Set(all.flatMap(({ steps }) => steps.map((step) => step.do)));
  assert.ok(all.length > 20);
  for (const verb of Object.keys(LEFT_OUT)) assert.ok(verbs.has(verb), verb);
});
