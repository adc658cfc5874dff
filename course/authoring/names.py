"""Which names of a lesson its cells overwrite although something still needs them.

A student runs cells twice, and comes back to an exercise after the whole lesson. So no cell may
take a name that Python, an import, the setup cell, an exercise or an exercise's answer needs.
"""

import ast
import builtins

SETUP = ("check", "grade", "hint", "predict", "progress", "setup")


def overwritten(cells):
    """Pairs of a place and a sentence, for each name that is taken from somebody else.

    Args:
        cells: the `SourceCell`s of a lesson, in order.
    """
    code = []
    for cell in cells:
        if cell.kind == "code":
            try:
                code.append((cell, ast.parse(cell.solved if cell.exercise else cell.body)))
            except SyntaxError:  # magics, or a fault that the conventions report
                continue
    answers = {cell.exercise.defines: cell for cell, _ in code if cell.exercise}
    imported = {}
    for cell, tree in code:
        for name in sorted(bound(tree)):
            if hasattr(builtins, name):
                yield cell.place, f"it overwrites Python's own {name!r}; choose another name"
            elif name in SETUP:
                yield cell.place, f"it overwrites {name!r} of the setup cell; choose another name"
            elif name in imported:
                yield cell.place, f"it overwrites {name!r}, imported in {imported[name].place}"
            elif name in answers and answers[name] is not cell:
                yield cell.place, f"it overwrites {name!r}, which an exercise defines"
        imported |= {name: cell for name in _imports(tree)}
    for cell, tree in code:
        if not cell.exercise:
            continue
        for name in sorted(_read_inside(tree)):
            places = [other for other, its in code if name in bound(its) and other is not cell]
            if len(places) > 1:
                yield places[-1].place, f"it binds {name!r} anew, which {cell.exercise.id} reads"


# Their names are their own, or imports, which are looked at apart.
INNER = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
INNER += (ast.Import, ast.ImportFrom)


def bound(tree):
    """Names that a cell binds at its top level, imports left out."""
    found, waiting = set(), list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, INNER):
            continue
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        else:
            waiting += ast.iter_child_nodes(node)
    return found


def _imports(tree):
    nodes = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {item.asname or item.name.partition(".")[0] for node in nodes for item in node.names}


def _read_inside(tree):
    """Names that the functions of a cell read from outside of themselves."""
    import symtable

    tables = [symtable.symtable(ast.unparse(tree), "cell", "exec")]
    found = set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        if table.get_type() != "module":
            symbols = [s for s in table.get_symbols() if s.is_global() and s.is_referenced()]
            found |= {symbol.get_name() for symbol in symbols}
    return {name for name in found if not hasattr(builtins, name)}
