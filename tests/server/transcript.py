"""Carries out the transcript of a document: the lines of the blocks behind `<!--transcript-->` that begin with `$ ` are given to
one shell, and what they print must be what stands below them, where … stands for anything within a line. What bash says of a job that has
ended is left out."""
import os
import re
import subprocess
import sys
import tempfile

document = sys.argv[1]
with open(document) as file:
    blocks = re.findall(r"<!--transcript-->\n```console\n(.*?)```", file.read(), re.S)
if not blocks:
    sys.exit(f"{document}: no transcript")
root = os.getcwd()
steps = [step for block in blocks for step in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M)]
with tempfile.TemporaryDirectory(prefix="larder-transcript-") as directory:
    # The commands are those of the document; here they run in a directory of their own, which sees the tree by links.
    for name in ("examples", "include"):
        os.symlink(os.path.join(root, name), os.path.join(directory, name))
    os.makedirs(os.path.join(directory, "target"))
    os.symlink(os.environ["LIB_DIR"], os.path.join(directory, "target", "release"))
    environment = dict(os.environ, PATH=os.path.dirname(os.path.abspath(os.environ["LARDER_PROGRAM"])) + ":" + os.environ["PATH"])
    script = "set -m\n" + "".join(f"echo '<<{i}'\n{{ {command}\n}} 2>&1\necho '>>{i}' $?\n" for i, (command, _) in enumerate(steps))
    done = subprocess.run(["bash", "-c", script + "kill %1 2>/dev/null; wait"], cwd=directory, env=environment, capture_output=True, text=True, timeout=50)
printed = re.sub(r"^\[1\]\+ .*\n", "", done.stdout, flags=re.M)
failed = 0
for i, (command, wanted) in enumerate(steps):
    found = re.search(rf"<<{i}\n(.*?)>>{i} 0\n", printed, re.S)
    if not found or not re.fullmatch(".*".join(map(re.escape, wanted.strip().split("…"))), found.group(1).strip()):
        failed += 1
        print(f"{document}: $ {command}\n wanted: {wanted!r}\n printed: {found and found.group(1)!r} {done.stderr[-500:]}")
print(f"{len(steps) - failed} passed, {failed} failed")
sys.exit(failed != 0)
