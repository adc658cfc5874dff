"""Decoding: from logits of the next id to sentences (lesson 06).

Greedy and beam search, and sampling with temperature, top-k, top-p and a repetition penalty. They
take any model with two methods, encoder-decoder or decoder-only:

    cache = model.start_cache(inputs, max_length)    room for `max_length` ids in each row
    logits, cache = model.step(ids, cache, index)    ids `(rows,)` at position `index`, or
                                                     `(rows, length)` from there on
                                                     → logits `(rows, vocab_size)` of the next

`inputs` are the source ids, or the prompts where there is no source. A cache is a nest of tensors,
rows first. Two more methods are used where a model has them: `reorder_cache(cache, rows)` by beam
search (else every tensor of the nest is reordered), and `grow_cache(cache, max_length)` (else the
cache has its full length from the start). `course.transformer.Transformer` has all four.

A call is one compiled graph with its loop inside, on TensorFlow and on JAX, and ends when all rows
are done. In a graph of your own, such as an exported model, the functions are plain operations.
"""

import functools
import weakref

import keras
import numpy as np
from keras import ops

from course import runtime

# Attention over a cache costs its whole length, written or not. So it starts with room for this
# many ids and doubles: a short sentence does not pay for `max_length`.
FIRST_ROOM = 16
NEVER = -np.inf


# What may be done to logits before the next id is taken


def repetition_penalty(logits, ids, penalty):
    """Makes ids that were there before less likely: divides their logits by the penalty.

    The paper divides every logit. A negative one would then become more likely, so it is multiplied
    here, as most implementations do.

    Args:
        logits: float tensor `(rows, vocab_size)`.
        ids: integer tensor `(rows, length)`, the ids so far; -1 where there is none. The first of
            each row is one.
        penalty: θ in the paper, which uses 1.2; 1 changes nothing.

    Returns:
        `(rows, vocab_size)`.

    Reference: Keskar et al. 2019, "CTRL", section 4.1.
    """
    ids = ops.where(ids < 0, ids[:, :1], ids)  # (rows, length)
    row = ops.broadcast_to(ops.arange(ops.shape(ids)[0])[:, None], ops.shape(ids))
    at = ops.reshape(ops.stack([row, ops.cast(ids, row.dtype)], axis=-1), (-1, 2))
    ones = ops.ones((ops.shape(at)[0],), logits.dtype)
    seen = ops.scatter_update(ops.zeros_like(logits), at, ones) > 0  # (rows, vocab_size)
    return ops.where(seen, ops.where(logits > 0, logits / penalty, logits * penalty), logits)


def top_k(logits, k):
    """Keeps the `k` largest logits of each row and what equals the last of them; -inf elsewhere.

    Reference: Fan et al. 2018, "Hierarchical Neural Story Generation", section 5.
    """
    smallest = _largest(logits, min(k, logits.shape[-1]))[0][:, -1:]  # (rows, 1)
    return ops.where(logits >= smallest, logits, NEVER)


def top_p(logits, p):
    """Keeps the fewest of the likeliest ids that together reach probability `p`; -inf elsewhere.

    The id that crosses `p` is kept, so that there is always one, and what equals it is kept too.

    Reference: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.
    """
    falling = ops.flip(ops.sort(logits, axis=-1), axis=-1)  # (rows, vocab_size)
    probabilities = ops.softmax(falling, axis=-1)
    before = ops.cumsum(probabilities, axis=-1) - probabilities  # what the likelier ids have
    smallest = ops.min(ops.where(before < p, falling, np.inf), axis=-1, keepdims=True)
    return ops.where(logits >= smallest, logits, NEVER)


# The strategies


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
    return _call(_write, model, inputs, None, given, float(penalty), None)


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
    batch = ops.shape(keras.tree.flatten(_tensors(inputs))[0])[0]
    if isinstance(seed, int) and isinstance(batch, int):  # the same numbers on every backend
        draws = np.random.default_rng(seed).random((batch, max_length), "float32")
    else:
        draws = keras.random.uniform((batch, max_length), seed=seed)
    given = (max_length, end_id, start_id, pad_id, tuple(never))
    return _call(_write, model, inputs, draws, given, float(penalty), (float(temperature), k, p))


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
    return _call(_search, model, inputs, None, given, *beams)


# The loops


def _write(model, inputs, draws, given, shortest, penalty, sampling):
    """Greedy search, or sampling where there are `draws`: one row for each sentence."""
    max_length, end_id, _, pad_id, never = given
    ids, lengths = _prompts(inputs, given)  # (rows, width + max_length), (rows,)

    def put(t, logits, ids, done):
        """Takes the ids at t + 1 from the logits at t, or from the prompt as far as it reaches."""
        logits = ops.cast(logits, "float32")
        if penalty != 1:
            so_far = ops.where(ops.arange(ops.shape(ids)[1]) <= t, ids, -1)
            logits = repetition_penalty(logits, so_far, penalty)
        if never:
            logits = ops.where(_is_one_of(ops.arange(logits.shape[-1]), never), NEVER, logits)
        if sampling is None:
            chosen = ops.argmax(logits, axis=-1)
        else:
            place = ops.clip(t + 1 - lengths, 0, max_length - 1)[:, None]
            chosen = _draw(logits, ops.take_along_axis(draws, place, axis=1), *sampling)
        prompt = t + 1 < lengths  # (rows,)
        following = ops.where(prompt, ids[:, t + 1], ops.cast(chosen, "int32"))
        following = ops.where(done, pad_id, following)
        ids = ops.slice_update(ids, (0, t + 1), following[:, None])
        ended = ops.logical_and(following == end_id, ops.logical_not(prompt))
        ended = ops.logical_or(ended, t + 2 - lengths >= max_length)
        return ids, ops.logical_or(done, ended)

    def body(t, ids, done, cache):
        logits, cache = model.step(ids[:, t], cache, t)
        return t + 1, *put(t, logits, ids, done), cache

    rooms = _rooms(model, ids, max_length)
    cache = model.start_cache(inputs, rooms[0])
    logits, cache = model.step(ids[:, :shortest], cache, 0)  # what all prompts have, at once
    ids, done = put(shortest - 1, logits, ids, lengths < 0)
    t = ops.convert_to_tensor(shortest, "int32")
    for i, room in enumerate(rooms):
        cache = model.grow_cache(cache, room) if i else cache

        def goes_on(t, ids, done, cache, room=room):
            return ops.logical_and(t < room, ops.logical_not(ops.all(done)))

        t, ids, done, cache = ops.while_loop(goes_on, body, (t, ids, done, cache))
    return _written(ids, lengths, given)


def _search(
    model, inputs, draws, given, shortest, num_beams, num_results, length_penalty, early_stopping
):
    """Beam search. Rows are `(batch · num_beams)`, the beams of a sentence one after another."""
    max_length, end_id, _, _, never = given
    prompts, lengths = _prompts(inputs, given)  # (batch, width + max_length), (batch,)
    batch, lengths = ops.shape(prompts)[0], lengths[:, None]  # (batch, 1)
    wide = 2 * num_beams

    def score(log_p, length):
        return log_p / ops.power(ops.cast(ops.maximum(length, 1), "float32"), length_penalty)

    def extend(t, logits, ids, log_p, ended_ids, ended_scores, is_open):
        """One step: from the logits at t of all beams to the beams that reach t + 1.

        Returns the state, and of each new beam the row that it continues, `(batch · num_beams,)`.
        """
        beams = log_p.shape[1]  # 1 in the first step
        following, gained = _best_continuations(logits, wide, never)  # (batch · beams, n)
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
        following = ops.where(prompt, prompts[:, t + 1][:, None], following)
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
        scores = ops.concatenate([ended_scores, scores], axis=1)  # (batch, wide)
        ended_scores, at = ops.top_k(scores, num_beams)
        ended_ids = ops.concatenate([ended_ids, new[:, :num_beams]], axis=1)
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
        return (ids, log_p, ended_ids, ended_scores, ops.logical_and(is_open, improves)), rows

    def body(t, state, cache):
        logits, cache = model.step(ops.reshape(state[0][:, :, t], (-1,)), cache, t)
        state, rows = extend(t, logits, *state)
        return t + 1, state, _reorder(model, cache, rows)

    rooms = _rooms(model, prompts, max_length)
    cache = model.start_cache(inputs, rooms[0])
    logits, cache = model.step(prompts[:, :shortest], cache, 0)
    beams = (
        prompts[:, None],
        ops.zeros_like(lengths, "float32"),
        ops.repeat(prompts[:, None], num_beams, axis=1),
        ops.full((batch, num_beams), NEVER, "float32"),
        lengths[:, 0] > 0,
    )
    state, rows = extend(shortest - 1, logits, *beams)
    cache = _reorder(model, cache, rows)
    t = ops.convert_to_tensor(shortest, "int32")
    for i, room in enumerate(rooms):
        cache = model.grow_cache(cache, room) if i else cache

        def goes_on(t, state, cache, room=room):
            return ops.logical_and(t < room, ops.any(state[-1]))

        t, state, cache = ops.while_loop(goes_on, body, (t, state, cache))
    _, _, ids, scores, _ = state
    ids = _written(ids[:, :num_results], lengths, given)
    return ids, scores[:, :num_results]


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


def _best_continuations(logits, n, never):
    """The `n` likeliest next ids of each row and their log-probabilities, `(rows, ≤ n)` both."""
    logits = ops.cast(logits, "float32")
    size = logits.shape[-1]
    # Enough that `n` are left without those never to be written; the rest of the row is not sorted.
    values, ids = _largest(logits, min(n + len(never), size))
    largest = values[:, :1]
    total = ops.sum(ops.exp(logits - largest), axis=-1, keepdims=True)
    log_p = values - largest - ops.log(total)
    if never:
        log_p = ops.where(_is_one_of(ids, never), NEVER, log_p)
        log_p, at = ops.top_k(log_p, min(n, size))
        ids = ops.take_along_axis(ids, at, axis=1)
    return ops.cast(ids, "int32"), log_p


def _largest(x, k):
    """`ops.top_k` of wide rows `(rows, size)`, several times as fast.

    The k largest stand in the k blocks with the largest maxima: only those need sorting.
    """
    size = x.shape[-1]
    width = int((size / k) ** 0.5)
    if width < 4:
        return ops.top_k(x, k)
    fitting = [w for w in range(width // 2, 2 * width) if size % w == 0]
    width = min(fitting, key=lambda w: abs(w - width), default=width)
    missing = -size % width
    x = ops.pad(x, ((0, 0), (0, missing)), constant_values=NEVER) if missing else x
    count = (size + missing) // width
    blocks = ops.reshape(x, (-1, count, width))
    _, block = ops.top_k(ops.max(blocks, axis=-1), k)  # (rows, k)
    block = ops.sort(block, axis=-1)  # equal logits come in the order of their ids
    row = ops.arange(ops.shape(x)[0], dtype=block.dtype)[:, None]
    chosen = ops.take(ops.reshape(blocks, (-1, width)), row * count + block, axis=0)
    values, at = ops.top_k(ops.reshape(chosen, (-1, k * width)), k)  # (rows, k)
    return values, ops.take_along_axis(block, at // width, axis=1) * width + at % width


def _draw(logits, uniform, temperature, k, p):
    """Ids `(rows,)` drawn from the softmax of filtered logits: where `uniform` falls in the sum."""
    logits = logits / temperature
    logits = logits if k is None else top_k(logits, k)
    logits = logits if p is None else top_p(logits, p)
    probabilities = ops.softmax(logits, axis=-1)
    sums = ops.cumsum(probabilities, axis=-1)
    uniform = ops.minimum(uniform, 1 - 2.0**-24)  # float32 may round up to 1
    reached = ops.logical_and(sums > uniform * ops.max(sums, -1, keepdims=True), probabilities > 0)
    return ops.argmax(reached, axis=-1)  # the first


def _is_one_of(ids, chosen):
    return functools.reduce(ops.logical_or, [ids == each for each in chosen])


# Compiling


_graphs = weakref.WeakKeyDictionary()  # {model: {(function, settings, shapes): compiled}}


def _call(function, model, inputs, draws, given, *settings):
    """Runs `function`: compiled, once for each model and settings, unless in a graph already."""
    if given[0] < 1:
        raise ValueError(f"max_length = {given[0]}: write at least 1 id.")
    inputs, draws = _tensors(inputs), _tensors(draws)
    if _inside_a_graph(inputs):
        return function(model, inputs, draws, given, 1, *settings)
    settings = (given, _read_at_once(inputs, given), *settings)
    arrays = [inputs] if draws is None else [inputs, draws]
    graphs = _graphs.setdefault(model, {})
    key = (function, settings, tuple(len(x.shape) for x in keras.tree.flatten(arrays)))
    if key not in graphs:
        model = weakref.ref(model)  # so that the graphs do not keep it alive
        graphs[key] = _compile(
            lambda inputs, draws=None: function(model(), inputs, draws, *settings), model, arrays
        )
    return graphs[key](*arrays)


def _compile(function, model, arrays):
    if keras.backend.backend() == "jax":
        import jax

        def with_weights(values, *arrays):  # else they would be constants of the graph
            pairs = zip(getattr(model(), "variables", ()), values, strict=True)
            with keras.StatelessScope(state_mapping=list(pairs)):
                return function(*arrays)

        compiled = jax.jit(with_weights)
        return lambda *arrays: compiled(
            [weight.value for weight in getattr(model(), "variables", ())], *arrays
        )
    import tensorflow as tf

    def any_size(x):
        return tf.TensorSpec([None] * len(x.shape), x.dtype)

    signature = keras.tree.map_structure(any_size, arrays)
    return tf.function(
        function,
        input_signature=signature,
        autograph=False,
        jit_compile=runtime.jit_compile(),
    )


def _tensors(inputs):
    if isinstance(inputs, np.ndarray | list):
        inputs = np.asarray(inputs)
        return ops.convert_to_tensor(inputs, "int32" if inputs.dtype.kind in "iu" else None)
    return None if inputs is None else keras.tree.map_structure(ops.convert_to_tensor, inputs)


def _inside_a_graph(inputs):
    if keras.backend.backend() == "jax":
        import jax

        return any(isinstance(x, jax.core.Tracer) for x in keras.tree.flatten(inputs))
    import tensorflow as tf

    return not tf.executing_eagerly()


def _read_at_once(inputs, given):
    """How many ids all prompts have, rounded down to a power of two: a graph is made for each."""
    _, _, start_id, pad_id, _ = given
    if start_id is not None:
        return 1
    prompts = ops.convert_to_numpy(inputs)
    real = np.where(prompts != pad_id, np.arange(1, prompts.shape[1] + 1), 1).max(axis=1)
    return 1 << (int(real.min()).bit_length() - 1)
