"""The demo's judge: is the store what the files say it must be?

    python3 check.py <store> <directory>

Every regular file below <directory> (none below .git, target or build; links are not followed) is a key, its path,
with the file's bytes. The key `demo/changed` lists what the Go program did since, a line each: `set copy/<path>`,
whose value is the file's bytes and "copied by go\\n", and `del <path>`. Nothing else may be there.

Exits 1 at any difference.
"""

import os
import stat
import sys
import time

sys.dont_write_bytecode = True  # a __pycache__ below the directory would be one file too many
import larder

SKIPPED_DIRECTORIES = {b".git", b"target", b"build"}
CHANGED_KEY = b"demo/changed"
COPY_SUFFIX = b"copied by go\n"
SHOWN_MAX = 20


def files_below(directory):
    """Path relative to `directory` of every file that the loader stores."""
    root = os.fsencode(directory)
    for here, directories, names in os.walk(root):
        directories[:] = [name for name in directories if name not in SKIPPED_DIRECTORIES]
        for name in names:
            path = os.path.join(here, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                yield os.path.relpath(path, root)


def changes(value):
    """What the Go program says it did: paths copied, paths deleted."""
    copied, deleted = set(), set()
    for line in value.splitlines():
        verb, _, key = line.partition(b" ")
        if verb == b"set" and key.startswith(b"copy/"):
            copied.add(key[len(b"copy/"):])
        elif verb == b"del":
            deleted.add(key)
        else:
            raise SystemExit(f"{CHANGED_KEY.decode()} has a line that says neither set nor del: {line!r}")
    return copied, deleted


class Differences:
    """Counts differences, shows the first ones."""

    def __init__(self):
        self.count = 0

    def add(self, what, key):
        self.count += 1
        if self.count <= SHOWN_MAX:
            print(f"   DIFFERENT: {what}: {os.fsdecode(key)!r}", file=sys.stderr)


class Progress:
    """A line a second, so that a long check is seen to move."""

    def __init__(self):
        self.next = time.monotonic() + 1

    def tell(self, count, size):
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + 1
            print(f"   … {count:,} keys, {human(size)}", flush=True)


def human(size):
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"


def check(location, directory):
    root = os.fsencode(directory)
    begin = time.monotonic()
    files = set(files_below(directory))
    walked = time.monotonic()

    differences, progress = Differences(), Progress()
    seen, checked_bytes, expiring = set(), 0, 0
    with larder.open(location, create=False) as db:
        opened = time.monotonic()
        copied, deleted = changes(db[CHANGED_KEY]) if CHANGED_KEY in db else (set(), set())
        if CHANGED_KEY not in db:
            differences.add("missing", CHANGED_KEY)
        wanted = (files - deleted) | {b"copy/" + path for path in copied} | {CHANGED_KEY}
        for path in (copied | deleted) - files:
            differences.add("changed, but no file", path)
        for key, value in db.scan():
            if key in seen:
                differences.add("returned twice", key)
            seen.add(key)
            checked_bytes += len(value)
            progress.tell(len(seen), checked_bytes)
            if key == CHANGED_KEY:
                continue
            if key not in wanted:
                differences.add("deleted, yet there" if key in deleted else "there, but no file", key)
                continue
            expiring += db.ttl(key) is not None
            # A key of the tree wins over a copy's: a directory may itself be named "copy".
            path, suffix = (key, b"") if key in files - deleted else (key[len(b"copy/"):], COPY_SUFFIX)
            with open(os.path.join(root, path), "rb") as file:
                if value != file.read() + suffix:
                    differences.add("another value than the file", key)
        for key in wanted - seen:
            differences.add("missing", key)
        if len(db) != len(seen):
            differences.add(f"len says {len(db)}, the cursor returned {len(seen)}", b"")
        stats = db.stats()
        done = time.monotonic()
        db.verify()
    print(f"   {len(files):,} files: {len(files) - len(deleted):,} kept, {len(deleted):,} deleted, {len(copied):,} copied by Go")
    print(f"   {len(seen):,} keys checked, {human(checked_bytes)} compared byte by byte; {expiring:,} have a time to live")
    print(
        f"   on disk: {human(stats.file_bytes)} in {stats.segments} segments, "
        f"{human(stats.live_bytes)} live, {human(stats.dead_bytes)} dead; index {human(stats.index_bytes)}"
    )
    print(f"   {walked - begin:.3f} s to list the files, {opened - walked:.3f} s to open the store, {done - opened:.3f} s to check")
    return differences.count


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    differences = check(*sys.argv[1:])
    if differences:
        raise SystemExit(f"   {differences:,} differences")
    print("   no differences")


if __name__ == "__main__":
    main()
