"""Fast twins of plain code, each beside the plain form that it equals.

A model calls `kernels.gelu(x)`. The module `activation` has `plain_gelu`, a line of `keras.ops`,
and `gelu`, the same function made faster where that is worth it. The tests compare the two on both
backends, and `benchmarks/kernels.py` measures what share of a step each one saves.
"""

from course.kernels.activation import gelu, plain_gelu
from course.kernels.cross_entropy import plain_summed_cross_entropy, summed_cross_entropy
from course.kernels.normalization import layer_norm, plain_layer_norm
from course.kernels.optimizer import adamw_update, plain_adamw_update
from course.kernels.regularization import Dropout, dropout, plain_dropout
from course.kernels.selection import plain_top_k, top_k

__all__ = [
    "Dropout",
    "adamw_update",
    "dropout",
    "gelu",
    "layer_norm",
    "plain_adamw_update",
    "plain_dropout",
    "plain_gelu",
    "plain_layer_norm",
    "plain_summed_cross_entropy",
    "plain_top_k",
    "summed_cross_entropy",
    "top_k",
]
