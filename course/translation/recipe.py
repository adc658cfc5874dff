"""From sentence pairs to a trained translator: one recipe, one run, resumable."""

import random
from dataclasses import asdict, dataclass
from pathlib import Path

import keras

from course import runtime, training
from course.tokens import TokenBatches, Tokenizer
from course.training import InverseSquareRoot
from course.transformer import Transformer
from course.translation.loss import TeacherForcing
from course.translation.translator import LONGEST, Translator


def pair_batches(tokenizer, pairs, max_tokens=4096, **options):
    """Sentence pairs as batches for `TeacherForcing`.

    Args:
        tokenizer: a `Tokenizer` of both languages.
        pairs: list of (source, target) strings.
        max_tokens, **options: see `TokenBatches`.

    Returns:
        `TokenBatches` of ((source, decoder input), labels), int32 `(rows, length)` each. A source
        ends with the end symbol; the decoder's input starts with the start symbol, its labels end
        with the end symbol, so that place j of the input is followed by place j of the labels.
    """
    sources = [ids[1:] for ids in tokenizer.encode_batch([source for source, _ in pairs])]
    targets = tokenizer.encode_batch([target for _, target in pairs])
    columns = (sources, [ids[:-1] for ids in targets], [ids[1:] for ids in targets])
    return TokenBatches(
        columns,
        max_tokens,
        pad_id=tokenizer.pad_id,
        make=lambda source, given, labels: ((source, given), labels),
        **options,
    )


@dataclass(frozen=True)
class Recipe:
    """Every setting of a translation run. The defaults are the tiny model for Multi30k.

    Attributes:
        vocab_size, kind, lowercase: of the vocabulary, which both languages share.
        num_layers, d_model, num_heads, d_ff, dropout, norm, positions, tie_embeddings: the model's.
        max_tokens: ids of a batch, padding included, of source and target each.
        steps: updates in all.
        peak: the largest learning rate, reached after `warmup_steps`; it then falls with the root,
            and over the last `cooldown_steps` to 0. It and `steps` may be changed until then.
        smoothing: ε of the loss.
        beta_2, epsilon, clipnorm: of Adam; 0.98 as in the paper, so that v follows the warm-up.
        seed: of the vocabulary's order, the weights, the shuffling and the dropout.
        round_steps: updates between two checkpoints.
        keep: checkpoints that are kept, and averaged in the end.
        patience: rounds without a better validation loss after which it stops; None never does.
        mixed: "mixed_bfloat16", "mixed_float16" or None for float32.
    """

    vocab_size: int = 8000
    kind: str = "bpe"
    lowercase: bool = False
    num_layers: int = 4
    d_model: int = 128
    num_heads: int = 4
    d_ff: int = 256
    dropout: float = 0.3
    norm: str = "pre"
    positions: str = "sinusoidal"
    tie_embeddings: str | bool = "all"
    max_tokens: int = 4096
    steps: int = 8000
    peak: float = 5e-3
    warmup_steps: int = 2000
    cooldown_steps: int = 0
    smoothing: float = 0.1
    beta_2: float = 0.98
    epsilon: float = 1e-9
    clipnorm: float | None = None
    seed: int = 0
    round_steps: int = 250
    keep: int = 5
    patience: int | None = None
    mixed: str | None = None

    def model(self, vocab_size):
        """The `Transformer` of this recipe."""
        names = "num_layers d_model num_heads d_ff dropout norm positions tie_embeddings".split()
        settings = {name: getattr(self, name) for name in names}
        sizes = {"source_vocab_size": vocab_size, "target_vocab_size": vocab_size}
        return Transformer(**settings, **sizes, dtype=self.mixed, name="transformer")

    def optimizer(self):
        """Adam with the paper's schedule, scaled so that its largest rate is `peak`."""
        scale = self.peak * (self.d_model * self.warmup_steps) ** 0.5
        schedule = InverseSquareRoot(
            self.d_model, self.warmup_steps, scale, self.cooldown_steps, self.steps
        )
        return keras.optimizers.Adam(
            schedule, 0.9, self.beta_2, self.epsilon, clipnorm=self.clipnorm
        )


def train_translator(
    recipe, pairs, folder, *, validation=None, round_callbacks=(), deterministic=False, verbose=0
):
    """Learns a vocabulary and trains a Transformer; call it again to go on after a stop.

    Args:
        recipe: a `Recipe`.
        pairs: list of (source, target) strings.
        folder: where the run lives: tokenizer, recipe, checkpoints, log, TensorBoard's files.
        validation: pairs on which the best checkpoint is chosen.
        round_callbacks: more Keras callbacks; an epoch is a round of `recipe.round_steps`.
        deterministic: whether operations have to give the same bits in every run. Slower.
        verbose: as Keras' `fit` takes it.

    Returns:
        The `Translator` of the averaged last checkpoints, and the log (see `training.train`).

    Raises:
        ValueError: if a pair is empty, or the folder holds a run with another recipe.
    """
    folder = Path(folder)
    _check_pairs(pairs)
    settings = {**asdict(recipe), "pairs": len(pairs)}
    for later in ("patience", "keep", "steps", "cooldown_steps"):  # a run may be prolonged
        del settings[later]
    ending = None
    if recipe.cooldown_steps:
        ending = {"from": recipe.steps - recipe.cooldown_steps, "steps": recipe.steps}
    runtime.seed_everything(recipe.seed, deterministic=deterministic)
    tokenizer = _tokenizer(recipe, pairs, folder)
    model = TeacherForcing(recipe.model(tokenizer.vocab_size), recipe.smoothing)
    model.compile(recipe.optimizer(), jit_compile=runtime.jit_compile())
    batches = pair_batches(
        tokenizer,
        pairs,
        recipe.max_tokens,
        seed=recipe.seed,
        too_long="drop",
        max_length=min(LONGEST, recipe.max_tokens),
    )
    if validation is not None:
        validation = pair_batches(
            tokenizer,
            validation,
            recipe.max_tokens,
            shuffle=False,
            too_long="cut",
            max_length=min(LONGEST, recipe.max_tokens),
        )
    log = training.train(
        model,
        batches,
        steps=recipe.steps,
        folder=folder,
        round_steps=recipe.round_steps,
        validation=validation,
        monitor="val_nll",
        patience=recipe.patience,
        keep=recipe.keep,
        settings=settings,
        ending=ending,
        callbacks=round_callbacks,
        verbose=verbose,
    )
    training.save_recipe(folder, recipe)
    return load_translator(folder), log


def _check_pairs(pairs):
    for row, (source, target) in enumerate(pairs):
        if not source.strip() or not target.strip():
            side = "source" if not source.strip() else "target"
            raise ValueError(f"pair {row} has an empty {side}: remove it, or fill it in.")


def _tokenizer(recipe, pairs, folder):
    """The vocabulary of an earlier call, or a new one of the pairs."""
    if (folder / "tokenizer.json").exists():
        return Tokenizer.load(folder)
    texts = [text for pair in pairs for text in pair]
    random.Random(recipe.seed).shuffle(texts)
    tokenizer = Tokenizer.learn(texts, recipe.vocab_size, recipe.kind, lowercase=recipe.lowercase)
    tokenizer.save(folder)
    return tokenizer


def load_translator(folder, which="average"):
    """The translator of a run's folder.

    Args:
        folder: what `train_translator` was given.
        which: "average" of the last checkpoints, "best" on the validation pairs, or the path of a
            checkpoint.

    Raises:
        FileNotFoundError: if there is no run in the folder.
    """
    folder = Path(folder)
    recipe = training.load_recipe(folder, Recipe)
    tokenizer = Tokenizer.load(folder)
    model = TeacherForcing(recipe.model(tokenizer.vocab_size))
    weights = {"average": lambda: training.average(training.checkpoints(folder)[-recipe.keep :])}
    weights["best"] = lambda: folder / "best.safetensors"
    training.load_checkpoint(weights.get(which, lambda: which)(), model)
    return Translator(model.transformer, tokenizer)
