"""Takes out or inverts one line or condition of the model code at a time, and asks the tests.

    python tests/mutants.py [--count 160] [--seed 0] [--only attention kernels]
                            [--record FILE.json] [--list]

A mutant is a copy of one module with one change: a comparison inverted, + for -, a condition that
always holds, a number moved by one, a statement left out. The tests of that module run until one
fails: then the mutant is caught. What survives is printed with its line. Runs on JAX, and without
torch and transformers (`-m "not parity"`), as a public clone does. `EQUIVALENT` names the changes
that change nothing that can be observed, each with the reason; they count neither way.

Every mutant is a fork of one process that has imported Keras already, and reads the changed module
from memory: the working tree stays as it is.
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import importlib.machinery
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 900  # seconds of a mutant's tests; one that never ends is caught

# Modules, and the tests that are about them, those that take least first.
TESTS = {
    "attention": ["test_attention.py"],
    "positions": ["test_positions.py"],
    "kernels": ["test_kernels.py", "test_optimizers.py"],
    "transformer": ["test_layer_contract.py", "test_transformer.py"],
    "translation/loss": ["test_translation.py"],
    "training/schedules": ["test_training.py"],
    "training/optimizers": ["test_optimizers.py"],
    "decoding": ["test_decoding.py"],
    "pretraining/encoder": ["test_layer_contract.py", "test_pretraining.py"],
    "pretraining/heads": ["test_layer_contract.py", "test_pretraining.py"],
    "pretraining/masking": ["test_pretraining.py"],
    "pretraining/examples": ["test_pretraining.py"],
    "fine_tuning/classifier": ["test_layer_contract.py", "test_fine_tuning.py"],
    "fine_tuning/metrics": ["test_fine_tuning.py"],
    "fine_tuning/examples": ["test_fine_tuning.py"],
    "tokens": ["test_tokens.py"],
}

# {(file, line as it stands, change): why no test can see it}
EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "course/kernels/selection.py",
        "if width < 4:",
        "always false",
    ): "a narrow row goes through blocks too, only slower",
    (
        "course/decoding/batch.py",
        "FIRST_ROOM = 16",
        "16 → 17",
    ): "the cache starts a little longer",
}

COMPARISONS = {
    ast.Lt: (ast.GtE, ">="),
    ast.LtE: (ast.Gt, ">"),
    ast.Gt: (ast.LtE, "<="),
    ast.GtE: (ast.Lt, "<"),
    ast.Eq: (ast.NotEq, "!="),
    ast.NotEq: (ast.Eq, "=="),
    ast.Is: (ast.IsNot, "is not"),
    ast.IsNot: (ast.Is, "is"),
    ast.In: (ast.NotIn, "not in"),
    ast.NotIn: (ast.In, "in"),
}
ARITHMETIC = {
    ast.Add: (ast.Sub, "-"),
    ast.Sub: (ast.Add, "+"),
    ast.Mult: (ast.Div, "/"),
    ast.Div: (ast.Mult, "*"),
    ast.FloorDiv: (ast.Mult, "*"),
    ast.Mod: (ast.Add, "+"),
    ast.Pow: (ast.Mult, "*"),
}
# Functions of which one stands in for the other.
TWINS = {
    "logical_and": "logical_or",
    "logical_or": "logical_and",
    "minimum": "maximum",
    "maximum": "minimum",
    "equal": "not_equal",
    "not_equal": "equal",
    "cos": "sin",
    "sin": "cos",
    "sum": "mean",
    "mean": "sum",
    "max": "min",
    "argmax": "argmin",
    "rsqrt": "sqrt",
    "sqrt": "square",
}


@dataclass
class Mutant:
    """One change of one module.

    Args:
        path: the module's file, from the repository's root.
        line: its line's number.
        text: that line.
        change: what is done to it.
        source: the whole changed module.
        tests: the files of tests that have to catch it.
    """

    path: str
    line: int
    text: str
    change: str
    source: str
    tests: list[str]
    result: str = ""
    seconds: float = 0.0


class Changes(ast.NodeVisitor):
    """Collects (node, replacement text, description) of a module, outside of what only speaks."""

    def __init__(self, source: str):
        self.source, self.found = source, []

    def text(self, node):
        return ast.get_source_segment(self.source, node)

    def add(self, node, replacement, change):
        self.found.append((node, replacement, change))

    def with_operator(self, node, operator, sign):
        was = getattr(node, "op", None) or node.ops[0]
        fields = {"op": operator()} if hasattr(node, "op") else {"ops": [operator()]}
        changed = type(node)(**{**dict(ast.iter_fields(node)), **fields})
        signs = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
        signs |= {ast.FloorDiv: "//", ast.Mod: "%", ast.And: "and", ast.Or: "or"}
        signs |= {kind: known for _, (kind, known) in COMPARISONS.items()}
        self.add(node, f"({ast.unparse(changed)})", f"{signs[type(was)]} → {sign}")

    def visit_Raise(self, node):
        self.add(node, "pass", "left out")  # its message only speaks

    def visit_JoinedStr(self, node):
        pass

    def visit_arguments(self, node):
        for default in (*node.defaults, *filter(None, node.kw_defaults)):
            self.visit(default)

    def visit_AnnAssign(self, node):
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node):
        for each in (node.args, *node.body):
            self.visit(each)

    def visit_ClassDef(self, node):
        for each in node.body:
            self.visit(each)

    def visit_Compare(self, node):
        if len(node.ops) == 1:
            self.with_operator(node, *COMPARISONS[type(node.ops[0])])
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        other = (ast.Or, "or") if isinstance(node.op, ast.And) else (ast.And, "and")
        self.with_operator(node, *other)
        self.generic_visit(node)

    def visit_BinOp(self, node):
        strings = any(
            isinstance(side, ast.JoinedStr)
            or (isinstance(side, ast.Constant) and isinstance(side.value, str))
            for side in (node.left, node.right)
        )
        if type(node.op) in ARITHMETIC and not strings:
            self.with_operator(node, *ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.Not | ast.USub | ast.Invert):
            self.add(node, self.text(node.operand), "sign or not left out")
        self.generic_visit(node)

    def visit_If(self, node):
        for value in (True, False):
            self.add(node.test, str(value), f"always {str(value).lower()}")
        self.generic_visit(node)

    def visit_IfExp(self, node):
        for value in (True, False):
            self.add(node.test, str(value), f"always {str(value).lower()}")
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, bool):
            self.add(node, str(not node.value), f"{node.value} → {not node.value}")
        elif isinstance(node.value, int | float):
            moved = node.value + 1 if isinstance(node.value, int) else node.value * 2 + 0.5
            self.add(node, repr(moved), f"{node.value} → {moved}")

    def visit_Call(self, node):
        name = getattr(node.func, "attr", None)
        if name in TWINS:
            base = self.text(node.func.value)
            self.add(node.func, f"{base}.{TWINS[name]}", f"{name} → {TWINS[name]}")
        self.generic_visit(node)

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        if isinstance(node.value, ast.Call):
            self.add(node, "pass", "left out")
        self.generic_visit(node)

    def visit_AugAssign(self, node):
        self.add(node, "pass", "left out")
        self.generic_visit(node)

    def visit_Assign(self, node):
        # x = f(x): without it x stays what it was
        names = {each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)}
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id in names:
            self.add(node, "pass", "left out")
        self.generic_visit(node)


def mutants_of(path: Path, tests: list[str]) -> list[Mutant]:
    """All mutants of one module."""
    source = path.read_text(encoding="utf-8")
    changes = Changes(source)
    changes.visit(ast.parse(source))
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    raw, made = source.encode(), []
    for node, replacement, change in changes.found:
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        changed = (raw[:begin] + replacement.encode() + raw[end:]).decode()
        try:
            compile(changed, str(path), "exec")
        except (SyntaxError, ValueError):
            continue
        text = lines[node.lineno - 1].strip()
        name = path.relative_to(ROOT).as_posix()
        made.append(Mutant(name, node.lineno, text, change, changed, tests))
    return made


def chosen(count: int, seed: int, only: list[str] | None) -> list[Mutant]:
    """So many mutants, from each module in proportion to what it has."""
    everything = []
    for room, tests in TESTS.items():
        if only and not any(room == name or room.startswith(f"{name}/") for name in only):
            continue
        path = ROOT / "course" / room
        files = sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        for file in files:
            everything += mutants_of(file, tests)
    random.Random(seed).shuffle(everything)
    some = everything[:count] if count else everything
    return sorted(some, key=lambda mutant: (mutant.path, mutant.line, mutant.change))


class FromMemory(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the changed source where a module is imported, and leaves all others alone."""

    def __init__(self, path: str, source: str):
        self.file, self.source = ROOT / path, source
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.name, self.package = name, path.endswith("__init__.py")

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        spec = importlib.machinery.ModuleSpec(
            name, self, origin=str(self.file), is_package=self.package
        )
        spec.has_location = True
        if self.package:
            spec.submodule_search_locations = [str(self.file.parent)]
        return spec

    def exec_module(self, module):
        exec(compile(self.source, str(self.file), "exec"), vars(module))


def run_tests(mutant: Mutant | None, tests: list[str]) -> int:
    """In a fork: the tests of a mutant, or of the code as it is; 0 if all passed."""
    import pytest

    if mutant is not None:
        sys.meta_path.insert(0, FromMemory(mutant.path, mutant.source))
    os.chdir(ROOT)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "backend and not parity and not slow"]
    return int(pytest.main([*options, *(f"tests/{name}" for name in tests)]))


def forked(mutant: Mutant | None, tests: list[str], limit: float) -> tuple[int | None, float]:
    """The tests' status, None if they did not end in time, and the seconds they took."""
    began, pid = time.monotonic(), os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1), os.dup2(quiet, 2)
        status = 1
        try:
            status = run_tests(mutant, tests)
        finally:
            os._exit(status)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        seconds = time.monotonic() - began
        if done:
            return os.waitstatus_to_exitcode(status), seconds
        if seconds > limit:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None, seconds
        time.sleep(0.05)


def judge(mutant: Mutant) -> Mutant:
    reason = EQUIVALENT.get((mutant.path, mutant.text, mutant.change))
    if reason:
        mutant.result = f"equivalent: {reason}"
        return mutant
    for test in mutant.tests:
        status, seconds = forked(mutant, [test], LIMIT)
        mutant.seconds += round(seconds, 1)
        if status != 0:
            mutant.result = "caught, out of time" if status is None else "caught"
            return mutant
    mutant.result = "survived"
    return mutant


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=160, help="how many, 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--only", nargs="+", help="rooms, for example attention kernels")
    parser.add_argument("--record", type=Path, help="a JSON file of all results, kept up to date")
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    arguments = parser.parse_args()
    mutants = chosen(arguments.count, arguments.seed, arguments.only)
    if arguments.list:
        for mutant in mutants:
            print(f"{mutant.path}:{mutant.line}: {mutant.change}: {mutant.text}")
        print(f"{len(mutants)} mutants")
        return

    os.environ["KERAS_BACKEND"] = "jax"
    sys.path.insert(0, str(ROOT / "tests"))
    import conftest  # noqa: F401 - its environment comes before Keras
    import keras  # noqa: F401 - once, for all forks
    import pytest  # noqa: F401

    for test in sorted({test for mutant in mutants for test in mutant.tests}):
        status, seconds = forked(None, [test], 4 * LIMIT)
        print(f"as it is: {test}: {seconds:.0f} s", flush=True)
        if status != 0:
            sys.exit(f"{test} fails without any change (status {status}): nothing to learn here.")
    for place, mutant in enumerate(mutants, start=1):
        judge(mutant)
        line = f"{mutant.path}:{mutant.line}: {mutant.change}: {mutant.text}"
        print(f"{place}/{len(mutants)} {mutant.result} ({mutant.seconds:.0f} s) {line}", flush=True)
        if arguments.record:
            rows = [
                {key: value for key, value in asdict(each).items() if key != "source"}
                for each in mutants[:place]
            ]
            arguments.record.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    counts = Counter(mutant.result.partition(":")[0].partition(",")[0] for mutant in mutants)
    judged = counts["caught"] + counts["survived"]
    print(f"\n{len(mutants)} mutants, {counts['equivalent']} of them equivalent: ", end="")
    print(f"{counts['caught']} of {judged} caught ({counts['caught'] / max(judged, 1):.1%}).")
    for mutant in mutants:
        if mutant.result == "survived":
            print(f"survived: {mutant.path}:{mutant.line}: {mutant.change}: {mutant.text}")


if __name__ == "__main__":
    main()
