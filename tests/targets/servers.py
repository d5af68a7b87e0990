"""Servers for the tests of targets, on sockets and loopback ports of their own: larder serve, redis-server, a cluster of three. Each is
stopped by its process."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../../bindings/python"), os.path.join(HERE, "../server")]

from resp import Client, Server, larder  # noqa: E402, F401

LIBRARY = os.environ.get("LARDER_LIBRARY", "")


def redis(*arguments):
    """As it is installed, with every command; on its socket and a port of loopback."""
    server = Server("redis", ["redis-server", "--bind", "127.0.0.1", "--port", "PORT", "--unixsocket", "{unix}", "--dir", "{dir}", "--save", "", *arguments])
    return with_port(server)


def larder_with_port(*arguments, **options):
    return with_port(larder("--tcp", "127.0.0.1:PORT", *arguments, **options))


def with_port(server):
    server.port = free_port()
    server.arguments = [argument.replace("PORT", str(server.port)) for argument in server.arguments]
    return server


def free_port():
    """One that nobody has just now, with room for a cluster's second one."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < 55_000:
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port + 10_000))
                    return port
                except OSError:
                    continue


def parsed(reply):
    """A reply's bytes as what they say."""
    value, rest = _parsed(reply)
    assert rest == b"", rest
    return value


def _parsed(data):
    line, rest = data.split(b"\r\n", 1)
    kind, body = line[:1], line[1:]
    if kind == b"$":
        return (None, rest) if body == b"-1" else (rest[: int(body)], rest[int(body) + 2 :])
    if kind == b"*":
        items = []
        for _ in range(int(body)):
            item, rest = _parsed(rest)
            items.append(item)
        return items, rest
    if kind == b":":
        return int(body), rest
    if kind == b"-":
        raise RuntimeError(body.decode())
    return body, rest


class Cluster:
    """Three nodes that own all slots between them."""

    def __init__(self, *arguments):
        self.nodes = [
            redis("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-config-file", "nodes.conf", "--enable-debug-command", "yes", *arguments)
            for _ in range(3)
        ]

    def start(self):
        for node in self.nodes:
            node.start()
        addresses = [f"127.0.0.1:{node.port}" for node in self.nodes]
        subprocess.run(["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"], check=True, stdout=subprocess.DEVNULL, timeout=60)
        self.wait()
        return self

    def wait(self, seconds=30.0):
        """Until all nodes say that all slots are owned."""
        deadline = time.monotonic() + seconds
        while not all(b"cluster_state:ok" in self.command(node, "CLUSTER", "INFO") for node in self.nodes):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster does not come up")
            time.sleep(0.05)
        self.settle()

    @property
    def location(self):
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    @staticmethod
    def command(node, *args):
        client = node.client()
        try:
            return parsed(client.command(*args))
        finally:
            client.close()

    def owner(self, slot):
        """The node that owns a slot, and its name."""
        for first, last, owner, *_ in self.command(self.nodes[0], "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                node = next(node for node in self.nodes if node.port == owner[1])
                return node, owner[2]
        raise RuntimeError(f"nobody owns {slot}")

    def name_of(self, node):
        return self.command(node, "CLUSTER", "MYID")

    def begin_moving(self, slot, target):
        source, source_name = self.owner(slot)
        self.command(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_name)
        self.command(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.name_of(target))
        return source

    def move_keys(self, slot, source, target, count):
        """How many were moved."""
        keys = self.command(source, "CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            self.command(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        return len(keys)

    def end_moving(self, slot, source, target):
        name = self.name_of(target)
        for node in [target, source, *self.nodes]:
            self.command(node, "CLUSTER", "SETSLOT", slot, "NODE", name)
        self.settle()

    def settle(self, seconds=10.0):
        """Until all nodes have heard who owns what since when. A slot that moves on before that may lose its keys: a node
        that hears late that it owns nothing there deletes what it has."""
        deadline = time.monotonic() + seconds
        while len({self.view_of(node) for node in self.nodes}) > 1:
            if time.monotonic() > deadline:
                raise RuntimeError("the nodes do not agree")
            time.sleep(0.002)

    def view_of(self, node):
        """Each node's name, epoch and slots, as this one knows them."""
        lines = self.command(node, "CLUSTER", "NODES").decode().splitlines()
        words = (line.split() for line in lines)
        return tuple(sorted((word[0], word[6], *(slots for slots in word[8:] if not slots.startswith("["))) for word in words))

    def remove(self):
        for node in self.nodes:
            node.remove()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.remove()


def need(*programs):
    """Ends with a line that says so where a program is missing."""
    for program, package in programs:
        if shutil.which(program) is None:
            print(f"SKIP: targets-test: {program} is not installed (apt-get install {package})")
            sys.exit(int(os.environ.get("LARDER_FORBID_SKIP", "0")))


def scratch():
    return tempfile.mkdtemp(prefix="larder-targets-")


def pause(server):
    """Stops a server without ending it: it accepts, and never answers."""
    server.process.send_signal(signal.SIGSTOP)


def resume(server):
    server.process.send_signal(signal.SIGCONT)
