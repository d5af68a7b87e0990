"""Whether the demo's judge finds every kind of difference: a judge that never says no proves nothing."""

import contextlib
import io
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import check
import larder


class Judge(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="larder-check-")
        self.addCleanup(scratch.cleanup)
        self.files, self.store = os.path.join(scratch.name, "files"), os.path.join(scratch.name, "store")
        for path, content in {"a": b"1", "d/b": b"", "d/gone": b"3", ".git/x": b"x", "d/target/y": b"y"}.items():
            path = os.path.join(self.files, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)
        os.symlink("a", os.path.join(self.files, "link"))
        with larder.open(self.store, sync="none") as db:
            db.update({b"a": b"1", b"d/b": b"", b"copy/a": b"1copied by go\n"})
            db[check.CHANGED_KEY] = b"set copy/a\ndel d/gone\n"

    def differences(self, change=None):
        if change:
            with larder.open(self.store, sync="none") as db:
                change(db)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return check.check(self.store, self.files)

    def test_a_store_that_is_right_has_no_differences(self):
        self.assertEqual(self.differences(), 0)

    def test_each_kind_of_difference_is_found(self):
        def appear(path):
            with open(os.path.join(self.files, path), "wb"):
                pass

        for what, change in {
            "an altered value": lambda db: db.update({b"a": b"2"}),
            "an altered value of equal length": lambda db: db.update({b"copy/a": b"1copied by ga\n"}),
            "a missing key": lambda db: db.pop(b"d/b"),
            "a missing copy": lambda db: db.pop(b"copy/a"),
            "a key too many": lambda db: db.update({b"z": b""}),
            "a copy too many": lambda db: db.update({b"copy/d/b": b"copied by go\n"}),
            "a deleted key that is back": lambda db: db.update({b"d/gone": b"3"}),
            "a link that was followed": lambda db: db.update({b"link": b"1"}),
            "a directory that was not passed over": lambda db: db.update({b".git/x": b"x"}),
            "a copy of no file": lambda db: db.update({check.CHANGED_KEY: b"set copy/a\nset copy/q\ndel d/gone\n"}),
            "no list of changes": lambda db: db.pop(check.CHANGED_KEY),
            "a file that nobody stored": lambda db: appear("new"),
        }.items():
            with self.subTest(what):
                self.doCleanups()
                self.setUp()
                self.assertGreater(self.differences(change), 0)


if __name__ == "__main__":
    unittest.main()
