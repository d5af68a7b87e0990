"""The C functions as a page, as a manual page and as Debian's list of symbols, from include/larder.api.json.

    reference.py            fails if a committed page is not what the file says; LARDER_BLESS=1 writes all anew

larder.api.json is made from the header, and the header from src/ffi, so there is one source for all of it. The order is the
header's; SECTIONS only says where a heading stands.
"""

import json
import os
import pathlib
import re
import sys

TREE = pathlib.Path(__file__).resolve().parents[1]
API = json.loads((TREE / "include" / "larder.api.json").read_text())

# A section goes from the function named to the next section's.
SECTIONS = {
    "larder_status_name": "Errors",
    "larder_options_new": "Options",
    "larder_open": "Open and close",
    "larder_set": "One key",
    "larder_len": "The whole store",
    "larder_cursor_open": "All keys",
    "larder_write_packed": "Many at once",
    "larder_get_view": "Zero copy",
    "larder_version_number": "About the library",
}
OUTPUTS = {
    "docs/c-api.md": lambda: page(),
    "packaging/larder.3": lambda: manual(),
    "packaging/debian/liblarder0.symbols": lambda: debian_symbols(),
}


def spaced(kind):
    """A type as it stands before a name."""
    return kind if kind.endswith("*") else kind + " "


def declaration(function, width=100):
    """The function's declaration, in lines no longer than `width`."""
    head = f"{spaced(function['returns'])}{function['name']}("
    parameters = [spaced(each["type"]) + each["name"] for each in function["parameters"]] or ["void"]
    lines = [head]
    for number, parameter in enumerate(parameters):
        text = parameter + (");" if number == len(parameters) - 1 else ",")
        if len(lines[-1]) + len(text) + 1 > width:
            lines.append(" " * len(head))
        lines[-1] += text if lines[-1].endswith("(") or lines[-1].isspace() else " " + text
    return "\n".join(lines)


def member(field):
    """A struct's field, with an array's length behind its name."""
    kind, bracket, length = field["type"].partition("[")
    return f"{spaced(kind)}{field['name']}{bracket}{length};"


def sections():
    """(title, functions), in the header's order."""
    found = []
    for function in API["functions"]:
        if function["name"] in SECTIONS or not found:
            found.append((SECTIONS.get(function["name"], "Functions"), []))
        found[-1][1].append(function)
    return found


def anchor(name):
    return f"[`{name}`](#{name})"


def linked(text):
    """Names of functions and types lead to where they are described."""
    names = {each["name"] for part in ("functions", "structs", "types") for each in API[part]}
    text = re.sub(r"`(larder\w*)`", lambda match: anchor(match[1]) if match[1] in names else match[0], text)
    parts = re.split(r"(```.*?```)", text, flags=re.DOTALL)
    return "".join(part if part.startswith("```") else part.replace("<=", "≤") for part in parts)


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows])


def page():
    """docs/c-api.md."""
    out = [
        "# The C functions",
        f"""Made from `include/larder.api.json` by `make reference`, and that from the header: this page is `larder.h` of version
{API['version']}, ABI {API['abi']}, in another form. The conventions that hold for all of it stand at the top of
[`larder.h`](../include/larder.h); [`docs/languages/c.md`](languages/c.md) is the guide with a program.""",
    ]
    for title, functions in sections():
        out.append(f"**{title}.** " + " · ".join(anchor(function["name"]) for function in functions))
    out.append("**Types.** " + " · ".join(anchor(each["name"]) for each in API["types"] + API["structs"]))
    out.append("## Statuses")
    out.append("0 is done, 1 to 99 are expected outcomes, 100 and up are failures. Numbers are never used again for something else.")
    rows = [(str(each["number"]), f"`{each['name']}`", linked(each["doc"])) for each in API["statuses"]]
    out.append(table(("", "status", "means"), rows))
    out.append("## Options")
    out.append(table(("option", "means"), [(f"`{each['name']}`", linked(each["doc"])) for each in API["options"]]))
    out.append("## Other constants")
    rows = [(f"`{each['name']}`", str(each["value"]), linked(each["doc"])) for each in API["constants"]]
    out.append(table(("constant", "value", "means"), rows))
    out.append("## Types")
    for each in API["types"]:
        out += [f"### {each['name']}", linked(each["doc"])]
    for each in API["structs"]:
        out += [f"### {each['name']}", linked(each["doc"])]
        out.append(table(("field", "means"), [(f"`{member(field)}`", linked(field["doc"])) for field in each["fields"]]))
    for title, functions in sections():
        out.append(f"## {title}")
        for function in functions:
            out += [f"### {function['name']}", "```c\n" + declaration(function) + "\n```", linked(function["doc"])]
            facts = [f"- **Threads**: {linked(function['threads'])}.", f"- **Blocks**: {linked(function['blocks'])}."]
            if function["statuses"]:
                facts.append("- **Returns**: " + ", ".join(f"`{status}`" for status in function["statuses"]) + ".")
            if function["safety"]:
                facts.append(f"- **Pointers**: {linked(function['safety'])}")
            facts.append(f"- **Since**: {function['since']}.")
            out.append("\n".join(facts))
    return "\n\n".join(out) + "\n"


def roff(text):
    """Text for man(7): what it would read as an instruction is escaped, what is in backquotes is bold."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"`([^`\n]+)`", r"\\fB\1\\fR", text)
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.split("\n"))


def paragraphs(text):
    out = []
    for part in re.split(r"\n\n(?=```)|(?<=```)\n\n|\n\n", text):
        if part.startswith("```"):
            out.append(".nf\n" + roff("\n".join(part.split("\n")[1:-1])) + "\n.fi")
        else:
            out.append(roff(part).replace("\n\\- ", "\n.br\n\\- "))
    return "\n.sp\n".join(out)


def manual():
    """packaging/larder.3."""
    names = ["larder"] + [function["name"] for function in API["functions"]]
    out = [
        '.\\" Made from include/larder.api.json by `make reference`.',
        f'.TH LARDER 3 "" "larder {API["version"]}" "Library Functions"',
        ".SH NAME",
        ", ".join(names) + " \\- an embedded key\\-value store",
        ".SH SYNOPSIS",
        ".nf",
        ".B #include <larder.h>",
        ".sp",
    ]
    for _, functions in sections():
        out += [roff(declaration(function, 76)) for function in functions] + [".sp"]
    out += [
        ".fi",
        "Link with \\fB\\-llarder\\fR, or with what \\fBpkg\\-config \\-\\-libs larder\\fR says.",
        ".SH DESCRIPTION",
        "A store is a directory. Keys and values are any bytes, given as a pointer and a length.",
        "Calls that can fail return a \\fBlarder_status\\fR; their last parameter is a \\fBlarder_error\\fR that the",
        "caller owns, or NULL. Handles may be closed in any order.",
        "The header has what each pointer must be and who owns it; below is what each function does.",
    ]
    for title, functions in sections():
        out.append(f".SS {roff(title)}")
        for function in functions:
            out += [".TP", f".BR {function['name']} ()", paragraphs(function["doc"])]
    out.append(".SH RETURN VALUE")
    for each in API["statuses"]:
        out += [".TP", f".BR {each['name']} \" ({each['number']})\"", roff(each["doc"])]
    out.append(".SH OPTIONS")
    for each in API["options"]:
        out += [".TP", f".B {each['name']}", roff(each["doc"])]
    out += [
        ".SH EXAMPLES",
        ".nf",
        roff((TREE / "examples" / "c" / "hello.c").read_text().rstrip()),
        ".fi",
        ".SH SEE ALSO",
        "The header \\fIlarder.h\\fR, which documents each function with owner, lifetime, threads and statuses.",
    ]
    return "\n".join(out) + "\n"


def debian_symbols():
    """Which version of the package a program needs that uses a function."""
    lines = [f"liblarder.so.{API['abi']} liblarder{API['abi']} #MINVER#"]
    return "\n".join(lines + sorted(f" {each['name']}@Base {each['since']}" for each in API["functions"])) + "\n"


def main():
    failed = 0
    for path, make in OUTPUTS.items():
        fresh = make()
        if os.environ.get("LARDER_BLESS") == "1":
            (TREE / path).write_text(fresh)
        committed = (TREE / path).read_text() if (TREE / path).is_file() else ""
        if committed == fresh:
            print(f"ok   {path}")
        else:
            failed += 1
            print(f"FAILED: {path} is stale; make reference writes it anew")
    missing = set(SECTIONS) - {function["name"] for function in API["functions"]}
    if missing:
        failed += 1
        print(f"FAILED: sections begin at functions that are not there: {sorted(missing)}")
    print(f"{len(OUTPUTS) + 1 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
