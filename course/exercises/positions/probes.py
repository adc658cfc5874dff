"""Exercises of lesson 03, positions: probes and the mistakes they find; words in text.toml."""

import numpy as np

from course.checks.declaration import OF_DTYPES, Probe, call, tensor
from course.checks.judges import Match
from course.checks.references import of_inputs, turned, turning
from course.checks.texts import exercise, lesson, questions

LESSON = lesson("positions")

MAY_NOT_CALL = (
    "course.positions.sinusoidal_encoding",
    "course.positions.rotary",
    "course.positions.alibi_bias",
    "course.positions.alibi_slopes",
    "course.positions.AddPositions",
)


# 1. Waves


def frequencies(width, *, exponent=lambda pair, width: 2 * pair / width, base=10_000.0):
    """One frequency for each pair of numbers, with a knob for the exponent."""
    return base ** -exponent(np.arange(width // 2, dtype="float64"), width)


def waves(i, *, first=0, order="side by side", functions=(np.sin, np.cos), **knobs):
    """The encoding of section 3.5, with a knob for each slip."""
    position = np.arange(first, first + i["length"], dtype="float64")[:, None]
    angle = position * frequencies(i["d_model"], **knobs)  # (length, d_model / 2)
    even, odd = (function(angle) for function in functions)
    if order == "in halves":
        return np.concatenate([even, odd], -1)
    return np.stack([even, odd], -1).reshape(i["length"], i["d_model"])


def _own_frequency(i):
    """Each column with a frequency of its own: sine and cosine of a pair no longer match."""
    column = np.arange(i["d_model"])
    angle = np.arange(i["length"])[:, None] * 10_000.0 ** -(column / i["d_model"])
    return np.where(column % 2, np.cos(angle), np.sin(angle))


def _columns_as_pairs(i):
    """2i / d_model with the column for i, in both columns of a pair: a slip of many tutorials."""
    column = np.arange(i["d_model"])
    angle = np.arange(i["length"])[:, None] * 10_000.0 ** -(2 * column / i["d_model"])
    return np.where(column % 2, np.cos(angle), np.sin(angle))


def _share_of_the_length(i):
    """Positions divided by the length, so that a place depends on how long the text is."""
    position = np.arange(i["length"], dtype="float64")[:, None] / i["length"]
    angle = position * frequencies(i["d_model"])
    return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(i["length"], i["d_model"])


def _divided(i, got):
    """The right waves, where `got` are the multiplied ones as far as float32 holds such angles."""
    up = {"exponent": lambda pair, width: -2 * pair / width}
    multiplied = waves(i, **up)
    largest = i["length"] * frequencies(i["d_model"], **up)  # up to 100,000
    near = got.shape == multiplied.shape and np.all(
        np.abs(got - multiplied) <= np.repeat(2e-5 + 2e-6 * largest, 2)
    )
    return waves(i) if near else None


waves_of = turning(waves)


judge_waves = Match(
    waves,
    {
        "in-halves": waves_of(order="in halves"),
        "cosine-first": waves_of(functions=(np.cos, np.sin)),
        "starts-at-one": waves_of(first=1),
        "exponent-not-doubled": waves_of(exponent=lambda pair, width: pair / width),
        "exponent-doubled-twice": waves_of(exponent=lambda pair, width: 4 * pair / width),
        "own-frequency": _own_frequency,
        "columns-as-pairs": _columns_as_pairs,
        "sine-only": waves_of(functions=(np.sin, np.sin)),
        "wavelengths-to-the-end": turned(
            waves,
            exponent=lambda pair, width: pair / (width / 2 - 1),
            when=lambda i: i["d_model"] > 2,
        ),
        "share-of-the-length": _share_of_the_length,
        "transposed": turned(waves, then=lambda r, i: r.T),
    },
    mends={"multiplied": _divided},
)


def call_waves(i):
    return call(i["length"], i["d_model"])


def sizes(d_model, length=None):
    """A length that is drawn, so that no table can be written out."""
    return lambda rng: {"length": length or int(rng.integers(5, 12)), "d_model": d_model}


def waves_probe(title, points, inputs):
    return Probe(title, points, inputs, call_waves, judge_waves)


SINUSOIDAL = exercise(
    "positions.sinusoidal",
    defines="positional_encoding",
    may_not_call=MAY_NOT_CALL,
    probes=(
        waves_probe("one position: 0, 1, 0, 1", 0.5, sizes(4, length=1)),
        waves_probe("one pair of waves", 1, sizes(2)),
        waves_probe("two pairs of waves", 1.5, sizes(4)),
        waves_probe("sixteen numbers, forty positions", 1, sizes(16, length=40)),
        waves_probe("a wide vector", 1, sizes(64)),
    ),
)


# 2. Rotations


def turn(
    i,
    *,
    first=0,
    sign=1,
    pairs="adjacent",
    result="in place",
    axis=-2,
    sines=(-1, 1),
    overwritten=False,
    **knobs,
):
    """Rotary encoding in float64, with a knob for each slip."""
    x = np.asarray(i["x"], "float64")
    length, width = x.shape[axis], x.shape[-1]
    position = np.arange(first, first + length, dtype="float64")
    if axis == -3:
        position = position[:, None]  # (heads, 1): the same turn for every word of a head
    angle = sign * position[..., None] * frequencies(width, **knobs)
    a, b = (
        (x[..., ::2], x[..., 1::2])
        if pairs == "adjacent"
        else (x[..., : width // 2], x[..., width // 2 :])
    )
    left = a * np.cos(angle) + sines[0] * b * np.sin(angle)
    right = b * np.cos(angle) + sines[1] * (left if overwritten else a) * np.sin(angle)
    if pairs == "halves" or result == "in halves":
        return np.concatenate([left, right], -1)
    return np.stack([left, right], -1).reshape(x.shape)


turn_of = turning(turn)


def _on_through_the_batch(i):
    """All axes in front laid end to end, so that the count never starts again."""
    rows = i["x"].reshape(-1, i["x"].shape[-1])
    return turn({"x": rows}).reshape(i["x"].shape)


def _waves_added(i):
    shape = {"length": i["x"].shape[-2], "d_model": i["x"].shape[-1]}
    return i["x"] + waves(shape)


def _in_float32(i, got):
    """The right rotation, where `got` is it for small positions and then drifts off."""
    right = turn(i)
    if i.get("dtype") != "float16" or got.shape != right.shape or not np.isfinite(got).all():
        return None
    near = np.abs(got[:8] - right[:8]).max() < 0.02
    return right if near and np.abs(got).max() < 1.5 * np.abs(right).max() else None


judge_turn = Match(
    turn,
    {
        "halves": turn_of(pairs="halves"),
        "results-in-halves": turn_of(result="in halves"),
        "other-way-round": turn_of(sign=-1),
        "starts-at-one": turn_of(first=1),
        "one-frequency": turn_of(exponent=lambda pair, width: 0 * pair),
        "exponent-not-doubled": turn_of(exponent=lambda pair, width: pair / width),
        "exponent-doubled-twice": turn_of(exponent=lambda pair, width: 4 * pair / width),
        "two-pluses": turn_of(sines=(1, 1)),
        "two-minuses": turn_of(sines=(-1, -1)),
        "overwritten": turn_of(overwritten=True),
        "positions-from-heads": turned(turn, axis=-3, when=lambda i: i["x"].ndim > 2),
        "positions-run-on": _on_through_the_batch,
        "waves-added": _waves_added,
        "unchanged": lambda i: i["x"],
    },
    mends={"angles-in-float16": _in_float32},
)


def vectors(*shape, dtype="float32"):
    def inputs(rng):
        more = {} if dtype == "float32" else {"dtype": dtype, "tolerance": 5e-3}
        return {"x": rng.normal(size=shape).astype(dtype)} | more

    return inputs


def call_turn(i):
    return call(tensor(i["x"]))


def turn_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, call_turn, judge_turn, **more)


ROTARY = exercise(
    "positions.rotary",
    defines="rotate",
    may_not_call=MAY_NOT_CALL,
    probes=(
        turn_probe("position 0 is not turned", 0.5, vectors(1, 4)),
        turn_probe("one pair, five positions", 1.5, vectors(5, 2)),
        turn_probe("two pairs", 1.5, vectors(5, 4)),
        turn_probe(
            "a batch of sentences with several heads",
            1,
            vectors(2, 3, 6, 8),
            if_raises="two-axes-only",
        ),
        turn_probe(
            "float16 in, float16 out",
            0.5,
            vectors(600, 8, dtype="float16"),
            if_raises={"dtypes-mixed": OF_DTYPES},  # TensorFlow stops there; JAX goes on in float32
        ),
    ),
)


# 3. A penalty on distance


def penalty(i, *, sign=-1, first=1, slope=None, distance=lambda q, k: np.abs(q - k)):
    """ALiBi in float64, with a knob for each slip."""
    heads, n = i["num_heads"], i["length"]
    number = np.arange(first, first + heads, dtype="float64")
    slopes = 2.0 ** (-8 * number / heads) if slope is None else slope(number, heads)
    place = np.arange(n)
    apart = distance(place[:, None], place[None, :])
    return sign * slopes[:, None, None] * np.broadcast_to(apart, (n, n))


penalty_of = turning(penalty)


def _future_hidden(i):
    n = i["length"]
    return np.where(np.tril(np.ones((n, n), bool)), penalty(i), -np.inf)


def _without_its_sign(i, got):
    """What a distance with a sign would be without it; one sign throughout is another slip."""
    both = got.min() < 0 < got.max()
    return -np.abs(got) if both or i["length"] == 1 else None


judge_penalty = Match(
    penalty,
    {
        "reward": penalty_of(sign=1),
        "slopes-from-one": penalty_of(first=0),
        "one-slope": turned(
            penalty,
            slope=lambda number, heads: np.full(heads, 2.0 ** (-8 / heads)),
            when=lambda i: i["num_heads"] > 1,
        ),
        "slopes-of-eight-heads": turned(
            penalty, slope=lambda number, heads: 2.0**-number, when=lambda i: i["num_heads"] != 8
        ),
        "slopes-reversed": turned(
            penalty, then=lambda r, i: r[::-1], when=lambda i: i["num_heads"] > 1
        ),
        "slopes-in-a-line": penalty_of(slope=lambda number, heads: number / heads),
        "no-slope": penalty_of(slope=lambda number, heads: np.ones(heads)),
        "exponent-cut-short": penalty_of(slope=lambda number, heads: 2.0**-8 * number / heads),
        "squared-distance": penalty_of(distance=lambda q, k: (q - k) ** 2),
        "one-direction": penalty_of(distance=lambda q, k: np.maximum(q - k, 0)),
        "from-the-first-word": penalty_of(sign=1, distance=lambda q, k: k + 0 * q),
        "to-the-last-word": penalty_of(distance=lambda q, k: k.max() - k + 0 * q),
        "future-hidden": _future_hidden,
        "one-head": turned(penalty, then=lambda r, i: r[0]),
        "heads-last": turned(penalty, then=lambda r, i: np.moveaxis(r, 0, -1)),
    },
    mends={"signed-distance": _without_its_sign},
)


def heads(num_heads, length=None):
    return lambda rng: {"num_heads": num_heads, "length": length or int(rng.integers(4, 9))}


def penalty_probe(title, points, inputs):
    return Probe(title, points, inputs, lambda i: call(i["num_heads"], i["length"]), judge_penalty)


ALIBI = exercise(
    "positions.alibi",
    defines="distance_penalty",
    may_not_call=MAY_NOT_CALL,
    probes=(
        penalty_probe("one word: nothing to subtract", 0.5, heads(4, length=1)),
        penalty_probe("eight heads", 1.5, heads(8)),
        penalty_probe("two heads", 1, heads(2)),
        penalty_probe("one head, slope 1/256", 0.5, heads(1)),
        penalty_probe("sixteen heads", 0.5, heads(16)),
    ),
)


# 4. Repair a function that loses count


def add(i, *, rows=None, combine=np.add):
    """The right rows of the table added to each word, with a knob for the rows."""
    x, start = i["x"].astype("float64"), i["start"]
    batch, length, _ = x.shape
    chosen = np.arange(start, start + length) if rows is None else rows(start, length, batch)
    return combine(x, i["table"].astype("float64")[chosen])


def add_of(rows):
    return turned(add, rows=rows)


judge_add = Match(
    add,
    {
        "rows-of-the-batch": add_of(lambda start, length, batch: np.arange(batch)),
        "counts-the-batch": add_of(lambda start, length, batch: np.arange(start, start + batch)),
        "start-ignored": turned(
            add, rows=lambda start, length, batch: np.arange(length), when=lambda i: i["start"]
        ),
        "starts-one-late": add_of(
            lambda start, length, batch: np.arange(start + 1, start + 1 + length)
        ),
        # Nothing is left of the slice from 7 to 4, and the sum raises.
        "ends-at-length": add_of(lambda start, length, batch: np.arange(start, length)),
        "row-per-sentence": add_of(
            lambda start, length, batch: np.arange(start, start + batch)[:, None]
        ),
        "one-row-for-all": add_of(lambda start, length, batch: np.full(length, start)),
        "last-rows": turned(
            add,
            rows=of_inputs(
                lambda i: (
                    lambda start, length, batch: np.arange(
                        len(i["table"]) - length, len(i["table"])
                    )
                )
            ),
        ),
        "table-multiplied": turned(add, combine=np.multiply),
        "words-lost": turned(add, combine=lambda x, rows: np.broadcast_to(rows, x.shape)),
        "start-added": lambda i: (
            add(i, rows=lambda start, length, batch: np.arange(length)) + i["start"]
            if i["start"]
            else None
        ),
    },
)


def words(batch, length, start=0, rows=20, width=4):
    def inputs(rng):
        return {
            "x": rng.normal(size=(batch, length, width)).astype("float32"),
            "table": rng.normal(size=(rows, width)).astype("float32"),
            "start": start,
        }

    return inputs


def call_add(i):
    more = {"start": i["start"]} if i["start"] else {}
    return call(tensor(i["x"]), tensor(i["table"]), **more)


def add_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, call_add, judge_add, **more)


REPAIR = exercise(
    "positions.repair",
    defines="add_positions",
    may_not_call=MAY_NOT_CALL,
    probes=(
        # The function as it is handed out passes this one: it has to stay so, for no points.
        add_probe("one word", 0, words(1, 1)),
        add_probe("one sentence", 1, words(1, 5)),
        add_probe("a batch of sentences", 1, words(3, 5), if_raises="rows-of-the-batch"),
        add_probe(
            "as many sentences as words, from word 7 on",
            1,
            words(4, 4, start=7),
            if_raises="ends-at-length",
        ),
        add_probe("one more word, after twelve", 1, words(2, 1, start=12)),
    ),
)


# 5. Measure how far an encoding reaches


def furthest(
    i, *, share=0.9, minus=0.0, of="trained", start="trained", answer="length", strict=False
):
    """The exercise's reference, with a knob for each slip."""
    lengths, accuracies = i["lengths"], i["accuracies"]
    at = int(np.flatnonzero(lengths == i["trained"])[0])
    most = {
        "trained": accuracies[at],
        "best": accuracies.max(),
        "first": accuracies[0],
        "one": 1.0,
        "the one before": np.append(accuracies[0], accuracies[:-1]),
    }[of]
    bar = share * most - minus
    holds = (accuracies > bar) | (lengths == i["trained"]) if strict else accuracies >= bar
    reached = at
    if start == "nowhere":  # no walk at all: the last one that holds
        reached = int(np.flatnonzero(holds)[-1]) if holds.any() else at
    elif start == "trained" or holds[: at + 1].all():
        while reached + 1 < len(lengths) and holds[reached + 1]:
            reached += 1
    if answer == "first failure":
        reached = min(reached + 1, len(lengths) - 1)
    if answer == "difference":
        return int(lengths[reached] - i["trained"])
    if answer == "times":
        return float(lengths[reached] / i["trained"])
    return reached if answer == "index" else int(lengths[reached])


furthest_of = turning(furthest)


def _before_the_first_miss(i):
    """argmax finds the first miss of the whole list; where there is none, it says 0."""
    at = int(np.flatnonzero(i["lengths"] == i["trained"])[0])
    misses = i["accuracies"] < 0.9 * i["accuracies"][at]
    return int(i["lengths"][np.argmax(misses) - 1])


def _begun_with_nothing(i):
    """The walk starts behind the trained length, with 0 for an answer."""
    found = furthest(i)
    return 0 if found == i["trained"] else found


def _rises_too(i):
    """It ends wherever the accuracy is a tenth away from that at the trained length."""
    at = int(np.flatnonzero(i["lengths"] == i["trained"])[0])
    near = np.abs(i["accuracies"] / i["accuracies"][at] - 1) <= 0.1
    return furthest(i | {"accuracies": np.where(near, i["accuracies"], 0.0)})


judge_reach = Match(
    furthest,
    {
        "after-a-gap": furthest_of(start="nowhere"),
        "more-than": furthest_of(strict=True),
        "begun-with-nothing": _begun_with_nothing,
        "rises-too": _rises_too,
        "from-the-shortest": furthest_of(start="shortest"),
        "first-miss-of-all": _before_the_first_miss,
        "of-one": furthest_of(of="one"),
        "of-the-best": furthest_of(of="best"),
        "of-the-first": furthest_of(of="first"),
        "of-the-one-before": furthest_of(of="the one before"),
        "first-failure": furthest_of(answer="first failure"),
        "index": furthest_of(answer="index"),
        "times": furthest_of(answer="times"),
        "difference": furthest_of(answer="difference"),
        "ten-percent": furthest_of(share=0.1),
        "ten-points": furthest_of(share=1.0, minus=0.1),
        "the-longest": lambda i: int(i["lengths"][-1]),
        "the-trained": lambda i: i["trained"],
    },
    dtype=None,
    tolerance=1e-9,
)

LENGTHS = np.array([4, 8, 16, 24, 32, 48, 64, 96])


def measured(shares, trained=16, top=(0.55, 0.75)):
    """Accuracies as shares of that at the trained length, which is drawn, with a little noise."""

    def inputs(rng):
        highest = rng.uniform(*top)
        noise = rng.uniform(-0.005, 0.005, len(shares))
        accuracies = highest * (np.array(shares) + np.where(trained == LENGTHS, 0, noise))
        return {"lengths": LENGTHS.copy(), "accuracies": accuracies, "trained": trained}

    return inputs


def on_the_bar(rng):
    """A length whose accuracy is the bar itself: half of 0.9 is exact, however it is computed."""
    shares = np.concatenate(
        [rng.uniform(0.95, 1, 2), [1], rng.uniform(0.92, 0.98, 1), [0.9], rng.uniform(0.2, 0.6, 3)]
    )
    return {"lengths": LENGTHS.copy(), "accuracies": 0.5 * shares, "trained": 16}


def reach_probe(title, points, shares, **more):
    return Probe(
        title,
        points,
        measured(shares, **more),
        lambda i: call(i["lengths"], i["accuracies"], i["trained"]) | {"keras": False},
        judge_reach,
    )


# Each two of the slips part on one of these: a bar at 90 % of 1 is met only by the last curve,
# and one at 90 % of the length before only by a curve that falls slowly.
REACH = exercise(
    "positions.reach",
    defines="reach",
    probes=(
        reach_probe("it falls slowly", 0.5, [1, 1, 1, 0.97, 0.94, 0.88, 0.82, 0.77]),
        reach_probe("it falls and comes back", 0.5, [0.5, 0.8, 1, 0.96, 0.5, 0.95, 0.95, 0.3]),
        reach_probe(
            "better than at the trained length before it",
            0.5,
            [0.95, 1.3, 1, 0.95, 0.92, 0.87, 0.5, 0.05],
        ),
        reach_probe("it falls at once", 0.5, [1, 1, 1, 0.8, 0.7, 0.92, 0.6, 0.5]),
        reach_probe("it rises, then falls", 0.5, [0.7, 0.9, 1, 1.05, 1.2, 1.15, 0.95, 0.8]),
        reach_probe("it never falls", 0.25, [1] * len(LENGTHS), trained=24, top=(0.94, 0.98)),
        Probe(
            "exactly 90 % is enough",
            0.25,
            on_the_bar,
            lambda i: call(i["lengths"], i["accuracies"], i["trained"]) | {"keras": False},
            judge_reach,
        ),
    ),
)

EXERCISES = (SINUSOIDAL, REPAIR, ROTARY, ALIBI, REACH)

QUESTIONS = questions("positions")
