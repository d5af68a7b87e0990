"""Whether every program and command that a page shows is run by some test: accounted.py TYPED_PAGE…

A fenced block of a language counts as run if
- it is shell, and its page is among those that typed.py types;
- its page and language are given to tests/vectors/snippets.py by a rules.mk or a test's script, as `path:language`, or by the
  page's name for docs/languages;
- a comment before it names the file that it quotes, which a test of the tree compares (tests/tidy/quotations.rs);
- its page is made from the header (docs/c-api.md);
- it is a transcript, and its page is given to tests/server/transcript.py;
- <!-- not run: why --> stands before it.
"""

import pathlib
import re
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = {"target", "build", "node_modules", ".git", "env"}
NOT_PROGRAMS = {"", "text", "hex"}
LANGUAGES = {"js": "node"}


def pages():
    for path in sorted(TREE.rglob("*.md")):
        if not SKIPPED & set(path.relative_to(TREE).parts):
            yield str(path.relative_to(TREE)), path.read_text()


def callers():
    """What is given to snippets.py and transcript.py."""
    scripts = [TREE / "Makefile", *TREE.glob("*/*/rules.mk"), *TREE.glob("bindings/*/test.sh")]
    lines = [line for script in scripts for line in script.read_text().splitlines() if "snippets" in line or "transcript" in line]
    return set(re.findall(r"[\w./-]+(?::\w+)?", " ".join(lines).replace("snippets,", " ")))


def problems_of(path, text, typed, given):
    found, begin = [], None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if begin is not None:
            begin = None
            continue
        begin = number
        language = line[3:].split(" ")[0]
        language = LANGUAGES.get(language, language)
        before = lines[number - 1] if number else ""
        stem = pathlib.Path(path).stem
        if (
            language in NOT_PROGRAMS
            or re.fullmatch(r"<!-- (not run: .+|[\w./-]+\.\w+) -->", before)
            or (language == "sh" and path in typed)
            or f"{path}:{language}" in given
            or (path == f"docs/languages/{language}.md" and stem in given)
            or path == "docs/c-api.md"
            or (language == "console" and before == "<!--transcript-->" and path in given)
        ):
            continue
        found.append(f"{path}:{number + 1}: no test runs this {language}")
    return found


def self_test():
    block = "```{}\nx\n```\n"
    cases = [
        ("docs/a.md", block.format("c"), 1),
        ("docs/a.md", block.format("c") * 2 + block.format("text"), 2),
        ("docs/b.md", block.format("c"), 0),
        ("docs/b.md", block.format("go"), 1),
        ("docs/languages/c.md", block.format("c"), 0),
        ("docs/languages/c.md", block.format("js"), 1),
        ("docs/a.md", "<!-- not run: minutes -->\n" + block.format("sh"), 0),
        ("docs/a.md", "<!-- x.c -->\n" + block.format("c"), 0),
        ("docs/a.md", "<!-- a remark -->\n" + block.format("c"), 1),
        ("t.md", block.format("sh"), 0),
        ("u.md", block.format("sh"), 1),
        ("v.md", "<!--transcript-->\n" + block.format("console"), 0),
        ("u.md", "<!--transcript-->\n" + block.format("console"), 1),
    ]
    return [
        f"self-test: {case[:2]} has {len(found)} problems, not {case[2]}"
        for case in cases
        if len(found := problems_of(case[0], case[1], {"t.md"}, {"docs/b.md:c", "c", "v.md"})) != case[2]
    ]


def main():
    typed, given = set(sys.argv[1:]), callers()
    problems = self_test()
    for path, text in pages():
        problems += problems_of(path, text, typed, given)
    for problem in problems:
        print(f"FAILED: {problem}")
    print(f"{0 if problems else 1} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
