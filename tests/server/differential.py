"""The differential test: the same random commands to an unmodified redis-server and to `larder serve`, the replies compared
byte by byte.

    differential.py [--seconds S] [--seed N] [--commands N]

Commands are drawn from every family, with right and wrong arguments of every kind: missing and superfluous ones, bad integers,
options that do not go together. What cannot agree by its nature (random keys, the order of KEYS, memory, time left) is
compared as far as it can: sorted, or rounded. Ends with the number of commands compared; a difference prints the commands that
led to it and ends with 1.
"""
import argparse
import random
import re
import sys
import time

from resp import Closed, encode, larder, need, redis

KEYS = [b"a", b"b", b"c", b"n", b"f", b"bits", b"long", b"empty", b"\x00\xff", b"k:1", b"k:2"]
INTEGERS = ["0", "1", "-1", "5", "10", "100", "-3", "7", "31", "64", "9223372036854775807", "-9223372036854775808",
            "9223372036854775808", "1000000", "abc", "", " 1", "1 ", "+1", "01", "-0", "1.5", "1e3"]
SMALL = ["0", "1", "-1", "2", "3", "-2", "5", "8", "15", "-8", "x", "100"]
FLOATS = ["0.1", "0.2", "1.5", "-2.25", "3.0e3", "1e-5", "10", "-0", "abc", "", "inf", "-inf", "nan", "1e400", "1e17", "0x1p4",
          "123456789.123456789", "99999999999999999", "1e-17", "5e-18", " 1", "1 "]
VALUES = [b"", b"1", b"10", b"-5", b"hello", b"hello world", b"\x00\x01\xff\r\n", b"x" * 45, b"y" * 300, b"9223372036854775807",
          b"3.25", b"0x10", b"007", b"ohmytext", b"mynewtext", b"\xff\xff", b"\x00\x00\x00", b"-128", b"128", b"40000",
          b"2147483648", b"a" * 70, b"-2147483649"]
# LZF, from a redis-server that compresses: 300 times "y", and a value with several stretches.
PACKED = []
CASES = [str.lower, str.upper, str.title]


class Generator:
    def __init__(self, rng):
        self.rng = rng
        # What DUMP returned of late, and what Redis packed tighter than it is packed here.
        self.payloads = list(PACKED)

    def key(self):
        return self.rng.choice(KEYS)

    def integer(self):
        return self.rng.choice(INTEGERS) if self.rng.random() < 0.4 else str(self.rng.randrange(-20, 200))

    def ttl(self):
        # Far enough away that it does not end while the test runs, or over already.
        if self.rng.random() < 0.5:
            return str(self.rng.randrange(100, 10**6))
        return self.rng.choice(["100", "1000", "100000", "0", "-1", "abc", "9223372036854775807", "9223372036854775", "123456", "5000000000"])

    def moment(self, scale):
        now = int(time.time())
        return self.rng.choice([str((now + 1000) * scale), str((now + 99999) * scale), str((now - 5) * scale), "0", "-1", "1", "x",
                                "9223372036854775807", "9223372036854775"])

    def value(self):
        return self.rng.choice(VALUES)

    def expiry_options(self):
        choice = self.rng.choice
        options = []
        for _ in range(choice([0, 1, 1, 1, 2])):
            name = choice(["EX", "PX", "EXAT", "PXAT", "KEEPTTL", "PERSIST", "NX", "XX", "GET", "bogus"])
            options.append(name)
            if name in ("EX", "PX"):
                options.append(self.ttl())
            if name == "EXAT":
                options.append(self.moment(1))
            if name == "PXAT":
                options.append(self.moment(1000))
        if options and self.rng.random() < 0.05:
            options.pop()
        return options

    def command(self):
        rng, choice, key, value, integer = self.rng, self.rng.choice, self.key, self.value, self.integer
        small = lambda: choice(SMALL)
        forms = [
            lambda: ["SET", key(), value()],
            lambda: ["SET", key(), value()],
            lambda: ["SET", key(), value(), *self.expiry_options()],
            lambda: ["SET", key(), choice(INTEGERS)],
            lambda: ["GET", key()],
            lambda: ["GET", key()],
            lambda: ["SETNX", key(), value()],
            lambda: ["SETEX", key(), self.ttl(), value()],
            lambda: ["PSETEX", key(), self.ttl(), value()],
            lambda: ["GETSET", key(), value()],
            lambda: ["GETDEL", key()],
            lambda: ["GETEX", key(), *self.expiry_options()],
            lambda: ["MGET", *[key() for _ in range(rng.randrange(1, 5))]],
            lambda: ["MSET", *[x for _ in range(rng.randrange(1, 4)) for x in (key(), value())]],
            lambda: ["MSETNX", *[x for _ in range(rng.randrange(1, 4)) for x in (key(), value())]],
            lambda: ["MSET", *[value() for _ in range(rng.randrange(1, 6))]],
            lambda: ["APPEND", key(), value()],
            lambda: ["STRLEN", key()],
            lambda: ["GETRANGE", key(), small(), small()],
            lambda: ["SUBSTR", key(), small(), integer()],
            lambda: ["SETRANGE", key(), choice(["0", "1", "5", "40", "1000", "-1", "x", "536870912"]), choice([b"", b"Z", b"part"])],
            lambda: ["INCR", key()], lambda: ["DECR", key()],
            lambda: ["INCRBY", key(), integer()], lambda: ["DECRBY", key(), integer()],
            lambda: ["INCRBYFLOAT", key(), choice(FLOATS)],
            lambda: ["INCRBYFLOAT", b"f", choice(FLOATS)],
            lambda: ["SET", b"f", choice(FLOATS)],
            lambda: ["SET", b"n", str(rng.randrange(-1000, 1000))],
            lambda: ["INCR", b"n"],
            lambda: ["LCS", key(), key(), *rng.sample(["LEN", "IDX", "WITHMATCHLEN"], rng.randrange(0, 3)),
                     *choice([[], [], ["MINMATCHLEN", small()], ["MINMATCHLEN"], ["bogus"]])],
            lambda: ["SETBIT", choice([b"bits", key()]), choice(["0", "1", "7", "8", "100", "-1", "x", "4294967296"]), choice(["0", "1", "2", "x"])],
            lambda: ["GETBIT", key(), choice(["0", "1", "7", "100", "-1", "x", "4294967295"])],
            lambda: ["BITCOUNT", key(), *choice([[], [small(), small()], [small(), small(), choice(["BIT", "BYTE", "x"])], [small()]])],
            lambda: ["BITPOS", key(), choice(["0", "1", "2", "x"]),
                     *choice([[], [small()], [small(), small()], [small(), small(), choice(["BIT", "byte", "x"])]])],
            lambda: ["BITOP", choice(["AND", "OR", "XOR", "NOT", "x"]), key(), *[key() for _ in range(rng.randrange(1, 4))]],
            lambda: ["DEL", *[key() for _ in range(rng.randrange(1, 4))]],
            lambda: ["UNLINK", key()],
            lambda: ["EXISTS", *[key() for _ in range(rng.randrange(1, 5))]],
            lambda: ["TOUCH", *[key() for _ in range(rng.randrange(1, 3))]],
            lambda: ["TYPE", key()],
            lambda: ["TTL", key()],
            lambda: ["EXPIRETIME", key()],
            lambda: ["EXPIRE", key(), self.ttl(), *rng.sample(["NX", "XX", "GT", "LT", "x"], choice([0, 0, 1, 1, 2]))],
            lambda: ["PEXPIRE", key(), choice([str(rng.randrange(10**5, 10**8)), str(rng.randrange(10**5, 10**8)), "0", "-5", "x", "9223372036854775807"]),
                     *rng.sample(["NX", "XX", "GT", "LT"], choice([0, 0, 1, 2]))],
            lambda: ["EXPIREAT", key(), self.moment(1), *rng.sample(["NX", "XX", "GT", "LT"], choice([0, 0, 1]))],
            lambda: ["PEXPIREAT", key(), self.moment(1000), *rng.sample(["NX", "XX", "GT", "LT"], choice([0, 0, 1]))],
            lambda: ["PERSIST", key()],
            lambda: ["RENAME", key(), key()], lambda: ["RENAMENX", key(), key()],
            lambda: ["COPY", key(), key(), *choice([[], ["REPLACE"], ["DB", "0"], ["DB", "x"], ["DB", "0", "REPLACE"], ["x"], ["DB"]])],
            lambda: ["KEYS", choice(["*", "k:*", "[ab]", "?", "nothing*", "\\*", "[^a]", "k:[0-1]"])],
            lambda: ["DUMP", key()],
            lambda: ["RESTORE", key(), choice(["0", "100000", "-1", "x"]), choice([*self.payloads[-4:], *self.payloads[-4:], b"junk", b"", b"\x00\x01a\x0a\x00" + b"\x00" * 8, b"\x00\xc0\x05\x0b\x00" + b"\0" * 8,
                     b"\x00\x03ab\x0a\x00" + b"\0" * 8, b"\x00\xc3\x05\x08\x01ab\x80\x01\x0a\x00" + b"\0" * 8]), *choice([[], ["REPLACE"], ["x"], ["REPLACE", "ABSTTL"]])],
            lambda: ["OBJECT", choice(["REFCOUNT", "FREQ", "IDLETIME", "ENCODING", "bogus", ""]), *choice([[b"none"], [b"none"], [], [b"none", b"none"]])],
            lambda: ["OBJECT", "FREQ", key()],
            lambda: ["PING"], lambda: ["PING", value()], lambda: ["ECHO", value()],
            lambda: ["SELECT", choice(["0", "x", "", "99999999999"])],
            lambda: ["MULTI"], lambda: ["EXEC"], lambda: ["EXEC"], lambda: ["DISCARD"], lambda: ["WATCH", key()], lambda: ["UNWATCH"],
            lambda: ["PUBLISH", b"channel", value()],
            lambda: ["PUBSUB", choice(["CHANNELS", "NUMSUB", "NUMPAT", "bogus", "NUMSUB", ""]), *choice([[], ["x"], ["*"], ["x", "y", "x"], [""], ["[ab"]])],
            lambda: ["SCRIPT", choice(["EXISTS", "LOAD", "bogus"]), *choice([["return 1"], ["return"], [], ["x", "y"], ["e0e1f9fabfc9d4800c877a703b823ac0578ff8db"]])],
            lambda: self.script(),
            lambda: ["EVALSHA", choice(["e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB", "x"]), choice(["0", "1", "x", "-1"])],
            lambda: ["WAIT", choice(["0", "x"]), choice(["10", "x", "-1"])],
            lambda: ["CONFIG", "GET", choice(["save", "maxmemory", "nothing", "proto-max-bulk-len"])],
            lambda: ["CONFIG", "SET", choice(["slowlog-max-len", "nothing", "timeout"]), choice(["128", "0"])],
            lambda: ["CONFIG", choice(["x", "GET", "SET"]), *choice([[], ["a"]])],
            lambda: ["CLIENT", choice(["SETNAME", "GETNAME", "REPLY", "x", "KILL", "NO-EVICT", ""]), *choice([[], ["name"], ["a b"], ["on"], ["bogus"], [""], ["a\nb"], ["\xff"]])],
            lambda: ["CLIENT", "KILL", *choice([["1.2.3.4:5"], ["ID", "x"], ["ID", "0"], ["ID", "-1"], ["ID", "99999999"], ["TYPE", "bogus"], ["TYPE", "replica"], ["ADDR", "1.2.3.4:5"], ["LADDR", "x"],
                     ["USER", "nobody"], ["USER"], ["SKIPME", "x"], ["ID", "99999999", "SKIPME", "no"], ["bogus", "x"], ["ID", "99999999", "TYPE"]])],
            lambda: ["CLIENT", "LIST", *choice([["TYPE", "bogus"], ["ID", "x"], ["ID"], ["ID", "99999999"], ["TYPE", "pubsub", "x"], ["bogus"], ["TYPE", "replica"]])],
            lambda: ["CLIENT", choice(["ID", "INFO", "GETNAME"]), "superfluous"],
            lambda: ["HELLO", *choice([[], ["4"], ["x"], ["2", "bogus"], ["3", "SETNAME"]])] if rng.random() < 0.3 else ["PING"],
            lambda: ["AUTH", *choice([["x"], ["default", "x"], ["nobody", "x"], [], ["a", "b", "c"]])],
            lambda: ["FLUSHALL", *choice([["x"], ["SYNC"], ["ASYNC"], []])] if rng.random() < 0.15 else ["PING"],
            lambda: ["SCAN", choice(["x", "-1", "0"]), *choice([["COUNT", "x"], ["COUNT", "0"], ["MATCH"], ["x", "y"]])],
            lambda: ["COMMAND", choice(["COUNTX", "GETKEYS"]), *choice([["GET", "a"], ["MSET", "a", "1", "b", "2"], ["PING"], ["EVAL", "x", "2", "a", "b"], ["BOGUS", "x"], [], ["GET"], ["MSET", "a"],
                     ["EVAL", "x", "9", "a"], ["EVAL", "x", "-1", "a"], ["EVAL", "x", "z"], ["BITOP", "NOT", "a", "b"], ["OBJECT", "ENCODING", "a"], ["LCS", "a", "b"], ["DEL", "a", "b", "c"], ["EVALSHA", "x", "0"]])],
            lambda: ["COMMAND", choice(["LIST", "INFO", "DOCS", "COUNT"]), *choice([["FILTERBY", "x", "y"], ["FILTERBY", "ACLCAT"], ["FILTERBY", "PATTERN", "nosuch*"], ["FILTERBY", "MODULE", "m"], ["FILTERBY", "ACLCAT", "nosuch"],
                     ["bogus"]])],
            lambda: self.many(),
            lambda: ["SLOWLOG", choice(["x", "RESET", "GET"]), *choice([[], ["x"], ["-2"]])] if rng.random() < 0.2 else ["PING"],
            lambda: ["LATENCY", choice(["x", "RESET", "HISTORY"]), *choice([[], ["x"]])],
            lambda: ["MEMORY", choice(["x", "USAGE"]), *choice([[], [b"nothing"], [b"nothing", "SAMPLES"], [b"nothing", "SAMPLES", "-1"]])],
            lambda: [choice(["NOSUCH", "gett", "HSET", "lpush", "zadd", "XADD", "SE T", "x" * 200, "a\x00b", ""]), *[value() for _ in range(rng.randrange(0, 6))]],
        ]
        args = choice(forms)()
        if rng.random() < 0.04 and len(args) > 1:
            args.pop()
        if rng.random() < 0.04 and args[-1] not in ("EX", "PX", "EXAT", "PXAT"):
            args.append(value())
        if args == ["COMMAND"] or args in (["COMMAND", name] for name in ("COUNT", "LIST", "INFO", "DOCS")):
            # There are more commands there.
            args = ["COMMAND", "COUNTX"]
        if args in (["CLIENT", name] for name in ("LIST", "INFO", "ID")) or args[:2] in (["COMMAND", "INFO"], ["COMMAND", "DOCS"]) and b"hello" in args:
            args = ["PING"]
        if args[0] == "SELECT" and args[1:] != ["0"] and str(args[-1].decode("latin-1") if isinstance(args[-1], bytes) else args[-1]) in map(str, range(16)):
            # There are sixteen databases there.
            args[1:] = ["0"]
        if args[0] == "COPY" and args[3:4] == ["DB"] and len(args) > 4 and args[4] not in ("0", "x"):
            args[4] = "0"
        if args[0] == "SCAN":
            # Where a walk stands is each server's own; whole walks are compared elsewhere.
            args[2:] = args[2:3] + ["x"] if args[2:3] in (["COUNT"], ["x"]) else ["x"]
        if args[0] in ("PEXPIRE", "PSETEX") and len(args) > 2 and len(args[2]) < 4 and args[2] in (b"1", b"10", b"128"):
            # Over at a moment that nobody can tell.
            args[2] = "100000"
        args[0] = choice(CASES)(args[0]) if isinstance(args[0], str) else args[0]
        return args

    def many(self):
        """Hundreds and thousands of arguments, now and then."""
        if self.rng.random() < 0.9:
            return ["PING"]
        count = self.rng.choice([100, 1000, 3000])
        keys = [self.key() if self.rng.random() < 0.1 else b"none:%d" % i for i in range(count)]
        pairs = [x for i in range(count) for x in (self.key(), self.value())]
        return self.rng.choice([["MGET", *keys], ["EXISTS", *keys], ["DEL", *keys], ["MSET", *pairs], ["MSET", *pairs, b"odd"], ["MSETNX", *pairs], ["TOUCH", *keys],
                                ["BITOP", "OR", b"bits", *keys], ["EVAL", "return #KEYS + #ARGV", str(count), *keys], ["PUBSUB", "NUMSUB", *keys], ["WATCH", *keys], ["GET", *keys]])

    def script(self):
        key, value, choice = self.key, self.value, self.rng.choice
        text = choice([
            "return 1", "return 'x'", "return nil", "return true", "return false", "return 3.99", "return -3.99", "return {1,2,{3,'four'},nil,5}",
            "return {ok='fine'}", "return {err='BAD thing'}", "return {err='bad'}", "return redis.error_reply('MY problem')", "return redis.error_reply('one')",
            "return redis.error_reply('-ERR x y')", "return redis.status_reply('GOOD')", "return redis.sha1hex('')",
            "return redis.call('get', KEYS[1])", "return redis.call('set', KEYS[1], ARGV[1])", "return redis.call('incr', KEYS[1])",
            "return redis.pcall('incr', KEYS[1])", "return redis.call('nosuch')", "return redis.pcall('nosuch', 'x')", "return redis.call('get')",
            "return redis.call()", "return redis.call({})", "return redis.pcall({})", "return nosuch", "x = 1", "return #KEYS + #ARGV",
            "local t = redis.call('mget', KEYS[1], 'none') return {t[1], t[2] == false}", "error('boom')", "error({err='BOOM now'})",
            "return redis.call('strlen', KEYS[1]) + 1", "return", "this is no lua", "return string.rep('ab', 3)", "return tostring(1.5)",
            "return tonumber('12')", "for i=1,3 do redis.call('append', KEYS[1], i) end return redis.call('get', KEYS[1])",
            "return redis.call('exists', KEYS[1], KEYS[1])", "return {redis.call('ttl', KEYS[1]) > 0, type(redis.call('get', KEYS[1]))}",
            "return redis.call('subscribe', 'x')", "return redis.call('set', KEYS[1], ARGV[1], 'bogus')", "return table.concat({'a','b'}, ',')",
            "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
            "return math.floor(2.7)", "return redis.call('set', KEYS[1], 1.5)", "return redis.call('set', KEYS[1], 12345678901234567890)",
            "local ok, e = pcall(redis.call, 'nosuch') return e.err", "local ok, e = pcall(error, 'x') return e",             "return redis.call('echo', ARGV[1])", "local s = 0 for w in string.gmatch('a,b,c', '%a') do s = s + 1 end return s",
            "return loadstring('return 7')()", "redis.x = 1", "string.x = 1", "return _G['nosuch']", "return ('x'):rep(3)", "return {{}, {{}}}", "return select('#', 1, nil)",
        ])
        numkeys = choice(["1", "1", "1", "1", "0", "2", "x", "-1", "5"])
        return [choice(["EVAL", "EVAL", "EVAL", "EVAL_RO"]), text, numkeys, key(), value()][: choice([5, 5, 5, 5, 4, 3])]


def normal(args, reply):
    """What can be compared of the reply."""
    name = args[0].lower() if isinstance(args[0], str) else args[0].lower().decode("latin-1")
    if name == "keys" and reply[:1] == b"*":
        return sorted((reply[:-2]).split(b"\r\n$"))
    if name == "command" and len(args) == 1 and reply[:1] == b"*":
        return b"commands have tips there"
    if name == "client" and len(args) > 1 and reply[:1] in b"$=:":
        return b"each has clients of its own"
    if name == "object" and reply[:1] == b":":
        return b"nobody notes here when a key was read"
    if name == "memory" and reply[:1] == b":":
        return b"memory is not the same"
    if name == "slowlog" and reply[:1] == b"*":
        return b"other commands were slow"
    if name == "copy" and any(arg in ("DB", b"DB") for arg in args):
        return b"there are sixteen databases there"
    reply = re.sub(rb"(?<=\$2\r\nid\r\n:)\d+", b"N", reply)
    if name == "exec" and b"\r\n*" in reply:
        # The keys of KEYS are in no order.
        return sorted(reply.split(b"\r\n"))
    return reply


def is_a_moment_later(args, replies, history):
    """Whether the replies differ as those of TTL do that are asked for one after the other: by a second that begins between them.
    What a transaction holds was sent shortly before its EXEC."""
    name = lambda command: (command[0] if isinstance(command[0], str) else command[0].decode("latin-1")).lower()
    if name(args) != "ttl" and not (name(args) == "exec" and any(name(earlier) == "ttl" for earlier in history[-200:])):
        return False
    lines = [reply.split(b"\r\n") for reply in replies]
    if len(lines[0]) != len(lines[1]):
        return False
    pairs = [pair for pair in zip(*lines) if pair[0] != pair[1]]
    is_number = all(re.fullmatch(rb":\d+", line) for pair in pairs for line in pair)
    return is_number and all(abs(int(left[1:]) - int(right[1:])) == 1 for left, right in pairs)


def decode(reply):
    """What a reply of arrays and bulk strings says, and what is behind it."""
    head, rest = reply.split(b"\r\n", 1)
    if head[:1] == b"$":
        return rest[: int(head[1:])], rest[int(head[1:]) + 2 :]
    values = []
    for _ in range(int(head[1:])):
        value, rest = decode(rest)
        values.append(value)
    return values, rest


def scan_all(client, arguments):
    """The keys that a whole walk shows, each checked to come as often as it is there."""
    cursor, keys = b"0", []
    while True:
        client.send(encode([b"SCAN", cursor, *arguments]))
        cursor, found = decode(client.reply())[0]
        keys += found
        if cursor == b"0":
            return sorted(keys)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--commands", type=int, default=None)
    options = parser.parse_args()
    need("redis-server", "redis-server")
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    rng = random.Random(seed)
    generator = Generator(rng)
    compared = scans = 0
    history = []
    with redis() as left, larder() as right:
        clients = [left.client(), right.client()]
        others = [left.client(), right.client()]
        for client in clients + others:
            assert client.command("CONFIG", "RESETSTAT") == b"+OK\r\n"
        deadline = time.monotonic() + options.seconds
        is_third = False
        while time.monotonic() < deadline if options.commands is None else compared < options.commands:
            if rng.random() < 0.002:
                is_third = not is_third
                both = [client.command("HELLO", "3" if is_third else "2").split(b"$2\r\nid\r\n")[0] for client in clients]
                if b"ERR" in both[0] or b"QUEUED" in both[0]:
                    is_third = not is_third
            if rng.random() < 0.01:
                arguments = rng.choice([[], [b"COUNT", b"1"], [b"MATCH", b"k:*"], [b"TYPE", b"string"], [b"COUNT", b"100", b"MATCH", b"?"], [b"TYPE", b"hash"]])
                walks = [scan_all(client, arguments) for client in others]
                # The walk has removed there what has expired.
                walks = [(walk, b"" if arguments else client.command("DBSIZE")) for walk, client in zip(walks, others)]
                scans += 1
                if walks[0] != walks[1]:
                    # A key may have expired between the two.
                    time.sleep(0.05)
                    walks = [scan_all(client, arguments) for client in others]
                if walks[0] != walks[1]:
                    print(f"seed {seed}: SCAN {arguments}: {walks[0]!r} against {walks[1]!r}")
                    return 1
            # Several at once, as clients send them, now and then by another client, which may break a transaction.
            batch = [generator.command() for _ in range(rng.choice([1, 1, 3, 16]))]
            pair = others if rng.random() < 0.1 else clients
            if pair is others:
                batch = [args for args in batch if args[0].lower() not in ("multi", "watch", "hello")] or [["PING"]]
            history = (history + batch)[-2000:]
            data = b"".join(encode(args) for args in batch)
            for client in pair:
                client.send(data)
            for args in batch:
                try:
                    replies = [client.reply() for client in pair]
                except (Closed, OSError) as error:
                    print(f"seed {seed}: {args!r}: {error!r}; {right.log()}")
                    return 1
                compared += 1
                if args[0] in ("DUMP", "dump", "Dump") and replies[0][:2] not in (b"$-", b"-E", b"+Q"):
                    generator.payloads.append(replies[0].split(b"\r\n", 1)[1][:-2])
                if normal(args, replies[0]) != normal(args, replies[1]) and not is_a_moment_later(args, replies, history):
                    print(f"seed {seed}, command {compared}: {args!r}\n  redis-server: {replies[0]!r}\n  larder:       {replies[1]!r}")
                    about = [earlier for earlier in history if set(earlier[1:]) & set(args[1:]) or earlier[0].lower() in ("exec", "multi", "flushall")]
                    print("before it, of the same keys:\n  " + "\n  ".join(repr(earlier)[:300] for earlier in about[-40:]))
                    return 1
        for client in clients + others:
            client.close()
    print(f"{compared} commands and {scans} walks compared, 0 differences (seed {seed})")
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
