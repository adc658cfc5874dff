"""What both searches share: prompts, the loop over positions, and batches that shrink."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from course import runtime
from course.decoding.config import GenerationConfig
from course.runtime.types import Tensor

# Attention over a cache costs its whole length, written or not. So it starts with room for this
# many ids and doubles: a short sentence does not pay for `max_length`.
FIRST_ROOM = 16

# Where shapes may change, sentences that are done leave the batch once they are a quarter of it.
STAYS_WHOLE = 0.75


def prompts_of(inputs: Any, config: GenerationConfig) -> tuple[Tensor, Tensor]:
    """What each row begins with, and how much of it.

    Args:
        inputs: source ids where there is a `start_id`, else prompts `(rows, width)`, padded.
        config: a `GenerationConfig`.

    Returns:
        Ids `(rows, width + max_length)`, the prompts with room for what is generated, and the
        lengths of the prompts `(rows,)`.
    """
    if config.start_id is None:
        prompts = ops.cast(inputs, "int32")
        place = ops.arange(1, ops.shape(prompts)[1] + 1)
        lengths = ops.max(ops.where(prompts != config.pad_id, place, 1), axis=1)  # (rows,)
    else:
        batch = ops.shape(keras.tree.flatten(inputs)[0])[0]
        prompts = ops.full((batch, 1), config.start_id, "int32")
        lengths = ops.ones((batch,), "int32")
    room = ops.full((ops.shape(prompts)[0], config.max_length), config.pad_id, "int32")
    return ops.concatenate([prompts, room], axis=1), lengths


def generated(ids: Tensor, lengths: Tensor, config: GenerationConfig) -> Tensor:
    """What was generated after the prompts: `(…, width + max_length)` → `(…, max_length)`."""
    if config.start_id is not None:
        return ids[..., 1:]
    at = lengths[..., None] + ops.arange(config.max_length)
    return ops.take_along_axis(ids, at, axis=-1)


def run_loop(
    model: Any,
    inputs: Any,
    prompts: Tensor,
    state: dict,
    extend: Callable,
    *,
    config: GenerationConfig,
    shortest: int,
    shrinks: bool,
    outputs: tuple[str, ...],
) -> dict:
    """Lets the model read and `extend` choose, position after position, until all rows are done.

    Args:
        model: what `course.decoding` takes.
        inputs: what its `start_cache` takes.
        prompts: `(batch, width + max_length)`.
        state: dict of tensors, the batch first, with "ids" `(batch, …, width + max_length)` and
            "done" `(batch,)`.
        extend: function of the position t, logits `(rows, vocab_size)` and the state. It returns
            the state with the ids at t + 1, and for each row the one that it continues, or None.
        config: a `GenerationConfig`.
        shortest: how many ids all prompts have; they are read at once.
        shrinks: whether sentences that are done leave the batch.
        outputs: names of the entries of `state` that are the result.

    Returns:
        The state after the last position; the outputs are those of the whole batch.
    """

    def body(t, state, cache, results):
        if shrinks:
            state, cache, results = shrink(model, state, cache, results, config.num_beams)
        logits, cache = model.step(ops.reshape(state["ids"][..., t], (-1,)), cache, t)
        state, rows = extend(t, logits, state)
        return t + 1, state, _reorder(model, cache, rows), results

    rooms = _rooms(model, prompts, config.max_length)
    cache = model.start_cache(inputs, rooms[0])
    logits, cache = model.step(prompts[:, :shortest], cache, 0)
    state, rows = extend(shortest - 1, logits, state)
    cache = _reorder(model, cache, rows)
    results = {}
    if shrinks:  # then the results of all are kept beside, and whose rows are left
        rows = ops.arange(ops.shape(state["done"])[0])
        results = {name: state[name] for name in outputs} | {"rows": rows}
    t = ops.convert_to_tensor(shortest, "int32")
    for i, room in enumerate(rooms):
        cache = model.grow_cache(cache, room) if i else cache

        def goes_on(t, state, cache, results, room=room):
            return ops.logical_and(t < room, ops.logical_not(ops.all(state["done"])))

        t, state, cache, results = ops.while_loop(goes_on, body, (t, state, cache, results))
    return _put_back(state, results)


def _put_back(state, results):
    """The results of all sentences, those of the rows that are left put in their places."""
    if not results:
        return state
    at = results["rows"][:, None]
    names = results.keys() - {"rows"}
    return {name: ops.scatter_update(results[name], at, state[name]) for name in names}


def shrink(
    model: Any, state: dict, cache: Any, results: dict, num_beams: int
) -> tuple[dict, Any, dict]:
    """State and cache of the sentences that are not done, once enough are; else as they were."""

    def smaller():
        left = ops.nonzero(ops.logical_not(state["done"]))[0]
        left = ops.cast(left, results["rows"].dtype)
        beams = ops.arange(num_beams, dtype=left.dtype)
        rows = ops.reshape(left[:, None] * num_beams + beams, (-1,))
        kept = {name: ops.take(part, left, axis=0) for name, part in state.items()}
        rest = {"rows": ops.take(results["rows"], left, axis=0)}
        return kept, _keep(model, cache, left, rows), _put_back(state, results) | rest

    share = ops.mean(ops.cast(ops.logical_not(state["done"]), "float32"))
    return ops.cond(share <= STAYS_WHOLE, smaller, lambda: (state, cache, results))


def may_shrink(model: Any) -> bool:
    """Whether sentences that are done may leave the batch: where no shape has to be known."""
    knows_how = hasattr(model, "keep_sources") or not hasattr(model, "reorder_cache")
    return knows_how and keras.backend.backend() == "tensorflow" and not runtime.jit_compile()


def _rooms(model, ids, max_length):
    """Lengths of the cache: the last id that is generated is never read."""
    counts = [max_length]
    if hasattr(model, "grow_cache"):
        doubled = (FIRST_ROOM * 2**i for i in range(32))
        counts = [*(count for count in doubled if count < max_length), max_length]
    width = ops.shape(ids)[1] - max_length
    return [width + count - 1 for count in counts]


def _reorder(model, cache, rows):
    if rows is None:
        return cache
    if hasattr(model, "reorder_cache"):
        return model.reorder_cache(cache, rows)
    return keras.tree.map_structure(lambda part: ops.take(part, rows, axis=0), cache)


def _keep(model, cache, sources, rows):
    if hasattr(model, "keep_sources"):
        return model.keep_sources(cache, sources, rows)
    return _reorder(model, cache, rows)
