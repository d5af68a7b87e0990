"""Sets and gets of 16-byte keys and 100-byte values in a loop, one call each, in Larder and in a dict.

rates.py COUNT DIRECTORY prints "Python <sets> <gets>" and "Python dict <sets> <gets>" in thousands a second,
without a sync per operation.
"""
import pathlib
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bindings" / "python"))
import larder  # noqa: E402

MASK = (1 << 64) - 1


def mixed(n):
    """The finalizer of SplitMix64: one-to-one, so that keys are distinct and in no order."""
    n = (n ^ (n >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    n = (n ^ (n >> 27)) * 0x94D049BB133111EB & MASK
    return n ^ (n >> 31)


def rates(store, keys, order):
    value = bytes(100)
    start = time.perf_counter()
    for key in keys:
        store[key] = value
    middle = time.perf_counter()
    for n in order:
        store[keys[n]]
    end = time.perf_counter()
    return f"{len(keys) / (middle - start) / 1e3:.0f} {len(keys) / (end - middle) / 1e3:.0f}"


def main():
    count, directory = int(sys.argv[1]), sys.argv[2]
    keys = [struct.pack("<QQ", mixed(n), mixed(n + 1)) for n in range(count)]
    order = [mixed(n + 7) % count for n in range(count)]
    with larder.open(directory, sync="none") as db:
        print("Python", rates(db, keys, order))
    print("Python dict", rates({}, keys, order))


main()
