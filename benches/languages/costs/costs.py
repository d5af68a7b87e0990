"""The border of Python: costs.py COUNT DIRECTORY. What it does and prints is in costs.h; every language does the same."""
import sys
import time

import larder

GROUP, ROUNDS = 32, 15


def main():
    count = int(sys.argv[1]) // GROUP * GROUP
    keys = [b"%016d" % n for n in range(count)]
    shuffled = [keys[n * 2654435761 % count] for n in range(count)]
    groups = [keys[n : n + GROUP] for n in range(0, count, GROUP)]
    shuffled_groups = [shuffled[n : n + GROUP] for n in range(0, count, GROUP)]
    value, best = bytes(100), [float("inf")] * 3

    def batches(db):
        batch = db.batch()
        for group in groups:
            for key in group:
                batch.set(key, value)
            batch.write()

    def gets(db):
        for key in shuffled:
            db[key]

    def packed(db):
        for group in shuffled_groups:
            db.get_many(group)

    with larder.open(sys.argv[2], sync="none") as db:
        for _ in range(ROUNDS):
            for what, work in ((2, batches), (0, gets), (1, packed)):
                start = time.perf_counter_ns()
                work(db)
                best[what] = min(best[what], (time.perf_counter_ns() - start) / count)
    name = "Python" if larder.backend() == "extension" else "Python,ctypes"
    print(name, *(round(each) for each in best))


main()
