"""From texts to a trained language model: one recipe, one run, resumable."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from course import runtime, training
from course.language_modelling.characters import learn_characters
from course.language_modelling.generation import generate, stream
from course.language_modelling.loss import NextToken
from course.language_modelling.model import CausalLM
from course.language_modelling.packing import PackedBatches
from course.language_modelling.scoring import encode_documents, evaluate
from course.tokens import Tokenizer
from course.training.optimizers import adamw

KINDS = ("bpe", "wordpiece", "characters")


@dataclass(frozen=True)
class Recipe(training.Recipe):
    """Every setting of a language model's run, beside those of `training.Recipe`.

    Attributes:
        vocab_size: tokens of the vocabulary; of characters there are as many as the texts hold.
        kind: "bpe", "wordpiece" or "characters".
        lowercase: whether capitals are taken away.
        num_layers, d_model, num_heads, d_ff: sizes; d_ff is 4 · d_model if None.
        positions: "learned" or "rotary".
        normalization: "layer" or "rms".
        activation: of the feed-forward network; `gated` makes its first product a gate.
        gated: see `activation`.
        num_key_value_heads: with rotary positions, heads of keys and values; num_heads if None.
        use_bias: whether projections have biases.
        tie_embeddings: whether the output projection is the embedding.
        dropout: rate on embeddings, sublayer outputs and attention weights.
        max_length: tokens of a row, and what the model reads at most.
        batch_size: rows of a batch.
        separate_documents: whether tokens attend to their own document only.
        weight_decay, beta_2: of AdamW; matrices decay, vectors do not.
    """

    warmup_share: ClassVar[float] = 0.05
    classic_warmup_steps: ClassVar[int] = 500

    epochs: int | None = None
    max_steps: int | None = 2000
    learning_rate: float = 1e-3
    batch_size: int = 16
    vocab_size: int = 8000
    kind: str = "bpe"
    lowercase: bool = False
    num_layers: int = 4
    d_model: int = 128
    num_heads: int = 4
    d_ff: int | None = None
    positions: str = "learned"
    normalization: str = "layer"
    activation: str = "gelu"
    gated: bool = False
    num_key_value_heads: int | None = None
    use_bias: bool = True
    tie_embeddings: bool = True
    dropout: float = 0.1
    max_length: int = 256
    separate_documents: bool = True
    weight_decay: float = 0.1
    beta_2: float = 0.99

    def __post_init__(self):
        super().__post_init__()
        if self.kind not in KINDS:
            raise ValueError(f"kind = {self.kind!r}: choose one of {', '.join(KINDS)}.")

    def model(self, vocab_size, pad_id):
        """The `CausalLM` of this recipe."""
        names = """num_layers d_model num_heads d_ff max_length positions normalization activation
            gated num_key_value_heads use_bias tie_embeddings dropout"""
        settings = {name: getattr(self, name) for name in names.split()}
        return CausalLM(
            vocab_size, **settings, pad_id=pad_id, dtype=self.dtype_policy, name="language_model"
        )

    def optimizer(self, model):
        """AdamW, up in a straight line to the learning rate and down in one to 0."""
        schedule = training.WarmupLinear(self.learning_rate, self.warmup_steps, self.max_steps)
        more = {"weight_decay": self.weight_decay, "beta_2": self.beta_2}
        return adamw(model, schedule, epsilon=self.epsilon, clipnorm=self.clipnorm, **more)

    def tokenizer(self, texts):
        """The vocabulary that this recipe learns."""
        if self.kind == "characters":
            return learn_characters(texts)
        # Whole texts are long: the vocabulary is learned from their lines, line ends included.
        lines = [line for text in texts for line in text.splitlines(keepends=True)]
        return Tokenizer.learn(lines, self.vocab_size, self.kind, lowercase=self.lowercase)

    def batches(self, documents, pad_id, *, shuffle=True):
        """`PackedBatches` of documents of ids."""
        return PackedBatches(
            documents,
            self.batch_size,
            self.max_length,
            separate=self.separate_documents,
            shuffle=shuffle,
            seed=self.seed,
            pad_id=pad_id,
        )


class LanguageModel:
    """A trained model and its vocabulary: prompts in, texts out.

    Attributes:
        model: the `CausalLM`.
        tokenizer: its `Tokenizer`.
    """

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer

    def generate(self, prompts, **options):
        """See `language_modelling.generate`."""
        return generate(self.model, self.tokenizer, prompts, **options)

    def stream(self, prompt="", **options):
        """See `language_modelling.stream`."""
        return stream(self.model, self.tokenizer, prompt, **options)

    def evaluate(self, texts, **options):
        """See `language_modelling.evaluate`."""
        return evaluate(self.model, self.tokenizer, texts, **options)


def train_language_model(
    recipe,
    texts,
    output_dir=None,
    *,
    validation=None,
    callbacks=(),
    deterministic=False,
    verbose=0,
):
    """Learns a vocabulary and trains a causal language model; call it again to go on after a stop.

    Args:
        recipe: a `Recipe`.
        texts: list of strings, each a document.
        output_dir: where the run lives; None means `recipe.output_dir`.
        validation: texts on which the best checkpoint is chosen.
        callbacks: more Keras callbacks; an epoch is a round of `recipe.round_steps`.
        deterministic: whether operations have to give the same bits in every run. Slower.
        verbose: as Keras' `fit` takes it.

    Returns:
        The `LanguageModel` (of the best checkpoint where there is a validation), and the log.

    Raises:
        ValueError: if there is no text, or the folder holds a run with another recipe.
    """
    texts = [text for text in texts if text]
    if not texts:
        raise ValueError("there is no text to learn from: every text is empty.")
    folder = recipe.folder(output_dir)
    runtime.seed_everything(recipe.seed, deterministic=deterministic)
    if (folder / "tokenizer.json").exists():
        tokenizer = Tokenizer.load(folder)
    else:
        tokenizer = recipe.tokenizer(texts)
        tokenizer.save(folder)
    batches = recipe.batches(encode_documents(tokenizer, texts), tokenizer.pad_id)
    asked, recipe = recipe, recipe.resolved(len(batches), folder)
    model = NextToken(recipe.model(tokenizer.vocab_size, tokenizer.pad_id))
    model.compile(recipe.optimizer(model), jit_compile=runtime.jit_compile())
    if validation is not None:
        held_out = encode_documents(tokenizer, validation)
        validation = recipe.batches(held_out, tokenizer.pad_id, shuffle=False)
    settings = replace(asked, warmup_steps=recipe.warmup_steps).run_settings("patience", "keep")
    log = training.train(
        model,
        batches,
        steps=recipe.max_steps,
        folder=folder,
        round_steps=recipe.round_steps,
        validation=validation,
        monitor="nll" if validation is None else "val_nll",
        patience=recipe.patience,
        keep=recipe.keep,
        settings=settings | {"tokens": batches.tokens},
        logging_dir=recipe.logging_dir,
        callbacks=callbacks,
        verbose=verbose,
    )
    asked.save(folder)
    return load_language_model(folder, "last" if validation is None else "best"), log


def load_language_model(folder, which="best"):
    """The language model of a run's folder, or of a checkpoint's.

    Args:
        folder: what `train_language_model` was given.
        which: "best" by validation (or by the training loss without one), "last", or the path of a
            checkpoint.

    Returns:
        A `LanguageModel`.

    Raises:
        FileNotFoundError: if there is no finished run in the folder.
    """
    folder = Path(folder)
    recipe = training.load_recipe(folder, Recipe)
    tokenizer = Tokenizer.load(folder)
    model = NextToken(recipe.model(tokenizer.vocab_size, tokenizer.pad_id))
    paths = {"last": lambda: training.checkpoints(folder)[-1]}
    paths["best"] = lambda: folder / "best.safetensors"
    training.load_checkpoint(paths.get(which, lambda: which)(), model)
    return LanguageModel(model.model, tokenizer)
