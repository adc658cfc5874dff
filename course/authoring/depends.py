"""What a lesson's outputs depend on, as one hash: its code, the modules it imports, data, records.

Found by reading imports, never by importing. Versions of Keras and its backend are not part of it:
the check has to pass on another machine.
"""

import ast
import re
from pathlib import Path

from course.authoring.notebook import digest

# The packages that read embedded files, and the folder of `datasets/` that each reads.
READ_BY = {"data": "world", "checkpoints": "bert"}
_RECORDED = re.compile(r"""\brecorded\(["'](\w+)["']\)""")  # results that a lesson shows


def package_folder(root):
    """The folder of the package `course`: below the root, or the one that is installed."""
    below = Path(root) / "course"
    if (below / "__init__.py").exists():
        return below
    import course

    return Path(course.__file__).parent


def depends_hash(made, lesson, root):
    """The hash of everything that a notebook's outputs depend on.

    Args:
        made: the solution notebook.
        lesson: the lesson's name; its exercises are found at run time, not through an import.
        root: the course's folder.
    """
    cells = [cell for cell in made.cells if cell.cell_type == "code"]
    code = [cell.source for cell in cells]
    # Tags count: they decide which outputs are kept.
    parts = [digest("\0".join(f"{c.source}\0{c.metadata.get('tags', [])}" for c in cells))]
    package = package_folder(root)
    files = imported_files(code, package, f"course.exercises.{lesson}")
    for file in files:
        name = file.relative_to(package).as_posix()
        parts.append(f"{name} {digest(file.read_bytes())}")
    for reader, folder in READ_BY.items():
        if any(file.parent.name == reader for file in files):
            embedded = _embedded(Path(root) / "datasets" / folder)
            parts += [f"{p.relative_to(root)} {digest(p.read_bytes())}" for p in embedded]
    for name in sorted({name for text in code for name in _RECORDED.findall(text)}):
        record = Path(root) / "benchmarks" / "results" / f"{name}.json"
        parts.append(f"{name} {digest(record.read_bytes()) if record.exists() else 'missing'}")
    return digest("\n".join(parts))


def _embedded(folder):
    """The files that are read; a generator and datasheets change no output."""
    found = (p for p in folder.rglob("*") if p.is_file())
    return sorted(p for p in found if p.suffix not in (".py", ".md", ".pyc"))


def imported_files(code, package, *modules):
    """The files of `course` that the code imports, directly or through one another.

    Args:
        code: texts of cells.
        package: the folder of the package `course`.
        modules: dotted names of further modules to start from.

    Returns:
        Sorted paths: modules, and files beside a module that carry its name (a table, a script).
    """
    from IPython.core.inputtransformer2 import TransformerManager

    to_python = TransformerManager().transform_cell  # magics and ! lines
    found, waiting = set(), list(modules)
    for text in code:
        waiting += _imports(to_python(text), package)
    while waiting:
        name = waiting.pop()
        path = _path(name, package)
        if path is None or path in found:
            continue
        found.add(path)
        if "." in name:
            waiting.append(name.rpartition(".")[0])
        waiting += _imports(path.read_text(encoding="utf-8"), package)
    beside = set()
    for path in found:
        if path.name == "__init__.py":
            beside |= set(path.parent.glob("*.toml"))
        else:
            beside |= {p for p in path.parent.glob(f"{path.stem}.*") if p.is_file()}
    return sorted(p for p in found | beside if p.suffix != ".pyc")


def _path(name, package):
    """The file of a dotted name below `course`, or None."""
    place = package.joinpath(*name.split(".")[1:])
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.exists() and name.partition(".")[0] == "course":
            return path
    return None


def _imports(text, package):
    """Dotted names of `course` that a text imports; a lazy package's table is followed."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
            home = _lazy(_path(node.module, package))
            names += [f"{node.module}.{home.get(i.name, i.name)}" for i in node.names]
    return [name for name in names if name.partition(".")[0] == "course"]


def _lazy(path):
    """What a package gives to `lazy_names`: {name: the module that it is imported from}."""
    if path is None or path.name != "__init__.py":
        return {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_names":
            return ast.literal_eval(node.args[1])
    return {}
