"""Help, completions and the manual page: made from one source, and fit for what reads them."""
import os
import re
import subprocess
import unittest

from program import DONE, USAGE, ProgramTest, skip_without


class About(ProgramTest):
    def commands(self):
        listed = self.run_program("--help").text.split("Commands:\n")[1].split("\n\n")[0]
        names = re.findall(r"(?m)^  (\S+) ", listed)
        self.assertIn("get", names)
        return [name for name in names if name != "help"]

    def test_help_has_a_sentence_for_every_command_and_examples(self):
        text = self.run_program("--help").text
        for code in range(7):
            self.assertRegex(text, rf"(?m)^  {code}  \w")
        for command in self.commands():
            self.assertRegex(text, rf"(?m)^  {command} +[A-Z]\S+ \S+")
            long = self.run_program(command, "--help")
            self.assertEqual((long.code, long.err), (DONE, b""))
            self.assertIn(f"\nExamples:\n  larder {command}", long.text)
            self.assertGreater(len(long.out), len(self.run_program(command, "-h").out))
            self.assertEqual(self.run_program("help", command).out, long.out)

    def test_version_and_unknown_commands(self):
        with open(os.path.join(os.path.dirname(__file__), "../../Cargo.toml")) as file:
            version = re.search(r'^version = "(.*)"', file.read(), re.M)[1]
        self.assertEqual(self.run_program("--version").text, f"larder {version}\n")
        self.assertEqual(self.run_program("gett").code, USAGE)
        self.assertIn("get", self.run_program("gett").sentence)

    @skip_without("bash")
    def test_completions_for_bash_complete(self):
        script = self.run_program("completions", "bash")
        self.assertEqual(script.code, DONE)
        with open(self.path("larder.bash"), "wb") as file:
            file.write(script.out)
        self.assertEqual(subprocess.run(["bash", "-n", self.path("larder.bash")], capture_output=True, check=False).stderr, b"")

        def complete(*words):
            """What bash would offer for the last word."""
            typed = " ".join(f"'{word}'" for word in words)
            lines = f"""source {self.path("larder.bash")}
COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}
_larder larder '{words[-1]}' '{words[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}" """
            done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, check=True)
            self.assertEqual(done.stderr, "")
            return done.stdout.split()

        self.assertEqual(set(self.commands()) - set(complete("larder", "")), set())
        self.assertEqual(complete("larder", "sal"), ["salvage"])
        self.assertEqual(complete("larder", "set", "--if-"), ["--if-absent", "--if-present"])
        self.assertIn("zsh", complete("larder", "completions", "z"))

    @skip_without("zsh")
    def test_completions_for_zsh_are_a_script_of_it(self):
        script = self.run_program("completions", "zsh")
        done = subprocess.run(["zsh", "-n", "/dev/stdin"], input=script.out, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertTrue(script.text.startswith("#compdef larder"))

    @skip_without("fish")
    def test_completions_for_fish_are_a_script_of_it(self):
        path = self.path("larder.fish")
        with open(path, "wb") as file:
            file.write(self.run_program("completions", "fish").out)
        done = subprocess.run(["fish", "--no-execute", path], capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        offered = ["fish", "--no-config", "-c", f"source {path}; complete -C 'larder sal'"]
        done = subprocess.run(offered, capture_output=True, env=self.environment(), check=False)
        self.assertTrue(done.stdout.startswith(b"salvage\t"), done)

    @skip_without("man", "groff")
    def test_the_manual_page_renders_without_a_warning_and_has_every_command(self):
        page = self.run_program("man")
        self.assertEqual(page.code, DONE)
        with open(self.path("larder.1"), "wb") as file:
            file.write(page.out)
        done = subprocess.run(["man", "--warnings", "-l", self.path("larder.1")], capture_output=True, text=True, env=self.environment(MANWIDTH="100"), check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rendered = re.sub(r".\x08", "", done.stdout)
        self.assertTrue(rendered.startswith("larder(1)"))
        for command in self.commands():
            self.assertRegex(rendered, rf"(?m)^{command.upper()}$")
            self.assertRegex(rendered, rf"(?m)^       larder {command}\b.*$")
        for section in ("NAME", "SYNOPSIS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"):
            self.assertRegex(rendered, rf"(?m)^{section}$")
        self.assertIn("3  busy", rendered)


if __name__ == "__main__":
    unittest.main()
