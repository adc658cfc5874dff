"""Exercises of lesson 07, pretraining: probes and the mistakes they find; words in the TOML file.

Draws are handed to the student as numbers, so that what is random elsewhere can be compared here.
"""

import numpy as np

from course.exercises.declaration import Probe, call, step, tensor
from course.exercises.decoding import draw_until
from course.exercises.judging import Match, MatchRows, mends_among, only_if
from course.exercises.transformer import attention, dense, gelu, layer_norm, weights_of
from course.exercises.translation import log_softmax, mean, of_labels
from course.exercises.words import exercise, lesson, questions

LESSON = lesson("pretraining")

MAY_NOT_CALL = tuple(
    f"course.pretraining.{name}"
    for name in ("Masking", "PretrainingBatches", "BertEncoder", "MaskedLanguageModel")
)


def numbers(*shape, rng):
    """Draws from [0, 1) that lie on no boundary of a share or of a list of ids."""
    return (rng.integers(0, 1000, shape) + 0.37) / 1000


# 1. Hide tokens


def shown(
    ids,
    action,
    other,
    i,
    *,
    bands=(0.8, 0.9),
    order="mask other keep",
    drawn="ordinary",
    drawn_beside=None,
):
    """What stands in the place of a chosen token: `[MASK]`, another one, or itself."""
    every = np.arange(i["vocab_size"])
    special = i["special_ids"] if drawn_beside is None else drawn_beside
    ordinary = every[~np.isin(every, special)]
    place = (other * len(ordinary)).astype(int)
    places = {
        "ordinary": ordinary[place],
        "any id": (other * len(every)).astype(int),
        "a place": place,
        "above": place + len(i["special_ids"]),
        "one too few": ordinary[(other * (len(ordinary) - 1)).astype(int)],
        "rounded": ordinary[
            np.minimum(np.rint(other * len(ordinary)), len(ordinary) - 1).astype(int)
        ],
        "not itself": _not_itself(ids, ordinary, other),
    }
    parts = {"mask": np.full_like(ids, i["mask_id"]), "other": places[drawn], "keep": ids}
    first, second, third = (parts[name] for name in order.split())
    return np.where(action < bands[0], first, np.where(action < bands[1], second, third))


def _not_itself(ids, ordinary, other):
    """Another token drawn from the ordinary ids without the one that stands there."""
    place = (other * (len(ordinary) - 1)).astype(int)
    return ordinary[place + (place >= np.searchsorted(ordinary, ids))]


def hidden(
    i,
    *,
    may=lambda ids, i: ~np.isin(ids, i["special_ids"]),
    chosen=lambda choose, rate, free: (choose < rate) & free,
    labels=lambda chosen, ids, shown, i: np.where(chosen, ids, 0),
    action=lambda action: action,
    touched=lambda chosen, free: chosen,
    **bands,
):
    """Masked ids and labels, with a knob for each slip."""
    ids, (choose, what, other) = i["ids"], i["draws"]
    free = may(ids, i)
    picked = chosen(choose, i["rate"], free)
    said = shown(ids, np.broadcast_to(action(what), ids.shape), other, i, **bands)
    masked = np.where(touched(picked, free), said, ids)
    return masked, labels(picked, ids, masked, i)


def hidden_with(**knobs):
    return lambda i: hidden(i, **knobs)


def _by_rank(choose, rate, free):
    """So many of each row as the rate says, those with the smallest draws."""
    wanted = np.maximum(np.rint(rate * free.sum(1)), 1)[:, None]
    rank = np.argsort(np.argsort(np.where(free, choose, 2), axis=1), axis=1)
    return (rank < wanted) & free


def _at_least_one(choose, rate, free):
    """The token with the smallest draw where a row has none below the rate."""
    first = np.where(free, choose, 2)
    alone = (first == first.min(1, keepdims=True)) & free
    picked = (choose < rate) & free
    return np.where(picked.any(1, keepdims=True), picked, alone)


judge_hidden = MatchRows(
    hidden,
    {
        "specials-chosen": hidden_with(may=lambda ids, i: np.ones_like(ids, bool)),
        "only-padding-spared": hidden_with(may=lambda ids, i: ids != 0),
        "padding-chosen": hidden_with(
            may=lambda ids, i: ~np.isin(ids, [n for n in i["special_ids"] if n])
        ),
        "only-mask-spared": hidden_with(may=lambda ids, i: ids != i["mask_id"]),
        "labels-everywhere": hidden_with(labels=lambda c, ids, shown, i: ids),
        "labels-on-all-words": hidden_with(
            labels=lambda c, ids, shown, i: np.where(np.isin(ids, i["special_ids"]), 0, ids)
        ),
        "labels-where-not-chosen": hidden_with(labels=lambda c, ids, shown, i: np.where(c, 0, ids)),
        "labels-of-what-is-shown": hidden_with(
            labels=lambda c, ids, shown, i: np.where(c, shown, 0)
        ),
        "labels-where-changed": hidden_with(
            labels=lambda c, ids, shown, i: np.where(shown != ids, ids, 0)
        ),
        "labels-where-hidden": hidden_with(
            labels=lambda c, ids, shown, i: np.where(c & (shown == i["mask_id"]), ids, 0)
        ),
        "minus-one-hundred": hidden_with(labels=lambda c, ids, shown, i: np.where(c, ids, -100)),
        "specials-drawn": hidden_with(drawn="any id"),
        "some-specials-drawn": lambda i: hidden(i, drawn_beside=[0, i["mask_id"]]),
        "last-not-drawn": hidden_with(drawn="one too few"),
        "place-not-looked-up": hidden_with(drawn="a place"),
        "specials-taken-for-first": hidden_with(drawn="above"),
        "place-rounded": hidden_with(drawn="rounded"),
        "itself-not-drawn": hidden_with(drawn="not itself"),
        "hidden-replaced": hidden_with(bands=(0, 0.9)),
        "always-hidden": hidden_with(bands=(1, 1)),
        "never-another": hidden_with(order="mask keep keep"),
        "never-kept": hidden_with(order="mask other other"),
        "kept-before-another": hidden_with(order="mask keep other"),
        "small-draws-kept": hidden_with(bands=(0.1, 0.2), order="keep other mask"),
        "small-draws-another": hidden_with(bands=(0.1, 0.2), order="other keep mask"),
        "one-action-for-a-row": only_if(
            lambda i: i["ids"].shape[1] > 1, hidden_with(action=lambda action: action[:, :1])
        ),
        "one-action-for-all": only_if(
            lambda i: i["ids"].size > 1, hidden_with(action=lambda action: action[:1, :1])
        ),
        "all-words-touched": hidden_with(touched=lambda chosen, free: free),
        "the-rest-chosen": hidden_with(chosen=lambda choose, rate, free: (choose >= rate) & free),
        "chosen-by-rank": hidden_with(chosen=_by_rank),
        "at-least-one": hidden_with(chosen=_at_least_one),
        "rate-ignored": only_if(lambda i: i["rate"] != 0.15, lambda i: hidden(i | {"rate": 0.15})),
        "swapped": lambda i: hidden(i)[::-1],
    },
    labels=("masked ids", "labels"),
    dtype=None,
    tolerance=0,
)

BANDS = {"hide": (0, 0.8), "another": (0.8, 0.9), "keep": (0.9, 1)}


def rows(count, length, *actions, rate=0.15, special=True, padding=(), more=0):
    """Rows of ids with three draws for each place; about half of the places are to be chosen.

    Args:
        count, length: of the rows.
        actions: names of BANDS; the chosen ones share them evenly.
        special: whether special tokens stand in the rows, at places whose draw would choose them.
        padding: how many places at the end of each row are padding.
        more: how many ids the vocabulary has beside some twenty.
    """

    def inputs(rng):
        vocab_size = int(rng.integers(23, 30)) + more
        # Specials are scattered, so that "ids above" is no way to tell them.
        special_ids = [0, *np.sort(rng.choice(np.arange(2, vocab_size - 2), 4, False)).tolist()]
        ordinary = np.setdiff1d(np.arange(1, vocab_size), special_ids)
        ids = rng.choice(ordinary, (count, length))
        choose = numbers(count, length, rng=rng)
        low = rng.random((count, length)) < 0.5
        low[:, 1] = True
        choose = np.where(low, numbers(count, length, rng=rng) * rate, choose)
        choose[2:3] = rate + (1 - rate) * choose[2:3]  # a row may have no chosen token
        kinds = np.resize(rng.permutation(actions), (count, length))
        edges = np.array([BANDS[kind] for kind in kinds.ravel()]).reshape(count, length, 2)
        action = edges[..., 0] + numbers(count, length, rng=rng) * (edges[..., 1] - edges[..., 0])
        if special:
            for row in range(count):
                at = [0, length // 2, length // 2 - 2]
                first = 1 + row % 2  # mask_id, the third, stands in each row
                ids[row, at], choose[row, at] = special_ids[first : first + 3], rate * 0.4
        for row, number in enumerate(padding):
            ids[row, length - number :] = 0
            choose[row, length - 1] = rate * 0.3
        other = numbers(count, length, rng=rng)
        replaced = (choose < rate) & (kinds == "another") & ~np.isin(ids, special_ids)
        for at in np.argwhere(replaced)[1:2]:  # the other token may be the same one again
            at = tuple(at)
            other[at] = (np.searchsorted(ordinary, ids[at]) + 0.37) / len(ordinary)
        return {
            "ids": ids.astype("int32"),
            "draws": np.stack([choose, action, other]),
            "special_ids": special_ids,
            "mask_id": special_ids[3],
            "vocab_size": vocab_size,
            "rate": rate,
        }

    return inputs


def call_mask(i):
    more = {"rate": i["rate"]} if i["rate"] != 0.15 else {}
    parts = (i["ids"], i["draws"], i["special_ids"], i["mask_id"], i["vocab_size"])
    return call(*parts, **more) | {"keras": False}


def mask_probe(title, points, inputs):
    return Probe(title, points, inputs, call_mask, judge_hidden)


MASK = exercise(
    "pretraining.mask",
    defines="mask_tokens",
    may_not_call=MAY_NOT_CALL,
    probes=(
        mask_probe("chosen tokens behind [MASK]", 1, rows(1, 9, "hide", special=False)),
        mask_probe("special tokens and padding", 1, rows(2, 9, "hide", padding=(0, 3))),
        mask_probe("another token in the place", 0.5, rows(1, 30, "another", special=False)),
        mask_probe("a token that stays has its label", 0.5, rows(1, 9, "keep", special=False)),
        mask_probe("all three, several rows", 1, rows(4, 16, *BANDS, padding=(0, 2, 7, 1))),
        mask_probe("another rate", 0.5, rows(2, 16, *BANDS, rate=0.4, more=300)),
        mask_probe("a row of one token", 0.5, lambda rng: _one_token(rng)),
    ),
)


def _one_token(rng):
    drawn = rows(1, 2, "another", special=False)(rng)
    return drawn | {"ids": drawn["ids"][:, 1:], "draws": drawn["draws"][:, :, 1:]}


# 2. Two texts in one row


def cut(first, second, room, how="longer"):
    """Both texts, cut to `room` ids together, with a knob for each slip."""
    first, second = list(first), list(second)
    if how == "second":
        return first, second[: max(room - len(first), 0)]
    if how == "first":
        return first[: max(room - len(second), 0)], second
    if how == "halves":
        if len(first) + len(second) <= room:
            return first, second
        return first[: room - room // 2], second[: room // 2]
    if how == "half at most":
        return first[: room - room // 2], second[: room // 2]
    if how == "longer at first" and len(first) + len(second) > room:
        if len(first) > len(second):
            return first[: room - len(second)], second
        return first, second[: room - len(first)]
    if how == "halves alike" and len(first) + len(second) > room:
        return first[: room // 2], second[: room // 2]
    turn = 0
    while len(first) + len(second) > room and (how != "once" or turn == 0):
        longer = first if len(first) > len(second) else second
        if how == "tie on first":
            longer = first if len(first) >= len(second) else second
        if how == "shorter":
            longer = first if len(first) < len(second) else second
        if how == "in turn":
            longer = second if turn % 2 == 0 else first
        if how == "in turn to one":
            longer = first if (turn % 2 and len(first) > 1) or len(second) == 1 else second
        if how == "second, then first":
            longer = second or first
        if how == "tie on both" and len(first) == len(second):
            first.pop()
        if how == "equal texts" and first == second:
            longer = first
        if how == "by value":
            longer.remove(longer[-1])
        else:
            (longer or first or second).pop(0 if how == "front" else -1)
        turn += 1
    return first, second


def packed(
    i,
    how="longer",
    *,
    room=3,
    texts=lambda a, b: (a, b),
    parts=lambda a, b, s, e: [([s, *a, e], 0), ([*b, e], 1)],
    segments=lambda found, real: found,
    padding=0,
    front=False,
    pads=True,
):
    """Ids and segment ids, with a knob for each slip."""
    first, second = cut(*texts(i["first"], i["second"]), i["max_length"] - room, how)
    ids, found = [], []
    for tokens, segment in parts(first, second, i["start_id"], i["end_id"]):
        ids += tokens
        found += [segment] * len(tokens)
    missing = (i["max_length"] - len(ids)) * pads
    found = list(segments(np.array(found), len(first) + 2))
    blank, none = [i["pad_id"]] * missing, [padding] * missing
    ids, found = (blank + ids, none + found) if front else (ids + blank, found + none)
    return np.array(ids), np.array(found)


def packed_with(how="longer", **knobs):
    return lambda i: packed(i, how, **knobs)


def _cut_at_the_end(i, last=None):
    """Everything in a row, then cut: the second text may be gone, and the last `[SEP]`."""
    ids, found = packed(i | {"max_length": 10**3}, pads=False)
    if len(ids) <= i["max_length"]:
        return packed(i)
    ids, found = ids[: i["max_length"]], found[: i["max_length"]]
    return ids if last is None else [*ids[:-1], last], found


def _moved(at):
    """Segments whose border lies elsewhere."""

    def segments(found, border):
        return (np.arange(len(found)) >= border + at).astype(int)

    return segments


def _before_the_cut(i):
    """Segments counted from the texts as they were."""
    ids, found = packed(i)
    counted = np.repeat([0, 1, 0], [len(i["first"]) + 2, len(i["second"]) + 1, i["max_length"]])
    return ids, counted[: len(found)]


def _segments_by_value(i, border):
    """Segments told by ids: those of the second text, or what comes behind its first one."""
    ids, found = packed(i)
    second = cut(i["first"], i["second"], i["max_length"] - 3)[1]
    last = np.flatnonzero(found)[-1]  # the last end symbol
    told = np.isin(ids, second)
    if border:
        told = np.arange(len(ids)) >= (list(ids).index(second[0]) if second else last)
    return ids, np.where(np.arange(len(ids)) < last, told, found).astype(int)


def _last_end_in_first(found, border):
    return [*found[:-1], 0]


judge_packed = MatchRows(
    packed,
    {
        "segments-swapped": packed_with(segments=lambda found, border: 1 - found),
        "all-swapped": packed_with(segments=lambda found, border: 1 - found, padding=1),
        "segments-from-one": packed_with(segments=lambda found, border: found + 1),
        "padding-in-second": packed_with(padding=1),
        "padding-a-third": packed_with(padding=2),
        "middle-end-in-second": packed_with(segments=_moved(-1)),
        "one-too-many-in-first": packed_with(segments=_moved(1)),
        "last-end-in-first": packed_with(segments=_last_end_in_first),
        "no-segments": packed_with(segments=lambda found, border: 0 * found),
        "start-missing": packed_with(parts=lambda a, b, s, e: [([*a, e], 0), ([*b, e], 1)]),
        "no-middle-end": packed_with(parts=lambda a, b, s, e: [([s, *a], 0), ([*b, e], 1)]),
        "no-last-end": packed_with(parts=lambda a, b, s, e: [([s, *a, e], 0), (b, 1)]),
        "start-between": packed_with(parts=lambda a, b, s, e: [([s, *a, s], 0), ([*b, e], 1)]),
        "two-starts": packed_with(
            room=4, parts=lambda a, b, s, e: [([s, *a, e], 0), ([s, *b, e], 1)]
        ),
        "exchanged": packed_with(texts=lambda a, b: (b, a)),
        "second-cut": packed_with("second"),
        "first-cut": packed_with("first"),
        "cut-at-the-end": _cut_at_the_end,
        "cut-under-the-end": lambda i: _cut_at_the_end(i, i["end_id"]),
        "cut-in-halves": packed_with("halves"),
        "half-at-most": packed_with("half at most"),
        "halves-alike": packed_with("halves alike"),
        "longer-at-first": packed_with("longer at first"),
        "second-emptied": packed_with("second, then first"),
        "one-id-cut": packed_with("once"),
        "removed-by-value": packed_with("by value"),
        "texts-compared": packed_with("equal texts"),
        "segments-before-cut": _before_the_cut,
        "segments-by-value": lambda i: _segments_by_value(i, False),
        "border-searched": lambda i: _segments_by_value(i, True),
        "front-dropped": packed_with("front"),
        "shorter-cut": packed_with("shorter"),
        "cut-in-turn": packed_with("in turn"),
        "in-turn-to-one": packed_with("in turn to one"),
        "tie-on-first": packed_with("tie on first"),
        "tie-on-both": packed_with("tie on both"),
        "specials-forgotten": packed_with(room=0),
        "one-special-forgotten": packed_with(room=2),
        "too-much-room": packed_with(room=4),
        "not-padded": packed_with(pads=False),
        "padded-in-front": packed_with(front=True),
        "pad-id-ignored": only_if(lambda i: i["pad_id"], lambda i: packed(i | {"pad_id": 0})),
        "padding-has-pad-id": only_if(
            lambda i: i["pad_id"], lambda i: packed(i, padding=i["pad_id"])
        ),
    },
    labels=("ids", "segment ids"),
    dtype=None,
    tolerance=0,
    first_tells=True,
)


def texts(first, second, max_length, pad_id=0, shared=False):
    """Two texts of these lengths; `shared`: both are one id, others, and that id again."""

    def inputs(rng):
        special = rng.choice(np.arange(1, 9), 2, replace=False).tolist()
        ids = rng.choice(np.arange(10, 999), first + second, replace=False).tolist()
        if shared:
            ids = 2 * [*ids[: first - 1], ids[0]]
        return {
            "first": ids[:first],
            "second": ids[first:],
            "max_length": max_length,
            "start_id": special[0],
            "end_id": special[1],
            "pad_id": pad_id,
        }

    return inputs


def call_pack(i):
    more = {"pad_id": i["pad_id"]} if i["pad_id"] else {}
    parts = (i[name] for name in ("first", "second", "max_length", "start_id", "end_id"))
    return call(*parts, **more) | {"keras": False}


def pack_probe(title, points, *lengths, **more):
    return Probe(title, points, texts(*lengths, **more), call_pack, judge_packed)


PACK = exercise(
    "pretraining.pack",
    defines="pack_pair",
    may_not_call=MAY_NOT_CALL,
    probes=(
        pack_probe("two texts that fill the row", 1, 3, 2, 8),
        pack_probe("padding", 0.5, 1, 6, 12),
        pack_probe("a first text that is too long", 0.5, 9, 2, 9),
        pack_probe("a second text that is too long", 0.5, 2, 9, 10),
        pack_probe("two texts that are too long", 1, 7, 10, 12),
        pack_probe("two texts with the same ids", 0.5, 4, 4, 10, shared=True),
        pack_probe("one id of each is left", 0.5, 4, 5, 5),
        pack_probe("another pad_id", 0.5, 1, 2, 9, pad_id=9),
    ),
)


# 3. The loss at the chosen places


def gathered(i, how="each row"):
    """The vectors at the positions, `(batch, places, d_model)`."""
    sequence, positions = i["sequence"].astype("float64"), i["positions"]
    if how == "first row":
        return sequence[0][positions]
    if how == "in order":
        return sequence[:, : positions.shape[1]]
    if how == "first position":
        return np.take_along_axis(sequence, positions[:, :1, None], 1).repeat(positions.shape[1], 1)
    return np.take_along_axis(sequence, positions[..., None], 1)


def head_losses(i, *, how="each row", bias=1.0, of=None, transposed=True):
    """The cross-entropy at each place."""
    table = i["table"].astype("float64")
    logits = gathered(i, how) @ (table.T if transposed else table) + bias * i["bias"]
    values = -log_softmax(logits) if of is None else of(logits)
    return of_labels(values, i["labels"])


def masked_loss(i, average="tokens", *, real=None, **knobs):
    real = i["labels"] != i["pad_id"] if real is None else real(i)
    return mean(head_losses(i, **knobs), real, average)


def loss_of(average="tokens", **knobs):
    return lambda i: masked_loss(i, average, **knobs)


def _before_a_gap(i):
    return np.cumprod(i["labels"] != i["pad_id"], axis=1) > 0


def _cut_to_the_most(i):
    real = i["labels"] != i["pad_id"]
    return real & (np.arange(real.shape[1]) < real.sum(1).max())


def _only_losses_above_0(i):
    losses = head_losses(i).astype("float32") * (i["labels"] != i["pad_id"])
    return losses.sum() / max((losses > 0).sum(), 1)


def _clipped(values):
    return np.clip(values, 1e-7, 1 - 1e-7)


def _taken_for_shares(logits):
    """-log of what Keras makes of logits that it takes for probabilities, on TensorFlow."""
    shares = _clipped(logits)
    return -np.log(shares / shares.sum(-1, keepdims=True))


def _gaps(i):
    return (i["labels"] == i["pad_id"]).any()


def _several(i):
    return len(i["labels"]) > 1


def _not_finite(i, got):
    wide = np.abs(i["sequence"]).max() > 50
    return masked_loss(i) if wide and not np.isfinite(np.float64(got)) else None


judge_loss = Match(
    masked_loss,
    {
        "empty-places-counted": only_if(_gaps, loss_of("all places")),
        "one-too-many-labels": lambda i: (
            masked_loss(i, "sum") / ((i["labels"] != i["pad_id"]).sum() + 1)
        ),
        "divided-by-all": only_if(_gaps, loss_of("divided by all")),
        "sum-over-empty": only_if(_gaps, loss_of("not masked")),
        "mean-of-rows": only_if(lambda i: _gaps(i) and _several(i), loss_of("sentences")),
        "per-row": only_if(lambda i: i["labels"].size > 1, loss_of("per sentence")),
        "summed": only_if(lambda i: i["labels"].size > 1, loss_of("sum")),
        "nothing-chosen": only_if(
            lambda i: (i["labels"] == i["pad_id"]).all(), loss_of("nothing real")
        ),
        "pad-id-ignored": only_if(lambda i: i["pad_id"], loss_of(real=lambda i: i["labels"] != 0)),
        "labels-above-pad-id": only_if(
            lambda i: i["pad_id"], loss_of(real=lambda i: i["labels"] > i["pad_id"])
        ),
        "stops-at-a-gap": loss_of(real=_before_a_gap),
        "cut-to-the-most": loss_of(real=_cut_to_the_most),
        "zero-losses-left-out": _only_losses_above_0,
        "zero-by-the-first-row": lambda i: masked_loss(i) * (i["labels"][0] != i["pad_id"]).any(),
        "zero-by-the-sum": lambda i: masked_loss(i) * (i["labels"].sum() != 0),
        "positions-decide": loss_of(real=lambda i: i["positions"] != 0),
        "first-row-for-all": only_if(_several, loss_of(how="first row")),
        "places-in-order": loss_of(how="in order"),
        "first-position-only": only_if(
            lambda i: i["labels"].shape[1] > 1, loss_of(how="first position")
        ),
        "no-bias": loss_of(bias=0),
        "bias-subtracted": loss_of(bias=-1),
        "not-transposed": only_if(
            lambda i: i["table"].shape[0] == i["table"].shape[1], loss_of(transposed=False)
        ),
        "no-softmax": loss_of(of=lambda logits: -logits),
        "logits-for-shares": loss_of(of=_taken_for_shares),
        "logits-for-shares-divided": loss_of(  # the other backends divide first
            of=lambda logits: -np.log(_clipped(logits / logits.sum(-1, keepdims=True)))
        ),
        "no-logarithm": loss_of(of=lambda logits: -np.exp(log_softmax(logits))),
        "no-minus": loss_of(of=log_softmax),
        "cut-off": only_if(
            lambda i: np.abs(i["sequence"]).max() > 50,
            loss_of(
                of=lambda logits: -np.log(np.clip(np.exp(log_softmax(logits)), 1e-7, 1 - 1e-7))
            ),
        ),
    },
    dtype=None,
    mends={"not-finite": _not_finite},
)


def places(
    counts,
    length=6,
    vocab_size=7,
    d_model=4,
    most=None,
    pad_id=0,
    scale=1.0,
    given=None,
    scattered=False,
    sure=False,
):
    """Vectors of rows, and so many chosen places in each; rows with fewer are filled up.

    Args:
        given: the labels of each row, where they are not drawn.
        scattered: whether empty places stand between the others.
        sure: whether the first place is as good as certain, its loss 0 in float32.
    """

    def inputs(rng):
        batch, most_ = len(counts), most or max(*counts, 1)
        positions, labels = np.zeros((batch, most_), int), np.full((batch, most_), pad_id)
        ordinary = np.array([n for n in range(vocab_size) if n != pad_id])
        for row, count in enumerate(counts):
            # Not the first places, and in no order: a row that is read in order is another one.
            positions[row, :count] = rng.permutation(np.arange(length))[:count]
            if count == 1 and positions[row, 0] < most_:
                positions[row, 0] = length - 1
            labels[row, :count] = given[row] if given else rng.choice(ordinary, count)
        if counts[0] > 1:
            positions[0, :2] = length - 1, 0  # a chosen place may be 0: labels say what counts
        sequence = scale * rng.normal(size=(batch, length, d_model))
        table = rng.normal(size=(vocab_size, d_model))
        if sure:
            table[labels[0, 0]] = 3 * np.sign(table[labels[0, 0]])
            sequence[0, positions[0, 0]] = scale * table[labels[0, 0]]
        if scattered:
            for row in range(batch):
                for array in (positions, labels):
                    array[row] = np.roll(array[row], 1 + row % 2)
        return {
            "sequence": sequence.astype("float32"),
            "positions": positions.astype("int32"),
            "labels": labels.astype("int32"),
            "table": table.astype("float32"),
            "bias": rng.normal(size=vocab_size).astype("float32"),
            "pad_id": pad_id,
        }

    return inputs


def call_loss(i):
    more = {"pad_id": i["pad_id"]} if i["pad_id"] else {}
    names = ("sequence", "positions", "labels", "table", "bias")
    return call(*(tensor(i[name]) for name in names), **more)


def loss_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, call_loss, judge_loss, **more)


LOSS = exercise(
    "pretraining.loss",
    defines="masked_lm_loss",
    may_not_call=MAY_NOT_CALL,
    probes=(
        loss_probe("one place", 1, places([1])),
        loss_probe("two places of one row", 0.5, places([2])),
        loss_probe("rows, each with its own places", 1, places([2, 2, 2])),
        loss_probe("rows with fewer places", 1, places([3, 1, 2], most=4, scattered=True)),
        loss_probe("as many ids as dimensions", 0.5, places([2, 1], vocab_size=5, d_model=5)),
        loss_probe("another pad_id", 0.5, places([0, 2, 1], pad_id=6, given=[[], [1, 5], [0]])),
        loss_probe("labels that are 0", 0.5, places([2], pad_id=3, given=[[0, 0]])),
        loss_probe("no place at all: 0", 0.5, places([0, 0])),
        loss_probe("logits in the hundreds", 0.5, places([2, 1], scale=150.0, sure=True)),
    ),
)


# 4. Repair the two ends of BERT

HANDED_OUT = ("embeddings-not-normalized", "no-tanh", "gelu-approximated")
NORMS = ("attention_norm", "feed_forward_norm")


def approximated(x):
    return x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2


def normal(i, name, x):
    gain, bias = (i["weights"][f"{name}.{n}"].astype("float64") for n in ("gamma", "beta"))
    return layer_norm(x, gain, bias, 1e-12)


def block(i, x, mask):
    """The encoder block between the two ends: lesson 04's, post-norm, with GELU."""
    inside = {k.removeprefix("block."): v for k, v in i["weights"].items() if k[:6] == "block."}
    inside = {k.replace("feed_forward.", ""): v for k, v in inside.items()}
    j = {"weights": inside, "num_heads": i["num_heads"]}
    x = normal(j, NORMS[0], x + attention(j, "self_attention", mask)(x))
    return normal(j, NORMS[1], x + dense(j, "outer", gelu(dense(j, "inner", x))))


def small_bert(
    i,
    *,
    normalized="the sum",
    tanh=np.tanh,
    activation=gelu,
    mask=lambda real: real[:, None, :],
    pooled=lambda x, real: x[:, 0],
    positions=1,
    segments=lambda ids: ids,
    transform_norm=True,
    norm_first=False,
    transform=True,
    bias=1,
    pooled_from="the block",
    tanh_first=False,
):
    """Logits and the pooled vector in float64, with a knob for each slip."""
    table, place, text = (
        i["weights"][f"{name}_embedding.embeddings"].astype("float64")
        for name in ("token", "position", "segment")
    )
    ids, real = i["ids"], i["ids"] != 0
    words, rest = table[ids], positions * place[: ids.shape[1]]
    rest = rest + (text[segments(i["segments"])] if segments else 0)
    if normalized == "the sum":
        x = normal(i, "embedding_norm", words + rest)
    elif normalized == "the words":
        x = normal(i, "embedding_norm", words) + rest
    elif normalized == "without positions":
        place = positions * place[: ids.shape[1]]
        x = normal(i, "embedding_norm", words + rest - place) + place
    else:
        x = words + rest
    embedded = x
    shape = (len(ids), ids.shape[1], ids.shape[1])
    x = block(i, x, None if mask is None else np.broadcast_to(mask(real), shape))
    vectors = dense(i, "transform", x) if transform else x
    vectors = normal(i, "transform_norm", vectors) if norm_first else vectors
    vectors = activation(vectors) if transform else vectors
    vectors = normal(i, "transform_norm", vectors) if transform_norm else vectors
    sources = {"the block": x, "the embeddings": embedded, "the transform": vectors}
    first = pooled(sources[pooled_from], real)
    head = dense(i, "pooler", tanh(first)) if tanh_first else tanh(dense(i, "pooler", first))
    return vectors @ table.T + bias * i["weights"]["bias"], head


def bert_of(**knobs):
    return lambda i: small_bert(i, **knobs)


SLIPS = {
    "embeddings-not-normalized": {"normalized": "nothing"},
    "no-tanh": {"tanh": lambda x: x},
    "gelu-approximated": {"activation": approximated},
}


def with_slips(i, slips):
    """The model with any of the slips that it is handed out with."""
    return small_bert(i, **{knob: value for name in slips for knob, value in SLIPS[name].items()})


def _padded(i):
    return (i["ids"] == 0).any()


def _long(i):
    return i["ids"].shape[1] > 1


def _mean_of_real(x, real):
    return (x * real[..., None]).sum(1) / real.sum(1, keepdims=True)


judge_bert = Match(
    small_bert,
    {
        "words-normalized-alone": bert_of(normalized="the words"),
        "positions-after-norm": bert_of(normalized="without positions"),
        "positions-missing": bert_of(positions=0),
        "positions-twice": bert_of(positions=2),
        "segments-missing": bert_of(segments=None),
        "segments-exchanged": bert_of(segments=lambda ids: 1 - ids),
        "mask-missing": only_if(_padded, bert_of(mask=None)),
        "mask-inverted": only_if(_padded, bert_of(mask=lambda real: ~real[:, None, :])),
        "pooled-mean": only_if(_long, bert_of(pooled=lambda x, real: x.mean(1))),
        "pooled-mean-of-real": only_if(_padded, bert_of(pooled=_mean_of_real)),
        "pooled-last": only_if(_long, bert_of(pooled=lambda x, real: x[:, -1])),
        "pooled-largest": only_if(_long, bert_of(pooled=lambda x, real: x.max(1))),
        "pooled-embedding": bert_of(pooled_from="the embeddings"),
        "pooled-after-transform": bert_of(pooled_from="the transform"),
        "sigmoid": bert_of(tanh=lambda x: 1 / (1 + np.exp(-x))),
        "pooler-gelu": bert_of(tanh=gelu),
        "tanh-before-pooler": bert_of(tanh_first=True),
        "relu": bert_of(activation=lambda x: np.maximum(x, 0)),
        "no-activation": bert_of(activation=lambda x: x),
        "transform-tanh": bert_of(activation=np.tanh),
        "transform-not-normalized": bert_of(transform_norm=False),
        "norm-before-gelu": bert_of(norm_first=True, transform_norm=False),
        "no-transform": bert_of(transform=False),
        "head-left-out": bert_of(transform=False, transform_norm=False),
        "no-bias": bert_of(bias=0),
        "swapped": lambda i: small_bert(i)[::-1],
    },
    labels=("logits", "pooled"),
    mends=mends_among(small_bert, with_slips, HANDED_OUT),
)


def bert_inputs(lengths, *, vocab_size=9, max_length=7, d_model=4, heads=2, d_ff=6):
    """Rows of two texts, padded to the longest, and every weight of a small BERT."""

    def inputs(rng):
        width = max(lengths)
        place, length = np.arange(width), np.array(lengths)[:, None]
        ids = np.where(place < length, rng.integers(1, vocab_size, (len(lengths), width)), 0)
        segments = (place >= (length + 1) // 2) & (place < length)
        made = weights_of(rng, d_model, d_ff, ["self_attention"], NORMS)
        inner = ("inner", "outer")
        weights = {
            f"block.{'feed_forward.' * (k.split('.')[0] in inner)}{k}": v for k, v in made.items()
        }
        for name, size in (("token", vocab_size), ("position", max_length), ("segment", 2)):
            weights[f"{name}_embedding.embeddings"] = rng.normal(size=(size, d_model))
        for name in ("pooler", "transform"):
            weights[f"{name}.kernel"] = 1.5 * rng.normal(size=(d_model, d_model))
            weights[f"{name}.bias"] = rng.normal(size=d_model)
        for name in ("embedding_norm", "transform_norm"):
            weights[f"{name}.gamma"] = rng.uniform(0.5, 2, d_model)
            weights[f"{name}.beta"] = rng.normal(size=d_model)
        weights["bias"] = rng.normal(size=vocab_size)
        return {
            "ids": ids.astype("int32"),
            "segments": segments.astype("int32"),
            "num_heads": heads,
            "sizes": [vocab_size, max_length, d_model, heads, d_ff],
            "weights": {name: value.astype("float32") for name, value in weights.items()},
        }

    return inputs


def plan_bert(i):
    """Makes the layer, which has its weights then, sets them and calls it."""
    args = [tensor(i["ids"]), tensor(i["segments"])]
    return {
        "steps": [
            step("call", args=i["sizes"], save="layer"),
            step("weights", on="layer", values=i["weights"], save="set"),
            step("call", on="layer", args=args, save="result"),
        ],
        "return": ["result"],
    }


def bert_probe(title, points, lengths, **more):
    return Probe(title, points, bert_inputs(lengths, **more), plan_bert, judge_bert)


REPAIR = exercise(
    "pretraining.repair",
    defines="SmallBert",
    may_not_call=MAY_NOT_CALL,
    probes=(
        bert_probe("one token", 1.5, [1]),
        bert_probe("two texts in a row", 1.5, [5]),
        bert_probe("rows with padding", 1.5, [6, 3], vocab_size=11, d_model=8, heads=4, d_ff=10),
    ),
)


# 5. Count


def counted(
    i,
    *,
    positions=1,
    segments=2,
    embedding_norms=1,
    pooler=1,
    biases=1,
    norms=2,
    layers=None,
    projections=4,
    tied=1,
    transform=1,
    transform_norm=1,
    output_bias=1,
    following=2,
    norm_parts=2,
    network=2,
    network_biases=None,
):
    """Parameters of the encoder and of the heads, with a knob for each slip."""
    vocab_size, d, d_ff = i["vocab_size"], i["d_model"], i["d_ff"]
    layers = i["num_layers"] if layers is None else layers
    norm, square = norm_parts * d, d * d + biases * d
    inside = network * d * d_ff + (biases * (d_ff + d) if network == 2 else biases * d_ff)
    if network_biases is not None:
        inside = 2 * d * d_ff + network_biases(d, d_ff)
    one = projections * square + inside + norms * norm
    encoder = (vocab_size + positions * i["max_length"] + segments) * d + embedding_norms * norm
    encoder += layers * one + pooler * square
    heads = transform * square + transform_norm * norm + output_bias * vocab_size
    heads += following * d + biases * following + (1 - tied) * vocab_size * d
    return encoder, heads


def counted_with(**knobs):
    return lambda i: counted(i, **knobs)


judge_count = MatchRows(
    counted,
    {
        "no-positions": counted_with(positions=0),
        "no-segments": counted_with(segments=0),
        "one-segment": counted_with(segments=1),
        "no-embedding-norm": counted_with(embedding_norms=0),
        "a-norm-for-each-embedding": counted_with(embedding_norms=3),
        "no-pooler": counted_with(pooler=0),
        "no-biases": counted_with(biases=0),
        "no-block-norms": counted_with(norms=0),
        "one-block-norm": counted_with(norms=1),
        "one-number-a-norm": counted_with(norm_parts=1),
        "three-projections": counted_with(projections=3),
        "one-block": only_if(lambda i: i["num_layers"] > 1, counted_with(layers=1)),
        "half-the-network": counted_with(network=1),
        "network-without-biases": counted_with(network_biases=lambda d, d_ff: 0),
        "network-biases-of-d-model": counted_with(network_biases=lambda d, d_ff: 2 * d),
        "network-biases-of-d-ff": counted_with(network_biases=lambda d, d_ff: 2 * d_ff),
        "table-again": counted_with(tied=0),
        "no-transform": counted_with(transform=0),
        "no-transform-norm": counted_with(transform_norm=0),
        "no-output-bias": counted_with(output_bias=0),
        "no-next-sentence": counted_with(following=0),
        "one-logit": counted_with(following=1),
        "pooler-in-the-heads": lambda i: (
            counted(i, pooler=0)[0],
            counted(i)[1] + i["d_model"] ** 2 + i["d_model"],
        ),
        "together": lambda i: (sum(counted(i)), counted(i)[1]),
        "swapped": lambda i: counted(i)[::-1],
        "in-millions": lambda i: tuple(n / 1e6 for n in counted(i)),
    },
    labels=("encoder", "heads"),
    dtype=None,
    tolerance=1e-9,
)

SIZES = ("vocab_size", "num_layers", "d_model", "d_ff", "max_length")


def sizes(vocab_size, num_layers, d_model, d_ff, max_length):
    """Sizes drawn around these."""
    return lambda rng: {
        "vocab_size": vocab_size + int(rng.integers(0, 50)),
        "num_layers": num_layers,
        "d_model": d_model * int(rng.integers(1, 4)),
        "d_ff": d_ff + int(rng.integers(0, 8)),
        "max_length": max_length + int(rng.integers(0, 9)),
    }


def count_probe(title, points, inputs):
    plan = lambda i: call(*(i[name] for name in SIZES)) | {"keras": False}  # noqa: E731
    return Probe(title, points, inputs, plan, judge_count)


COUNT = exercise(
    "pretraining.count",
    defines="count_bert",
    may_not_call=(*MAY_NOT_CALL, "course.pretraining.BertForPretraining"),
    probes=(
        count_probe("one block", 1.5, sizes(10, 1, 4, 20, 6)),
        count_probe("three blocks", 1, sizes(90, 3, 8, 50, 40)),
        count_probe("the size of base", 0.5, sizes(30_000, 12, 768, 3000, 500)),
    ),
)


# 6. Does it read?


def verdict(
    i,
    *,
    seen=None,
    add=1,
    total_grows=None,
    weights=None,
    log=np.log,
    average="places",
    better=np.less,
):
    """The figures of a run beside those of the frequencies, with a knob for each slip."""
    seen = np.asarray(i["train_counts"] if seen is None else seen(i), "float64")
    labels = np.asarray(i["label_counts"] if weights is None else weights(i), "float64")
    total = seen.sum() + (add * len(seen) if total_grows is None else total_grows)
    baseline = -(labels * np.where(labels > 0, log((seen + add) / total), 0)).sum() / labels.sum()
    losses, counts = (np.asarray(i[n], "float64") for n in ("batch_losses", "batch_places"))
    model = {
        "places": (losses * counts).sum() / counts.sum(),
        "batches": losses.mean(),
        "sum": (losses * counts).sum(),
        "divided by batches": (losses * counts).sum() / len(counts),
        "last": losses[-1],
        "best": losses.min(),
    }[average]
    found = {"baseline": baseline, "model": model}
    return found | {"better": np.array(better(model, baseline))}


def verdict_with(**knobs):
    return lambda i: verdict(i, **knobs)


def _best_guess(i):
    """The share of labels that the commonest token gets wrong, in place of a cross-entropy."""
    labels = np.asarray(i["label_counts"], "float64")
    wrong = 1 - labels[np.argmax(i["train_counts"])] / labels.sum()
    model = verdict(i)["model"]
    return {"baseline": wrong, "model": model, "better": np.array(model < wrong)}


def _perplexities(i):
    found = verdict(i)
    return found | {name: np.exp(found[name]) for name in ("baseline", "model")}


def _better_if_rounded(model, baseline):
    return round(model, 2) < round(baseline, 2)


def _by_batches(i):
    return np.array(np.mean(i["batch_losses"]) < verdict(i)["baseline"])


def _not_rounded(i, got):
    """The answer, if this is it with its numbers rounded to two, three or four places."""
    right = verdict(i)
    for digits in (2, 3, 4):
        said = {name: np.round(right[name], digits) for name in ("baseline", "model")}
        if all(abs(got[name] - said[name]) < 1e-6 for name in said):
            return right
    return None


judge_verdict = Match(
    verdict,
    {
        "mean-of-batches": verdict_with(average="batches"),
        "model-summed": verdict_with(average="sum"),
        "divided-by-batches": verdict_with(average="divided by batches"),
        "last-batch": verdict_with(average="last"),
        "best-batch": verdict_with(average="best"),
        "validation-frequencies": verdict_with(seen=lambda i: i["label_counts"]),
        "training-weights": verdict_with(weights=lambda i: i["train_counts"]),
        "weights-not-used": verdict_with(weights=lambda i: np.ones(len(i["train_counts"]))),
        "nothing-added": verdict_with(add=0),
        "added-above-only": verdict_with(total_grows=0),
        "one-in-the-sum": verdict_with(total_grows=1),
        "added-to-zeros": verdict_with(seen=lambda i: np.maximum(i["train_counts"], 1), add=0),
        "uniform": verdict_with(seen=lambda i: np.ones(len(i["train_counts"])), add=0),
        "in-bits": verdict_with(log=np.log2),
        "no-minus": lambda i: (
            (found := verdict(i)) | {"baseline": -found["baseline"], "better": np.array(False)}
        ),
        "best-guess": _best_guess,
        "perplexities": _perplexities,
        "compared-by-batches": lambda i: verdict(i) | {"better": _by_batches(i)},
        "compared-rounded": verdict_with(better=_better_if_rounded),
        "wants-a-margin": verdict_with(better=lambda m, b: m < 0.99 * b),
        "inverted": verdict_with(better=np.greater),
        "always-better": verdict_with(better=lambda model, baseline: True),
        "never-better": verdict_with(better=lambda model, baseline: False),
    },
    dtype=None,
    tolerance=1e-6,
    mends={"rounded": _not_rounded},
)


def run(sizes, offsets, unseen=0, noise=0.01):
    """A validation: batches of these sizes, whose losses lie so far from the baseline."""

    def inputs(rng):
        vocab_size = 12
        train = rng.permutation(np.sort(rng.integers(2, 60, vocab_size)) ** 2)
        # One of the ids is no label, the others share the predicted tokens.
        drawn = rng.integers(0, vocab_size - 1, sum(sizes) - (vocab_size - 1))
        labels = np.bincount(drawn, minlength=vocab_size)
        labels[:-1] += 1
        train[:unseen] = 0
        drawn = {"train_counts": train, "label_counts": labels}
        drawn |= {"batch_losses": np.zeros(2), "batch_places": np.ones(2)}
        level = verdict(drawn)["baseline"]
        return drawn | {
            "batch_losses": level + np.array(offsets) + rng.uniform(-noise, noise, len(sizes)),
            "batch_places": np.array(sizes),
        }

    return inputs


def _not_by_rounding(i):
    return not _better_if_rounded(*(verdict(i)[name] for name in ("model", "baseline")))


def verdict_probe(title, points, *args, parts=lambda i: True, **more):
    names = ("train_counts", "label_counts", "batch_losses", "batch_places")
    plan = lambda i: call(*(i[name] for name in names)) | {"keras": False}  # noqa: E731
    return Probe(title, points, draw_until(run(*args, **more), parts), plan, judge_verdict)


DECIDE = exercise(
    "pretraining.decide",
    defines="judge_run",
    probes=(
        verdict_probe(
            "batches of equal size, a model that reads", 1, [8] * 4, [-0.5, -0.9, -0.55, -0.8]
        ),
        verdict_probe(
            "batches of unequal size: their mean would say yes",
            1,
            [90, 5, 5, 5],
            [0.3, -0.9, -0.7, -0.8],
        ),
        verdict_probe(
            "tokens that training never had", 0.5, [7, 30, 3], [0.4, -0.6, 0.1], unseen=3
        ),
        verdict_probe("a model that is worse", 0.5, [20, 10, 6], [0.2, 0.6, 0.3]),
        verdict_probe(
            "a model that is hardly better",
            0.5,
            [20, 10],
            [-5e-4, -4e-4],
            noise=1e-5,
            parts=_not_by_rounding,
        ),
    ),
)

EXERCISES = (MASK, PACK, LOSS, REPAIR, COUNT, DECIDE)

QUESTIONS = questions("pretraining")
