"""Training that may die at any minute: schedules, rounds, checkpoints, logs, averages.

Lessons 05, 07, 08 and 10 train with it. Keras' own BackupAndRestore restores whole epochs; here the
unit is a *round* of so many steps, and everything that the next step depends on is kept: weights,
the optimizer's moments, the step, the place in the shuffled data, and the state of each seed
generator. So a run that was killed and goes on ends with the numbers of one that was not.

Keras' `fit` tells a model that it trains by the argument `training` of its `call`, and on JAX by
that alone: a model that lacks it, or does not hand it on, trains without dropout and says nothing.
"""

from course.training.loop import Stopped, train
from course.training.recipe import Recipe, current_names
from course.training.resuming import (
    DamagedCheckpoint,
    average,
    checkpoints,
    load_checkpoint,
    load_recipe,
    save_checkpoint,
    save_recipe,
)
from course.training.rounds import Rounds
from course.training.schedules import InverseSquareRoot, WarmupLinear

__all__ = [
    "DamagedCheckpoint",
    "InverseSquareRoot",
    "Recipe",
    "Rounds",
    "Stopped",
    "WarmupLinear",
    "average",
    "checkpoints",
    "current_names",
    "load_checkpoint",
    "load_recipe",
    "save_checkpoint",
    "save_recipe",
    "train",
]
