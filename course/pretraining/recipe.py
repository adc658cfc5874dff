"""From files of text to a pretrained encoder: one recipe, one run, resumable."""

import hashlib
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from course import runtime, training
from course.data.locations import embedded_root
from course.pretraining.encoder import BertEncoder
from course.pretraining.examples import PretrainingBatches
from course.pretraining.heads import BertForPretraining
from course.pretraining.masking import Masking
from course.pretraining.text import Corpus, documents
from course.tokens import Tokenizer
from course.training import WarmupLinear
from course.training.optimizers import adamw


@dataclass(frozen=True)
class Recipe(training.Recipe):
    """Every setting of a pretraining run. The defaults are a small model for a laptop's evening.

    Those of every run are in `course.training.Recipe`. The learning rate falls to 0 in a line after
    the warm-up, of None a tenth of the updates and at most 1,000; so a run cannot be prolonged.

    Attributes:
        vocabulary: path of a published `vocab.txt`; None learns one of `vocab_size` tokens.
        vocab_size, vocab_sentences: of a learned one; from so many sentences, drawn at random.
        lowercase: whether capitals and accents are taken away.
        num_layers, d_model, num_heads, d_ff, dropout: the encoder's.
        stddev: of the first weights' normal distribution, cut off at two of it. BERT's 0.02 is for
            d_model 768; a narrow model that begins so small hears little of its own attention and
            learns words' frequencies only for a long time. d_model^-0.5 is a good choice there.
        max_positions: rows of its table of positions; a later fine-tuning reads texts so long.
        max_length: the longest row in training, special tokens included.
        mask_rate, whole_words: see `Masking`.
        batch_size: rows of a batch.
        gradient_accumulation_steps: batches of an update.
        multiple: widths of batches are multiples of it.
        weight_decay, beta_2: of AdamW, see `course.training.optimizers.adamw`.
    """

    classic_warmup_steps: ClassVar[int] = 1000

    vocabulary: str | None = None
    vocab_size: int = 8000
    vocab_sentences: int = 500_000
    lowercase: bool = True
    num_layers: int = 4
    d_model: int = 256
    num_heads: int = 4
    d_ff: int = 1024
    dropout: float = 0.1
    stddev: float = 0.02
    max_positions: int = 512
    max_length: int = 128
    mask_rate: float = 0.15
    whole_words: bool = False
    batch_size: int = 32
    gradient_accumulation_steps: int = 1
    multiple: int = 32
    max_steps: int | None = 20_000
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    beta_2: float = 0.999
    epsilon: float = 1e-6
    round_steps: int | None = 500

    def model(self, vocab_size, pad_id=0):
        """A new `BertForPretraining` of this recipe."""
        encoder = BertEncoder(
            vocab_size,
            self.num_layers,
            self.d_model,
            self.num_heads,
            self.d_ff,
            max_length=self.max_positions,
            dropout=self.dropout,
            pad_id=pad_id,
            initializer=keras.initializers.TruncatedNormal(stddev=self.stddev),
            dtype=self.dtype_policy,
            name="encoder",
        )
        return BertForPretraining(encoder, name="bert")

    def optimizer(self, model):
        """AdamW with warm-up and linear decay, both counted in updates."""
        accumulate = self.gradient_accumulation_steps
        steps = (self.warmup(self.max_steps) * accumulate, self.max_steps * accumulate)
        return adamw(
            model,
            WarmupLinear(self.learning_rate, *steps),
            weight_decay=self.weight_decay,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            clipnorm=self.clipnorm,
            accumulate=accumulate,
        )

    def batches(self, corpus, tokenizer, **options):
        """The `PretrainingBatches` of this recipe."""
        return PretrainingBatches(
            corpus,
            tokenizer,
            Masking(tokenizer, self.mask_rate, whole_words=self.whole_words),
            batch_size=self.batch_size,
            max_length=self.max_length,
            multiple=self.multiple,
            seed=self.seed,
            **options,
        )


def pretrain(
    recipe,
    sources,
    output_dir=None,
    *,
    validation=None,
    start=None,
    callbacks=(),
    deterministic=False,
    verbose="auto",
):
    """Pretrains an encoder on text; call it again to go on after a stop.

    Args:
        recipe: a `Recipe`.
        sources: list of names of data sets and paths of text files, see `documents`.
        output_dir: where the run lives: tokenizer, recipe, the text as ids, checkpoints, log,
            TensorBoard's files. None means the recipe's.
        validation: such a list, on which the best checkpoint is chosen; else by the training loss.
        start: a pair of a `BertForPretraining`, whose weights the run begins with, and its
            `Tokenizer`. Its sizes have to be the recipe's. So one goes on with BERT on the texts of
            another field (Gururangan et al. 2020).
        callbacks: more Keras callbacks; an epoch is a round of `recipe.round_steps` updates.
        deterministic: whether operations have to give the same bits in every run. Slower.
        verbose: see `training.train`.

    Returns:
        The `BertForPretraining` with its last weights, and the log (see `training.train`), in which
        a step is a batch.

    Raises:
        ValueError: if the folder holds a run with another recipe, start or text, or the start has
            other sizes.
    """
    folder = recipe.folder(output_dir)
    if recipe.max_length > recipe.max_positions:
        raise ValueError(
            f"max_length = {recipe.max_length} and max_positions = {recipe.max_positions}: "
            "raise max_positions, or cut the rows."
        )
    if recipe.max_steps is not None:  # before hours of reading
        warmup_steps = recipe.warmup(recipe.max_steps, folder)
        training.WarmupLinear(recipe.learning_rate, warmup_steps, recipe.max_steps)
    runtime.seed_everything(recipe.seed, deterministic=deterministic)
    tokenizer = _tokenizer(recipe, sources, folder, start)
    corpus = _corpus(recipe, sources, tokenizer, folder / "corpus")
    batches, accumulate = recipe.batches(corpus, tokenizer), recipe.gradient_accumulation_steps
    asked, recipe = recipe, recipe.resolved(max(len(batches) // accumulate, 1), folder)
    model = recipe.model(tokenizer.vocab_size, tokenizer.pad_id)
    if start is not None:
        _begin_with(model, start[0])
    model.compile(recipe.optimizer(model), jit_compile=runtime.jit_compile())
    if validation is not None:
        held_out = _corpus(recipe, validation, tokenizer, folder / "validation")
        validation = recipe.batches(held_out, tokenizer, shuffle=False)
    settings = replace(asked, warmup_steps=recipe.warmup_steps).run_settings()
    settings["corpus"] = corpus.note
    if start is not None:
        settings["start"] = _digest(start[0])
    log = training.train(
        model,
        batches,
        steps=recipe.max_steps * accumulate,
        folder=folder,
        round_steps=recipe.round_steps * accumulate,
        validation=validation,
        monitor="masked_loss" if validation is None else "val_masked_loss",
        keep=recipe.keep,
        patience=recipe.patience,
        settings=settings,
        logging_dir=recipe.logging_dir,
        callbacks=callbacks,
        verbose=verbose,
    )
    asked.save(folder)
    return model, log


def recipe_of_start(recipe, start, asked=()):
    """A recipe with the sizes of the model that a run begins with.

    Args:
        recipe: a `Recipe`.
        start: a pair of a `BertForPretraining` and its `Tokenizer`.
        asked: names of settings that were chosen, which have to agree with the start.

    Raises:
        ValueError: if one of them does not.
    """
    encoder = start[0].encoder.get_config()
    names = ("num_layers", "d_model", "num_heads", "d_ff")
    sizes = {name: encoder[name] for name in names} | {"max_positions": encoder["max_length"]}
    for name in asked:
        if name in ("vocabulary", "vocab_size", "vocab_sentences", "lowercase"):
            raise ValueError(
                f"{name} is set, and the start brings its own vocabulary: leave it out."
            )
        if name in sizes and getattr(recipe, name) != sizes[name]:
            raise ValueError(
                f"{name} = {getattr(recipe, name)}, and the start has {sizes[name]}: leave it out, "
                "or begin without the start."
            )
    if "max_length" not in asked:
        sizes["max_length"] = min(recipe.max_length, sizes["max_positions"])
    return replace(recipe, **sizes)


def _begin_with(model, start):
    """Takes over the weights of another model of the same sizes."""
    ours, theirs = (each.encoder.get_config() for each in (model, start))
    for name in ("num_heads", "activation", "epsilon"):  # what the weights' shapes do not tell
        if ours[name] != theirs[name]:
            raise ValueError(
                f"{name} is {ours[name]} by the recipe, and in the start {theirs[name]}: the model "
                "would compute something else. "
                + ("Set it to the start's." if name == "num_heads" else "Choose another start.")
            )
    for ours, theirs in zip(model.weights, start.weights, strict=False):
        if ours.shape != theirs.shape:
            raise ValueError(
                f"{ours.path} has the shape {tuple(ours.shape)} by the recipe, and in the start "
                f"{tuple(theirs.shape)}: set num_layers, d_model, d_ff and max_positions to the "
                "start's."
            )
    if len(model.weights) != len(start.weights):
        raise ValueError("the start has another number of layers: set num_layers to the start's.")
    model.set_weights(start.get_weights())


def _digest(model):
    """What tells these weights from others."""
    told = hashlib.sha256()
    for array in model.get_weights():
        told.update(np.ascontiguousarray(array).tobytes())
    return told.hexdigest()[:16]


def _tokenizer(recipe, sources, folder, start=None):
    """The vocabulary of an earlier call, the start's, a published one, or a new one of the text."""
    if (folder / "tokenizer.json").exists():
        return Tokenizer.load(folder)
    if start is not None:
        tokenizer = start[1]
    elif recipe.vocabulary is not None:
        tokenizer = Tokenizer.from_vocab(recipe.vocabulary, recipe.lowercase)
    else:
        found = (sentence for document in documents(sources) for sentence in document)
        drawn = _sample(found, recipe.vocab_sentences, random.Random(recipe.seed))
        tokenizer = Tokenizer.learn(drawn, recipe.vocab_size, lowercase=recipe.lowercase)
    tokenizer.save(folder)
    return tokenizer


def _sample(stream, count, rng):
    """So many elements of a stream, each with the same chance, and never more in memory."""
    drawn = []
    for number, element in enumerate(stream):
        if number < count:
            drawn.append(element)
        elif (place := rng.randrange(number + 1)) < count:
            drawn[place] = element
    return drawn


def _corpus(recipe, sources, tokenizer, folder):
    """The text as ids, written when it is first needed."""
    sources = [str(source) for source in ([sources] if isinstance(sources, str) else sources)]
    sizes = [Path(s).stat().st_size if Path(s).is_file() else None for s in sources]
    note = {"sources": sources, "sizes": sizes, "max_length": recipe.max_length}
    corpus = Corpus.open(folder)
    if corpus is None:
        longest = max((recipe.max_length - 3) // 2, 1)
        corpus = Corpus.write(folder, documents(sources), tokenizer, longest, note)
    if corpus.note != note:
        raise ValueError(
            f"{folder} was made of {corpus.note}, and now it is {note}: choose another folder, or "
            "delete this one."
        )
    return corpus


def load_pretrained(folder, which="last"):
    """The model of a run's folder.

    Args:
        folder: what `pretrain` was given.
        which: "last", "best" by validation, or the path of a checkpoint.

    Returns:
        A `BertForPretraining` and its `Tokenizer`.

    Raises:
        FileNotFoundError: if there is no run in the folder.
    """
    folder = Path(folder)
    recipe = training.load_recipe(folder, Recipe)
    tokenizer = Tokenizer.load(folder)
    model = recipe.model(tokenizer.vocab_size, tokenizer.pad_id)
    saved = training.checkpoints(folder)
    if not saved:
        raise FileNotFoundError(f"{folder} holds no checkpoint: train a model there first.")
    paths = {"last": saved[-1], "best": folder / "best.safetensors"}
    training.load_checkpoint(paths.get(which, which), model)
    return model, tokenizer


def world_bert():
    """The folder of the course's own checkpoint: a small BERT, pretrained on the embedded world.

    Its weights, vocabulary and config are in Hugging Face's layout, and beside them are the command
    that made it, the log of its training and a page on what it is:

        >>> encoder = checkpoints.load_bert(world_bert())
        >>> tokenizer = checkpoints.load_tokenizer(world_bert())

    Returns:
        A `pathlib.Path`.
    """
    return embedded_root().parent / "bert"


def fill_mask(model, tokenizer, text, count=5):
    """What a model expects behind each `[MASK]` of a text.

    Args:
        model: a `MaskedLanguageModel`, or a model that has one as `masked_lm`.
        tokenizer: its `Tokenizer`.
        text: a string with "[MASK]" in it.
        count: how many tokens to tell.

    Returns:
        For each `[MASK]` a list of (token, probability), the likeliest first.

    Example:
        >>> fill_mask(model, tokenizer, "He got up at six o'clock every [MASK].", 1)  # world_bert's
        [[('day', 0.344…)]]
    """
    model = getattr(model, "masked_lm", model)
    ids = np.array([tokenizer.encode(text, read_special=True)], "int32")  # (1, length)
    (places,) = np.nonzero(ids[0] == tokenizer.mask_id)
    if not len(places):
        raise ValueError(f"the text has no [MASK]: {text!r}")
    sequence, _ = model.encoder((ids, np.zeros_like(ids)))
    logits = model.logits_at(sequence, places[None].astype("int32"))[0]  # (places, vocab_size)
    shares = ops.convert_to_numpy(ops.softmax(ops.cast(logits, "float32")))
    best = np.argsort(-shares, axis=-1)[:, :count]
    return [
        [(tokenizer.id_to_token(int(i)), float(row[i])) for i in top]
        for row, top in zip(shares, best, strict=True)
    ]
