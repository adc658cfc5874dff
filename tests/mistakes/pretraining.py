"""Answers to the exercises of lesson 07, pretraining, and what each must be told.

Many are as one finds them: labels of −100, a replacement drawn from the whole vocabulary, the GELU
of `keras.ops` that approximates unless told otherwise, a mean over batches of unequal size.
"""

import math
from functools import partial

import keras
import numpy as np
from keras import ops

from course import pretraining as ready_made
from course.transformer import EncoderBlock

from . import Catalogue

CATALOGUE = Catalogue()


# 1. Hide tokens

right = partial(CATALOGUE.right, "pretraining.mask")
wrong = partial(CATALOGUE.wrong, "pretraining.mask")


def ordinary_ids(special_ids, vocab_size):
    return np.array([n for n in range(vocab_size) if n not in special_ids])


def put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, labels=None, **more):
    """As it should be, for answers that slip elsewhere."""
    names = ordinary_ids(special_ids, vocab_size)
    another = more.get("another", names[(draws[2] * len(names)).astype(int)])
    action = more.get("action", draws[1])
    shown = np.where(action < 0.8, mask_id, np.where(action < 0.9, another, ids))
    masked = np.where(chosen, shown, ids)
    return masked, np.where(chosen, ids, 0) if labels is None else labels


def free_and_low(ids, draws, special_ids, rate=0.15):
    return (draws[0] < rate) & ~np.isin(ids, special_ids)


@right()
def with_where(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = (draws[0] < rate) & ~np.isin(ids, special_ids)
    names = np.setdiff1d(np.arange(vocab_size), special_ids)
    another = names[(draws[2] * len(names)).astype(int)]
    shown = np.where(draws[1] < 0.8, mask_id, np.where(draws[1] < 0.9, another, ids))
    return np.where(chosen, shown, ids), np.where(chosen, ids, 0)


@right()
def with_loops_and_lists(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    names = [n for n in range(vocab_size) if n not in special_ids]
    masked, labels = ids.tolist(), [[0] * ids.shape[1] for _ in ids]
    for r, row in enumerate(ids):
        for c, token in enumerate(row):
            if token in special_ids or draws[0, r, c] >= rate:
                continue
            labels[r][c] = int(token)
            if draws[1, r, c] < 0.8:
                masked[r][c] = mask_id
            elif draws[1, r, c] < 0.9:
                masked[r][c] = names[math.floor(draws[2, r, c] * len(names))]
    return masked, labels


@right()
def with_boolean_indexing(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    choose, action, other = draws
    names = np.delete(np.arange(vocab_size), special_ids)
    labels = np.zeros_like(ids)
    chosen = np.logical_and(choose < rate, np.isin(ids, special_ids, invert=True))
    labels[chosen] = ids[chosen]
    masked = ids.copy()
    masked[chosen & (action < 0.8)] = mask_id
    swap = chosen & (action >= 0.8) & (action < 0.9)
    masked[swap] = names[np.floor(other[swap] * len(names)).astype(int)]
    return [masked, labels]


@right()
def with_keras_ops(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    is_special = np.zeros(vocab_size, bool)
    is_special[special_ids] = True
    draws = ops.convert_to_tensor(draws)
    ids = ops.cast(ids, "int32")
    chosen = ops.logical_and(draws[0] < rate, ops.logical_not(ops.take(is_special, ids)))
    names = ops.convert_to_tensor(np.flatnonzero(~is_special).astype("int32"))
    place = ops.cast(ops.floor(draws[2] * int(np.sum(~is_special))), "int32")
    shown = ops.where(draws[1] < 0.9, ops.take(names, place), ids)
    shown = ops.where(draws[1] < 0.8, mask_id, shown)
    return ops.where(chosen, shown, ids), ops.where(chosen, ids, 0)


@wrong("specials-chosen")
def everything_may_be_hidden(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    return put_together(ids, draws, special_ids, mask_id, vocab_size, draws[0] < rate)


@wrong("only-padding-spared")
def padding_is_all_that_is_special(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = (draws[0] < rate) & (ids != 0)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen)


@wrong("padding-chosen")
def padding_forgotten(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = (draws[0] < rate) & ~np.isin(ids, special_ids[1:])
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen)


@wrong("only-mask-spared")
def mask_is_all_that_is_special(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = (draws[0] < rate) & (ids != mask_id)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen)


@wrong("labels-everywhere")
def labels_are_the_ids(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, ids.copy())


@wrong("labels-on-all-words")
def labels_for_all_words(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    labels = np.where(np.isin(ids, special_ids), 0, ids)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, labels)


@wrong("labels-where-not-chosen")
def labels_the_other_way(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    return put_together(
        ids, draws, special_ids, mask_id, vocab_size, chosen, np.where(chosen, 0, ids)
    )


@wrong("labels-of-what-is-shown")
def labels_read_too_late(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    masked, _ = put_together(ids, draws, special_ids, mask_id, vocab_size, chosen)
    return masked, np.where(chosen, masked, 0)


@wrong("labels-where-changed")
def labels_by_comparison(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    masked, _ = put_together(ids, draws, special_ids, mask_id, vocab_size, chosen)
    return masked, np.where(masked != ids, ids, 0)


@wrong("labels-where-hidden")
def labels_behind_mask_alone(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    labels = np.where(chosen & (draws[1] < 0.8), ids, 0)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, labels)


@wrong("minus-one-hundred")
def as_other_libraries_say_it(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    labels = np.where(chosen, ids, -100)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, labels)


@wrong("specials-drawn")
def another_of_all_ids(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    another = (draws[2] * vocab_size).astype(int)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, another=another)


@wrong("place-not-looked-up")
def another_without_the_list(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    another = (draws[2] * (vocab_size - len(special_ids))).astype(int)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, another=another)


@wrong("always-hidden")
def only_mask(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    return np.where(chosen, mask_id, ids), np.where(chosen, ids, 0)


@wrong("always-hidden")
def one_draw_for_both(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, action=draws[0])


@wrong("never-another")
def a_share_that_is_never_reached(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    names = ordinary_ids(special_ids, vocab_size)
    another = names[(draws[2] * len(names)).astype(int)]
    shown = np.where(draws[1] < 0.8, mask_id, np.where(draws[1] < 0.1, another, ids))
    return np.where(chosen, shown, ids), np.where(chosen, ids, 0)


@wrong("never-kept")
def replaced_above_eighty(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    names = ordinary_ids(special_ids, vocab_size)
    another = names[(draws[2] * len(names)).astype(int)]
    return np.where(chosen, np.where(draws[1] < 0.8, mask_id, another), ids), np.where(
        chosen, ids, 0
    )


@wrong("kept-before-another")
def the_last_two_exchanged(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    names = ordinary_ids(special_ids, vocab_size)
    another = names[(draws[2] * len(names)).astype(int)]
    shown = np.where(draws[1] < 0.8, mask_id, np.where(draws[1] < 0.9, ids, another))
    return np.where(chosen, shown, ids), np.where(chosen, ids, 0)


@wrong("small-draws-kept")
def the_first_tenth_stays(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    names = ordinary_ids(special_ids, vocab_size)
    another = names[(draws[2] * len(names)).astype(int)]
    shown = np.where(draws[1] < 0.1, ids, np.where(draws[1] < 0.2, another, mask_id))
    return np.where(chosen, shown, ids), np.where(chosen, ids, 0)


@wrong("one-action-for-a-row")
def decided_for_a_sentence(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    action = np.repeat(draws[1][:, :1], ids.shape[1], axis=1)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, action=action)


@wrong("one-action-for-all")
def decided_for_the_batch(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    action = np.full(ids.shape, draws[1, 0, 0])
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, action=action)


@wrong("all-words-touched")
def changed_everywhere(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    free = ~np.isin(ids, special_ids)
    labels = np.where(free & (draws[0] < rate), ids, 0)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, free, labels)


@wrong("the-rest-chosen")
def above_the_rate(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = (draws[0] > rate) & ~np.isin(ids, special_ids)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen)


@wrong("chosen-by-rank")
def as_many_of_each_row(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = np.zeros(ids.shape, bool)
    for row, free in enumerate(~np.isin(ids, special_ids)):
        count = max(1, round(rate * free.sum()))
        order = np.argsort(np.where(free, draws[0, row], 2))
        chosen[row, order[:count]] = True
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen)


@wrong("rate-ignored")
def always_fifteen(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen)


@wrong("swapped")
def labels_first(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    return with_where(ids, draws, special_ids, mask_id, vocab_size, rate)[::-1]


@wrong("input-changed")
def hidden_in_place(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    masked, labels = with_where(ids, draws, special_ids, mask_id, vocab_size, rate)
    ids[:] = masked
    return ids, labels


@wrong("wrong-type")
def labels_forgotten(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    return with_where(ids, draws, special_ids, mask_id, vocab_size, rate)[0]


@wrong("wrong-shape")
def only_the_chosen_labels(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    masked, labels = with_where(ids, draws, special_ids, mask_id, vocab_size, rate)
    return masked, labels[labels > 0]


@wrong("at-least-one")
def one_in_every_row(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    free = ~np.isin(ids, special_ids)
    chosen = (draws[0] < rate) & free
    for row in np.flatnonzero(~chosen.any(axis=1) & free.any(axis=1)):
        chosen[row, np.argmin(np.where(free[row], draws[0, row], 2))] = True
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen)


@wrong("unrecognised")
def last_special_id_forgotten(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids[:-1], rate)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen)


@wrong("hidden-replaced")
def replaced_after_hidden(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen = free_and_low(ids, draws, special_ids, rate)
    names, shown = ordinary_ids(special_ids, vocab_size), ids.copy()
    another = names[(draws[2] * len(names)).astype(int)]
    shown[chosen & (draws[1] < 0.8)] = mask_id
    shown = np.where(chosen & (draws[1] < 0.9), another, shown)
    return shown, np.where(chosen, ids, 0)


@wrong("itself-not-drawn")
def really_another(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    chosen, another = free_and_low(ids, draws, special_ids, rate), ids.copy()
    for at in np.ndindex(ids.shape):
        names = [n for n in ordinary_ids(special_ids, vocab_size) if n != ids[at]]
        another[at] = names[int(draws[2][at] * len(names))]
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, another=another)


@wrong("specials-taken-for-first")
def ordinary_from_the_fifth_on(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    names = np.arange(len(special_ids), vocab_size)
    another = names[(draws[2] * len(names)).astype(int)]
    chosen = free_and_low(ids, draws, special_ids, rate)
    return put_together(ids, draws, special_ids, mask_id, vocab_size, chosen, another=another)


# 2. Two texts in one row

right = partial(CATALOGUE.right, "pretraining.pack")
wrong = partial(CATALOGUE.wrong, "pretraining.pack")


def shortened(first, second, room):
    first, second = list(first), list(second)
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
    return first, second


def filled(ids, segments, max_length, pad_id=0, segment=0):
    more = max_length - len(ids)
    return ids + [pad_id] * more, segments + [segment] * more


@right()
def with_lists(first, second, max_length, start_id, end_id, pad_id=0):
    first, second = list(first), list(second)
    while len(first) + len(second) > max_length - 3:
        if len(first) > len(second):
            first = first[:-1]
        else:
            second = second[:-1]
    ids = [start_id, *first, end_id, *second, end_id]
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    rest = max_length - len(ids)
    return ids + [pad_id] * rest, segments + [0] * rest


@wrong("input-changed")
def shortens_the_callers_lists(first, second, max_length, start_id, end_id, pad_id=0):
    while len(first) + len(second) > max_length - 3:
        (first if len(first) > len(second) else second).pop()
    return with_lists(first, second, max_length, start_id, end_id, pad_id)


@right()
def with_arrays(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length - 3)
    ids = np.full(max_length, pad_id)
    segments = np.zeros(max_length, int)
    end = len(a) + len(b) + 3
    ids[:end] = np.concatenate([[start_id], a, [end_id], b, [end_id]])
    segments[len(a) + 2 : end] = 1
    return ids, segments


@right()
def lengths_by_arithmetic(first, second, max_length, start_id, end_id, pad_id=0):
    room, m, n = max_length - 3, len(first), len(second)
    if m + n > room:
        half = room // 2
        if m <= half:
            n = room - m
        elif n <= room - half - 1:
            m = room - n
        else:
            m, n = room - half, half
    ids = [start_id, *first[:m], end_id, *second[:n], end_id]
    segments = np.repeat([0, 1, 0], [m + 2, n + 1, max_length - m - n - 3])
    return np.pad(ids, (0, max_length - len(ids)), constant_values=pad_id), segments


@right()
def with_recursion(first, second, max_length, start_id, end_id, pad_id=0):
    if len(first) + len(second) + 3 > max_length:
        if len(first) > len(second):
            return with_recursion(first[:-1], second, max_length, start_id, end_id, pad_id)
        return with_recursion(first, second[:-1], max_length, start_id, end_id, pad_id)
    ids, segments = [start_id], [0]
    for segment, text in enumerate((first, second)):
        for token in [*text, end_id]:
            ids.append(token)
            segments.append(segment)
    while len(ids) < max_length:
        ids.append(pad_id)
        segments.append(0)
    return [ids, segments]


@right()
def one_array_of_two_rows(first, second, max_length, start_id, end_id, pad_id=0):
    return np.array(with_lists(first, second, max_length, start_id, end_id, pad_id))


@right()
def with_tensors(first, second, max_length, start_id, end_id, pad_id=0):
    ids, segments = with_lists(first, second, max_length, start_id, end_id, pad_id)
    return ops.convert_to_tensor(ids, "int32"), ops.convert_to_tensor(segments, "int32")


@wrong("segments-swapped")
def ones_first(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length - 3)
    segments = [1] * (len(a) + 2) + [0] * (len(b) + 1)
    return filled([start_id, *a, end_id, *b, end_id], segments, max_length, pad_id)


@wrong("segments-from-one")
def counted_from_one(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length - 3)
    segments = [1] * (len(a) + 2) + [2] * (len(b) + 1)
    return filled([start_id, *a, end_id, *b, end_id], segments, max_length, pad_id)


@wrong("padding-in-second")
def ones_to_the_end(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length - 3)
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    return filled([start_id, *a, end_id, *b, end_id], segments, max_length, pad_id, 1)


@wrong("middle-end-in-second")
def border_before_the_end_symbol(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length - 3)
    segments = [0] * (len(a) + 1) + [1] * (len(b) + 2)
    return filled([start_id, *a, end_id, *b, end_id], segments, max_length, pad_id)


@wrong("last-end-in-first")
def last_end_is_zero(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length - 3)
    segments = [0] * (len(a) + 2) + [1] * len(b) + [0]
    return filled([start_id, *a, end_id, *b, end_id], segments, max_length, pad_id)


@wrong("no-segments")
def all_zeros(first, second, max_length, start_id, end_id, pad_id=0):
    ids, _ = with_lists(first, second, max_length, start_id, end_id, pad_id)
    return ids, [0] * max_length


@wrong("no-middle-end")
def texts_run_together(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length - 3)
    segments = [0] * (len(a) + 1) + [1] * (len(b) + 1)
    return filled([start_id, *a, *b, end_id], segments, max_length, pad_id)


@wrong("no-last-end")
def no_end(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length - 3)
    segments = [0] * (len(a) + 2) + [1] * len(b)
    return filled([start_id, *a, end_id, *b], segments, max_length, pad_id)


@wrong("start-missing")
def no_start(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length - 3)
    segments = [0] * (len(a) + 1) + [1] * (len(b) + 1)
    return filled([*a, end_id, *b, end_id], segments, max_length, pad_id)


@wrong("two-starts")
def a_start_for_each(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length - 4)
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 2)
    ids = [start_id, *a, end_id, start_id, *b, end_id]
    return filled(ids, segments, max_length, pad_id)


@wrong("cut-at-the-end")
def cut_when_finished(first, second, max_length, start_id, end_id, pad_id=0):
    ids = [start_id, *first, end_id, *second, end_id][:max_length]
    segments = ([0] * (len(first) + 2) + [1] * (len(second) + 1))[:max_length]
    return filled(ids, segments, max_length, pad_id)


@wrong("second-cut")
def only_the_second_text(first, second, max_length, start_id, end_id, pad_id=0):
    second = second[: max(0, max_length - 3 - len(first))]
    ids = [start_id, *first, end_id, *second, end_id]
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return filled(ids, segments, max_length, pad_id)


@wrong("first-cut")
def only_the_first_text(first, second, max_length, start_id, end_id, pad_id=0):
    first = first[: max(0, max_length - 3 - len(second))]
    ids = [start_id, *first, end_id, *second, end_id]
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return filled(ids, segments, max_length, pad_id)


@wrong("cut-in-halves")
def half_for_each(first, second, max_length, start_id, end_id, pad_id=0):
    room = max_length - 3
    if len(first) + len(second) > room:
        first, second = first[: room - room // 2], second[: room // 2]
    return with_lists(first, second, max_length, start_id, end_id, pad_id)


@wrong("half-at-most")
def always_half(first, second, max_length, start_id, end_id, pad_id=0):
    room = max_length - 3
    first, second = first[: room - room // 2], second[: room // 2]
    return with_lists(first, second, max_length, start_id, end_id, pad_id)


@wrong("front-dropped")
def from_the_front(first, second, max_length, start_id, end_id, pad_id=0):
    first, second = list(first), list(second)
    while len(first) + len(second) > max_length - 3:
        (first if len(first) > len(second) else second).pop(0)
    return with_lists(first, second, max_length, start_id, end_id, pad_id)


@wrong("tie-on-first")
def first_gives_way(first, second, max_length, start_id, end_id, pad_id=0):
    first, second = list(first), list(second)
    while len(first) + len(second) > max_length - 3:
        (first if len(first) >= len(second) else second).pop()
    return with_lists(first, second, max_length, start_id, end_id, pad_id)


@wrong("specials-forgotten")
def three_too_long(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length)
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    return filled([start_id, *a, end_id, *b, end_id], segments, max_length, pad_id)


@wrong("not-padded")
def as_long_as_it_is(first, second, max_length, start_id, end_id, pad_id=0):
    a, b = shortened(first, second, max_length - 3)
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    return [start_id, *a, end_id, *b, end_id], segments


@wrong("pad-id-ignored")
def padded_with_zeros(first, second, max_length, start_id, end_id, pad_id=0):
    return with_lists(first, second, max_length, start_id, end_id)


@wrong("exchanged")
def second_first(first, second, max_length, start_id, end_id, pad_id=0):
    return with_lists(second, first, max_length, start_id, end_id, pad_id)


@wrong("too-slow", seconds=1)
def never_short_enough(first, second, max_length, start_id, end_id, pad_id=0):
    while len(first) + len(second) >= max_length - 3:
        first.copy().pop()
    return first, second


@wrong("wrong-type")
def ids_alone(first, second, max_length, start_id, end_id, pad_id=0):
    return with_lists(first, second, max_length, start_id, end_id, pad_id)[0]


@wrong("removed-by-value")
def removed_the_first_that_is_equal(first, second, max_length, start_id, end_id, pad_id=0):
    first, second = list(first), list(second)
    while len(first) + len(second) > max_length - 3:
        longer = first if len(first) > len(second) else second
        longer.remove(longer[-1])
    return with_lists(first, second, max_length, start_id, end_id, pad_id)


@wrong("texts-compared")
def equal_is_not_the_same(first, second, max_length, start_id, end_id, pad_id=0):
    first, second = list(first), list(second)
    while len(first) + len(second) > max_length - 3:
        if max([second, first], key=len) == first:
            first = first[:-1]
        else:
            second = second[:-1]
    return with_lists(first, second, max_length, start_id, end_id, pad_id)


@wrong("segments-by-value")
def asked_which_text_has_it(first, second, max_length, start_id, end_id, pad_id=0):
    ids, segments = with_lists(first, second, max_length, start_id, end_id, pad_id)
    second, last = shortened(first, second, max_length - 3)[1], max(np.flatnonzero(segments))
    return ids, [int(i == last or (i < last and t in second)) for i, t in enumerate(ids)]


@wrong("border-searched")
def where_the_second_begins(first, second, max_length, start_id, end_id, pad_id=0):
    ids, segments = with_lists(first, second, max_length, start_id, end_id, pad_id)
    begin, last = ids.index(second[0]), max(np.flatnonzero(segments))
    return ids, [int(begin <= i <= last) for i in range(max_length)]


@wrong("segments-before-cut")
def counted_too_early(first, second, max_length, start_id, end_id, pad_id=0):
    ids, _ = with_lists(first, second, max_length, start_id, end_id, pad_id)
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1) + [0] * max_length
    return ids, segments[:max_length]


@wrong("one-id-cut")
def if_for_while(first, second, max_length, start_id, end_id, pad_id=0):
    first, second = list(first), list(second)
    if len(first) + len(second) > max_length - 3:
        (first if len(first) > len(second) else second).pop()
    ids = [start_id, *first, end_id, *second, end_id]
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return filled(ids, segments, max_length, pad_id)


@wrong("longer-at-first")
def asked_once_which_is_longer(first, second, max_length, start_id, end_id, pad_id=0):
    room = max_length - 3
    if len(first) + len(second) > room:
        if len(first) > len(second):
            first = first[: room - len(second)]
        else:
            second = second[: room - len(first)]
    ids = [start_id, *first, end_id, *second, end_id]
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return filled(ids, segments, max_length, pad_id)


@wrong("tie-on-both")
def both_give_way(first, second, max_length, start_id, end_id, pad_id=0):
    first, second = list(first), list(second)
    while len(first) + len(second) > max_length - 3:
        n = len(first), len(second)
        if n[0] >= n[1]:
            first.pop()
        if n[1] >= n[0]:
            second.pop()
    return with_lists(first, second, max_length, start_id, end_id, pad_id)


@wrong("padding-has-pad-id")
def padded_alike(first, second, max_length, start_id, end_id, pad_id=0):
    first, second = shortened(first, second, max_length - 3)
    ids = [start_id, *first, end_id, *second, end_id]
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return filled(ids, segments, max_length, pad_id, segment=pad_id)


# 3. The loss at the chosen places

right = partial(CATALOGUE.right, "pretraining.loss")
wrong = partial(CATALOGUE.wrong, "pretraining.loss")


def at(sequence, positions):
    return ops.take_along_axis(sequence, positions[..., None], axis=1)


def logits_of(vectors, table, bias):
    return ops.matmul(vectors, ops.transpose(table)) + bias


def averaged(losses, labels, pad_id):
    real = ops.cast(ops.not_equal(labels, pad_id), "float32")
    return ops.sum(losses * real) / ops.maximum(ops.sum(real), 1.0)


def cross_entropy(labels, logits):
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


@wrong("cut-off")
def probabilities_cut_off(sequence, positions, labels, table, bias, pad_id=0):
    logits = logits_of(at(sequence, positions), table, bias)
    shares = ops.maximum(ops.softmax(logits), 1e-7)
    own = ops.take_along_axis(shares, labels[..., None], axis=-1)[..., 0]
    return averaged(-ops.log(own), labels, pad_id)


@right()
def with_take_along_axis(sequence, positions, labels, table, bias, pad_id=0):
    vectors = ops.take_along_axis(sequence, positions[..., None], axis=1)
    logits = ops.matmul(vectors, ops.transpose(table)) + bias
    losses = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    real = ops.cast(ops.not_equal(labels, pad_id), "float32")
    return ops.sum(losses * real) / ops.maximum(ops.sum(real), 1.0)


@right()
def with_one_hot_and_einsum(sequence, positions, labels, table, bias, pad_id=0):
    which = ops.one_hot(positions, sequence.shape[1])  # (batch, places, length)
    logits = ops.einsum("bpl,bld,vd->bpv", which, sequence, table) + bias
    log_p = ops.log_softmax(logits, axis=-1)
    losses = -ops.sum(ops.one_hot(labels, table.shape[0]) * log_p, axis=-1)
    return averaged(losses, labels, pad_id)


@right()
def with_a_flat_table(sequence, positions, labels, table, bias, pad_id=0):
    batch, length, d_model = sequence.shape
    rows = positions + ops.cast(ops.arange(batch)[:, None] * length, positions.dtype)
    vectors = ops.take(ops.reshape(sequence, (-1, d_model)), rows, axis=0)
    return averaged(cross_entropy(labels, logits_of(vectors, table, bias)), labels, pad_id)


@right()
def logits_of_all_and_then_chosen(sequence, positions, labels, table, bias, pad_id=0):
    logits = logits_of(sequence, table, bias)  # (batch, length, V)
    chosen = ops.take_along_axis(logits, positions[..., None], axis=1)
    return averaged(cross_entropy(labels, chosen), labels, pad_id)


@right()
def place_by_place_in_numpy(sequence, positions, labels, table, bias, pad_id=0):
    arrays = (ops.convert_to_numpy(x) for x in (sequence, positions, labels, table, bias))
    sequence, positions, labels, table, bias = arrays
    total, count = 0.0, 0
    for row in range(len(labels)):
        for place, label in zip(positions[row], labels[row], strict=True):
            if label != pad_id:
                z = table.astype("float64") @ sequence[row, place] + bias
                total += z.max() + np.log(np.exp(z - z.max()).sum()) - z[label]
                count += 1
    return total / count if count else 0.0


@wrong("empty-places-counted")
def plain_mean(sequence, positions, labels, table, bias, pad_id=0):
    return ops.mean(cross_entropy(labels, logits_of(at(sequence, positions), table, bias)))


@wrong("divided-by-all")
def masked_and_then_the_mean(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    return ops.mean(losses * ops.cast(labels != pad_id, "float32"))


@wrong("sum-over-empty")
def divided_by_the_labels(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    count = ops.sum(ops.cast(labels != pad_id, "float32"))
    return ops.sum(losses) / ops.maximum(count, 1.0)


@wrong("mean-of-rows")
def a_mean_for_each_row(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    real = ops.cast(labels != pad_id, "float32")
    return ops.mean(ops.sum(losses * real, 1) / ops.maximum(ops.sum(real, 1), 1.0))


@wrong("per-row")
def divided_by_the_batch(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    return ops.sum(losses * ops.cast(labels != pad_id, "float32")) / labels.shape[0]


@wrong("summed")
def a_sum(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    return ops.sum(losses * ops.cast(labels != pad_id, "float32"))


@wrong("nothing-chosen")
def divided_by_nothing(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    real = ops.cast(labels != pad_id, "float32")
    return ops.sum(losses * real) / ops.sum(real)


@wrong("pad-id-ignored")
def empty_is_zero(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    return averaged(losses, labels, 0)


@wrong("positions-decide")
def empty_by_position(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    return averaged(losses, positions, 0)


@wrong("first-row-for-all")
def taken_without_the_row(sequence, positions, labels, table, bias, pad_id=0):
    flat = ops.reshape(sequence, (-1, sequence.shape[-1]))
    vectors = ops.take(flat, positions, axis=0)
    return averaged(cross_entropy(labels, logits_of(vectors, table, bias)), labels, pad_id)


@wrong("places-in-order")
def positions_not_read(sequence, positions, labels, table, bias, pad_id=0):
    vectors = sequence[:, : labels.shape[1]]
    return averaged(cross_entropy(labels, logits_of(vectors, table, bias)), labels, pad_id)


@wrong("first-position-only")
def one_vector_for_a_row(sequence, positions, labels, table, bias, pad_id=0):
    vectors = ops.repeat(at(sequence, positions[:, :1]), labels.shape[1], axis=1)
    return averaged(cross_entropy(labels, logits_of(vectors, table, bias)), labels, pad_id)


@wrong("no-bias")
def bias_forgotten(sequence, positions, labels, table, bias, pad_id=0):
    logits = ops.matmul(at(sequence, positions), ops.transpose(table))
    return averaged(cross_entropy(labels, logits), labels, pad_id)


@wrong("not-transposed", "exception")
def table_as_it_is(sequence, positions, labels, table, bias, pad_id=0):
    logits = ops.matmul(at(sequence, positions), table) + bias
    return averaged(cross_entropy(labels, logits), labels, pad_id)


@wrong("not-transposed")
def transposed_if_it_has_to_be(sequence, positions, labels, table, bias, pad_id=0):
    fits = table.shape[0] == sequence.shape[-1]
    logits = ops.matmul(at(sequence, positions), table if fits else ops.transpose(table)) + bias
    return averaged(cross_entropy(labels, logits), labels, pad_id)


@wrong("no-softmax")
def the_logit_itself(sequence, positions, labels, table, bias, pad_id=0):
    logits = logits_of(at(sequence, positions), table, bias)
    own = ops.squeeze(ops.take_along_axis(logits, labels[..., None], axis=-1), -1)
    return averaged(-own, labels, pad_id)


@wrong("not-finite")
def logarithm_of_a_softmax(sequence, positions, labels, table, bias, pad_id=0):
    logits = logits_of(at(sequence, positions), table, bias)
    p = ops.sum(ops.one_hot(labels, table.shape[0]) * ops.softmax(logits), -1)
    return averaged(-ops.log(p), labels, pad_id)


@wrong("no-minus")
def log_likelihood(sequence, positions, labels, table, bias, pad_id=0):
    return -with_take_along_axis(sequence, positions, labels, table, bias, pad_id)


@wrong("wrong-shape")
def a_loss_for_each_place(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    return losses * ops.cast(labels != pad_id, "float32")


@wrong("stops-at-a-gap")
def broken_off_at_padding(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    losses, total, count = np.array(losses), 0.0, 0
    for row, places in zip(losses, np.array(labels), strict=True):
        for loss, label in zip(row, places, strict=True):
            if label == pad_id:
                break
            total, count = total + loss, count + 1
    return total / max(count, 1)


@wrong("cut-to-the-most")
def cut_to_the_fullest_row(sequence, positions, labels, table, bias, pad_id=0):
    most = int(ops.max(ops.sum(ops.cast(labels != pad_id, "int32"), axis=1)))
    if most == 0:
        return 0.0
    labels = labels[:, :most]
    losses = cross_entropy(labels, logits_of(at(sequence, positions[:, :most]), table, bias))
    return averaged(losses, labels, pad_id)


@wrong("labels-above-pad-id")
def compared_by_size(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    real = ops.cast(labels > pad_id, "float32")
    return ops.sum(losses * real) / ops.maximum(ops.sum(real), 1.0)


@wrong("zero-losses-left-out")
def counted_by_their_losses(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    losses = losses * ops.cast(labels != pad_id, "float32")
    return ops.sum(losses) / ops.maximum(ops.sum(ops.cast(losses > 0, "float32")), 1.0)


@wrong("zero-by-the-first-row")
def zero_if_the_first_row_is_empty(sequence, positions, labels, table, bias, pad_id=0):
    if not bool(ops.any(labels[0] != pad_id)):
        return 0.0
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    return averaged(losses, labels, pad_id)


@wrong("zero-by-the-sum")
def zero_if_all_labels_are(sequence, positions, labels, table, bias, pad_id=0):
    if int(ops.sum(labels)) == 0:
        return 0.0
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    return averaged(losses, labels, pad_id)


@wrong("one-too-many-labels")
def one_more_for_safety(sequence, positions, labels, table, bias, pad_id=0):
    losses = cross_entropy(labels, logits_of(at(sequence, positions), table, bias))
    real = ops.cast(labels != pad_id, "float32")
    return ops.sum(losses * real) / (ops.sum(real) + 1)


@wrong("logits-for-shares", "logits-for-shares-divided")
def from_logits_forgotten(sequence, positions, labels, table, bias, pad_id=0):
    logits = logits_of(at(sequence, positions), table, bias)
    return averaged(ops.sparse_categorical_crossentropy(labels, logits), labels, pad_id)


# 4. Repair the two ends of BERT

right = partial(CATALOGUE.right, "pretraining.repair")
wrong = partial(CATALOGUE.wrong, "pretraining.repair")


class Ends(keras.layers.Layer):
    """The parts as they are handed out, and a `call` whose steps an answer can replace."""

    def __init__(self, vocab_size, max_length, d_model, num_heads, d_ff, **kwargs):
        super().__init__(**kwargs)
        self.token_embedding = keras.layers.Embedding(vocab_size, d_model)
        self.position_embedding = keras.layers.Embedding(max_length, d_model)
        self.segment_embedding = keras.layers.Embedding(2, d_model)
        self.embedding_norm = keras.layers.LayerNormalization(epsilon=1e-12)
        self.block = EncoderBlock(
            d_model, num_heads, d_ff, dropout=0.0, activation="gelu", epsilon=1e-12
        )
        self.pooler = keras.layers.Dense(d_model)
        self.transform = keras.layers.Dense(d_model)
        self.transform_norm = keras.layers.LayerNormalization(epsilon=1e-12)
        self.bias = self.add_weight(shape=(vocab_size,), initializer="zeros", name="bias")
        for table in (self.token_embedding, self.position_embedding, self.segment_embedding):
            table.build(None)
        norms = (self.embedding_norm, self.transform_norm)
        for part in (*norms, self.block, self.pooler, self.transform):
            part.build((None, None, d_model))

    def call(self, token_ids, segment_ids):
        x = self.block(self.embed(token_ids, segment_ids), attention_mask=self.mask(token_ids))
        return self.logits(self.vectors(x)), self.pool(x, token_ids)

    def embed(self, token_ids, segment_ids):
        x = self.token_embedding(token_ids) + self.segment_embedding(segment_ids)
        x = x + self.position_embedding(ops.arange(token_ids.shape[1]))
        return self.embedding_norm(x)

    def mask(self, token_ids):
        return ops.not_equal(token_ids, 0)[:, None, :]

    def vectors(self, x):
        return self.transform_norm(ops.gelu(self.transform(x), approximate=False))

    def logits(self, vectors):
        return ops.matmul(vectors, ops.transpose(self.token_embedding.embeddings)) + self.bias

    def pool(self, x, token_ids):
        return ops.tanh(self.pooler(x[:, 0]))


@right()
class AsInTheLesson(Ends):
    pass


@right()
class WithEinsumAndKeras(Ends):
    def vectors(self, x):
        return self.transform_norm(keras.activations.gelu(self.transform(x)))

    def logits(self, vectors):
        table = self.token_embedding.embeddings
        return ops.einsum("btd,vd->btv", vectors, table) + self.bias

    def pool(self, x, token_ids):
        return keras.activations.tanh(self.pooler(ops.take(x, 0, axis=1)))


@right()
class WithErfWrittenOut(Ends):
    def vectors(self, x):
        y = self.transform(x)
        return self.transform_norm(y * (1 + ops.erf(y / 2**0.5)) / 2)

    def mask(self, token_ids):
        real = ops.cast(token_ids, "bool")
        return ops.logical_and(real[:, None, :], ops.ones((1, token_ids.shape[1], 1), "bool"))


@right()
class WithTablesLookedUpByHand(Ends):
    def embed(self, token_ids, segment_ids):
        words = ops.take(self.token_embedding.embeddings, token_ids, axis=0)
        places = self.position_embedding.embeddings[: token_ids.shape[1]]
        texts = ops.take(self.segment_embedding.embeddings, segment_ids, axis=0)
        return self.embedding_norm(words + places[None] + texts)


@wrong("embeddings-not-normalized")
class AsHandedOut(Ends):
    def embed(self, token_ids, segment_ids):
        x = self.token_embedding(token_ids) + self.segment_embedding(segment_ids)
        return x + self.position_embedding(ops.arange(token_ids.shape[1]))

    def vectors(self, x):
        return self.transform_norm(ops.gelu(self.transform(x)))

    def pool(self, x, token_ids):
        return self.pooler(x[:, 0])


@wrong("embeddings-not-normalized")
class NormForgotten(AsHandedOut):
    vectors, pool = Ends.vectors, Ends.pool


@wrong("embeddings-not-normalized")
class NormAndTanhForgotten(AsHandedOut):
    vectors = Ends.vectors


@wrong("no-tanh")
class TanhForgotten(Ends):
    pool = AsHandedOut.pool


@wrong("gelu-approximated")
class KerasDefaultGelu(Ends):
    vectors = AsHandedOut.vectors


@wrong("no-tanh")
class TanhAndGelu(Ends):
    vectors, pool = AsHandedOut.vectors, AsHandedOut.pool


@wrong("words-normalized-alone")
class NormTooEarly(Ends):
    def embed(self, token_ids, segment_ids):
        x = self.embedding_norm(self.token_embedding(token_ids))
        x = x + self.segment_embedding(segment_ids)
        return x + self.position_embedding(ops.arange(token_ids.shape[1]))


@wrong("segments-missing")
class WithoutSegments(Ends):
    def embed(self, token_ids, segment_ids):
        x = self.token_embedding(token_ids)
        return self.embedding_norm(x + self.position_embedding(ops.arange(token_ids.shape[1])))


@wrong("segments-exchanged")
class OtherSegments(Ends):
    def embed(self, token_ids, segment_ids):
        return super().embed(token_ids, 1 - segment_ids)


@wrong("positions-missing")
class WithoutPositions(Ends):
    def embed(self, token_ids, segment_ids):
        x = self.token_embedding(token_ids) + self.segment_embedding(segment_ids)
        return self.embedding_norm(x)


@wrong("mask-missing")
class PaddingAttended(Ends):
    def mask(self, token_ids):
        return None


@wrong("mask-inverted")
class PaddingOnly(Ends):
    def mask(self, token_ids):
        return ops.equal(token_ids, 0)[:, None, :]


@wrong("pooled-mean")
class MeanPooled(Ends):
    def pool(self, x, token_ids):
        return ops.tanh(self.pooler(ops.mean(x, axis=1)))


@wrong("pooled-mean-of-real")
class MeanOfRealPooled(Ends):
    def pool(self, x, token_ids):
        real = ops.cast(token_ids != 0, "float32")[..., None]
        return ops.tanh(self.pooler(ops.sum(x * real, axis=1) / ops.sum(real, axis=1)))


@wrong("pooled-last")
class LastPooled(Ends):
    def pool(self, x, token_ids):
        return ops.tanh(self.pooler(x[:, -1]))


@wrong("sigmoid")
class SigmoidPooled(Ends):
    def pool(self, x, token_ids):
        return ops.sigmoid(self.pooler(x[:, 0]))


@wrong("relu")
class ReluTransform(Ends):
    def vectors(self, x):
        return self.transform_norm(ops.relu(self.transform(x)))


@wrong("transform-not-normalized")
class TransformNotNormalized(Ends):
    def vectors(self, x):
        return ops.gelu(self.transform(x), approximate=False)


@wrong("no-bias")
class BiasForgotten(Ends):
    def logits(self, vectors):
        return super().logits(vectors) - self.bias


@wrong("swapped")
class PooledFirst(Ends):
    def call(self, token_ids, segment_ids):
        return super().call(token_ids, segment_ids)[::-1]


@wrong("exception")
class NormNeverMade(Ends):
    def embed(self, token_ids, segment_ids):
        return self.norm_of_embeddings(super().embed(token_ids, segment_ids))


@wrong("forbidden-call")
class FromTheCourse(Ends):
    def call(self, token_ids, segment_ids):
        encoder = ready_made.BertEncoder(9, 1, 4, 2, 6)
        encoder((token_ids, segment_ids))
        return super().call(token_ids, segment_ids)


# 5. Count a BERT

right = partial(CATALOGUE.right, "pretraining.count")
wrong = partial(CATALOGUE.wrong, "pretraining.count")


def parts(vocab_size, num_layers, d_model, d_ff, max_length):
    """The pieces of both sums."""
    d = d_model
    return {
        "tables": (vocab_size + max_length + 2) * d,
        "norm": 2 * d,
        "square": d * d + d,
        "network": 2 * d * d_ff + d_ff + d,
        "layers": num_layers,
        "bias": vocab_size,
        "next": 2 * d + 2,
    }


def encoder_of(p, norms=2, squares=4, pooler=1, embedding_norm=1):
    block = squares * p["square"] + p["network"] + norms * p["norm"]
    return p["tables"] + embedding_norm * p["norm"] + p["layers"] * block + pooler * p["square"]


def heads_of(p):
    return p["square"] + p["norm"] + p["bias"] + p["next"]


@right()
def line_by_line(vocab_size, num_layers, d_model, d_ff, max_length):
    square = d_model * d_model + d_model
    norm = 2 * d_model
    network = d_model * d_ff + d_ff + d_ff * d_model + d_model
    embeddings = vocab_size * d_model + max_length * d_model + 2 * d_model + norm
    encoder = embeddings + num_layers * (4 * square + network + 2 * norm) + square
    return encoder, square + norm + vocab_size + 2 * d_model + 2


@right()
def multiplied_out(vocab_size, num_layers, d_model, d_ff, max_length):
    d = d_model
    encoder = d * (vocab_size + max_length + 4) + d * d + d
    encoder += num_layers * (4 * d * d + 9 * d + 2 * d * d_ff + d_ff)
    return [encoder, d * d + 5 * d + vocab_size + 2]


@right()
def from_shapes(vocab_size, num_layers, d_model, d_ff, max_length):
    d, f = d_model, d_ff
    dense = [(d, d), (d,)]
    block = dense * 4 + [(d, f), (f,), (f, d), (d,)] + [(d,)] * 4
    shapes = [(vocab_size, d), (max_length, d), (2, d), (d,), (d,), *block * num_layers, *dense]
    heads = [*dense, (d,), (d,), (vocab_size,), (d, 2), (2,)]
    return tuple(sum(math.prod(shape) for shape in each) for each in (shapes, heads))


@right()
def as_an_array(vocab_size, num_layers, d_model, d_ff, max_length):
    p = parts(vocab_size, num_layers, d_model, d_ff, max_length)
    return np.array([encoder_of(p), heads_of(p)])


@wrong("no-pooler")
def pooler_forgotten(*sizes):
    p = parts(*sizes)
    return encoder_of(p, pooler=0), heads_of(p)


@wrong("pooler-in-the-heads")
def pooler_with_the_heads(*sizes):
    p = parts(*sizes)
    return encoder_of(p, pooler=0), heads_of(p) + p["square"]


@wrong("no-embedding-norm", "no-segments")
def first_norm_forgotten(*sizes):
    p = parts(*sizes)
    return encoder_of(p, embedding_norm=0), heads_of(p)


@wrong("no-positions")
def positions_have_no_weights(vocab_size, num_layers, d_model, d_ff, max_length):
    p = parts(vocab_size, num_layers, d_model, d_ff, 0)
    return encoder_of(p), heads_of(p)


@wrong("no-segments", "no-embedding-norm")
def segments_forgotten(vocab_size, num_layers, d_model, d_ff, max_length):
    p = parts(vocab_size, num_layers, d_model, d_ff, max_length)
    return encoder_of(p) - 2 * d_model, heads_of(p)


@wrong("one-block-norm")
def one_norm_a_block(*sizes):
    p = parts(*sizes)
    return encoder_of(p, norms=1), heads_of(p)


@wrong("three-projections")
def output_projection_forgotten(*sizes):
    p = parts(*sizes)
    return encoder_of(p, squares=3), heads_of(p)


@wrong("table-again")
def not_tied(vocab_size, num_layers, d_model, d_ff, max_length):
    p = parts(vocab_size, num_layers, d_model, d_ff, max_length)
    return encoder_of(p), heads_of(p) + vocab_size * d_model


@wrong("no-output-bias")
def bias_of_the_logits_forgotten(*sizes):
    p = parts(*sizes)
    return encoder_of(p), heads_of(p) - p["bias"]


@wrong("one-logit")
def one_output_for_next(vocab_size, num_layers, d_model, d_ff, max_length):
    p = parts(vocab_size, num_layers, d_model, d_ff, max_length)
    return encoder_of(p), heads_of(p) - d_model - 1


@wrong("no-transform")
def heads_without_a_transform(*sizes):
    p = parts(*sizes)
    return encoder_of(p), heads_of(p) - p["square"]


@wrong("no-biases")
def kernels_only(vocab_size, num_layers, d_model, d_ff, max_length):
    d = d_model
    encoder = d * (vocab_size + max_length + 4) + d * d
    encoder += num_layers * (4 * d * d + 4 * d + 2 * d * d_ff)
    return encoder, d * d + 4 * d + vocab_size


@wrong("one-block")
def one_block_for_all(vocab_size, num_layers, d_model, d_ff, max_length):
    return line_by_line(vocab_size, 1, d_model, d_ff, max_length)


@wrong("together")
def heads_in_the_first(*sizes):
    encoder, heads = line_by_line(*sizes)
    return encoder + heads, heads


@wrong("swapped")
def heads_first(*sizes):
    return line_by_line(*sizes)[::-1]


@wrong("wrong-type")
def one_number(*sizes):
    return sum(line_by_line(*sizes))


@wrong("network-without-biases")
def network_of_two_matrices(vocab_size, num_layers, d_model, d_ff, max_length):
    p = parts(vocab_size, num_layers, d_model, d_ff, max_length)
    p["network"] = 2 * d_model * d_ff
    return encoder_of(p), heads_of(p)


# 6. Does it read?

right = partial(CATALOGUE.right, "pretraining.decide")
wrong = partial(CATALOGUE.wrong, "pretraining.decide")


def frequencies(counts):
    return (counts + 1) / (counts.sum() + len(counts))


def expected(p, label_counts):
    return -np.sum(label_counts * np.log(p)) / np.sum(label_counts)


def said(baseline, model):
    return {"baseline": baseline, "model": model, "better": bool(model < baseline)}


@right()
def with_sums(train_counts, label_counts, batch_losses, batch_places):
    p = (train_counts + 1) / (train_counts.sum() + len(train_counts))
    baseline = -(label_counts * np.log(p)).sum() / label_counts.sum()
    model = (batch_losses * batch_places).sum() / batch_places.sum()
    return {"baseline": baseline, "model": model, "better": model < baseline}


@right()
def with_average(train_counts, label_counts, batch_losses, batch_places):
    p = frequencies(train_counts)
    baseline = float(np.average(-np.log(p), weights=label_counts))
    model = float(np.average(batch_losses, weights=batch_places))
    return dict(better=bool(baseline > model), model=model, baseline=baseline)


@right()
def with_loops(train_counts, label_counts, batch_losses, batch_places):
    total = sum(train_counts) + len(train_counts)
    baseline = model = 0.0
    for seen, count in zip(train_counts, label_counts, strict=True):
        baseline -= count / sum(label_counts) * math.log((seen + 1) / total)
    for loss, count in zip(batch_losses, batch_places, strict=True):
        model += loss * count / sum(batch_places)
    return {"baseline": baseline, "model": model, "better": bool(model < baseline)}


@right()
def label_by_label(train_counts, label_counts, batch_losses, batch_places):
    labels = np.repeat(np.arange(len(label_counts)), label_counts)
    baseline = -np.log(frequencies(train_counts))[labels].mean()
    model = np.repeat(batch_losses, batch_places).mean()
    return said(baseline, model)


@wrong("mean-of-batches")
def mean_over_batches(train_counts, label_counts, batch_losses, batch_places):
    return said(expected(frequencies(train_counts), label_counts), batch_losses.mean())


@wrong("validation-frequencies")
def frequencies_of_the_labels(train_counts, label_counts, batch_losses, batch_places):
    model = np.average(batch_losses, weights=batch_places)
    return said(expected(frequencies(label_counts), label_counts), model)


@wrong("training-weights")
def averaged_over_training(train_counts, label_counts, batch_losses, batch_places):
    model = np.average(batch_losses, weights=batch_places)
    return said(expected(frequencies(train_counts), train_counts), model)


@wrong("weights-not-used")
def every_token_alike(train_counts, label_counts, batch_losses, batch_places):
    model = np.average(batch_losses, weights=batch_places)
    return said(-np.log(frequencies(train_counts)).mean(), model)


@wrong("nothing-added", "nan")
def counts_as_they_are(train_counts, label_counts, batch_losses, batch_places):
    model = np.average(batch_losses, weights=batch_places)
    with np.errstate(divide="ignore"):
        return said(expected(train_counts / train_counts.sum(), label_counts), model)


@wrong("added-above-only")
def more_than_one_in_all(train_counts, label_counts, batch_losses, batch_places):
    model = np.average(batch_losses, weights=batch_places)
    return said(expected((train_counts + 1) / train_counts.sum(), label_counts), model)


@wrong("uniform")
def all_tokens_equally_likely(train_counts, label_counts, batch_losses, batch_places):
    model = np.average(batch_losses, weights=batch_places)
    return said(np.log(len(train_counts)), model)


@wrong("in-bits")
def to_base_two(train_counts, label_counts, batch_losses, batch_places):
    model = np.average(batch_losses, weights=batch_places)
    return said(expected(frequencies(train_counts), label_counts) / np.log(2), model)


@wrong("inverted")
def the_larger_one_wins(train_counts, label_counts, batch_losses, batch_places):
    found = with_average(train_counts, label_counts, batch_losses, batch_places)
    return found | {"better": not found["better"]}


@wrong("model-summed")
def summed_losses(train_counts, label_counts, batch_losses, batch_places):
    model = np.sum(batch_losses * batch_places)
    return said(expected(frequencies(train_counts), label_counts), model)


@wrong("last-batch")
def what_keras_printed_last(train_counts, label_counts, batch_losses, batch_places):
    return said(expected(frequencies(train_counts), label_counts), batch_losses[-1])


@wrong("always-better")
def surely_better(train_counts, label_counts, batch_losses, batch_places):
    found = with_average(train_counts, label_counts, batch_losses, batch_places)
    return found | {"better": True}


@wrong("perplexities")
def exponentials(train_counts, label_counts, batch_losses, batch_places):
    found = with_average(train_counts, label_counts, batch_losses, batch_places)
    return found | {name: np.exp(found[name]) for name in ("baseline", "model")}


@wrong("wrong-type")
def a_tuple(train_counts, label_counts, batch_losses, batch_places):
    return tuple(with_average(train_counts, label_counts, batch_losses, batch_places).values())


@wrong("compared-rounded")
def compared_to_two_places(train_counts, label_counts, batch_losses, batch_places):
    baseline = expected(frequencies(train_counts), label_counts)
    model = np.average(batch_losses, weights=batch_places)
    return said(baseline, model) | {"better": bool(round(model, 2) < round(baseline, 2))}


@wrong("wants-a-margin", "compared-rounded")
def better_by_one_per_cent(train_counts, label_counts, batch_losses, batch_places):
    baseline = expected(frequencies(train_counts), label_counts)
    model = np.average(batch_losses, weights=batch_places)
    return said(baseline, model) | {"better": bool(model < 0.99 * baseline)}


@wrong("rounded")
def to_three_places(train_counts, label_counts, batch_losses, batch_places):
    baseline = expected(frequencies(train_counts), label_counts)
    model = np.average(batch_losses, weights=batch_places)
    return said(round(baseline, 3), round(model, 3))


@wrong("compared-by-batches")
def decided_by_the_batches(train_counts, label_counts, batch_losses, batch_places):
    baseline = expected(frequencies(train_counts), label_counts)
    model = np.average(batch_losses, weights=batch_places)
    return said(baseline, model) | {"better": bool(batch_losses.mean() < baseline)}


@wrong("one-in-the-sum")
def one_for_all(train_counts, label_counts, batch_losses, batch_places):
    p = (train_counts + 1) / (train_counts.sum() + 1)
    return said(expected(p, label_counts), np.average(batch_losses, weights=batch_places))


@wrong("added-to-zeros")
def one_where_there_is_none(train_counts, label_counts, batch_losses, batch_places):
    counts = np.where(train_counts == 0, 1, train_counts)
    model = np.average(batch_losses, weights=batch_places)
    return said(expected(counts / counts.sum(), label_counts), model)


@wrong("unrecognised")
def the_middle_batch(train_counts, label_counts, batch_losses, batch_places):
    baseline = expected(frequencies(train_counts), label_counts)
    return said(baseline, np.median(batch_losses))
