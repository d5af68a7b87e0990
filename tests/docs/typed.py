"""Types what the pages tell a reader to type: the ```sh blocks, in a copy of this machine that is gone afterwards.

    typed.py PAGE…              prints "N passed, M failed"

Every page is a machine of its own: overlays of this tree, the home directory, /usr/local, /etc and /var, which only the page's
shell sees, so that `make install PREFIX=/usr/local && ldconfig` is done as it stands and leaves nothing. Each block is a
shell that begins in the tree, or in an empty directory for a page of docs/languages that speaks of `<this tree>`; there lies the
page's own program, and it is run at the end if the page's blocks did not.

A block after <!-- not run: why --> is left out, and so are lines that call `make` with a part of `make test`: they are run as such.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests" / "vectors"))
import snippets  # noqa: E402, it makes a page's program

PROGRAMS = {"c": "program.c", "cpp": "program.cpp", "go": "main.go", "python": "program.py", "node": "program.js", "java": "Program.java"}
# What a reader types last, which no page needs to say.
RUNS = {"c": "./program", "cpp": "./program", "node": "node program.js", "python": "env/bin/python program.py"}
# Without these a page cannot be tried.
TOOLS = {"cpp": ["c++"], "python": ["python3"], "node": ["node", "npm"], "java": ["mvn", "javac"]}
OVERLAID = ["/etc", "/usr", "/var", str(pathlib.Path.home()), str(TREE)]


def blocks(text):
    """The blocks to type, and how many there are."""
    found = re.findall(r"(<!-- not run: [^\n]+-->\n)?```sh\n(.*?)```", text, re.DOTALL)
    return [code for skipped, code in found if not skipped], len(found)


def parts():
    """The targets that make test runs anyway, and make test."""
    line = re.search(r"^TEST_PARTS := (.*)$", (TREE / "Makefile").read_text(), re.MULTILINE)
    return {*line[1].split(), "test"}


def script_of(path, scratch):
    """The page as one shell script."""
    text, tested, page = (TREE / path).read_text(), parts(), pathlib.Path(path).stem
    begin, lines = TREE, ["set -e", "unset LD_LIBRARY_PATH PKG_CONFIG_PATH LARDER_LIBRARY CARGO_TARGET_DIR MAKEFLAGS MAKELEVEL"]
    if page in PROGRAMS and "<this tree>" in text:
        begin = scratch / "empty"
        begin.mkdir()
    if page in PROGRAMS:
        code = snippets.blocks_of(page, text)
        program = code if page in ("node", "python") else snippets.FRAMES[page] % code
        lines.append(f"cat >{begin}/{PROGRAMS[page]} <<'END OF THE PROGRAM'\n{program}\nEND OF THE PROGRAM")
    for block in blocks(text)[0]:
        typed = [
            line.replace("<this tree>", str(TREE))
            for line in block.splitlines()
            if not (line.startswith("make ") and line.split()[1] in tested)
        ]
        # A shell that ends at failures goes on after `a && b` if it is a that fails: each line says so itself.
        commands = "\n".join(re.sub(r"\s+#.*$", "", line) + " || exit 1" for line in typed if line)
        shown = "\n".join(typed).replace("'", "'\\''")
        lines.append(f"printf '%s\\n' '{shown}' | sed 's/^/$ /'\n(cd {begin}\n{commands}\n)")
    if page in RUNS:
        lines.append(f"(cd {begin}; {RUNS[page]})")
    return "\n".join(lines) + "\n"


def mounts(scratch):
    """A directory that lies in one mounted before is overlaid as it is then seen: the order counts."""
    layers = scratch / "layers"
    layers.mkdir()
    # In memory: not every file system can be an overlay's upper one.
    lines = ["set -e", f"mount -t tmpfs tmpfs '{layers}'"]
    for number, directory in enumerate(OVERLAID):
        upper, work = layers / f"upper{number}", layers / f"work{number}"
        lines.append(f"mkdir '{upper}' '{work}'")
        lines.append(f"mount -t overlay overlay -o 'lowerdir={directory},upperdir={upper},workdir={work}' '{directory}'")
    return "\n".join(lines) + "\n"


def isolated():
    """What runs a command where mounts are its own: root needs no namespace of users."""
    return ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--map-root-user", "--mount"]


def run(path):
    with tempfile.TemporaryDirectory(prefix="larder-typed-") as directory:
        scratch = pathlib.Path(directory)
        count = blocks((TREE / path).read_text())[1]
        if count == 0:
            print(f"FAILED: {path}: nothing to type in it")
            return False
        (scratch / "script").write_text(mounts(scratch) + "exec bash " + str(scratch / "typed") + "\n")
        (scratch / "typed").write_text(script_of(path, scratch))
        ended = subprocess.run(
            [*isolated(), "bash", str(scratch / "script")],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
    if ended.returncode != 0:
        print(f"FAILED: {path}\n{ended.stdout}")
        return False
    if "--verbose" in sys.argv:
        print(ended.stdout)
    print(f"ok   {path}: {count} blocks")
    return True


def main():
    if shutil.which("unshare") is None or subprocess.run([*isolated(), "true"], capture_output=True, check=False).returncode != 0:
        print("SKIP: docs-test: this process may not make mounts of its own (root may)")
        return int(os.environ.get("LARDER_FORBID_SKIP", "0"))
    pages, missing = [path for path in sys.argv[1:] if not path.startswith("--")], False
    for path in list(pages):
        for tool in TOOLS.get(pathlib.Path(path).stem, []):
            if shutil.which(tool) is None:
                print(f"SKIP: docs-test: {path}: {tool} is not installed")
                missing = True
                pages.remove(path)
                break
    if missing and os.environ.get("LARDER_FORBID_SKIP") == "1":
        return 1
    results = [run(path) for path in pages]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
