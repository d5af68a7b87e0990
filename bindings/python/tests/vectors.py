"""Runs the conformance vectors of `tests/vectors` through this package; their README has the verbs.

`LEFT_OUT` names the verbs that this package has no way to say, with the reason.
"""

from __future__ import annotations

import json
import pathlib
import time

import larder

FILE = pathlib.Path(__file__).resolve().parents[3] / "tests" / "vectors" / "vectors.jsonl"

LEFT_OUT = {
    "close_again": "close() may be called twice, as for every file-like object of Python",
    "write_packed": "Batch writes the packed form, nobody writes it by hand",
}


def cases(file=FILE):
    """Name and steps of each case."""
    found = []
    with open(file, encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            entry = json.loads(line)
            if "case" in entry:
                found.append((entry["case"], []))
            else:
                found[-1][1].append(entry)
    return found


def bytes_of(text):
    """Bytes as the vectors write them: "hex:00ff", "repeat:00ff*3", or the text itself."""
    if text is None:
        return None
    if text.startswith("hex:"):
        return bytes.fromhex(text[4:])
    if text.startswith("repeat:"):
        unit, _, count = text[7:].partition("*")
        return bytes.fromhex(unit) * int(count)
    return text.encode()


class Run:
    """One case, in a directory of its own."""

    def __init__(self, directory):
        self.directory, self.objects, self.version, self.counted = directory, {}, 0, 0

    def run(self, steps):
        for number, step in enumerate(steps):
            if step["do"] in LEFT_OUT:
                continue
            try:
                self.step(step)
            except AssertionError as failure:
                raise AssertionError(f"step {number + 1}, {json.dumps(step)[:200]}: {failure}") from failure
            self.counted += 1

    def step(self, step):
        wanted = step.get("status", "LARDER_OK")
        status, error, result = "LARDER_OK", None, None
        try:
            result = getattr(self, "do_" + step["do"])(step)
        except larder.Error as caught:
            error, status = caught, larder.status_name(caught.status)
        except StopIteration:
            status = "LARDER_DONE"
        if isinstance(result, str):
            status = result
        assert status in (wanted if isinstance(wanted, list) else [wanted]), f"{status}: {error}"
        for word in step.get("message", []):
            assert word in error.message, error.message
        if "os_errno" in step:
            assert error.os_errno == step["os_errno"], error.os_errno
        if "offset" in step:
            assert error.offset > 0, error.offset
        if step["do"] == "verify" and "bad_records" in step:
            found = error.bad_records if error else 0
            assert found == step["bad_records"], found

    def db(self, step):
        return self.objects[step.get("on", "db")]

    def do_open(self, step):
        location = step["location"] if "location" in step else self.directory / step["at"]
        options = dict(step.get("options", []))
        self.objects[step.get("as", "db")] = larder.open(location, **options)

    def do_close(self, step):
        self.db(step).close()

    def do_set(self, step):
        self.db(step)[bytes_of(step["key"])] = bytes_of(step["value"])

    def do_get(self, step):
        assert_equal(self.db(step)[bytes_of(step["key"])], bytes_of(step["value"]))

    def do_get_into(self, step):
        buffer = bytearray(b"\xaa" * step["capacity"])
        need = self.db(step).get_into(bytes_of(step["key"]), buffer)
        if need > len(buffer):
            assert_equal(need, step["need"])
            assert_equal(buffer, b"\xaa" * step["capacity"])
            return "LARDER_BUFFER_TOO_SMALL"
        assert_equal(buffer[:need], bytes_of(step["value"]))

    def do_exists(self, step):
        return "LARDER_OK" if bytes_of(step["key"]) in self.db(step) else "LARDER_NOT_FOUND"

    def do_del(self, step):
        del self.db(step)[bytes_of(step["key"])]

    def do_set_with(self, step):
        flags = {flag: True for flag in step["flags"]}
        version = self.db(step).set(bytes_of(step["key"]), bytes_of(step["value"]), step["ttl_ms"], **flags)
        if step.get("version") == "rises":
            assert version > self.version, (version, self.version)
        self.version = version

    def do_ttl(self, step):
        ttl_ms = self.db(step).ttl(bytes_of(step["key"]))
        ttl_ms = -1 if ttl_ms is None else ttl_ms
        if "ttl_ms" in step:
            assert_equal(ttl_ms, step["ttl_ms"])
        if "at_least_ms" in step:
            assert step["at_least_ms"] <= ttl_ms <= step["at_most_ms"], ttl_ms

    def do_expire(self, step):
        self.db(step).expire(bytes_of(step["key"]), None if step["ttl_ms"] == -1 else step["ttl_ms"])

    def do_len(self, step):
        assert_equal(len(self.db(step)), step["count"])

    def do_sync(self, step):
        self.db(step).sync()

    def do_compact(self, step):
        self.db(step).compact()

    def do_verify(self, step):
        self.db(step).verify()

    def do_stats(self, step):
        stats = self.db(step).stats()
        assert_equal({name: getattr(stats, name) for name in step["figures"]}, step["figures"])

    def do_scan(self, step):
        found = list(self.db(step).scan(bytes_of(step["prefix"])))
        wanted = [(bytes_of(key), bytes_of(value)) for key, value in step["pairs"]]
        assert_equal(sorted(found), sorted(wanted))

    def do_cursor_open(self, step):
        self.objects[step.get("as", "cursor")] = self.db(step).scan(bytes_of(step["prefix"]))

    def do_cursor_next(self, step):
        pair = next(self.objects[step.get("on", "cursor")])
        assert pair in [(bytes_of(key), bytes_of(value)) for key, value in step["one_of"]], pair

    def do_cursor_close(self, step):
        del self.objects[step.get("on", "cursor")]

    def do_view(self, step):
        view = self.db(step).view(bytes_of(step["key"]))
        assert_equal(view, bytes_of(step["value"]))
        self.objects[step.get("as", "view")] = view

    def do_view_check(self, step):
        assert_equal(self.objects[step.get("on", "view")], bytes_of(step["value"]))

    def do_view_release(self, step):
        self.objects.pop(step.get("on", "view")).release()

    def do_batch(self, step):
        batch = self.db(step).batch()
        for op, key, *rest in step["ops"]:
            if op == "set":
                batch.set(bytes_of(key), bytes_of(rest[0]), *rest[1:])
            else:
                batch.delete(bytes_of(key))
        batch.write(sync=step.get("sync", False))

    def do_get_many(self, step):
        values = self.db(step).get_many([bytes_of(key) for key in step["keys"]])
        assert_equal(values, [bytes_of(value) for value in step["values"]])

    def do_version(self, step):
        assert_equal(larder.abi_version(), step["abi"])
        assert_equal(len([int(part) for part in larder.version().split(".")]), 3)

    def do_status_name(self, step):
        assert_equal(larder.status_name(step["number"]), step["name"])

    def do_sleep(self, step):
        time.sleep(step["ms"] / 1000)

    def do_write_file(self, step):
        path = self.directory / step["at"]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes_of(step["value"]))

    def do_flip(self, step):
        wanted = bytes_of(step["find"])
        for path in sorted((self.directory / step["at"]).glob("*.seg")):
            content = bytearray(path.read_bytes())
            at = content.find(wanted)
            if at >= 0:
                content[at] ^= 1
                path.write_bytes(content)
                return
        raise AssertionError("no segment has these bytes")


def assert_equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"{str(found)[:200]} instead of {str(wanted)[:200]}")
