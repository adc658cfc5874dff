"""How alike answers are: syntax trees without names, compared by the pieces that they share.

Names, comments, docstrings, annotations and layout do not count, so that renaming hides nothing.
Short answers are alike by nature; a pair is told only where its trees are large and nearly equal.
"""

import ast
import hashlib
import itertools

from course.runtime import parse_source

THRESHOLD = 0.9  # of all different pieces of two submissions, the part that both have
PIECE = 6  # nodes in a row
SMALLEST = 120  # pieces; below, two honest students may well write the same


def pieces(sources):
    """The pieces of several definitions, each as a number.

    Args:
        sources: texts; those that do not parse are left out.

    Returns:
        A set of whole numbers.
    """
    found = set()
    for number, source in enumerate(sources):
        try:
            nodes = list(_walk(parse_source(source)))
        except (SyntaxError, ValueError, RecursionError):
            continue
        runs = zip(*(nodes[i:] for i in range(PIECE)), strict=False)
        found |= {_number(number, run) for run in runs}
    return found


def _number(*piece):
    return int.from_bytes(hashlib.blake2b(repr(piece).encode(), digest_size=6).digest())


def _walk(tree):
    """The kinds of a tree's nodes in the order of the text, names left out, constants kept."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Constant | ast.arg | ast.expr_context):
            if isinstance(node, ast.Constant) and not isinstance(node.value, str):
                yield f"constant {node.value!r}"
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        name = f" {node.attr}" if isinstance(node, ast.Attribute) else ""
        yield type(node).__name__ + name
        yield from _walk(node)


def likeness(one, other):
    """From 0 (nothing shared) to 1 (the same): shared pieces, of all that either has."""
    together = len(one | other)
    return len(one & other) / together if together else 0.0


def pairs(answers):
    """Pairs that are nearly the same, the most alike first.

    Args:
        answers: {student: what `pieces` gives}.

    Returns:
        A list of (likeness, student, student).
    """
    known = {student: found for student, found in answers.items() if len(found) >= SMALLEST}
    found = []
    for (a, one), (b, other) in itertools.combinations(sorted(known.items()), 2):
        # The sizes alone say how alike two can be at most; most pairs end here.
        if min(len(one), len(other)) < THRESHOLD * max(len(one), len(other)):
            continue
        if (alike := likeness(one, other)) >= THRESHOLD:
            found.append((alike, a, b))
    return sorted(found, reverse=True)
