"""stats, verify, salvage, compact, backup, restore and bench, on stores that are whole, damaged, busy or not there."""
import os
import re
import signal
import socket
import subprocess
import time
import unittest

from program import BUSY, DAMAGED, DONE, IO, NO, OTHER, PROGRAM, USAGE, ProgramTest

MANY = 100_000


class Upkeep(ProgramTest):
    def test_stats_are_the_store_s(self):
        self.fill(1000, extra=b"set short x --ttl 1h\ndel key:1 key:2\n")
        stats = self.larder("stats", "--json").object
        self.assertEqual((stats["keys"], stats["expiring_keys"]), (999, 1))
        self.assertGreater(stats["live_bytes"], 999 * 20)
        self.assertGreater(stats["dead_bytes"], 0)
        on_disk = sum(len(content) for name, content in self.files().items() if name.endswith(".seg"))
        self.assertEqual(stats["file_bytes"], on_disk)
        text = self.larder("stats").text
        self.assertRegex(text, r"(?m)^keys +999$")
        self.assertRegex(text, r"(?m)^of them expiring +1$")

    def test_verify_names_file_and_offset_of_a_flipped_bit(self):
        self.fill(1000)
        self.assertRegex(self.larder("verify").text, r"\Ano damage: 1,000 keys in \d segments?\n\Z")
        report = self.larder("verify", "--json").object
        self.assertEqual((report["opens"], report["damaged_places"], report["keys"]), (True, 0, 1000))
        name, offset = self.flip(b"value:500")
        sentence = self.larder("verify", code=DAMAGED).sentence
        found = re.search(r"larder: (\d+\.seg): .* at offset (\d+)", sentence)
        self.assertEqual(found[1], name, sentence)
        # The record begins before its value: with its head and its key.
        self.assertTrue(0 < offset - int(found[2]) < 64, sentence)
        report = self.larder("verify", "--json", code=DAMAGED).object
        self.assertEqual((report["damaged_places"], report["first_offset"]), (1, int(found[2])))
        self.assertIn(name, report["first"])
        self.flip(b"value:700")
        self.assertIn("2 damaged places", self.larder("verify", code=DAMAGED).sentence)

    def test_a_damaged_value_is_never_printed_and_others_are(self):
        self.fill(1000)
        self.flip(b"value:500")
        ended = self.larder("get", "key:500", code=DAMAGED)
        self.assertEqual(ended.out, b"")
        self.assertIn("offset", ended.sentence)
        self.assertEqual(self.larder("get", "key:501").out, b"value:501\n")
        walk = self.larder("scan", "--values", code=DAMAGED)
        self.assertEqual(walk.text.count("\n"), 999)
        self.assertIn("offset", walk.sentence)

    def test_a_store_that_does_not_open_for_damage_is_damaged_to_every_command(self):
        self.fill(100)
        with open(os.path.join(self.store, "MANIFEST"), "r+b") as file:
            file.seek(20)
            file.write(b"\xff" * 8)
        for command in (["get", "key:1"], ["set", "a", "b"], ["scan"], ["stats"], ["compact"], ["shell"], ["backup", "new"]):
            self.assertIn("MANIFEST", self.larder(*command, code=DAMAGED).sentence)
        self.assertIn("MANIFEST", self.larder("verify", code=DAMAGED).sentence)
        report = self.larder("verify", "--json", code=DAMAGED).object
        self.assertEqual((report["opens"], report["damaged_places"]), (False, 1))
        self.assertIn("MANIFEST", report["first"])

    def test_salvage_brings_the_rest_and_lists_the_loss(self):
        self.fill(1000)
        name, _ = self.flip(b"value:500")
        before = self.files()
        new = self.path("new")
        ended = self.larder("salvage", new, code=DAMAGED)
        lost = ended.text.splitlines()[0].split("\t")
        self.assertEqual((lost[0], lost[3], lost[4]), (name, '"key:500"', "-"))
        self.assertRegex(ended.text, r"999 keys")
        self.assertEqual(self.files(), before, "nothing of the damaged store is changed")
        self.assertEqual(self.contents(dir=new), {b"key:%d" % i: b"value:%d" % i for i in range(1000) if i != 500})
        self.larder("verify", dir=new)
        loss, report = self.larder("salvage", self.path("other"), "--json", code=DAMAGED).objects
        self.assertEqual((loss["lost"], loss["file"], loss["key"], loss["kept_version"]), (True, name, "key:500", None))
        self.assertEqual((report["keys"], report["lost_places"], report["has_whole_manifest"]), (999, 1, True))
        self.assertIn("not empty", self.larder("salvage", new, code=USAGE).sentence)

    def test_salvage_of_a_whole_store_loses_nothing(self):
        self.fill(100)
        self.assertEqual(self.larder("salvage", self.path("new"), "--json").object["keys"], 100)
        self.assertEqual(self.contents(dir=self.path("new")), self.contents())

    def test_compact_gives_space_back(self):
        self.larder("shell", "--create", "--option", "segment_size=64KiB", "--option", "compaction=manual", "--option", "sync=none",
                    stdin=b"".join(b"set key:%d %s\n" % (i % 10, b"x" * 1000) for i in range(2000)))
        report = self.larder("compact", "--json").object
        self.assertLess(report["file_bytes"], report["file_bytes_before"])
        self.assertEqual(len(self.contents()), 10)
        self.assertRegex(self.larder("compact").text, r"\Adead records: .* before, .* now; files: .* before, .* now\n\Z")

    def test_a_backup_restored_has_the_same_keys_values_versions_and_expiries(self):
        self.fill(MANY, extra=b'set short x --ttl 1h\nset "\\xff\\x00" "\\n"\ndel key:7\n')
        before = self.larder("scan", "--values").text
        milk, odd = self.larder("get", "short", "--json").object, self.larder("get", "key:99", "--json").object
        files = self.files()
        backed = self.larder("backup", self.path("backup"), "--json", timeout=120).object
        self.assertEqual(backed["keys"], MANY + 1)
        self.assertEqual(self.files(), files, "a backup changes nothing of the store")
        for name in list(files):
            os.remove(os.path.join(self.store, name))
        restored = self.larder("restore", self.path("backup"), timeout=120)
        self.assertIn(f"{MANY + 1:,} keys", restored.text)
        self.assertEqual(sorted(self.larder("scan", "--values").text.splitlines()), sorted(before.splitlines()))
        self.assertEqual(self.larder("get", "short", "--json").object, milk)
        self.assertEqual(self.larder("get", "key:99", "--json").object, odd)
        self.larder("get", "key:7", code=NO)
        # What is set next is newer than anything that was there.
        self.assertGreater(self.larder("set", "next", "x", "--json").object["version"], milk["version"])

    def test_a_backup_or_restore_never_replaces_what_is_there(self):
        self.fill(10)
        self.larder("backup", self.path("backup"))
        before = self.files(self.path("backup"))
        self.assertIn("not empty", self.larder("backup", self.path("backup"), code=USAGE).sentence)
        self.assertIn("not empty", self.larder("restore", self.path("backup"), code=USAGE).sentence)
        self.assertEqual(self.files(self.path("backup")), before)
        self.assertEqual(len(self.contents()), 10)
        os.mkdir(self.path("other"))
        with open(self.path("other/letter"), "w") as file:
            file.write("dear")
        self.assertIn("not empty", self.larder("restore", self.path("backup"), dir=self.path("other"), code=USAGE).sentence)
        self.assertEqual(os.listdir(self.path("other")), ["letter"])
        os.mkdir(self.path("empty"))
        self.larder("restore", self.path("backup"), dir=self.path("empty"))
        self.assertEqual(len(self.contents(dir=self.path("empty"))), 10)
        self.larder("restore", self.path("nowhere"), dir=self.path("unmade"), code=IO)
        self.assertFalse(os.path.exists(self.path("unmade")))

    def test_damage_is_not_backed_up_and_a_damaged_backup_not_restored(self):
        self.fill(1000)
        self.larder("backup", self.path("backup"))
        self.flip(b"value:500")
        self.assertIn("offset", self.larder("backup", self.path("second"), code=DAMAGED).sentence)
        self.assertFalse(os.path.exists(self.path("second")))
        self.flip(b"value:501", dir=self.path("backup"))
        self.assertIn("offset", self.larder("restore", self.path("backup"), dir=self.path("third"), code=DAMAGED).sentence)
        self.assertFalse(os.path.exists(self.path("third")))

    def test_a_store_in_use_is_busy_to_every_command_and_the_owner_is_named(self):
        self.fill(10)
        owner = subprocess.Popen([PROGRAM, "shell", "--dir", self.store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment())
        owner.stdin.write(b"get key:1\n")
        owner.stdin.flush()
        self.assertEqual(owner.stdout.readline(), b"value:1\n")
        for command in (["get", "key:1"], ["set", "a", "b"], ["del", "a"], ["scan"], ["ttl", "a"], ["stats"], ["verify"], ["compact"], ["shell"],
                        ["backup", "new"], ["salvage", "new"], ["serve", "--unix", "socket"]):
            self.assertIn(str(owner.pid), self.larder(*command, code=BUSY).sentence)
        self.assertIn(str(owner.pid), self.larder("restore", self.store, dir=self.path("new"), code=BUSY).sentence)
        owner.stdin.close()
        self.assertEqual(owner.wait(10), DONE)
        owner.stdout.close()
        self.larder("get", "key:1")

    def test_a_killed_writer_s_store_is_backed_up_whole(self):
        server = subprocess.Popen([PROGRAM, "serve", "--dir", self.store, "--unix", self.path("s")], stdout=subprocess.PIPE, env=self.environment())
        server.stdout.readline()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.path("s"))
            client.settimeout(10)
            for i in range(500):
                client.sendall(b"SET key:%d value:%d\r\n" % (i, i))
                self.assertEqual(client.recv(100), b"+OK\r\n")
        server.kill()
        server.wait()
        server.stdout.close()
        self.assertEqual(self.larder("backup", self.path("backup"), "--json").object["keys"], 500)
        self.assertEqual(self.contents(dir=self.path("backup")), {b"key:%d" % i: b"value:%d" % i for i in range(500)})

    def test_while_a_backup_is_made_the_store_is_read_and_not_written(self):
        self.fill(MANY)
        was_stopped = False
        for attempt in range(20):
            target = self.path(f"backup-{attempt}")
            backup = subprocess.Popen([PROGRAM, "backup", "--dir", self.store, target], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())
            while not os.path.exists(target) and backup.poll() is None:
                time.sleep(0.001)
            backup.send_signal(signal.SIGSTOP)
            was_stopped = not os.path.exists(os.path.join(target, "MANIFEST"))
            if was_stopped:
                self.larder("set", "a", "b", code=BUSY)
                self.assertEqual(self.larder("get", "key:1").out, b"value:1\n")
            backup.send_signal(signal.SIGCONT)
            _, sentence = backup.communicate(timeout=60)
            self.assertEqual(backup.returncode, DONE, sentence)
            if was_stopped:
                self.larder("set", "a", "b")
                break
        self.assertTrue(was_stopped, "no backup was slow enough to be stopped on its way")

    def test_an_interrupted_backup_leaves_no_store_behind(self):
        self.fill(MANY)
        target = self.path("backup")
        was_interrupted = False
        for _ in range(20):
            backup = subprocess.Popen([PROGRAM, "backup", "--dir", self.store, target], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())
            while not os.path.exists(target) and backup.poll() is None:
                time.sleep(0.001)
            backup.send_signal(signal.SIGINT)
            _, sentence = backup.communicate(timeout=60)
            if backup.returncode == OTHER:
                was_interrupted = True
                self.assertIn(b"larder: ", sentence)
                self.assertFalse(os.path.exists(os.path.join(target, "MANIFEST")), sentence)
                self.larder("verify", dir=target, code=IO)
                break
            # It was quicker: a whole backup then.
            self.assertEqual(backup.returncode, DONE, sentence)
            for name in os.listdir(target):
                os.remove(os.path.join(target, name))
            os.rmdir(target)
        self.assertTrue(was_interrupted, "no backup was slow enough to be interrupted")
        self.larder("backup", target)
        self.assertEqual(len(self.contents(dir=target)), MANY)

    def test_bench_measures_every_step_and_leaves_nothing(self):
        os.mkdir(self.store)
        lines = self.larder("bench", "--keys", "3000", "--value-len", "50", "--durable-sets", "20", "--json").objects
        self.assertEqual(os.listdir(self.store), [])
        settings, steps = lines[0], lines[1:]
        self.assertEqual((settings["keys"], settings["value_len"], settings["threads"]), (3000, 50, 1))
        self.assertEqual([step["step"] for step in steps], ["set", "overwrite", "get", "miss", "durable set"])
        for step in steps:
            self.assertEqual(step["ops"], 20 if step["step"] == "durable set" else 3000)
            self.assertAlmostEqual(step["ops_per_second"], step["ops"] / step["seconds"], delta=1)
            self.assertAlmostEqual(step["ns_per_op"] * step["ops"] / 1e9, step["seconds"], delta=1e-6)
        self.assertRegex(self.larder("bench", "--keys", "10", "--durable-sets", "2").text, r"3,000 keys|10 keys of 16 bytes, values of 100 bytes")
        self.larder("bench", dir=self.path("nowhere"), code=IO)


if __name__ == "__main__":
    unittest.main()
