"""What the package promises beyond the vectors: `make python-test`, or pytest in bindings/python.

Runs over the extension, and with LARDER_BACKEND=ctypes over ctypes alone.
"""

import ctypes
import errno
import gc
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

import pytest

import larder
from larder import _native

TREE = pathlib.Path(__file__).resolve().parents[3]
PACKAGE = os.path.dirname(os.path.dirname(larder.__file__))


class StoreTest(unittest.TestCase):
    """Each test has a store of its own, in `self.db`."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="larder-python-")
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name
        self.location = os.path.join(scratch.name, "store")
        self.db = larder.open(self.location, sync="none", segment_size="1MiB")
        self.addCleanup(lambda: self.db.__exit__(None, None, None))

    def reopen(self, **options):
        self.db.__exit__(None, None, None)
        self.db = larder.open(self.location, **{"sync": "none", **options})

    def raises(self, kind, number, call, *arguments, **keywords):
        with self.assertRaises(kind) as raised:
            call(*arguments, **keywords)
        self.assertEqual(raised.exception.status, number)
        return raised.exception


class OneKey(StoreTest):
    def test_what_is_set_is_got_and_what_is_deleted_is_gone(self):
        self.db[b"key"] = b"value"
        self.assertEqual(self.db[b"key"], b"value")
        self.db[b"key"] = b"other"
        self.assertEqual(self.db[b"key"], b"other")
        del self.db[b"key"]
        self.assertNotIn(b"key", self.db)
        self.assertIsNone(self.db.get(b"key"))

    def test_keys_and_values_are_any_bytes_and_empty_is_not_missing(self):
        pairs = {
            b"": b"empty key",
            b"empty value": b"",
            b"\x00": b"\x00\x00",
            b"a\x00b": b"c\x00d\xff",
            b"a\x00": b"cut at the NUL",
            bytes(range(256)): bytes(range(256)) * 300,
            b"k" * 65_535: b"longest key",
        }
        for key, value in pairs.items():
            self.db[key] = value
        for key, value in pairs.items():
            self.assertEqual(self.db[key], value)
        self.assertEqual(dict(self.db.items()), pairs)
        self.reopen()
        self.assertEqual(dict(self.db.items()), pairs)

    def test_bytes_like_objects_go_in_and_text_is_refused(self):
        self.db[bytearray(b"k")] = memoryview(b"v")
        self.assertEqual(self.db[b"k"], b"v")
        for refused in (lambda: self.db.set("k", b"v"), lambda: self.db.set(b"k", "v"), lambda: self.db["k"]):
            self.assertRaises(TypeError, refused)

    def test_a_key_over_the_limit_is_too_large_in_every_call(self):
        key = b"k" * 65_536
        for call in (self.db.__getitem__, self.db.__delitem__, self.db.ttl, self.db.__contains__):
            self.raises(larder.TooLarge, 101, call, key)
        self.raises(larder.TooLarge, 101, self.db.set, key, b"")

    def test_conditions_are_kept_and_versions_rise(self):
        self.raises(larder.NotFound, 1, self.db.set, b"k", b"v", if_present=True)
        first = self.db.set(b"k", b"1", if_absent=True)
        self.raises(larder.Exists, 3, self.db.set, b"k", b"2", if_absent=True)
        second = self.db.set(b"k", b"3", if_present=True, sync=True)
        self.assertGreater(second, first)
        self.assertEqual(self.db[b"k"], b"3")
        self.raises(larder.InvalidArgument, 100, self.db.set, b"k", b"", if_absent=True, if_present=True)


class TimeToLive(StoreTest):
    def test_a_key_lives_as_long_as_it_was_given(self):
        self.db.set(b"short", b"v", ttl_ms=60)
        self.db.set(b"long", b"v", ttl_ms=60_000)
        self.db[b"for ever"] = b"v"
        self.assertTrue(0 < self.db.ttl(b"long") <= 60_000)
        self.assertIsNone(self.db.ttl(b"for ever"))
        time.sleep(0.1)
        self.assertNotIn(b"short", self.db)
        self.assertEqual(sorted(self.db), [b"for ever", b"long"])
        # Told apart as long as the store remembers the key, then a missing key like any other.
        self.assertRaises((larder.Expired, larder.NotFound), self.db.ttl, b"short")

    def test_expired_now_is_told_apart_from_missing(self):
        self.db[b"k"] = b"v"
        self.db.expire(b"k", 0)
        self.raises(larder.Expired, 2, self.db.ttl, b"k")
        self.raises(larder.NotFound, 1, self.db.ttl, b"missing")
        self.raises(larder.NotFound, 1, self.db.expire, b"k", 1000)

    def test_a_time_to_live_survives_reopening_and_is_kept_or_cleared_as_asked(self):
        self.db.set(b"k", b"1", ttl_ms=60_000)
        self.reopen()
        self.assertTrue(0 < self.db.ttl(b"k") <= 60_000)
        self.db.set(b"k", b"2", ttl_ms=-1)
        self.assertIsNotNone(self.db.ttl(b"k"))
        self.db.expire(b"k", None)
        self.assertIsNone(self.db.ttl(b"k"))
        self.db.expire(b"k", 60_000)
        self.db[b"k"] = b"3"
        self.assertIsNone(self.db.ttl(b"k"))
        self.raises(larder.InvalidArgument, 100, self.db.set, b"k", b"", ttl_ms=-2)


class ManyKeys(StoreTest):
    def test_iteration_returns_every_key_once_also_while_it_deletes(self):
        pairs = {b"%04d" % n: b"v" * n for n in range(500)}
        self.db.update(pairs)
        self.assertEqual(len(self.db), 500)
        self.assertEqual(sorted(self.db), sorted(pairs))
        self.assertEqual(len(dict(self.db.scan(b"01"))), 100)
        seen = []
        for key in self.db:
            seen.append(key)
            del self.db[key]
        self.assertEqual(sorted(seen), sorted(pairs))
        self.assertEqual(list(self.db), [])
        self.assertTrue(self.db, "an empty store is still a store")

    def test_it_is_a_mutable_mapping(self):
        self.assertEqual(self.db.setdefault(b"a", b"1"), b"1")
        self.assertEqual(self.db.pop(b"a"), b"1")
        self.assertEqual(self.db.pop(b"a", b"none"), b"none")
        self.db.update({b"a": b"1", b"b": b"2"})
        self.assertEqual(sorted(self.db.values()), [b"1", b"2"])
        self.db.clear()
        self.assertEqual(len(list(self.db)), 0)

    def test_an_iterator_outlives_its_store_and_then_says_so(self):
        self.db.update({b"a": b"1", b"b": b"2"})
        pairs = self.db.scan()
        next(pairs)
        self.db.close()
        self.raises(larder.Closed, 103, next, pairs)

    def test_a_batch_is_whole_or_absent(self):
        self.db[b"old"] = b"1"
        with self.db.batch() as batch:
            batch.set(b"a", b"1")
            batch.set(b"b", b"22", ttl_ms=60_000)
            batch.delete(b"old")
        self.assertEqual(dict(self.db.items()), {b"a": b"1", b"b": b"22"})
        self.assertIsNotNone(self.db.ttl(b"b"))
        batch = self.db.batch()
        batch.set(b"c", b"3")
        batch.set(b"k" * 65_536, b"")
        self.raises(larder.TooLarge, 101, batch.write)
        self.assertNotIn(b"c", self.db)
        with self.assertRaises(RuntimeError), self.db.batch() as batch:
            batch.set(b"d", b"4")
            raise RuntimeError
        self.assertNotIn(b"d", self.db)


class WholeStore(StoreTest):
    def test_stats_count_what_was_done(self):
        self.db[b"a"] = b"1"
        self.db[b"b"] = b"2"
        self.db.get(b"a"), self.db.get(b"missing")
        del self.db[b"b"]
        stats = self.db.stats()
        counts = {name: getattr(stats, name) for name in ("keys", "gets", "hits", "sets", "dels")}
        self.assertEqual(counts, {"keys": 1, "gets": 2, "hits": 1, "sets": 2, "dels": 1})
        self.assertGreater(stats.file_bytes, 0)

    def test_sync_compact_and_verify_leave_the_contents_alone(self):
        for n in range(200):
            self.db[b"k%d" % (n % 10)] = b"v%d" % n
        before = dict(self.db.items())
        self.db.sync()
        self.db.compact()
        self.db.verify()
        self.assertEqual(dict(self.db.items()), before)

    def test_salvage_recovers_all_but_the_damaged_record(self):
        for n in range(50):
            self.db[b"key %d" % n] = bytes([n]) * 300
        target = os.path.join(self.scratch, "target")
        self.raises(larder.Busy, 102, larder.salvage, self.location, target)
        self.db.close()
        for name in os.listdir(self.location):
            with open(os.path.join(self.location, name), "r+b") as file:
                content = file.read()
                if bytes([7]) * 300 in content:
                    file.seek(content.index(bytes([7]) * 300))
                    file.write(b"x")
        report = larder.salvage(self.location, target)
        self.assertEqual((report.keys, report.has_whole_manifest, len(report.losses)), (49, True, 1))
        self.assertIn('\t"key 7"\t-\t', report.losses[0])
        self.assertEqual((report.lost_bytes % 8, report.segments > 0, report.records >= report.keys), (0, True, True))
        self.raises(larder.InvalidArgument, 100, larder.salvage, self.location, target)
        self.raises(larder.NotFound, 1, larder.salvage, os.path.join(self.scratch, "nothing"), target + "2")
        with larder.open(target) as salvaged:
            self.assertEqual(sorted(salvaged), sorted(b"key %d" % n for n in range(50) if n != 7))

    def test_use_after_close_is_an_error_and_a_second_close_does_nothing(self):
        self.db.close()
        self.db.close()
        for call in (self.db.scan, self.db.sync, self.db.compact, self.db.stats, self.db.__len__):
            self.raises(larder.Closed, 103, call)
        self.raises(larder.Closed, 103, self.db.__getitem__, b"k")
        self.raises(larder.Closed, 103, self.db.set, b"k", b"v")

    def test_a_second_opener_is_turned_away_with_the_pid(self):
        error = self.raises(larder.Busy, 102, larder.open, self.location)
        self.assertIn(str(os.getpid()), error.message)

    def test_options_are_checked_and_errors_carry_what_is_known(self):
        self.raises(larder.InvalidArgument, 100, larder.open, self.location, colour="blue")
        self.raises(larder.InvalidArgument, 100, larder.open, self.location, segment_size="64 KiB")
        self.assertRaises(ValueError, larder.open, self.location + "\0x")
        missing = os.path.join(self.scratch, "missing")
        self.raises(larder.NotFound, 1, larder.open, missing, create=False)
        error = self.raises(larder.Error, 106, larder.open, os.path.join(missing, "store"))
        self.assertEqual(error.os_errno, errno.ENOENT)
        self.assertIn("LARDER_IO", str(error))
        self.assertFalse(os.path.exists(missing))

    def test_a_read_only_store_refuses_writes(self):
        self.db[b"k"] = b"v"
        self.reopen(read_only=True)
        self.assertEqual(self.db[b"k"], b"v")
        self.raises(larder.ReadOnly, 104, self.db.set, b"k", b"w")
        self.raises(larder.ReadOnly, 104, self.db.__delitem__, b"k")


class ThreadsAndProcesses(StoreTest):
    def test_threads_share_a_store(self):
        def fill(thread):
            for n in range(300):
                self.db[b"%d/%d" % (thread, n)] = b"%d" % n

        threads = [threading.Thread(target=fill, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(dict(self.db.items()), {b"%d/%d" % (t, n): b"%d" % n for t in range(4) for n in range(300)})

    def test_calls_release_the_interpreter(self):
        self.assertTrue(self._another_thread_runs_during_calls())
        if larder.backend() == "ctypes":
            # The same with a loader that keeps the interpreter, so that the test above is known to be able to fail.
            keeping = _native.load(_native.library_path(), ctypes.PyDLL)
            with unittest.mock.patch.object(_native, "_library", keeping):
                self.assertFalse(self._another_thread_runs_during_calls())

    def _another_thread_runs_during_calls(self):
        """Whether a second thread gets a turn while this one is in calls and never asked to yield."""
        begin, ran = threading.Lock(), []
        begin.acquire()
        location = tempfile.mkdtemp(dir=self.scratch)

        def wait():
            begin.acquire()
            ran.append(True)

        interval, thread = sys.getswitchinterval(), threading.Thread(target=wait)
        with larder.open(location, sync="none") as db:
            thread.start()
            try:
                sys.setswitchinterval(60)
                begin.release()
                deadline = time.monotonic() + 1
                while not ran and time.monotonic() < deadline:
                    db[b"key"] = b"v" * 10_000
                return bool(ran)
            finally:
                sys.setswitchinterval(interval)
                thread.join()

    def test_a_forked_child_is_told_so_and_the_parent_is_unharmed(self):
        self.db[b"k"] = b"v"
        child = os.fork()
        if child == 0:
            told = 0
            for call in (lambda: self.db[b"k"], lambda: self.db.set(b"k", b"child"), self.db.sync, self.db.close):
                try:
                    call()
                except larder.Forked:
                    told += 1
                except BaseException:
                    pass
            os._exit(told)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 4)
        self.assertEqual(self.db[b"k"], b"v")
        self.db[b"k"] = b"parent"
        self.reopen()
        self.assertEqual(self.db[b"k"], b"parent")

    def test_what_a_killed_process_was_told_is_kept(self):
        program = (
            "import larder, os, sys\n"
            "db = larder.open(sys.argv[1], sync='none')\n"
            "for n in range(100): db[b'%d' % n] = b'v%d' % n\n"
            "os.kill(os.getpid(), 9)\n"
        )
        location = os.path.join(self.scratch, "killed")
        environment = {**os.environ, "PYTHONPATH": PACKAGE, "PYTHONDONTWRITEBYTECODE": "1"}
        ended = subprocess.run([sys.executable, "-c", program, location], env=environment, timeout=60)
        self.assertEqual(ended.returncode, -9)
        with larder.open(location) as db:
            self.assertEqual(dict(db.items()), {b"%d" % n: b"v%d" % n for n in range(100)})

    def test_the_tour_of_the_readme_runs(self):
        run = subprocess.run(
            [sys.executable, TREE / "examples" / "python" / "hello.py", os.path.join(self.scratch, "tour")],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": PACKAGE, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("hello from larder", run.stdout)
        self.assertIn("colour/red = #f00", run.stdout)

    def test_threads_that_share_an_iterator_get_every_pair_once(self):
        self.db.update({b"%d" % n: b"" for n in range(2000)})
        pairs, seen = self.db.scan(), []
        threads = [threading.Thread(target=lambda: seen.extend(pairs)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(seen), sorted((b"%d" % n, b"") for n in range(2000)))

    def test_a_close_beside_readers_is_seen_by_each_as_closed(self):
        self.db[b"k"] = b"v" * 2000
        outcomes = []

        def read():
            while True:
                try:
                    assert self.db[b"k"] == b"v" * 2000
                except larder.Closed as error:
                    outcomes.append(error.status)
                    return

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.05)
        self.db.close()
        for thread in threads:
            thread.join(10)
        self.assertEqual(outcomes, [103] * 3)


class Buffers(StoreTest):
    """Where the extension's own code could go wrong: sizes around its buffers, references, and other types."""

    def test_values_of_every_size_around_the_buffers_come_back(self):
        for size in (0, 1, 7, 8, 1023, 1024, 1025, 65_519, 65_520, 65_521, 65_536, 300_000):
            value = os.urandom(size)
            self.db[b"k"] = value
            self.assertEqual(self.db[b"k"], value)
            self.assertEqual(self.db.get(b"k"), value)
            self.assertEqual(self.db.get_many([b"k", b"none", b"k"]), [value, None, value])

    def test_many_keys_need_more_than_one_call(self):
        pairs = {b"%05d" % n: b"v" * (n % 700) for n in range(3000)}
        self.db.update(pairs)
        self.assertEqual(self.db.get_many(pairs), list(pairs.values()))
        self.assertEqual(self.db.get_many([]), [])
        self.assertEqual(self.db.get_many(iter([b"x"])), [None])

    def test_what_is_no_bytes_is_refused_everywhere(self):
        for call in (
            lambda: self.db.get("k"), lambda: "k" in self.db, lambda: self.db.get_many(["k"]), lambda: self.db.view("k"),
            lambda: self.db.__delitem__(1), lambda: self.db.batch().set("k", b""), lambda: self.db.scan("k"),
        ):
            self.assertRaises(TypeError, call)
        self.assertIs(self.db.get(b"none", None), None)
        self.assertEqual(self.db.get(b"none", 7), 7)

    def test_no_reference_is_lost_or_kept(self):
        key, value, missing = b"a key of the test", b"a value" * 200, object()

        def round_trip():
            self.db[key] = value
            self.db[key], key in self.db, self.db.get(b"none", missing), self.db.get_many([key, b"none"])
            list(self.db.scan())
            for call in (lambda: self.db[b"none"], lambda: self.db.get("text"), lambda: self.db.get_many([b"k" * 70_000])):
                try:
                    call()
                except (KeyError, TypeError, ValueError):
                    pass

        round_trip()
        gc.collect()
        before = [sys.getrefcount(each) for each in (key, value, missing, None)]
        for _ in range(200):
            round_trip()
        gc.collect()
        after = [sys.getrefcount(each) for each in (key, value, missing, None)]
        self.assertEqual(after[:3], before[:3])
        self.assertLess(abs(after[3] - before[3]), 50)

    def test_a_view_pins_its_bytes_until_the_last_memoryview_is_gone(self):
        self.db[b"k"] = b"pinned"
        view = self.db.view(b"k")
        part = view[2:4]
        self.assertTrue(view.readonly)
        self.assertRaises(TypeError, view.__setitem__, 0, 1)
        self.db[b"k"] = b"other"
        view.release()
        self.assertEqual((bytes(part), self.db.stats().pinned_views), (b"nn", 1))
        part.release()
        self.assertEqual(self.db.stats().pinned_views, 0)
        with self.db.view(b"k") as value:
            self.assertEqual(value, b"other")
        self.assertEqual(self.db.stats().pinned_views, 0)

    def test_an_abandoned_iterator_and_view_outlive_their_store(self):
        self.db.update({b"a": b"1", b"b": b"2"})
        pairs, view = self.db.scan(), self.db.view(b"a")
        next(pairs)
        self.db.close()
        self.assertEqual(view, b"1")
        del pairs, view
        gc.collect()

    def test_a_damaged_value_says_where_also_among_many(self):
        self.db[b"bad"] = b"a bit of this one is flipped"
        self.db[b"good"] = b"not of this one"
        self.db.close()
        for path in pathlib.Path(self.location).glob("*.seg"):
            path.write_bytes(path.read_bytes().replace(b"a bit of", b"b bit of"))
        self.reopen()
        for call in (lambda: self.db[b"bad"], lambda: self.db.get_many([b"good", b"bad"])):
            error = self.raises(larder.Corrupt, 107, call)
            self.assertIn(".seg", error.message)
            self.assertGreater(error.offset, 0)
        error = self.raises(larder.Corrupt, 107, self.db.verify)
        self.assertEqual(error.bad_records, 1)


class Package(unittest.TestCase):
    def test_the_backend_is_the_one_that_was_asked_for(self):
        wanted = os.environ.get("LARDER_BACKEND")
        if wanted is None:
            pytest.skip("LARDER_BACKEND does not say which")
        self.assertEqual(larder.backend(), wanted)

    def test_io_errors_are_os_errors(self):
        with self.assertRaises(OSError) as raised:
            larder.open("/nowhere/at/all")
        self.assertEqual(raised.exception.errno, errno.ENOENT)
        self.assertIn("/nowhere/at/all", str(raised.exception))


class AbiAndBinding(unittest.TestCase):
    """The binding declares by hand what the header says, so the two are compared."""

    def setUp(self):
        self.api = json.loads((TREE / "include" / "larder.api.json").read_text())

    def test_every_declared_function_is_one_of_the_header_with_its_parameters(self):
        functions = {function["name"]: function for function in self.api["functions"]}
        for name, (_, arguments) in _native.SIGNATURES.items():
            self.assertEqual(len(arguments), len(functions[name]["parameters"]), name)

    def test_statuses_have_the_names_and_numbers_of_the_header(self):
        numbers = {status["name"]: status["number"] for status in self.api["statuses"]}
        self.assertEqual({"LARDER_" + status.name: int(status) for status in larder.Status}, numbers)
        for name, number in numbers.items():
            self.assertEqual(larder.status_name(number), name)

    def test_structs_have_the_sizes_and_fields_of_the_header(self):
        self.assertEqual(ctypes.sizeof(_native.ErrorStruct), 256)
        structs = {struct["name"]: [field["name"] for field in struct["fields"]] for struct in self.api["structs"]}
        for name, ours in (
            ("larder_error", _native.ErrorStruct), ("larder_stats", _native.StatsStruct), ("larder_view", _native.ViewStruct),
            ("larder_salvage_report", _native.ReportStruct),
        ):
            self.assertEqual([name for name, _ in ours._fields_], structs[name])
        self.assertEqual(larder.Stats._fields, tuple(structs["larder_stats"][2:]))
