"""Layer normalization, with its gradient written out for TensorFlow."""

import keras
from keras import ops

from course.runtime.types import Tensor


def plain_layer_norm(x: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
    """Makes each vector's numbers have mean 0 and variance 1, then scales and shifts them.

    Computed in float32: in half precision the mean of squares overflows, or loses its digits.

    Args:
        x: float tensor `(..., width)`.
        scale: float tensor `(width,)`, γ.
        shift: float tensor `(width,)`, β.
        epsilon: what is added to the variance.

    Returns:
        A tensor of the shape and dtype of `x`.

    Reference: Ba, Kiros & Hinton 2016, "Layer Normalization", equation 3.
    """
    dtype = x.dtype
    x, scale, shift = (ops.cast(each, "float32") for each in (x, scale, shift))
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)  # (..., 1)
    return ops.cast(centred * ops.rsqrt(variance + epsilon) * scale + shift, dtype)


def layer_norm(x: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
    """What `plain_layer_norm` computes, with a gradient of its own on TensorFlow.

    TensorFlow derives the gradient operation by operation. With x̂ the normalized vector, σ its
    spread and g = γ · ∂L/∂y, it is (g - mean(g) - x̂ · mean(g · x̂)) / σ.

    Args:
        x: float tensor `(..., width)`.
        scale: float tensor `(width,)`, γ.
        shift: float tensor `(width,)`, β.
        epsilon: what is added to the variance.

    Returns:
        A tensor of the shape and dtype of `x`.
    """
    if keras.backend.backend() != "tensorflow":
        return plain_layer_norm(x, scale, shift, epsilon)
    import tensorflow as tf

    def mean(values):
        return tf.reduce_mean(values, axis=-1, keepdims=True)

    @tf.custom_gradient
    def normalized(x, scale, shift):
        centred = x - mean(x)
        inverse = tf.math.rsqrt(mean(tf.square(centred)) + epsilon)  # (..., 1): 1 / σ
        normal = centred * inverse

        def gradient(upstream):
            rows = list(range(len(x.shape) - 1))
            scaled = upstream * scale
            slope = scaled - mean(scaled) - normal * mean(scaled * normal)
            for_scale = tf.reduce_sum(upstream * normal, axis=rows)
            return slope * inverse, for_scale, tf.reduce_sum(upstream, axis=rows)

        return normal * scale + shift, gradient

    arguments = (tf.cast(tf.convert_to_tensor(each), "float32") for each in (x, scale, shift))
    return tf.cast(normalized(*arguments), x.dtype)
