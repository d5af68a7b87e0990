"""Whether every binding has every function of the header, or names it with a reason; and whether the vectors use all.

    parity.py            prints the table and "N passed, M failed"
    LARDER_BLESS=1       writes docs/languages/parity.md anew

The functions are those of include/larder.api.json. A binding has a function if its sources, comments left out, name it;
what it leaves out is in parity.json with the reason. A function that is in neither fails, one that is in both too, and
so does a reason for a function that does not exist. `parity.py --self-test` shows that each of these is found.
"""

import json
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
TABLE = TREE / "docs" / "languages" / "parity.md"


def code_of(patterns):
    """The sources without comments and docstrings."""
    text = ""
    for pattern in patterns:
        found = sorted(TREE.glob(pattern))
        if not found:
            raise SystemExit(f"parity.json names {pattern}, which is not there")
        for path in found:
            source = path.read_text()
            if path.suffix == ".py":
                source = re.sub(r'"""(?s:.*?)"""|#[^\n]*', "", source)
            elif path.name == "bridge.go":
                # What stands in the comment before `import "C"` is C.
                source = re.sub(r"//[^\n]*", "", source)
            else:
                source = re.sub(r"/\*(?s:.*?)\*/|//[^\n]*", "", source)
            if path.name == "addon.h":
                source += " ".join("larder_" + name for name in re.findall(r"\beach\((\w+)\)", source))
            text += source
    return text


def problems_of(functions, names_in, left_out, verbs, used_verbs, without_vectors):
    """What is wrong, as sentences. `names_in` is each language's set of names, `left_out` its reasons; `without_vectors`
    says of functions that no vector can be about why."""
    problems = []
    for language, names in names_in.items():
        reasons = left_out[language]
        for function in functions:
            if function in names and function in reasons:
                problems.append(f"{language} has {function}, and says why it has not")
            if function not in names and not reasons.get(function):
                problems.append(f"{language} has no {function}, and says not why")
        for function in sorted(set(reasons) - set(functions)):
            problems.append(f"{language} leaves out {function}, which is no function of the header")
    for verb in sorted(used_verbs - set(verbs)):
        problems.append(f"the vectors use {verb}, which parity.json does not know")
    for verb in sorted(set(verbs) - used_verbs):
        problems.append(f"no vector uses {verb}")
    covered = {function for verb in used_verbs for function in verbs.get(verb, [])}
    for function in functions:
        if function in covered and function in without_vectors:
            problems.append(f"a vector is about {function}, and parity.json says why not")
        if function not in covered and not without_vectors.get(function):
            problems.append(f"no vector is about {function}")
    for function in sorted(set(without_vectors) - set(functions)):
        problems.append(f"{function} has no vectors, and is no function of the header")
    return problems


def table_of(functions, names_in, left_out, verbs, without_vectors):
    """The table as a page."""
    languages = list(names_in)
    lines = [
        "# Which language has which function",
        "",
        "Made by `LARDER_BLESS=1 make parity` from `include/larder.api.json`, the bindings' sources and",
        "`tests/vectors/parity.json`; a test fails when this page is not what they say. The vectors of a function are the",
        "verbs of [`tests/vectors`](../../tests/vectors/README.md) that call it.",
        "",
        "| function | vectors | " + " | ".join(languages) + " |",
        "|---|---|" + "---|" * len(languages),
    ]
    notes = []
    for function in functions:
        cells = []
        for language in languages:
            if function in names_in[language]:
                cells.append("yes")
                continue
            reason = left_out[language].get(function, "?")
            if reason not in notes:
                notes.append(reason)
            cells.append(f"no <sup>{notes.index(reason) + 1}</sup>")
        using = ", ".join(verb for verb, called in verbs.items() if function in called)
        if function in without_vectors:
            reason = without_vectors[function]
            if reason not in notes:
                notes.append(reason)
            using = f"none <sup>{notes.index(reason) + 1}</sup>"
        lines.append(f"| `{function}` | {using} | " + " | ".join(cells) + " |")
    lines += [""] + [f"{number}. {reason}." for number, reason in enumerate(notes, 1)]
    return "\n".join(lines) + "\n"


def self_test():
    """Each kind of difference is found, and an agreement is none."""
    functions, verbs = ["larder_a", "larder_b"], {"a": ["larder_a"], "b": ["larder_b"]}
    good = (functions, {"X": {"larder_a"}}, {"X": {"larder_b": "why"}}, verbs, {"a", "b"}, {})
    assert problems_of(*good) == []
    bad = [
        (0, ["larder_a", "larder_b", "larder_c"], "X has no larder_c"),
        (1, {"X": {"larder_a", "larder_b"}}, "X has larder_b, and says why"),
        (2, {"X": {"larder_b": ""}}, "X has no larder_b"),
        (2, {"X": {"larder_b": "why", "larder_z": "why"}}, "larder_z, which is no function"),
        (4, {"a", "b", "z"}, "use z"),
        (4, {"a"}, "no vector is about larder_b"),
        (5, {"larder_b": "why"}, "a vector is about larder_b"),
        (5, {"larder_z": "why"}, "larder_z has no vectors"),
    ]
    for at, value, wanted in bad:
        changed = list(good)
        changed[at] = value
        found = problems_of(*changed)
        assert any(wanted in problem for problem in found), (wanted, found)
    print(f"{len(bad) + 1} passed, 0 failed")


def main():
    config = json.loads((HERE / "parity.json").read_text())
    api = json.loads((TREE / "include" / "larder.api.json").read_text())
    functions = [function["name"] for function in api["functions"]]
    names_in, left_out = {}, {}
    for language, entry in config["languages"].items():
        names_in[language] = set(re.findall(r"\blarder_\w+", code_of(entry["sources"]))) & set(functions)
        left_out[language] = entry["left_out"]
    used_verbs = set()
    with open(HERE / "vectors.jsonl") as lines:
        for line in filter(str.strip, lines):
            used_verbs |= {step} if (step := json.loads(line).get("do")) else set()

    table = table_of(functions, names_in, left_out, config["verbs"], config["without_vectors"])
    if os.environ.get("LARDER_BLESS") == "1":
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(table)
    problems = problems_of(functions, names_in, left_out, config["verbs"], used_verbs, config["without_vectors"])
    if not TABLE.is_file() or TABLE.read_text() != table:
        problems.append("docs/languages/parity.md is stale: LARDER_BLESS=1 make parity")
    width = max(map(len, functions))
    print(" " * width, *names_in, sep="  ")
    for function in functions:
        marks = ("yes" if function in names else "-" for names in names_in.values())
        print(function.ljust(width), *(mark.ljust(len(name)) for mark, name in zip(marks, names_in)), sep="  ")
    for problem in problems:
        print(f"FAILED: {problem}")
    print(f"{len(functions) * len(names_in) - len(problems)} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    else:
        sys.exit(main())
