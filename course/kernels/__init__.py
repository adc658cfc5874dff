"""Fast twins of plain code, each beside the plain form that it equals.

A model reads `kernels.gelu(x)`; the module `activation` has `plain_gelu`, a few lines of
`keras.ops`, and `gelu`, which is the same function made faster where that is worth it. The tests
compare the two on both backends, and `benchmarks/kernels.py` measures what each one saves.
"""

from course.kernels.dropout import Dropout, dropout, plain_dropout

__all__ = ["Dropout", "dropout", "plain_dropout"]
