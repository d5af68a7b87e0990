"""GET and SET of `larder serve` next to redis-server, the two asked in turn, with the same promise to the disk (appendfsync
everysec against sync=interval:1000, always against always), over a Unix socket and TCP, with 1, 10 and 50 clients, one request at
a time and 16.

    rates.py [--rounds N] [--seconds S] [--only WORD …] [--json FILE]

Two clients ask. `redis-benchmark` is the known one; it is one thread and costs more per request than either server, so that it
often measures itself. `load` (load.c) sends the same requests and only counts the bytes of the replies. A third server, `nothing`
(load.c too), answers the same bytes without looking at the request: what a client gets from it is the most that it could get
from anybody, the bound in the table.

Per setting: the median rate over the rounds, in which the servers alternate, the median of the rounds' ratios, the 50th and 99th
percentile of the time from request to reply, and the processor time that each server took per command (from the kernel's account,
user and system), which the client's share is not in.

Whatever else runs on the machine meanwhile takes processors away from one server and not from the other. So a measurement during
which others had more than a quarter of one is made again, after a pause, up to a number of times; how much others had at last is
in the output, and a row of which it was much is marked with a `*`.

`--json` writes everything; draw.py makes docs/benchmarks/server.svg and the table of docs/server.md of it.
"""
import argparse
import csv
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(os.environ.get("LARDER_PROGRAM", "target/program/release/larder"))
LOAD = os.path.abspath(os.environ.get("LARDER_SERVER_LOAD", "build/server-load"))
TICKS = os.sysconf("SC_CLK_TCK")
# The two sides' names for one promise, and the commands whose cost it changes.
SYNCS = (("interval:1000", "everysec", ("set", "get")), ("always", "always", ("set",)))
KEYS, VALUE_BYTES = 100_000, 100
# The share of a processor that others may have during a measurement, and how often and after how long it is made again.
OTHERS_MAX, ATTEMPTS, PAUSE_S = 0.25, 4, 0.2


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def busy_seconds():
    """What all processors have worked since the start of the machine, for anybody."""
    with open("/proc/stat") as stat:
        fields = [int(field) for field in stat.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def version(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def until_it_listens(name, path, process):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        if os.path.exists(path):
            return process
        time.sleep(0.05)
    sys.exit(f"{name} does not listen")


class Servers:
    """The servers of one promise to the disk, in a directory of their own."""

    def __init__(self, sync, fsync, nothings):
        self.directory = tempfile.mkdtemp(prefix="larder-bench-")
        at = lambda name: os.path.join(self.directory, name + ".sock")
        redis = ["redis-server", "--port", "27791", "--unixsocket", at("redis"), "--dir", self.directory, "--save", "", "--appendonly", "yes", "--appendfsync", fsync]
        larder = [PROGRAM, "serve", "--dir", self.directory + "/store", "--unix", at("larder"), "--tcp", "127.0.0.1:27792", "--sync", sync]
        self.commands = {"redis": redis, "larder": larder}
        self.addresses = {"redis": (at("redis"), "27791"), "larder": (at("larder"), "27792")}
        port = 27793
        for command in nothings:
            for socket in ("unix", "tcp"):
                name = f"nothing-{command}-{socket}"
                self.commands[name] = [LOAD, "--serve", command, *(["--unix", at(name)] if socket == "unix" else ["--port", str(port)])]
                self.addresses[name] = (at(name), str(port))
                port += 1
        self.processes = {}
        for name, command in self.commands.items():
            process = subprocess.Popen(command, cwd=self.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.processes[name] = process if name.endswith("-tcp") else until_it_listens(name, at(name), process)
        for name in ("redis", "larder"):
            run([LOAD, *self.address(name, "unix", "load"), "--test", "fill", "--pipeline", "100"])

    def address(self, name, socket, client):
        path, port = self.addresses[name]
        if client == "load":
            return ["--unix", path] if socket == "unix" else ["--port", port]
        return ["-s", path] if socket == "unix" else ["-p", port]

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(20)
        shutil.rmtree(self.directory, ignore_errors=True)


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def ask_in_peace(*arguments):
    """As `ask`, again and again until others leave the processors alone, with the share that they had of one."""
    for attempt in range(ATTEMPTS):
        busy, own = busy_seconds(), own_seconds(arguments[0])
        begun = time.monotonic()
        found = ask(*arguments)
        others = (busy_seconds() - busy - own_seconds(arguments[0]) + own) / (time.monotonic() - begun)
        if others <= OTHERS_MAX:
            break
        time.sleep(PAUSE_S)
    return (*found, max(0.0, others))


def own_seconds(servers):
    """What the clients that have ended and all servers have worked."""
    ended = os.times()
    return ended.children_user + ended.children_system + sum(cpu_seconds(process) for process in servers.processes.values())


def ask(servers, name, client, socket, command, clients, pipeline, count):
    """Requests a second, the 50th and 99th percentile in microseconds, and the server's processor time per command in microseconds."""
    address = servers.address(name, socket, client)
    process = servers.processes[name]
    before = cpu_seconds(process)
    if client == "load":
        printed = run([LOAD, *address, "--test", command, "--clients", str(clients), "--pipeline", str(pipeline), "--count", str(count)])
        rate, p50, p99 = map(float, printed.split())
    else:
        printed = run(["redis-benchmark", *address, "-t", command, "-n", str(count), "-c", str(clients), "-P", str(pipeline), "-r", str(KEYS), "-d", str(VALUE_BYTES),
                       "--precision", "3", "--csv"])
        row = list(csv.DictReader(io.StringIO(printed)))[0]
        rate, p50, p99 = float(row["rps"]), float(row["p50_latency_ms"]) * 1e3, float(row["p99_latency_ms"]) * 1e3
    return rate, p50, p99, (cpu_seconds(process) - before) / count * 1e6


def measure(servers, setting, rounds, seconds):
    sync, socket, client, clients, pipeline, command = setting
    names = ["redis", "larder"]
    if sync != "always":
        names.append(f"nothing-{command}-{socket}")
    # As many requests as take about `seconds`.
    counts = {}
    for name in names:
        rate = ask(servers, name, client, socket, command, clients, pipeline, 1_000 if sync == "always" else 10_000)[0]
        counts[name] = max(1_000, int(rate * seconds)) // pipeline * pipeline
    found = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(ask_in_peace(servers, name, client, socket, command, clients, pipeline, counts[name]))
    median = lambda name, field: statistics.median(row[field] for row in found[name])
    row = {"sync": sync, "socket": socket, "client": client, "clients": clients, "pipeline": pipeline, "command": command}
    row["ratio"] = statistics.median(ours[0] / theirs[0] for theirs, ours in zip(found["redis"], found["larder"]))
    row["others"] = round(max(median(name, 4) for name in names), 2)
    for name in names:
        fields = zip(("rate", "p50_us", "p99_us", "cpu_us"), range(4))
        row[name.split("-")[0]] = {field: round(median(name, at), 2) for field, at in fields}
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.4, help="about how long one measurement takes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="settings that have all these words: unix tcp load redis-benchmark c1 c50 p1 p16 set get always …")
    parser.add_argument("--json")
    options = parser.parse_args()
    for tool in ("redis-server", "redis-benchmark"):
        if shutil.which(tool) is None:
            print(f"SKIP: server-bench: {tool} is not installed (apt-get install redis-server redis-tools)")
            return int(os.environ.get("LARDER_FORBID_SKIP", "0"))
    about = {
        "redis-server": version("redis-server", "--version"), "larder": version(PROGRAM, "--version"), "redis-benchmark": version("redis-benchmark", "--version"),
        "kernel": os.uname().release, "processors": os.cpu_count(), "rounds": options.rounds, "seconds": options.seconds, "load_average": os.getloadavg()[0],
        "keys": KEYS, "value_bytes": VALUE_BYTES, "settings": {},
    }
    rows = []
    print("| sync | socket | client | clients | pipeline | command | redis-server | larder | ratio | bound | p50 µs | | p99 µs | | µs of processor | |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for sync, fsync, commands in SYNCS:
        servers = Servers(sync, fsync, commands if sync != "always" else ())
        about["settings"][sync] = {name: " ".join(command).replace(servers.directory, "DIR").replace(PROGRAM, "larder") for name, command in servers.commands.items() if name in ("redis", "larder")}
        try:
            for setting in [(sync, socket, client, clients, pipeline, command) for socket in ("unix", "tcp") for client in ("load", "redis-benchmark")
                            for clients in (1, 10, 50) for pipeline in (1, 16) for command in commands]:
                words = [setting[0], setting[1], setting[2], f"c{setting[3]}", f"p{setting[4]}", setting[5]]
                if any(word not in words for word in options.only):
                    continue
                row = measure(servers, setting, options.rounds, options.seconds)
                rows.append(row)
                redis, larder, nothing = row["redis"], row["larder"], row.get("nothing")
                bound = f"{nothing['rate']:,.0f}" if nothing else ""
                print(f"| {sync} | {setting[1]} | {setting[2]} | {setting[3]} | {setting[4]} | {setting[5]} | {redis['rate']:,.0f} | {larder['rate']:,.0f} | "
                      f"{row['ratio']:.2f}{'*' if row['others'] > OTHERS_MAX else ''} | {bound} | {redis['p50_us']:.0f} | {larder['p50_us']:.0f} | {redis['p99_us']:.0f} | {larder['p99_us']:.0f} | "
                      f"{redis['cpu_us']:.2f} | {larder['cpu_us']:.2f} |", flush=True)
        finally:
            servers.stop()
    print(json.dumps(about, indent=1))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"about": about, "rows": rows}, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
