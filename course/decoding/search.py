"""The two loops: one row for each sentence, and beams side by side."""

import keras
from keras import ops

from course import runtime
from course.decoding.logits_processors import (
    NEVER,
    best_continuations,
    draw,
    is_one_of,
    repetition_penalty,
)

# Attention over a cache costs its whole length, written or not. So it starts with room for this
# many ids and doubles: a short sentence does not pay for `max_length`.
FIRST_ROOM = 16


# Where shapes may change, sentences that are done leave the batch once they are a quarter of it.
STAYS_WHOLE = 0.75


def write(model, inputs, draws, given, shortest, shrinks, penalty, sampling):
    """Greedy search, or sampling where there are `draws`: one row for each sentence."""
    max_length, end_id, _, pad_id, never = given
    ids, lengths = _prompts(inputs, given)  # (rows, width + max_length), (rows,)

    def put(t, logits, state):
        """Takes the ids at t + 1 from the logits at t, or from the prompt as far as it reaches."""
        ids, lengths, done = state["ids"], state["lengths"], state["done"]
        logits = ops.cast(logits, "float32")
        if penalty != 1:
            so_far = ops.where(ops.arange(ops.shape(ids)[1]) <= t, ids, -1)
            logits = repetition_penalty(logits, so_far, penalty)
        if never:
            logits = ops.where(is_one_of(ops.arange(logits.shape[-1]), never), NEVER, logits)
        if sampling is None:
            chosen = ops.argmax(logits, axis=-1)
        else:
            place = ops.clip(t + 1 - lengths, 0, max_length - 1)[:, None]
            chosen = draw(logits, ops.take_along_axis(state["draws"], place, axis=1), *sampling)
        prompt = t + 1 < lengths  # (rows,)
        following = ops.where(prompt, ids[:, t + 1], ops.cast(chosen, "int32"))
        following = ops.where(done, pad_id, following)
        ids = ops.slice_update(ids, (0, t + 1), following[:, None])
        ended = ops.logical_and(following == end_id, ops.logical_not(prompt))
        ended = ops.logical_or(ended, t + 2 - lengths >= max_length)
        return state | {"ids": ids, "done": ops.logical_or(done, ended)}

    def body(t, state, cache, results):
        if shrinks:
            state, cache, results = _shrunk(model, state, cache, results, 1)
        logits, cache = model.step(state["ids"][:, t], cache, t)
        return t + 1, put(t, logits, state), cache, results

    rooms = _rooms(model, ids, max_length)
    cache = model.start_cache(inputs, rooms[0])
    logits, cache = model.step(ids[:, :shortest], cache, 0)  # what all prompts have, at once
    state = {"ids": ids, "lengths": lengths, "done": lengths < 0}
    state |= {} if draws is None else {"draws": draws}
    state = put(shortest - 1, logits, state)
    results = _results(state, ("ids",), shrinks)
    t = ops.convert_to_tensor(shortest, "int32")
    for i, room in enumerate(rooms):
        cache = model.grow_cache(cache, room) if i else cache

        def goes_on(t, state, cache, results, room=room):
            return ops.logical_and(t < room, ops.logical_not(ops.all(state["done"])))

        t, state, cache, results = ops.while_loop(goes_on, body, (t, state, cache, results))
    return _written(_put_back(state, results)["ids"], lengths, given)


def search(
    model,
    inputs,
    draws,
    given,
    shortest,
    shrinks,
    num_beams,
    num_results,
    length_penalty,
    early_stopping,
):
    """Beam search. Rows are `(batch · num_beams)`, the beams of a sentence one after another."""
    max_length, end_id, _, _, never = given
    prompts, lengths = _prompts(inputs, given)  # (batch, width + max_length), (batch,)
    lengths = lengths[:, None]  # (batch, 1)
    wide = 2 * num_beams

    def score(log_p, length):
        return log_p / ops.power(ops.cast(ops.maximum(length, 1), "float32"), length_penalty)

    def extend(t, logits, state):
        """One step: from the logits at t of all beams to the beams that reach t + 1.

        Returns the state, and of each new beam the row that it continues, `(batch · num_beams,)`.
        """
        ids, log_p, lengths = state["ids"], state["log_p"], state["lengths"]
        is_open = ops.logical_not(state["done"])
        batch, beams = ops.shape(ids)[0], log_p.shape[1]  # 1 beam in the first step
        following, gained = best_continuations(logits, wide, never)  # (batch · beams, n)
        n = following.shape[1]
        following, gained = (ops.reshape(x, (batch, beams, n)) for x in (following, gained))
        log_p = ops.reshape(gained + log_p[:, :, None], (batch, beams * n))
        missing = max(0, wide - beams * n)  # of a vocabulary that small
        log_p = ops.pad(log_p, ((0, 0), (0, missing)), constant_values=NEVER) if missing else log_p
        log_p, at = ops.top_k(log_p, wide)  # (batch, wide)
        at = ops.minimum(at, beams * n - 1)
        parent = at // n
        following = ops.take_along_axis(ops.reshape(following, (batch, beams * n)), at, axis=1)

        prompt = t + 1 < lengths  # (batch, 1): here the prompt says what follows, to beam 0
        is_first = ops.arange(wide) == 0
        following = ops.where(prompt, state["prompts"][:, t + 1][:, None], following)
        log_p = ops.where(prompt, ops.where(is_first, 0.0, NEVER), log_p)
        parent = ops.where(prompt, 0, parent)

        new = ops.take_along_axis(ids, parent[:, :, None], axis=1)  # (batch, wide, total)
        new = ops.slice_update(new, (0, 0, t + 1), following[:, :, None])
        length = t + 2 - lengths  # (batch, 1)
        ended = ops.logical_or(following == end_id, length >= max_length)
        ended = ops.logical_and(ended, ops.logical_not(prompt))

        # Finished sentences are kept apart: the best of those there were and those there are now.
        counts = ops.logical_and(ended, is_open[:, None])[:, :num_beams]
        scores = ops.where(counts, score(log_p, length)[:, :num_beams], NEVER)
        scores = ops.concatenate([state["ended_scores"], scores], axis=1)  # (batch, wide)
        ended_scores, at = ops.top_k(scores, num_beams)
        ended_ids = ops.concatenate([state["ended_ids"], new[:, :num_beams]], axis=1)
        ended_ids = ops.take_along_axis(ended_ids, at[:, :, None], axis=1)

        log_p, at = ops.top_k(ops.where(ended, NEVER, log_p), num_beams)
        ids = ops.take_along_axis(new, at[:, :, None], axis=1)  # (batch, num_beams, total)
        parent = ops.take_along_axis(parent, at, axis=1)
        rows = ops.reshape(ops.arange(batch)[:, None] * beams + parent, (-1,))

        worst = ended_scores[:, -1]  # -inf until num_beams have finished
        if early_stopping is True:
            improves = worst == NEVER
        else:
            longest = early_stopping == "never" and length_penalty > 0
            improves = score(log_p[:, :1], max_length if longest else length)[:, 0] > worst
        state = state | {"ids": ids, "log_p": log_p}
        state |= {"ended_ids": ended_ids, "ended_scores": ended_scores}
        state["done"] = ops.logical_not(ops.logical_and(is_open, improves))
        return state, rows

    def body(t, state, cache, results):
        if shrinks:
            state, cache, results = _shrunk(model, state, cache, results, num_beams)
        logits, cache = model.step(ops.reshape(state["ids"][:, :, t], (-1,)), cache, t)
        state, rows = extend(t, logits, state)
        return t + 1, state, _reorder(model, cache, rows), results

    rooms = _rooms(model, prompts, max_length)
    cache = model.start_cache(inputs, rooms[0])
    logits, cache = model.step(prompts[:, :shortest], cache, 0)
    state = {
        "prompts": prompts,
        "lengths": lengths,
        "ids": prompts[:, None],
        "log_p": ops.zeros_like(lengths, "float32"),
        "ended_ids": ops.repeat(prompts[:, None], num_beams, axis=1),
        "ended_scores": ops.full((ops.shape(prompts)[0], num_beams), NEVER, "float32"),
        "done": lengths[:, 0] < 0,
    }
    state, rows = extend(shortest - 1, logits, state)
    cache = _reorder(model, cache, rows)
    results = _results(state, ("ended_ids", "ended_scores"), shrinks)
    t = ops.convert_to_tensor(shortest, "int32")
    for i, room in enumerate(rooms):
        cache = model.grow_cache(cache, room) if i else cache

        def goes_on(t, state, cache, results, room=room):
            return ops.logical_and(t < room, ops.logical_not(ops.all(state["done"])))

        t, state, cache, results = ops.while_loop(goes_on, body, (t, state, cache, results))
    state = _put_back(state, results)
    ids = _written(state["ended_ids"][:, :num_results], lengths, given)
    return ids, state["ended_scores"][:, :num_results]


def _results(state, names, shrinks):
    """What a batch that shrinks needs beside it: the results of all, and whose rows are left."""
    if not shrinks:
        return {}
    rows = ops.arange(ops.shape(state["done"])[0])
    return {name: state[name] for name in names} | {"rows": rows}


def _put_back(state, results):
    """The results of all sentences, those of the rows that are left put in their places."""
    if not results:
        return state
    at = results["rows"][:, None]
    names = results.keys() - {"rows"}
    return {name: ops.scatter_update(results[name], at, state[name]) for name in names}


def _shrunk(model, state, cache, results, beams):
    """State and cache of the sentences that are not done, once enough are; else as they were."""

    def smaller():
        left = ops.nonzero(ops.logical_not(state["done"]))[0]
        left = ops.cast(left, results["rows"].dtype)
        rows = ops.reshape(left[:, None] * beams + ops.arange(beams, dtype=left.dtype), (-1,))
        some = {name: ops.take(part, left, axis=0) for name, part in state.items()}
        rest = {"rows": ops.take(results["rows"], left, axis=0)}
        return some, _keep(model, cache, left, rows), _put_back(state, results) | rest

    still = ops.mean(ops.cast(ops.logical_not(state["done"]), "float32"))
    return ops.cond(still <= STAYS_WHOLE, smaller, lambda: (state, cache, results))


def _prompts(inputs, given):
    """What each row begins with, room for what is written, and the lengths of the beginnings."""
    max_length, _, start_id, pad_id, _ = given
    if start_id is None:
        prompts = ops.cast(inputs, "int32")
        place = ops.arange(1, ops.shape(prompts)[1] + 1)
        lengths = ops.max(ops.where(prompts != pad_id, place, 1), axis=1)  # (rows,)
    else:
        batch = ops.shape(keras.tree.flatten(inputs)[0])[0]
        prompts = ops.full((batch, 1), start_id, "int32")
        lengths = ops.ones((batch,), "int32")
    room = ops.full((ops.shape(prompts)[0], max_length), pad_id, "int32")
    return ops.concatenate([prompts, room], axis=1), lengths


def _written(ids, lengths, given):
    """What stands after the beginnings: `(…, width + max_length)` → `(…, max_length)`."""
    max_length, _, start_id, *_ = given
    if start_id is not None:
        return ids[..., 1:]
    at = lengths[..., None] + ops.arange(max_length)
    return ops.take_along_axis(ids, at, axis=-1)


def _rooms(model, ids, max_length):
    """Lengths of the cache: the last id that is written is never read."""
    counts = [max_length]
    if hasattr(model, "grow_cache"):
        doubled = (FIRST_ROOM * 2**i for i in range(32))
        counts = [*(count for count in doubled if count < max_length), max_length]
    width = ops.shape(ids)[1] - max_length
    return [width + count - 1 for count in counts]


def _reorder(model, cache, rows):
    if hasattr(model, "reorder_cache"):
        return model.reorder_cache(cache, rows)
    return keras.tree.map_structure(lambda part: ops.take(part, rows, axis=0), cache)


def _keep(model, cache, sources, rows):
    if hasattr(model, "keep_sources"):
        return model.keep_sources(cache, sources, rows)
    return _reorder(model, cache, rows)


def may_shrink(model):
    """Whether sentences that are done may leave the batch: where no shape has to be known."""
    knows_how = hasattr(model, "keep_sources") or not hasattr(model, "reorder_cache")
    return knows_how and keras.backend.backend() == "tensorflow" and not runtime.jit_compile()
