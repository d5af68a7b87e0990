"""What an operator needs of `larder serve`: TLS with and without certificates of clients, metrics, the log, INFO."""
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from resp import PROGRAM, encode, larder, need

METRIC = re.compile(r"^([a-z_:][a-z0-9_:]*)(?:\{([a-z_]+)=\"([^\"\\\n]*)\"\})? ([0-9.e+-]+|\+Inf)$")


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=60)


def certificates():
    """A directory with an authority, a server's and a client's certificate that it has signed, and one of nobody's."""
    directory = tempfile.mkdtemp(prefix="larder-tls-")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for name in ("ca", "stranger"):
        openssl(directory, "req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2", "-subj", f"/CN={name}")
    with open(os.path.join(directory, "names"), "w") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    for name in ("server", "client"):
        openssl(directory, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{name}.crt")
    return directory


def port_of(server, what):
    """The port that the server says it listens on: it was given 0."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = re.search(what, server.log())
        if found:
            return int(found.group(1))
        time.sleep(0.02)
    raise AssertionError(server.log())


class Operating(unittest.TestCase):
    def serve(self, *arguments, **options):
        server = larder(*arguments, **options).start()
        self.addCleanup(server.remove)
        return server


class Tls(Operating):
    @classmethod
    def setUpClass(cls):
        cls.certs = certificates()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.certs)

    def path(self, name):
        return os.path.join(self.certs, name)

    def tls(self, *arguments):
        server = self.serve("--tls", "127.0.0.1:0", "--tls-cert", self.path("server.crt"), "--tls-key", self.path("server.key"), "--log-level", "debug", *arguments)
        return server, port_of(server, r"127\.0\.0\.1:(\d+) \(TLS\)")

    def context(self, name=None, version=None):
        context = ssl.create_default_context(cafile=self.path("ca.crt"))
        if name:
            context.load_cert_chain(self.path(name + ".crt"), self.path(name + ".key"))
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def connect(self, port, context):
        raw = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.addCleanup(raw.close)
        wrapped = context.wrap_socket(raw, server_hostname="localhost")
        self.addCleanup(wrapped.close)
        return wrapped

    def cli(self, port, *arguments):
        done = subprocess.run(["redis-cli", "-p", str(port), "--tls", *arguments], capture_output=True, text=True, timeout=20)
        return done.stdout + done.stderr

    def test_redis_cli_speaks_tls(self):
        _, port = self.tls()
        ca = ["--cacert", self.path("ca.crt")]
        self.assertEqual(self.cli(port, *ca, "set", "a", "b"), "OK\n")
        self.assertEqual(self.cli(port, *ca, "get", "a"), "b\n")
        self.assertIn("SSL_connect failed", self.cli(port, "--cacert", self.path("stranger.crt"), "get", "a"))

    def test_both_versions_carry_pipelines_and_long_values(self):
        server, port = self.tls()
        value = os.urandom(3_000_000)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = self.connect(port, self.context(version=version))
            client.sendall(encode(["SET", "long", value]) + encode(["GET", "long"]) * 5 + b"".join(encode(["ECHO", str(i)]) for i in range(2000)))
            wanted = b"+OK\r\n" + (b"$3000000\r\n" + value + b"\r\n") * 5 + b"".join(b"$%d\r\n%d\r\n" % (len(str(i)), i) for i in range(2000))
            got = bytearray()
            while len(got) < len(wanted):
                more = client.recv(1 << 16)
                self.assertTrue(more)
                got += more
            self.assertTrue(got == wanted)
            client.sendall(encode(["QUIT"]))
            self.assertEqual(client.recv(100), b"+OK\r\n")
            self.assertEqual(client.recv(100), b"", "the end is said, not cut")
        self.assertEqual(server.stop(), 0)

    def test_requests_in_single_bytes_and_many_clients(self):
        _, port = self.tls()
        clients = [self.connect(port, self.context()) for _ in range(50)]
        for byte in encode(["SET", "k", "v"]) + encode(["GET", "k"]):
            for client in clients[:5]:
                client.sendall(bytes([byte]))
        for client in clients[5:]:
            client.sendall(encode(["SET", "k", "v"]) + encode(["GET", "k"]))
        for client in clients:
            got = b""
            while len(got) < 12:
                got += client.recv(100)
            self.assertEqual(got, b"+OK\r\n$1\r\nv\r\n")

    def test_clients_need_a_certificate_where_an_authority_is_named(self):
        _, port = self.tls("--tls-ca", self.path("ca.crt"))
        with_one = ["--cacert", self.path("ca.crt"), "--cert", self.path("client.crt"), "--key", self.path("client.key")]
        self.assertEqual(self.cli(port, *with_one, "ping"), "PONG\n")
        self.assertNotIn("PONG", self.cli(port, "--cacert", self.path("ca.crt"), "ping"))
        stranger = ["--cacert", self.path("ca.crt"), "--cert", self.path("stranger.crt"), "--key", self.path("stranger.key")]
        self.assertNotIn("PONG", self.cli(port, *stranger, "ping"))
        with self.assertRaises((ssl.SSLError, OSError)):
            client = self.connect(port, self.context("stranger"))
            client.sendall(encode(["PING"]))
            if not client.recv(10):
                raise OSError("closed")

    def test_plain_text_and_half_handshakes_harm_nobody(self):
        server, port = self.tls()
        for data in (encode(["PING"]), b"\x16\x03\x01\x02\x00" + b"\x01" * 100, b"\x16\x03\x01", b"\xff" * 70_000):
            raw = socket.create_connection(("127.0.0.1", port), timeout=10)
            try:
                raw.sendall(data)
                raw.shutdown(socket.SHUT_WR)
                while True:
                    answer = raw.recv(4096)
                    self.assertNotIn(b"PONG", answer)
                    if not answer:
                        break
            except OSError:
                pass
            raw.close()
        self.assertEqual(self.cli(port, "--cacert", self.path("ca.crt"), "ping"), "PONG\n")

    def test_a_client_that_does_not_read_holds_little(self):
        server, port = self.tls()
        writer = server.client()
        writer.command("SET", "big", b"x" * 1_000_000)
        slow = self.connect(port, self.context())
        slow.sendall(encode(["GET", "big"]) * 300)
        time.sleep(0.3)
        buffers = int(writer.command("INFO", "memory").split(b"client_buffer_bytes:")[1].split(b"\r\n")[0])
        self.assertLess(buffers, 8 << 20)
        got = 0
        while got < 300 * 1_000_012:
            more = slow.recv(1 << 20)
            self.assertTrue(more)
            got += len(more)

    def test_redis_py_speaks_tls(self):
        python = os.path.join(os.environ.get("CLIENTS_DIR", "build/server-clients"), "python/bin/python")
        if not os.path.exists(python):
            print("SKIP: server-test: redis-py over TLS: it is not installed (make server-clients installs it)")
            if os.environ.get("LARDER_FORBID_SKIP", "0") != "0":
                self.fail("redis-py is not installed")
            return
        _, port = self.tls("--tls-ca", self.path("ca.crt"))
        text = (f"import redis; r = redis.Redis(host='localhost', port={port}, ssl=True, ssl_ca_certs={self.path('ca.crt')!r}, ssl_certfile={self.path('client.crt')!r}, "
                f"ssl_keyfile={self.path('client.key')!r}); r.set('a', b'x' * 100000); p = r.pipeline(); [p.get('a') for _ in range(100)]; "
                "assert all(len(v) == 100000 for v in p.execute()); print('fine')")
        done = subprocess.run([python, "-c", text], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stdout, "fine\n", done.stderr)

    def test_what_is_unsafe_or_incomplete_is_refused(self):
        pair = ["--tls-cert", self.path("server.crt"), "--tls-key", self.path("server.key")]
        with tempfile.TemporaryDirectory() as directory:
            for arguments, code, words in [
                (["--tls", "0.0.0.0:0", *pair], 2, "no password and no --tls-ca"),
                (["--tls", "127.0.0.1:0"], 2, "--tls-cert"),
                (["--tls", "127.0.0.1:0", "--tls-cert", "/nonexistent", "--tls-key", self.path("server.key")], 5, "/nonexistent"),
                (["--tls", "127.0.0.1:0", "--tls-cert", self.path("server.key"), "--tls-key", self.path("server.key")], 5, "no certificate in it"),
                (["--tls", "127.0.0.1:0", "--tls-cert", self.path("server.crt"), "--tls-key", self.path("client.key")], 5, "server.crt"),
                (["--unix", directory + "/u", "--metrics", "0.0.0.0:0"], 2, "--metrics-public"),
            ]:
                done = subprocess.run([os.path.abspath(PROGRAM), "serve", "--dir", directory + "/s", *arguments], capture_output=True, text=True, timeout=10)
                self.assertEqual(done.returncode, code, (arguments, done.stderr))
                self.assertIn(words, done.stderr)
        # With a certificate of each client it is as good as a password.
        server = self.serve("--tls", "0.0.0.0:0", *pair, "--tls-ca", self.path("ca.crt"))
        self.assertGreater(port_of(server, r"0\.0\.0\.0:(\d+) \(TLS\)"), 0)


class Watching(Operating):
    def scrape(self, port, method="GET", target="/metrics"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, target)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer, body

    def metrics(self, port):
        """The values by name and label; every rule of the format that is broken is a failure."""
        answer, body = self.scrape(port)
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.getheader("Content-Type").startswith("text/plain; version=0.0.4"))
        self.assertTrue(body.endswith("\n"))
        kinds, values, helped, current = {}, {}, set(), None
        for line in body.splitlines():
            if line.startswith("# HELP "):
                current = line.split(" ", 3)[2]
                self.assertNotIn(current, helped, "told once")
                helped.add(current)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.assertEqual(name, current)
                self.assertIn(kind, ("gauge", "counter", "histogram"))
                kinds[name] = kind
            else:
                found = METRIC.match(line)
                self.assertTrue(found, line)
                name, label, of, value = found.groups()
                base = re.sub(r"_(bucket|sum|count)$", "", name) if kinds[current] == "histogram" else name
                self.assertEqual(base, current, "the lines of a metric stand together")
                self.assertEqual(name.endswith("_total"), kinds[current] == "counter", name)
                self.assertNotIn((name, of), values)
                values[name, of] = float(value)
        buckets = [(float(of), value) for (name, of), value in values.items() if name.endswith("_bucket")]
        self.assertEqual(buckets, sorted(buckets), "buckets are sums")
        self.assertEqual(buckets[-1], (float("inf"), values["larder_command_duration_seconds_count", None]))
        return values

    def test_metrics_are_prometheus_text_and_count_what_was_done(self):
        server = self.serve("--metrics", "127.0.0.1:0")
        port = port_of(server, r"http://127\.0\.0\.1:(\d+)/metrics")
        client = server.client()
        before = self.metrics(port)
        for i in range(10):
            client.command("SET", f"k{i}", "v", *(["EX", "100"] if i < 3 else []))
        client.send(encode(["GET", "k1"]) * 40 + encode(["GET", "none"]) * 2)
        for _ in range(42):
            client.reply()
        client.command("INCR", "k1")
        client.command("GET")
        client.command("EVAL", "return redis.call('get', KEYS[1])", "1", "k1")
        after = self.metrics(port)
        rise = lambda name, of=None: after[name, of] - before.get((name, of), 0)
        self.assertEqual(rise("larder_commands_total", "set"), 10)
        self.assertEqual(rise("larder_commands_total", "get"), 43)
        self.assertEqual(rise("larder_commands_failed_total", "incr"), 1)
        self.assertEqual(rise("larder_commands_rejected_total", "get"), 1)
        self.assertEqual(rise("larder_errors_total", "ERR"), 2)
        self.assertEqual(rise("larder_hits_total"), 41)
        self.assertEqual(rise("larder_misses_total"), 2)
        self.assertEqual(after["larder_keys", None], 10)
        self.assertEqual(after["larder_keys_expiring", None], 3)
        self.assertEqual(after["larder_clients", None], 1, "a scrape is no client")
        self.assertEqual(rise("larder_command_duration_seconds_count"), 10 + 42 + 1 + 1)
        self.assertGreater(after["process_resident_memory_bytes", None], 1 << 20)
        # The same figures in INFO.
        info = client.command("INFO", "everything").decode()
        self.assertIn("cmdstat_set:calls=10,", info)
        self.assertRegex(info, r"cmdstat_get:calls=43,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=1,failed_calls=0")
        self.assertRegex(info, r"cmdstat_incr:calls=1,.*failed_calls=1")
        self.assertIn("errorstat_ERR:count=2", info)
        self.assertIn("keyspace_hits:41", info)
        self.assertIn("keyspace_misses:2", info)
        self.assertNotIn("cmdstat", client.command("INFO").decode(), "as with redis-server only on request")
        client.command("CONFIG", "RESETSTAT")
        self.assertNotIn("cmdstat_get", client.command("INFO", "commandstats").decode())

    def test_scrapes_that_are_wrong_or_slow_harm_nobody(self):
        server = self.serve("--metrics", "127.0.0.1:0")
        port = port_of(server, r"http://127\.0\.0\.1:(\d+)/metrics")
        self.assertEqual(self.scrape(port, target="/")[0].status, 404)
        self.assertEqual(self.scrape(port, "POST")[0].status, 405)
        head, body = self.scrape(port, "HEAD")
        self.assertEqual((head.status, body), (200, ""))
        for data in (b"nonsense\r\n\r\n", b"GET /metrics\r\n\r\n", b"x" * 20_000, encode(["PING"])):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
                try:
                    raw.sendall(data)
                    raw.shutdown(socket.SHUT_WR)
                    self.assertNotIn(b"200 OK", raw.recv(100))
                except ConnectionResetError:
                    pass
        idle = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(40)]
        self.assertEqual(server.client().command("PING"), b"+PONG\r\n")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if self.scrape(port)[0].status == 200:
                    break
            except OSError:
                time.sleep(0.2)
        self.assertLess(time.monotonic(), deadline, "those that say nothing are closed")
        for raw in idle:
            raw.close()

    def test_the_log_tells_starts_stops_and_refusals_with_times_and_levels(self):
        server = self.serve("--maxclients", "2", "--requirepass", "secret")
        first, second, third = server.client(), server.client(), server.client()
        self.assertIn(b"max number", third.rest())
        self.assertIn(b"WRONGPASS", first.command("AUTH", "nonsense\nx"))
        first.command("AUTH", "secret")
        first.command("CONFIG", "SET", "slowlog-log-slower-than", "1000")
        first.command("EVAL", "local n = 0 while n < 3000000 do n = n + 1 end return 'stored secret'", "0")
        server.stop(signal.SIGTERM)
        lines = [line for line in server.log(20_000).splitlines() if not line.startswith("serving ")]
        for line in lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (info|warn|error|debug) .")
        text = "\n".join(lines)
        for words in (r"info larder \d.* serves .*sync none.*password asked for, clients at most 2", r"info listening on .*larder\.sock", r"info 0 keys in",
                      r"warn .* was refused: 2 clients", r"warn .* gave a wrong password", r"warn eval of .* took \d+ µs", r"info stopping: SIGTERM", r"info the store is synced and closed"):
            self.assertRegex(text, words)
        self.assertNotIn("secret", text.replace("password", ""), "neither passwords nor what is stored")
        self.assertNotIn("debug", text)

    def test_the_log_tells_who_said_shutdown_and_quiet_levels_are_quiet(self):
        server = self.serve("--log-level", "debug")
        client = server.client()
        client.send(b"*x\r\n")
        client.rest()
        server.client().send(encode(["SHUTDOWN", "NOSAVE"]))
        self.assertEqual(server.process.wait(10), 0)
        self.assertRegex(server.log(), r"debug client \d+ came")
        self.assertRegex(server.log(), r"debug .* is closed: invalid multibulk length")
        self.assertRegex(server.log(), r"info stopping: SHUTDOWN was said by")
        quiet = self.serve("--log-level", "error")
        quiet.stop(signal.SIGINT)
        self.assertEqual([line for line in quiet.log().splitlines() if not line.startswith("serving ")], [])

    def test_warnings_come_no_faster_than_an_operator_can_read(self):
        server = self.serve("--requirepass", "secret")
        client = server.client()
        for _ in range(2000):
            client.send(encode(["AUTH", "x"]))
        for _ in range(2000):
            client.reply()
        time.sleep(1.1)
        client.command("AUTH", "x")
        log = server.log(1 << 20)
        self.assertLess(log.count("wrong password"), 200)
        self.assertRegex(log, r"warn \d+ warnings more were left out")


if __name__ == "__main__":
    need("openssl", "openssl")
    need("redis-cli", "redis-tools")
    unittest.main(verbosity=1)
