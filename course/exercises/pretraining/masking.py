"""What pretraining reads: probes of two exercises of lesson 07, hidden tokens and packed pairs.

A part of `pretraining.py`, which would be longer than a sitting with it. Draws are handed to the
student as numbers, so that what is random elsewhere can be compared here.
"""

import numpy as np

from course.checks.declaration import Probe, call
from course.checks.judges import MatchRows, only_if
from course.checks.references import of_inputs, turned, turning
from course.checks.texts import exercise

MAY_NOT_CALL = tuple(
    f"course.pretraining.{name}"
    for name in ("Masking", "PretrainingBatches", "BertEncoder", "MaskedLanguageModel")
)


def numbers(*shape, rng):
    """Draws from [0, 1) that lie on no boundary of a share or of a list of ids."""
    return (rng.integers(0, 1000, shape) + 0.37) / 1000


# Hide tokens


def from_list(ids, share):
    """The entries of a list at so large a share of its length, from 0 to below 1."""
    return ids[(share * len(ids)).astype(int)]


def _place_rounded(ordinary, share):
    return ordinary[np.minimum(np.rint(share * len(ordinary)), len(ordinary) - 1).astype(int)]


# Which token stands in the place of another: `(every id, the ordinary ones, share, ids, inputs)`.
DRAWN = {
    "ordinary": lambda every, ordinary, share, ids, i: from_list(ordinary, share),
    "any id": lambda every, ordinary, share, ids, i: from_list(every, share),
    "all but two": lambda every, ordinary, share, ids, i: from_list(
        np.setdiff1d(every, [0, i["mask_id"]]), share
    ),
    "all but the last": lambda every, ordinary, share, ids, i: from_list(ordinary[:-1], share),
    "a place": lambda every, ordinary, share, ids, i: from_list(every[: len(ordinary)], share),
    "above": lambda every, ordinary, share, ids, i: from_list(
        every[len(i["special_ids"]) :], share
    ),
    "rounded": lambda every, ordinary, share, ids, i: _place_rounded(ordinary, share),
    "not itself": lambda every, ordinary, share, ids, i: _not_itself(ids, ordinary, share),
}


def shown(ids, action, share, i, *, bands=(0.8, 0.9), order="mask other keep", drawn="ordinary"):
    """What stands in the place of a chosen token: `[MASK]`, another one, or itself."""
    every = np.arange(i["vocab_size"])
    ordinary = every[~np.isin(every, i["special_ids"])]
    other = DRAWN[drawn](every, ordinary, share, ids, i)
    parts = {"mask": np.full_like(ids, i["mask_id"]), "other": other, "keep": ids}
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


hidden_with = turning(hidden)


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
        "some-specials-drawn": hidden_with(drawn="all but two"),
        "last-not-drawn": hidden_with(drawn="all but the last"),
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
        "rate-ignored": only_if(
            lambda i: i["rate"] != 0.15, turned(hidden, given=lambda i: {"rate": 0.15})
        ),
        "swapped": turned(hidden, then=lambda r, i: r[::-1]),
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


# Two texts in one row


# Slips that cut both texts at once: `(first, second, room)`, where they are too long together.
CUT_AT_ONCE = {
    "second": lambda a, b, room: (a, b[: max(room - len(a), 0)]),
    "first": lambda a, b, room: (a[: max(room - len(b), 0)], b),
    "halves": lambda a, b, room: (a[: room - room // 2], b[: room // 2]),
    "halves alike": lambda a, b, room: (a[: room // 2], b[: room // 2]),
    "longer at first": lambda a, b, room: (
        (a[: room - len(b)], b) if len(a) > len(b) else (a, b[: room - len(a)])
    ),
}

# Which text loses the next id: `(first, second, turn)`.
LOSES = {
    "longer": lambda a, b, turn: a if len(a) > len(b) else b,
    "tie on first": lambda a, b, turn: a if len(a) >= len(b) else b,
    "equal texts": lambda a, b, turn: a if len(a) > len(b) or a == b else b,
    "shorter": lambda a, b, turn: a if len(a) < len(b) else b,
    "in turn": lambda a, b, turn: a if turn % 2 else b,
    "in turn to one": lambda a, b, turn: a if (turn % 2 and len(a) > 1) or len(b) == 1 else b,
    "second, then first": lambda a, b, turn: b or a,
}


def cut(first, second, room, how="longer"):
    """Both texts, cut to `room` ids together, with a knob for each slip."""
    first, second, turn = list(first), list(second), 0
    if how == "half at most":
        return CUT_AT_ONCE["halves"](first, second, room)
    if how in CUT_AT_ONCE and len(first) + len(second) > room:
        return CUT_AT_ONCE[how](first, second, room)
    while len(first) + len(second) > room and (how != "once" or turn == 0):
        loses = LOSES.get(how, LOSES["longer"])(first, second, turn)
        if how == "tie on both" and len(first) == len(second):
            first.pop()
        if how == "by value":
            loses.remove(loses[-1])
        else:
            (loses or first or second).pop(0 if how == "front" else -1)
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


packed_with = turning(packed)


def _cut_at_the_end(i, last=None):
    """Everything in a row, then cut: the second text may be gone, and the last `[SEP]`."""
    ids, found = packed(i | {"max_length": 10**3}, pads=False)
    if len(ids) <= i["max_length"]:
        return packed(i)
    ids, found = ids[: i["max_length"]], found[: i["max_length"]]
    return (ids if last is None else np.array([*ids[:-1], last])), found


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
        "pad-id-ignored": only_if(
            lambda i: i["pad_id"], turned(packed, given=lambda i: {"pad_id": 0})
        ),
        "padding-has-pad-id": only_if(
            lambda i: i["pad_id"], turned(packed, padding=of_inputs(lambda i: i["pad_id"]))
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
