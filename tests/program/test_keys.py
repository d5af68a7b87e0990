"""get, set, del, scan and ttl: what they print, in both forms, and how they end."""
import base64
import os
import subprocess
import time
import unittest

from program import DONE, IO, NO, PROGRAM, USAGE, ProgramTest

ODD_KEYS = [b"\xff\xfe", b"a b", b"tab\there", b"new\nline", b'quo"te', b"back\\slash", "jam ü 🍯".encode(), b"-dash", b"\x1b[31m", b" ", b"'"]


class Keys(ProgramTest):
    def test_what_is_set_is_got(self):
        set_ = self.larder("set", "jam", "quince")
        self.assertEqual((set_.out, set_.err), (b"", b""), "a command that did as it was told is silent")
        self.assertEqual(self.larder("get", "jam").out, b"quince\n")
        self.assertEqual(self.larder("get", "jam", "--raw").out, b"quince")
        self.assertEqual(self.larder("get", "jam", "--json").object, {"key": "jam", "found": True, "value": "quince", "version": 1})
        self.assertEqual(self.larder("set", "jam", "apricot", "--json").object, {"key": "jam", "stored": True, "version": 2})
        self.assertEqual(self.larder("get", "jam", "--json").object["value"], "apricot")

    def test_a_key_that_is_not_there_is_exit_code_1(self):
        self.larder("set", "jam", "quince")
        for command in ("get", "del", "ttl"):
            ended = self.larder(command, "bread", code=NO)
            self.assertEqual((ended.out, ended.sentence), (b"", "larder: no key bread\n"), command)
        self.assertEqual(self.larder("get", "bread", "--json", code=NO).object, {"key": "bread", "found": False})
        self.assertEqual(self.larder("ttl", "bread", "--json", code=NO).object, {"key": "bread", "found": False, "ttl_ms": None})
        self.assertEqual(self.larder("del", "bread", "--json", code=NO).object, {"key": "bread", "deleted": False})
        self.assertEqual(self.larder("ttl", "bread", "--set", "1h", code=NO).sentence, "larder: no key bread\n")

    def test_values_come_from_standard_input_to_the_last_byte(self):
        for value in (b"", b"\n", b"\x00\xff" * 1000, b"x" * 3_000_000, b"two\nlines\n"):
            self.larder("set", "blob", stdin=value)
            self.assertEqual(self.larder("get", "blob", "--raw").out, value)
        self.larder("set", "empty", "")
        self.assertEqual(self.larder("get", "empty", "--raw").out, b"")

    def test_a_value_may_come_from_the_store_it_goes_to(self):
        self.larder("set", "jam", "quince")
        line = f'"{PROGRAM}" get jam --raw | "{PROGRAM}" set copy'
        for _ in range(10):
            done = subprocess.run(["bash", "-o", "pipefail", "-c", line], env=self.environment(LARDER_DIR=self.store), capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (DONE, b""))
        self.assertEqual(self.larder("get", "copy").out, b"quince\n")

    def test_keys_and_values_are_any_bytes(self):
        for key in ODD_KEYS:
            self.larder("set", "--", key, b"of " + key)
        for key in ODD_KEYS:
            self.assertEqual(self.larder("get", "--raw", "--", key).out, b"of " + key)
        self.assertEqual(self.contents(), {key: b"of " + key for key in ODD_KEYS})
        # A key with a NUL cannot be an argument; in base64 it can.
        encoded = base64.b64encode(b"\x00nul").decode()
        self.larder("set", "--base64", encoded, base64.b64encode(b"\x00\xff").decode())
        self.assertEqual(self.larder("get", "--base64", "--raw", encoded).out, b"\x00\xff")
        answer = self.larder("get", "--base64", "--json", encoded).object
        self.assertEqual((answer["key"], answer["value"]), ("\x00nul", {"base64": "AP8="}))
        self.larder("del", "--base64", encoded)
        self.assertEqual(set(self.contents()), set(ODD_KEYS))
        self.assertIn("the key is not base64", self.larder("get", "--base64", "!", code=USAGE).sentence)

    def test_lines_for_people_have_no_control_characters_and_are_one_per_key(self):
        for key in ODD_KEYS:
            self.larder("set", "--", key, b"x\ny\tz\x07")
        lines = self.larder("scan", "--values").text.splitlines()
        self.assertEqual(len(lines), len(ODD_KEYS))
        for line in lines:
            key, value = line.split("\t")
            self.assertEqual(value, '"x\\ny\\tz\\x07"')
            self.assertTrue(all(c.isprintable() for c in key), key)
        self.assertIn('"\\xff\\xfe"', {line.split("\t")[0] for line in lines})

    def test_conditions_hold_or_change_nothing(self):
        self.assertEqual(self.larder("set", "jam", "x", "--if-present", code=NO).sentence, "larder: no key jam\n")
        self.larder("set", "jam", "quince", "--if-absent")
        self.assertEqual(self.larder("set", "jam", "x", "--if-absent", code=NO).sentence, "larder: key jam is there already\n")
        self.assertEqual(self.larder("set", "jam", "x", "--if-absent", "--json", code=NO).object, {"key": "jam", "stored": False})
        self.assertEqual(self.larder("get", "jam").out, b"quince\n")
        self.larder("set", "jam", "apricot", "--if-present")
        self.assertEqual(self.larder("get", "jam").out, b"apricot\n")
        self.larder("set", "jam", "x", "--if-present", "--if-absent", code=USAGE)

    def test_time_to_live_is_shown_set_kept_and_removed(self):
        self.larder("set", "milk", "fresh", "--ttl", "1h")
        ttl_ms = self.larder("ttl", "milk", "--json").object["ttl_ms"]
        self.assertTrue(3_500_000 < ttl_ms <= 3_600_000, ttl_ms)
        self.assertRegex(self.larder("ttl", "milk").text, r"\A(1h|59m .*)\n\Z")
        self.assertLessEqual(self.larder("get", "milk", "--json").object["expires_at_ms"], int(time.time() * 1000) + 3_600_000)
        self.larder("set", "milk", "sour", "--keep-ttl")
        self.assertLess(self.larder("ttl", "milk", "--json").object["ttl_ms"], ttl_ms)
        self.larder("ttl", "milk", "--set", "7d")
        self.assertGreater(self.larder("ttl", "milk", "--json").object["ttl_ms"], 600_000_000)
        self.assertEqual(self.larder("ttl", "milk", "--remove").text, "forever\n")
        self.assertEqual(self.larder("ttl", "milk", "--json").object, {"key": "milk", "found": True, "ttl_ms": None})
        self.larder("set", "milk", "gone", "--ttl", "1ms")
        time.sleep(0.05)
        self.larder("get", "milk", code=NO)
        self.assertIn("milk", self.larder("ttl", "milk", code=NO).sentence)
        self.assertEqual(self.contents(), {})
        for ttl in ("5", "0s", "-1s", "soon", ""):
            self.assertIn("--ttl", self.larder("set", "milk", "x", f"--ttl={ttl}", code=USAGE).sentence)

    def test_del_deletes_what_is_there_and_says_what_was_not(self):
        for key in "abc":
            self.larder("set", key, "x")
        ended = self.larder("del", "a", "nope", "b", "a", code=NO)
        self.assertEqual(ended.sentence, "larder: no keys nope, a\n")
        self.assertEqual(set(self.contents()), {b"c"})
        self.larder("del", "c")
        self.larder("del", code=USAGE)

    def test_scan_takes_prefix_pattern_and_limit(self):
        keys = [f"{kind}/{i}" for kind in ("jam", "bread") for i in range(20)]
        self.larder("shell", "--create", stdin="".join(f"set {key} v\n" for key in keys).encode())
        scan = lambda *arguments: sorted(self.larder("scan", *arguments).text.splitlines())
        self.assertEqual(scan(), sorted(keys))
        self.assertEqual(scan("--prefix", "jam/"), sorted(key for key in keys if key.startswith("jam/")))
        self.assertEqual(scan("--match", "*/1[0-4]"), sorted(f"{kind}/{i}" for kind in ("jam", "bread") for i in range(10, 15)))
        self.assertEqual(scan("--match", "j*", "--prefix", "bread"), [])
        self.assertEqual(len(scan("--limit", "7")), 7)
        self.assertEqual(scan("--limit", "0"), [])
        self.assertEqual(scan("--prefix", "amFtLw==", "--base64", "--match", "*/3"), ["jam/3"])
        self.assertEqual(self.larder("scan", "--prefix", "jam/7", "--json").object, {"key": "jam/7"})
        self.assertEqual(self.larder("scan", "--prefix", "jam/7", "--json", "--values").object, {"key": "jam/7", "value": "v"})

    def test_an_empty_store_is_a_store(self):
        self.larder("set", "a", "b")
        self.larder("del", "a")
        self.assertEqual(self.larder("scan").out, b"")
        self.assertEqual(self.larder("scan", "--json", "--values").out, b"")
        self.assertEqual(self.larder("stats", "--json").object["keys"], 0)
        self.assertIn("no damage: 0 keys", self.larder("verify").text)

    def test_only_what_puts_keys_in_makes_a_store(self):
        for command in (["get", "a"], ["del", "a"], ["scan"], ["ttl", "a"], ["ttl", "a", "--set", "1s"], ["stats"], ["verify"], ["compact"],
                        ["salvage", "new"], ["backup", "new"], ["shell"]):
            self.assertIn("there is no store", self.larder(*command, code=IO).sentence)
            self.assertEqual(os.listdir(self.scratch), [], command)
        self.larder("set", "a", "b")

    def test_reading_changes_no_file(self):
        self.fill(100)
        before = self.files()
        for command in (["get", "key:1"], ["scan", "--values"], ["ttl", "key:1"], ["stats"], ["verify"], ["get", "nope"]):
            self.run_program(*command, "--dir", self.store)
        self.assertEqual(self.files(), before)

    def test_the_directory_may_come_from_the_environment(self):
        self.larder("set", "jam", "quince")
        self.assertEqual(self.run_program("get", "jam", LARDER_DIR=self.store).out, b"quince\n")
        self.assertEqual(self.run_program("get", "jam", "--dir", self.store, LARDER_DIR="/nowhere").out, b"quince\n")
        ended = self.run_program("get", "jam")
        self.assertEqual(ended.code, USAGE)
        self.assertIn("--dir", ended.sentence)

    def test_wrong_usage_is_exit_code_2_and_named(self):
        self.larder("set", "jam", "quince")
        for arguments, named in (
            (["get"], "KEY"),
            (["get", "a", "--nonsense"], "--nonsense"),
            (["get", "jam", "--raw", "--json"], "--raw and --json"),
            (["get", "jam", "--option", "colour=blue"], "colour"),
            (["get", "jam", "--option", "verify_reads"], "NAME=VALUE"),
            (["get", "jam", "--option", "read_only=false"], "read_only"),
            (["set", "k" * 65_536, "x"], "65535"),
            (["get", "k" * 65_536], "65535"),
            (["bench", "--keys", "0"], "--keys"),
        ):
            ended = self.run_program(*arguments, "--dir", self.store)
            self.assertEqual(ended.code, USAGE, f"{arguments[0]}: {ended.err!r}")
            self.assertIn(named, ended.sentence)
        self.assertEqual(self.run_program("nonsense").code, USAGE)
        self.assertEqual(self.run_program().code, USAGE)

    def test_a_reader_that_has_had_enough_is_no_failure(self):
        self.fill(20_000)
        for arguments in (["scan"], ["scan", "--json", "--values"], ["get", "key:1"]):
            program = subprocess.Popen([PROGRAM, *arguments, "--dir", self.store], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())
            if arguments[0] == "scan":
                program.stdout.read(1)
            program.stdout.close()
            self.assertEqual((program.stderr.read(), program.wait(30)), (b"", DONE), arguments)
            program.stderr.close()

    def test_a_full_standard_output_is_an_input_output_failure(self):
        self.larder("set", "jam", "quince")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, "get", "jam", "--dir", self.store], stdout=full, stderr=subprocess.PIPE, env=self.environment(), check=False)
        self.assertEqual(done.returncode, IO)
        self.assertIn(b"standard output", done.stderr)

    def test_json_lines_are_one_object_each(self):
        self.larder("set", "k10", b"\n\xf5\n")
        self.larder("set", "", "under the empty key")
        self.larder("set", "\u2028", "\u2028\n")
        out = self.larder("scan", "--json", "--values").out
        self.assertEqual(out.count(b"\n"), len(self.contents()))
        self.assertEqual(self.contents()["\u2028".encode()], "\u2028\n".encode())
        self.assertEqual(self.contents()[b"k10"], b"\n\xf5\n")


if __name__ == "__main__":
    unittest.main()
