"""The classic recipe of fine-tuning, and a whole run of it that may die and go on."""

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from typing import ClassVar

from course import checkpoints, runtime, training
from course.fine_tuning.classifier import BertClassifier
from course.fine_tuning.examples import ExampleBatches, encode
from course.fine_tuning.inference import Classifier
from course.fine_tuning.metrics import confusion_matrix, scores
from course.pretraining import OFFICIAL, BertEncoder
from course.tokens import Tokenizer
from course.training import WarmupLinear
from course.training.optimizers import adamw


@dataclass(frozen=True)
class Recipe(training.Recipe):
    """Every setting of a fine-tuning run, under the names that other libraries use.

    Those of every run are in `course.training.Recipe`.

    Attributes:
        epochs: times that each example is seen. Devlin et al. tried 2, 3 and 4.
        batch_size, eval_batch_size: rows of a batch.
        warmup_steps: updates in which the learning rate rises from 0 to `learning_rate`; it then
            falls in a straight line to 0 at the last update. Fewer than there are updates. None
            means a tenth of them, at most 500; `Recipe.classic` has the 500 of many examples.
        weight_decay: of AdamW; biases, and the scales and shifts of layer normalization, are left
            out of it.
        learning_rate: the largest. Devlin et al. tried 5e-5, 3e-5 and 2e-5; a small model bears
            more, one from random weights wants ten times as much.
        seed: of the new head's weights, the order of the examples and dropout. Small data makes
            results move with it: run several.
        max_length: ids of a text, or of a pair; what is longer is cut.
        dropout: rate in front of the head; None means the encoder's.
        best_by: which checkpoint is kept as the best: that with the least "error" or the least
            "nll" on the validation rows.
        round_steps: updates between two checkpoints and validations; None means an epoch.
        size, vocab_size: of a model from random weights, if no checkpoint is given: see
            `BertEncoder.official`; its vocabulary is learnt from the training texts.

    Reference: Devlin et al. 2019, appendix A.3.
    """

    classic_warmup_steps: ClassVar[int] = 500
    movable: ClassVar[tuple[str, ...]] = (*training.Recipe.movable, "eval_batch_size")

    epochs: int | None = 3
    batch_size: int = 16
    eval_batch_size: int = 64
    weight_decay: float = 0.01
    max_length: int = 128
    dropout: float | None = None
    best_by: str = "error"
    round_steps: int | None = None
    size: str = "tiny"
    vocab_size: int = 8000

    def __post_init__(self):
        super().__post_init__()
        if self.best_by not in ("error", "nll"):
            raise ValueError(f'best_by = {self.best_by!r}: choose "error" or "nll".')
        if self.size not in OFFICIAL:
            raise ValueError(f"size = {self.size!r}: choose one of {', '.join(OFFICIAL)}.")

    @classmethod
    def classic(cls, output_dir=None, **settings):
        """The recipe as examples of other libraries have it: 500 warm-up steps, however few rows.

        Args:
            output_dir, **settings: as `Recipe` takes them.
        """
        return cls(output_dir, **{"warmup_steps": cls.classic_warmup_steps} | settings)

    def optimizer(self, model, steps):
        """AdamW with warm-up and linear decay over `steps` updates.

        Raises:
            ValueError: if the warm-up is as long as the training.
        """
        warmup_steps = self.warmup(steps, self.output_dir)
        if warmup_steps >= steps:
            raise ValueError(
                f"warmup_steps = {warmup_steps}, and {self.epochs} epochs are {steps} updates "
                f"of {self.batch_size} examples: the learning rate would never be reached. "
                f"Set warmup_steps to about a tenth, {max(steps // 10, 1)}."
            )
        schedule = WarmupLinear(self.learning_rate, warmup_steps, steps)
        return adamw(
            model,
            schedule,
            weight_decay=self.weight_decay,
            epsilon=self.epsilon,
            clipnorm=self.clipnorm,
        )


def train_classifier(
    recipe, task, start=None, *, deterministic=False, callbacks=(), verbose="auto", say=None
):
    """Fine-tunes a classifier; call it again to go on after a stop.

    In `recipe.output_dir` are then `log.jsonl` (a line a validation), `metrics.jsonl` (a line a
    split, with intervals), `model/` (Hugging Face's layout, with the vocabulary), `checkpoints/`,
    `best.safetensors` and, where TensorBoard is installed, its files.

    Args:
        recipe: a `Recipe`.
        task: a `Task`, as `read_task` returns it; its splits "train" and "validation" are used, and
            all but "train" are scored in the end.
        start: the checkpoint to start from, see `checkpoints.load_bert`; None starts from random
            weights.
        deterministic: whether operations have to give the same bits in every run. Slower.
        callbacks: more Keras callbacks, told of validations as of epochs.
        verbose: see `training.train`.
        say: called with lines on what a checkpoint has and lacks; by default they go to stderr.

    Returns:
        The best `Classifier`, its scores as {split: {name: `Figure`}}, and the log (see
        `training.train`).

    Raises:
        ValueError: if a setting does not fit the data, or the folder holds another run.
    """
    folder = recipe.folder()
    train, validation = task.splits["train"], task.splits["validation"]
    runtime.seed_everything(recipe.seed, deterministic=deterministic)
    model, tokenizer = _start(recipe, task, start, folder, say)
    max_length = min(recipe.max_length, model.encoder.max_length)
    batches = _batches(recipe, tokenizer, train, max_length)
    asked, recipe = recipe, recipe.resolved(len(batches), folder)
    if asked.warmup_steps is None and say is not None:
        say(f"{recipe.max_steps:,} updates, of them {recipe.warmup_steps:,} of warm-up")
    optimizer = recipe.optimizer(model, recipe.max_steps)
    model.compile(optimizer, jit_compile=runtime.jit_compile())
    settings = replace(asked, warmup_steps=recipe.warmup_steps).run_settings()
    settings |= {"data": _digest(task), "start": str(start)}
    log = training.train(
        model,
        batches,
        steps=recipe.max_steps,
        folder=folder,
        round_steps=recipe.round_steps,
        validation=_batches(recipe, tokenizer, validation, max_length, shuffle=False),
        monitor=f"val_{recipe.best_by}",
        keep=recipe.keep,
        patience=recipe.patience,
        settings=settings,
        logging_dir=recipe.logging_dir,
        callbacks=callbacks,
        verbose=verbose,
    )
    note = training.load_checkpoint(folder / "best.safetensors", model)
    classifier = Classifier(model, tokenizer, task.labels, max_length)
    found = {
        name: score(classifier, examples, recipe.eval_batch_size)
        for name, examples in task.splits.items()
        if name != "train"
    }
    lines = [
        {"split": name, "rows": len(task.splits[name]), "step": note["step"]}
        | {key: figure._asdict() for key, figure in figures.items()}
        for name, figures in found.items()
    ]
    told = "".join(json.dumps(line) + "\n" for line in lines)
    runtime.write_atomically(folder / "metrics.jsonl", told.encode())
    asked.save(folder)
    _keep(classifier, folder / "model")
    return classifier, found, log


def score(classifier, examples, batch_size=64):
    """What a `Classifier` is worth on `Examples`: see `scores`."""
    said = classifier.probabilities(examples.texts, examples.pairs, batch_size=batch_size)
    return scores(confusion_matrix(examples.labels, said.argmax(axis=1), len(classifier.labels)))


def _start(recipe, task, start, folder, say):
    """The model that the training starts from, and its tokenizer."""
    settings = {} if recipe.dtype_policy is None else {"dtype": recipe.dtype_policy}
    more = {} if say is None else {"say": say}

    def over(encoder):
        return BertClassifier(encoder, len(task.labels), recipe.dropout, name="classifier")

    if start is None:
        tokenizer = _vocabulary(recipe, task, folder)
        settings |= {"max_length": max(recipe.max_length, 128), "pad_id": tokenizer.pad_id}
        return over(BertEncoder.official(recipe.size, tokenizer.vocab_size, **settings)), tokenizer
    tokenizer = checkpoints.load_tokenizer(start)
    model = checkpoints.load_bert(
        start, over, fresh=("classifier",), may_lack=("pooler",), **more, **settings
    )
    rows = model.encoder.token_embedding.input_dim
    if tokenizer.vocab_size > rows:
        raise ValueError(
            f"{start}: its vocabulary has {tokenizer.vocab_size} tokens and its model {rows}: they "
            "do not belong together."
        )
    return model, tokenizer


def _vocabulary(recipe, task, folder):
    """The vocabulary of an earlier call, or a new one of the training texts."""
    if (folder / "tokenizer.json").exists():
        return Tokenizer.load(folder)
    train = task.splits["train"]
    tokenizer = Tokenizer.learn([*train.texts, *(train.pairs or [])], recipe.vocab_size)
    tokenizer.save(folder)
    return tokenizer


def _batches(recipe, tokenizer, examples, max_length, shuffle=True):
    return ExampleBatches(
        encode(tokenizer, examples.texts, examples.pairs, max_length),
        examples.labels,
        recipe.batch_size if shuffle else recipe.eval_batch_size,
        pad_id=tokenizer.pad_id,
        end_id=tokenizer.end_id,
        shuffle=shuffle,
        seed=recipe.seed,
    )


def _digest(task):
    """What tells this task's training and validation rows from others."""
    told = [task.labels, *(vars(task.splits[name]) for name in ("train", "validation"))]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _keep(classifier, folder):
    """Writes the model where an earlier call's may stand, which is then replaced as a whole."""
    half = folder.with_name(f".writing-{folder.name}")
    shutil.rmtree(half, ignore_errors=True)  # what a killed run left
    classifier.save(half)
    shutil.rmtree(folder, ignore_errors=True)
    half.rename(folder)
