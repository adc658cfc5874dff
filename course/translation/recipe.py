"""From sentence pairs to a trained translator: one recipe, one run, resumable."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

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
class Recipe(training.Recipe):
    """Every setting of a translation run. The defaults are the tiny model for Multi30k.

    Those of every run are in `course.training.Recipe`; the learning rate falls with the root of the
    step after the warm-up, of None a quarter of the updates and at most 2,000.

    Attributes:
        vocab_size, kind, lowercase: of the vocabulary, which both languages share.
        num_layers, d_model, num_heads, d_ff, dropout, norm, positions, tie_embeddings: the model's.
        max_tokens: ids of a batch, padding included, of source and target each.
        cooldown_steps: over so many updates at the end the learning rate falls to 0. It and
            `max_steps` may be changed until then.
        label_smoothing: ε of the loss.
        beta_2: of Adam; 0.98 as in the paper, so that v follows the warm-up.
        keep: checkpoints that are kept, and averaged in the end.
    """

    warmup_share: ClassVar[float] = 0.25
    classic_warmup_steps: ClassVar[int] = 2000

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
    max_steps: int | None = 8000
    learning_rate: float = 5e-3
    cooldown_steps: int = 0
    label_smoothing: float = 0.1
    beta_2: float = 0.98
    epsilon: float = 1e-9
    clipnorm: float | None = None
    keep: int = 5

    def model(self, vocab_size):
        """The `Transformer` of this recipe."""
        names = "num_layers d_model num_heads d_ff dropout norm positions tie_embeddings".split()
        settings = {name: getattr(self, name) for name in names}
        sizes = {"source_vocab_size": vocab_size, "target_vocab_size": vocab_size}
        return Transformer(**settings, **sizes, dtype=self.dtype_policy, name="transformer")

    def optimizer(self):
        """Adam with the paper's schedule, scaled so that its largest rate is `learning_rate`."""
        warmup_steps = max(self.warmup(self.max_steps), 1)
        scale = self.learning_rate * (self.d_model * warmup_steps) ** 0.5
        schedule = InverseSquareRoot(
            self.d_model, warmup_steps, scale, self.cooldown_steps, self.max_steps
        )
        return keras.optimizers.Adam(
            schedule, 0.9, self.beta_2, self.epsilon, clipnorm=self.clipnorm
        )


def train_translator(
    recipe,
    pairs,
    output_dir=None,
    *,
    validation=None,
    callbacks=(),
    deterministic=False,
    verbose="auto",
    say=None,
):
    """Learns a vocabulary and trains a Transformer; call it again to go on after a stop.

    Args:
        recipe: a `Recipe`.
        pairs: list of (source, target) strings.
        output_dir: where the run lives: tokenizer, recipe, checkpoints, log, TensorBoard's files.
            None means the recipe's.
        validation: pairs on which the best checkpoint is chosen.
        callbacks: more Keras callbacks; an epoch is a round of `recipe.round_steps`.
        deterministic: whether operations have to give the same bits in every run. Slower.
        verbose: see `training.train`.
        say: called with lines on what is used, cut and left out.

    Returns:
        The `Translator` of the averaged last checkpoints, and the log (see `training.train`).

    Raises:
        ValueError: if a pair is empty, or the folder holds a run with another recipe.
    """
    folder = recipe.folder(output_dir)
    _check_pairs(pairs)
    runtime.seed_everything(recipe.seed, deterministic=deterministic)
    tokenizer = _tokenizer(recipe, pairs, folder)
    batches = pair_batches(
        tokenizer,
        pairs,
        recipe.max_tokens,
        seed=recipe.seed,
        too_long="drop",
        max_length=min(LONGEST, recipe.max_tokens),
    )
    longest = min(LONGEST, recipe.max_tokens)
    if say is not None:
        used = len(pairs) - batches.num_too_long
        say(
            f"{used:,} of {len(pairs):,} training pairs are used; {batches.num_too_long:,} with a "
            f"side over {longest} tokens are dropped"
        )
    asked, recipe = recipe, recipe.resolved(len(batches), folder)
    if say is not None and asked.warmup_steps is None:
        say(f"{recipe.max_steps:,} updates, of them {recipe.warmup_steps:,} of warm-up")
    # A run may be prolonged, until its end has begun.
    lasting = replace(asked, warmup_steps=recipe.warmup_steps)
    settings = lasting.run_settings("max_steps", "epochs", "cooldown_steps")
    ending = None
    if recipe.cooldown_steps:
        ending = {"from": recipe.max_steps - recipe.cooldown_steps, "max_steps": recipe.max_steps}
    model = TeacherForcing(recipe.model(tokenizer.vocab_size), recipe.label_smoothing)
    model.compile(recipe.optimizer(), jit_compile=runtime.jit_compile())
    if validation is not None:
        validation = pair_batches(
            tokenizer,
            validation,
            recipe.max_tokens,
            shuffle=False,
            too_long="cut",
            max_length=min(LONGEST, recipe.max_tokens),
        )
        if say is not None and validation.num_too_long:
            say(f"{validation.num_too_long:,} validation pairs are cut to {longest} tokens")
    log = training.train(
        model,
        batches,
        steps=recipe.max_steps,
        folder=folder,
        round_steps=recipe.round_steps,
        validation=validation,
        monitor="val_nll",
        patience=recipe.patience,
        keep=recipe.keep,
        settings={**settings, "pairs": len(pairs)},
        ending=ending,
        logging_dir=recipe.logging_dir,
        callbacks=callbacks,
        verbose=verbose,
    )
    asked.save(folder)
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
