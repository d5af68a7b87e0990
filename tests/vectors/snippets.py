"""Compiles and runs what pages show: the blocks of one language on a page, one after the other, are one program.

    snippets.py PAGE…       c, cpp, go, python, node, java: docs/languages/<page>.md; docs/x.md:c: the C of another page;
                            prints "N passed, M failed"

A block counts if it is fenced with the page's language; one with <!-- not run: why --> before it does not. The frames
below are what a page leaves out: includes, main, and two functions that check. Each program runs in a directory of its
own. What a program needs is in the environment: LIB_DIR, and JAVA_HOME, PYTHON, JAVA_CLASSPATH where a page is about those.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[2]
LIB_DIR = pathlib.Path(os.environ.get("LIB_DIR", TREE / "target" / "release")).resolve()
LINK = [f"-L{LIB_DIR}", "-llarder", f"-Wl,-rpath,{LIB_DIR}"]
FENCES = {"c": "c", "cpp": "cpp", "go": "go", "python": "python", "node": "js", "java": "java"}

FRAMES = {
    "c": '#include "larderx.h"\n#undef NDEBUG\n#include <assert.h>\nint main(void) {\n%s\nreturn 0;\n}\n',
    "cpp": '#include "larder.hpp"\n#undef NDEBUG\n#include <cassert>\n#include <iostream>\nint main() {\n%s\n}\n',
    "go": """package main
import ("errors"; "fmt"; "log"; "time"; larder "larder.dev/go")
var _, _, _, _ = errors.Is, fmt.Sprint, log.Fatal, time.Second
func must(err error) { if err != nil { log.Fatal(err) } }
func check(holds bool) { if !holds { panic("it does not hold") } }
func main() {
%s
}
""",
    "python": "%s",
    "node": "%s",
    "java": """import static java.nio.charset.StandardCharsets.UTF_8;
import dev.larder.*;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.*;
class Program {
    static void check(boolean holds) { if (!holds) throw new AssertionError("it does not hold"); }
    public static void main(String[] arguments) throws Exception {
%s
    }
}
""",
}


def blocks_of(page, text):
    """The page's blocks, joined."""
    pattern = rf"(<!-- not run: [^\n]+-->\n)?```{FENCES[page]}\n(.*?)```"
    return "".join(code for skipped, code in re.findall(pattern, text, re.DOTALL) if not skipped)


def commands(page, scratch):
    """What compiles the program in `scratch` and runs it."""
    warnings = ["-Wall", "-Wextra", "-Werror", "-g", f"-I{TREE}/include", "-fsanitize=address,undefined"]
    if page == "c":
        yield [os.environ.get("CC", "cc"), "-std=c11", *warnings, f"-I{TREE}/bindings/c", "program.c", "-o", "program", *LINK]
        yield ["./program"]
    elif page == "cpp":
        yield [os.environ.get("CXX", "c++"), "-std=c++17", *warnings, f"-I{TREE}/bindings/cpp", "program.cpp", "-o", "program", *LINK]
        yield ["./program"]
    elif page == "go":
        (scratch / "go.mod").write_text(
            f"module example.org/program\n\ngo 1.25\n\nrequire larder.dev/go v0.0.0\n\nreplace larder.dev/go => {TREE}/bindings/go\n"
        )
        yield [os.environ.get("GO", "go"), "run", "."]
    elif page == "python":
        yield [os.environ.get("PYTHON", sys.executable), "program.py"]
    elif page == "node":
        (scratch / "node_modules").mkdir()
        (scratch / "node_modules" / "larder").symlink_to(TREE / "bindings" / "node")
        yield ["node", "program.js"]
    elif page == "java":
        java, classes = os.environ["JAVA_HOME"] + "/bin/java", os.environ["JAVA_CLASSPATH"]
        yield [java + "c", "-cp", classes, "Program.java"]
        yield [java, "--enable-native-access=ALL-UNNAMED", "-cp", f"{classes}:.", "Program"]


def run(argument):
    """Whether the page's program compiles and runs."""
    path, _, page = argument.rpartition(":")
    path = path or f"docs/languages/{page}.md"
    code = blocks_of(page, (TREE / path).read_text())
    if code.count("\n") < 2:
        print(f"FAILED: {path}: no program in it")
        return False
    name = {"java": "Program.java", "go": "main.go", "node": "program.js", "python": "program.py"}.get(page, f"program.{page}")
    environment = {**os.environ, "LARDER_LIBRARY": str(LIB_DIR / "liblarder.so")}
    with tempfile.TemporaryDirectory(prefix="larder-snippets-") as directory:
        scratch = pathlib.Path(directory)
        (scratch / name).write_text(code if page in ("python", "node") or "int main(" in code else FRAMES[page] % code)
        for command in commands(page, scratch):
            ended = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, timeout=180)
            if ended.returncode != 0:
                print(f"FAILED: {path}, {page}: {' '.join(command[:3])}\n{ended.stdout}{ended.stderr}")
                return False
    print(f"ok   {path}, {page}")
    return True


def main():
    results = [run(page) for page in sys.argv[1:]]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
