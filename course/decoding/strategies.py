"""Greedy search, sampling and beam search: what is called, and with what."""

from typing import Any

import keras
import numpy as np
from keras import ops

from course.decoding import search
from course.decoding.compilation import run_compiled, tensors
from course.decoding.config import GenerationConfig
from course.runtime.types import Tensor


def greedy(
    model: Any,
    inputs: Any,
    *,
    max_length: int,
    end_id: int,
    start_id: int | None = None,
    pad_id: int = 0,
    suppress_ids: tuple[int, ...] = (),
    repetition_penalty: float = 1.0,
) -> Tensor:
    """Takes the likeliest next id, again and again.

    Args:
        model: see the module's docstring.
        inputs: source ids `(batch, source_length)`, with a `start_id`; without one, prompts
            `(batch, prompt_length)` of at least one id each, padded at the end with `pad_id`.
        max_length: the most ids to generate, an integer ≥ 1.
        end_id: the id that ends a sentence; -1 if none does.
        start_id: the id that starts the targets of an encoder-decoder model.
        pad_id: what fills up prompts, and results after their end.
        suppress_ids: ids that are not to be generated.
        repetition_penalty: see `course.decoding.repetition_penalty`; the start symbol and the
            prompt count as ids so far.

    Returns:
        Integer tensor `(batch, max_length)`: what was generated, without start symbol and prompt;
        `end_id` included where it was reached, then `pad_id`.

    Example:
        >>> ids = greedy(model, source_ids, max_length=40, start_id=1, end_id=2)
    """
    config = GenerationConfig(
        max_length=max_length,
        end_id=end_id,
        start_id=start_id,
        pad_id=pad_id,
        suppress_ids=tuple(suppress_ids),
        repetition_penalty=repetition_penalty,
    )
    return run_compiled(search.generate, model, inputs, None, config)


def sample(
    model: Any,
    inputs: Any,
    *,
    max_length: int,
    end_id: int,
    seed: Any,
    start_id: int | None = None,
    pad_id: int = 0,
    suppress_ids: tuple[int, ...] = (),
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
) -> Tensor:
    """Draws each next id at random, each as often as the model says.

    The penalty on repetition comes first, then temperature, top-k and top-p.

    Args:
        model: see the module's docstring.
        inputs: source ids `(batch, source_length)`, or prompts `(batch, prompt_length)`.
        max_length: the most ids to generate, an integer ≥ 1.
        end_id: the id that ends a sentence; -1 if none does.
        seed: an integer, which gives the same ids each time, or a `keras.random.SeedGenerator`,
            which moves on with each call.
        start_id: the id that starts the targets of an encoder-decoder model.
        pad_id: what fills up prompts, and results after their end.
        suppress_ids: ids that are not to be generated.
        temperature: what logits are divided by: 1 leaves them as they are, near 0 it is greedy.
        top_k: see `course.decoding.top_k`; None keeps all.
        top_p: see `course.decoding.top_p`; None keeps all.
        repetition_penalty: see `course.decoding.repetition_penalty`.

    Returns:
        Integer tensor `(batch, max_length)`, as `greedy` returns it.

    Raises:
        ValueError: if temperature, top_k or top_p is out of range.
    """
    config = GenerationConfig(
        max_length=max_length,
        end_id=end_id,
        start_id=start_id,
        pad_id=pad_id,
        suppress_ids=tuple(suppress_ids),
        repetition_penalty=repetition_penalty,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
    )
    batch = ops.shape(keras.tree.flatten(tensors(inputs))[0])[0]
    if isinstance(seed, int) and isinstance(batch, int):  # the same numbers on every backend
        draws = np.random.default_rng(seed).random((batch, max_length), "float32")
    else:
        draws = keras.random.uniform((batch, max_length), seed=seed)
    return run_compiled(search.generate, model, inputs, draws, config)


def beam_search(
    model: Any,
    inputs: Any,
    *,
    max_length: int,
    end_id: int,
    num_beams: int = 4,
    num_return_sequences: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    start_id: int | None = None,
    pad_id: int = 0,
    suppress_ids: tuple[int, ...] = (),
) -> tuple[Tensor, Tensor]:
    """Follows the `num_beams` likeliest beginnings of each sentence side by side.

    A sentence that has ended is kept apart, with score log P(y) / |y|^α, where |y| counts the end
    and not the start. Of the 2 · `num_beams` best continuations, those that end among the first
    `num_beams` are finished sentences, and the best `num_beams` of the others go on. What is there
    at `max_length` counts as finished. All this as in Hugging Face's `generate`, so that ids and
    scores can be compared.

    Args:
        model: see the module's docstring.
        inputs: source ids `(batch, source_length)`, or prompts `(batch, prompt_length)`.
        max_length: the most ids to generate, an integer ≥ 1.
        end_id: the id that ends a sentence; -1 if none does.
        num_beams: how many beginnings go on, and how many finished sentences are kept.
        num_return_sequences: how many of these are returned, at most `num_beams`.
        length_penalty: α. 0 compares log P itself, which prefers short sentences.
        early_stopping: when to stop, once `num_beams` sentences have finished. True: at once.
            False: when no beginning, scored at its present length, beats the worst of them.
            "never": when none can beat it at any length.
        start_id: the id that starts the targets of an encoder-decoder model.
        pad_id: what fills up prompts, and results after their end.
        suppress_ids: ids that are not to be generated.

    Returns:
        Ids `(batch, num_return_sequences, max_length)`, rows as `greedy` returns them, best first;
        and their scores `(batch, num_return_sequences)`, -inf where fewer sentences were found.

    Raises:
        ValueError: if num_return_sequences or early_stopping is not one of the choices.

    Reference: Wu et al. 2016, "Google's Neural Machine Translation System", section 7, for what a
    length penalty is for; the division by |y|^α is that of Hugging Face and many others.
    """
    config = GenerationConfig(
        max_length=max_length,
        end_id=end_id,
        start_id=start_id,
        pad_id=pad_id,
        suppress_ids=tuple(suppress_ids),
        num_beams=num_beams,
        num_return_sequences=num_return_sequences,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
    )
    return run_compiled(search.beam_search, model, inputs, None, config)
