"""Learning rates: how large the steps of a training are, update by update."""

import keras
from keras import ops

from course.runtime.types import Tensor


def inverse_square_root(step: Tensor | float, d_model: int, warmup_steps: int) -> Tensor:
    """d_model^-0.5 · min(step^-0.5, step · warmup_steps^-1.5).

    Args:
        step: number of the update, a float tensor or number; the first is 1.
        d_model: width of the model.
        warmup_steps: the step with the largest rate.

    Returns:
        float32 tensor of the shape of `step`, the learning rate.

    Reference: Vaswani et al. 2017, section 5.3, equation 3.
    """
    step = ops.cast(step, "float32")
    return d_model**-0.5 * ops.minimum(ops.rsqrt(step), step * warmup_steps**-1.5)


@keras.saving.register_keras_serializable("course")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """The paper's schedule: up in a straight line, then down with the root of the step.

    lrate = scale · d_model^-0.5 · min(step^-0.5, step · warmup_steps^-1.5), where the first step is
    1. The peak, at `warmup_steps`, is scale / √(d_model · warmup_steps).

    Args:
        d_model: width of the model.
        warmup_steps: length of the straight line, 4000 in the paper.
        scale: a factor, 1 in the paper.
        cooldown_steps: steps at the end over which the rate also falls in a straight line to 0,
            where the root would leave it large; none in the paper.
        total_steps: the step, counted from 1, at which it is 0 then.

    References: Vaswani et al. 2017, section 5.3, equation 3; Hägele et al. 2024, "Scaling Laws and
    Compute-Optimal Training Beyond Fixed Training Durations", section 3, for the cooldown.
    """

    def __init__(self, d_model, warmup_steps=4000, scale=1.0, cooldown_steps=0, total_steps=None):
        if cooldown_steps and not (total_steps and warmup_steps + cooldown_steps <= total_steps):
            raise ValueError(
                f"warmup_steps = {warmup_steps}, cooldown_steps = {cooldown_steps} and total_steps "
                f"= {total_steps}: the warm-up has to end before the cooldown begins."
            )
        self.d_model, self.warmup_steps, self.scale = d_model, warmup_steps, scale
        self.cooldown_steps, self.total_steps = cooldown_steps, total_steps

    def __call__(self, step):
        step = ops.cast(step, "float32") + 1.0  # Keras counts from 0, where the root is infinite
        rate = self.scale * inverse_square_root(step, self.d_model, self.warmup_steps)
        if self.cooldown_steps:
            rate *= ops.clip((self.total_steps - step) / self.cooldown_steps, 0.0, 1.0)
        return rate

    def get_config(self):
        names = ("d_model", "warmup_steps", "scale", "cooldown_steps", "total_steps")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("course")
class WarmupLinear(keras.optimizers.schedules.LearningRateSchedule):
    """BERT's schedule: up in a straight line to the peak, then down in one to 0.

    Args:
        peak: the largest rate, reached at step `warmup_steps`.
        warmup_steps: steps up; 0 starts at the peak.
        total_steps: the step, counted from 1, at which the rate is 0 again.

    Reference: Devlin et al. 2019, appendix A.2.
    """

    def __init__(self, peak, warmup_steps, total_steps):
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                f"warmup_steps = {warmup_steps} and total_steps = {total_steps}: "
                "the warm-up has to end before the training does."
            )
        self.peak, self.warmup_steps, self.total_steps = peak, warmup_steps, total_steps

    def __call__(self, step):
        step = ops.cast(step, "float32") + 1.0
        rising = step / max(self.warmup_steps, 1)
        falling = (self.total_steps - step) / (self.total_steps - self.warmup_steps)
        return self.peak * ops.clip(ops.minimum(rising, falling), 0.0, 1.0)

    def get_config(self):
        names = ("peak", "warmup_steps", "total_steps")
        return {name: getattr(self, name) for name in names}
