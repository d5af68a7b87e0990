"""Today's clients against `larder serve`: each as its users run it, none changed. CLIENTS_DIR holds those that were installed."""
import os
import subprocess
import sys

from resp import larder

HERE = os.path.dirname(os.path.abspath(__file__))


def run(name, arguments, wanted, given=None):
    done = subprocess.run(arguments, input=given, capture_output=True, timeout=60)
    output = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode != 0 or any(text not in output for text in wanted):
        print(f"{name}: ended with {done.returncode}; wanted {wanted}\n{output[-3000:]}")
        return False
    print(f"{name}: ok {output.strip().splitlines()[-1][:120] if name.startswith('client') else ''}")
    return True


def main():
    directory = os.environ["CLIENTS_DIR"]
    failed = count = 0
    with larder("--tcp", "127.0.0.1:0", sync="interval:1000") as server:
        cli = ["redis-cli", "-s", server.path]
        mass = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\nmass:%d\r\n$1\r\nv\r\n" % (len(f"mass:{i}"), i) for i in range(10_000))
        for name, arguments, wanted, given in [
            ("redis-cli", cli + ["set", "greeting", "hello"], ["OK"], None),
            ("redis-cli get", cli + ["get", "greeting"], ["hello"], None),
            ("redis-cli -3", cli + ["-3", "hello"], ["proto 3"], None),
            ("redis-cli, commands on a pipe", cli, ["OK", "2", "QUEUED"], b"set n 1\nincr n\nmulti\nget n\nexec\n"),
            ("redis-cli --pipe", cli + ["--pipe"], ["errors: 0, replies: 10000"], mass),
            ("redis-cli --scan", cli + ["--scan", "--pattern", "mass:99?"], ["mass:990", "mass:999"], None),
            ("redis-cli --bigkeys", cli + ["--bigkeys"], ["strings"], None),
            ("redis-cli --memkeys", cli + ["--memkeys", "--memkeys-samples", "0"], ["strings"], None),
            ("redis-cli --eval", cli + ["--eval", os.path.join(HERE, "clients", "add.lua"), "sum", ",", "20", "22"], ["42"], None),
            ("redis-cli --latency", cli + ["--latency", "--raw"], [" "], None),
            ("redis-benchmark", ["redis-benchmark", "-s", server.path, "-t", "ping,set,get,incr,mset", "-n", "20000", "-r", "1000", "-q"], ["GET", "MSET"], None),
            ("redis-benchmark -3 -P", ["redis-benchmark", "-s", server.path, "-3", "-t", "set,get", "-n", "50000", "-P", "16", "-q"], ["GET"], None),
            ("client redis-py", [directory + "/python/bin/python", os.path.join(HERE, "clients", "redis_py.py"), server.path], ["checks"], None),
            ("client go-redis", [directory + "/go", server.path], ["checks"], None),
            # It goes on until it is ended, and then forgets what it has not written.
            ("redis-cli --stat", ["bash", "-c", 'timeout 2 stdbuf -oL "$@" || [ $? = 124 ]', "-"] + cli + ["--stat", "-i", "1"], ["connections", "requests", " (+"], None),
            ("client connect-redis and rate-limiter-flexible", ["node", directory + "/node/applications.mjs", server.path], ["checks"], None),
            ("client node-redis and ioredis", ["node", directory + "/node/clients.mjs", server.path], ["checks"], None),
        ]:
            count += 1
            failed += not run(name, arguments, wanted, given)
        if server.stop() != 0:
            failed += 1
            print(f"the server ended with {server.process.returncode}: {server.log()}")
    print(f"{count - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
