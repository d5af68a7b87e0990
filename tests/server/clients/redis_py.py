"""redis-py, and what is built on it: its Lock, and a rate limiter as a script. Takes the socket's path."""
import sys
import threading
import time

import redis

path = sys.argv[1]
checks = 0


def check(condition, what):
    global checks
    if not condition:
        sys.exit(f"redis-py: {what}")
    checks += 1


for protocol in (2, 3):
    r = redis.Redis(unix_socket_path=path, protocol=protocol, client_name="tester")
    r.flushdb()
    check(r.ping(), "ping")
    check(r.set("a", b"\x00\xff\r\n") and r.get("a") == b"\x00\xff\r\n", "bytes")
    check(r.set("a", "2", nx=True) is None and r.set("a", "2", xx=True, get=True) == b"\x00\xff\r\n", "conditions")
    check(r.set("t", "x", ex=100) and 90 < r.ttl("t") <= 100 and r.persist("t") and r.ttl("t") == -1, "ttl")
    check(r.incrby("n", 5) == 5 and r.decr("n") == 4 and r.incrbyfloat("f", 1.5) == 1.5, "numbers")
    check(r.mset({"x": 1, "y": 2}) and r.mget("x", "y", "none") == [b"1", b"2", None], "many")
    with r.pipeline(transaction=True) as pipe:
        check(pipe.set("p", 1).incr("p").get("p").execute() == [True, 2, b"2"], "transaction")
    with r.pipeline(transaction=False) as pipe:
        for i in range(1000):
            pipe.set(f"many:{i}", i)
        check(all(pipe.execute()), "pipeline")
    check({key for key in r.scan_iter(match="many:*", count=17)} == {b"many:%d" % i for i in range(1000)}, "scan")
    with r.pipeline() as pipe:
        pipe.watch("p")
        redis.Redis(unix_socket_path=path).set("p", "changed")
        pipe.multi()
        pipe.get("p")
        try:
            pipe.execute()
            check(False, "a watched key changed")
        except redis.WatchError:
            check(True, "watch")
    listener = r.pubsub()
    listener.psubscribe("chan*")
    listener.get_message(timeout=1)
    r.publish("channel", "hello")
    message = listener.get_message(timeout=2)
    check(message and message["data"] == b"hello" and message["type"] == "pmessage", f"message {message}")
    listener.close()
    try:
        r.execute_command("HSET", "h", "a", "1")
        check(False, "hashes are not there")
    except redis.ResponseError as error:
        check("unknown command" in str(error), "unknown command")
    check(r.dump("a") and r.restore("copy", 1000, r.dump("a")) and r.get("copy") == b"2", "dump and restore")
    check(r.client_getname() in ("tester", b"tester") and r.info()["redis_version"], "client, info")
    check(r.config_get("appendonly"), "config")

    # The library's Lock is SET NX PX and scripts that compare before they delete.
    lock = r.lock("lock", timeout=5)
    check(lock.acquire(blocking=False) and not r.lock("lock", timeout=5).acquire(blocking=False), "one owner")
    check(lock.extend(5) and lock.reacquire(), "extend")
    lock.release()
    inside, worst = [0], [0]

    def work():
        mine = redis.Redis(unix_socket_path=path, protocol=protocol)
        for _ in range(10):
            with mine.lock("shared", timeout=10, sleep=0.001):
                inside[0] += 1
                worst[0] = max(worst[0], inside[0])
                time.sleep(0.0002)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    check(worst[0] == 1, "the lock excludes")

# A fixed window: 5 in 200 ms.
limit = r.register_script("local n = redis.call('incr', KEYS[1]) if n == 1 then redis.call('pexpire', KEYS[1], ARGV[1]) end return n <= tonumber(ARGV[2])")
check(sum(limit(keys=["limit"], args=[200, 5]) == 1 for _ in range(20)) == 5, "limit")
time.sleep(0.25)
check(limit(keys=["limit"], args=[200, 5]) == 1, "a new window")

try:
    import limits

    storage = limits.storage.storage_from_string(f"redis+unix://{path}")
    limiter = limits.strategies.FixedWindowRateLimiter(storage)
    rule = limits.parse("3/minute")
    check([limiter.hit(rule, "user") for _ in range(4)] == [True, True, True, False], "limits: fixed window")
    print("limits", limits.__version__)
except ImportError:
    print("SKIP: server-clients: the package limits is not installed (pip)")
print(f"redis-py {redis.__version__}: {checks} checks")
