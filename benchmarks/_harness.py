"""What the benchmarks share: turns, tables, records.

A benchmark is a command that prints a table; with `--record` it writes
`benchmarks/results/NAME.json`, which lessons and `benchmarks/README.md` show. After a new record
run `python benchmarks/summary.py`.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def arguments_parser(doc, name=None):
    """A parser whose help is the first line of a benchmark's docstring.

    Args:
        doc: the module's `__doc__`.
        name: the result that `--record` writes; None for a benchmark that records nothing.
    """
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    if name:
        parser.add_argument("--record", action="store_true", help=f"write results/{name}.json")
    return parser


def in_turns(calls, repeats, warm_up=2):
    """Seconds of each call, their repeats interleaved so that a slow moment falls on all of them.

    Args:
        calls: {name: function without arguments}.
        repeats: how many times each is timed.
        warm_up: calls of each before, which compile.

    Returns:
        {name: [seconds of each repeat]}
    """
    seconds = {name: [] for name in calls}
    for repeat in range(repeats + warm_up):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if repeat >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(seconds):
    """{name: median of its seconds}."""
    return {name: statistics.median(values) for name, values in seconds.items()}


def print_table(title, columns, rows, width=100):
    """Prints rows under columns; the first column is text, the rest stands to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*map(str, row))
    Console(width=width).print(table)


def read(name):
    """A recorded result, or None."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def record(name, result, command=None, hardware=None):
    """Writes a result, whole or not at all, with the command and the machine that made it.

    Args:
        name: the file's name without `.json`.
        result: a dict of plain values; its own "command" and "hardware" win.
        command: how it was made; this process's own command line if None.
        hardware: the machine in a line; this one's if None.

    Returns:
        The path.
    """
    from course import runtime

    told = {
        "command": command or " ".join(["python", *_relative(sys.argv)]),
        "hardware": hardware or runtime.hardware(),
    }
    path = RESULTS / f"{name}.json"
    text = json.dumps(told | result, indent=1, ensure_ascii=False) + "\n"
    runtime.write_atomically(path, text.encode())
    print(f"written to benchmarks/results/{path.name}; next: python benchmarks/summary.py")
    return path


def _relative(words):
    first = Path(words[0])
    return [f"benchmarks/{first.name}", *words[1:]]
