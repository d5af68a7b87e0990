"""Servers for these tests: redis-server on sockets of its own, three of them as a cluster, and one that answers what a test
tells it to. And a client that interprets replies, so that whole contents can be compared."""
import os
import socket
import subprocess
import sys
import threading
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, "program"), os.path.join(TESTS, "server")]

from resp import Client, Server, encode  # noqa: E402


class Talk:
    """Commands to a server, replies as Python's values. An error is raised."""

    def __init__(self, address):
        self.client = Client(address, 30.0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def __call__(self, *args):
        (reply,) = self.many([args])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def many(self, commands):
        """All replies of a pipeline."""
        replies = []
        for at in range(0, len(commands), 1000):
            some = commands[at : at + 1000]
            self.client.send(b"".join(encode(command) for command in some))
            replies += [self._reply() for _ in some]
        return replies

    def _reply(self):
        line = self.client._line()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if int(rest) < 0 else self.client._take(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self._reply() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        return RuntimeError(rest.decode()) if kind == b"-" else rest

    def wait_until_loaded(self):
        deadline = time.monotonic() + 30
        while b"\r\nloading:0\r\n" not in self("INFO", "persistence"):
            assert time.monotonic() < deadline, "still loading"
            time.sleep(0.02)

    def contents(self):
        """Each key's value and the moment it expires (-1 for never), of strings."""
        keys = self("KEYS", "*")
        values = self.many([("GET", key) for key in keys])
        moments = self.many([("PEXPIRETIME", key) for key in keys])
        return {key: (value, moment) for key, value, moment in zip(keys, values, moments)}


def redis(*arguments, port=0, directory=None, name="redis"):
    """A redis-server with a Unix socket; with a port, on loopback too."""
    return Server(name, ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", "{unix}", "--dir", "{dir}",
                         "--save", "", "--enable-debug-command", "yes", *arguments], directory)


def free_port():
    """A port that is free, and so is the one that a cluster's node listens at besides."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port + 10000 < 65536:
                try:
                    other.bind(("127.0.0.1", port + 10000))
                    return port
                except OSError:
                    pass


class Cluster:
    """Three nodes without replicas. `ports` are theirs."""

    def __init__(self, directory, *arguments):
        self.ports, self.nodes = [], []
        try:
            self.start(directory, arguments)
        except BaseException:
            self.stop()
            raise

    def start(self, directory, arguments):
        for number in range(3):
            port = free_port()
            node = redis("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-config-file", f"nodes{number}.conf",
                         *arguments, port=port, directory=directory, name=f"node{number}")
            self.ports.append(port)
            self.nodes.append(node.start())
        addresses = [f"127.0.0.1:{port}" for port in self.ports]
        subprocess.run(["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], check=True, capture_output=True, timeout=60)
        deadline = time.monotonic() + 30
        while not all(b"cluster_state:ok" in self.ask(number, "CLUSTER", "INFO") for number in range(3)):
            assert time.monotonic() < deadline, "the cluster does not come up"
            time.sleep(0.05)

    def talk(self, number):
        return Talk(self.nodes[number].path)

    def ask(self, number, *command):
        with self.talk(number) as talk:
            return talk(*command)

    def stop(self):
        for node in self.nodes:
            node.stop()


class Scripted:
    """A server whose replies a function gives: from a command's arguments to bytes, or None to close."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.clients = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client):
        file = client.makefile("rb")
        try:
            while line := file.readline():
                args = []
                for _ in range(int(line[1:])):
                    length = int(file.readline()[1:])
                    args.append(file.read(length + 2)[:-2])
                reply = self.answer(args)
                if reply is None:
                    break
                client.sendall(reply)
        except (OSError, ValueError):
            pass
        finally:
            file.close()
            # So that the other side hears of it though this thread was in the middle of reading.
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for client in self.clients:
            client.close()


def bulk(data):
    return b"$%d\r\n%s\r\n" % (len(data), data)
