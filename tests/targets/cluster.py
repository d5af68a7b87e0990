"""A handle over a cluster of three while its slots move and its nodes go: no value is lost or wrong, and nothing hangs.

Through the Python binding, which calls the C ABI of the library that LARDER_LIBRARY names. Slots are moved as
redis-cli does it (MIGRATING, IMPORTING, MIGRATE, NODE), in steps small enough for every state in between to be met, and
by redis-cli itself.
"""
import os
import random
import signal
import subprocess
import threading
import time
import unittest

from servers import Cluster, need
from vectors import slot_of

import larder

GRACE = 3.0


def slot(key):
    return slot_of("hex:" + key.hex())


class Mover(threading.Thread):
    """Moves slots that have keys, from wherever they are to the next node, until it is told to stop."""

    def __init__(self, cluster, slots):
        super().__init__()
        self.cluster, self.slots, self.stopped, self.moved, self.failure = cluster, slots, threading.Event(), 0, None

    def run(self):
        rng = random.Random(7)
        try:
            while not self.stopped.is_set():
                number = rng.choice(self.slots)
                source, _ = self.cluster.owner(number)
                target = rng.choice([node for node in self.cluster.nodes if node is not source])
                self.cluster.begin_moving(number, target)
                while self.cluster.move_keys(number, source, target, 2):
                    time.sleep(0.002)
                self.cluster.end_moving(number, source, target)
                self.moved += 1
        except Exception as failure:  # told to the test
            self.failure = failure

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join()


class InACluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster().start()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.remove()

    def setUp(self):
        for node in self.cluster.nodes:
            self.cluster.command(node, "FLUSHALL")

    def open(self, **options):
        db = larder.open(self.cluster.location, **options)
        self.addCleanup(db.close)
        return db

    def check_while(self, seconds, disturb):
        """Threads change and read keys of their own and compare with what they did, while `disturb` is entered."""
        db, wrong, counts = self.open(timeout_ms=20_000), [], []

        def work(number):
            rng, mine, count = random.Random(number), {}, 0
            keys = [b"{tag%d}:%d:%d" % (part % 8, number, part) for part in range(64)]
            try:
                while not stopped.is_set():
                    key, what = rng.choice(keys), rng.random()
                    if what < 0.3:
                        value = rng.randbytes(rng.choice([0, 10, 5000]))
                        db[key] = value
                        mine[key] = value
                    elif what < 0.4:
                        # Nobody else has these keys, so whether it was there is known.
                        if (db.pop(key, None) is not None) != (mine.pop(key, None) is not None):
                            wrong.append(("del", key))
                    elif what < 0.5:
                        tag, value = key.split(b":")[0], b"%d" % count
                        several = [other for other in keys if other.startswith(tag)]
                        with db.batch() as batch:
                            for other in several:
                                batch.set(other, value)
                        mine.update((other, value) for other in several)
                    elif what < 0.6:
                        if db.get_many(keys) != [mine.get(other) for other in keys]:
                            wrong.append(("get_many", number))
                    elif what < 0.61:
                        if dict(db.scan(b"{tag%d}:%d:" % (number % 8, number))) != {k: v for k, v in mine.items() if k.startswith(b"{tag%d}:%d:" % (number % 8, number))}:
                            wrong.append(("scan", number))
                    elif db.get(key) != mine.get(key):
                        wrong.append(("get", key))
                    count += 1
            except Exception as failure:
                wrong.append(failure)
            counts.append(count)
            everything.update(mine)

        stopped, everything = threading.Event(), {}
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        with disturb:
            for thread in threads:
                thread.start()
            time.sleep(seconds)
            stopped.set()
            for thread in threads:
                thread.join(30)
        self.assertEqual(wrong, [])
        self.assertEqual(dict(db.scan()), everything)
        self.assertEqual(len(db), len(everything))
        self.assertGreater(min(counts), 20)
        return sum(counts)

    def test_no_value_is_lost_or_wrong_while_slots_move(self):
        slots = [slot(b"{tag%d}" % number) for number in range(8)]
        mover = Mover(self.cluster, slots)
        calls = self.check_while(8, mover)
        self.assertIsNone(mover.failure)
        self.assertGreater(mover.moved, 5)
        print(f"{calls} calls while {mover.moved} slots moved")

    def test_no_value_is_lost_or_wrong_while_redis_cli_reshards(self):
        class Resharding(threading.Thread):
            cluster, done = self.cluster, []

            def run(self):
                names = [self.cluster.name_of(node).decode() for node in self.cluster.nodes]
                for source, target in ((0, 1), (1, 2)):
                    self.done.append(subprocess.run(
                        ["redis-cli", "--cluster", "reshard", f"127.0.0.1:{self.cluster.nodes[0].port}", "--cluster-from", names[source],
                         "--cluster-to", names[target], "--cluster-slots", "400", "--cluster-yes"],
                        stdout=subprocess.DEVNULL, timeout=120).returncode)

            def __enter__(self):
                self.start()

            def __exit__(self, *_):
                self.join()

        self.check_while(5, Resharding())
        self.assertEqual(Resharding.done, [0, 0])

    def test_a_cursor_returns_every_key_that_stays_once_while_slots_move(self):
        db = self.open()
        stays = {b"%d" % number: b"value of %d" % number for number in range(3000)}
        for key, value in stays.items():
            db[key] = value
        slots = sorted({slot(key) for key in stays})
        mover = Mover(self.cluster, slots)
        with mover:
            for _ in range(5):
                seen = list(db.scan())
                self.assertEqual(len(seen), len(stays))
                self.assertEqual(dict(seen), stays)
        self.assertIsNone(mover.failure)
        self.assertGreater(mover.moved, 3)

    def test_a_slot_that_has_moved_is_found_without_waiting(self):
        # So little time that nothing could be waited for, asked for anew and tried again.
        db, key = self.open(timeout_ms=20), b"{moved}"
        number = slot(key)
        for turn in range(3):
            source, _ = self.cluster.owner(number)
            target = next(node for node in self.cluster.nodes if node is not source)
            self.cluster.begin_moving(number, target)
            self.cluster.end_moving(number, source, target)
            for attempt in range(100):
                try:
                    db[key] = b"%d" % turn
                    break
                except larder.IoError as error:
                    # A busy machine.
                    self.assertIn("timed out", str(error))
            self.assertEqual(self.cluster.command(target, "GET", key), b"%d" % turn)
            self.cluster.command(target, "DEL", key)

    def test_a_batch_waits_for_a_slot_that_moves_and_then_is_whole(self):
        db = self.open(timeout_ms=10_000)
        keys = [b"{moving}%d" % number for number in range(10)]
        for key in keys:
            db[key] = b"old"
        number = slot(keys[0])
        source, _ = self.cluster.owner(number)
        target = next(node for node in self.cluster.nodes if node is not source)
        self.cluster.begin_moving(number, target)
        self.cluster.move_keys(number, source, target, 5)
        ended = threading.Event()

        def end():
            time.sleep(1)
            ended.set()
            while self.cluster.move_keys(number, source, target, 5):
                pass
            self.cluster.end_moving(number, source, target)

        mover = threading.Thread(target=end)
        mover.start()
        # Each alone is found where it is, moved or not.
        self.assertEqual([db[key] for key in keys], [b"old"] * 10)
        self.assertFalse(ended.is_set())
        with db.batch() as batch:
            for key in keys:
                batch.set(key, b"new")
        self.assertTrue(ended.is_set())
        mover.join()
        self.assertEqual(db.get_many(keys), [b"new"] * 10)

    def test_a_batch_whose_slot_stays_between_two_nodes_is_an_error_in_time(self):
        db = self.open(timeout_ms=500)
        keys = [b"{between}%d" % number for number in range(4)]
        for key in keys:
            db[key] = b"old"
        number = slot(keys[0])
        source, _ = self.cluster.owner(number)
        target = next(node for node in self.cluster.nodes if node is not source)
        self.cluster.begin_moving(number, target)
        self.cluster.move_keys(number, source, target, 2)
        batch = db.batch()
        for key in keys:
            batch.set(key, b"new")
        begun = time.monotonic()
        with self.assertRaises(larder.IoError):
            batch.write()
        self.assertLess(time.monotonic() - begun, 0.5 + GRACE)
        self.assertEqual(db.get_many(keys), [b"old"] * 4)
        while self.cluster.move_keys(number, source, target, 5):
            pass
        self.cluster.end_moving(number, source, target)
        batch.write()
        self.assertEqual(db.get_many(keys), [b"new"] * 4)

    def test_what_needs_one_node_is_unsupported_over_several(self):
        db = self.open()
        batch = db.batch()
        batch.set(b"a", b"1")
        batch.set(b"b", b"2")
        for call in [batch.write, db.sync, lambda: db.set(b"a", b"1", sync=True), db.stats, db.compact, db.verify]:
            with self.assertRaises(larder.Unsupported):
                call()
        self.assertEqual(dict(db.scan()), {})
        with self.assertRaises(larder.Unsupported) as raised:
            wrong = larder.open(f"redis://127.0.0.1:{self.cluster.nodes[0].port}")
            self.addCleanup(wrong.close)
            for number in range(100):
                wrong[b"%d" % number] = b"v"
        self.assertIn("redis+cluster://", str(raised.exception))

    def test_one_node_that_is_named_is_enough_and_one_that_is_gone_does_not_matter(self):
        ports = [node.port for node in self.cluster.nodes]
        for location in (f"redis+cluster://127.0.0.1:{ports[1]}", f"redis+cluster://127.0.0.1:1,127.0.0.1:{ports[2]}"):
            with larder.open(location) as db:
                for number in range(50):
                    db[b"%d" % number] = b"v"
                self.assertEqual(len(db), 50)
        begun = time.monotonic()
        with self.assertRaises(larder.IoError):
            larder.open("redis+cluster://127.0.0.1:1,127.0.0.1:2")
        self.assertLess(time.monotonic() - begun, GRACE)

    def test_a_node_that_is_gone_is_an_error_in_time_and_back_again_it_is_used(self):
        db = self.open(timeout_ms=1000, connect_timeout_ms=500)
        keys = [b"%d" % number for number in range(300)]
        for key in keys:
            db[key] = b"v"
        node = self.cluster.nodes[2]
        ranges = [(first, last) for first, last, owner, *_ in self.cluster.command(node, "CLUSTER", "SLOTS") if owner[1] == node.port]
        gone = next(key for key in keys if any(first <= slot(key) <= last for first, last in ranges))
        self.cluster.command(node, "CONFIG", "SET", "save", "3600 1")
        self.cluster.command(node, "SAVE")
        node.stop(signal.SIGKILL)
        for call in [lambda: db[gone], lambda: db.set(gone, b"w"), lambda: db.get_many(keys), lambda: list(db.scan()), lambda: len(db)]:
            begun = time.monotonic()
            with self.assertRaises(larder.IoError) as raised:
                call()
            self.assertLess(time.monotonic() - begun, 1.5 + GRACE)
            self.assertIn("127.0.0.1", str(raised.exception))
        node.start()
        self.cluster.wait()
        self.assertEqual(db[gone], b"v")
        db[gone] = b"w"
        self.assertEqual(dict(db.scan()), {key: b"w" if key == gone else b"v" for key in keys})


class WithAPassword(unittest.TestCase):
    def test_every_node_is_given_the_password(self):
        cluster = Cluster()
        for node in cluster.nodes:
            node.start()
        addresses = [f"127.0.0.1:{node.port}" for node in cluster.nodes]
        self.addCleanup(cluster.remove)
        subprocess.run(["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], check=True, stdout=subprocess.DEVNULL, timeout=60)
        cluster.wait()
        for node in cluster.nodes:
            cluster.command(node, "CONFIG", "SET", "requirepass", "sesame")
        with self.assertRaises(larder.InvalidArgument):
            larder.open(cluster.location)
        with larder.open(cluster.location.replace("//", "//:sesame@")) as db:
            for number in range(50):
                db[b"%d" % number] = b"v"
            self.assertEqual(len(db), 50)


if __name__ == "__main__":
    need(("redis-server", "redis-server"), ("redis-cli", "redis-tools"))
    assert os.environ.get("LARDER_LIBRARY"), "LARDER_LIBRARY names the library"
    unittest.main(verbosity=1)
