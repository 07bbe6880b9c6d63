# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draws docs/performance.svg: each measured ratio as a bar, with a line at 1 and a mark at its target."""

from html import escape

ROW = 18          # pixels a line
LEFT, WIDTH = 250, 480
LONGEST = 1.6     # the ratio at the right edge; a longer bar is cut, its figure is not
FONT = 'font-family="sans-serif" font-size="12"'
WITHIN, BEYOND = "#4a7fb5", "#c96f4a"

# As in docs/performance.md; the first prefix that fits counts. In a line in MB/s more is better.
TARGETS = (
    ("first_build/pv/zstd", 0.8), ("first_build/pvh/zstd", 0.8), ("first_build/pv/xz", 0.8),
    ("first_build/pvh/xz", 0.8), ("first_build/", 1.0),
    ("repeated_build/pv/zstd", 0.3), ("repeated_build/pvh/zstd", 0.3),
    ("repeated_build/pv/xz", 0.1), ("repeated_build/pvh/xz", 0.1),
    ("repeated_build/pv/lz4", 0.65), ("repeated_build/pvh/lz4", 0.65),
    ("uploaded_build/", 1.25), ("hash_three_banks", 1.15), ("upload_bandwidth", 0.5),
    ("scale_", 1.2),
)


def target(name):
    """The ratio that a line is meant to reach, or nothing."""
    return next((ratio for prefix, ratio in TARGETS if name.startswith(prefix)), None)


def reached(line):
    """Is the line's ratio as good as its target?"""
    wanted = target(line["name"])
    return line["ratio"] >= wanted if line["unit"] == "MB/s" else line["ratio"] <= wanted


def svg(lines):
    """The picture of those lines that have a target, as text."""
    shown = [line for line in lines if line["ratio"] is not None and target(line["name"])]
    height = ROW * (len(shown) + 2)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" height="{height}" {FONT}>',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{LEFT}" y="14">ashlar / peer; the mark is the target</text>']
    for number, line in enumerate(shown, 1):
        parts += _bar(line, number * ROW)
    parts.append(f'<line x1="{_x(1)}" x2="{_x(1)}" y1="{ROW}" y2="{height - ROW}" stroke="#888" '
                 'stroke-dasharray="3 3"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(ratio):
    return round(LEFT + min(ratio, LONGEST) / LONGEST * WIDTH, 1)


def _bar(line, top):
    ratio, mark = line["ratio"], _x(target(line["name"]))
    colour = WITHIN if reached(line) else BEYOND
    return [f'<text x="{LEFT - 6}" y="{top + 13}" text-anchor="end">{escape(line["name"])}</text>',
            f'<rect x="{LEFT}" y="{top + 3}" width="{round(_x(ratio) - LEFT, 1)}" height="{ROW - 6}" '
            f'fill="{colour}"/>',
            f'<line x1="{mark}" x2="{mark}" y1="{top + 1}" y2="{top + ROW - 1}" stroke="black"/>',
            f'<text x="{_x(ratio) + 4}" y="{top + 13}">{ratio:.2f}</text>']
