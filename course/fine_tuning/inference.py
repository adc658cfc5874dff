"""A trained classifier: strings in, labels out, here and as a SavedModel."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from keras import ops

from course import checkpoints, runtime
from course.fine_tuning.classifier import BertClassifier
from course.fine_tuning.examples import ExampleBatches, encode


class Prediction(NamedTuple):
    """What a classifier says of a text.

    Attributes:
        label: the name of the likeliest class.
        probability: its probability.
        probabilities: {name: probability} of all.
    """

    label: str
    probability: float
    probabilities: dict


class Classifier:
    """A trained model, its vocabulary and the names of its classes.

    Attributes:
        model: the `BertClassifier`.
        tokenizer: its `Tokenizer`.
        labels: tuple of names.
        max_length: ids of a text, or of a pair; what is longer is cut.
    """

    def __init__(self, model, tokenizer, labels, max_length=128):
        if len(labels) != model.num_labels:
            raise ValueError(f"{len(labels)} labels for a model of {model.num_labels} classes.")
        self.model, self.tokenizer = model, tokenizer
        self.labels, self.max_length = tuple(labels), max_length

    def predict(self, texts, pairs=None, *, batch_size=64):
        """Says of each text, or pair of texts, what it is.

        Args:
            texts: list of strings.
            pairs: list of second strings, one for each.
            batch_size: rows of a batch.

        Returns:
            A list of `Prediction`s, in the order of the texts.

        Example:
            >>> classifier.predict(["A fine film."])[0].label
            'positive'
        """
        found = self.probabilities(texts, pairs, batch_size=batch_size)
        made = []
        for row in found:
            best = int(row.argmax())
            each = dict(zip(self.labels, map(float, row), strict=True))
            made.append(Prediction(self.labels[best], float(row[best]), each))
        return made

    def probabilities(self, texts, pairs=None, *, batch_size=64):
        """The probabilities behind `predict`: float32 array `(texts, labels)`."""
        if isinstance(texts, str) or isinstance(pairs, str):
            raise ValueError("a list of texts was expected, and one string came.")
        texts = list(texts)
        found = np.zeros((len(texts), len(self.labels)), "float32")
        if not texts:
            return found
        batches = ExampleBatches(
            encode(self.tokenizer, texts, pairs, self.max_length),
            batch_size=batch_size,
            pad_id=self.tokenizer.pad_id,
            end_id=self.tokenizer.end_id,
            shuffle=False,
        )
        for index in range(len(batches)):
            rows = batches.rows(index)
            logits = self.model.predict_on_batch(batches[index][0])
            logits = ops.cast(ops.convert_to_tensor(logits), "float32")
            chances = ops.convert_to_numpy(ops.softmax(logits, axis=-1))
            found[rows] = chances[: len(rows)]
        return found

    def save(self, folder, *, max_shard_size="1GB"):
        """Writes it in Hugging Face's layout: see `checkpoints.save_bert`."""
        checkpoints.save_bert(
            self.model,
            folder,
            tokenizer=self.tokenizer,
            labels=self.labels,
            max_length=self.max_length,
            max_shard_size=max_shard_size,
        )


def load_classifier(source, *, max_length=None):
    """A classifier that was trained here, or that `transformers` saved or the hub has.

    Args:
        source: a run's folder, or what `checkpoints.load_bert` takes.
        max_length: ids of a text; None means those of the vocabulary's settings, else the model's.

    Returns:
        A `Classifier`.

    Raises:
        checkpoints.CheckpointError: if it is none.
    """
    if (Path(str(source)) / "model" / "config.json").is_file():
        source = Path(str(source)) / "model"
    config, settings = checkpoints.read_configs(source)
    labels, problem_type, dropout = checkpoints.head_settings(config, str(source))
    if problem_type != "single_label_classification":
        raise checkpoints.CheckpointError(
            f"{source} has the problem_type {problem_type!r}: its answers are not one class of "
            "several, so that the probabilities of a softmax would be wrong. Its encoder can be "
            "loaded with checkpoints.load_bert."
        )
    model = checkpoints.load_bert(
        source,
        lambda encoder: BertClassifier(encoder, len(labels), dropout, name="classifier"),
    )
    longest = model.encoder.max_length
    most = max_length or min(settings.get("model_max_length") or longest, longest)
    return Classifier(model, checkpoints.load_tokenizer(source), labels, int(most))


def export_classifier(classifier, folder):
    """Writes a SavedModel that takes strings and returns labels and probabilities.

    To load it nothing of this course is needed:

        >>> import tensorflow as tf, tensorflow_text
        >>> classify = tf.saved_model.load(folder)
        >>> classify(tf.constant(["A fine film."]))["label"]

    Of pairs of texts the second ones are a second argument, `pairs`.

    Args:
        classifier: a `Classifier` with a WordPiece vocabulary, on the TensorFlow backend.
        folder: where to write; it must not hold anything yet.

    Raises:
        ValueError: on another backend, for BPE, or if the folder is taken.
    """
    folder = runtime.empty_export_folder(folder, "classifier")
    import tensorflow as tf

    model, tokenizer, most = classifier.model, classifier.tokenizer, classifier.max_length
    start, end, pad = tokenizer.start_id, tokenizer.end_id, tokenizer.pad_id
    strings = tf.TensorSpec([None], tf.string, name="texts")

    def framed(ids, id_):
        return tf.concat([ids, tf.fill([ids.nrows(), 1], id_)], axis=1)

    def cut(ids, lengths):
        """The first `lengths` ids of each row of a RaggedTensor."""
        place = tf.ragged.range(ids.row_lengths())
        kept = place.flat_values < tf.repeat(lengths, ids.row_lengths())
        return tf.ragged.boolean_mask(ids, ids.with_flat_values(kept))

    def answer(ids, second):
        """Ids with `[SEP]`, and those of the second text or None, → what the function returns."""
        first = tf.concat([tf.fill([ids.nrows(), 1], start), ids], axis=1)
        segment = tf.zeros_like(first)
        if second is not None:
            first = tf.concat([first, second], axis=1)
            segment = tf.concat([segment, tf.ones_like(second)], axis=1)
        logits = model((first.to_tensor(pad), segment.to_tensor(0)), training=False)
        chances = tf.nn.softmax(tf.cast(logits, tf.float32))
        label = tf.gather(tf.constant(classifier.labels), tf.argmax(chances, axis=-1))
        return {"label": label, "probabilities": chances}

    class Exported(tf.Module):
        def __init__(self):
            super().__init__()
            self.tokenizer = tokenizer.in_graph()
            self.weights = [variable.value for variable in model.variables]

        @tf.function(input_signature=[strings], autograph=False)
        def __call__(self, texts):
            ids = self.tokenizer.tokenize_plain(texts)
            room = tf.fill([ids.nrows()], tf.constant(most - 2, tf.int64))
            return answer(framed(cut(ids, room), end), None)

        @tf.function(
            input_signature=[strings, tf.TensorSpec([None], tf.string, name="pairs")],
            autograph=False,
        )
        def pairs(self, texts, pairs):
            ids, second = (self.tokenizer.tokenize_plain(given) for given in (texts, pairs))
            one, other = ids.row_lengths(), second.row_lengths()
            room = tf.constant(most - 3, one.dtype)
            # The longer one is cut first: what the shorter leaves, but half of it at least.
            shorter = tf.minimum(tf.minimum(one, other), room // 2)
            longer = tf.minimum(tf.maximum(one, other), room - shorter)
            ids = cut(ids, tf.where(one > other, longer, shorter))
            second = cut(second, tf.where(one > other, shorter, longer))
            return answer(framed(ids, end), framed(second, end))

    exported = Exported()
    signatures = {"serving_default": exported.__call__, "pairs": exported.pairs}
    tf.saved_model.save(exported, str(folder), signatures=signatures)
