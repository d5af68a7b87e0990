"""Push over TLS: to redis-server, a cluster's nodes and larder serve, and from them; and that nothing is sent to anybody who is not
believed. Certificates are made by openssl in the test."""
import shutil
import socket
import time
import unittest

import servers  # noqa: F401  where the other tests' modules are
from operating import certificates, port_of
from program import DONE, IO, USAGE, skip_without
from resp import larder
from servers import Scripted, Talk, free_port, redis
from test_files import some_keys
from test_push import PushTest


class TlsTest(PushTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.certs = certificates()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.certs)
        super().tearDownClass()

    def cert(self, name):
        return f"{self.certs}/{name}"

    def ca(self, name="ca"):
        return ("--tls-ca", self.cert(f"{name}.crt"))

    def own(self, name="client"):
        return ("--tls-cert", self.cert(f"{name}.crt"), "--tls-key", self.cert(f"{name}.key"))

    def serve(self, *arguments, address="127.0.0.1"):
        """larder serve with TLS; its port, and a client of its Unix socket."""
        server = larder("--tls", f"{address}:0", "--tls-cert", self.cert("server.crt"), "--tls-key", self.cert("server.key"), *arguments).start()
        self.addCleanup(server.remove)
        talk = Talk(server.path)
        self.addCleanup(talk.client.close)
        return port_of(server, rf"listening on {address}:(\d+)"), talk


@skip_without("redis-server", "openssl")
class ToRedis(TlsTest):
    def tls_redis(self, *arguments):
        port = free_port()
        server, talk = self.run_redis("--tls-port", str(port), "--tls-cert-file", self.cert("server.crt"), "--tls-key-file", self.cert("server.key"),
                                      "--tls-ca-cert-file", self.cert("ca.crt"), *arguments)
        return port, talk

    def test_every_key_arrives_where_both_sides_show_certificates(self):
        keys = some_keys()
        keys[b"larger than a window"] = (b"x" * (20 << 20), 0)
        self.load(keys)
        port, talk = self.tls_redis("--tls-auth-clients", "yes")
        for arguments in (("--tls", f"redis://127.0.0.1:{port}"), (f"rediss://localhost:{port}",), (f"redis://localhost:{port}",)):
            report = self.push("--json", "--dir", self.store, *self.ca(), *self.own(), *arguments).object
            self.assertEqual((report["stored"], report["refused"]), (len(keys), 0))
            self.assertEqual(talk.contents(), self.expected(keys))
            talk("FLUSHALL")

    def test_a_server_that_wants_a_certificate_gets_a_right_one_or_nothing(self):
        self.load({b"k": (b"v", 0)})
        port, talk = self.tls_redis("--tls-auth-clients", "yes")
        for own in ((), self.own("stranger")):
            ended = self.push("--dir", self.store, *self.ca(), *own, f"rediss://localhost:{port}", code=IO)
            self.assertIn(f"localhost:{port}: cannot connect: ", ended.sentence)
            self.assertEqual(talk("DBSIZE"), 0)

    def test_both_versions_of_tls_are_spoken(self):
        self.load({b"k": (b"v", 0)})
        for version in ("TLSv1.2", "TLSv1.3"):
            port, talk = self.tls_redis("--tls-auth-clients", "no", "--tls-protocols", version)
            self.push("--dir", self.store, *self.ca(), f"rediss://localhost:{port}")
            self.assertEqual(talk("GET", "k"), b"v")

    def test_other_nodes_of_a_cluster_are_spoken_to_over_tls_too(self):
        keys = {b"key:%d" % i: (b"%d" % i, 0) for i in range(3000)}
        self.load(keys)
        # Asked by one name, it has the slots under another one.
        port, talk = self.tls_redis("--tls-auth-clients", "yes", "--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-announce-ip", "127.0.0.1")
        talk("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        deadline = time.monotonic() + 20
        while b"cluster_state:ok" not in talk("CLUSTER", "INFO"):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        for target in (("--tls", f"redis+cluster://localhost:{port}"), (f"rediss+cluster://localhost:{port}",)):
            report = self.push("--json", "--dir", self.store, *self.ca(), *self.own(), *target).object
            self.assertEqual((report["stored"], report["refused"]), (len(keys), 0))
            self.assertEqual(talk.contents(), self.expected(keys))
            talk("FLUSHALL")

    def test_a_server_is_read_over_tls_while_another_is_written_to_in_plain_text(self):
        keys = some_keys()
        self.load(keys)
        port, talk = self.tls_redis("--tls-auth-clients", "yes")
        self.push("--dir", self.store, *self.ca(), *self.own(), f"rediss://localhost:{port}")
        plain, other = self.run_redis()
        source = ("--from-tls-ca", self.cert("ca.crt"), "--from-tls-cert", self.cert("client.crt"), "--from-tls-key", self.cert("client.key"))
        for origin in (("--from-tls", "--from", f"redis://localhost:{port}"), ("--from", f"rediss://localhost:{port}")):
            self.push(*origin, *source, f"unix:{plain.path}")
            self.assertEqual(other.contents(), self.expected(keys))
            other("FLUSHALL")
        ended = self.run_program("export", "--from", f"rediss://localhost:{port}", *source, self.path("served.jsonl"))
        self.assertEqual((ended.code, ended.err), (DONE, b""))
        self.push("--from", f"rediss://localhost:{port}", f"unix:{plain.path}", code=IO)


@skip_without("openssl")
class ToLarder(TlsTest):
    def test_every_key_arrives_with_a_password_and_with_certificates(self):
        keys = some_keys()
        self.load(keys)
        with open(self.path("password"), "w") as file:
            file.write("sesame\n")
        port, talk = self.serve("--requirepass-file", self.path("password"))
        talk("AUTH", "sesame")
        self.push("--dir", self.store, *self.ca(), "--password-file", self.path("password"), f"rediss://localhost:{port}")
        self.assertEqual(talk.contents(), self.expected(keys))
        port, talk = self.serve("--tls-ca", self.cert("ca.crt"))
        self.push("--dir", self.store, *self.ca(), *self.own(), f"rediss://127.0.0.1:{port}")
        self.assertEqual(talk.contents(), self.expected(keys))
        talk("FLUSHALL")
        ended = self.push("--dir", self.store, *self.ca(), f"rediss://127.0.0.1:{port}", code=IO)
        self.assertIn("CertificateRequired", ended.sentence)
        self.assertEqual(talk("DBSIZE"), 0)

    def test_who_is_not_believed_gets_nothing(self):
        self.load({b"k": (b"v", 0)})
        port, talk = self.serve()
        elsewhere, other = self.serve(address="127.0.0.2")
        for arguments, why in (((f"rediss://localhost:{port}",), "UnknownIssuer"),
                               ((*self.ca("stranger"), f"rediss://localhost:{port}"), "UnknownIssuer"),
                               ((*self.ca(), f"rediss://127.0.0.2:{elsewhere}"), "not valid for name")):
            ended = self.push("--dir", self.store, *arguments, code=IO)
            self.assertIn("cannot connect: ", ended.sentence)
            self.assertIn(why, ended.sentence)
        self.assertEqual((talk("DBSIZE"), other("DBSIZE")), (0, 0))

    def test_those_whom_the_system_believes_are_believed(self):
        self.load({b"k": (b"v", 0)})
        port, talk = self.serve()
        self.push("--dir", self.store, f"rediss://localhost:{port}", SSL_CERT_FILE=self.cert("ca.crt"))
        self.assertEqual(talk("GET", "k"), b"v")

    def test_plain_text_and_tls_do_not_mix(self):
        self.load({b"k": (b"v", 0)})
        port, talk = self.serve()
        ended = self.push("--dir", self.store, f"redis://localhost:{port}", code=IO)
        self.assertIn("cannot connect: ", ended.sentence)
        seen = []
        with Scripted(lambda args: seen.append(args) or b"+OK\r\n") as plain:
            ended = self.push("--dir", self.store, *self.ca(), f"redis://127.0.0.1:{plain.port}", "--timeout", "2", code=IO)
            self.assertIn("cannot connect: ", ended.sentence)
        self.assertEqual(seen, [])

    def test_a_server_that_does_not_shake_hands_is_given_up(self):
        self.load({b"k": (b"v", 0)})
        with socket.create_server(("127.0.0.1", 0)) as silent:
            begun = time.monotonic()
            ended = self.push("--dir", self.store, *self.ca(), "--timeout", "1", f"rediss://127.0.0.1:{silent.getsockname()[1]}", code=IO)
        self.assertRegex(ended.sentence, r"cannot connect: no answer for 1 s")
        self.assertLess(time.monotonic() - begun, 5)

    def test_what_is_incomplete_is_wrong_usage(self):
        self.load({b"k": (b"v", 0)})
        with open(self.path("empty"), "w"):
            pass
        for arguments in (("--tls", "unix:/nowhere"), (*self.ca(), "unix:/nowhere"), ("--tls-cert", self.cert("client.crt"), "rediss://localhost:1"),
                          ("--tls-key", self.cert("client.key"), "rediss://localhost:1"), ("--tls-ca", self.path("empty"), "rediss://localhost:1"),
                          ("--tls-ca", self.path("none"), "rediss://localhost:1"), ("--tls-cert", self.cert("client.key"), "--tls-key", self.cert("client.key"), "rediss://localhost:1"),
                          ("rediss://localhost:1/#insecure",), ("--from-tls", "rediss://localhost:1")):
            self.push("--dir", self.store, *arguments, code=USAGE)


if __name__ == "__main__":
    unittest.main()
