"""Runs the program as a user does, and looks at all that comes out: standard output, standard error, the exit code."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.path.abspath(os.environ.get("LARDER_PROGRAM", "target/program/release/larder"))
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DONE, NO, USAGE, BUSY, DAMAGED, IO, OTHER = range(7)


def skip_without(*tools):
    """A test that lacks a tool is a skip, and a failure where none may be."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing and os.environ.get("LARDER_FORBID_SKIP") == "1":
        raise AssertionError(f"not installed: {', '.join(missing)}")
    return unittest.skipIf(missing, f"not installed: {', '.join(missing)}")


class Ended:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def text(self):
        return self.out.decode()

    @property
    def sentence(self):
        return self.err.decode()

    @property
    def objects(self):
        lines = self.out.split(b"\n")
        assert lines.pop() == b"", "the last line is a whole one"
        return [json.loads(line) for line in lines]

    @property
    def object(self):
        (only,) = self.objects
        return only


class ProgramTest(unittest.TestCase):
    """Each test has a directory of its own, where the store is `store`."""

    maxDiff = 2000

    def setUp(self):
        self.scratch = tempfile.mkdtemp(prefix="larder-program-")
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)
        self.store = self.path("store")

    def path(self, name):
        return os.path.join(self.scratch, name)

    def environment(self, **changes):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LARDER_")}
        return {**kept, "HOME": self.scratch, "LC_ALL": "C.UTF-8", **changes}

    def run_program(self, *arguments, stdin=b"", timeout=60, **environment):
        """The program with these arguments and no others."""
        done = subprocess.run(
            [PROGRAM, *arguments],
            input=stdin,
            capture_output=True,
            timeout=timeout,
            cwd=self.scratch,
            env=self.environment(**environment),
            check=False,
        )
        # Whatever happens: no panic, and nothing on standard error but sentences.
        self.assertNotIn(b"panicked", done.stderr)
        return Ended(done)

    def larder(self, command, *arguments, code=DONE, dir=None, **options):
        """A command on the store, which must end with this code."""
        ended = self.run_program(command, "--dir", dir or self.store, *arguments, **options)
        self.assertEqual(ended.code, code, f"{command} {arguments}: {ended.out!r} {ended.err!r}")
        if code not in (DONE, NO, DAMAGED):
            self.assertRegex(ended.sentence, r"\A(larder|error): .+\n", "a failure says what was wrong")
            self.assertEqual(ended.out, b"")
        return ended

    def contents(self, dir=None):
        """Every key and its value, as bytes."""
        return {bytes_of(line["key"]): bytes_of(line["value"]) for line in self.larder("scan", "--values", "--json", dir=dir).objects}

    def fill(self, count, dir=None, extra=b""):
        """key:0 … with values, in one process."""
        lines = b"".join(b"set key:%d value:%d\n" % (i, i) for i in range(count))
        self.larder("shell", "--create", "--option", "sync=none", stdin=lines + extra, dir=dir)

    def flip(self, wanted, dir=None):
        """Flips a bit of the last place in the segments that has these bytes; returns the file's name and the offset."""
        directory, found = dir or self.store, None
        for name in sorted(os.listdir(directory)):
            if name.endswith(".seg"):
                with open(os.path.join(directory, name), "rb") as file:
                    at = file.read().rfind(wanted)
                found = (name, at) if at >= 0 else found
        self.assertIsNotNone(found, f"{wanted} is in no segment")
        with open(os.path.join(directory, found[0]), "r+b") as file:
            file.seek(found[1])
            byte = file.read(1)[0]
            file.seek(found[1])
            file.write(bytes([byte ^ 1]))
        return found

    def files(self, dir=None):
        """What lies in the store's directory, to the byte."""
        directory = dir or self.store
        seen = {}
        for name in sorted(os.listdir(directory)):
            with open(os.path.join(directory, name), "rb") as file:
                seen[name] = file.read()
        return seen


def bytes_of(value):
    """What the program writes into JSON for bytes."""
    import base64

    if isinstance(value, str):
        return value.encode()
    assert list(value) == ["base64"], value
    return base64.b64decode(value["base64"], validate=True)
