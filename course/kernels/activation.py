"""The exact GELU, with its gradient written out for TensorFlow."""

import math

import keras
from keras import ops

from course.runtime.types import Tensor


def plain_gelu(x: Tensor) -> Tensor:
    """x · Φ(x), where Φ is the normal distribution's: the exact GELU, with erf.

    Args:
        x: float tensor of any shape.

    Returns:
        A tensor of the shape and dtype of `x`.

    Reference: Hendrycks & Gimpel 2016, "Gaussian Error Linear Units", section 2.
    """
    return ops.gelu(x, approximate=False)


def gelu(x: Tensor) -> Tensor:
    """What `plain_gelu` computes, by fewer operations on TensorFlow.

    Args:
        x: float tensor of any shape.

    Returns:
        A tensor of the shape and dtype of `x`.
    """
    if keras.backend.backend() != "tensorflow":
        return plain_gelu(x)
    import tensorflow as tf

    @tf.custom_gradient
    def with_gradient(x):
        narrow = x * -(0.5**0.5)
        share = 0.5 * tf.math.erfc(narrow)  # Φ(x)

        def gradient(upstream):  # Φ(x) + x Φ'(x)
            density = tf.exp(-0.5 * math.log(2 * math.pi) - tf.square(narrow))
            return upstream * (share + x * density)

        return x * share, gradient

    return with_gradient(tf.convert_to_tensor(x))
