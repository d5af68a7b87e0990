"""Types what docs/moving-data.md shows: the lines behind `$ ` are given to a shell, in an empty directory, and what they print has to
be what stands below them."""
import os
import re
import subprocess
import unittest

import servers
from program import PROGRAM, TREE, ProgramTest, skip_without

PAGE = os.path.join(TREE, "docs", "moving-data.md")


@skip_without("redis-server", "redis-cli", "redis-check-rdb")
class Page(ProgramTest):
    def test_what_the_page_shows_is_what_is_printed(self):
        with open(PAGE) as page:
            blocks = re.findall(r"```sh\n(.*?)```", page.read(), re.S)
        steps = [step for block in blocks for step in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M)]
        self.assertGreater(len(steps), 20)
        script = "".join(f"echo '<<{i}'\n{command}\necho '>>{i}' $?\n" for i, (command, _) in enumerate(steps))
        # What was left running ends by its process, whatever comes before; and no step waits for ever.
        script = f"set -m; trap 'for job in $(jobs -p); do kill $job; done; wait' EXIT; trap 'exit 1' TERM\n{script}"
        environment = self.environment(PATH=os.path.dirname(PROGRAM) + ":" + os.environ["PATH"])
        done = subprocess.run(["timeout", "60", "bash", "-c", script], cwd=self.scratch, env=environment, capture_output=True, text=True, timeout=90, check=False)
        for i, (command, wanted) in enumerate(steps):
            found = re.search(rf"<<{i}\n(.*?)>>{i} (\d+)\n", done.stdout, re.S)
            self.assertTrue(found, f"{command}: {done.stderr}")
            self.assertEqual((found.group(1), found.group(2)), (wanted, "0"), f"{command}: {done.stderr}")


if __name__ == "__main__":
    unittest.main()
