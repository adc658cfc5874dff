"""Answers to the exercises of lesson 06, decoding, and what each must be told."""

import heapq
import math
from functools import partial

import keras
import numpy as np
from keras import ops

import course.decoding as notes

from . import Catalogue

CATALOGUE = Catalogue()


# 1. Greedy search

right = partial(CATALOGUE.right, "decoding.greedy")
wrong = partial(CATALOGUE.wrong, "decoding.greedy")


@right()
def row_of_truth_values(step, prompt, end_id, max_length):
    ids, done = np.array(prompt), np.zeros(len(prompt), bool)
    for _ in range(max_length):
        chosen = np.where(done, 0, np.array(step(ids)).argmax(-1))
        ids = np.concatenate([ids, chosen[:, None]], axis=1)
        done |= chosen == end_id
    return ids[:, prompt.shape[1] :]


@right()
def with_keras_ops(step, prompt, end_id, max_length):
    ids = ops.convert_to_tensor(prompt)
    alive = ops.ones((prompt.shape[0],), "int32")
    for _ in range(max_length):
        chosen = ops.cast(ops.argmax(step(ids), axis=-1), "int32") * alive
        ids = ops.concatenate([ids, chosen[:, None]], axis=1)
        alive = alive * ops.cast(chosen != end_id, "int32")
    return ids[:, prompt.shape[1] :]


@right()
def sentence_by_sentence(step, prompt, end_id, max_length):
    result = np.zeros((len(prompt), max_length), int)
    for row, start in zip(result, prompt, strict=True):
        ids = list(start)
        for t in range(max_length):
            row[t] = int(np.argmax(np.array(step(np.array([ids])))[0]))
            ids.append(row[t])
            if row[t] == end_id:
                break
    return result


@right()
def stops_when_all_have_ended(step, prompt, end_id, max_length):
    width = prompt.shape[1]
    ids = np.zeros((len(prompt), width + max_length), "int64")
    ids[:, :width] = prompt
    for t in range(width, width + max_length):
        ended = (ids[:, width:t] == end_id).any(axis=1)
        if ended.all():
            break
        best = np.argmax(ops.convert_to_numpy(step(ids[:, :t])), axis=1)
        ids[~ended, t] = best[~ended]
    return ids[:, width:]


@right()
def masked_at_the_end(step, prompt, end_id, max_length):
    ids = prompt
    for _ in range(max_length):
        ids = np.hstack([ids, np.array(step(ids)).argmax(1)[:, None]])
    written = ids[:, prompt.shape[1] :]
    after = np.cumsum(written == end_id, axis=1) - (written == end_id) > 0
    return np.where(after, 0, written)


def search(step, prompt, end_id, max_length, axis=-1, filler=0, see=lambda ids: ids, stop=None):
    ids, done = np.array(prompt), np.zeros(len(prompt), bool)
    for _ in range(max_length):
        chosen = np.array(step(see(ids))).argmax(axis)
        if filler is not None:
            chosen = np.where(done.any() if stop == "any" else done, filler, chosen)
        ids = np.concatenate([ids, chosen[:, None]], axis=1)
        done = done | (chosen == end_id)
        if stop == "all" and done.all():
            break
    return ids[:, prompt.shape[1] :]


@wrong("goes-on")
def never_looks_for_the_end(step, prompt, end_id, max_length):
    return search(step, prompt, end_id, max_length, filler=None)


@wrong("end-repeated")
def filled_with_the_end(step, prompt, end_id, max_length):
    return search(step, prompt, end_id, max_length, filler=end_id)


@wrong("one-ends-all")
def all_stop_with_the_first(step, prompt, end_id, max_length):
    return search(step, prompt, end_id, max_length, stop="any")


@wrong("cut-short")
def breaks_and_returns(step, prompt, end_id, max_length):
    return search(step, prompt, end_id, max_length, stop="all")


@wrong("wrong-axis")
def over_the_batch(step, prompt, end_id, max_length):
    return search(step, prompt, end_id, max_length, axis=0)


@wrong("end-left-out")
def without_the_end(step, prompt, end_id, max_length):
    found = search(step, prompt, end_id, max_length)
    return np.where(found == end_id, 0, found)


@wrong("prompt-alone")
def always_the_prompt(step, prompt, end_id, max_length):
    return search(step, prompt, end_id, max_length, see=lambda ids: ids[:, : prompt.shape[1]])


@wrong("last-id-alone")
def only_the_newest(step, prompt, end_id, max_length):
    return search(step, prompt, end_id, max_length, see=lambda ids: ids[:, -1:])


@wrong("prompt-included")
def everything_returned(step, prompt, end_id, max_length):
    return np.concatenate([prompt, search(step, prompt, end_id, max_length)], axis=1)


@wrong("prompt-counts")
def length_of_all(step, prompt, end_id, max_length):
    return search(step, prompt, end_id, max_length + 1 - prompt.shape[1])


@wrong("one-too-few")
def range_from_one(step, prompt, end_id, max_length):
    return search(step, prompt, end_id, max_length - 1)


@wrong("one-too-many")
def one_more_for_the_end(step, prompt, end_id, max_length):
    return search(step, prompt, end_id, max_length + 1)


@wrong("last-not-written")
def a_table_not_filled(step, prompt, end_id, max_length):
    return np.pad(search(step, prompt, end_id, max_length - 1), ((0, 0), (0, 1)))


@wrong("least-likely")
def smallest_logit(step, prompt, end_id, max_length):
    return search(lambda ids: -np.array(step(ids)), prompt, end_id, max_length)


@wrong("wrong-shape")
def only_the_first_sentence(step, prompt, end_id, max_length):
    return search(step, prompt, end_id, max_length)[0]


@wrong("not-written")
def greedy_not_written(step, prompt, end_id, max_length):
    raise NotImplementedError


@wrong("forbidden-call")
def ready_made(step, prompt, end_id, max_length):
    class Model:
        def start_cache(self, inputs, length):
            return ops.cast(inputs, "int32")

        def step(self, ids, cache, index):
            return step(cache), cache

    return notes.greedy(Model(), prompt, max_length=max_length, end_id=end_id)


@wrong("last-few-ids")
def the_last_two_ids_only(step, prompt, end_id, max_length):
    ids, done = np.array(prompt), np.zeros(len(prompt), bool)
    for _ in range(max_length):
        chosen = np.array(step(ids[:, -2:])).argmax(-1)
        chosen = np.where(done, 0, chosen)
        done |= chosen == end_id
        ids = np.concatenate([ids, chosen[:, None].astype(ids.dtype)], 1)
    return ids[:, np.shape(prompt)[1] :]


@wrong("sentences-as-places")
def logits_of_every_place_expected(step, prompt, end_id, max_length):
    ids, done = np.array(prompt), np.zeros(len(prompt), bool)
    for _ in range(max_length):
        chosen = np.where(done, 0, np.array(step(ids))[:, -1].argmax(-1))
        done |= chosen == end_id
        ids = np.concatenate([ids, chosen[:, None].astype(ids.dtype)], 1)
    return ids[:, np.shape(prompt)[1] :]


@wrong("prompt-alone")
def new_ids_in_front(step, prompt, end_id, max_length):
    ids, done = np.array(prompt), np.zeros(len(prompt), bool)
    for _ in range(max_length):
        chosen = np.where(done, 0, np.array(step(ids)).argmax(-1))
        done |= chosen == end_id
        ids = np.concatenate([chosen[:, None].astype(ids.dtype), ids], 1)
    return ids[:, :max_length][:, ::-1]


# 2. The best continuations

right = partial(CATALOGUE.right, "decoding.continuations")
wrong = partial(CATALOGUE.wrong, "decoding.continuations")


@right()
def flattened_and_sorted(log_probs, scores, k):
    total = scores[:, None] + log_probs
    best = np.argsort(-total, axis=None)[:k]
    return best // total.shape[1], best % total.shape[1], total.ravel()[best]


@wrong("numbered-anew")
def dead_ones_taken_out_first(log_probs, scores, k):
    keep = np.isfinite(scores)
    total = scores[keep][:, None] + log_probs[keep]
    best = np.argsort(-total, axis=None)[:k]
    return best // total.shape[1], best % total.shape[1], total.ravel()[best]


@right()
def with_top_k(log_probs, scores, k):
    total = ops.reshape(ops.expand_dims(scores, 1) + log_probs, (1, -1))
    values, at = ops.top_k(total, k)
    vocab = log_probs.shape[-1]
    return at[0] // vocab, at[0] % vocab, values[0]


@right()
def unravelled(log_probs, scores, k):
    total = scores.reshape(-1, 1) + log_probs
    best = np.argsort(total.ravel())[::-1][:k]
    parents, ids = np.unravel_index(best, total.shape)
    return np.array(parents), np.array(ids), total[parents, ids]


@right()
def tuples_in_a_heap(log_probs, scores, k):
    everything = (
        (scores[b] + log_probs[b, v], -b, -v)
        for b in range(len(log_probs))
        for v in range(log_probs.shape[1])
    )
    best = heapq.nlargest(k, everything)
    return (
        np.array([-b for _, b, _ in best]),
        np.array([-v for *_, v in best]),
        np.array([p for p, *_ in best], "float32"),
    )


@right()
def best_of_the_best(log_probs, scores, k):
    """The k best of each beam are enough to look at."""
    n = min(k, log_probs.shape[1])
    ids = np.argsort(-log_probs, axis=1)[:, :n]
    total = np.take_along_axis(log_probs, ids, 1) + scores[:, None]
    order = np.argsort(-total, axis=None)[:k]
    return order // n, ids.ravel()[order], total.ravel()[order]


def places(total, k):
    return np.argsort(-total, axis=None)[:k]


@wrong("scores-left-out")
def new_ids_alone(log_probs, scores, k):
    best = places(log_probs, k)
    return best // log_probs.shape[1], best % log_probs.shape[1], log_probs.ravel()[best]


@wrong("scores-multiplied")
def times(log_probs, scores, k):
    with np.errstate(all="ignore"):
        total = scores[:, None] * log_probs
    best = places(total, k)
    return best // total.shape[1], best % total.shape[1], total.ravel()[best]


@wrong("gains-returned")
def scores_of_the_last_id(log_probs, scores, k):
    best = places(scores[:, None] + log_probs, k)
    return best // log_probs.shape[1], best % log_probs.shape[1], log_probs.ravel()[best]


@wrong("swapped")
def remainder_first(log_probs, scores, k):
    total = scores[:, None] + log_probs
    best = places(total, k)
    return best % total.shape[1], best // total.shape[1], total.ravel()[best]


@wrong("divided-by-beams")
def by_the_number_of_beams(log_probs, scores, k):
    total = scores[:, None] + log_probs
    best = places(total, k)
    return best // len(scores), best % len(scores), total.ravel()[best]


@wrong("best-of-each")
def argmax_of_each_beam(log_probs, scores, k):
    total = scores[:, None] + log_probs
    order = np.argsort(-total.max(1))[:k]
    return order, total.argmax(1)[order], total.max(1)[order]


@wrong("worst")
def rising_without_a_minus(log_probs, scores, k):
    total = scores[:, None] + log_probs
    best = np.argsort(total, axis=None, kind="stable")[:k]
    return best // total.shape[1], best % total.shape[1], total.ravel()[best]


@wrong("rising")
def the_last_k_of_argsort(log_probs, scores, k):
    total = scores[:, None] + log_probs
    best = np.argsort(total, axis=None)[-k:]
    return best // total.shape[1], best % total.shape[1], total.ravel()[best]


@wrong("unsorted")
def partitioned(log_probs, scores, k):
    total = scores[:, None] + log_probs
    best = np.sort(places(total, k))
    return best // total.shape[1], best % total.shape[1], total.ravel()[best]


@wrong("swapped")
def columns_first(log_probs, scores, k):
    total = (scores[:, None] + log_probs).T
    best = np.argsort(-total, axis=None, kind="stable")[:k]
    return best // total.shape[1], best % total.shape[1], total.ravel()[best]


@wrong("wrong-type")
def one_array(log_probs, scores, k):
    return places(scores[:, None] + log_probs, k)


@wrong("exception")
def scores_as_a_row(log_probs, scores, k):
    total = scores + log_probs
    best = places(total, k)
    return best // total.shape[1], best % total.shape[1], total.ravel()[best]


@wrong("products")
def back_through_probabilities(log_probs, scores, k):
    with np.errstate(all="ignore"):
        total = np.log(np.exp(log_probs) * np.exp(scores)[:, None])
    at = np.argsort(-total, axis=None, kind="stable")[:k]
    return at // total.shape[1], at % total.shape[1], total.ravel()[at]


# 3. Repair a beam search

right = partial(CATALOGUE.right, "decoding.beam")
wrong = partial(CATALOGUE.wrong, "decoding.beam")


def log_softmax(step, beams):
    logits = np.array(step(np.array([ids for ids, _ in beams])), "float64")
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def continuations(step, beams):
    found = [
        ([*ids, following], log_p + row[following])
        for (ids, log_p), row in zip(beams, log_softmax(step, beams), strict=True)
        for following in range(len(row))
    ]
    return sorted(found, key=lambda beam: -beam[1])


def chosen(sentences, alpha):
    """The best of some sentences with log P, by its score."""
    score, ids = max((p / (len(ids) - 1) ** alpha, ids) for ids, p in sentences)
    return np.array(ids[1:]), score


@right()
def parted_lists(step, start_id, end_id, num_beams, max_length, alpha):
    beams, finished = [([start_id], 0.0)], []
    for _ in range(max_length):
        best = continuations(step, beams)[:num_beams]
        finished += [beam for beam in best if beam[0][-1] == end_id]
        beams = [beam for beam in best if beam[0][-1] != end_id]
        if not beams:
            break
    return chosen(finished + beams, alpha)


@right()
def with_arrays(step, start_id, end_id, num_beams, max_length, alpha):
    ids, scores = np.array([[start_id]]), np.zeros(1)
    best_ids, best_score = None, -np.inf
    for t in range(1, max_length + 1):
        log_probs = ops.convert_to_numpy(ops.log_softmax(step(ids), axis=-1)).astype("float64")
        total = scores[:, None] + log_probs
        at = np.argsort(-total, axis=None)[:num_beams]
        parent, following = np.divmod(at, total.shape[1])
        ids, scores = np.c_[ids[parent], following], total.ravel()[at]
        ended = (following == end_id) | (t == max_length)
        for row, score in zip(ids[ended], scores[ended] / t**alpha, strict=True):
            if score > best_score:
                best_ids, best_score = row[1:], score
        ids, scores = ids[~ended], scores[~ended]
        if not len(ids):
            break
    return best_ids, best_score


@wrong("ended-take-places")
def places_are_lost(step, start_id, end_id, num_beams, max_length, alpha):
    beams, finished = [([start_id], 0.0)], []
    for _ in range(max_length):
        best = continuations(step, beams)[: num_beams - len(finished)]
        finished += [beam for beam in best if beam[0][-1] == end_id]
        beams = [beam for beam in best if beam[0][-1] != end_id]
        if not beams:
            break
    return chosen(finished + beams, alpha)


@wrong("ended-take-places")
def stops_when_as_many_have_ended(step, start_id, end_id, num_beams, max_length, alpha):
    beams, finished = [([start_id], 0.0)], []
    for _ in range(max_length):
        best = continuations(step, beams)[:num_beams]
        finished += [beam for beam in best if beam[0][-1] == end_id]
        beams = [beam for beam in best if beam[0][-1] != end_id]
        if not beams or len(finished) >= num_beams:
            break
    return chosen(finished + beams, alpha)


@wrong("ended-take-places")
def ended_ones_stay_in_the_race(step, start_id, end_id, num_beams, max_length, alpha):
    beams = [([start_id], 0.0)]
    for _ in range(max_length):
        ended = [beam for beam in beams if beam[0][-1] == end_id]
        alive = [beam for beam in beams if beam[0][-1] != end_id]
        if not alive:
            break
        longer = continuations(step, alive)
        beams = sorted(ended + longer, key=lambda beam: -beam[1])[:num_beams]
    return chosen(beams, alpha)


@right()
def ended_beams_in_the_same_list(step, start_id, end_id, num_beams, max_length, alpha):
    """A beam is ids, log P and whether it has ended; rounds leave ended ones as they are."""
    alive, done = [((start_id,), 0.0)], {}
    while alive and max_length:
        max_length -= 1
        longer = {}
        log_probs = log_softmax(step, [(list(ids), p) for ids, p in alive])
        for (ids, p), row in zip(alive, log_probs, strict=True):
            for v, gain in enumerate(row):
                longer[(*ids, v)] = p + float(gain)
        best = sorted(longer.items(), key=lambda item: item[1])[-num_beams:]
        done |= {ids: p for ids, p in best if ids[-1] == end_id}
        alive = [(ids, p) for ids, p in best if ids[-1] != end_id]
    done |= dict(alive)
    score = {ids: p / math.pow(len(ids) - 1, alpha) for ids, p in done.items()}
    ids = max(score, key=score.get)
    return np.asarray(ids[1:]), score[ids]


@right()
def recursive(step, start_id, end_id, num_beams, max_length, alpha):
    def rounds(beams, left):
        if not beams or not left:
            return beams
        best = continuations(step, beams)[:num_beams]
        ended = [beam for beam in best if beam[0][-1] == end_id]
        return ended + rounds([b for b in best if b[0][-1] != end_id], left - 1)

    found = rounds([([start_id], 0.0)], max_length)
    ids, p = max(found, key=lambda beam: beam[1] / (len(beam[0]) - 1) ** alpha)
    return np.array(ids)[1:], float(p / (len(ids) - 1) ** alpha)


def searched(
    step, end_id, num_beams, max_length, *, start_id, value, first=False, refill=False, report=None,
    grow=False, unfinished=True,
):  # fmt: skip
    beams, finished = [([start_id], 0.0)], []
    for _ in range(max_length):
        best = continuations(step, beams)
        if grow:
            beams = best[:num_beams]
            continue
        finished += [beam for beam in best[:num_beams] if beam[0][-1] == end_id]
        best = best if refill else best[:num_beams]
        beams = [beam for beam in best if beam[0][-1] != end_id][:num_beams]
        if not beams or (first and finished):
            break
    if first and finished:
        beams = []
    found = finished + beams if unfinished or not finished else finished
    ids, p = max(found, key=lambda beam: value(beam[1], len(beam[0]) - 1, beam[0]))
    return np.array(ids[1:]), (report or value)(p, len(ids) - 1, ids)


@wrong("as-handed-out")
def handed_out(step, start_id, end_id, num_beams, max_length, alpha):
    beams = [([start_id], 0.0)]
    for _ in range(max_length):
        beams = continuations(step, beams)[:num_beams]
    ids, log_p = beams[0]
    return np.array(ids[1:]), log_p


@wrong("raw-sum")
def no_length_penalty(step, start_id, end_id, num_beams, max_length, alpha):
    return searched(
        step, end_id, num_beams, max_length, start_id=start_id, value=lambda p, n, ids: p
    )


@wrong("chosen-by-raw-sum")
def divided_too_late(step, start_id, end_id, num_beams, max_length, alpha):
    return searched(
        step, end_id, num_beams, max_length, start_id=start_id,
        value=lambda p, n, ids: p, report=lambda p, n, ids: p / n**alpha,
    )  # fmt: skip


@wrong("raw-sum-returned")
def log_p_beside_it(step, start_id, end_id, num_beams, max_length, alpha):
    return searched(
        step, end_id, num_beams, max_length, start_id=start_id,
        value=lambda p, n, ids: p / n**alpha, report=lambda p, n, ids: p,
    )  # fmt: skip


@wrong("goes-on-after-end")
def only_the_score_mended(step, start_id, end_id, num_beams, max_length, alpha):
    return searched(
        step, end_id, num_beams, max_length, start_id=start_id,
        value=lambda p, n, ids: p / n**alpha, grow=True,
    )  # fmt: skip


@wrong("first-finished")
def stops_at_the_first(step, start_id, end_id, num_beams, max_length, alpha):
    return searched(
        step, end_id, num_beams, max_length, start_id=start_id,
        value=lambda p, n, ids: p / n**alpha, first=True,
    )  # fmt: skip


@wrong("end-not-counted")
def length_without_the_end(step, start_id, end_id, num_beams, max_length, alpha):
    return searched(
        step, end_id, num_beams, max_length, start_id=start_id,
        value=lambda p, n, ids: p / max(1, n - (ids[-1] == end_id)) ** alpha,
    )  # fmt: skip


@wrong("start-counted")
def length_with_the_start(step, start_id, end_id, num_beams, max_length, alpha):
    return searched(
        step, end_id, num_beams, max_length, start_id=start_id,
        value=lambda p, n, ids: p / len(ids) ** alpha,
    )  # fmt: skip


@wrong("unfinished-left-out")
def finished_ones_alone(step, start_id, end_id, num_beams, max_length, alpha):
    return searched(
        step, end_id, num_beams, max_length, start_id=start_id,
        value=lambda p, n, ids: p / n**alpha, unfinished=False,
    )  # fmt: skip


@wrong("refilled")
def always_as_many_beams(step, start_id, end_id, num_beams, max_length, alpha):
    return searched(
        step, end_id, num_beams, max_length, start_id=start_id,
        value=lambda p, n, ids: p / n**alpha, refill=True,
    )  # fmt: skip


@wrong("length-multiplied")
def times_the_length(step, start_id, end_id, num_beams, max_length, alpha):
    return searched(
        step, end_id, num_beams, max_length, start_id=start_id,
        value=lambda p, n, ids: p * n**alpha,
    )  # fmt: skip


@wrong("always-the-mean")
def alpha_forgotten(step, start_id, end_id, num_beams, max_length, alpha):
    return searched(
        step, end_id, num_beams, max_length, start_id=start_id, value=lambda p, n, ids: p / n
    )


@wrong("wrong-type")
def ids_alone(step, start_id, end_id, num_beams, max_length, alpha):
    return parted_lists(step, start_id, end_id, num_beams, max_length, alpha)[0]


@wrong("one-id-each")
def each_beam_with_its_best_id(step, start_id, end_id, num_beams, max_length, alpha):
    beams, finished = [([start_id], 0.0)], []
    for _ in range(max_length):
        rows = log_softmax(step, beams)
        found = [
            ([*ids, int(row.argmax())], p + row.max())
            for (ids, p), row in zip(beams, rows, strict=True)
        ]
        finished += [beam for beam in found if beam[0][-1] == end_id]
        beams = [beam for beam in found if beam[0][-1] != end_id]
        if not beams:
            break
    return chosen(finished + beams, alpha)


@wrong("ended-outside")
def all_that_end_compete(step, start_id, end_id, num_beams, max_length, alpha):
    beams, finished = [([start_id], 0.0)], []
    for _ in range(max_length):
        found = continuations(step, beams)
        finished += [beam for beam in found if beam[0][-1] == end_id]
        beams = [beam for beam in found[:num_beams] if beam[0][-1] != end_id]
        if not beams:
            break
    return chosen(finished + beams, alpha)


# 4. Temperature, top-k, top-p

right = partial(CATALOGUE.right, "decoding.filtered")
wrong = partial(CATALOGUE.wrong, "decoding.filtered")


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@right()
def by_thresholds(logits, temperature=1.0, k=None, p=None):
    z = logits / temperature
    if k is not None:
        z = np.where(z >= np.sort(z, axis=-1)[:, -k][:, None], z, -np.inf)
    if p is not None:
        falling = -np.sort(-z, axis=-1)
        q = softmax(falling)
        keep = np.cumsum(q, axis=-1) - q < p
        z = np.where(z >= np.where(keep, falling, np.inf).min(-1, keepdims=True), z, -np.inf)
    return softmax(z)


@wrong("one-edge-for-all")
def one_edge(logits, temperature=1.0, k=None, p=None):
    z = np.asarray(logits, "float64") / temperature
    if k is not None:
        edge = np.sort(z, axis=None)[::-1][k * len(z) - 1]
        z = np.where(z >= edge, z, -1e9)
    return by_thresholds(z, p=p)


@wrong("cut-of-the-first-row")
def as_many_as_in_the_first(logits, temperature=1.0, k=None, p=None):
    q = by_thresholds(np.asarray(logits, "float64"), temperature, k)
    order = np.argsort(-q, axis=-1)
    if p is not None:
        count = int((np.cumsum(q[0, order[0]]) < p).sum()) + 1
        np.put_along_axis(q, order[:, count:], 0, 1)
    return q / q.sum(-1, keepdims=True)


@right()
def by_a_loop_over_rows(logits, temperature=1.0, k=None, p=None):
    result = np.zeros(logits.shape)
    for row, z in zip(result, np.asarray(logits, "float64") / temperature, strict=True):
        order = sorted(range(len(z)), key=lambda i: -z[i])[: k or len(z)]
        q = [math.exp(z[i] - max(z)) for i in order]
        total, reached = sum(q), 0.0
        for i, each in zip(order, q, strict=True):
            row[i] = each
            reached += each / total
            if p is not None and reached >= p:
                break
        row /= row.sum()
    return result


@right()
def with_tensors(logits, temperature=1.0, k=None, p=None):
    z = ops.convert_to_tensor(logits) / temperature
    if k is not None:
        values, _ = ops.top_k(z, k)
        z = ops.where(z < values[:, -1:], -1e30, z)
    if p is not None:
        order = ops.argsort(-z, axis=-1)
        q = ops.softmax(ops.take_along_axis(z, order, axis=-1))
        drop = ops.cumsum(q, axis=-1) - q >= p
        back = ops.argsort(order, axis=-1)
        z = ops.where(ops.take_along_axis(drop, back, axis=-1), -1e30, z)
    return ops.softmax(z)


@right()
def as_in_hugging_face(logits, temperature=1.0, k=None, p=None):
    """Sorted rising, as their warper does: what is removed has 1 - p together."""
    z = np.array(logits) / temperature
    if k is not None:
        z[z < np.partition(z, -k, axis=-1)[:, -k, None]] = -np.inf
    if p is not None:
        order = np.argsort(z, axis=-1)
        remove = softmax(np.take_along_axis(z, order, -1)).cumsum(-1) <= 1 - p
        remove[:, -1] = False
        scattered = np.zeros_like(remove)
        np.put_along_axis(scattered, order, remove, -1)
        z[scattered] = -np.inf
    return softmax(z)


def pipeline(logits, temperature, k, p, *, divide=True, more=0, cross=True, order=-1, norm=True):
    z = logits.astype("float64") / temperature if divide else logits * float(temperature)
    before = softmax(z)
    if k is not None:
        z = np.where(z >= np.sort(z, axis=-1)[:, -(k + more)][:, None], z, -np.inf)
    if p is not None:
        at = np.argsort(order * z, axis=-1)
        q = np.take_along_axis(softmax(z), at, -1)
        total = q.cumsum(-1)
        keep = (total - q < p) if cross else (total <= p)
        keep[:, 0] = True
        back = np.zeros_like(keep)
        np.put_along_axis(back, at, keep, -1)
        z = np.where(back, z, -np.inf)
    return softmax(z) if norm else np.where(np.isfinite(z), before, 0)


@wrong("temperature-multiplied")
def times_the_temperature(logits, temperature=1.0, k=None, p=None):
    return pipeline(logits, temperature, k, p, divide=False)


@wrong("temperature-ignored")
def factor_on_probabilities(logits, temperature=1.0, k=None, p=None):
    return pipeline(np.log(softmax(logits)), 1.0, k, p)


@wrong("temperature-on-probabilities")
def softmax_twice(logits, temperature=1.0, k=None, p=None):
    return pipeline(softmax(logits) / temperature if temperature != 1 else logits, 1.0, k, p)


@wrong("crossing-cut")
def crossing_id_left_out(logits, temperature=1.0, k=None, p=None):
    return pipeline(logits, temperature, k, p, cross=False)


@wrong("one-too-many")
def one_more_than_k(logits, temperature=1.0, k=None, p=None):
    return pipeline(logits, temperature, k, p, more=1)


@wrong("one-too-few")
def strictly_above_the_kth(logits, temperature=1.0, k=None, p=None):
    return pipeline(logits, temperature, k, p, more=-1)


@wrong("p-from-the-least")
def rising_sum(logits, temperature=1.0, k=None, p=None):
    return pipeline(logits, temperature, k, p, order=1)


@wrong("not-renormalised")
def zeros_in_the_softmax(logits, temperature=1.0, k=None, p=None):
    return pipeline(logits, temperature, k, p, norm=False)


@wrong("sorted")
def left_in_falling_order(logits, temperature=1.0, k=None, p=None):
    return -np.sort(-pipeline(logits, temperature, k, p), axis=-1)


@wrong("above-p")
def each_against_p(logits, temperature=1.0, k=None, p=None):
    q = pipeline(logits, temperature, k, None)
    if p is not None:
        with np.errstate(all="ignore"):
            q = np.where(q >= p, q, 0)
            q = q / q.sum(-1, keepdims=True)
    return q


@wrong("p-before-k")
def top_p_first(logits, temperature=1.0, k=None, p=None):
    z = np.log(np.maximum(pipeline(logits, temperature, None, p), 1e-300))
    return pipeline(z, 1.0, k, None)


@wrong("p-not-sorted")
def summed_as_they_come(logits, temperature=1.0, k=None, p=None):
    q = pipeline(logits, temperature, k, None)
    if p is not None:
        q = np.where(q.cumsum(-1) - q < p, q, 0)
    return q / q.sum(-1, keepdims=True)


@wrong("logits-returned")
def log_probabilities(logits, temperature=1.0, k=None, p=None):
    with np.errstate(divide="ignore"):
        return np.log(pipeline(logits, temperature, k, p))


@wrong("forbidden-call")
def filters_of_the_library(logits, temperature=1.0, k=None, p=None):
    z = ops.convert_to_tensor(logits / temperature)
    z = z if k is None else notes.top_k(z, k)
    return ops.softmax(z if p is None else notes.top_p(z, p))


@wrong("overflow")
def exponentials_as_they_are(logits, temperature=1.0, k=None, p=None):
    z = logits / np.float32(temperature)
    if k is not None:
        z = np.where(z >= np.sort(z, -1)[:, -k][:, None], z, -np.inf)
    q = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    if p is not None:
        likelier = (q[:, None, :] > q[:, :, None]) * q[:, None, :]  # (batch, vocab, vocab)
        q = np.where(likelier.sum(-1) < p, q, 0)
    return q / q.sum(-1, keepdims=True)


@wrong("p-one-too-many")
def keeps_the_one_after_the_crossing(logits, temperature=1.0, k=None, p=None):
    z = logits.astype("float64") / temperature
    order = np.argsort(-z, -1)
    z = np.take_along_axis(z, order, -1)
    if k is not None:
        z[:, k:] = -np.inf
    q = np.exp(z - z.max(-1, keepdims=True))
    q /= q.sum(-1, keepdims=True)
    if p is not None:
        count = (q.cumsum(-1) < p).sum(-1, keepdims=True) + 1
        q = np.where(np.arange(q.shape[1]) <= count, q, 0)
        q /= q.sum(-1, keepdims=True)
    result = np.zeros_like(q)
    np.put_along_axis(result, order, q, -1)
    return result


# 5. Repair a cache

right = partial(CATALOGUE.right, "decoding.cache")
wrong = partial(CATALOGUE.wrong, "decoding.cache")


@right()
def copies_with_a_row(query, key, value, key_cache, value_cache, t):
    key_cache, value_cache = key_cache.copy(), value_cache.copy()
    key_cache[t], value_cache[t] = key, value
    scores = key_cache[: t + 1] @ query / np.sqrt(len(query))
    return softmax(scores) @ value_cache[: t + 1], key_cache, value_cache


@right()
def slices_updated(query, key, value, key_cache, value_cache, t):
    keys = ops.slice_update(key_cache, (t, 0), key[None])
    values = ops.slice_update(value_cache, (t, 0), value[None])
    scores = ops.matmul(keys, query) * query.shape[0] ** -0.5
    seen = ops.arange(key_cache.shape[0]) <= t
    weights = ops.softmax(ops.where(seen, scores, -1e9))
    return ops.matmul(weights, values), keys, values


@right()
def chosen_by_where(query, key, value, key_cache, value_cache, t):
    here = (np.arange(len(key_cache)) == t)[:, None]
    keys, values = np.where(here, key, key_cache), np.where(here, value, value_cache)
    scores = np.einsum("td,d->t", keys, query) / math.sqrt(query.size)
    scores = np.where(np.arange(len(keys)) > t, -np.inf, scores)
    return np.einsum("t,td->d", softmax(scores), values), keys, values


@right()
def with_concatenate(query, key, value, key_cache, value_cache, t):
    keys = np.concatenate([key_cache[:t], key[None], key_cache[t + 1 :]])
    values = np.concatenate([value_cache[:t], value[None], value_cache[t + 1 :]])
    weights = keras.ops.softmax(keys[: t + 1] @ query / len(query) ** 0.5)
    return np.array(weights) @ values[: t + 1], keys, values


def one_step(
    query, key, value, key_cache, value_cache, t, *,
    row=0, upto=1, keys=True, values=True, scale=True,
):  # fmt: skip
    key_cache, value_cache = key_cache.copy(), value_cache.copy()
    at = min(t + row, len(key_cache) - 1)
    if keys:
        key_cache[at] = key
    if values:
        value_cache[at] = value
    scores = key_cache @ query / (len(query) ** 0.5 if scale else 1)
    if upto is not None:
        scores[t + upto :] = -np.inf
    with np.errstate(all="ignore"):
        return softmax(scores) @ value_cache, key_cache, value_cache


@wrong("late-and-all-seen")
def cache_handed_out(query, key, value, key_cache, value_cache, t):
    return one_step(query, key, value, key_cache, value_cache, t, row=1, upto=None)


@wrong("one-late")
def written_one_late(query, key, value, key_cache, value_cache, t):
    return one_step(query, key, value, key_cache, value_cache, t, row=1)


@wrong("one-late")
def written_past_the_end(query, key, value, key_cache, value_cache, t):
    key_cache, value_cache = key_cache.copy(), value_cache.copy()
    key_cache[t + 1], value_cache[t + 1] = key, value
    scores = key_cache[: t + 1] @ query / np.sqrt(len(query))
    return softmax(scores) @ value_cache[: t + 1], key_cache, value_cache


@wrong("one-late-and-seen")
def late_and_looked_at(query, key, value, key_cache, value_cache, t):
    return one_step(query, key, value, key_cache, value_cache, t, row=1, upto=2)


@wrong("sees-unwritten")
def no_mask(query, key, value, key_cache, value_cache, t):
    return one_step(query, key, value, key_cache, value_cache, t, upto=None)


@wrong("own-word-hidden")
def words_before_alone(query, key, value, key_cache, value_cache, t):
    if t == 0:
        return one_step(query, key, value, key_cache, value_cache, t)
    return one_step(query, key, value, key_cache, value_cache, t, upto=0)


@wrong("sees-one-more")
def mask_one_too_far(query, key, value, key_cache, value_cache, t):
    return one_step(query, key, value, key_cache, value_cache, t, upto=2)


@wrong("value-not-written")
def keys_alone(query, key, value, key_cache, value_cache, t):
    return one_step(query, key, value, key_cache, value_cache, t, values=False)


@wrong("key-not-written")
def values_alone(query, key, value, key_cache, value_cache, t):
    return one_step(query, key, value, key_cache, value_cache, t, keys=False)


@wrong("key-as-value")
def key_twice(query, key, value, key_cache, value_cache, t):
    return one_step(query, key, key, key_cache, value_cache, t)


@wrong("no-scaling")
def unscaled(query, key, value, key_cache, value_cache, t):
    return one_step(query, key, value, key_cache, value_cache, t, scale=False)


@wrong("hidden-scores-zero")
def zeros_for_hidden(query, key, value, key_cache, value_cache, t):
    key_cache, value_cache = key_cache.copy(), value_cache.copy()
    key_cache[t], value_cache[t] = key, value
    scores = key_cache @ query / len(query) ** 0.5 * (np.arange(len(key_cache)) <= t)
    return softmax(scores) @ value_cache, key_cache, value_cache


@wrong("input-changed")
def written_in_place(query, key, value, key_cache, value_cache, t):
    key_cache[t], value_cache[t] = key, value
    scores = key_cache[: t + 1] @ query / np.sqrt(len(query))
    return softmax(scores) @ value_cache[: t + 1], key_cache, value_cache


@wrong("appended")
def caches_that_grow(query, key, value, key_cache, value_cache, t):
    output, *_ = copies_with_a_row(query, key, value, key_cache, value_cache, t)
    return output, np.vstack([key_cache, key]), np.vstack([value_cache, value])


@wrong("old-caches")
def new_word_forgotten(query, key, value, key_cache, value_cache, t):
    return one_step(query, key, value, key_cache, value_cache, t)[0], key_cache, value_cache


@wrong("wrong-type")
def output_alone(query, key, value, key_cache, value_cache, t):
    return one_step(query, key, value, key_cache, value_cache, t)[0]
