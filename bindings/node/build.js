// Builds the addon: `npm install` runs it, by hand it is `node build.js`.
//
//   node build.js           addon*.c to build/larder.node, with cc
//   node build.js --carry   copies liblarder and larder.h into lib/, so that a package made of this directory carries
//                           them (`npm pack` does this); from LARDER_LIBRARY, or the source tree's target/release
//
// The addon links nothing: it loads the library when it is asked to. So the compiler and Node's own headers are all
// that is needed; those lie beside node, and where they do not, the package node-api-headers has them.
"use strict";
const { execFileSync, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const tree = path.join(__dirname, "..", "..");

function nodeHeaders() {
  const beside = path.join(path.dirname(fs.realpathSync(process.execPath)), "..", "include", "node");
  if (fs.existsSync(path.join(beside, "node_api.h"))) return beside;
  return require("node-api-headers").include_dir;
}

function larderHeader() {
  const places = [path.join(__dirname, "lib"), path.join(tree, "include")];
  const found = places.find((place) => fs.existsSync(path.join(place, "larder.h")));
  if (!found) throw new Error("larder.h is missing: this directory is neither a package nor in the source tree");
  return found;
}

function build() {
  const target = path.join(__dirname, "build");
  fs.mkdirSync(target, { recursive: true });
  const flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread"];
  flags.push(...(process.env.CFLAGS ?? "").split(" ").filter(Boolean));
  const includes = [`-I${nodeHeaders()}`, `-I${larderHeader()}`];
  const sources = ["addon.c", "addon_many.c"].map((name) => path.join(__dirname, name));
  const output = path.join(target, "larder.node");
  // Written beside and renamed: a running program keeps the one it has loaded.
  execFileSync(process.env.CC || "cc", [...flags, ...includes, ...sources, "-o", `${output}.new`, "-ldl"], {
    stdio: "inherit",
  });
  fs.renameSync(`${output}.new`, output);
}

function carry() {
  const lib = path.join(__dirname, "lib");
  const library = process.env.LARDER_LIBRARY || path.join(tree, process.env.CARGO_TARGET_DIR || "target", "release", "liblarder.so");
  fs.mkdirSync(lib, { recursive: true });
  const carried = path.join(lib, "liblarder.so.0");
  fs.copyFileSync(library, carried);
  // Seven eighths of it are for debuggers. Where there is no strip, they stay.
  spawnSync("strip", ["--strip-unneeded", carried]);
  fs.copyFileSync(path.join(tree, "include", "larder.h"), path.join(lib, "larder.h"));
}

if (process.argv.includes("--carry")) carry();
else build();
