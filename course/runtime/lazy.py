"""Packages whose names are imported when they are first used."""

import importlib


def lazy_names(package, homes):
    """What a package's `__init__` needs so that importing it imports nothing of what it offers.

    Args:
        package: its `__name__`.
        homes: {public name: the module of the package that holds it}.

    Returns:
        `__getattr__`, `__dir__` and `__all__` for the package (PEP 562).

    Example:
        >>> __getattr__, __dir__, __all__ = lazy_names(__name__, {"Tokenizer": "tokenizer"})
    """
    names = sorted(homes)

    def __getattr__(name):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return __getattr__, lambda: names, names
