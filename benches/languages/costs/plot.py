"""Draws the figures of `run`, "NAME get packed batch" a line, as bars: plot.py < figures > costs.svg."""
import sys
from xml.sax.saxutils import escape

WHAT = ("one get", "get, 32 to a call", "set, 32 to a batch")
COLOURS = ("#4477aa", "#66ccee", "#ccbb44")
BAR, GAP, LEFT, WIDTH, TOP = 14, 12, 120, 560, 56


def main():
    rows = [(name.replace(",", ", "), [float(each) for each in figures]) for name, *figures in map(str.split, sys.stdin)]
    longest = max(max(figures) for _, figures in rows)
    height = TOP + len(rows) * (3 * BAR + GAP) + 10
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 90} {height}" font-family="sans-serif" font-size="12">')
    print(f'<rect width="100%" height="100%" fill="#ffffff"/>\n<text x="10" y="20" font-size="14">Nanoseconds per key</text>')
    for n, (what, colour) in enumerate(zip(WHAT, COLOURS)):
        print(f'<rect x="{LEFT + 150 * n}" y="32" width="12" height="12" fill="{colour}"/><text x="{LEFT + 18 + 150 * n}" y="42">{what}</text>')
    for n, (name, figures) in enumerate(rows):
        y = TOP + n * (3 * BAR + GAP)
        print(f'<text x="{LEFT - 8}" y="{y + 2 * BAR}" text-anchor="end">{escape(name)}</text>')
        for m, (figure, colour) in enumerate(zip(figures, COLOURS)):
            width = max(1, figure / longest * WIDTH)
            print(f'<rect x="{LEFT}" y="{y + m * BAR}" width="{width:.1f}" height="{BAR - 2}" fill="{colour}"/>')
            print(f'<text x="{LEFT + width + 5:.1f}" y="{y + m * BAR + 10}" font-size="11">{figure:.0f}</text>')
    print("</svg>")


main()
