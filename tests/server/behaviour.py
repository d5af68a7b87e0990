"""What `larder serve` promises besides right replies: requests in any pieces, malformed ones, listeners, clients that do not
read, passwords, signals, durability. Where redis-server says something too, both are asked and the bytes compared."""
import os
import random
import re
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from resp import PROGRAM, Client, Closed, encode, larder, need, redis

# Measured: 651 bytes (835 of a debug build) for what is known of a client, and the room of a reply of a few bytes; a list that
# has just doubled may take as much again. Any buffer that is kept for a client who says nothing is a page, 4096, at least.
IDLE_CLIENT_BYTES_MAX = 2048


def memory_bytes(process):
    with open(f"/proc/{process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def exchange(server, data, timeout=2.0):
    """What comes back for these bytes until the server closes, which it does when it has seen their end."""
    client = server.client(timeout)
    try:
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    answer = client.rest()
    client.close()
    return answer


def noted(client):
    """The arguments of what SLOWLOG has noted, the oldest first."""
    entries = re.findall(rb"\*6\r\n(?::\d+\r\n){3}\*\d+\r\n((?:\$\d+\r\n[^\r]*\r\n)*?)\$\d+\r\n[^\r]*:0\r\n", client.command("SLOWLOG", "GET", "-1"))
    return [[arg.decode() for arg in re.findall(rb"\$\d+\r\n([^\r]*)\r\n", entry)] for entry in reversed(entries)]


class Both(unittest.TestCase):
    """The same bytes to redis-server and to larder."""

    @classmethod
    def setUpClass(cls):
        cls.redis, cls.larder = redis().start(), larder().start()

    @classmethod
    def tearDownClass(cls):
        cls.redis.remove()
        cls.larder.remove()

    def setUp(self):
        for server in (self.redis, self.larder):
            client = server.client()
            self.assertEqual(client.command("FLUSHALL"), b"+OK\r\n")
            client.close()

    def same(self, data):
        # A mutation of ECHO hello may ask for HELLO, which tells the connection's number.
        theirs, ours = (re.sub(rb"(?<=\$2\r\nid\r\n:)\d+", b"N", exchange(server, data)) for server in (self.redis, self.larder))
        self.assertEqual(theirs, ours, data[:300])
        return ours

    def test_malformed_requests_are_refused_in_the_same_words(self):
        long = b"x" * 70_000
        for data in [
            b"*1\r\n:1\r\n", b"*1\r\n$-1\r\n", b"*x\r\n", b"*-1\r\nPING\r\n", b"*0\r\nPING\r\n", b"*1\r\n$x\r\n", b"*1\r\n$536870913\r\n",
            b"*2147483648\r\n", b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", b"\r\n\r\nPING\r\n", b"PING\n", b"  PING  \r\n", b'ECHO "a b"\r\n',
            b'ECHO "a\\x41\\n"\r\n', b"ECHO 'a\\'b'\r\n", b'ECHO "a\r\n', b'ECHO "a"b\r\n', b"ECHO ''\r\n", b"*01\r\n$4\r\nPING\r\n", b"*+1\r\n",
            b"*1\r\n$04\r\nPING\r\n", b"*1\r\n\r\n", b"GET\r\n", b"set a b\r\nget a\r\n", long, b"*" + long, b"*1\r\n$" + long, b"*1\n$4\nPING\n",
            b"\x00\r\n", b"PING\x00x\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
        ]:
            self.same(data)

    def test_mutated_requests_get_the_same_replies(self):
        seed = int(os.environ.get("SEED", "20261121"))
        rng = random.Random(seed)
        base = [encode(["PING"]), encode(["ECHO", "hello"]), encode(["SET", "k", "v"]), encode(["GET", "k"]), b"PING\r\n", b'ECHO "a b" \r\n',
                encode(["MGET", "k", "l", "m"]), b"*1\r\n$4\r\nPING\r\n", encode(["APPEND", "k", "\r\n*1\r\n"]), encode(["DEL", "k"])]
        for count in range(int(os.environ.get("MUTATIONS", "20000"))):
            data = bytearray(b"".join(rng.choice(base) for _ in range(rng.randrange(1, 6))))
            for _ in range(rng.choice([0, 1, 1, 2, 5])):
                at = rng.randrange(len(data))
                kind = rng.randrange(4)
                if kind == 0:
                    data[at] = rng.randrange(256)
                elif kind == 1:
                    del data[at : at + rng.randrange(1, 8)]
                elif kind == 2:
                    data[at:at] = rng.choice([b"\r\n", b"*", b"$", b"0", b"9" * 12, b"-1", b"\x00", b'"', b"'", b"\\x", bytes([rng.randrange(256)])])
                else:
                    data[at:at] = data[max(0, at - 9) : at]
                if not data:
                    data = bytearray(b"\r\n")
            try:
                self.same(bytes(data))
            except AssertionError:
                print(f"SEED={seed}, request {count}: {bytes(data)!r}")
                raise
        print(f"{count + 1} mutated requests, SEED={seed}")

    def test_replies_are_not_lost_while_others_are_shown_the_door(self):
        """Clients that leave with an error make room for others, who take over their numbers."""
        lost, is_over = [], time.monotonic() + 4

        def ask(data, wanted):
            while time.monotonic() < is_over and not lost:
                if exchange(self.larder, data) != wanted:
                    lost.append(data)

        refused = b"-ERR Protocol error: invalid multibulk length\r\n"
        threads = [threading.Thread(target=ask, args=args) for args in 3 * [(b"*x\r\n", refused), (b"PING\r\n", b"+PONG\r\n")]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(lost, [])

    def test_a_pipeline_may_come_in_any_pieces(self):
        data = b"".join([encode(["SET", "key", "value\r\n"]), b"GET key\r\n", encode(["ECHO", ""]), b'SET "a b" \'c\'\r\n', encode(["MGET", "key", "a b"]), encode(["NOSUCH"])])
        whole = self.same(data)
        client = self.larder.client()
        for at in range(1, len(data)):
            client.send(data[:at])
            time.sleep(0.0005)
            client.send(data[at:])
            answer = b"".join(client.reply() for _ in range(6))
            self.assertEqual(answer, whole, at)
        for byte in data:
            client.send(bytes([byte]))
        self.assertEqual(b"".join(client.reply() for _ in range(6)), whole)
        client.close()

    def test_messages_and_events_come_in_the_same_bytes(self):
        transcripts = []
        for server in (self.redis, self.larder):
            listener, third, writer = server.client(), server.client(), server.client()
            said = [writer.command("CONFIG", "SET", "notify-keyspace-events", "KEAmn"), writer.command("CONFIG", "GET", "notify-keyspace-events")]
            for args in [["SUBSCRIBE", "news", "__keyevent@0__:set"], ["PSUBSCRIBE", "n*"], ["PSUBSCRIBE", "__key*__:*"]]:
                said.append(listener.command(*args))
                if args[0] == "SUBSCRIBE":
                    said.append(listener.reply())
            said += [listener.command("GET", "a"), listener.command("PING"), listener.command("PING", "x")]
            third.command("HELLO", "3")
            said += [third.command("SUBSCRIBE", "news"), third.command("GET", "a")]
            said.append(writer.command("PUBLISH", "news", "hello"))
            said += [listener.reply(), listener.reply(), third.reply()]
            for args in [["SET", "a", "1"], ["INCR", "a"], ["APPEND", "a", "x"], ["SETRANGE", "a", "1", "y"], ["EXPIRE", "a", "100"], ["PERSIST", "a"],
                         ["RENAME", "a", "b"], ["COPY", "b", "c"], ["GETEX", "b", "EX", "50"], ["SETBIT", "bits", "3", "1"], ["BITOP", "NOT", "n", "bits"],
                         ["INCRBYFLOAT", "f", "1.5"], ["MSET", "x", "1", "y", "2"], ["SETEX", "z", "100", "v"], ["GETDEL", "z"], ["DEL", "x", "y", "none"],
                         ["GET", "none"], ["EXPIRE", "b", "-1"], ["SET", "short", "1", "PX", "30"]]:
                said.append(writer.command(*args))
            said.append(third.command("PUBLISH", "news", "to myself"))
            said.append(third.reply())
            if server is self.redis:
                time.sleep(0.05)
                writer.command("GET", "short")
            listener.socket.settimeout(0.7)
            events = []
            try:
                while True:
                    events.append(listener.reply())
            except (TimeoutError, OSError):
                pass
            said += sorted(event for event in events if b"keymiss" not in event or b"none" in event)
            listener.socket.settimeout(5)
            said += [listener.command("UNSUBSCRIBE", "news"), listener.command("UNSUBSCRIBE"), listener.command("PUNSUBSCRIBE", "nothing"), listener.command("RESET"), listener.command("PING")]
            said.append(writer.command("PUBSUB", "NUMSUB", "news"))
            writer.command("CONFIG", "SET", "notify-keyspace-events", "")
            transcripts.append(said)
            for client in (listener, third, writer):
                client.close()
        self.assertEqual(*transcripts)

    def test_a_watched_key_that_changes_or_expires_ends_the_transaction(self):
        transcripts = []
        for server in (self.redis, self.larder):
            one, other = server.client(), server.client()
            said = []
            for change in [["SET", "w", "2"], ["DEL", "w"], ["EXPIRE", "w", "100"], ["FLUSHALL"], ["GET", "w"], ["DEL", "none"], ["RENAME", "v", "w"], ["PERSIST", "w"]]:
                said += [one.command("SET", "w", "1"), one.command("SET", "v", "1"), one.command("WATCH", "w", "none"), other.command(*change), one.command("MULTI"), one.command("GET", "w"), one.command("EXEC")]
            said += [one.command("SET", "w", "1", "PX", "20"), one.command("WATCH", "w"), time.sleep(0.05), one.command("MULTI"), one.command("PING"), one.command("EXEC")]
            said += [one.command("SET", "w", "1"), one.command("WATCH", "w"), other.command("SET", "w", "2"), one.command("UNWATCH"), one.command("MULTI"), one.command("PING"), one.command("EXEC")]
            said += [one.command("MULTI"), one.command("NOSUCH"), one.command("GET"), one.command("PING"), one.command("EXEC"), one.command("EXEC")]
            said += [one.command("MULTI"), one.command("INCR", "w"), one.command("SET", "w", "x"), one.command("INCR", "w"), one.command("GET", "w"), one.command("EXEC"), one.command("SAVE") and None]
            said += [one.command("MULTI"), one.command("SAVE"), one.command("EXEC"), one.command("MULTI"), one.command("MULTI"), one.command("WATCH", "w"), one.command("DISCARD"), one.command("DISCARD")]
            transcripts.append(said)
            one.close()
            other.close()
        self.assertEqual(*transcripts)

    def test_the_slow_log_shows_what_a_transaction_did_and_not_its_exec(self):
        """Of one that is carried out as one batch, too."""
        batches = [[["SET", "a", "1"], ["DEL", "a"], ["DEL", "none"], ["SET", "b", "2", "PX", "100000"]],  # a batch
                   [["SET", "a", "1"], ["GET", "a"], ["INCR", "a"]], [["SET", "a", "1"]], []]
        transcripts = []
        for server in (self.redis, self.larder):
            client, said = server.client(), []
            client.command("CONFIG", "SET", "slowlog-log-slower-than", "0")
            for batch in batches:
                client.command("SLOWLOG", "RESET")
                for args in [["MULTI"], *batch, ["EXEC"]]:
                    client.command(*args)
                said.append(noted(client))
            client.command("CONFIG", "SET", "slowlog-log-slower-than", "10000")
            client.close()
            transcripts.append(said)
        self.assertEqual(*transcripts)
        self.assertEqual(transcripts[1][0], [["SLOWLOG", "RESET"], ["MULTI"], *batches[0]])

    def test_replies_can_be_turned_off(self):
        data = b"".join(map(encode, [["CLIENT", "REPLY", "SKIP"], ["SET", "a", "1"], ["GET", "a"], ["CLIENT", "REPLY", "OFF"], ["SET", "a", "2"],
                                     ["NOSUCH"], ["CLIENT", "REPLY", "ON"], ["GET", "a"], ["CLIENT", "REPLY", "SKIP"], ["CLIENT", "REPLY", "SKIP"], ["PING"], ["PING"]]))
        self.same(data)

    def test_compressed_payloads_of_redis_are_restored(self):
        writer, reader = self.redis.client(), self.larder.client()
        writer.command("CONFIG", "SET", "rdbcompression", "yes")
        rng = random.Random(5)
        values = [b"y" * 300, b"abc" * 1000, bytes(rng.choice(b"ab") for _ in range(5000)), b"\x00" * 70_000, bytes(rng.randrange(256) for _ in range(20_000))]
        for value in values:
            writer.command("SET", "packed", value)
            payload = writer.command("DUMP", "packed").split(b"\r\n", 1)[1][:-2]
            self.assertEqual(reader.command("RESTORE", "packed", "0", payload, "REPLACE"), b"+OK\r\n")
            self.assertEqual(reader.command("GET", "packed"), writer.command("GET", "packed"))
            back = reader.command("DUMP", "packed").split(b"\r\n", 1)[1][:-2]
            self.assertEqual(writer.command("RESTORE", "packed", "0", back, "REPLACE"), b"+OK\r\n")
            self.assertEqual(writer.command("GET", "packed"), reader.command("GET", "packed"))
        writer.command("CONFIG", "SET", "rdbcompression", "no")
        writer.close()
        reader.close()


class Alone(unittest.TestCase):
    def serve(self, *arguments, **options):
        server = larder(*arguments, **options).start()
        self.addCleanup(server.remove)
        return server

    def test_what_was_answered_outlives_the_process(self):
        for sync in ("always", "interval:1000", "none"):
            server = self.serve(sync=sync)
            client = server.client()
            for i in range(200):
                self.assertEqual(client.command("SET", f"key:{i}", f"value:{i}"), b"+OK\r\n")
            client.command("SET", "short", "x", "PX", "100000")
            server.process.kill()
            server.process.wait()
            server.start()
            client = server.client()
            for i in range(200):
                self.assertEqual(client.command("GET", f"key:{i}"), b"$%d\r\nvalue:%d\r\n" % (len(f"value:{i}"), i))
            self.assertGreater(int(client.command("PTTL", "short")[1:]), 50_000)
            self.assertEqual(server.stop(), 0)

    def test_a_pipeline_shares_one_sync_in_mode_always(self):
        server = self.serve(sync="always")
        client = server.client()
        syncs = lambda: int(client.command("INFO", "persistence").split(b"\r\nsyncs:")[1].split(b"\r\n")[0])
        before = syncs()
        client.send(b"".join(encode(["SET", f"k{i}", "v"]) for i in range(100)))
        for _ in range(100):
            self.assertEqual(client.reply(), b"+OK\r\n")
        self.assertLessEqual(syncs() - before, 5)
        self.assertGreaterEqual(syncs() - before, 1)
        client.command("GET", "k1")
        before = syncs()
        for _ in range(20):
            client.command("GET", "k1")
        self.assertEqual(syncs(), before, "reads do not sync")
        for i in range(20):
            client.command("SET", "k", str(i))
        self.assertGreaterEqual(syncs() - before, 20, "each answered write has its sync")

    def test_sigterm_sends_what_is_owed_and_closes_the_store(self):
        server = self.serve()
        client = server.client()
        client.send(encode(["SET", "big", b"x" * 300_000]) + encode(["GET", "big"]) * 3)
        self.assertEqual(client.reply(), b"+OK\r\n")
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        for _ in range(3):
            self.assertEqual(len(client.reply()), 300_000 + len(b"$300000\r\n\r\n"))
        self.assertEqual(client.rest(), b"")
        self.assertEqual(server.process.wait(10), 0)
        self.assertFalse(os.path.exists(server.path), "the socket is removed")
        self.assertTrue(any(name.startswith("INDEX-") for name in os.listdir(server.directory + "/store")), "a clean close writes a checkpoint")

    def test_shutdown_ends_the_server(self):
        server = self.serve()
        client = server.client()
        client.command("SET", "a", "1")
        client.send(encode(["SHUTDOWN", "NOSAVE"]))
        self.assertEqual(client.rest(), b"")
        self.assertEqual(server.process.wait(10), 0)

    def test_the_socket_is_its_owners(self):
        server = self.serve()
        mode = stat.S_IMODE(os.stat(server.path).st_mode)
        self.assertIn(mode, (0o600, 0o700))

    def test_a_socket_left_behind_is_replaced_and_a_live_one_is_not(self):
        server = self.serve()
        server.process.kill()
        server.process.wait()
        self.assertTrue(os.path.exists(server.path))
        server.start()
        program = os.path.abspath(PROGRAM)
        second = subprocess.run([program, "serve", "--dir", server.directory + "/other", "--unix", server.path], capture_output=True, timeout=10)
        self.assertEqual(second.returncode, 5)
        self.assertIn(b"another process listens", second.stderr)
        other = subprocess.run([program, "serve", "--dir", server.directory + "/store", "--unix", server.path + "2"], capture_output=True, timeout=10)
        self.assertEqual(other.returncode, 3, "the store is open already")
        with open(server.directory + "/file", "w"):
            pass
        third = subprocess.run([program, "serve", "--dir", server.directory + "/other", "--unix", server.directory + "/file"], capture_output=True, timeout=10)
        self.assertEqual(third.returncode, 5)
        self.assertIn(b"is no socket", third.stderr)

    def test_other_machines_need_a_password(self):
        with tempfile.TemporaryDirectory() as directory:
            run = lambda *arguments: subprocess.run([os.path.abspath(PROGRAM), "serve", "--dir", directory + "/s", *arguments], capture_output=True, timeout=10)
            refused = run("--tcp", "0.0.0.0:0")
            self.assertEqual(refused.returncode, 2)
            self.assertIn(b"there is no password", refused.stderr)
            self.assertFalse(os.path.exists(directory + "/s"), "refused before anything is made")
            self.assertEqual(run().returncode, 2)
            self.assertEqual(run("--unix", directory + "/u", "--requirepass", "").returncode, 2)
            self.assertEqual(run("--nonsense").returncode, 2)

    def test_a_password_is_asked_for_and_changes_nothing_else(self):
        directory = tempfile.mkdtemp(prefix="larder-server-")
        with open(directory + "/password", "w") as file:
            file.write("secret\n")
        ours = self.serve("--requirepass-file", "{dir}/password", directory=directory)
        ours.owns_directory = True
        theirs = redis("--requirepass", "secret").start()
        self.addCleanup(theirs.remove)
        for data in [encode(["GET", "a"]), encode(["PING"]), encode(["HELLO", "3"]), encode(["AUTH", "wrong"]), encode(["AUTH", "nobody", "secret"]),
                     encode(["AUTH", "secret"]) + encode(["PING"]), encode(["AUTH", "default", "secret"]) + encode(["PING"]), encode(["QUIT"]), encode(["RESET"]),
                     encode(["HELLO", "2", "AUTH", "default", "wrong"]), encode(["NOSUCH"]), encode(["GET"]), b"*11\r\n", b"*1\r\n$16385\r\n",
                     encode(["EXEC"]), encode(["MULTI"]), encode(["AUTH", "secret"]) + encode(["RESET"]) + encode(["PING"])]:
            self.assertEqual(exchange(theirs, data), exchange(ours, data), data)
        client = ours.client()
        self.assertEqual(client.command("HELLO", "3", "AUTH", "default", "secret")[:4], b"%7\r\n")

    def test_a_client_that_does_not_read_costs_little_and_is_closed_in_the_end(self):
        server = self.serve()
        client = server.client()
        client.command("SET", "big", b"x" * 1_000_000)
        before = memory_bytes(server.process)
        slow = server.client(30)
        slow.send(encode(["GET", "big"]) * 5_000)
        peak = 0
        for _ in range(20):
            self.assertEqual(client.command("PING"), b"+PONG\r\n")
            peak = max(peak, memory_bytes(server.process) - before)
            time.sleep(0.01)
        self.assertLess(peak, 32 << 20)
        # Nothing is lost for being late.
        for _ in range(100):
            self.assertEqual(len(slow.reply()), 1_000_000 + len(b"$1000000\r\n\r\n"))
        with self.assertRaises(OSError):
            for _ in range(100):
                slow.send(encode(["GET", "big"]) * 50_000)
        self.assertTrue(until(lambda: server_clients(client) == 1), "the slow client is gone")

    def test_a_client_may_send_everything_before_it_reads_anything(self):
        server = self.serve()
        client = server.client(60)
        client.command("SET", "k", b"v" * 1000)
        client.send(encode(["GET", "k"]) * 200_000)
        for _ in range(200_000):
            self.assertEqual(len(client.reply()), 1009)

    def test_a_listener_that_does_not_read_is_closed(self):
        server = self.serve()
        listener, writer = server.client(), server.client()
        listener.command("SUBSCRIBE", "c")
        before = memory_bytes(server.process)
        for _ in range(80):
            writer.command("PUBLISH", "c", b"m" * 1_000_000)
        self.assertEqual(writer.command("PUBLISH", "c", "last"), b":0\r\n")
        self.assertLess(memory_bytes(server.process) - before, 200 << 20)

    def test_announced_bytes_cost_nothing_before_they_come(self):
        server = self.serve()
        client = server.client()
        before = memory_bytes(server.process)
        halves = []
        for i in range(300):
            half = server.client()
            half.send([b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\nx", b"*2147483647\r\n$3\r\nDEL\r\n", b"*2\r\n$536870912\r\n", b"*1000000\r\n"][i % 4])
            halves.append(half)
        self.assertEqual(client.command("PING"), b"+PONG\r\n")
        self.assertLess(memory_bytes(server.process) - before, 32 << 20)
        for half in halves:
            half.close()
        self.assertTrue(until(lambda: server_clients(client) == 1))

    def test_thousands_of_clients_are_served(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        server = self.serve("--maxclients", "3000")
        count = 3000
        probe = server.client()
        self.assertTrue(until(lambda: server_clients(probe) == 1))
        before = memory_bytes(server.process)
        clients = [probe] + [server.client() for _ in range(count - 1)]
        for client in clients:
            self.assertEqual(client.command("PING"), b"+PONG\r\n")
        each = (memory_bytes(server.process) - before) / count
        print(f"an idle client takes {each:.0f} bytes of memory")
        self.assertLess(each, IDLE_CLIENT_BYTES_MAX)
        for i, client in enumerate(clients):
            client.send(encode(["SET", f"k{i}", str(i)]) + encode(["GET", f"k{i}"]))
        for i, client in enumerate(clients):
            self.assertEqual(client.reply() + client.reply(), b"+OK\r\n$%d\r\n%d\r\n" % (len(str(i)), i))
        self.assertEqual(server_clients(clients[0]), count)
        over = server.client()
        self.assertEqual(over.rest(), b"-ERR max number of clients reached\r\n")
        for client in clients[1:]:
            client.close()
        self.assertTrue(until(lambda: server_clients(clients[0]) == 1))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_one_client_does_not_hold_up_the_others(self):
        server = self.serve()
        flood, other = server.client(60), server.client()
        flood.send(encode(["SET", "a", b"x" * 10_000]))
        flood.reply()
        import threading

        sender = threading.Thread(target=lambda: flood.send(encode(["STRLEN", "a"]) * 100_000))
        reader = threading.Thread(target=lambda: [flood.reply() for _ in range(100_000)])
        sender.start()
        reader.start()
        worst = 0.0
        while sender.is_alive():
            begun = time.monotonic()
            other.command("PING")
            worst = max(worst, time.monotonic() - begun)
        sender.join()
        reader.join()
        self.assertLess(worst, 2.0)

    def test_values_as_long_as_redis_allows_are_stored(self):
        server = self.serve()
        client = server.client(60)
        value = os.urandom(1 << 20) * 64
        self.assertEqual(client.command("SET", "long", value), b"+OK\r\n")
        self.assertEqual(client.command("STRLEN", "long"), b":%d\r\n" % len(value))
        self.assertEqual(client.command("GETRANGE", "long", "-5", "-1"), b"$5\r\n" + value[-5:] + b"\r\n")

    def test_a_key_over_the_stores_limit_is_refused_and_not_found(self):
        server = self.serve()
        client = server.client()
        key = b"k" * 65_536
        self.assertEqual(client.command("GET", key), b"$-1\r\n")
        self.assertEqual(client.command("DEL", key), b":0\r\n")
        self.assertIn(b"-ERR a key of 65536 bytes is over the limit", client.command("SET", key, "v"))
        self.assertEqual(client.command("SET", key[1:], "v"), b"+OK\r\n")

    def test_a_full_store_says_oom_and_still_deletes(self):
        server = self.serve("--option", "max_size=4MiB", "--option", "segment_size=1MiB")
        client = server.client()
        reply, i = b"+OK\r\n", 0
        while reply == b"+OK\r\n" and i < 10_000:
            reply = client.command("SET", f"k{i}", os.urandom(4096))
            i += 1
        self.assertEqual(reply[:5], b"-OOM ")
        self.assertEqual(client.command("DEL", "k0"), b":1\r\n")
        self.assertEqual(client.command("GET", "k1")[:6], b"$4096\r")

    def test_monitor_slowlog_latency_and_client_list_tell_what_was_done(self):
        server = self.serve()
        client, monitor = server.client(), server.client()
        self.assertEqual(monitor.command("MONITOR"), b"+OK\r\n")
        client.command("CLIENT", "SETNAME", "me")
        client.command("SET", "a", b"x\r\n\xff\"")
        client.command("EVAL", "return redis.call('get', KEYS[1])", "1", "a")
        lines = [monitor.reply() for _ in range(4)]
        self.assertRegex(lines[0], rb'^\+\d+\.\d{6} \[0 .*\] "CLIENT" "SETNAME" "me"\r\n$')
        self.assertIn(b'"SET" "a" "x\\r\\n\\xff\\""', lines[1])
        self.assertTrue(any(b"[0 lua] \"get\" \"a\"" in line for line in lines), lines)
        client.command("CONFIG", "SET", "slowlog-log-slower-than", "0", "latency-monitor-threshold", "1")
        client.command("SET", "a", "1")
        entry = client.command("SLOWLOG", "GET", "1")
        self.assertIn(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n", entry)
        self.assertIn(b"$2\r\nme\r\n", entry)
        client.command("EVAL", "local n = 0 while n < 3000000 do n = n + 1 end", "0")
        self.assertIn(b"$7\r\ncommand\r\n", client.command("LATENCY", "LATEST"))
        self.assertEqual(client.command("LATENCY", "RESET"), b":1\r\n")
        self.assertIn(b" name=me ", client.command("CLIENT", "LIST"))
        self.assertIn(b" name=me ", client.command("CLIENT", "INFO"))
        self.assertEqual(client.command("CLIENT", "KILL", "TYPE", "normal"), b":1\r\n")
        monitor.rest()

    def test_of_a_transaction_the_slow_log_shows_what_took_the_time(self):
        server = self.serve()
        client = server.client(60)
        client.command("CONFIG", "SET", "slowlog-log-slower-than", "2000", "latency-monitor-threshold", "1")
        small = [["SET", f"k{i}", "v"] for i in range(100)]
        client.send(b"".join(map(encode, [["MULTI"], *small, ["SET", "big", b"x" * (64 << 20)], *small, ["EXEC"]])))
        for _ in range(203):
            client.reply()
        sets = [args for args in noted(client) if args[0] == "SET"]
        self.assertEqual([args[:2] for args in sets], [["SET", "big"]])
        took_us = re.search(rb":(\d+)\r\n\*3\r\n\$3\r\nSET\r\n\$3\r\nbig\r\n", client.command("SLOWLOG", "GET", "-1")).group(1)
        worst_ms = re.search(rb"\$7\r\ncommand\r\n:\d+\r\n:\d+\r\n:(\d+)\r\n", client.command("LATENCY", "LATEST")).group(1)
        self.assertGreaterEqual(int(worst_ms), int(took_us) // 1000)
        calls = dict(re.findall(r"cmdstat_(\w+):calls=(\d+)", client.command("INFO", "commandstats").decode()))
        self.assertEqual(calls["set"], "201")

    def test_a_script_that_does_not_end_is_ended(self):
        server = self.serve("--script-time-max", "200")
        client = server.client()
        for script in ["while true do end", "while true do pcall(function() while true do end end) end", "local t = {} while true do t[#t + 1] = string.rep('x', 100000) end"]:
            begun = time.monotonic()
            self.assertEqual(client.command("EVAL", script, "0")[:1], b"-")
            self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(client.command("EVAL", "return 1", "0"), b":1\r\n")

    def test_scripts_reach_nothing_but_commands(self):
        server = self.serve()
        client = server.client()
        for script in ["return io", "return os.execute", "return require", "return loadfile", "return debug", "return dofile", "return package", "return string.dump",
                       "return loadstring('\\27Lua')", "getmetatable('').__index.x = 1", "_G.x = 1", "rawset(_G, 'x', 1) return x", "string.rep = nil", "return collectgarbage"]:
            reply = client.command("EVAL", script, "0")
            self.assertTrue(reply[:1] == b"-" or reply == b"$-1\r\n", (script, reply))
        self.assertEqual(client.command("EVAL", "return ('a'):rep(3)", "0"), b"$3\r\naaa\r\n")

    def test_scan_shows_what_stays_while_the_index_grows(self):
        server = self.serve()
        client, writer = server.client(), server.client()
        kept = {b"kept:%d" % i for i in range(5000)}
        client.send(b"".join(encode(["SET", key, "1"]) for key in kept))
        for _ in kept:
            client.reply()
        cursor, seen, number = b"0", [], 0
        while True:
            reply = client.command("SCAN", cursor, "COUNT", "50").split(b"\r\n")
            cursor = reply[2]
            seen += [key for key in reply[5::2] if key.startswith(b"kept:")]
            data = b"".join(encode(["SET", f"new:{number + i}", "1"]) for i in range(200)) + b"".join(encode(["DEL", f"new:{number + i - 300}"]) for i in range(100))
            number += 200
            writer.send(data)
            for _ in range(300):
                writer.reply()
            if cursor == b"0":
                break
        self.assertEqual(sorted(seen), sorted(kept))

    def test_clients_that_say_nothing_are_closed_if_asked_for(self):
        server = self.serve("--timeout", "1")
        idle, listener = server.client(), server.client()
        listener.command("SUBSCRIBE", "c")
        self.assertEqual(idle.rest(), b"")
        listener.send(encode(["PING"]))
        self.assertIn(b"pong", listener.reply())


def server_clients(client):
    return int(client.command("INFO", "clients").split(b"connected_clients:")[1].split(b"\r\n")[0])


if __name__ == "__main__":
    need("redis-server", "redis-server")
    unittest.main(verbosity=1)
