"""One update of AdamW, by one kernel on TensorFlow."""

import math
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from course.runtime.types import Tensor


def plain_adamw_update(
    weight: Tensor,
    gradient: Tensor,
    m: Tensor,
    v: Tensor,
    step: Tensor | float,
    learning_rate: Tensor | float,
    weight_decay: float = 0.0,
    *,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """A weight, its first moment and its second after one update.

    Args:
        weight: float tensor of any shape.
        gradient: float tensor of the same shape, as are `m` and `v`, the moments so far.
        m: the running mean of gradients.
        v: the running mean of their squares.
        step: float scalar, the number of the update; the first is 1.
        learning_rate: float scalar.
        weight_decay: each update takes learning_rate · weight_decay off every number.
        beta_1: how much of `m` stays.
        beta_2: how much of `v` stays.
        epsilon: what is added to √v̂.

    Returns:
        Triple of tensors of that shape: the new weight, m and v.

    Reference: Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2;
    Kingma & Ba 2015, algorithm 1.
    """
    m = m + (gradient - m) * (1 - beta_1)
    v = v + (ops.square(gradient) - v) * (1 - beta_2)
    # 1 - βᵗ, without the difference of two numbers near 1, which float32 has four digits of.
    m_bias, v_bias = (-ops.expm1(step * math.log(beta)) for beta in (beta_1, beta_2))
    if weight_decay:
        weight = weight - weight * (learning_rate * weight_decay)
    weight = weight - learning_rate / m_bias * m / (ops.sqrt(v / v_bias) + epsilon)
    return weight, m, v


def adamw_update(
    weight: Tensor,
    gradient: Tensor,
    m: Tensor,
    v: Tensor,
    step: Tensor | float,
    learning_rate: Tensor | float,
    weight_decay: float = 0.0,
    *,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    assign: Callable | None = None,
) -> None:
    """Makes one update in place: what `plain_adamw_update` computes, in one pass through memory.

    Args:
        weight: `keras.Variable`, or one of the backend, of any shape, as are `m` and `v`.
        gradient: float tensor of that shape.
        m: variable, the running mean of gradients.
        v: variable, the running mean of their squares.
        step: float scalar, the number of the update; the first is 1.
        learning_rate: float scalar.
        weight_decay: each update takes learning_rate · weight_decay off every number.
        beta_1: how much of `m` stays.
        beta_2: how much of `v` stays.
        epsilon: what is added to √v̂.
        assign: function of a variable and its new value; None means the variable's own `assign`.
    """
    betas = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    if _has_kernel(gradient):
        return _by_kernel(weight, gradient, m, v, step, learning_rate, weight_decay, **betas)
    values = plain_adamw_update(weight, gradient, m, v, step, learning_rate, weight_decay, **betas)
    for variable, value in zip((weight, m, v), values, strict=True):
        variable.assign(value) if assign is None else assign(variable, value)
    return None


def _has_kernel(gradient):
    if keras.backend.backend() != "tensorflow" or gradient.dtype != "float32":
        return False
    import tensorflow as tf

    return not tf.distribute.has_strategy()


def _by_kernel(
    weight, gradient, m, v, step, learning_rate, weight_decay, *, beta_1, beta_2, epsilon
):
    """TensorFlow's kernel divides by √v + ε. Algorithm 1 divides by √v̂ + ε, so both the rate and ε
    are given to the kernel times the root of v's bias."""
    import tensorflow as tf

    weight, m, v = (
        each.value if isinstance(each, keras.Variable) else each for each in (weight, m, v)
    )
    if weight_decay:
        weight.assign_sub(weight * (learning_rate * weight_decay))
    # The kernel takes 1 - β of β in float32, and makes m and v by so much too large.
    m_scale, v_scale = (float(1 - np.float32(beta)) / (1 - beta) for beta in (beta_1, beta_2))
    m_bias, v_bias = (-ops.expm1(step * math.log(beta)) for beta in (beta_1, beta_2))
    root = ops.sqrt(v_bias) * v_scale**0.5
    tf.raw_ops.ResourceApplyAdam(
        var=weight.handle,
        m=m.handle,
        v=v.handle,
        beta1_power=0.0,  # no correction by the kernel, which is in the rate and the root
        beta2_power=0.0,
        lr=learning_rate / m_bias * root / m_scale,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=epsilon * root,
        grad=gradient,
    )
