"""A handle over one server: what it does when the server is silent, gone, back, wrong, or asked for what it cannot promise.

Through the Python binding, which calls the C ABI of the library that LARDER_LIBRARY names.
"""
import ctypes
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from servers import HERE, Client, larder_with_port, need, pause, redis, resume

import larder
from larder import _native

# Over what a timeout says: the machine may be busy.
GRACE = 3.0


class Faker:
    """A server that says what a test wants it to: `answer(number, request)` gives bytes, or None to end the connection.
    `requests` has what arrived after each connection's PING."""

    def __init__(self, answer, first=b"+PONG\r\n", backlog=64, accepts=True):
        self.answer, self.first, self.requests, self.open = answer, first, [], []
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(backlog)
        self.location = "redis://127.0.0.1:%d" % self.socket.getsockname()[1]
        if accepts:
            threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if not connection.recv(1 << 16) or self.first is None:
                return
            connection.sendall(self.first)
            while True:
                request = connection.recv(1 << 16)
                if not request:
                    return
                self.requests.append(request)
                answer = self.answer(len(self.requests), request)
                if answer is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                connection.sendall(answer)
        except OSError:
            pass

    def close(self):
        self.socket.close()
        for connection in self.open:
            connection.close()


class Faults(unittest.TestCase):
    def serve(self, server):
        self.addCleanup(server.remove)
        return server.start()

    def fake(self, *arguments, **options):
        faker = Faker(*arguments, **options)
        self.addCleanup(faker.close)
        return faker

    def open(self, location, **options):
        db = larder.open(location, **options)
        self.addCleanup(db.close)
        return db

    def ends_in_time(self, seconds, call, kind=larder.IoError):
        begun = time.monotonic()
        with self.assertRaises(kind) as raised:
            call()
        self.assertLess(time.monotonic() - begun, seconds + GRACE)
        return raised.exception

    # Silence.

    def test_a_server_that_accepts_and_never_answers_ends_an_open_in_time(self):
        faker = self.fake(None, first=None)
        error = self.ends_in_time(0.3, lambda: larder.open(faker.location, connect_timeout_ms=300))
        self.assertIn(faker.location.removeprefix("redis://"), str(error))

    def test_a_server_that_falls_silent_ends_a_call_in_time_and_the_next_one_too(self):
        faker = self.fake(lambda number, request: b"")
        db = self.open(faker.location, timeout_ms=300)
        for call in [lambda: db[b"k"], lambda: db.set(b"k", b"v"), lambda: db.get_many([b"a"] * 40), lambda: len(db), lambda: list(db.scan()), db.sync]:
            begun = time.monotonic()
            error = self.ends_in_time(0.3, call)
            self.assertGreaterEqual(time.monotonic() - begun, 0.29)
            self.assertIn(faker.location.removeprefix("redis://"), str(error))

    def test_a_socket_whose_queue_is_full_ends_an_open_in_time(self):
        with tempfile.TemporaryDirectory() as place:
            listener = socket.socket(socket.AF_UNIX)
            self.addCleanup(listener.close)
            listener.bind(place + "/socket")
            listener.listen(0)
            for _ in range(4):
                self.ends_in_time(0.2, lambda: larder.open(f"unix:{place}/socket", connect_timeout_ms=200))

    def test_signals_do_not_prolong_a_wait(self):
        faker = self.fake(lambda number, request: b"")
        db = self.open(faker.location, timeout_ms=400)
        old = signal.signal(signal.SIGALRM, lambda *_: None)
        self.addCleanup(signal.signal, signal.SIGALRM, old)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        self.ends_in_time(0.4, lambda: db[b"k"])

    def test_a_paused_server_is_an_error_in_time_and_answers_again_when_it_goes_on(self):
        server = self.serve(redis())
        db = self.open("unix:" + server.path, timeout_ms=300, connect_timeout_ms=300)
        db[b"k"] = b"v"
        pause(server)
        try:
            for _ in range(3):
                self.ends_in_time(0.6, lambda: db[b"k"])
        finally:
            resume(server)
        self.assertEqual(db[b"k"], b"v")

    # Gone and back.

    def test_a_server_killed_in_the_middle_is_an_error_that_names_it_and_back_again_it_is_used_again(self):
        for server in (redis("--appendonly", "yes"), larder_with_port()):
            self.serve(server)
            db = self.open(f"redis://127.0.0.1:{server.port}", timeout_ms=2000)
            written, errors = [0], []

            def write():
                while not errors:
                    try:
                        db[b"n"] = b"%d" % (written[0] + 1)
                        written[0] += 1
                    except larder.IoError as error:
                        errors.append(error)

            writer = threading.Thread(target=write)
            writer.start()
            time.sleep(0.3)
            server.stop(signal.SIGKILL)
            begun = time.monotonic()
            writer.join(2 + GRACE)
            self.assertFalse(writer.is_alive())
            self.assertLess(time.monotonic() - begun, 2 + GRACE)
            self.assertIn(f"127.0.0.1:{server.port}", str(errors[0]))
            self.assertGreater(written[0], 0)
            self.ends_in_time(2, lambda: db[b"n"])
            self.ends_in_time(2, lambda: db.set(b"n", b"x"))
            if server.arguments[0] != "redis-server":
                server.start()
                # What was answered is there, and at most the write whose answer was lost besides.
                self.assertIn(int(db[b"n"]), (written[0], written[0] + 1))
            else:
                server.start()
            db[b"n"] = b"again"
            self.assertEqual(db[b"n"], b"again")

    def test_a_restart_between_calls_is_not_noticed(self):
        server = self.serve(redis())
        db = self.open("unix:" + server.path)
        db[b"k"] = b"v"
        server.stop()
        server.start()
        # A write, which would not be sent twice: the dead connection is found before anything is sent on it.
        db[b"k"] = b"w"
        self.assertEqual(db[b"k"], b"w")

    def test_a_write_whose_answer_is_lost_is_sent_once_and_a_read_twice(self):
        faker = self.fake(lambda number, request: None)
        db = self.open(faker.location)
        for call in [lambda: db.set(b"k", b"v"), lambda: db.__delitem__(b"k"), lambda: db.expire(b"k", 5), lambda: db.expire(b"k", None), lambda: db.set(b"k", b"v", if_absent=True)]:
            before = len(faker.requests)
            with self.assertRaises(larder.IoError) as raised:
                call()
            self.assertIn("not known", str(raised.exception))
            self.assertEqual(len(faker.requests) - before, 1)
        for call in [lambda: db[b"k"], lambda: b"k" in db, lambda: db.ttl(b"k"), lambda: db.view(b"k"), lambda: len(db)]:
            before = len(faker.requests)
            with self.assertRaises(larder.IoError) as raised:
                call()
            self.assertNotIn("not known", str(raised.exception))
            self.assertEqual(len(faker.requests) - before, 2)

    def test_a_batch_that_is_cut_before_its_end_has_done_nothing_and_after_it_nobody_knows(self):
        def answer(number, request):
            if b"EXEC" in request:
                return None
            return b"+OK\r\n" if b"MULTI" in request else b"+QUEUED\r\n" * (request.count(b"SET") + request.count(b"DEL"))

        faker = self.fake(answer)
        db = self.open(faker.location)
        batch = db.batch()
        batch.set(b"a", b"1")
        batch.delete(b"b")
        with self.assertRaises(larder.IoError) as raised:
            batch.write()
        self.assertIn("not known", str(raised.exception))
        self.assertEqual(sum(b"EXEC" in request for request in faker.requests), 1)
        faker.answer = lambda number, request: None
        with self.assertRaises(larder.IoError) as raised:
            batch.write()
        self.assertNotIn("not known", str(raised.exception))

    def test_what_is_not_the_protocol_is_an_error(self):
        for words in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x01\x02", b"$99999999999999999999\r\n", b"*2\r\n+a\r\n"):
            faker = self.fake(lambda number, request: words)
            db = self.open(faker.location, timeout_ms=200)
            self.ends_in_time(0.4, lambda: db[b"k"])
            self.ends_in_time(0.4, lambda: list(db.scan()))

    def test_a_length_that_is_only_claimed_takes_no_memory(self):
        faker = self.fake(lambda number, request: b"$8000000000\r\nx")
        db = self.open(faker.location, timeout_ms=200)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.ends_in_time(0.4, lambda: db[b"k"])
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 64 << 10)

    def test_a_host_that_has_not_ignored_sigpipe_lives(self):
        server = self.serve(redis())
        program = f"""
import signal, sys
sys.path[:0] = {sys.path[:2]!r}
import larder
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
db = larder.open("unix:{server.path}")
print("open", flush=True)
sys.stdin.readline()
big = bytes(4 << 20)
for _ in range(20):
    try:
        db[b"k"] = big
    except larder.IoError:
        print("io", flush=True)
        break
"""
        child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.assertEqual(child.stdout.readline(), "open\n")
        pause(server)
        child.stdin.write("go\n")
        child.stdin.flush()
        time.sleep(0.3)
        server.process.kill()
        self.assertEqual(child.stdout.read(), "io\n")
        self.assertEqual(child.wait(20), 0)

    # Who asks.

    def test_passwords_are_asked_for_taken_and_never_shown(self):
        for server in (redis("--requirepass", "sesame"), larder_with_port("--requirepass", "sesame")):
            self.serve(server)
            place = f"127.0.0.1:{server.port}"
            for location, options in [
                (f"redis://{place}", {}),
                (f"redis://:sesam@{place}", {}),
                (f"redis://ann:sesame1@{place}", {}),
                (f"unix:{server.path}", {"password": "sesameee"}),
            ]:
                with self.assertRaises(larder.InvalidArgument) as raised:
                    larder.open(location, **options)
                self.assertNotIn("sesam", str(raised.exception))
            for location, options in [
                (f"redis://:sesame@{place}", {}),
                (f"redis://default:%73esame@{place}/0", {}),
                (f"redis://{place}", {"password": "sesame"}),
                (f"unix:{server.path}", {"user": "default", "password": "sesame"}),
            ]:
                db = self.open(location, **options)
                db[b"k"] = b"v"
                self.assertEqual(db[b"k"], b"v")

    def test_a_server_that_quotes_what_it_was_sent_is_not_quoted(self):
        faker = self.fake(None, first=b"-ERR unknown command 'AUTH', with args beginning with: 'sesame'\r\n+PONG\r\n")
        with self.assertRaises(larder.InvalidArgument) as raised:
            larder.open(faker.location.replace("//", "//:sesame@"))
        self.assertNotIn("sesame", str(raised.exception))

    def test_a_password_that_has_changed_is_told_and_not_shown(self):
        server = self.serve(redis("--requirepass", "sesame"))
        db = self.open(f"redis://:sesame@127.0.0.1:{server.port}")
        db[b"k"] = b"v"
        server.stop()
        server.arguments[server.arguments.index("sesame")] = "other"
        server.start()
        with self.assertRaises(larder.InvalidArgument) as raised:
            db[b"k"]
        self.assertNotIn("sesame", str(raised.exception))

    # What cannot be promised.

    def test_options_of_directories_are_refused_and_those_of_servers_taken(self):
        server = self.serve(redis())
        for name, value in [("sync", "none"), ("sync", "always"), ("create", False), ("segment_size", "1MiB"), ("max_size", 0), ("verify_reads", "all"), ("compaction", "auto")]:
            with self.assertRaises(larder.Unsupported) as raised:
                larder.open("unix:" + server.path, **{name: value})
            self.assertIn(name, str(raised.exception))
        for name, value in [("timeout_ms", 0), ("connect_timeout_ms", "1s"), ("timeout_ms", 86_400_001)]:
            with self.assertRaises(larder.InvalidArgument):
                larder.open("unix:" + server.path, **{name: value})
        reader = self.open("unix:" + server.path, read_only=True, timeout_ms=86_400_000, connect_timeout_ms=1000)
        for call in [lambda: reader.set(b"k", b"v"), lambda: reader.__delitem__(b"k"), lambda: reader.expire(b"k", 1)]:
            with self.assertRaises(larder.ReadOnly):
                call()
        with tempfile.TemporaryDirectory() as place:
            self.open(place + "/store", timeout_ms=100)[b"k"] = b"v"

    def test_only_database_0_is_there(self):
        server = self.serve(redis())
        self.open(f"redis://127.0.0.1:{server.port}/0")
        with self.assertRaises(larder.Unsupported):
            larder.open(f"redis://127.0.0.1:{server.port}/1")
        with self.assertRaises(larder.Unsupported) as raised:
            larder.open(f"redis+cluster://127.0.0.1:{server.port}")
        self.assertIn("redis://", str(raised.exception))

    def test_a_value_of_another_kind_is_not_taken_for_a_string(self):
        server = self.serve(redis())
        client = server.client()
        client.command("RPUSH", "list", "1")
        db = self.open("unix:" + server.path)
        db[b"text"] = b"t"
        for call in [lambda: db[b"list"], lambda: db.view(b"list"), lambda: db.get_many([b"text", b"list"])]:
            with self.assertRaises(larder.Unsupported):
                call()
        self.assertEqual(list(db.scan()), [(b"text", b"t")])
        self.assertIn(b"list", db)
        del db[b"list"]
        self.assertEqual(len(db), 1)

    def test_a_full_server_is_no_space_and_a_replica_is_read_only(self):
        server = self.serve(redis("--maxmemory", "2mb"))
        db = self.open("unix:" + server.path)
        with self.assertRaises(larder.NoSpace):
            for number in range(100):
                db[b"k%d" % number] = bytes(100_000)
        with self.assertRaises(larder.NoSpace):
            with db.batch() as batch:
                batch.set(b"a", bytes(100_000))
                batch.set(b"b", b"1")
        self.assertNotIn(b"b", db)
        server.client().command("REPLICAOF", "127.0.0.1", "1")
        with self.assertRaises(larder.ReadOnly):
            db[b"b"] = b"1"

    def test_a_value_longer_than_servers_take_is_too_large(self):
        server = self.serve(redis())
        db = self.open("unix:" + server.path)
        with self.assertRaises(larder.TooLarge):
            db[b"k"] = bytes((512 << 20) + 1)
        self.assertNotIn(b"k", db)

    def test_sync_is_what_the_server_promises(self):
        for server, can in [
            (redis(), False),
            (redis("--appendonly", "yes"), False),
            (redis("--appendonly", "yes", "--appendfsync", "always"), True),
            (redis("--rename-command", "CONFIG", ""), False),
            (larder_with_port(sync="always"), True),
            (larder_with_port(sync="none"), True),
        ]:
            self.serve(server)
            db = self.open("unix:" + server.path)
            if can:
                db.set(b"k", b"v", sync=True)
                db.sync()
            else:
                for call in [lambda: db.set(b"k", b"v", sync=True), db.sync]:
                    with self.assertRaises(larder.Unsupported):
                        call()
                self.assertNotIn(b"k", db)

    def test_a_key_without_expiry_is_made_to_live_for_ever_and_a_missing_one_is_not_found(self):
        for server in (self.serve(redis()), self.serve(larder_with_port())):
            db = self.open("unix:" + server.path)
            db[b"k"] = b"v"
            db.expire(b"k", None)
            db.expire(b"k", 60_000)
            db.expire(b"k", None)
            self.assertIsNone(db.ttl(b"k"))
            with self.assertRaises(larder.NotFound):
                db.expire(b"none", None)

    def test_a_view_tells_when_its_key_expires_and_no_version(self):
        for server in (self.serve(redis()), self.serve(larder_with_port())):
            db = self.open("unix:" + server.path)
            db[b"stays"] = b"s"
            db.set(b"goes", b"g", 60_000)
            for key, lives_ms in ((b"stays", None), (b"goes", 60_000)):
                view = _native.ViewStruct()
                db._call("larder_get_view", key, len(key), ctypes.byref(view))
                self.assertEqual((ctypes.string_at(view.data, view.len), view.version), (key[:1], 0))
                if lives_ms is None:
                    self.assertEqual(view.expires_at_ms, 0)
                else:
                    self.assertLess(abs(view.expires_at_ms - lives_ms - time.time() * 1000), 20_000)
                _native.library().larder_view_release(ctypes.byref(view))

    # Many at once.

    def test_forty_threads_share_a_handle_and_few_connections(self):
        server = self.serve(redis())
        db = self.open("unix:" + server.path)
        wrong = []

        def work(number):
            rng = random.Random(number)
            mine = {}
            for _ in range(150):
                key = b"%d:%d" % (number, rng.randrange(20))
                if rng.random() < 0.5:
                    mine[key] = db[key] = b"%d" % rng.randrange(1 << 30)
                elif db.get(key) != mine.get(key):
                    wrong.append(key)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        info = server.client().command("INFO", "clients")
        self.assertLessEqual(int(info.split(b"connected_clients:")[1].split(b"\r\n")[0]), 17)

    def test_a_close_waits_for_calls_under_way_and_ends_every_connection(self):
        server = self.serve(redis())
        db = larder.open("unix:" + server.path)
        closed = []

        def work():
            try:
                while True:
                    db[b"k"] = b"v"
            except larder.Closed:
                closed.append(True)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        db.close()
        for thread in threads:
            thread.join(10)
        self.assertEqual(len(closed), 4)
        client = server.client()
        self.assertIn(b"connected_clients:1\r\n", client.command("INFO", "clients"))

    def test_a_forked_child_is_refused_and_the_parent_goes_on(self):
        server = self.serve(redis())
        db = self.open("unix:" + server.path)
        db[b"k"] = b"v"
        child = os.fork()
        if child == 0:
            refused = 0
            for call in [lambda: db[b"k"], lambda: db.set(b"k", b"w"), lambda: len(db), db.sync]:
                try:
                    call()
                except larder.Forked:
                    refused += 1
            os._exit(refused)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 4)
        self.assertEqual(db[b"k"], b"v")

    def test_nothing_is_left_running_and_nothing_is_said(self):
        server = self.serve(redis())
        program = f"""
import os, sys
sys.path[:0] = {sys.path[:2]!r}
import larder
descriptors, threads = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
for _ in range(3):
    with larder.open("unix:{server.path}") as db:
        db[b"k"] = b"v"
        assert len(os.listdir("/proc/self/task")) == threads
        list(db.scan())
assert len(os.listdir("/proc/self/fd")) == descriptors
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    # Whole batches.

    def test_a_large_batch_is_one(self):
        for server in (self.serve(redis()), self.serve(larder_with_port())):
            db = self.open("unix:" + server.path, timeout_ms=60_000)
            with db.batch() as batch:
                for number in range(150_000):
                    batch.set(b"key:%d" % number, b"x" * 100)
            self.assertEqual(len(db), 150_000)
            with db.batch() as batch:
                for number in range(150_000):
                    batch.delete(b"key:%d" % number)
            self.assertEqual(len(db), 0)

    def test_readers_see_a_batch_whole_or_not_at_all(self):
        for server in (self.serve(redis()), self.serve(larder_with_port())):
            db, stop, seen = self.open("unix:" + server.path), threading.Event(), set()

            def read():
                client = server.client()
                while not stop.is_set():
                    seen.add(client.command("MGET", "a", "b", "c"))

            for key in (b"a", b"b", b"c"):
                db[key] = b"0"
            reader = threading.Thread(target=read)
            reader.start()
            for number in range(300):
                with db.batch() as batch:
                    for key in (b"a", b"b", b"c"):
                        batch.set(key, b"%d" % number)
            stop.set()
            reader.join()
            for reply in seen:
                self.assertEqual(len(set(reply.split(b"\r\n")[2::2])), 1, reply)

    def test_a_kill_of_larder_serve_leaves_every_batch_whole_or_absent(self):
        for turn in range(4):
            server = self.serve(larder_with_port(sync="none"))
            db, begun = self.open("unix:" + server.path), [0]

            def write():
                try:
                    while True:
                        begun[0] += 1
                        batch = db.batch()
                        for part in range(50):
                            batch.set(b"key:%d" % part, b"%d" % begun[0] + bytes(2000))
                        batch.delete(b"absent")
                        batch.set(b"late", b"%d" % begun[0], 10_000_000)
                        batch.write()
                except larder.IoError:
                    pass

            writer = threading.Thread(target=write)
            writer.start()
            time.sleep(0.2 + random.random() / 10)
            server.stop(signal.SIGKILL)
            writer.join()
            server.start()
            values = {value.rstrip(b"\0") for _, value in db.scan()}
            self.assertEqual(len(values), 1)
            # The last one that was answered, or the one whose answer was lost.
            self.assertIn(int(values.pop()), (begun[0] - 1, begun[0]))

    # Cursors.

    def test_a_cursor_returns_what_stays_once_while_the_table_grows_and_shrinks(self):
        for server in (self.serve(redis()), self.serve(larder_with_port())):
            db = self.open("unix:" + server.path)
            stays = {b"stays:%d" % number: b"%d" % number for number in range(3000)}
            with db.batch() as batch:
                for key, value in stays.items():
                    batch.set(key, value)
            seen, number = [], 0
            for key, value in db.scan():
                if key in stays:
                    self.assertEqual(value, stays[key])
                    seen.append(key)
                if len(seen) % 100 == 0:
                    with db.batch() as batch:
                        for _ in range(1000):
                            (batch.set(b"comes:%d" % number, b"") if number < 20_000 else batch.delete(b"comes:%d" % (number - 20_000)))
                            number += 1
            self.assertEqual(sorted(seen), sorted(stays))

    def test_a_prefix_is_no_pattern(self):
        server = self.serve(redis())
        db = self.open("unix:" + server.path)
        keys = [b"a*1", b"ab1", b"a?1", b"[a]1", b"a\\1", b"\\1", b"", b"\x00\xff1", b"a^-1"]
        for key in keys:
            db[key] = b"v"
        for prefix in (b"a*", b"a?", b"[a]", b"a\\", b"\\", b"\x00\xff", b"a^-", b""):
            self.assertEqual(sorted(key for key, _ in db.scan(prefix)), sorted(key for key in keys if key.startswith(prefix)))


if __name__ == "__main__":
    need(("redis-server", "redis-server"), ("redis-cli", "redis-tools"))
    assert os.path.isdir(HERE) and os.environ.get("LARDER_LIBRARY"), "LARDER_LIBRARY names the library"
    unittest.main(verbosity=1)
