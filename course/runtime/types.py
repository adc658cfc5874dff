"""Names for what annotations of model code say."""

from typing import Any, TypeAlias

# A tensor of the backend, a `keras.KerasTensor` or a NumPy array: `keras.ops` takes them all, and
# no static type is common to them. Shapes and dtypes stand in the docstrings.
Tensor: TypeAlias = Any
