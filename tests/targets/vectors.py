"""The conformance vectors, in C, over every target: the same cases, adapted to what a target says that it cannot promise.

    vectors.py RUNNER

RUNNER is bindings/c/tests/vectors.c, built. A case is changed as follows, and in no other way:
  - a store is opened at the target's location, emptied first; of the options only those that servers have are kept;
  - stats, compact and verify are LARDER_UNSUPPORTED, never something made up; sync and LARDER_SYNC too, where the
    server does not promise it, and then nothing is written;
  - versions are 0, so they do not rise;
  - on a cluster, a batch over several slots is LARDER_UNSUPPORTED and changes nothing; its operations are then
    carried out one by one, so that the rest of the case holds.
Cases that are about directories are left out, each by name.
"""
import binascii
import json
import os
import subprocess
import sys
import tempfile

from servers import Cluster, larder_with_port, need, redis

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../vectors/vectors.jsonl")

OF_DIRECTORIES = {
    "what cannot be opened is told with its reason": "directories and files",
    "a second opener is turned away at once": "a server has many clients",
    "two stores are two stores": "a server is one",
    "contents survive close and open in every sync mode": "three stores",
    "every documented option is taken": "options of directories",
    "an option that is not one is refused by name": "options of directories",
    "a flipped bit is reported with its place, and other keys stay readable": "a store's files",
    "a store has no more bytes than it was given": "an option of directories",
}

UNSUPPORTED = "LARDER_UNSUPPORTED"


def cases():
    found = []
    with open(VECTORS) as file:
        for line in filter(str.strip, file):
            step = json.loads(line)
            if "case" in step:
                found.append((step["case"], []))
            else:
                found[-1][1].append(step)
    return found


def bytes_of(text):
    if text.startswith("hex:"):
        return bytes.fromhex(text[4:])
    if text.startswith("repeat:"):
        unit, count = text[7:].split("*")
        return bytes.fromhex(unit) * int(count)
    return text.encode()


def slot_of(key):
    """The slot of a key, by Python's own CRC (binascii.crc_hqx is CRC16/XMODEM)."""
    key = bytes_of(key)
    begin = key.find(b"{")
    end = key.find(b"}", begin + 1)
    if begin >= 0 and end > begin + 1:
        key = key[begin + 1 : end]
    return binascii.crc_hqx(key, 0) % 16384


class Adapted:
    """A case as a target carries it out."""

    def __init__(self, location, is_durable, is_cluster):
        self.location, self.is_durable, self.is_cluster = location, is_durable, is_cluster
        self.is_read_only = False

    def case(self, steps):
        self.is_open = False
        return [made for step in steps for made in self.step(dict(step))]

    def step(self, step):
        verb, wanted = step["do"], step.get("status", "LARDER_OK")
        if verb == "open":
            step.pop("at")
            step["location"] = self.location
            self.is_read_only = ["read_only", "true"] in step.get("options", [])
            step["options"] = [option for option in step.get("options", []) if option[0] == "read_only"]
            if not self.is_open:
                step["empty"] = True
            self.is_open = True
        if verb in ("stats", "compact", "verify") and wanted != "LARDER_CLOSED":
            return [{"do": verb, "status": UNSUPPORTED, "figures": {}}]
        if verb == "sync" and wanted == "LARDER_OK" and not self.is_durable and not self.is_read_only:
            return [{"do": verb, "status": UNSUPPORTED}]
        if verb == "set_with":
            step.pop("version", None)
            if "sync" in step["flags"] and wanted == "LARDER_OK" and not self.is_durable:
                return [{**step, "status": UNSUPPORTED}, {**step, "flags": [flag for flag in step["flags"] if flag != "sync"]}]
        if verb == "batch":
            return self.batch(step)
        if verb == "write_packed" and self.is_cluster and wanted == "LARDER_OK" and step["ops"]:
            return [{**step, "status": UNSUPPORTED}]
        return [step]

    def batch(self, step):
        if "status" in step:
            return [step]
        made = []
        if step.get("sync") and not self.is_durable:
            made.append({**step, "status": UNSUPPORTED})
            step.pop("sync")
        if not self.is_cluster or len({slot_of(op[1]) for op in step["ops"]}) <= 1:
            return [*made, step]
        made.append({**step, "status": UNSUPPORTED})
        for op in step["ops"]:
            if op[0] == "set":
                made.append({"do": "set_with", "key": op[1], "value": op[2], "ttl_ms": op[3] if len(op) > 3 else 0, "flags": []})
            else:
                made.append({"do": "del", "key": op[1], "status": ["LARDER_OK", "LARDER_NOT_FOUND"]})
        return made


def for_directory(steps):
    # This library knows these schemes.
    return [step for step in steps if not step.get("location", "").startswith(("unix:", "redis:"))]


def run(runner, name, adapt, left_out):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for case, steps in cases():
            if case not in left_out:
                print(json.dumps({"case": case}), *map(json.dumps, adapt(steps)), sep="\n", file=file)
                print(file=file)
        file.flush()
        done = subprocess.run([runner, file.name], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    if done.returncode != 0:
        print(*(line for line in lines if not line.startswith("ok")), done.stderr, sep="\n")
        sys.exit(f"FAILED: vectors over {name}")
    print(f"ok   vectors over {name}: {lines[-1]}; {len(left_out)} left out")


def over(runner, server, name, location, is_durable=False, is_cluster=False):
    with server:
        run(runner, name, Adapted(location(server), is_durable, is_cluster).case, OF_DIRECTORIES)


def main():
    runner = os.path.abspath(sys.argv[1])
    known = {name for name, _ in cases()}
    assert OF_DIRECTORIES.keys() <= known, OF_DIRECTORIES.keys() - known
    run(runner, "a directory", for_directory, {})
    need(("redis-server", "redis-server"), ("redis-cli", "redis-tools"))
    unix, tcp = (lambda server: "unix:" + server.path), (lambda server: f"redis://127.0.0.1:{server.port}")
    over(runner, larder_with_port(), "larder serve, unix:", unix, is_durable=True)
    over(runner, larder_with_port(sync="always"), "larder serve --sync always, redis:", tcp, is_durable=True)
    over(runner, redis(), "redis-server, unix:", unix)
    over(runner, redis(), "redis-server, redis:", tcp)
    over(runner, redis("--appendonly", "yes", "--appendfsync", "always"), "redis-server with appendfsync always", tcp, is_durable=True)
    over(runner, Cluster(), "a cluster of three, redis+cluster:", lambda cluster: cluster.location, is_cluster=True)


if __name__ == "__main__":
    main()
