"""AdamW as BERT's recipes need it: no decay on vectors, whole gradients, torch's epsilon."""

from typing import Any

import keras
from keras import ops

from course import kernels


@keras.saving.register_keras_serializable("course")
class AdamW(keras.optimizers.AdamW):
    """Keras' AdamW, with the gradients of embeddings added up before anything is done with them.

    On TensorFlow the gradient of a table from which rows were looked up comes as a list of rows,
    each as often as it was used. Keras 3.15 squares and clips them one by one: of a row that was
    used twice with gradient 1, Adam's second moment sees 1² + 1² and not (1 + 1)². Here, as on JAX
    and in torch, it sees the sum.

    And the update is that of the paper's algorithm 1, as in torch: epsilon is added to √v̂, the
    second moment without its bias. Keras adds it to √v, in the first steps 30 times smaller, where
    it weighs as much more, and a deep model has gradients small enough to feel it. Keras also takes
    1 - β₂ᵗ as a difference of float32 numbers near 1, which leaves four digits of it.

    On TensorFlow one kernel makes the update in one pass through memory instead of a dozen.

    Reference: Kingma & Ba 2015, algorithm 1; the end of section 2 has Keras' order.
    """

    def apply(self, grads, trainable_variables=None):
        return super().apply([_whole(grad) for grad in grads], trainable_variables)

    def _apply_weight_decay(self, variables):
        """Left to `update_step`, which passes through each matrix once less."""

    def update_step(self, gradient, variable, learning_rate):
        decays = self.weight_decay is not None and self._use_weight_decay(variable)
        weight_decay = self.weight_decay if decays else 0.0
        if self.amsgrad:
            if decays:
                self.assign_sub(
                    variable, variable * ops.cast(learning_rate * weight_decay, variable.dtype)
                )
            return super().update_step(gradient, variable, learning_rate)
        place, dtype = self._get_variable_index(variable), variable.dtype
        kernels.adamw_update(
            variable,
            ops.cast(gradient, dtype),
            self._momentums[place],
            self._velocities[place],
            ops.cast(self.iterations + 1, dtype),
            ops.cast(learning_rate, dtype),
            weight_decay,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            assign=self.assign,
        )
        return None


def _whole(grad):
    if type(grad).__name__ != "IndexedSlices":
        return grad
    return ops.segment_sum(grad.values, grad.indices, num_segments=grad.dense_shape[0])


def adamw(
    model: Any,
    learning_rate: Any,
    *,
    weight_decay: float = 0.01,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-6,
    clipnorm: float | None = 1.0,
    accumulate: int = 1,
) -> AdamW:
    """The optimizer of Devlin et al. 2019, appendix A.2, for a model that has its weights.

    Args:
        model: a built `keras.Model`. Its matrices decay; its vectors, that is biases and the scales
            and shifts of layer normalization, do not.
        learning_rate: a number or a schedule of updates, such as `course.training.WarmupLinear`.
        weight_decay: each update takes learning rate · weight_decay off a matrix's every number.
        beta_1, beta_2, epsilon: of Adam.
        clipnorm: the largest norm of all gradients together; a larger one is scaled down to it.
        accumulate: batches whose gradients make one update, their mean. Keras' schedules count
            batches: give `WarmupLinear` both its numbers of steps times this.

    Returns:
        An `AdamW`.

    Reference: Loshchilov & Hutter 2019 for the decay; the authors' code for what is left out of it.
    """
    optimizer = AdamW(
        learning_rate,
        weight_decay=weight_decay,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
        global_clipnorm=clipnorm,
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
    )
    vectors = [weight for weight in model.trainable_variables if len(weight.shape) < 2]
    optimizer.exclude_from_weight_decay(var_list=vectors)
    return optimizer
