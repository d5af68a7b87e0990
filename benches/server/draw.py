"""Draws what `rates.py --json` wrote: draw.py FILE.json writes FILE.svg beside it, and the table of a document between its marks
`<!--server-bench-->` and `<!--/server-bench-->`: draw.py FILE.json --document docs/server.md."""
import argparse
import json
import os
from xml.sax.saxutils import escape

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = {"redis": "#777777", "larder": "#0072B2", "nothing": "#E69F00"}
NAMES = {"redis": "redis-server", "larder": "larder serve", "nothing": "answers without looking"}
BAR, GAP, LEFT, WIDTH, TOP = 11, 11, 190, 470, 60


def short(value):
    return f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value / 1e3:.0f}k" if value >= 1e4 else f"{value / 1e3:.1f}k"


def draw(about, rows):
    """Bars of requests a second over the Unix socket, as the cheap client counts them; each setting has a scale of its own."""
    shown = [row for row in rows if row["client"] == "load" and row["socket"] == "unix"]
    height = TOP + len(shown) * (3 * BAR + GAP) + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 130} {height}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="#ffffff"/>',
           '<text x="10" y="20" font-size="15" font-weight="bold">Requests a second over a Unix socket, and larder serve : redis-server</text>']
    for n, (name, colour) in enumerate(COLOURS.items()):
        out.append(f'<rect x="{LEFT + 160 * n}" y="32" width="12" height="12" fill="{colour}"/><text x="{LEFT + 18 + 160 * n}" y="42">{NAMES[name]}</text>')
    for n, row in enumerate(shown):
        y = TOP + n * (3 * BAR + GAP)
        clients = f"{row['clients']} client{'s' if row['clients'] > 1 else ''}"
        label = f"{row['command'].upper()}{', always' if row['sync'] == 'always' else ''}, {clients}, ×{row['pipeline']}"
        out.append(f'<text x="{LEFT - 8}" y="{y + 2 * BAR - 2}" text-anchor="end">{escape(label)}</text>')
        bars = [name for name in COLOURS if name in row]
        longest = max(row[name]["rate"] for name in bars)
        for m, name in enumerate(bars):
            width = max(1, row[name]["rate"] / longest * WIDTH)
            text = short(row[name]["rate"]) + (f" ({row['ratio']:.2f})" if name == "larder" else "")
            out.append(f'<rect x="{LEFT}" y="{y + m * BAR}" width="{width:.1f}" height="{BAR - 2}" fill="{COLOURS[name]}"/>'
                       f'<text x="{LEFT + width + 5:.1f}" y="{y + m * BAR + 9}" font-size="10">{text}</text>')
    return "\n".join([*out, "</svg>", ""])


def table(about, rows):
    out = [f"{about['redis-server'].split(' sha')[0]}, {about['redis-benchmark']}, {about['larder']}, Linux {about['kernel']}, {about['processors']} processors, load average "
           f"{about['load_average']:.1f} before it; medians of {about['rounds']} rounds in which the servers alternate. Values of {about['value_bytes']} bytes, {about['keys']:,} keys. Started as:", ""]
    for sync, commands in about["settings"].items():
        out += [f"    {command}" for command in commands.values()]
    if any(row.get("others", 0) > 0.25 for row in rows):
        out += ["", "\\* Other programs had more than a quarter of a processor meanwhile."]
    out += ["", "| sync | socket | asked by | clients | pipeline | command | redis-server /s | larder /s | ratio | bound /s | p50 µs | p99 µs | processor µs |", "|---|---|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        redis, larder = row["redis"], row["larder"]
        bound = short(row["nothing"]["rate"]) if "nothing" in row else ""
        out.append(f"| {row['sync']} | {row['socket']} | {row['client']} | {row['clients']} | {row['pipeline']} | {row['command'].upper()} | {short(redis['rate'])} | {short(larder['rate'])} | **{row['ratio']:.2f}**{'*' if row.get('others', 0) > 0.25 else ''} | {bound} | "
                   f"{redis['p50_us']:.0f} : {larder['p50_us']:.0f} | {redis['p99_us']:.0f} : {larder['p99_us']:.0f} | {redis['cpu_us']:.2f} : {larder['cpu_us']:.2f} |")
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("json")
    parser.add_argument("--document")
    options = parser.parse_args()
    with open(options.json) as file:
        found = json.load(file)
    with open(os.path.splitext(options.json)[0] + ".svg", "w") as file:
        file.write(draw(found["about"], found["rows"]))
    if options.document:
        with open(options.document) as file:
            text = file.read()
        before, rest = text.split("<!--server-bench-->\n")
        after = rest.split("<!--/server-bench-->\n")[1]
        with open(options.document, "w") as file:
            file.write(f"{before}<!--server-bench-->\n{table(found['about'], found['rows'])}\n<!--/server-bench-->\n{after}")


main()
