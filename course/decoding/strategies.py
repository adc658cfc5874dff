"""Greedy search, sampling and beam search: what is called, and with what."""

import keras
import numpy as np
from keras import ops

from course.decoding.compilation import call, tensors
from course.decoding.search import search, write


def greedy(model, inputs, *, max_length, end_id, start_id=None, pad_id=0, never=(), penalty=1.0):
    """Takes the likeliest next id, again and again.

    Args:
        model: see the module's docstring.
        inputs: source ids `(batch, source_length)`, with a `start_id`; without one, prompts
            `(batch, prompt_length)` of at least one id each, padded at the end with `pad_id`.
        max_length: the most ids to write, an integer ≥ 1.
        end_id: the id that ends a sentence; -1 if none does.
        start_id: the id that starts the targets of an encoder-decoder model.
        pad_id: what fills up prompts, and results after their end.
        never: ids that are not to be written.
        penalty: see `repetition_penalty`; the start symbol and the prompt count as ids so far.

    Returns:
        Integer tensor `(batch, max_length)`: what was written, without start symbol and prompt;
        `end_id` included where it was reached, then `pad_id`.

    Example:
        >>> ids = greedy(model, source_ids, max_length=40, start_id=1, end_id=2)
    """
    given = (max_length, end_id, start_id, pad_id, tuple(never))
    return call(write, model, inputs, None, given, float(penalty), None)


def sample(
    model,
    inputs,
    *,
    max_length,
    end_id,
    seed,
    start_id=None,
    pad_id=0,
    never=(),
    temperature=1.0,
    k=None,
    p=None,
    penalty=1.0,
):
    """Draws each next id at random, each as often as the model says.

    The penalty on repetition comes first, then temperature, top-k and top-p.

    Args:
        model, inputs, max_length, end_id, start_id, pad_id, never, penalty: those of `greedy`.
        seed: an integer, which gives the same ids each time, or a `keras.random.SeedGenerator`,
            which moves on with each call.
        temperature: what logits are divided by: 1 leaves them as they are, near 0 it is greedy.
        k: see `top_k`; None keeps all.
        p: see `top_p`; None keeps all.

    Returns:
        Integer tensor `(batch, max_length)`, as `greedy` returns it.

    Raises:
        ValueError: if temperature, k or p is out of range.
    """
    if temperature <= 0:
        raise ValueError(
            f"temperature = {temperature}: logits are divided by it. Use greedy for 0."
        )
    if k is not None and k < 1:
        raise ValueError(f"k = {k}: keep at least 1 id, or None for all.")
    if p is not None and not 0 < p <= 1:
        raise ValueError(f"p = {p}: a probability above 0 and at most 1, or None for all.")
    batch = ops.shape(keras.tree.flatten(tensors(inputs))[0])[0]
    if isinstance(seed, int) and isinstance(batch, int):  # the same numbers on every backend
        draws = np.random.default_rng(seed).random((batch, max_length), "float32")
    else:
        draws = keras.random.uniform((batch, max_length), seed=seed)
    given = (max_length, end_id, start_id, pad_id, tuple(never))
    return call(write, model, inputs, draws, given, float(penalty), (float(temperature), k, p))


def beam_search(
    model,
    inputs,
    *,
    max_length,
    end_id,
    num_beams=4,
    num_results=1,
    length_penalty=1.0,
    early_stopping=False,
    start_id=None,
    pad_id=0,
    never=(),
):
    """Follows the `num_beams` likeliest beginnings of each sentence side by side.

    A sentence that has ended is kept apart, with score log P(y) / |y|^α, where |y| counts the end
    and not the start. Of the 2 · `num_beams` best continuations, those that end among the first
    `num_beams` are finished sentences, and the best `num_beams` of the others go on. What is there
    at `max_length` counts as finished. All this as in Hugging Face's `generate`, so that ids and
    scores can be compared.

    Args:
        model, inputs, max_length, end_id, start_id, pad_id, never: those of `greedy`.
        num_beams: how many beginnings go on, and how many finished sentences are kept.
        num_results: how many of these are returned, at most `num_beams`.
        length_penalty: α. 0 compares log P itself, which prefers short sentences.
        early_stopping: when to stop, once `num_beams` sentences have finished. True: at once.
            False: when no beginning, scored at its present length, beats the worst of them.
            "never": when none can beat it at any length.

    Returns:
        Ids `(batch, num_results, max_length)`, rows as `greedy` returns them, best first; and their
        scores `(batch, num_results)`, -inf where fewer sentences were found.

    Raises:
        ValueError: if num_results or early_stopping is not one of the choices.

    Reference: Wu et al. 2016, "Google's Neural Machine Translation System", section 7, for what a
    length penalty is for; the division by |y|^α is that of Hugging Face and many others.
    """
    if not 1 <= num_results <= num_beams:
        raise ValueError(f"num_results = {num_results} and num_beams = {num_beams}: 1 to all.")
    if early_stopping not in (True, False, "never"):
        raise ValueError(f'early_stopping = {early_stopping!r}: choose True, False or "never".')
    given = (max_length, end_id, start_id, pad_id, tuple(never))
    beams = (num_beams, num_results, float(length_penalty), early_stopping)
    return call(search, model, inputs, None, given, *beams)
