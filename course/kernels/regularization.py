"""Dropout with 16 random bits for each number, on the TensorFlow backend and a CPU."""

from typing import Any

import keras
from keras import ops

from course import runtime
from course.runtime.types import Tensor


def plain_dropout(x: Tensor, rate: float, seed: Any) -> Tensor:
    """Zeroes each number with probability `rate` and scales the others by 1 / (1 - rate).

    Args:
        x: float tensor of any shape.
        rate: probability, above 0 and below 1.
        seed: a `keras.random.SeedGenerator`, which moves on with each call.

    Returns:
        A tensor of the shape and dtype of `x`.

    Reference: Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from
    Overfitting", section 4.
    """
    return keras.random.dropout(x, rate, seed=seed)


def dropout(x: Tensor, rate: float, seed: Any) -> Tensor:
    """What `plain_dropout` does, at a rate rounded to a multiple of 1 / 65,536.

    TensorFlow's draws are slow on a CPU; here one draw of 32 bits decides about two numbers. On
    JAX, and on accelerators, it is the plain form.

    Args:
        x: float tensor of any shape.
        rate: probability, above 0 and below 1.
        seed: a `keras.random.SeedGenerator`.

    Returns:
        A tensor of the shape and dtype of `x`.
    """
    if keras.backend.backend() != "tensorflow" or runtime.accelerator() != "cpu":
        return plain_dropout(x, rate, seed)
    shape = ops.shape(x)
    count = 1
    for size in shape:
        count = count * size
    draws = keras.random.randint(((count + 1) // 2, 1), -(2**31), 2**31 - 1, seed=seed)
    halves = ops.reshape(ops.view(draws, "uint16"), (-1,))[:count]
    levels = 1 << 16
    dropped = round(rate * levels)
    kept = ops.reshape(halves, shape) >= ops.convert_to_tensor(dropped, "uint16")
    return x * (ops.cast(kept, x.dtype) * (levels / (levels - dropped)))


@keras.saving.register_keras_serializable("course")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout`, computed by `course.kernels.dropout`.

    Args:
        rate: probability that a number is dropped in training.
        **kwargs: other arguments of `keras.layers.Dropout`.

    Call arguments:
        inputs: float tensor of any shape.
        training: whether to drop; False and None return the inputs.

    Returns:
        A tensor of the shape and dtype of the inputs.
    """

    def call(self, inputs, training=False):
        if not training or not 0 < self.rate < 1 or self.noise_shape is not None:
            return super().call(inputs, training=training)
        return dropout(inputs, self.rate, self.seed_generator)
