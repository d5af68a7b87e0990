"""GET and SET of `larder serve` next to redis-server: redis-benchmark asks both in turn, over a Unix socket and TCP, with 1 and 50
clients, pipelines of 1 and 16, with the same promise to the disk (appendfsync everysec against sync=interval:1000, always against
always).

    rates.py [--seconds S] [--rounds N] [--only WORD …]

Prints a line per setting: rates, their ratio (median over the rounds, in which the two alternate), the 99th percentiles, and the
processor time that each server spent per command, user and system. On a machine that does other things too the last is the one
to believe: it is counted by the kernel, and the client's share is not in it.
"""
import argparse
import csv
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ.get("LARDER_PROGRAM", "target/program/release/larder")
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def start(name, arguments, directory, path):
    process = subprocess.Popen(arguments, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if subprocess.run(["redis-cli", "-s", path, "ping"], capture_output=True).stdout == b"PONG\n":
            return process
        time.sleep(0.05)
    sys.exit(f"{name} does not answer")


def measure(address, test, clients, pipeline, count):
    done = subprocess.run(["redis-benchmark", *address, "-t", test, "-n", str(count), "-c", str(clients), "-P", str(pipeline), "-r", "100000",
                           "-d", "100", "--csv"], capture_output=True, text=True, check=True, timeout=300)
    row = list(csv.DictReader(io.StringIO(done.stdout)))[0]
    return float(row["rps"]), float(row["p99_latency_ms"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long one measurement takes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    for tool in ("redis-server", "redis-benchmark"):
        if shutil.which(tool) is None:
            print(f"SKIP: server-bench: {tool} is not installed (apt-get install redis-server redis-tools)")
            return int(os.environ.get("LARDER_FORBID_SKIP", "0"))
    print("| sync | socket | clients | pipeline | command | redis-server | larder | ratio | p99 ms | | µs of processor per command | | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for sync, fsync in (("interval:1000", "everysec"), ("always", "always")):
        directory = tempfile.mkdtemp(prefix="larder-bench-")
        paths = {"redis": directory + "/redis.sock", "larder": directory + "/larder.sock"}
        ports = {"redis": "27791", "larder": "27792"}
        processes = {
            "redis": start("redis-server", ["redis-server", "--port", ports["redis"], "--unixsocket", paths["redis"], "--dir", directory, "--save", "",
                                            "--appendonly", "yes", "--appendfsync", fsync], directory, paths["redis"]),
            "larder": start("larder", [os.path.abspath(PROGRAM), "serve", "--dir", directory + "/store", "--unix", paths["larder"], "--tcp",
                                       "127.0.0.1:" + ports["larder"], "--sync", sync], directory, paths["larder"]),
        }
        try:
            for socket in ("unix", "tcp"):
                for clients in (1, 50):
                    for pipeline in (1, 16):
                        for test in ("set", "get"):
                            line = f"{sync} {socket} c{clients} p{pipeline} {test}"
                            if any(word not in line.split() for word in options.only):
                                continue
                            rates, worst, costs, counts = {}, {}, {}, {}
                            for _ in range(options.rounds):
                                for name, process in processes.items():
                                    address = ["-s", paths[name]] if socket == "unix" else ["-p", ports[name]]
                                    count = counts.get(name, 2000 if sync == "always" and test == "set" else 20_000)
                                    before = cpu_seconds(process)
                                    rate, p99 = measure(address, test, clients, pipeline, count)
                                    costs.setdefault(name, []).append((cpu_seconds(process) - before) / count * 1e6)
                                    counts[name] = max(count, int(rate * options.seconds))
                                    rates.setdefault(name, []).append(rate)
                                    worst.setdefault(name, []).append(p99)
                            median = lambda values: {name: statistics.median(found) for name, found in values.items()}
                            # The first round only finds out how much to ask for.
                            cost = {name: statistics.median(found[1:] or found) for name, found in costs.items()}
                            rate, p99 = median(rates), median(worst)
                            print(f"| {sync} | {socket} | {clients} | {pipeline} | {test} | {rate['redis']:,.0f} | {rate['larder']:,.0f} | "
                                  f"{rate['larder'] / rate['redis']:.2f} | {p99['redis']:.2f} | {p99['larder']:.2f} | {cost['redis']:.2f} | {cost['larder']:.2f} | "
                                  f"{cost['redis'] / max(cost['larder'], 0.01):.2f} |", flush=True)
        finally:
            for process in processes.values():
                process.terminate()
                process.wait(20)
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
