"""Teaching a Transformer to translate: loss, recipe, scores (lesson 05).

"Attention Is All You Need", Vaswani et al. 2017, section 5, in its order: sentence pairs and their
batches (5.1), the schedule (5.3, `InverseSquareRoot`), label smoothing (5.4), and the scores of
section 6.1. What keeps a run alive is in `course.training`.
"""

import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
from keras import ops

from course import data, decoding, runtime, training
from course.attention import padding_mask
from course.tokens import TokenBatches, Tokenizer
from course.training import InverseSquareRoot, WarmupLinear
from course.transformer import Transformer

LONGEST = 256  # ids of a sentence; longer ones are left out of training, and cut when translated

__all__ = [
    "InverseSquareRoot",
    "Recipe",
    "TeacherForcing",
    "WarmupLinear",
    "bleu",
    "chrf",
    "export_translator",
    "label_smoothed_loss",
    "load_pairs",
    "load_translator",
    "masked_accuracy",
    "pair_batches",
    "train_translator",
    "translate",
]


def label_smoothed_loss(labels, logits, smoothing=0.1, pad_id=0):
    """Cross-entropy with softened targets, the mean over real tokens.

    The target of a token is q = (1 - ε) · one-hot + ε · u, where u is uniform over all ids but
    padding, which is never right; the loss is -Σ q log p. Padded places count nothing.

    Args:
        labels: integer tensor `(batch, length)`, the ids that should come out.
        logits: float tensor `(batch, length, vocab_size)`.
        smoothing: ε, between 0 and 1.
        pad_id: the id of padding in `labels`.

    Returns:
        float32 scalar.

    Reference: Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4.
    """
    logits = ops.cast(logits, "float32")
    right = ops.squeeze(ops.take_along_axis(logits, labels[..., None], axis=-1), -1)
    others = (ops.sum(logits, axis=-1) - logits[..., pad_id]) / (logits.shape[-1] - 1)
    nll = ops.logsumexp(logits, axis=-1) - right  # (batch, length): -log p of the label
    return mean_of_real(nll + smoothing * (right - others), labels, pad_id)


def masked_accuracy(labels, logits, pad_id=0):
    """The share of real tokens whose largest logit is the label's.

    Args:
        labels: integer tensor `(batch, length)`.
        logits: float tensor `(batch, length, vocab_size)`.
        pad_id: the id of padding in `labels`.

    Returns:
        float32 scalar.
    """
    hits = ops.equal(ops.cast(ops.argmax(logits, axis=-1), labels.dtype), labels)
    return mean_of_real(hits, labels, pad_id)


def mean_of_real(values, labels, pad_id=0):
    """The mean of values `(batch, length)` where `labels` are not padding; 0 if all are."""
    real = ops.cast(padding_mask(labels, pad_id), "float32")
    return ops.sum(ops.cast(values, "float32") * real) / ops.maximum(ops.sum(real), 1.0)


class TeacherForcing(keras.Model):
    """Trains a Transformer: it reads the right ids so far and is asked for the next.

    The loss is `label_smoothed_loss`, computed without a second look at the logits: they are linear
    in the decoder's vectors h, so what smoothing adds, ε (z_label - mean z), is ε h · (w_label -
    mean w), a product as wide as the model instead of one as wide as the vocabulary.

    Args:
        transformer: a `Transformer`.
        smoothing: ε of the loss.

    `fit` it on batches of `pair_batches`. Logs: "loss", the smoothed loss, and "nll", the plain
    cross-entropy, a mean over all tokens, not over batches; exp of it is the perplexity.
    """

    def __init__(self, transformer, smoothing=0.1, **kwargs):
        super().__init__(**kwargs)
        self.transformer, self.smoothing = transformer, smoothing
        self.nll = keras.metrics.Mean(name="nll")
        self.built = True

    def call(self, inputs):
        """(source ids, target ids without the last) → vectors `(batch, length, d_model)`."""
        source_ids, target_ids = inputs
        model = self.transformer
        source_mask = padding_mask(source_ids, model.pad_id)
        return model.decode(target_ids, model.encode(source_ids), source_mask)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        model, vectors, labels = self.transformer, y_pred, y
        if keras.backend.backend() == "tensorflow" and not self.jit_compile:
            # Logits only where there is a label; a compiled graph cannot have such a shape.
            (real,) = ops.nonzero(ops.reshape(padding_mask(labels, model.pad_id), (-1,)))
            vectors = ops.take(ops.reshape(vectors, (-1, model.d_model)), real, axis=0)
            labels = ops.take(ops.reshape(labels, (-1,)), real, axis=0)  # (real,)
        logits = ops.cast(model.logits(vectors), "float32")
        nll = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        loss = nll + self._smoothing_term(vectors, labels) if self.smoothing else nll
        tokens = ops.sum(ops.cast(padding_mask(labels, model.pad_id), "float32"))
        self.nll.update_state(mean_of_real(nll, labels, model.pad_id), sample_weight=tokens)
        return mean_of_real(loss, labels, model.pad_id)

    def _smoothing_term(self, vectors, labels):
        """ε (z_label - mean z) for each token, from the weights of the output."""
        table, bias = self.transformer.output_weights()  # (vocab_size, d_model), (vocab_size,)
        pad_id, others = self.transformer.pad_id, table.shape[0] - 1
        mean = (ops.sum(table, axis=0) - table[pad_id]) / others  # (d_model,)
        apart = ops.take(table, labels, axis=0) - mean  # (..., d_model)
        term = ops.sum(ops.cast(vectors, "float32") * apart, axis=-1)
        if bias is not None:
            mean = (ops.sum(bias) - bias[pad_id]) / others
            term = term + ops.take(bias, labels, axis=0) - mean
        return self.smoothing * term


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
        peak: the largest learning rate, reached after `warmup_steps`; it then falls with the root.
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
    smoothing: float = 0.1
    beta_2: float = 0.98
    epsilon: float = 1e-9
    clipnorm: float | None = None
    seed: int = 0
    round_steps: int = 250
    keep: int = 10
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
        schedule = InverseSquareRoot(self.d_model, self.warmup_steps, scale)
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
    del settings["steps"], settings["patience"], settings["keep"]  # a run may be prolonged
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
        callbacks=round_callbacks,
        verbose=verbose,
    )
    training.write_atomically(folder / "recipe.json", json.dumps(asdict(recipe), indent=1).encode())
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


class Translator:
    """A trained model and its vocabulary: strings in, strings out.

    Attributes:
        model: the `Transformer`.
        tokenizer: its `Tokenizer`.
    """

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer

    def __call__(self, texts, **options):
        return translate(self.model, self.tokenizer, texts, **options)


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
    if not (folder / "recipe.json").exists():
        raise FileNotFoundError(f"{folder} holds no finished run: train one there first.")
    recipe = Recipe(**json.loads((folder / "recipe.json").read_text(encoding="utf-8")))
    tokenizer = Tokenizer.load(folder)
    model = TeacherForcing(recipe.model(tokenizer.vocab_size))
    weights = {"average": lambda: training.average(training.checkpoints(folder)[-recipe.keep :])}
    weights["best"] = lambda: folder / "best.safetensors"
    training.load_checkpoint(weights.get(which, lambda: which)(), model)
    return Translator(model.transformer, tokenizer)


def translate(model, tokenizer, texts, *, num_beams=1, length_penalty=1.0, max_tokens=4096):
    """Translates sentences, similar lengths together; results come in the order of the texts.

    Args:
        model: a `Transformer`.
        tokenizer: its `Tokenizer`.
        texts: list of strings.
        num_beams: 1 is greedy.
        length_penalty: see `decoding.beam_search`.
        max_tokens: ids of a batch of sources, padding included.

    Returns:
        A list of strings. A translation ends at 1.5 times the length of its padded source plus 10.
    """
    texts = list(texts)
    sources = [ids[1:] for ids in tokenizer.encode_batch(texts)]
    batches = TokenBatches(
        sources,
        max_tokens,
        shuffle=False,
        pad_id=tokenizer.pad_id,
        too_long="cut",
        max_length=min(LONGEST, max_tokens),
    )
    found = [""] * len(texts)
    for index in range(len(batches)):
        rows, ids = batches.rows(index), batches[index]
        ids = ids[rows >= 0] if len(batches) == 1 else ids
        most = min(ids.shape[1] * 3 // 2 + 10, model.max_length)
        settings = {"max_length": most, **_ends(tokenizer)}
        if num_beams == 1:
            out = decoding.greedy(model, ids, **settings)
        else:
            out, _ = decoding.beam_search(
                model, ids, num_beams=num_beams, length_penalty=length_penalty, **settings
            )
            out = out[:, 0]
        for row, text in zip(rows, tokenizer.decode_batch(ops.convert_to_numpy(out)), strict=False):
            if row >= 0:
                found[row] = text
    return found


def _ends(tokenizer):
    """What decoding has to know of a vocabulary."""
    pad, start = tokenizer.pad_id, tokenizer.start_id
    return {
        "start_id": start,
        "end_id": tokenizer.end_id,
        "pad_id": pad,
        "never": (pad, start),
    }


def export_translator(translator, folder, *, num_beams=4, max_length=64):
    """Writes a SavedModel that takes strings and returns their translations.

    To load it nothing of this course is needed:

        >>> import tensorflow as tf, tensorflow_text
        >>> tf.saved_model.load(folder)(tf.constant(["A dog."]))

    Args:
        translator: a `Translator` with a WordPiece vocabulary, on the TensorFlow backend.
        folder: where to write; it must not hold anything yet.
        num_beams: 1 is greedy.
        max_length: the most tokens of a translation.

    Raises:
        ValueError: on another backend, for BPE, or if the folder is taken.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "a SavedModel is made by TensorFlow: load the translator in a process with "
            "KERAS_BACKEND=tensorflow."
        )
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: choose a new folder.")
    import tensorflow as tf

    model, tokenizer = translator.model, translator.tokenizer
    settings = {"max_length": max_length, **_ends(tokenizer)}

    class Exported(tf.Module):
        def __init__(self):
            super().__init__()
            self.tokenizer = tokenizer.in_graph()
            self.weights = [variable.value for variable in model.variables]

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
        def __call__(self, texts):
            ids = self.tokenizer.tokenize(texts)[:, 1:].to_tensor(tokenizer.pad_id)
            if num_beams == 1:
                return self.tokenizer.detokenize(decoding.greedy(model, ids, **settings))
            found, _ = decoding.beam_search(model, ids, num_beams=num_beams, **settings)
            return self.tokenizer.detokenize(found[:, 0])

    exported = Exported()
    tf.saved_model.save(exported, str(folder), signatures=exported.__call__)


def bleu(hypotheses, references, *, language="en"):
    """SacreBLEU of a whole test set.

    Args:
        hypotheses: list of detokenised strings.
        references: list of as many strings, one for each.
        language: "zh", "ja" and "ko" are divided as sacreBLEU does it for them.

    Returns:
        {"score": 0 to 100, "signature": the settings, to be given with the score}.

    Reference: Papineni et al. 2002; Post 2018, "A Call for Clarity in Reporting BLEU Scores".
    """
    from sacrebleu.metrics import BLEU

    tokenize = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}.get(language, "13a")
    return _score(BLEU(tokenize=tokenize), hypotheses, references)


def chrf(hypotheses, references):
    """chrF, an F-score of character n-grams; as `bleu`, which see. Reference: Popović 2015."""
    from sacrebleu.metrics import CHRF

    return _score(CHRF(), hypotheses, references)


def _score(metric, hypotheses, references):
    hypotheses, references = list(hypotheses), list(references)
    if len(hypotheses) != len(references) or not references:
        raise ValueError(
            f"{len(hypotheses)} hypotheses and {len(references)} references: "
            "expected as many of both, and at least one."
        )
    score = metric.corpus_score(hypotheses, [references]).score
    return {"score": float(score), "signature": str(metric.get_signature())}


def load_pairs(name, split, source="en", target="de"):
    """The sentence pairs of a named data set, as (source, target) strings.

    Args:
        name: see `course data list`.
        split: "train", "validation", …
        source, target: the languages; the embedded world has one direction a data set.
    """
    rows = data.load(name, split)
    if "source" in rows[0]:
        return [(row["source"], row["target"]) for row in rows]
    return [(row[source], row[target]) for row in rows]
