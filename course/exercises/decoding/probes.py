"""Exercises of lesson 06, decoding: probes and the mistakes they find; words in text.toml.

Models are tables: the logits depend on the last id, or on it and the sum of those before. A draw is
repeated until the slips that a probe is there for give another answer than the reference. The
fourth, on what a draw may take, is in `sampling.py`.
"""

import numpy as np

from course.checks.declaration import Probe, call, draw_until, fixture
from course.checks.judges import Match, same
from course.checks.references import of_inputs, turned, turning
from course.checks.texts import exercise, lesson, questions
from course.exercises.decoding.sampling import FILTERED, MAY_NOT_CALL

LESSON = lesson("decoding")


def table(rng, size, back=1, spread=1.5):
    """Logits of the next id: no two of a row are nearer than 0.15."""
    ranks = rng.permuted(np.tile(np.arange(size), (size,) * back + (1,)), axis=-1)
    noise = rng.uniform(0, 0.25, ranks.shape)
    return (spread * (0.4 * ranks + noise)).astype("float32")


def differ(reference, *slips):
    """Whether each slip's answer is not the reference's; of tuples the first parts count."""

    def parts(i):
        right = first(reference(i))
        return not any(np.array_equal(first(slip(i)), right) for slip in slips)

    return parts


def first(answer):
    return answer[0] if isinstance(answer, tuple) else answer


# 1. Greedy search


def greedy(
    i,
    *,
    pick=np.argmax,
    seen=lambda ids: ids,
    after_end="padding",
    count=0,
    keep_end=True,
    with_prompt=False,
    one_ends_all=False,
    cut=False,
):
    """Greedy search over a table, with a knob for each slip."""
    logits, prompt, end = i["table"], i["prompt"], i["end_id"]
    ids, done = prompt.copy(), np.zeros(len(prompt), bool)
    written = np.zeros((len(prompt), 0), int)
    for _ in range(i["max_length"] + count):
        chosen = pick(following(logits, seen(ids)), axis=-1)
        over = done | done.any() if one_ends_all else done
        filler = {"padding": 0, "end": end, "text": chosen}[after_end]
        chosen = np.where(over, filler, chosen)
        ids = np.concatenate([ids, chosen[:, None]], 1)
        written = np.concatenate([written, chosen[:, None]], 1)
        done = done | (chosen == end)
        if cut and done.all():
            break
    if not keep_end:
        written = np.where(written == end, 0, written)
    return np.concatenate([prompt, written], 1) if with_prompt else written


def following(logits, ids):
    """The table's rows of the last ids, as the runner's fixture reads them."""
    if logits.ndim == 2:
        return logits[ids[:, -1]]
    return logits[ids[:, :-1].sum(1) % len(logits), ids[:, -1]]


greedy_of = turning(greedy)


def _wrong_axis(i):
    """argmax over the sentences: runs only where there are as many sentences as ids."""
    if len(i["prompt"]) != i["table"].shape[-1]:
        return None
    return greedy(i, pick=lambda logits, axis: np.argmax(logits, axis=0))


def _prompt_alone(i):
    width = i["prompt"].shape[1]
    return greedy(i, seen=lambda ids: ids[:, :width])


def _prompt_counts(i):
    return greedy(i, count=1 - i["prompt"].shape[1])


def _padded(i):
    """One id too few, and the last column left as it was."""
    return np.pad(greedy(i, count=-1), ((0, 0), (0, 1)))


def _last_few(width):
    return turned(greedy, seen=lambda ids: ids[:, -width:])


def _from_all_ids(i, got):
    """The right answer, where `got` comes of a window on the last ids."""
    windows = (_last_few(width)(i) for width in range(2, i["prompt"].shape[1] + i["max_length"]))
    return greedy(i) if any(np.array_equal(got, window) for window in windows) else None


judge_greedy = Match(
    greedy,
    {
        "goes-on": greedy_of(after_end="text"),
        "end-repeated": greedy_of(after_end="end"),
        "one-ends-all": greedy_of(one_ends_all=True),
        "end-left-out": greedy_of(keep_end=False),
        "least-likely": greedy_of(pick=np.argmin),
        "sentences-as-places": greedy_of(
            pick=lambda logits, axis: np.full(len(logits), logits[:, -1].argmax())
        ),
        "wrong-axis": _wrong_axis,
        "prompt-alone": _prompt_alone,
        "last-id-alone": turned(
            greedy, seen=lambda ids: ids[:, -1:], when=lambda i: i["table"].ndim == 3
        ),
        "prompt-included": greedy_of(with_prompt=True),
        "prompt-counts": lambda i: _prompt_counts(i) if i["prompt"].shape[1] > 1 else None,
        "one-too-few": greedy_of(count=-1),
        "last-not-written": _padded,
        "one-too-many": greedy_of(count=1),
        "cut-short": greedy_of(cut=True),
    },
    mends={"last-few-ids": _from_all_ids},
    dtype=None,
)


def texts(batch, size, max_length, prompt=1, back=1, ends=(), endless=False):
    """Prompts and a table; `ends`: how many of the sentences are to end, at the least and most."""

    def draw(rng):
        logits = table(rng, size, back)
        logits[..., 0] = logits.min() - 1  # the id behind an end is never the likeliest
        return {
            "table": logits,
            "prompt": rng.integers(2, size, (batch, prompt)).astype("int32"),
            "end_id": 1,
            "max_length": max_length,
        }

    def parts(i):
        found = greedy(i)
        ended = (found == 1).any(-1)
        length = np.where(ended, (found == 1).argmax(-1), max_length)
        if endless:
            return not ended.any() and len(np.unique(found)) > 2
        if back == 2 and not differ(greedy, *(_last_few(width) for width in range(1, 6)))(i):
            return False
        some = ends[0] <= ended.sum() <= ends[1]
        # Sentences end at different places, none at once or in the last column.
        apart = len(set(length[ended])) == ended.sum()
        return some and apart and length.min() > 0 and not (length == max_length - 1).any()

    return draw_until(draw, parts)


def call_greedy(i):
    step = fixture("table_step", table=i["table"])
    return call(step, i["prompt"], i["end_id"], i["max_length"])


def greedy_probe(title, points, inputs):
    return Probe(title, points, inputs, call_greedy, judge_greedy)


GREEDY = exercise(
    "decoding.greedy",
    defines="greedy_search",
    may_not_call=MAY_NOT_CALL,
    probes=(
        greedy_probe("one sentence that does not end", 1, texts(1, 6, 4, endless=True)),
        greedy_probe("one sentence that ends", 1, texts(1, 6, 7, ends=(1, 1))),
        greedy_probe("a prompt of three ids", 1, texts(1, 5, 6, prompt=3, back=2, ends=(0, 1))),
        greedy_probe("as many sentences as ids", 1, texts(6, 6, 8, ends=(1, 5))),
        greedy_probe("all have ended before the last id", 1, texts(2, 7, 9, ends=(2, 2))),
    ),
)


# 2. The best continuations


def continuations(
    i,
    *,
    add=True,
    order=lambda total: np.argsort(-total, axis=None, kind="stable"),
    swapped=False,
    by=lambda log_probs: log_probs.shape[1],
    report="total",
):
    """The k best of all continuations in float64, with a knob for each slip."""
    log_probs, scores = i["log_probs"].astype("float64"), i["scores"].astype("float64")
    total = scores[:, None] + log_probs if add is True else log_probs
    if add == "times":
        total = scores[:, None] * log_probs
    at = order(total)[: i["k"]]
    parents, ids = at // by(log_probs), at % by(log_probs)
    values = (log_probs if report == "gain" else total).ravel()[at]
    return (ids, parents, values) if swapped else (parents, ids, values)


continuations_of = turning(continuations)


def _best_of_each(i):
    """The best id of each beam: no beam can have two children."""
    total = i["scores"][:, None].astype("float64") + i["log_probs"]
    if len(total) < i["k"]:
        return None
    ids, best = total.argmax(1), total.max(1)
    parents = np.argsort(-best, kind="stable")[: i["k"]]
    return parents, ids[parents], best[parents]


def _unsorted(i):
    """The right ones in the order of the table: np.argpartition, or a mask."""
    parents, ids, values = continuations(i)
    at = np.lexsort((ids, parents))
    return parents[at], ids[at], values[at]


def _dropped(i):
    """Beams out of the race are taken out first, and the rest is counted anew."""
    alive = np.isfinite(i["scores"])
    if alive.all() or not alive.any():
        return None
    return continuations(i | {"scores": i["scores"][alive], "log_probs": i["log_probs"][alive]})


def _without_products(i, got):
    """The right answer, where `got` has scores whose probability is too small for a number."""
    lost = np.isneginf(got[2]).any() and np.isfinite(i["scores"]).all()
    return continuations(i) if lost else None


judge_continuations = Match(
    continuations,
    {
        "scores-left-out": continuations_of(add=False),
        "scores-multiplied": continuations_of(add="times"),
        "gains-returned": continuations_of(report="gain"),
        "swapped": continuations_of(swapped=True),
        "divided-by-beams": continuations_of(by=len),
        "best-of-each": _best_of_each,
        "worst": continuations_of(order=lambda t: np.argsort(t, axis=None, kind="stable")),
        "rising": lambda i: tuple(part[::-1] for part in continuations(i)),
        "unsorted": _unsorted,
        "numbered-anew": _dropped,
    },
    mends={"products": _without_products},
    labels=("parents", "ids", "scores"),
    dtype=None,
)


def beams(count, size, k, dead=(), far=0.0):
    """Log-probabilities, and scores `far` below 0; the beams in `dead` are out of the race."""

    def draw(rng):
        logits = rng.permuted(np.arange(count * size)).reshape(count, size) / 4
        log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        scores = -np.sort(rng.uniform(0.5, 3, count)) - far
        scores[list(dead)] = -np.inf
        return {
            "log_probs": log_probs.astype("float32"),
            "scores": scores.astype("float32"),
            "k": k,
        }

    def parts(i):
        parents, ids, values = continuations(i)
        if count == 1 or dead:
            return True
        apart = np.abs(np.diff(values)).min() > 0.02 and len(set(parents)) > 1
        twice = np.bincount(parents).max() > 1 and not (parents == ids).all()
        return apart and twice and differ(continuations, continuations_of(add=False))(i)

    return draw_until(draw, parts)


def continuations_probe(title, points, inputs):
    return Probe(
        title,
        points,
        inputs,
        lambda i: call(i["log_probs"], i["scores"], i["k"]),
        judge_continuations,
    )


CONTINUATIONS = exercise(
    "decoding.continuations",
    defines="best_continuations",
    may_not_call=MAY_NOT_CALL,
    probes=(
        continuations_probe("one beginning: its best ids", 0.5, beams(1, 6, 3)),
        continuations_probe("two beginnings, three ids", 1.5, beams(2, 3, 3)),
        continuations_probe("four long beginnings, nine ids", 1, beams(4, 9, 4, far=200.0)),
        continuations_probe(
            "beginnings that are out of the race", 0.5, beams(3, 5, 4, dead=(1, 2))
        ),
        continuations_probe("the first is out of the race", 0.5, beams(3, 5, 4, dead=(0,))),
    ),
)


# 3. Repair a beam search


def beam_search(
    i,
    *,
    grow=False,
    choose=lambda log_p, length, alpha: log_p / length**alpha,
    report=None,
    counted=0,
    unfinished=True,
    first_ends=False,
    refill=False,
    shrinks=False,
    outside=False,
    per_beam=None,
    stops=lambda alive, finished: False,
    width=None,
    gain=lambda logits: logits - np.log(np.exp(logits).sum(-1, keepdims=True)),
):
    """Beam search in float64, with a knob for each slip. Returns ids and score."""
    logits, end, alpha = i["table"].astype("float64"), i["end_id"], i["alpha"]
    width = width or i["num_beams"]
    alive, finished = [((i["start_id"],), 0.0)], []
    for _ in range(i["max_length"]):
        log_probs = [gain(logits[ids[-1]]) for ids, _ in alive]
        longer = [
            ((*ids, following), log_p + float(row[following]))
            for (ids, log_p), row in zip(alive, log_probs, strict=True)
            for following in np.argsort(-row, kind="stable")[:per_beam]
        ]
        longer.sort(key=lambda beam: -beam[1])
        best = longer[: 2 * width if refill else width - shrinks * len(finished)]
        if grow:
            alive = best
            continue
        finished += [beam for beam in (longer if outside else best[:width]) if beam[0][-1] == end]
        alive = [beam for beam in best if beam[0][-1] != end][:width]
        if not alive or (first_ends and finished) or (finished and stops(alive, finished)):
            break
    candidates = finished + alive if unfinished and not (first_ends and finished) else finished
    candidates = candidates or alive

    def value(beam, how):
        return how(beam[1], max(1, len(beam[0]) - 1 + counted), alpha)

    ids, log_p = max(candidates, key=lambda beam: value(beam, choose))
    return np.array(ids[1:]), value((ids, log_p), report or choose)


beam_search_of = turning(beam_search)


def _end_not_counted(i):
    """|y| without the end: a sentence that did not end keeps its length."""
    end = i["end_id"]
    best, all_of_them = None, _candidates(i)
    for ids, log_p in all_of_them:
        score = log_p / max(1, len(ids) - (ids[-1] == end)) ** i["alpha"]
        best = (ids, score) if best is None or score > best[1] else best
    return np.array(best[0]), best[1]


def _candidates(i):
    """All that the right search finds, with log P."""
    found = []

    logits, end = i["table"].astype("float64"), i["end_id"]
    alive = [((i["start_id"],), 0.0)]
    for _ in range(i["max_length"]):
        longer = []
        for ids, log_p in alive:
            row = logits[ids[-1]] - np.log(np.exp(logits[ids[-1]]).sum())
            longer += [((*ids, f), log_p + float(p)) for f, p in enumerate(row)]
        best = sorted(longer, key=lambda beam: -beam[1])[: i["num_beams"]]
        found += [beam for beam in best if beam[0][-1] == end]
        alive = [beam for beam in best if beam[0][-1] != end]
    return [(ids[1:], log_p) for ids, log_p in found + alive]


def raw(log_p, length, alpha):
    return log_p


def mean(log_p, length, alpha):
    return log_p / length**alpha


def _best_sum_has_ended(alive, finished):
    return max(p for _, p in alive) < max(p for _, p in finished)


def _best_score_has_ended(i):
    def stops(alive, finished):
        scores = (
            [p / (len(ids) - 1) ** i["alpha"] for ids, p in some] for some in (alive, finished)
        )
        return np.less(*map(max, scores))

    return beam_search(i, stops=stops)


def _longer_found(i, got):
    """The right answer, where `got` has lost longer sentences in one of three ways."""
    ways = beam_search_of(shrinks=True), beam_search_of(stops=_best_sum_has_ended)
    lost = any(same(got, way(i), 2e-5) for way in (*ways, _best_score_has_ended))
    return beam_search(i) if lost else None


OUTSIDE = beam_search_of(outside=True)

judge_beam = Match(
    beam_search,
    {
        "as-handed-out": beam_search_of(grow=True, choose=raw),
        "raw-sum": beam_search_of(choose=raw),
        "chosen-by-raw-sum": beam_search_of(choose=raw, report=mean),
        "one-id-each": beam_search_of(per_beam=1),
        "ended-outside": OUTSIDE,
        "raw-sum-returned": beam_search_of(report=raw),
        "goes-on-after-end": beam_search_of(grow=True),
        "first-finished": beam_search_of(first_ends=True),
        "end-not-counted": _end_not_counted,
        "start-counted": beam_search_of(counted=1),
        "unfinished-left-out": beam_search_of(unfinished=False),
        "refilled": beam_search_of(refill=True),
        "length-multiplied": beam_search_of(choose=lambda log_p, n, alpha: log_p * n**alpha),
        "always-the-mean": turned(
            beam_search, choose=lambda log_p, n, alpha: log_p / n, when=lambda i: i["alpha"] != 1
        ),
        "alpha-times-length": beam_search_of(
            choose=lambda log_p, n, alpha: log_p / (n * alpha) if alpha else log_p
        ),
    },
    mends={"ended-take-places": _longer_found},
    labels=("ids", "score"),
    dtype=None,
)


def searches(alpha, num_beams=3, size=5, max_length=5, apart=(), ended=None):
    """A table on which the slips in `apart` find another sentence."""

    def draw(rng):
        logits = rng.normal(size=(size, size)) * 1.5
        return {
            "table": logits.astype("float32"),
            "start_id": 1,
            "end_id": 0,
            "num_beams": num_beams,
            "max_length": max_length,
            "alpha": alpha,
        }

    def parts(i):
        ids, _ = beam_search(i)
        if len(ids) < 2 or (ended is not None and (ids[-1] == 0) != ended):
            return False
        if any(np.array_equal(ids, slip(i)[0]) for slip in apart):
            return False
        scores = sorted((p / len(ids) ** alpha for ids, p in _candidates(i)), reverse=True)
        return len(scores) < 2 or scores[0] - scores[1] > 0.02

    return draw_until(draw, parts)


def after_an_end(rng):
    """Of two beams one ends at once; the best sentence is found by those that still go on."""
    a, b, c, other = rng.permutation(np.arange(2, 6))
    shares = np.full((6, 6), 1e-6)
    ends, goes_on = rng.uniform(0.53, 0.57), rng.uniform(0.47, 0.49)
    shares[1, [0, a]] = ends, 1 - ends
    shares[a, [b, 0]] = goes_on, 1 - goes_on
    shares[b, c] = shares[c, 0] = shares[other, other] = shares[0, 0] = 1
    logits = np.log(shares).astype("float32")
    settings = {"start_id": 1, "end_id": 0, "num_beams": 2, "max_length": 6, "alpha": 1.0}
    return {"table": logits} | settings


def call_beam(i):
    step = fixture("table_step", table=i["table"])
    return call(step, *(i[n] for n in ("start_id", "end_id", "num_beams", "max_length", "alpha")))


def beam_probe(title, points, inputs):
    return Probe(title, points, inputs, call_beam, judge_beam)


BEAM = exercise(
    "decoding.beam",
    defines="beam_search",
    may_not_call=MAY_NOT_CALL,
    probes=(
        beam_probe(
            "a finished sentence is left alone (α = 0)",
            1,
            searches(0.0, apart=(beam_search_of(grow=True),), ended=True),
        ),
        beam_probe(
            "the length penalty chooses (α = 1)",
            1.5,
            searches(
                1.0,
                apart=(
                    beam_search_of(choose=raw),
                    beam_search_of(first_ends=True),
                    beam_search_of(grow=True),
                ),
                ended=True,
            ),
        ),
        beam_probe(
            "unfinished sentences count at the end",
            1,
            searches(1.0, max_length=3, apart=(beam_search_of(unfinished=False),), ended=False),
        ),
        beam_probe(
            "α between 0 and 1, four beams",
            0.5,
            searches(
                0.7,
                num_beams=4,
                size=6,
                max_length=6,
                apart=(beam_search_of(refill=True), beam_search_of(choose=raw)),
            ),
        ),
        beam_probe("one ends, and the others go on", 0.5, after_an_end),
        beam_probe(
            "one beam is greedy search",
            0.5,
            searches(0.2, num_beams=1, apart=(OUTSIDE,), ended=True),
        ),
    ),
)


# 5. Repair a cache


def attend(
    i, *, row=0, visible=0, write_key=True, write_value=True, scale=True, source=("key", "value")
):
    """One step of attention with a cache in float64, with a knob for each slip."""
    q, t = i["query"].astype("float64"), i["t"]
    keys, values = (i[name].astype("float64") for name in ("key_cache", "value_cache"))
    if write_key and t + row < len(keys):
        keys[t + row] = i[source[0]]
    if write_value and t + row < len(values):
        values[t + row] = i[source[1]]
    scores = keys @ q / (np.sqrt(len(q)) if scale else 1)
    n = len(keys) if visible is None else t + 1 + visible
    scores[n:] = -np.inf
    weights = np.exp(scores - scores.max())
    return weights @ values / weights.sum(), keys, values


attend_of = turning(attend)


def _zeros_count(i):
    """Scores beyond t set to 0, not left out: exp(0) is 1."""
    _, keys, values = attend(i)
    scores = keys @ i["query"].astype("float64") / np.sqrt(len(i["query"]))
    scores[i["t"] + 1 :] = 0
    weights = np.exp(scores - scores.max())
    return weights @ values / weights.sum(), keys, values


def _appended(i):
    keys, values = (
        np.concatenate([i[n].astype("float64"), i[m][None]])
        for n, m in (("key_cache", "key"), ("value_cache", "value"))
    )
    output, *_ = attend(i)
    return output, keys, values


def _old_caches(i):
    return attend(i)[0], i["key_cache"].astype("float64"), i["value_cache"].astype("float64")


def _late_and_all_seen(i):
    """As handed out: one row late, the last row standing in for the one after it, no mask."""
    return attend(i, row=min(1, len(i["key_cache"]) - 1 - i["t"]), visible=None)


judge_attend = Match(
    attend,
    {
        "late-and-all-seen": _late_and_all_seen,
        "one-late": attend_of(row=1),
        "one-late-and-seen": attend_of(row=1, visible=1),
        "sees-unwritten": attend_of(visible=None),
        "own-word-hidden": turned(attend, visible=-1, when=lambda i: i["t"]),
        "sees-one-more": turned(attend, visible=1, when=lambda i: i["t"] + 1 < len(i["key_cache"])),
        "hidden-scores-zero": lambda i: (
            _zeros_count(i) if i["t"] + 1 < len(i["key_cache"]) else None
        ),
        "value-not-written": attend_of(write_value=False),
        "key-not-written": attend_of(write_key=False),
        "key-as-value": attend_of(source=("key", "key")),
        "query-as-key": attend_of(source=("query", "value")),
        "no-scaling": attend_of(scale=False),
        "appended": _appended,
        "old-caches": _old_caches,
        "first-row": turned(attend, row=of_inputs(lambda i: -i["t"]), when=lambda i: i["t"]),
    },
    labels=("output", "key_cache", "value_cache"),
    dtype=None,
)


def moments(t, length=6, width=4):
    """A step at position t; rows after it hold what an earlier sentence left there."""

    def inputs(rng):
        one, many = (lambda: rng.normal(size=width)), (lambda: rng.normal(size=(length, width)))
        drawn = {"query": one(), "key": one(), "value": one()}
        drawn |= {"key_cache": many(), "value_cache": many()}
        return {name: array.astype("float32") for name, array in drawn.items()} | {"t": t}

    return inputs


def call_attend(i):
    names = ("query", "key", "value", "key_cache", "value_cache", "t")
    return call(*(i[name] for name in names))


def attend_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, call_attend, judge_attend, **more)


OUT_OF_BOUNDS = r"IndexError|(?i:out of bounds|out of range|index|size|shape|broadcast)"

CACHE = exercise(
    "decoding.cache",
    defines="attend_with_cache",
    may_not_call=("keras.layers.MultiHeadAttention", "course.attention.MultiHeadAttention"),
    probes=(
        attend_probe("the first word", 1, moments(0)),
        attend_probe("a word in the middle", 1.5, moments(3)),
        attend_probe(
            "the last that there is room for", 1, moments(5), if_raises={"one-late": OUT_OF_BOUNDS}
        ),
        attend_probe("a wide head", 0.5, moments(9, length=20, width=32)),
    ),
)

EXERCISES = (GREEDY, CONTINUATIONS, BEAM, FILTERED, CACHE)

QUESTIONS = questions("decoding")
