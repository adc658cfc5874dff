"""The feed-forward network of a block: section 3.3 of Vaswani et al. 2017."""

import keras
from keras import ops

from course import kernels


@keras.saving.register_keras_serializable("course")
def gelu_tanh(x):
    """GELU through tanh, as Google's BERT, GPT-2 and keras-hub compute it.

    Reference: Hendrycks & Gimpel 2016, section 2.
    """
    return ops.gelu(x, approximate=True)


@keras.saving.register_keras_serializable("course")
class FeedForward(keras.layers.Layer):
    """FFN(x) = activation(x W₁ + b₁) W₂ + b₂: each position by itself, all with the same weights.

    Args:
        d_model: width of input and output, `(..., d_model)` both.
        d_ff: width between the two, 4 · d_model in the paper.
        activation: "relu" in the paper, "gelu" in BERT.
        dropout: rate after the activation; the paper has none there, torch.nn.Transformer has.
        initializer: of both kernels.

    Reference: Vaswani et al. 2017, section 3.3, equation 2.
    """

    def __init__(
        self, d_model, d_ff, activation="relu", dropout=0.0, initializer="glorot_uniform", **kwargs
    ):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)
        first, second = self.initializer.clone(), self.initializer.clone()
        dense, dtype = keras.layers.Dense, self.dtype_policy
        activation = keras.activations.get(activation)
        activation = kernels.gelu if activation is keras.activations.gelu else activation
        self.inner = dense(d_ff, activation, kernel_initializer=first, dtype=dtype, name="inner")
        self.outer = dense(d_model, kernel_initializer=second, dtype=dtype, name="outer")
        self.dropout = kernels.Dropout(dropout, dtype=dtype)
        self.supports_masking = True

    def build(self, x_shape):
        self.inner.build(x_shape)
        self.outer.build((*x_shape[:-1], self.inner.units))

    def call(self, x):
        return self.outer(self.dropout(self.inner(x)))  # (..., d_ff), then (..., d_model)

    def get_config(self):
        activation = self.inner.activation
        activation = keras.activations.gelu if activation is kernels.gelu else activation
        return super().get_config() | {
            "d_model": self.outer.units,
            "d_ff": self.inner.units,
            "activation": keras.activations.serialize(activation),
            "dropout": self.dropout.rate,
            "initializer": keras.initializers.serialize(self.initializer),
        }
