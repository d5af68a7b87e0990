"""Export and import: lines of JSON and RDB files, round and round, and by redis-server both ways."""
import json
import os
import random
import re
import resource
import shutil
import subprocess
import time
import unittest

import servers
from program import BUSY, DAMAGED, DONE, IO, NO, PROGRAM, USAGE, ProgramTest, bytes_of, skip_without
from resp import larder
from servers import Talk, redis

FORMATS = ("json", "rdb")
FAR_MS = 4_000_000_000_123


def some_keys(seed=1):
    """Keys of every kind: text, any bytes, numbers as Redis packs them, lengths around each step, what expires."""
    random.seed(seed)
    keys = {b"": (b"", 0), b"text": ("schön".encode(), 0), b"\xff\x00\xfe": (bytes(range(256)), 0), b"a\nb\"c\\": (b"\r\n\x00", FAR_MS)}
    for number in (0, -1, 127, 128, -128, -129, 32767, 32768, -32769, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63):
        keys[b"%d" % number] = (b"%d" % number, 0)
    for text in (b"007", b"-0", b"+1", b"1.5", b" 1", b'{"base64":"AA=="}', b"\xed\xa0\x80", b"\xef\xbb\xbf"):
        keys[b"text:" + text] = (text, 0)
    for length in (1, 63, 64, 16383, 16384, 65535, 65536, 1 << 20, (3 << 20) + 1):
        keys[b"random:%d" % length] = (random.randbytes(length), FAR_MS + length if length % 2 else 0)
        keys[b"same:%d" % length] = (b"x" * length, 0)
    keys[b"long key " + b"k" * (65535 - 9)] = (b"v", FAR_MS)
    return keys


def json_line(key, value, expires_at_ms=0):
    import base64

    def shown(data):
        try:
            return data.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(data).decode()}

    line = {"key": shown(key), "value": shown(value)}
    return json.dumps({**line, "expires_at_ms": expires_at_ms} if expires_at_ms else line).encode() + b"\n"


class FilesTest(ProgramTest):
    def load(self, keys, dir=None):
        lines = b"".join(json_line(key, value, moment) for key, (value, moment) in keys.items())
        return self.larder("import", stdin=lines, dir=dir)

    def entries(self, dir=None):
        """Each key with value and expiry, as an export has them."""
        lines = self.larder("export", dir=dir).objects
        self.assertEqual(lines[0], {"larder_export": 1})
        self.assertEqual(lines[-1], {"larder_export_keys": len(lines) - 2})
        return {bytes_of(line["key"]): (bytes_of(line["value"]), line.get("expires_at_ms", 0)) for line in lines[1:-1]}

    def run_redis(self, *arguments, password=None, **options):
        if password:
            arguments += ("--requirepass", password)
        server = redis(*arguments, **options).start()
        self.addCleanup(server.remove)
        talk = Talk(server.path)
        self.addCleanup(talk.client.close)
        if password:
            talk("AUTH", password)
        talk.wait_until_loaded()
        return server, talk

    def fill_redis(self, talk):
        """Strings in all codings, and everything that is none; the strings, and how many others by type."""
        keys = {key: found for key, found in some_keys(3).items()}
        for key, (value, moment) in keys.items():
            talk("SET", key, value, *(("PXAT", moment) if moment else ()))
        talk("SET", "seconds", "v", "EXAT", "4000000000")
        keys[b"seconds"] = (b"v", 4_000_000_000_000)
        for size in (1, 3, 50, 700):
            items = [f"item{i}" for i in range(size)]
            numbers = list(range(size))
            talk("RPUSH", f"list{size}", *items, "x" * 9000)
            talk("RPUSH", f"listnumbers{size}", *numbers)
            talk("SADD", f"set{size}", *items)
            talk("SADD", f"setnumbers{size}", *numbers)
            talk("HSET", f"hash{size}", *[word for item in items for word in (item, item * 3)])
            talk("HSET", f"hashlong{size}", "f", "v" * 100 * size)
            talk("ZADD", f"zset{size}", *[word for i, item in enumerate(items) for word in (i * 1.5, item)])
            talk("ZADD", f"zsetends{size}", "-inf", "low", "+inf", "high", "1e300", "x" * 10 * size)
            for i in range(size):
                talk("XADD", f"stream{size}", f"{i + 1}-1", "field", f"value{i}", f"other{i % 3}", "x" * 30)
            talk("PEXPIREAT", f"list{size}", FAR_MS)
        talk("XGROUP", "CREATE", "stream50", "group", "0")
        talk("XGROUP", "CREATE", "stream50", "idle", "$")
        talk("XREADGROUP", "GROUP", "group", "one", "COUNT", "20", "STREAMS", "stream50", ">")
        talk("XREADGROUP", "GROUP", "group", "two", "COUNT", "5", "STREAMS", "stream50", ">")
        talk("XDEL", "stream50", "3-1", "50-1")
        talk("XADD", "emptied", "1-1", "f", "v")
        talk("XDEL", "emptied", "1-1")
        talk("PFADD", "log", *range(100))
        keys[b"log"] = (talk("GET", "log"), 0)
        talk("SETBIT", "bits", "100", "1")
        keys[b"bits"] = (talk("GET", "bits"), 0)
        talk("FUNCTION", "LOAD", "#!lua name=mylib\nredis.register_function('f', function() return 1 end)")
        for database in (1, 9):
            talk("SELECT", database)
            talk("SET", "elsewhere", str(database))
            talk("RPUSH", "list", "a")
        talk("SELECT", 0)
        return keys, {"list": 8, "set": 8, "hash": 8, "zset": 8, "stream": 5}


class RoundTrips(FilesTest):
    def test_every_key_comes_back_in_either_format_by_file_and_by_pipe(self):
        keys = some_keys()
        self.load(keys)
        self.assertEqual(self.entries(), keys)
        for number, format in enumerate(FORMATS):
            file, other = self.path(f"file.{format}"), self.path(f"other{number}")
            ended = self.larder("export", "--format", format, file)
            self.assertEqual(ended.text, f"{file}: {len(keys)} keys\n")
            ended = self.larder("import", file, dir=other)
            self.assertEqual(ended.text, f"imported {len(keys)} keys\n")
            self.assertEqual(self.entries(other), keys)
            piped = self.larder("export", "--format", format, "-").out
            with open(file, "rb") as same:
                self.assertEqual(piped, same.read())
            self.larder("import", "--format", format, "-", stdin=piped, dir=self.path(f"piped{number}"))
            self.assertEqual(self.entries(self.path(f"piped{number}")), keys)
        self.assertEqual(self.larder("verify", dir=other).code, DONE)

    def test_an_empty_store_comes_back_empty(self):
        self.load({})
        for number, format in enumerate(FORMATS):
            piped = self.larder("export", "--format", format).out
            self.assertEqual(self.larder("import", stdin=piped, dir=self.path(f"o{number}")).text, "imported 0 keys\n")

    def test_a_hundred_thousand_keys_come_back_in_either_format(self):
        keys = {b"key:%d" % i: (b"value:%d" % (i * i), FAR_MS + i if i % 3 == 0 else 0) for i in range(100_000)}
        self.load(keys)
        for number, format in enumerate(FORMATS):
            file, other = self.path(f"file.{format}"), self.path(f"other{number}")
            self.larder("export", "--format", format, file)
            report = self.larder("import", "--json", file, dir=other).object
            self.assertEqual(report["imported"], len(keys))
            self.assertEqual(self.entries(other), keys)

    def test_what_scan_and_get_print_can_be_imported(self):
        self.load({b"a": (b"1", 0), b"b": (b"2", FAR_MS)})
        lines = self.larder("scan", "--values", "--json").out + self.larder("get", "--json", "b").out
        self.larder("import", stdin=lines, dir=self.path("other"))
        self.assertEqual(self.entries(self.path("other")), {b"a": (b"1", 0), b"b": (b"2", FAR_MS)})


class Conflicts(FilesTest):
    def setUp(self):
        super().setUp()
        self.load({b"both": (b"store's", FAR_MS), b"store": (b"1", 0)})
        self.lines = b"".join(json_line(key, b"file's") for key in (b"first", b"both", b"last"))
        self.file = self.path("file")
        with open(self.file, "wb") as file:
            file.write(self.lines)

    def test_replace_takes_the_files_value_and_expiry(self):
        ended = self.larder("import", self.file)
        self.assertEqual(ended.text, "imported 3 keys (1 replaced)\n")
        self.assertEqual(self.entries()[b"both"], (b"file's", 0))
        self.assertEqual(len(self.entries()), 4)

    def test_keep_leaves_the_stores(self):
        report = self.larder("import", "--json", "--on-conflict", "keep", self.file).object
        self.assertEqual((report["imported"], report["kept"]), (2, 1))
        self.assertEqual(self.entries()[b"both"], (b"store's", FAR_MS))

    def test_fail_changes_nothing_if_it_is_a_file_and_keeps_what_came_before_if_not(self):
        ended = self.larder("import", "--on-conflict", "fail", self.file, code=NO)
        self.assertIn("the store has the key both already; nothing was imported", ended.sentence)
        self.assertEqual(set(self.entries()), {b"both", b"store"})
        ended = self.larder("import", "--on-conflict", "fail", stdin=self.lines, code=NO)
        self.assertIn("already; 1 keys before it were imported", ended.sentence)
        self.assertEqual(set(self.entries()), {b"first", b"both", b"store"})

    def test_what_a_file_has_twice_is_a_conflict_too(self):
        twice = json_line(b"k", b"1") + json_line(b"k", b"2")
        for what, value, code in (("keep", b"1", DONE), ("fail", b"1", NO), ("replace", b"2", DONE)):
            dir = self.path(what)
            self.larder("import", "--on-conflict", what, stdin=twice, dir=dir, code=code)
            self.assertEqual(self.entries(dir), {b"k": (value, 0)}, what)

    def test_what_has_expired_is_not_imported_and_counted(self):
        past = int(time.time() * 1000) - 1000
        report = self.larder("import", "--json", stdin=json_line(b"gone", b"1", past) + json_line(b"both", b"2", 1) + json_line(b"new", b"3")).object
        self.assertEqual((report["imported"], report["expired"]), (1, 2))
        self.assertEqual(self.entries()[b"both"], (b"store's", FAR_MS))

    def test_keys_too_long_for_a_store_are_counted_and_named_by_their_place(self):
        lines = json_line(b"k" * 65536, b"v") + json_line(b"short", b"v")
        ended = self.larder("import", "--list-skipped", stdin=lines)
        self.assertEqual(ended.text, "too long\tat offset 0\tdatabase 0\nimported 1 keys\nleft out 1 that are too long\n")


class Places(FilesTest):
    def test_a_file_is_replaced_whole_or_not_at_all(self):
        self.load({b"k%d" % i: (random.randbytes(1000), 0) for i in range(1000)})
        file = self.path("file")
        with open(file, "w") as old:
            old.write("old")
        os.chmod(file, 0o600)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

        for format in FORMATS:
            done = subprocess.run([PROGRAM, "export", "--dir", self.store, "--format", format, file], preexec_fn=limit, restore_signals=False,
                                  capture_output=True, env=self.environment(), check=False, timeout=60)
            self.assertEqual(done.returncode, IO, done.stderr)
            self.assertIn(b"File too large", done.stderr)
            with open(file) as old:
                self.assertEqual(old.read(), "old")
            self.assertEqual(sorted(os.listdir(self.scratch)), ["file", "store"], "nothing is left beside it")
        self.larder("export", file)
        self.assertEqual(sorted(os.listdir(self.scratch)), ["file", "store"])

    def test_places_that_cannot_be_are_sentences(self):
        self.load({b"k": (b"v", 0)})
        for file in (self.path("no/such/file"), self.scratch, "/dev/null"):
            self.larder("export", file, code=IO)
        self.larder("import", self.path("none"), code=IO)
        self.larder("import", self.scratch, code=IO)
        self.larder("export", dir=self.path("none"), code=IO)
        self.assertFalse(os.path.exists(self.path("none")))

    def test_the_file_that_a_link_leads_to_is_replaced(self):
        self.load({b"k": (b"v", 0)})
        with open(self.path("file"), "w"):
            os.symlink("file", self.path("link"))
        self.larder("export", self.path("link"))
        self.assertTrue(os.path.islink(self.path("link")))
        self.assertGreater(os.path.getsize(self.path("file")), 0)

    def test_a_store_that_is_served_is_busy_and_is_read_over_its_socket(self):
        keys = some_keys()
        self.load(keys)
        server = larder(directory=self.scratch).start()
        self.addCleanup(server.stop)
        self.larder("export", code=BUSY)
        for format in FORMATS:
            ended = self.run_program("export", "--from", f"unix:{server.path}", "--format", format, self.path("file"))
            self.assertEqual((ended.code, ended.sentence), (DONE, ""))
            self.larder("import", self.path("file"), dir=self.path(format))
            self.assertEqual(self.entries(self.path(format)), keys)

    def test_damage_in_the_store_is_not_exported(self):
        self.load({b"k%d" % i: (b"value %d" % i, 0) for i in range(100)})
        self.flip(b"value 50")
        with open(self.path("file"), "w") as old:
            old.write("old")
        self.larder("export", self.path("file"), code=DAMAGED)
        with open(self.path("file")) as old:
            self.assertEqual(old.read(), "old")


class Damage(FilesTest):
    """Whatever is in a file: a sentence with an offset, and nothing of it in the store."""

    def refused(self, data, *arguments):
        with open(self.path("file"), "wb") as file:
            file.write(data)
        ended = self.larder("import", *arguments, self.path("file"), code=DAMAGED)
        self.assertRegex(ended.sentence, r"\Alarder: \S+/file: .+ at offset \d+; nothing was imported\n\Z")
        self.assertFalse(os.path.exists(self.store), "not even made")
        return ended.sentence

    def exported(self, format):
        dir = self.path("whole")
        self.load({b"k%d" % i: (b"value %d" % i * (i % 7), FAR_MS if i % 2 else 0) for i in range(50)}, dir=dir)
        return self.larder("export", "--format", format, dir=dir).out

    def test_files_that_are_cut_or_changed_are_refused(self):
        random.seed(2)
        rdb, lines = self.exported("rdb"), self.exported("json")
        for _ in range(60):
            at = random.randrange(9, len(rdb))
            self.refused(rdb[:at])
            self.refused(rdb[:at] + bytes([rdb[at] ^ (1 << random.randrange(8))]) + rdb[at + 1 :])
            self.refused(lines[: random.randrange(1, len(lines) - 1)])
        for at in range(0, len(lines), len(lines) // 60):
            self.refused(lines[:at] + b"\x00" + lines[at + 1 :])
        self.assertIn("the checksum is", self.refused(rdb[:-1] + bytes([rdb[-1] ^ 1])))
        self.assertIn("was cut off", self.refused(lines[: lines.rindex(b"{")]))

    def test_other_files_are_refused_as_what_they_are(self):
        self.assertIn("neither lines of JSON nor an RDB file", self.refused(b"\x7fELF"))
        self.assertIn("version 99", self.refused(b"REDIS0099"))
        self.assertIn("ends in the middle", self.refused(b"RED"))
        self.assertIn("ends in the middle", self.refused(b"", "--format", "rdb"))
        self.assertIn("line 1: a line needs", self.refused(b"{}\n"))

    def test_lengths_take_no_memory_before_their_bytes_have_come(self):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        huge = b"\x81" + (1 << 40).to_bytes(8, "big")
        for body in (b"\x00\x01k" + huge, b"\x00" + huge, b"\x01\x01k" + huge, b"\x12\x01k" + huge + b"\x01" + huge, b"\xfa" + huge,
                     b"\x00\x01k\xc3\x81" + (1 << 40).to_bytes(8, "big") + b"\x81" + (1 << 41).to_bytes(8, "big"), b"\xfb" + huge + huge):
            self.assertRegex(self.refused(b"REDIS0009" + body), "ends in the middle|begins otherwise|unknown type")
        self.refused(b'{"key":' + b"[" * 1_000_000)
        after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self.assertLess(after, max(before, 64 << 10), "kilobytes")

    def test_what_comes_by_a_pipe_stays_as_far_as_it_was_good(self):
        lines = b"".join(json_line(b"k%d" % i, b"v") for i in range(2500))
        ended = self.larder("import", stdin=lines + b"{", code=DAMAGED)
        self.assertRegex(ended.sentence, rf"standard input: line 2501: .+ at offset {len(lines)}; 2500 keys before it were imported")
        self.assertEqual(len(self.entries()), 2500)

    def test_bytes_without_an_end_are_refused_at_once(self):
        with open("/dev/zero", "rb") as zero:
            done = subprocess.run([PROGRAM, "import", "--dir", self.store, "--format", "json"], stdin=zero, capture_output=True,
                                  env=self.environment(), timeout=10, check=False)
        self.assertEqual(done.returncode, DAMAGED)

    def test_wrong_words_are_wrong_usage(self):
        for arguments in (("--format", "xml"), ("--on-conflict", "maybe"), ("--database", "-1"), ("--option", "x")):
            self.larder("import", *arguments, code=USAGE)
        self.larder("export", "--from", "nonsense", code=USAGE)
        self.larder("export", "--from", "redis+cluster://127.0.0.1:1", code=USAGE)


@skip_without("redis-server", "redis-check-rdb", "redis-cli")
class WithRedis(FilesTest):
    def test_redis_loads_what_is_exported_and_finds_no_fault(self):
        keys = some_keys()
        keys.update({b"many:%d" % i: (b"%d" % i, FAR_MS + i if i % 5 == 0 else 0) for i in range(100_000)})
        self.load(keys)
        os.mkdir(self.path("redis"))
        file = self.path("redis/dump.rdb")
        self.larder("export", "--format", "rdb", file)
        checked = subprocess.run(["redis-check-rdb", file], capture_output=True, text=True, check=False)
        self.assertEqual(checked.returncode, 0, checked.stdout)
        self.assertIn("RDB looks OK", checked.stdout)
        self.assertIn(f"{len(keys)} keys read", checked.stdout)
        self.assertIn(f"{sum(1 for _, moment in keys.values() if moment)} expires", checked.stdout)
        _, talk = self.run_redis(directory=self.path("redis"))
        self.assertEqual(talk.contents(), {key: (value, moment or -1) for key, (value, moment) in keys.items()})

    def test_all_strings_come_from_a_file_of_redis_and_all_else_is_counted_and_named(self):
        for number, arguments in enumerate((
            ("--rdbcompression", "yes"),
            ("--rdbcompression", "no", "--rdbchecksum", "no"),
            ("--maxmemory-policy", "allkeys-lru", "--maxmemory", "1gb"),
            ("--maxmemory-policy", "allkeys-lfu", "--maxmemory", "1gb"),
            ("--list-max-listpack-size", "5", "--list-compress-depth", "1", "--hash-max-listpack-entries", "0", "--zset-max-listpack-entries", "0",
             "--set-max-intset-entries", "0", "--stream-node-max-entries", "3"),
        )):
            with self.subTest(arguments):
                server, talk = self.run_redis(*arguments)
                keys, others = self.fill_redis(talk)
                named = set(self.types(talk))
                talk("SAVE")
                file, dir = os.path.join(server.directory, "dump.rdb"), self.path(f"s{number}")
                *skipped, report = self.larder("import", "--json", "--list-skipped", file, dir=dir).objects
                self.assertEqual(report["other_types"], others)
                self.assertEqual((report["imported"], report["other_databases"]), (len(keys), 4))
                self.assertEqual(self.entries(dir), keys)
                self.assertEqual({(bytes_of(line["key"]), line["skipped"].encode()) for line in skipped if line["database"] == 0}, named)
                self.assertEqual(sorted(line["skipped"] for line in skipped if line["database"] == 9), ["list", "string"])
                # One of the other databases, chosen.
                self.larder("import", "--database", "9", file, dir=self.path(f"d{number}"))
                self.assertEqual(self.entries(self.path(f"d{number}")), {b"elsewhere": (b"9", 0)})

    @staticmethod
    def types(talk):
        keys = talk("KEYS", "*")
        types = talk.many([("TYPE", key) for key in keys])
        return [(key, kind) for key, kind in zip(keys, types) if kind != b"string"]

    def test_a_file_of_redis_that_is_cut_or_changed_is_refused(self):
        random.seed(4)
        server, talk = self.run_redis()
        self.fill_redis(talk)
        talk("SAVE")
        with open(os.path.join(server.directory, "dump.rdb"), "rb") as file:
            whole = file.read()
        for number in range(80):
            at = random.randrange(9, len(whole))
            changed = whole[:at] + bytes([random.randrange(256)]) + whole[at + 1 :] if number % 2 else whole[:at]
            if changed == whole:
                continue
            with open(self.path("file"), "wb") as file:
                file.write(changed)
            ended = self.larder("import", self.path("file"), code=DAMAGED)
            self.assertRegex(ended.sentence, r" at offset \d+; nothing was imported\n\Z")
            self.assertFalse(os.path.exists(self.store))

    def test_a_hundred_thousand_keys_come_from_a_redis_that_runs_through_a_pipe(self):
        server, talk = self.run_redis("--repl-diskless-sync-delay", "0")
        talk("DEBUG", "POPULATE", "100000", "key", "40")
        talk("RPUSH", "list", "a")
        told = subprocess.run(f"redis-cli -s {server.path} --rdb - 2>/dev/null | {PROGRAM} import --dir {self.store}", shell=True,
                              capture_output=True, text=True, timeout=60, check=False, env=self.environment())
        self.assertEqual((told.stdout, told.stderr), ("imported 100,000 keys\nleft out 1 of type list\n", ""))
        talk("DEL", "list")
        self.assertEqual(self.entries(), {key: (value, 0) for key, (value, _) in talk.contents().items()})

    def test_export_from_a_redis_takes_strings_and_counts_the_rest(self):
        server, talk = self.run_redis()
        keys, others = self.fill_redis(talk)
        ended = self.run_program("export", "--from", f"unix:{server.path}", self.path("file"))
        self.assertEqual(ended.code, DONE, ended.sentence)
        self.assertEqual(ended.sentence, f"larder: left out {sum(others.values())} keys that are no strings\n")
        self.larder("import", self.path("file"))
        self.assertEqual(self.entries(), keys)




if __name__ == "__main__":
    unittest.main()
