# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the benchmarks, native ones and builds on real Xen, and prints one line for each, with the ratio to its peer.

A benchmark of ashlar-bench is named LINE/ashlar, or LINE/peer… for what it is compared with: of several peers the
slowest counts. docs/performance.md says what each line means.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT)]

import host  # noqa: E402 (needs the path above, as the next ones)
import plot  # noqa: E402
from appliance import qemu, repack  # noqa: E402
from appliance.kernels import kernel  # noqa: E402

OUT = ROOT / "out" / "bench"
PLOT = ROOT / "docs" / "performance.svg"
SECONDS_EACH = "0.2"
REPETITIONS = 6  # in mixed order; the best counts: what disturbs a run only ever makes it longer
SAMPLE_SECONDS_EACH, SAMPLE_REPETITIONS = "0.05", 1
BUSY_LOAD = 1.5

# Line -> (unit, what it is compared with). The lines of a prefix share it.
LINES = {
    "hash_three_banks": ("ms/GB", "the slowest bank alone, OpenSSL"),
    "hash_two_cores": ("ms/GB", "one thread alone"),
    "image_intake": ("MB/s", "memcpy"),
    "inspect_": ("ms", "the decompressor's library alone"),
    "policy_": ("us", None),
    "record_": ("us", None),
    "ledger_": ("us", "the same with 100 records"),
    "control_round_trip": ("us", "the same bytes by read and write"),
    "data_round_trip": ("us", "the same bytes by read and write"),
    "journal_append": ("us", None),
}
ROW = "{:<34} {:>6} {:>10} {:>10} {:>7}  {}"
SECONDS_PER = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}


def main():
    """Measures, prints each line as it is known, writes the JSON."""
    arguments = parse_arguments()
    if os.getloadavg()[0] > BUSY_LOAD:
        print(f"the machine was busy in the last minute (load {os.getloadavg()[0]:.1f}, perhaps the build "
              "itself): trust the ratios, not the times", file=sys.stderr)
    print_head()
    lines = []
    for line in measured(arguments):
        print_line(line)
        lines.append(line)
        if arguments.json:  # also of a run that does not come to its end
            write_json(arguments.json, lines)
    print("\nratio = ashlar / peer. Lower is better; in lines in MB/s, higher is.")
    if not arguments.only and arguments.extent != "sample":
        PLOT.write_text(plot.svg(lines))


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, type=Path, help="Meson's build folder")
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help='write [{"name","unit","ashlar","peer","ratio"}, …] as well')
    extents = parser.add_mutually_exclusive_group()
    extents.add_argument("--short", dest="extent", action="store_const", const="short", default="full",
                         help="on Xen, leave out other sizes of guests and images")
    extents.add_argument("--sample", dest="extent", action="store_const", const="sample",
                         help="only show that all of it works: short measurements, few builds, no picture")
    parser.add_argument("--only", choices=("native", "xen"), help="one half")
    return parser.parse_args()


def measured(arguments):
    """Gives the lines one by one."""
    if arguments.only != "xen":
        program = arguments.build / "test" / "bench" / "ashlar-bench"
        yield from collect(measure(program, kernels(), arguments.extent == "sample"))
    if arguments.only != "native":
        yield from on_xen(arguments.build.resolve(), arguments.extent)


def write_json(path, lines):
    """The lines for other programs."""
    keys = ("name", "unit", "ashlar", "peer", "ratio")
    rows = [{key: line[key] for key in keys} for line in lines]
    path.write_text(json.dumps(rows, indent=1) + "\n")


def kernels():
    """NAME=FILE for Debian's kernel in every compression; none when it was never fetched."""
    OUT.mkdir(parents=True, exist_ok=True)
    try:
        source = kernel("6.1-cloud").image
    except SystemExit as absent:
        print(f"no kernel is inspected: {absent}", file=sys.stderr)
        return []
    return [f"{name}={path}" for name, path in repack.all_payloads(source, OUT).items()]


def measure(program, images, sample):
    """The benchmarks as Google Benchmark reports them; any that failed ends the run."""
    report = OUT / "report.json"
    seconds, repetitions = (SAMPLE_SECONDS_EACH, SAMPLE_REPETITIONS) if sample else (SECONDS_EACH, REPETITIONS)
    ran = subprocess.run([program, f"--benchmark_min_time={seconds}",
                          f"--benchmark_repetitions={repetitions}",
                          "--benchmark_enable_random_interleaving=true", f"--benchmark_out={report}",
                          "--benchmark_out_format=json", *images],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if ran.returncode != 0:
        raise SystemExit(f"{program.name} ended with {ran.returncode}: {ran.stderr.strip()}")
    benchmarks = json.loads(report.read_text())["benchmarks"]
    failed = [f"{each['name']}: {each['error_message']}" for each in benchmarks
              if each.get("error_occurred")]
    if failed:
        raise SystemExit("these benchmarks failed:\n" + "\n".join(dict.fromkeys(failed)))
    return [each for each in benchmarks if each["run_type"] == "iteration"]


def collect(benchmarks):
    """One line for each name, in the order of LINES."""
    best = {}
    for each in sorted(benchmarks, key=lambda each: -in_seconds(each)):
        name, side = each["name"].split("/")[:2]
        best.setdefault(name, {})[side] = each
    return [line_of(name, sides) for name, sides in sorted(best.items(), key=by_line)]


def by_line(item):
    """Where a line stands in the table; within its group, by its length and then its name."""
    name = item[0]
    return next(at for at, prefix in enumerate(LINES) if name.startswith(prefix)), len(name), name


def line_of(name, sides):
    """Ashlar's figure and its peer's in the line's unit."""
    unit, against = next(value for prefix, value in LINES.items() if name.startswith(prefix))
    ashlar = figure(sides["ashlar"], unit)
    peers = [each for side, each in sides.items() if side.startswith("peer")]
    peer = figure(max(peers, key=in_seconds), unit) if peers else None
    return {"name": name, "unit": unit, "ashlar": rounded(ashlar), "peer": rounded(peer),
            "ratio": None if peer is None else round(ashlar / peer, 3),
            "against": against if peers else None}


def on_xen(build, extent):
    """Gives the lines of the builds on a machine in QEMU."""
    if reason := qemu.available():
        raise SystemExit(f"no machine to build on: {reason}; --only native leaves that out")
    for name, unit, ashlar, peer, against in host.run(build, extent):
        yield {"name": name, "unit": unit, "ashlar": rounded(ashlar), "peer": rounded(peer),
               "ratio": round(ashlar / peer, 3), "against": against}


def in_seconds(benchmark):
    """Wall-clock time of one iteration."""
    return benchmark["real_time"] * SECONDS_PER[benchmark["time_unit"]]


def figure(benchmark, unit):
    """Wall-clock time of one iteration (or one item of it), or a rate, in the line's unit."""
    seconds = in_seconds(benchmark)
    if unit == "MB/s":
        return benchmark["bytes"] / 1e6 / seconds
    if unit == "ms/GB":
        return seconds / SECONDS_PER["ms"] / (benchmark["bytes"] / 1e9)
    return seconds / SECONDS_PER[unit] / benchmark.get("items", 1)


def rounded(number):
    """Four significant digits: more would be noise."""
    return None if number is None else float(f"{number:.4g}")


def print_head():
    """The table's first line."""
    print(ROW.format("", "unit", "ashlar", "peer", "ratio", "peer is"), flush=True)


def print_line(line):
    """For people."""
    print(ROW.format(line["name"], line["unit"], f"{line['ashlar']:g}",
                     "-" if line["peer"] is None else f"{line['peer']:g}",
                     "-" if line["ratio"] is None else f"{line['ratio']:.2f}",
                     line["against"] or "-").rstrip(), flush=True)


if __name__ == "__main__":
    main()
