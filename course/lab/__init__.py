"""What a notebook imports: setup, check, hint, predict, grade, progress, plots, the explorer.

Names are imported when they are first used, so that a check never waits for matplotlib.
"""

import importlib

_HOME = {
    "check": "checks",
    "explore_attention": "explorer",
    "grade": "checks",
    "hint": "checks",
    "predict": "checks",
    "progress": "record",
    "recorded": "results",
    "setup": "session",
    "attention_map": "plots",
    "beam_tree": "plots",
    "curves": "plots",
    "head_split_figure": "plots",
}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return __all__
