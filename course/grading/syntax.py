"""Parses Python, one thread at a time.

In CPython 3.11 all threads count the depth of their syntax trees in one place: a switch between two
that parse ends in "SystemError: AST constructor recursion depth mismatch".
"""

import ast
import threading

PARSING = threading.RLock()


def parse_source(source):
    """`ast.parse`, while no other thread of the grader parses."""
    with PARSING:
        return ast.parse(source)
