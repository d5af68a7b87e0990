"""The shell, through a pipe and on a terminal."""
import os
import pty
import select
import stat
import subprocess
import time
import unittest

from program import DAMAGED, DONE, IO, NO, PROGRAM, USAGE, ProgramTest


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, arguments, directory, environment):
        self.ours, theirs = pty.openpty()
        environment = {**environment, "TERM": "xterm"}
        self.process = subprocess.Popen([PROGRAM, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=directory, env=environment, start_new_session=True)
        os.close(theirs)
        self.seen = b""

    def wait_for(self, wanted, seconds=20):
        """Reads until it comes, and takes all up to its end."""
        end = time.monotonic() + seconds
        while wanted not in self.seen:
            ready, _, _ = select.select([self.ours], [], [], max(0, end - time.monotonic()))
            try:
                more = os.read(self.ours, 65_536) if ready else b""
            except OSError:
                more = b""
            if not more:
                raise AssertionError(f"{wanted} did not come: {self.seen!r}")
            self.seen += more
        before, self.seen = self.seen.split(wanted, 1)
        return before

    def ask(self, keys, wanted=b""):
        """Types at the prompt, and waits for what comes of it."""
        self.wait_for(b"larder> ")
        os.write(self.ours, keys)
        if wanted:
            self.wait_for(wanted)

    def end(self):
        """The exit code."""
        return self.process.wait(20)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


class ThroughAPipe(ProgramTest):
    def shell(self, *lines, code=DONE, arguments=()):
        ended = self.run_program("shell", "--dir", self.store, "--create", *arguments, stdin="\n".join(lines).encode())
        self.assertEqual(ended.code, code, f"{ended.out!r} {ended.err!r}")
        return ended

    def test_lines_are_commands_on_one_store(self):
        ended = self.shell("set jam quince", "get jam", "", "# a remark", "set 'two words' \"a\\xff\\n\" --ttl 1h", "scan --values --prefix two", "del jam", "get 'two words' --raw")
        self.assertEqual(ended.out, b'stored as version 1\nquince\nstored as version 2\ntwo words\t"a\\xff\\n"\ndeleted 1\na\xff\n')
        self.assertEqual(ended.err, b"")
        self.assertEqual(self.contents(), {b"two words": b"a\xff\n"})

    def test_it_goes_on_after_a_failure_and_ends_with_the_first_one_s_code(self):
        ended = self.shell("get nope", "nonsense", "set a b", "get a", code=NO)
        self.assertEqual(ended.out, b"stored as version 1\nb\n")
        self.assertEqual(ended.sentence, "no key nope\nunrecognized subcommand 'nonsense'\n")
        self.assertIn("quote", self.shell('get "open', "get nope", code=USAGE).sentence)
        self.assertIn("value", self.shell("set a", code=USAGE).sentence)

    def test_it_prints_json_if_asked_to(self):
        ended = self.shell("set a b", "get a", "get nope", "stats", "del a nope", "verify", "compact", "ttl a", arguments=["--json"], code=NO)
        kinds = [sorted(line)[0] for line in ended.objects]
        self.assertEqual(len(kinds), 9, ended.objects)
        self.assertEqual(ended.objects[2], {"key": "nope", "found": False})
        self.assertEqual(ended.err, b"")

    def test_exit_ends_it_and_the_store_is_closed(self):
        self.assertEqual(self.shell("set a b", "exit", "set a c").text, "stored as version 1\n")
        self.shell("quit", "nonsense")
        self.assertEqual(self.larder("get", "a").out, b"b\n")
        self.assertTrue(any(name.startswith("INDEX-") for name in os.listdir(self.store)), "a clean close writes a checkpoint")

    def test_help_lists_the_commands(self):
        text = self.shell("help").text
        for command in ("get", "set", "del", "scan", "ttl", "stats", "verify", "compact", "exit"):
            self.assertRegex(text, rf"(?m)^  {command} ")
        self.assertIn("--if-absent", self.shell("set --help").text)
        self.assertIn("--if-absent", self.shell("help set").text)

    def test_read_only_refuses_writes(self):
        self.shell("set a b")
        before = self.files()
        ended = self.run_program("shell", "--dir", self.store, "--read-only", stdin=b"get a\nset a c\ndel a\n")
        self.assertEqual((ended.code, ended.out), (IO, b"b\n"))
        self.assertEqual(len(ended.sentence.splitlines()), 2)
        self.assertEqual(self.files(), before)

    def test_damage_met_by_a_line_is_told_and_the_rest_goes_on(self):
        self.fill(100)
        self.flip(b"value:50")
        ended = self.shell("get key:50", "get key:51", "verify", code=DAMAGED)
        self.assertEqual(ended.out, b"value:51\n")
        self.assertEqual(ended.sentence.count("offset"), 2)

    def test_a_reader_that_has_had_enough_ends_it_quietly(self):
        self.fill(1000)
        shell = subprocess.Popen([PROGRAM, "shell", "--dir", self.store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment())
        shell.stdout.close()
        shell.stdin.write(b"scan\n")
        shell.stdin.close()
        self.assertEqual((shell.stderr.read(), shell.wait(20)), (b"", DONE))
        shell.stderr.close()


class OnATerminal(ProgramTest):
    def terminal(self, *arguments, **environment):
        return self.on_terminal("shell", "--dir", self.store, *arguments, **environment)

    def on_terminal(self, *arguments, **environment):
        terminal = Terminal(arguments, self.scratch, self.environment(**environment))
        self.addCleanup(terminal.close)
        return terminal

    def test_a_session_with_editing_and_history(self):
        terminal = self.terminal("--create")
        # What is typed too much is taken back before it is sent.
        terminal.ask(b"set jam quincee\x7f\r", b"stored as version 1")
        terminal.ask(b"get jam\r", b"\nquince\r\n")
        # The line before, again: arrow up.
        terminal.ask(b"\x1b[A\r", b"\nquince\r\n")
        # An interrupted line is not carried out, and does not end the shell.
        terminal.ask(b"del jam\x03", b"del jam")
        terminal.ask(b"get nope\r", b"no key nope")
        terminal.ask(b"\x04")
        self.assertEqual(terminal.end(), DONE)
        self.assertEqual(self.contents(), {b"jam": b"quince"})
        history = self.path(".local/state/larder/history")
        with open(history) as file:
            self.assertIn("set jam quince\n", file.read())
        self.assertEqual(stat.S_IMODE(os.stat(history).st_mode) & 0o077, 0, "values are nobody else's business")
        # The next session has it.
        terminal = self.terminal()
        terminal.ask(b"\x1b[A\x1b[A\r", b"\nquince\r\n")
        terminal.ask(b"exit\r")
        self.assertEqual(terminal.end(), DONE)

    def test_the_tabulator_completes_commands_options_and_keys(self):
        for key in ("jam", "jar of quinces", "jar of plums", "bread", "\x1bbell"):
            self.larder("set", key, f"the {key.strip(chr(27))}")
        terminal = self.terminal(LARDER_HISTORY="")
        # A command, a key, and enter.
        terminal.ask(b"ge\tbr\t\r", b"\nthe bread\r\n")
        # As far as the keys go together, then what is typed more; in quotes, for there are blanks.
        terminal.ask(b"get ja\tr\tp\t\r", b"\nthe jar of plums\r\n")
        # A key that needs escapes, and an option.
        terminal.ask(b"get \"\\x1b\t--ra\t\r", b"\nthe bell")
        # The second time all are listed; nothing of a key reaches the terminal that should not.
        terminal.ask(b"del ja\t\t", b"del ")
        listed = terminal.wait_for(b"plums")
        self.assertIn(b"jam", listed)
        # The line is taken back. Values are nobody's to guess.
        os.write(terminal.ours, b"\x15set jam br\t1\r")
        terminal.wait_for(b"stored")
        terminal.ask(b"get jam\r", b"\nbr1\r\n")
        terminal.ask(b"exit\r")
        self.assertEqual(terminal.end(), DONE)

    def test_a_history_of_one_s_own_or_none(self):
        self.larder("set", "a", "b")
        for history in ("", self.path("mine")):
            terminal = self.terminal(LARDER_HISTORY=history)
            terminal.ask(b"get a\r", b"\nb\r\n")
            terminal.ask(b"exit\r")
            self.assertEqual(terminal.end(), DONE)
        self.assertTrue(os.path.exists(self.path("mine")))
        self.assertFalse(os.path.exists(self.path(".local")))

    def test_a_terminal_is_sent_no_control_characters_unless_they_are_asked_for(self):
        self.larder("set", "bell", "\x1b[31mred\x07")
        self.larder("set", "poem", "one\n\ttwo ü")
        for arguments, wanted in ((["bell"], b'"\\x1b[31mred\\x07"\r\n'), (["bell", "--raw"], b"\x1b[31mred\x07"), (["poem"], "one\r\n\ttwo ü\r\n".encode())):
            terminal = self.on_terminal("get", "--dir", self.store, *arguments)
            self.assertEqual(terminal.wait_for(wanted), b"")
            self.assertEqual(terminal.end(), DONE)
        self.assertEqual(self.larder("get", "bell").out, b"\x1b[31mred\x07\n")

    def test_progress_is_for_terminals_and_gone_at_the_end(self):
        self.fill(20_000)
        terminal = self.on_terminal("backup", "--dir", self.store, self.path("backup"))
        before = terminal.wait_for(b"20,000 keys")
        self.assertEqual(terminal.end(), DONE)
        self.assertIn(b"backing up", before)
        piped = self.larder("backup", self.path("piped"))
        self.assertEqual((piped.err, piped.out.count(b"\n")), (b"", 1))


if __name__ == "__main__":
    unittest.main()
