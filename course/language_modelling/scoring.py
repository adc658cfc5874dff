"""What a language model is worth: perplexity with a stride, and bits a byte."""

import math
import weakref

import keras
import numpy as np
from keras import ops

from course.language_modelling.loss import TokenLosses

_scorers = weakref.WeakKeyDictionary()  # {model: its compiled `TokenLosses`}


def token_nll(model, documents, *, stride=None, batch_size=8):
    """-log p of each token after the first, given the tokens before it, in nats.

    A text longer than the model reads is scored in windows. Each window begins `stride` tokens
    after the one before, and only its last `stride` tokens count: the others are there to be read.
    With a stride as long as the window each token is read once, and the first tokens of a window
    have little before them. A smaller stride costs more windows and gives a lower, truer figure.

    Args:
        model: a `CausalLM`.
        documents: list of lists of ids; the first id of each is read and not scored.
        stride: tokens from window to window; None means half of `model.max_length`.
        batch_size: windows at a time.

    Returns:
        A list of float32 arrays, `(len(document) - 1,)` each.

    Raises:
        ValueError: if the stride is not between 1 and `model.max_length`.
    """
    longest = max((len(document) - 1 for document in documents), default=0)
    width = min(model.max_length, max(longest, 1))
    stride = max(model.max_length // 2, 1) if stride is None else stride
    if not 1 <= stride <= model.max_length:
        raise ValueError(
            f"stride = {stride}: expected 1 to {model.max_length}, the tokens that the model reads."
        )
    stride = min(stride, width)
    found = [np.zeros(max(len(document) - 1, 0), "float32") for document in documents]
    windows = [
        (number, begin, new)
        for number, document in enumerate(documents)
        for begin, new in _windows(len(document) - 1, width, stride)
    ]
    if model not in _scorers:
        _scorers[model] = TokenLosses(weakref.proxy(model))
    scorer = _scorers[model]
    for at in range(0, len(windows), batch_size):
        some = windows[at : at + batch_size]
        ids = np.zeros((batch_size, width + 1), "int32")
        for row, (number, begin, _) in zip(ids, some, strict=False):
            part = documents[number][begin : begin + width + 1]
            row[: len(part)] = part
        losses = np.asarray(scorer.predict_on_batch(ids))  # (batch_size, width)
        for row, (number, begin, new) in zip(losses, some, strict=False):
            end = min(begin + width, len(found[number]))
            found[number][new:end] = row[new - begin : end - begin]
    return found


def _windows(count, width, stride):
    """Where windows over `count` tokens begin, and from which token on each one counts."""
    begin, new = 0, 0
    while new < count:
        yield begin, new
        begin, new = begin + stride, begin + width


def perplexity(losses):
    """exp of the mean loss of a token, over all texts together.

    Args:
        losses: list of arrays, -log p of each token in nats.

    Returns:
        A number ≥ 1: among how many equally likely tokens the model would be as uncertain.

    Raises:
        ValueError: if there is no token.

    Reference: Jelinek et al. 1977, "Perplexity—a measure of the difficulty of speech recognition".
    """
    return math.exp(_total(losses) / sum(map(len, losses)))


def bits_per_byte(losses, texts):
    """The loss of all tokens in bits, shared among the bytes of the texts in UTF-8.

    Perplexity is per token, so models with different tokenizers cannot be compared by it. The bytes
    of a text are the same for all.

    Args:
        losses: list of arrays, -log p of each token in nats; every token of the texts counts.
        texts: the strings that they are of.

    Returns:
        A number; 8 for a model that knows nothing.

    Raises:
        ValueError: if there is no token, or no byte.

    Reference: Gao et al. 2020, "The Pile", section 3.1.
    """
    size = sum(len(text.encode("utf-8")) for text in texts)
    if not size:
        raise ValueError("the texts have no bytes: pass at least one that is not empty.")
    return _total(losses) / math.log(2) / size


def _total(losses):
    if not sum(map(len, losses)):
        raise ValueError("there is no token to score: pass texts of at least one token.")
    return float(sum(np.sum(each, dtype="float64") for each in losses))


def evaluate(model, tokenizer, texts, *, stride=None, batch_size=8):
    """Scores texts, each by itself, from its first token to its end.

    Args:
        model: a `CausalLM`.
        tokenizer: its `Tokenizer`.
        texts: list of strings.
        stride, batch_size: see `token_nll`.

    Returns:
        {"nll": nats a token, "perplexity", "bits_per_byte", "tokens", "bytes"}. The end symbol of
        each text is a token and counts; the start symbol is read and does not.
    """
    documents = encode_documents(tokenizer, texts)
    losses = token_nll(model, documents, stride=stride, batch_size=batch_size)
    tokens = sum(map(len, losses))
    return {
        "nll": _total(losses) / tokens,
        "perplexity": perplexity(losses),
        "bits_per_byte": bits_per_byte(losses, texts),
        "tokens": tokens,
        "bytes": sum(len(text.encode("utf-8")) for text in texts),
    }


FRAMES = (("[CLS]", "[SEP]"), ("<s>", "</s>"), ("<|endoftext|>", "<|endoftext|>"))


def start_and_end(tokenizer):
    """The ids that frame a text: this course's, Llama's, or GPT-2's one id for both.

    Args:
        tokenizer: a `Tokenizer`.

    Returns:
        A pair of ids.

    Raises:
        ValueError: if the vocabulary has none of these frames.
    """
    known = set(tokenizer.vocabulary)
    for frame in FRAMES:
        if set(frame) <= known:
            return tuple(map(tokenizer.token_to_id, frame))
    names = ", ".join(" and ".join(dict.fromkeys(frame)) for frame in FRAMES)
    raise ValueError(f"the vocabulary has no start and end of a text: expected {names}.")


def encode_documents(tokenizer, texts):
    """The ids of texts, each with its start and its end: a list of lists.

    Args:
        tokenizer: a `Tokenizer`.
        texts: list of strings.
    """
    start, end = start_and_end(tokenizer)
    return [[start, *ids, end] for ids in tokenizer.encode_batch(texts, special=False)]


def next_token_probabilities(model, tokenizer, text, count=5):
    """The likeliest tokens after a text.

    Args:
        model: a `CausalLM`.
        tokenizer: its `Tokenizer`.
        text: a string.
        count: how many.

    Returns:
        A list of (token, probability), the likeliest first.
    """
    start, _ = start_and_end(tokenizer)
    ids = np.array([[start, *tokenizer.encode(text, special=False)]], "int32")
    logits = ops.cast(model(ids[:, -model.max_length :])[0, -1], "float32")
    shares = keras.ops.convert_to_numpy(ops.softmax(logits))
    best = np.argsort(-shares)[:count]
    return [(tokenizer.id_to_token(int(i)), float(shares[i])) for i in best]
