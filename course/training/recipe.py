"""The base of all recipes: one name for a setting, whatever is trained."""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import ClassVar, Self

from course.training.resuming import save_recipe

# What settings were called before version 1; runs that were saved then still load and go on.
OLD_NAMES = {
    "peak": "learning_rate",
    "mixed": "dtype_policy",
    "steps": "max_steps",
    "folder": "output_dir",
    "train_batch_size": "batch_size",
    "accumulate": "gradient_accumulation_steps",
    "smoothing": "label_smoothing",
}


def current_names(settings: dict) -> dict:
    """Settings with the names of today in the place of old ones.

    Args:
        settings: {name: value}, as a run of any version saved them.

    Returns:
        A new dict.
    """
    return {OLD_NAMES.get(name, name): value for name, value in settings.items()}


@dataclass(frozen=True)
class Recipe:
    """Every setting of a training run. Each task's recipe adds its own, and sets the defaults.

    Attributes:
        output_dir: the run's folder; on Colab choose one in Drive. It may also be given to the
            function that trains.
        learning_rate: the largest, reached after `warmup_steps`.
        warmup_steps: updates in which the learning rate rises; None follows the number of updates,
            see `warmup`.
        max_steps: updates in all; None means `epochs` alone say it.
        epochs: times that each example is seen; None means `max_steps` alone says it. With both,
            the run ends at what comes first.
        epsilon, clipnorm: of the optimizer; `clipnorm` is the largest norm of gradients.
        seed: of all that is drawn: new weights, the order of examples, dropout.
        round_steps: updates between two checkpoints and validations.
        keep: checkpoints that are kept.
        patience: rounds without a better validation after which the run stops early; None never
            does.
        dtype_policy: "mixed_bfloat16", "mixed_float16" or None for float32.
        logging_dir: where TensorBoard's files go; None means `output_dir`/tensorboard.
    """

    # None as `warmup_steps` means this share of the updates, and no more than the classic number.
    warmup_share: ClassVar[float] = 0.1
    classic_warmup_steps: ClassVar[int] = 500
    # What may differ when a run goes on: no update depends on it.
    movable: ClassVar[tuple[str, ...]] = ("output_dir", "logging_dir", "keep", "patience")
    at_least_one: ClassVar[tuple[str, ...]] = (
        "max_steps",
        "epochs",
        "round_steps",
        "keep",
        "patience",
        "batch_size",
        "eval_batch_size",
        "max_tokens",
        "gradient_accumulation_steps",
    )

    output_dir: str | None = None
    learning_rate: float = 5e-5
    warmup_steps: int | None = None
    max_steps: int | None = None
    epochs: int | None = None
    epsilon: float = 1e-8
    clipnorm: float | None = 1.0
    seed: int = 0
    round_steps: int | None = 250
    keep: int = 2
    patience: int | None = None
    dtype_policy: str | None = None
    logging_dir: str | None = None

    def __post_init__(self):
        for name in self.at_least_one:
            value = getattr(self, name, None)
            if value is not None and value < 1:
                raise ValueError(f"{name} = {value!r}: expected at least 1.")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate = {self.learning_rate!r}: expected more than 0.")
        if self.warmup_steps is not None and self.warmup_steps < 0:
            raise ValueError(f"warmup_steps = {self.warmup_steps!r}: expected at least 0.")
        if self.dtype_policy not in (None, "float32", "mixed_bfloat16", "mixed_float16"):
            raise ValueError(
                f"dtype_policy = {self.dtype_policy!r}: expected None, 'float32', "
                "'mixed_bfloat16' or 'mixed_float16'."
            )

    def folder(self, output_dir: str | Path | None = None) -> Path:
        """The run's folder: `output_dir` if it is given, else the recipe's.

        Raises:
            ValueError: if neither says one.
        """
        chosen = output_dir if output_dir is not None else self.output_dir
        if chosen is None:
            raise ValueError("output_dir is missing: the folder where the run is to live.")
        return Path(chosen)

    def total_steps(self, steps_per_epoch: int) -> int:
        """How many updates the run has in all.

        Args:
            steps_per_epoch: updates in which each example is seen once.

        Raises:
            ValueError: if the recipe has neither `max_steps` nor `epochs`.
        """
        by_epochs = None if self.epochs is None else self.epochs * steps_per_epoch
        known = [steps for steps in (self.max_steps, by_epochs) if steps is not None]
        if not known:
            raise ValueError("neither max_steps nor epochs is set: give one of them.")
        return min(known)

    def warmup(self, total_steps: int, output_dir: str | Path | None = None) -> int:
        """Updates in which the learning rate rises.

        That is `warmup_steps`, if it is set. Else it is what the run in `output_dir` began with,
        or, for a new run, the share `warmup_share` of its updates, at most `classic_warmup_steps`.

        Args:
            total_steps: updates of the run.
            output_dir: the run's folder, if there is one.
        """
        if self.warmup_steps is not None:
            return self.warmup_steps
        if output_dir is not None and (Path(output_dir) / "run.json").is_file():
            told = json.loads((Path(output_dir) / "run.json").read_text(encoding="utf-8"))
            begun = told.get("warmup_steps")
            if begun is not None:
                return begun
        return min(self.classic_warmup_steps, int(total_steps * self.warmup_share))

    def resolved(self, steps_per_epoch: int, output_dir: str | Path | None = None) -> Self:
        """This recipe with numbers where it had None: `max_steps`, `warmup_steps`, `round_steps`.

        Args:
            steps_per_epoch: updates in which each example is seen once.
            output_dir: the run's folder; one that has begun keeps its warm-up.
        """
        total = self.total_steps(steps_per_epoch)
        return replace(
            self,
            max_steps=total,
            warmup_steps=self.warmup(total, output_dir),
            round_steps=self.round_steps or steps_per_epoch,
        )

    def run_settings(self, *without: str) -> dict:
        """What a run depends on, for `training.train`, which refuses to go on with other values.

        Args:
            *without: names of settings that may change when this task's run goes on.
        """
        left_out = {*self.movable, *without}
        return {name: value for name, value in asdict(self).items() if name not in left_out}

    @classmethod
    def from_settings(cls, settings: dict) -> Self:
        """A recipe from what a run saved, in the names of today or older ones.

        Raises:
            TypeError: if there is a setting that this recipe does not have.
        """
        return cls(**current_names(settings))

    def save(self, output_dir: str | Path) -> None:
        """Writes `recipe.json`; a folder that holds one is that of a finished run."""
        save_recipe(output_dir, self)

    @classmethod
    def names(cls) -> list[str]:
        """The names of all settings."""
        return [field.name for field in fields(cls)]
