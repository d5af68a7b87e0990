"""A client of the Redis protocol in few lines, and servers to talk to: nothing interprets a reply, so that replies can be
compared byte by byte. Servers are started on sockets of their own in a directory of their own, and stopped by their process."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ.get("LARDER_PROGRAM", "target/program/release/larder")


def encode(args):
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        arg = arg if isinstance(arg, bytes) else str(arg).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(out)


class Closed(Exception):
    pass


class Client:
    """Sends commands or bytes, and returns each reply as the bytes that it is."""

    def __init__(self, address, timeout=10.0):
        kind = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
        self.socket = socket.socket(kind, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def command(self, *args):
        self.send(encode(args))
        return self.reply()

    def _more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise Closed()
        self.buffer += data

    def _take(self, length):
        while len(self.buffer) < length:
            self._more()
        taken, self.buffer = self.buffer[:length], self.buffer[length:]
        return taken

    def _line(self):
        while True:
            at = self.buffer.find(b"\r\n")
            if at >= 0:
                return self._take(at + 2)
            self._more()

    def reply(self):
        line = self._line()
        kind, rest = line[:1], line[1:-2]
        if kind in b"$=!" and int(rest) >= 0:
            return line + self._take(int(rest) + 2)
        if kind in b"*~>" and int(rest) >= 0:
            return line + b"".join(self.reply() for _ in range(int(rest)))
        if kind == b"%":
            return line + b"".join(self.reply() for _ in range(2 * int(rest)))
        return line

    def rest(self):
        """Everything until the server closes."""
        try:
            while True:
                self._more()
        except (Closed, ConnectionResetError):
            taken, self.buffer = self.buffer, b""
            return taken

    def close(self):
        self.socket.close()


class Server:
    """A server in a directory of its own. `path` is its Unix socket, `process` what runs."""

    def __init__(self, name, arguments, directory=None):
        self.directory = directory or tempfile.mkdtemp(prefix="larder-server-")
        self.owns_directory = directory is None
        self.path = os.path.join(self.directory, name + ".sock")
        self.arguments = [argument.format(dir=self.directory, unix=self.path) for argument in arguments]
        self.process = None
        self.clients = []

    def start(self, seconds=20.0):
        log = open(os.path.join(self.directory, "log"), "ab")
        self.process = subprocess.Popen(self.arguments, stdout=log, stderr=log, cwd=self.directory)
        log.close()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.arguments[0]} ended with {self.process.returncode}: {self.log()}")
            try:
                client = Client(self.path)
                client.close()
                return self
            except OSError:
                time.sleep(0.01)
        raise RuntimeError(f"{self.arguments[0]} does not listen: {self.log()}")

    def log(self, length=2000):
        with open(os.path.join(self.directory, "log"), "rb") as log:
            return log.read()[-length:].decode(errors="replace")

    def client(self, timeout=10.0):
        """A client, closed with the server at the latest."""
        client = Client(self.path, timeout)
        self.clients = [other for other in self.clients if other.socket.fileno() >= 0] + [client]
        return client

    def stop(self, number=signal.SIGTERM, seconds=20.0):
        """The exit code."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode if self.process else None

    def remove(self):
        for client in self.clients:
            client.close()
        try:
            self.stop()
        finally:
            if self.owns_directory:
                shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.remove()


def larder(*arguments, sync="none", directory=None):
    program = os.path.abspath(PROGRAM)
    return Server("larder", [program, "serve", "--dir", "{dir}/store", "--unix", "{unix}", "--sync", sync, *arguments], directory)


# What larder does not have: redis-server is started without it, so that it too says that it does not know it.
MISSING = """
acl asking bitfield bitfield_ro blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin cluster debug failover
fcall fcall_ro function geoadd geodist geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro
geosearch geosearchstore hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset
hsetnx hstrlen hvals lindex linsert llen lmove lmpop lolwut lpop lpos lpush lpushx lrange lrem lset ltrim migrate
module move pfadd pfcount pfdebug pfmerge pfselftest psync readonly readwrite replconf replicaof restore-asking role
rpop rpoplpush rpush rpushx sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember slaveof smembers
smismember smove sort sort_ro spop spublish srandmember srem sscan ssubscribe sunion sunionstore sunsubscribe swapdb
sync xack xadd xautoclaim xclaim xdel xgroup xinfo xlen xpending xrange xread xreadgroup xrevrange xsetid xtrim zadd
zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop zmscore zpopmax zpopmin
zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore
zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore
""".split()


def redis(*arguments):
    without = [word for name in MISSING for word in ("--rename-command", name, "")]
    return Server("redis", ["redis-server", "--port", "0", "--unixsocket", "{unix}", "--dir", "{dir}", "--save", "",
                            "--rdbcompression", "no", *without, *arguments])


def need(program, package):
    """Ends with a line that says so where a program is missing."""
    if shutil.which(program) is None:
        print(f"SKIP: server-test: {program} is not installed (apt-get install {package})")
        sys.exit(int(os.environ.get("LARDER_FORBID_SKIP", "0")))
