"""Push: to redis-server, to a Redis Cluster, from a store and from servers that run; and what is said when it cannot be."""
import os
import random
import re
import threading
import time
import unittest

import servers
from program import DONE, IO, NO, USAGE, skip_without
from resp import larder
from servers import Cluster, Scripted, Talk, bulk, free_port, redis
from test_files import FAR_MS, FilesTest, some_keys


class PushTest(FilesTest):
    def push(self, *arguments, code=DONE, **options):
        ended = self.run_program("push", *arguments, **options)
        self.assertEqual(ended.code, code, f"{ended.out!r} {ended.err!r}")
        return ended

    def expected(self, keys):
        return {key: (value, moment or -1) for key, (value, moment) in keys.items()}


@skip_without("redis-server")
class ToOneServer(PushTest):
    def test_every_key_arrives_with_its_expiry_over_tcp_and_unix(self):
        keys = some_keys()
        keys[b"larger than a window"] = (random.randbytes(20 << 20), FAR_MS)
        self.load(keys)
        port = free_port()
        server, talk = self.run_redis(port=port)
        for target in (f"redis://127.0.0.1:{port}", f"unix:{server.path}", f"redis://localhost:{port}/0"):
            report = self.push("--json", "--dir", self.store, target).object
            self.assertEqual((report["stored"], report["refused"]), (len(keys), 0))
            self.assertEqual(talk.contents(), self.expected(keys))
            talk("FLUSHALL")
        self.push("--dir", self.store, f"redis://127.0.0.1:{port}/3")
        talk("SELECT", 3)
        self.assertEqual(talk.contents(), self.expected(keys))

    def test_a_hundred_thousand_keys_arrive(self):
        keys = {b"key:%d" % i: (b"value:%d" % (i * i), FAR_MS + i if i % 3 == 0 else 0) for i in range(100_000)}
        self.load(keys)
        server, talk = self.run_redis()
        self.push("--dir", self.store, f"unix:{server.path}")
        self.assertEqual(talk.contents(), self.expected(keys))

    def test_what_is_there_is_refused_counted_and_named_or_replaced(self):
        self.load({b"key:%d" % i: (b"new", 0) for i in range(100)})
        server, talk = self.run_redis()
        talk.many([("SET", f"key:{i}", "old") for i in range(60)])
        ended = self.push("--dir", self.store, f"unix:{server.path}", code=NO)
        self.assertIn("larder: refused 60 keys (60 BUSYKEY):\n", ended.sentence)
        self.assertEqual(ended.sentence.count("BUSYKEY Target key name already exists."), 10)
        self.assertRegex(ended.text, r"\Asent 40 keys, ")
        self.assertEqual(sorted(value for value, _ in talk.contents().values()), [b"new"] * 40 + [b"old"] * 60)
        report = self.push("--json", "--dir", self.store, "--replace", f"unix:{server.path}").object
        self.assertEqual((report["stored"], report["refused"], report["refusals"]), (100, 0, {}))
        self.assertEqual({value for value, _ in talk.contents().values()}, {b"new"})
        report = self.push("--json", "--dir", self.store, f"unix:{server.path}", code=NO).object
        self.assertEqual((report["stored"], report["refusals"], len(report["first_refusals"])), (0, {"BUSYKEY": 100}, 10))

    def test_passwords_come_from_the_address_or_a_file_and_are_never_shown(self):
        self.load({b"k": (b"v", 0)})
        port = free_port()
        server, talk = self.run_redis(port=port, password="sesame")
        talk("ACL", "SETUSER", "anna", "on", ">al sesam", "~*", "+@all")
        with open(self.path("password"), "w") as file:
            file.write("sesame\nnot this\n")
        for arguments in ((f"redis://:sesame@127.0.0.1:{port}",), (f"redis://anna:al%20sesam@127.0.0.1:{port}",),
                          ("--password-file", self.path("password"), f"redis://127.0.0.1:{port}"),
                          ("--password-file", self.path("password"), f"unix:{server.path}")):
            self.push("--dir", self.store, *arguments)
            self.assertEqual(talk("GETDEL", "k"), b"v")
        for arguments in ((f"redis://:sesame2@127.0.0.1:{port}",), (f"unix:{server.path}",)):
            ended = self.push("--dir", self.store, *arguments, code=IO)
            self.assertRegex(ended.sentence, "WRONGPASS|NOAUTH|uthenticat")
            self.assertEqual(talk("DBSIZE"), 0)
            self.assertNotIn("sesame", ended.sentence)

    def test_a_server_of_redis_that_runs_is_a_source_for_every_type(self):
        source, talk = self.run_redis()
        keys, others = self.fill_redis(talk)
        target, other = self.run_redis()
        report = self.push("--json", "--from", f"unix:{source.path}", f"unix:{target.path}").object
        self.assertEqual(report["stored"], len(keys) + sum(others.values()))
        self.assertEqual(sorted(other("KEYS", "*")), sorted(talk("KEYS", "*")))
        for key in talk("KEYS", "*"):
            self.assertEqual(other("DEBUG", "DIGEST-VALUE", key), talk("DEBUG", "DIGEST-VALUE", key), key)
            self.assertEqual(other("PEXPIRETIME", key), talk("PEXPIRETIME", key), key)

    def test_a_source_that_does_not_say_when_keys_expire_is_asked_how_long_they_live(self):
        source, talk = self.run_redis("--rename-command", "PEXPIRETIME", "")
        talk("SET", "k", "v", "PXAT", FAR_MS)
        talk("SET", "for ever", "v")
        target, other = self.run_redis()
        self.push("--from", f"unix:{source.path}", f"unix:{target.path}")
        self.assertEqual(other("PEXPIRETIME", "for ever"), -1)
        self.assertLessEqual(abs(other("PEXPIRETIME", "k") - FAR_MS), 2)

    def test_a_store_that_is_served_is_pushed_while_it_is_written_to(self):
        keys = some_keys()
        self.load(keys)
        server = larder(directory=self.scratch).start()
        self.addCleanup(server.stop)
        target, talk = self.run_redis()
        is_over = threading.Event()

        def write():
            with Talk(server.path) as writer:
                number = 0
                while not is_over.is_set():
                    number += 1
                    writer("SET", f"meanwhile:{number % 5000}", "x" * 100)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(3):
                self.push("--replace", "--from", f"unix:{server.path}", f"unix:{target.path}")
                found = {key: entry for key, entry in talk.contents().items() if not key.startswith(b"meanwhile:")}
                self.assertEqual(found, self.expected(keys))
                talk("FLUSHALL")
        finally:
            is_over.set()
            writer.join()
        # And the other way: into a store that is served.
        port = free_port()
        back, empty = self.run_redis(port=port)
        self.push("--from", f"unix:{server.path}", f"redis://127.0.0.1:{port}")
        with Talk(server.path) as served:
            served("FLUSHALL")
            self.push("--from", f"redis://127.0.0.1:{port}", f"unix:{server.path}")
            self.assertEqual(served.contents(), empty.contents())


@skip_without("redis-server", "redis-cli")
class ToACluster(PushTest):
    @classmethod
    def setUpClass(cls):
        import tempfile

        cls.directory = tempfile.mkdtemp(prefix="larder-cluster-")
        cls.cluster = Cluster(cls.directory)

    @classmethod
    def tearDownClass(cls):
        import shutil

        cls.cluster.stop()
        shutil.rmtree(cls.directory)

    def setUp(self):
        super().setUp()
        for number in range(3):
            self.cluster.ask(number, "FLUSHALL")

    def cluster_contents(self):
        found = {}
        for number in range(3):
            with self.cluster.talk(number) as talk:
                found.update(talk.contents())
        return found

    def test_every_key_arrives_at_the_node_that_has_its_slot(self):
        keys = some_keys()
        keys.update({b"key:%d" % i: (b"%d" % i, FAR_MS + i if i % 2 else 0) for i in range(30_000)})
        keys.update({key: (b"tagged", 0) for key in (b"{tag}a", b"{tag}b", b"x{}y", b"{{x}}", b"a{b}{c}", b"}{", b"{")})
        self.load(keys)
        for port in self.cluster.ports:
            nodes = f"127.0.0.1:{free_port()},127.0.0.1:{port}"
            report = self.push("--json", "--replace", "--dir", self.store, f"redis+cluster://{nodes}").object
            self.assertEqual((report["stored"], report["refused"]), (len(keys), 0))
            self.assertEqual(self.cluster_contents(), self.expected(keys))
        for number in range(3):
            self.assertGreater(self.cluster.ask(number, "DBSIZE"), 9000)

    def test_keys_follow_when_they_are_sent_elsewhere(self):
        """A node that says of every slot that the first one has it: two keys of three are MOVED."""
        keys = {b"key:%d" % i: (b"%d" % i, 0) for i in range(20_000)}
        self.load(keys)
        port = self.cluster.ports[0]

        def answer(args):
            if args[:2] == [b"CLUSTER", b"SLOTS"]:
                return b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n" + bulk(b"127.0.0.1") + b":%d\r\n" % port
            return b"+OK\r\n"

        with Scripted(answer) as liar:
            report = self.push("--json", "--dir", self.store, f"redis+cluster://127.0.0.1:{liar.port}").object
        self.assertEqual((report["stored"], report["refused"]), (len(keys), 0))
        self.assertEqual(self.cluster_contents(), self.expected(keys))

    def test_keys_of_a_slot_that_is_moving_are_asked_for_at_the_other_node(self):
        keys = {b"{tag}%d" % i: (b"%d" % i, 0) for i in range(3000)}
        self.load(keys)
        slot = self.cluster.ask(0, "CLUSTER", "KEYSLOT", "{tag}")
        ids = [self.cluster.ask(number, "CLUSTER", "MYID") for number in range(3)]
        source = next(number for number in range(3) if self.has_slot(number, slot))
        target = (source + 1) % 3
        self.cluster.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        self.cluster.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        try:
            report = self.push("--json", "--dir", self.store, f"redis+cluster://127.0.0.1:{self.cluster.ports[source]}").object
            self.assertEqual((report["stored"], report["refused"]), (len(keys), 0))
            self.assertEqual(self.cluster.ask(target, "CLUSTER", "COUNTKEYSINSLOT", slot), len(keys))
            self.assertEqual(self.cluster.ask(source, "CLUSTER", "COUNTKEYSINSLOT", slot), 0)
        finally:
            self.cluster.ask(target, "FLUSHALL")
            for number in (source, target):
                self.cluster.ask(number, "CLUSTER", "SETSLOT", slot, "STABLE")

    def has_slot(self, number, slot):
        identifier = self.cluster.ask(number, "CLUSTER", "MYID")
        return any(first <= slot <= last and master[2] == identifier for first, last, master, *_ in self.cluster.ask(number, "CLUSTER", "SLOTS"))

    def test_one_node_as_a_single_server_is_told_apart(self):
        self.load({b"key:%d" % i: (b"v", 0) for i in range(10)})
        ended = self.push("--dir", self.store, f"redis://127.0.0.1:{self.cluster.ports[0]}", code=USAGE)
        self.assertIn("is a node of a cluster: give its address as redis+cluster://", ended.sentence)


class Failures(PushTest):
    """Servers that break off, say nothing, or say what nobody expects."""

    def setUp(self):
        super().setUp()
        self.load({b"key:%d" % i: (b"v" * 100, 0) for i in range(5000)})

    def push_to(self, answer, code, *arguments):
        with Scripted(answer) as server:
            begun = time.monotonic()
            ended = self.push("--dir", self.store, *arguments, f"redis://127.0.0.1:{server.port}", code=code, timeout=30)
            self.seconds = time.monotonic() - begun
        return ended

    @staticmethod
    def counting(replies):
        """OK to so many RESTOREs, then what `replies` says to the next ones."""
        state = {"count": 0}

        def answer(args):
            if args[0] != b"RESTORE":
                return b"+OK\r\n"
            state["count"] += 1
            return replies(state["count"])

        return answer

    def test_a_connection_that_is_lost_is_told_with_what_had_been_stored(self):
        ended = self.push_to(self.counting(lambda count: b"+OK\r\n" if count <= 2345 else None), IO)
        told = re.match(r"larder: 127\.0\.0\.1:\d+: the connection was lost: .+; (\d+) keys are known to be stored, (\d+) more were sent without an answer", ended.sentence)
        self.assertTrue(told, ended.sentence)
        stored_count, unanswered_count = map(int, told.groups())
        # What the kernel threw away when the connection broke, nobody can know.
        self.assertLessEqual(stored_count, 2345)
        self.assertGreaterEqual(stored_count, 1000)
        self.assertGreater(stored_count + unanswered_count, 2345)
        self.assertEqual(ended.out, b"")

    def test_a_server_that_says_nothing_any_more_is_given_up(self):
        ended = self.push_to(self.counting(lambda count: b"+OK\r\n" if count <= 100 else b""), IO, "--timeout", "1")
        self.assertRegex(ended.sentence, r"the connection was lost: no answer for 1 s; 100 keys are known to be stored, \d+ more were sent without an answer")
        self.assertLess(self.seconds, 5)

    def test_a_server_that_says_nothing_at_all_is_given_up(self):
        ended = self.push_to(lambda args: b"", IO, "--timeout", "1")
        self.assertRegex(ended.sentence, r"127\.0\.0\.1:\d+: cannot connect: no answer for 1 s")
        self.assertLess(self.seconds, 5)
        ended = self.push("--dir", self.store, f"redis://127.0.0.1:{free_port()}", code=IO)
        self.assertRegex(ended.sentence, r"cannot connect: .*[Rr]efused")

    def test_a_server_that_is_loading_is_waited_for(self):
        ended = self.push_to(self.counting(lambda count: b"-LOADING Redis is loading the dataset in memory\r\n" if count <= 1500 else b"+OK\r\n"), DONE)
        self.assertRegex(ended.text, "sent 5,000 keys")

    def test_a_server_that_never_can_is_given_up(self):
        ended = self.push_to(self.counting(lambda count: b"-CLUSTERDOWN The cluster is down\r\n"), IO)
        self.assertRegex(ended.sentence, r"RESTORE was answered with: CLUSTERDOWN The cluster is down; 0 keys are known to be stored, \d+ more")

    def test_refusals_of_every_kind_are_counted(self):
        def replies(count):
            return {1: b"-OOM command not allowed\r\n", 2: b"-READONLY You can't write\r\n", 3: b"-ERR Bad data format\r\n"}.get(count % 5, b"+OK\r\n")

        report = self.push_to(self.counting(replies), NO, "--json").object
        self.assertEqual((report["stored"], report["refusals"]), (2000, {"OOM": 1000, "READONLY": 1000, "ERR": 1000}))
        self.assertTrue(report["first_refusals"][0].endswith(": OOM command not allowed"), report)

    def test_nonsense_for_a_reply_ends_it(self):
        for reply in (b":5\r\n", b"*1\r\n:1\r\n", b"$2\r\nOK\r\n"):
            ended = self.push_to(self.counting(lambda count: reply), IO)
            self.assertIn("RESTORE was answered with: ", ended.sentence)
        self.push_to(self.counting(lambda count: b"\x00nonsense\r\n"), IO)
        for slots in (b"*0\r\n", b"+OK\r\n", b"-ERR This instance has cluster support disabled\r\n", b"*1\r\n*3\r\n:0\r\n:99999\r\n*2\r\n$1\r\na\r\n:1\r\n"):
            with Scripted(lambda args: slots if args[0] == b"CLUSTER" else b"+OK\r\n") as server:
                ended = self.push("--dir", self.store, f"redis+cluster://127.0.0.1:{server.port}", code=NO if slots == b"*0\r\n" else IO)
                self.assertIn("no node has this key's slot" if slots == b"*0\r\n" else "CLUSTER SLOTS was answered with", ended.sentence)

    def test_a_node_that_sends_a_key_round_in_circles_is_refused(self):
        with Scripted(lambda args: b"+OK\r\n") as server:
            port = server.port

            def answer(args):
                if args[0] == b"CLUSTER":
                    return b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n" + bulk(b"127.0.0.1") + b":%d\r\n" % port
                return b"-MOVED 5 127.0.0.1:%d\r\n" % port if args[0] == b"RESTORE" else b"+OK\r\n"

            server.answer = answer
            ended = self.push("--dir", self.store, f"redis+cluster://127.0.0.1:{port}", code=NO)
        self.assertIn("refused 5,000 keys (5,000 MOVED)", ended.sentence)

    def test_a_key_that_scan_names_twice_comes_once(self):
        def source(args):
            name = args[0]
            if name == b"SCAN":
                return b"*2\r\n" + (bulk(b"7") if args[1] == b"0" else bulk(b"0")) + b"*2\r\n" + bulk(b"a") + bulk(b"b")
            if name == b"EXEC":
                payload = b"\x00\x01v\x0a\x00"
                return b"*2\r\n" + bulk(payload) + b":-1\r\n"
            return b":2\r\n" if name in (b"DBSIZE", b"PEXPIRETIME") else b"+QUEUED\r\n" if name == b"DUMP" else b"+OK\r\n"

        seen = []
        with Scripted(source) as one, Scripted(lambda args: seen.append(args) or b"+OK\r\n") as other:
            report = self.push("--json", "--from", f"redis://127.0.0.1:{one.port}", f"redis://127.0.0.1:{other.port}").object
        self.assertEqual(report["stored"], 2)
        self.assertEqual(sorted(args[1] for args in seen if args[0] == b"RESTORE"), [b"a", b"b"])

    def test_addresses_that_are_none_are_wrong_usage_and_show_no_password(self):
        for target in ("", "nonsense", "http://:secret@x", "rediss://:secret@x/#insecure", "redis+cluster://:secret@"):
            ended = self.push("--dir", self.store, target, code=USAGE)
            self.assertNotIn("secret", ended.sentence)
        self.push("redis://127.0.0.1:1", code=USAGE)


if __name__ == "__main__":
    unittest.main()
