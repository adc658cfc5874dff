"""The two searches: one row for each sentence, and beams side by side."""

import functools
from typing import Any

from keras import ops

from course.decoding import logits_processors
from course.decoding.batch import generated, prompts_of, run_loop
from course.decoding.config import GenerationConfig
from course.decoding.logits_processors import NEVER
from course.runtime.types import Tensor


def generate(
    model: Any,
    inputs: Any,
    draws: Tensor | None,
    config: GenerationConfig,
    shortest: int = 1,
    shrinks: bool = False,
) -> Tensor:
    """Greedy search, or sampling where there are `draws`: one row for each sentence.

    Args:
        model: what `course.decoding` takes.
        inputs: source ids, or prompts.
        draws: None, or float tensor `(batch, max_length)`, uniform between 0 and 1.
        config: a `GenerationConfig`.
        shortest: how many ids all prompts have.
        shrinks: whether sentences that are done leave the batch.

    Returns:
        Integer tensor `(batch, max_length)`.
    """
    ids, lengths = prompts_of(inputs, config)  # (batch, width + max_length), (batch,)
    state = {"ids": ids, "lengths": lengths, "done": lengths < 0}
    state |= {} if draws is None else {"draws": draws}
    extend = functools.partial(_extend_rows, config=config)
    settings = {"config": config, "shortest": shortest, "shrinks": shrinks}
    state = run_loop(model, inputs, ids, state, extend, **settings, outputs=("ids",))
    return generated(state["ids"], lengths, config)


def _extend_rows(t, logits, state, *, config):
    """Takes the ids at t + 1 from the logits at t, or from the prompt as far as it reaches."""
    ids, lengths, done = state["ids"], state["lengths"], state["done"]
    logits = ops.cast(logits, "float32")
    if config.repetition_penalty != 1:
        so_far = ops.where(ops.arange(ops.shape(ids)[1]) <= t, ids, -1)
        logits = logits_processors.repetition_penalty(logits, so_far, config.repetition_penalty)
    if config.suppress_ids:
        logits = logits_processors.suppress(logits, config.suppress_ids)
    if "draws" in state:
        place = ops.clip(t + 1 - lengths, 0, config.max_length - 1)[:, None]
        uniform = ops.take_along_axis(state["draws"], place, axis=1)  # (batch, 1)
        chosen = logits_processors.draw(
            logits_processors.next_distribution(
                logits, config.temperature, config.top_k, config.top_p
            ),
            uniform,
        )
    else:
        chosen = ops.argmax(logits, axis=-1)
    prompt = t + 1 < lengths  # (batch,)
    following = ops.where(prompt, ids[:, t + 1], ops.cast(chosen, "int32"))
    following = ops.where(done, config.pad_id, following)
    ids = ops.slice_update(ids, (0, t + 1), following[:, None])
    ended = ops.logical_and(following == config.end_id, ops.logical_not(prompt))
    ended = ops.logical_or(ended, t + 2 - lengths >= config.max_length)
    return state | {"ids": ids, "done": ops.logical_or(done, ended)}, None


def beam_search(
    model: Any,
    inputs: Any,
    draws: Tensor | None,
    config: GenerationConfig,
    shortest: int = 1,
    shrinks: bool = False,
) -> tuple[Tensor, Tensor]:
    """Beam search. Rows are `(batch · num_beams)`, the beams of a sentence one after another.

    Args:
        model: what `course.decoding` takes.
        inputs: source ids, or prompts.
        draws: None.
        config: a `GenerationConfig`.
        shortest: how many ids all prompts have.
        shrinks: whether sentences that are done leave the batch.

    Returns:
        Ids `(batch, num_return_sequences, max_length)`, and scores `(batch, num_return_sequences)`.
    """
    prompts, lengths = prompts_of(inputs, config)  # (batch, width + max_length), (batch,)
    lengths = lengths[:, None]  # (batch, 1)
    batch, beams = ops.shape(prompts)[0], config.num_beams
    state = {
        "prompts": prompts,
        "lengths": lengths,
        "ids": prompts[:, None],  # 1 beam before the first step
        "log_p": ops.zeros_like(lengths, "float32"),
        "ended_ids": ops.repeat(prompts[:, None], beams, axis=1),
        "ended_scores": ops.full((batch, beams), NEVER, "float32"),
        "done": lengths[:, 0] < 0,
    }
    extend = functools.partial(_extend_beams, config=config)
    settings = {"config": config, "shortest": shortest, "shrinks": shrinks}
    outputs = ("ended_ids", "ended_scores")
    state = run_loop(model, inputs, prompts, state, extend, **settings, outputs=outputs)
    count = config.num_return_sequences
    ids = generated(state["ended_ids"][:, :count], lengths, config)
    return ids, state["ended_scores"][:, :count]


def _extend_beams(t, logits, state, *, config):
    """One step: from the logits at t of all beams to the beams that reach t + 1.

    Returns the state, and of each new beam the row that it continues, `(batch · num_beams,)`.
    """
    beams_before, num_beams = state["log_p"].shape[1], config.num_beams
    is_open = ops.logical_not(state["done"])
    following, log_p, parent = _candidates(t, logits, state, config)  # (batch, 2 · beams) each
    ids = ops.take_along_axis(state["ids"], parent[:, :, None], axis=1)  # (batch, 2 · beams, total)
    ids = ops.slice_update(ids, (0, 0, t + 1), following[:, :, None])
    length = t + 2 - state["lengths"]  # (batch, 1)
    ended = ops.logical_or(following == config.end_id, length >= config.max_length)
    ended = ops.logical_and(ended, length > 0)  # not inside a prompt

    # Finished sentences are kept apart: the best of those there were and those there are now.
    counts = ops.logical_and(ended, is_open[:, None])[:, :num_beams]
    scores = ops.where(counts, _score(log_p, length, config)[:, :num_beams], NEVER)
    scores = ops.concatenate([state["ended_scores"], scores], axis=1)  # (batch, 2 · beams)
    ended_scores, at = ops.top_k(scores, num_beams)
    ended_ids = ops.concatenate([state["ended_ids"], ids[:, :num_beams]], axis=1)
    ended_ids = ops.take_along_axis(ended_ids, at[:, :, None], axis=1)

    log_p, at = ops.top_k(ops.where(ended, NEVER, log_p), num_beams)
    ids = ops.take_along_axis(ids, at[:, :, None], axis=1)  # (batch, num_beams, total)
    parent = ops.take_along_axis(parent, at, axis=1)
    rows = ops.arange(ops.shape(ids)[0])[:, None] * beams_before + parent

    improves = _may_improve(log_p, ended_scores[:, -1], length, config)
    done = ops.logical_not(ops.logical_and(is_open, improves))
    state = state | {"ids": ids, "log_p": log_p, "done": done}
    state |= {"ended_ids": ended_ids, "ended_scores": ended_scores}
    return state, ops.reshape(rows, (-1,))


def _candidates(t, logits, state, config):
    """The 2 · num_beams best continuations of each sentence, best first.

    Returns:
        Their last ids, log P, and the beams that they continue, `(batch, 2 · num_beams)` each.
    """
    wide = 2 * config.num_beams
    batch, beams = ops.shape(state["ids"])[0], state["log_p"].shape[1]
    following, gained = logits_processors.best_continuations(logits, wide, config.suppress_ids)
    n = following.shape[1]
    following, gained = (ops.reshape(x, (batch, beams, n)) for x in (following, gained))
    log_p = ops.reshape(gained + state["log_p"][:, :, None], (batch, beams * n))
    missing = max(0, wide - beams * n)  # of a vocabulary that small
    log_p = ops.pad(log_p, ((0, 0), (0, missing)), constant_values=NEVER) if missing else log_p
    log_p, at = ops.top_k(log_p, wide)  # (batch, wide)
    at = ops.minimum(at, beams * n - 1)
    parent = at // n
    following = ops.take_along_axis(ops.reshape(following, (batch, beams * n)), at, axis=1)

    prompt = t + 1 < state["lengths"]  # (batch, 1): here the prompt says what follows, to beam 0
    is_first = ops.arange(wide) == 0
    following = ops.where(prompt, state["prompts"][:, t + 1][:, None], following)
    log_p = ops.where(prompt, ops.where(is_first, 0.0, NEVER), log_p)
    return following, log_p, ops.where(prompt, 0, parent)


def _score(log_p, length, config):
    length = ops.cast(ops.maximum(length, 1), "float32")
    return log_p / ops.power(length, config.length_penalty)


def _may_improve(log_p, worst, length, config):
    """Whether a beginning can still beat the worst finished sentence: boolean `(batch,)`."""
    if config.early_stopping is True:
        return worst == NEVER  # until num_beams have finished
    if config.early_stopping == "never" and config.length_penalty > 0:
        length = config.max_length
    return _score(log_p[:, :1], length, config)[:, 0] > worst
