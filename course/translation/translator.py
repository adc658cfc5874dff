"""Strings in, strings out: a trained model with its vocabulary, here and as a SavedModel."""

from keras import ops

from course import decoding, runtime
from course.tokens import TokenBatches

LONGEST = 256  # ids of a sentence; longer ones are left out of training, and cut when translated


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


def translate(
    model,
    tokenizer,
    texts,
    *,
    num_beams=1,
    length_penalty=1.0,
    num_return_sequences=1,
    max_tokens=4096,
):
    """Translates sentences, similar lengths together; results come in the order of the texts.

    Args:
        model: a `Transformer`.
        tokenizer: its `Tokenizer`.
        texts: list of strings.
        num_beams: 1 is greedy.
        length_penalty: see `decoding.beam_search`.
        num_return_sequences: how many translations of each text, at most `num_beams`.
        max_tokens: ids of a batch of sources, padding included.

    Returns:
        A list of strings, or with `num_return_sequences` > 1 of lists of them, the best first; of
        an empty text an empty one. A translation ends at 1.5 times the length of its padded source
        plus 10.
    """
    if isinstance(texts, str):
        raise TypeError("texts is a list of strings; one string was given.")
    given = list(texts)
    texts = [text for text in given if text.strip()]
    if len(texts) < len(given):  # of nothing, nothing is said
        options = {"num_beams": num_beams, "length_penalty": length_penalty}
        options |= {"num_return_sequences": num_return_sequences, "max_tokens": max_tokens}
        found = iter(translate(model, tokenizer, texts, **options))
        nothing = "" if num_return_sequences == 1 else [""] * num_return_sequences
        return [next(found) if text.strip() else nothing for text in given]
    if not texts:
        return []
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
        most = ids.shape[1] * 3 // 2 + 10
        limit = -(-most // 32) * 32  # few limits: each is a graph of its own
        settings = {"max_length": min(limit, model.max_length), **_ends(tokenizer)}
        if num_beams == 1:
            out = decoding.greedy(model, ids, **settings)
        else:
            settings |= {"num_return_sequences": num_return_sequences}
            out, _ = decoding.beam_search(
                model, ids, num_beams=num_beams, length_penalty=length_penalty, **settings
            )
        out = ops.convert_to_numpy(out).reshape(-1, out.shape[-1])[:, :most]
        decoded = tokenizer.decode_batch(out)
        for place, row in enumerate(rows):
            if row >= 0 and num_return_sequences == 1:
                found[row] = decoded[place]
            elif row >= 0:
                first = place * num_return_sequences
                found[row] = decoded[first : first + num_return_sequences]
    return found


def _ends(tokenizer):
    """What decoding has to know of a vocabulary."""
    pad, start = tokenizer.pad_id, tokenizer.start_id
    return {
        "start_id": start,
        "end_id": tokenizer.end_id,
        "pad_id": pad,
        "suppress_ids": (pad, start),
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
    folder = runtime.empty_export_folder(folder, "translator")
    import tensorflow as tf

    model, tokenizer = translator.model, translator.tokenizer
    settings = {"max_length": max_length, **_ends(tokenizer)}

    class Exported(tf.Module):
        def __init__(self):
            super().__init__()
            self.tokenizer = tokenizer.in_graph()
            self.weights = [variable.value for variable in model.variables]

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name="texts")], autograph=False
        )
        def __call__(self, texts):
            ids = self.tokenizer.tokenize(texts)[:, 1:].to_tensor(tokenizer.pad_id)
            if num_beams == 1:
                return self.tokenizer.detokenize(decoding.greedy(model, ids, **settings))
            found, _ = decoding.beam_search(model, ids, num_beams=num_beams, **settings)
            return self.tokenizer.detokenize(found[:, 0])

    exported = Exported()
    tf.saved_model.save(exported, str(folder), signatures=exported.__call__)
