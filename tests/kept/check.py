"""What programs that were compiled against an earlier header rely on: status numbers, struct layouts, declarations.

    check.py statuses           every number of statuses.txt is still what it was; LARDER_BLESS=1 appends what is new
    check.py layout SCRATCH     sizes and offsets that the C compiler says are those of layout.txt
    check.py stubs FILE         writes a C file that defines every function of the header, for abidw to read
    check.py size FILE          the stripped library's size beside what sizes.txt notes

Each prints "N passed, M failed". `make kept-test` calls them; `make kept-release` writes layout.txt anew.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
API = json.loads((TREE / "include" / "larder.api.json").read_text())
# The header that is checked; another one for the tests of this program.
INCLUDE = pathlib.Path(os.environ.get("KEPT_INCLUDE", TREE / "include"))
BLESS = os.environ.get("LARDER_BLESS") == "1"
SIZE_MAX = 1024 * 1024
# How far the library may be from the noted size before somebody has to look at it and note the new one.
SIZE_DRIFT = 0.10
# Structs that may grow at their end, because callers say how much of it they know.
GROWING = {"larder_stats"}


def told(problems, count):
    for problem in problems:
        print(f"FAILED: {problem}")
    print(f"{count - len(problems)} passed, {len(problems)} failed")
    return 1 if problems else 0


def statuses():
    """Numbers are written once. The file only grows, also when it is blessed."""
    path = HERE / "statuses.txt"
    kept = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    # The header itself, and not the file that is made from it.
    header = dict(re.findall(r"^#define (LARDER_[A-Z_]+) (\d+)$", (INCLUDE / "larder.h").read_text(), re.MULTILINE))
    problems = [
        f"{name} was {number}, and is {header.get(name, 'gone')}" for number, name in kept if header.get(name) != number
    ]
    known, numbers = {name for _, name in kept}, {number for number, _ in kept}
    for each in API["statuses"]:
        name, number = each["name"], str(each["number"])
        if name in known:
            continue
        if number in numbers:
            problems.append(f"{name} takes {number}, which was another's")
        elif BLESS:
            with path.open("a") as file:
                file.write(f"{number} {name}\n")
        else:
            problems.append(f"{name} {number} is new: LARDER_BLESS=1 make kept-test appends it to tests/kept/statuses.txt")
    return told(problems, max(len(kept), len(API["statuses"])))


def measured(scratch):
    """What the C compiler says of each struct, a line each."""
    lines = ['#include "larder.h"', "#include <stdio.h>", "int main(void) {"]
    for struct in API["structs"]:
        name = struct["name"]
        lines.append(f'printf("{name} size %zu\\n", sizeof({name}));')
        for field in struct["fields"]:
            of = f"(({name} *)0)->{field['name']}"
            lines.append(
                f'printf("{name}.{field["name"]} at %zu, %zu bytes\\n", offsetof({name}, {field["name"]}), sizeof({of}));'
            )
    lines += ['printf("larder_status size %zu\\n", sizeof(larder_status));', "return (larder_status)-1 < 0 ? 0 : 1; }"]
    source, program = pathlib.Path(scratch) / "layout.c", pathlib.Path(scratch) / "layout"
    source.write_text("\n".join(lines) + "\n")
    subprocess.run([os.environ.get("CC", "cc"), f"-I{INCLUDE}", source, "-o", program], check=True)
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()


def layout(scratch):
    path, now = HERE / "layout.txt", measured(scratch)
    if BLESS:
        path.write_text("\n".join(now) + "\n")
    problems, sizes = [], {line.split(" size ")[0]: line.split(" size ")[1] for line in now if " size " in line}
    for line in path.read_text().splitlines():
        name, is_size, size = line.partition(" size ")
        if is_size and name in GROWING and int(sizes.get(name, 0)) >= int(size):
            continue
        if line not in now:
            problems.append(f"was: {line}; now: {next((new for new in now if new.split()[0] == line.split()[0]), 'gone')}")
    fixed = [line for line in now if line.split()[0].split(".")[0] not in GROWING]
    kept = path.read_text().splitlines()
    sized = {line.split(" size ")[0] for line in kept if " size " in line}
    added = [line for line in fixed if line not in kept and line.split(".")[0] in sized and "." in line]
    problems += [f"new in a struct that does not grow: {line}" for line in added]
    return told(problems, len(kept))


def stubs(path):
    sys.path.insert(0, str(TREE / "packaging"))
    import reference  # noqa: PLC0415, it lies beside the pages that it makes

    lines = ['#include "larder.h"']
    for function in API["functions"]:
        body = "{ }" if function["returns"] == "void" else "{ return 0; }"
        lines.append(reference.declaration(function).rstrip(";") + "\n" + body)
    pathlib.Path(path).write_text("\n".join(lines) + "\n")
    return 0


def size(path):
    length = pathlib.Path(path).stat().st_size
    noted = HERE / "sizes.txt"
    lines = noted.read_text().splitlines()
    if BLESS:
        lines = [line for line in lines if not line.startswith(API["version"] + " ")] + [f"{API['version']} {length}"]
        noted.write_text("\n".join(lines) + "\n")
    version, before = lines[-1].split()
    print(f"liblarder.so, stripped: {length} bytes; noted for {version}: {before}; limit {SIZE_MAX}")
    problems = []
    if length >= SIZE_MAX:
        problems.append(f"{length} bytes are over the limit")
    if version != API["version"]:
        problems.append(f"no size is noted for {API['version']}: LARDER_BLESS=1 make kept-test")
    if abs(length - int(before)) > SIZE_DRIFT * int(before):
        problems.append(f"more than {SIZE_DRIFT:.0%} from what is noted; if that is meant: LARDER_BLESS=1 make kept-test")
    return told(problems, 1)


if __name__ == "__main__":
    sys.exit({"statuses": statuses, "layout": layout, "stubs": stubs, "size": size}[sys.argv[1]](*sys.argv[2:]))
