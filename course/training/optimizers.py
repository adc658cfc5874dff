"""AdamW as BERT's recipes need it: no decay on vectors, whole gradients, torch's epsilon."""

import math

import keras
import numpy as np
from keras import ops


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
        if self.weight_decay is not None and self._use_weight_decay(variable):
            lost = ops.cast(learning_rate * self.weight_decay, variable.dtype)
            self.assign_sub(variable, variable * lost)
        if self.amsgrad:
            return super().update_step(gradient, variable, learning_rate)
        place, dtype = self._get_variable_index(variable), variable.dtype
        m, v = self._momentums[place], self._velocities[place]
        gradient, rate = ops.cast(gradient, dtype), ops.cast(learning_rate, dtype)
        step = ops.cast(self.iterations + 1, dtype)
        m_bias, v_bias = (-ops.expm1(step * math.log(b)) for b in (self.beta_1, self.beta_2))
        if self._in_one_pass(variable, m, v, gradient, rate / m_bias, ops.sqrt(v_bias)):
            return
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        moved = rate / m_bias * m / (ops.sqrt(v / v_bias) + self.epsilon)
        self.assign_sub(variable, moved)

    def _in_one_pass(self, variable, m, v, gradient, rate, root):
        """The update by TensorFlow's kernel, if it can make it. `root` is the square root of v's
        bias: the kernel divides by √v + epsilon, so both the rate and epsilon are given times it.
        """
        if keras.backend.backend() != "tensorflow" or gradient.dtype != "float32":
            return False
        import tensorflow as tf

        if tf.distribute.has_strategy():
            return False
        # The kernel takes 1 - β of β in float32, and makes m and v by so much too large.
        m_scale, v_scale = (
            float(1 - np.float32(beta)) / (1 - beta) for beta in (self.beta_1, self.beta_2)
        )
        root = root * v_scale**0.5
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.value.handle,
            v=v.value.handle,
            beta1_power=0.0,  # no correction by the kernel, which is in `rate` and `root`
            beta2_power=0.0,
            lr=rate * root / m_scale,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon * root,
            grad=gradient,
        )
        return True


def _whole(grad):
    if type(grad).__name__ != "IndexedSlices":
        return grad
    return ops.segment_sum(grad.values, grad.indices, num_segments=grad.dense_shape[0])


def adamw(
    model,
    learning_rate,
    *,
    weight_decay=0.01,
    beta_1=0.9,
    beta_2=0.999,
    epsilon=1e-6,
    clipnorm=1.0,
    accumulate=1,
):
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
