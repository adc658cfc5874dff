"""Text to numbers and back (lesson 01): tokenizers, and batches of rows of similar length."""

import importlib

_HOME = {"Encoding": "tokenizer", "Tokenizer": "tokenizer", "TokenBatches": "batches"}

__all__ = sorted(_HOME)


def __getattr__(name):
    # A tokenizer needs no Keras, which takes seconds to import.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
