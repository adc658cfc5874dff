"""Answers to the exercises of lesson 09, question answering, and what each must be told.

Many are as one finds them: offsets of the question taken for those of the context, the best start
and the best end chosen apart, a softmax for each window, F1 over sets, articles taken out of
Chinese.
"""

import re
import string
from collections import Counter
from functools import partial

import numpy as np

from course import question_answering as ready_made

from . import Catalogue

CATALOGUE = Catalogue()


# 1. From characters to places in a row

right = partial(CATALOGUE.right, "question_answering.label")
wrong = partial(CATALOGUE.wrong, "question_answering.label")


def shows_all(offsets, in_context, start, end):
    context = offsets[in_context]
    return context[0][0] <= start and context[-1][1] >= end


@right()
def with_a_mask(offsets, in_context, start, end):
    holds = in_context & (offsets[:, 1] > start) & (offsets[:, 0] < end)
    if not holds.any():
        return 0, 0
    if not shows_all(offsets, in_context, start, end):
        return -1, -1
    places = np.flatnonzero(holds)
    return places[0], places[-1]


@right()
def with_a_loop(offsets, in_context, start, end):
    places = [
        i for i, (a, b) in enumerate(offsets) if in_context[i] and max(a, start) < min(b, end)
    ]
    if not places:
        return (0, 0)
    if not shows_all(offsets, in_context, start, end):
        return (-1, -1)
    return (places[0], places[-1])


@right()
def from_both_sides(offsets, in_context, start, end):
    places = np.flatnonzero(in_context)
    first, last = places[0], places[-1]
    if end <= offsets[first][0] or start >= offsets[last][1]:
        return 0, 0
    if start < offsets[first][0] or end > offsets[last][1]:
        return -1, -1
    while offsets[first][1] <= start:
        first += 1
    while offsets[last][0] >= end:
        last -= 1
    return int(first), int(last)


@right()
def by_searching(offsets, in_context, start, end):
    begins = int(np.argmax(in_context))
    context = offsets[in_context]
    first = int(np.searchsorted(context[:, 1], start, side="right"))
    last = int(np.searchsorted(context[:, 0], end, side="left")) - 1
    if first > last:
        return [0, 0][0], 0
    if not shows_all(offsets, in_context, start, end):
        return -1, -1
    return begins + first, begins + last


@wrong("in-the-question", "in-the-question-and-cut")
def all_tokens(offsets, in_context, start, end):
    places = np.flatnonzero((offsets[:, 1] > start) & (offsets[:, 0] < end))
    if not len(places):
        return 0, 0
    if not shows_all(offsets, in_context, start, end):
        return -1, -1
    return int(places[0]), int(places[-1])


@wrong("cut-is-nothing")
def no_answer_where_it_is_cut(offsets, in_context, start, end):
    if not shows_all(offsets, in_context, start, end):
        return 0, 0
    return with_a_mask(offsets, in_context, start, end)


@wrong("cut-is-clipped")
def what_is_shown(offsets, in_context, start, end):
    places = np.flatnonzero(in_context & (offsets[:, 1] > start) & (offsets[:, 0] < end))
    return (int(places[0]), int(places[-1])) if len(places) else (0, 0)


@wrong("end-one-more")
def end_inclusive(offsets, in_context, start, end):
    holds = in_context & (offsets[:, 1] > start) & (offsets[:, 0] <= end)
    if not (holds & (offsets[:, 0] < end)).any():
        return 0, 0
    if not shows_all(offsets, in_context, start, end):
        return -1, -1
    places = np.flatnonzero(holds)
    return int(places[0]), int(places[-1])


@wrong("start-one-less")
def start_inclusive(offsets, in_context, start, end):
    holds = in_context & (offsets[:, 1] >= start) & (offsets[:, 0] < end)
    if not (holds & (offsets[:, 1] > start)).any():
        return 0, 0
    if not shows_all(offsets, in_context, start, end):
        return -1, -1
    places = np.flatnonzero(holds)
    return int(places[0]), int(places[-1])


@wrong("whole-tokens")
def tokens_inside_the_answer(offsets, in_context, start, end):
    holds = in_context & (offsets[:, 0] >= start) & (offsets[:, 1] <= end)
    touched = in_context & (offsets[:, 1] > start) & (offsets[:, 0] < end)
    if touched.any() and not shows_all(offsets, in_context, start, end):
        return -1, -1
    places = np.flatnonzero(holds)
    return (int(places[0]), int(places[-1])) if len(places) else (0, 0)


@wrong("end-exclusive")
def as_a_slice(offsets, in_context, start, end):
    first, last = with_a_mask(offsets, in_context, start, end)
    return (first, last + 1) if first > 0 else (first, last)


@wrong("counted-in-the-context")
def places_of_the_context(offsets, in_context, start, end):
    first, last = with_a_mask(offsets, in_context, start, end)
    begins = int(np.argmax(in_context))
    return (first - begins, last - begins) if first > 0 else (first, last)


@wrong("first-token-only")
def one_place_twice(offsets, in_context, start, end):
    first, _ = with_a_mask(offsets, in_context, start, end)
    return first, first


@wrong("nothing-is-ignored")
def never_cls(offsets, in_context, start, end):
    first, last = with_a_mask(offsets, in_context, start, end)
    return (-1, -1) if first == 0 else (first, last)


@wrong("wrong-type")
def a_dict(offsets, in_context, start, end):
    first, last = with_a_mask(offsets, in_context, start, end)
    return {"first": first, "last": last}


# 2. The best span

right = partial(CATALOGUE.right, "question_answering.best_span")
wrong = partial(CATALOGUE.wrong, "question_answering.best_span")


def pairs(allowed, max_tokens, least=0, most=0):
    place = np.arange(allowed.shape[1])
    distance = place[None] - place[:, None]
    ok = (distance >= least) & (distance < max_tokens + most)
    return ok[None] & allowed[:, :, None] & allowed[:, None]


def best_of(table):
    rows, length, _ = table.shape
    flat = table.reshape(rows, -1)
    best = flat.argmax(axis=1)
    return best // length, best % length, flat[np.arange(rows), best]


@right()
def with_a_table(start_logits, end_logits, allowed, max_tokens):
    table = start_logits[:, :, None] + end_logits[:, None, :]
    return best_of(np.where(pairs(allowed, max_tokens), table, -np.inf))


@right()
def with_three_loops(start_logits, end_logits, allowed, max_tokens):
    starts, ends, scores = [], [], []
    for s, e, ok in zip(start_logits, end_logits, allowed, strict=True):
        best = (-np.inf, 0, 0)
        for i in range(len(s)):
            for j in range(i, min(i + max_tokens, len(s))):
                if ok[i] and ok[j]:
                    best = max(best, (float(s[i]) + float(e[j]), i, j))
        scores.append(best[0])
        starts.append(best[1])
        ends.append(best[2])
    return starts, ends, scores


@right()
def in_keras(start_logits, end_logits, allowed, max_tokens):
    from keras import ops

    start, end = ops.convert_to_tensor(start_logits), ops.convert_to_tensor(end_logits)
    table = start[:, :, None] + end[:, None, :]
    flat = ops.reshape(ops.where(pairs(allowed, max_tokens), table, -1e9), (len(allowed), -1))
    best = ops.argmax(flat, axis=1)
    return best // allowed.shape[1], best % allowed.shape[1], ops.max(flat, axis=1)


@right()
def a_row_at_a_time(start_logits, end_logits, allowed, max_tokens):
    rows = [
        with_a_table(s[None], e[None], a[None], max_tokens)
        for s, e, a in zip(start_logits, end_logits, allowed, strict=True)
    ]
    return tuple(np.concatenate(part) for part in zip(*rows, strict=True))


@wrong("chosen-apart")
def two_argmaxes(start_logits, end_logits, allowed, max_tokens):
    start, end = (np.where(allowed, x, -np.inf) for x in (start_logits, end_logits))
    first, last = start.argmax(axis=1), end.argmax(axis=1)
    return first, last, start.max(axis=1) + end.max(axis=1)


@wrong("end-before-start")
def any_order(start_logits, end_logits, allowed, max_tokens):
    table = start_logits[:, :, None] + end_logits[:, None, :]
    ok = pairs(allowed, max_tokens, least=-1000)
    return best_of(np.where(ok, table, -np.inf))


@wrong("no-limit")
def any_length(start_logits, end_logits, allowed, max_tokens):
    return with_a_table(start_logits, end_logits, allowed, 1000)


@wrong("limit-one-more")
def one_token_too_long(start_logits, end_logits, allowed, max_tokens):
    return with_a_table(start_logits, end_logits, allowed, max_tokens + 1)


@wrong("limit-one-less")
def one_token_too_short(start_logits, end_logits, allowed, max_tokens):
    return with_a_table(start_logits, end_logits, allowed, max_tokens - 1)


@wrong("two-tokens-at-least")
def start_below_end(start_logits, end_logits, allowed, max_tokens):
    table = start_logits[:, :, None] + end_logits[:, None, :]
    return best_of(np.where(pairs(allowed, max_tokens, least=1), table, -np.inf))


@wrong("best-start-first")
def greedy(start_logits, end_logits, allowed, max_tokens):
    place = np.arange(allowed.shape[1])
    first = np.where(allowed, start_logits, -np.inf).argmax(axis=1)
    ok = allowed & (place >= first[:, None]) & (place < first[:, None] + max_tokens)
    last = np.where(ok, end_logits, -np.inf).argmax(axis=1)
    row = np.arange(len(first))
    return first, last, start_logits[row, first] + end_logits[row, last]


@wrong("product")
def multiplied(start_logits, end_logits, allowed, max_tokens):
    table = start_logits[:, :, None] * end_logits[:, None, :]
    return best_of(np.where(pairs(allowed, max_tokens), table, -np.inf))


@wrong("everywhere")
def without_the_mask(start_logits, end_logits, allowed, max_tokens):
    return with_a_table(start_logits, end_logits, np.ones_like(allowed), max_tokens)


@wrong("start-everywhere")
def mask_on_the_end(start_logits, end_logits, allowed, max_tokens):
    table = start_logits[:, :, None] + np.where(allowed, end_logits, -np.inf)[:, None, :]
    ok = pairs(np.ones_like(allowed), max_tokens)
    return best_of(np.where(ok, table, -np.inf))


@wrong("end-exclusive")
def ends_of_slices(start_logits, end_logits, allowed, max_tokens):
    first, last, score = with_a_table(start_logits, end_logits, allowed, max_tokens)
    return first, last + 1, score


@wrong("probability")
def probabilities(start_logits, end_logits, allowed, max_tokens):
    def softmax(x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    table = softmax(start_logits)[:, :, None] * softmax(end_logits)[:, None, :]
    return best_of(np.where(pairs(allowed, max_tokens), table, -1.0))


@wrong("mean-score")
def half_the_sum(start_logits, end_logits, allowed, max_tokens):
    first, last, score = with_a_table(start_logits, end_logits, allowed, max_tokens)
    return first, last, score / 2


# 3. Merge the windows

right = partial(CATALOGUE.right, "question_answering.merge")
wrong = partial(CATALOGUE.wrong, "question_answering.merge")


def best_window(first, count, around=np.minimum, last=False):
    tokens = int((first + count).max())
    table = np.full((len(first), tokens), -1)
    for w in range(len(first)):
        place = np.arange(count[w])
        table[w, first[w] : first[w] + count[w]] = around(place, count[w] - 1 - place)
    return len(first) - 1 - table[::-1].argmax(axis=0) if last else table.argmax(axis=0)


def counted(first, count, start, score, **more):
    best = best_window(first, count, **more)
    return np.where(best[start + first[:, None]] == np.arange(len(first))[:, None], score, -np.inf)


def chosen(kept, first, start, end, total=None):
    at = np.unravel_index(kept.argmax(), kept.shape)
    total = np.exp(kept).sum() if total is None else total
    shift = first[at[0]]
    return int(start[at] + shift), int(end[at] + shift), float(np.exp(kept[at]) / total)


@right()
def one_softmax(first, count, start, end, score):
    return chosen(counted(first, count, start, score.astype(float)), first, start, end)


@right()
def shifted_by_the_largest(first, count, start, end, score):
    kept = counted(first, count, start, score.astype(float))
    return chosen(kept - kept.max(), first, start, end)


@right()
def with_loops(first, count, start, end, score):
    best, total = None, 0.0
    windows = best_window(first, count)
    for w in range(len(first)):
        for k in range(score.shape[1]):
            token = int(first[w] + start[w, k])
            if windows[token] != w:
                continue
            value = float(score[w, k])
            total += np.exp(value)
            if best is None or value > best[0]:
                best = (value, token, int(first[w] + end[w, k]))
    return best[1], best[2], np.exp(best[0]) / total


@right()
def sorted_from_the_best(first, count, start, end, score):
    kept = counted(first, count, start, score.astype(float)).ravel()
    order = np.argsort(-kept, kind="stable")
    starts, ends = (start + first[:, None]).ravel()[order], (end + first[:, None]).ravel()[order]
    chances = np.exp(kept[order] - np.logaddexp.reduce(kept))
    return starts[0], ends[0], chances[0]


@wrong("softmax-of-each-window")
def a_softmax_a_window(first, count, start, end, score):
    kept = np.exp(counted(first, count, start, score.astype(float)))
    total = kept.sum(axis=1, keepdims=True)
    chances = np.divide(kept, total, out=np.zeros_like(kept), where=total > 0)
    at = np.unravel_index(chances.argmax(), chances.shape)
    shift = first[at[0]]
    return int(start[at] + shift), int(end[at] + shift), float(chances[at])


@wrong("every-window-counts")
def counted_twice(first, count, start, end, score):
    return chosen(score.astype(float), first, start, end)


@wrong("window-of-the-end")
def by_the_last_token(first, count, start, end, score):
    return chosen(counted(first, count, end, score.astype(float)), first, start, end)


@wrong("window-of-both")
def both_tokens(first, count, start, end, score):
    score = score.astype(float)
    kept = counted(first, count, start, counted(first, count, end, score))
    return chosen(kept, first, start, end)


@wrong("not-shifted")
def places_of_the_window(first, count, start, end, score):
    kept = counted(first, count, start, score.astype(float))
    at = np.unravel_index(kept.argmax(), kept.shape)
    return int(start[at]), int(end[at]), float(np.exp(kept[at]) / np.exp(kept).sum())


@wrong("winners-only")
def the_best_of_each(first, count, start, end, score):
    kept = counted(first, count, start, score.astype(float))
    return chosen(kept, first, start, end, np.exp(kept.max(axis=1)).sum())


@wrong("own-window-only")
def softmax_inside(first, count, start, end, score):
    kept = counted(first, count, start, score.astype(float))
    window = np.unravel_index(kept.argmax(), kept.shape)[0]
    return chosen(kept, first, start, end, np.exp(kept[window]).sum())


@wrong("left-context")
def what_is_before(first, count, start, end, score):
    kept = counted(first, count, start, score.astype(float), around=lambda left, right: left)
    return chosen(kept, first, start, end)


@wrong("later-window")
def the_later_of_two(first, count, start, end, score):
    return chosen(counted(first, count, start, score.astype(float), last=True), first, start, end)


@wrong("score-for-probability")
def the_score(first, count, start, end, score):
    kept = counted(first, count, start, score.astype(float))
    start, end, _ = chosen(kept, first, start, end)
    return start, end, float(kept.max())


@wrong("uncounted-in-the-sum")
def all_in_the_sum(first, count, start, end, score):
    kept = counted(first, count, start, score.astype(float))
    return chosen(kept, first, start, end, np.exp(score.astype(float)).sum())


# 4. F1 by hand

right = partial(CATALOGUE.right, "question_answering.f1")
wrong = partial(CATALOGUE.wrong, "question_answering.f1")
MARKS = string.punctuation + "，。、！？《》"


def split(text, language, lower=True, marks="", articles=r"\b(a|an|the)\b"):
    text = text.lower() if lower else text
    text = text.translate({ord(mark): marks for mark in MARKS})
    if language == "zh":
        return list("".join(text.split()))
    return re.sub(articles, " ", text).split()


def harmonic(said, told):
    if not said or not told:
        return float(said == told)
    shared = sum((Counter(said) & Counter(told)).values())
    return 2 * shared / (len(said) + len(told))


def mean_of_best(predictions, answers, language, cut=split, score=harmonic, best=max):
    found = []
    for prediction, told in zip(predictions, answers, strict=True):
        said = cut(prediction, language)
        found.append(best([score(said, cut(answer, language)) for answer in told or [""]]))
    return float(np.mean(found))


@right()
def in_three_functions(predictions, answers, language):
    return mean_of_best(predictions, answers, language)


@right()
def with_precision_and_recall(predictions, answers, language):
    def score(said, told):
        if not said or not told:
            return 1.0 if said == told else 0.0
        shared = sum(min(said.count(unit), told.count(unit)) for unit in set(said))
        if shared == 0:
            return 0.0
        precision, recall = shared / len(said), shared / len(told)
        return 2 * precision * recall / (precision + recall)

    return mean_of_best(predictions, answers, language, score=score)


@right()
def by_removing_what_was_found(predictions, answers, language):
    def score(said, told):
        if not said or not told:
            return int(said == told)
        rest, shared = list(told), 0
        for unit in said:
            if unit in rest:
                rest.remove(unit)
                shared += 1
        return 2 * shared / (len(said) + len(told))

    return np.float64(mean_of_best(predictions, answers, language, score=score))


@right()
def articles_from_a_list(predictions, answers, language):
    def cut(text, language):
        text = "".join(c for c in text.lower() if c not in MARKS)
        if language == "zh":
            return [c for c in text if c != " "]
        return [word for word in text.split() if word not in ("a", "an", "the")]

    return mean_of_best(predictions, answers, language, cut=cut)


@wrong("sets")
def over_sets(predictions, answers, language):
    def score(said, told):
        return harmonic(sorted(set(said)), sorted(set(told)))

    return mean_of_best(predictions, answers, language, score=score)


@wrong("counted-again")
def words_found(predictions, answers, language):
    def score(said, told):
        if not said or not told:
            return float(said == told)
        shared = sum(unit in told for unit in said)
        if not shared:
            return 0.0
        precision, recall = shared / len(said), shared / len(told)
        return 2 * precision * recall / (precision + recall)

    return mean_of_best(predictions, answers, language, score=score)


@wrong("precision")
def share_of_what_was_said(predictions, answers, language):
    def score(said, told):
        if not said or not told:
            return float(said == told)
        return sum((Counter(said) & Counter(told)).values()) / len(said)

    return mean_of_best(predictions, answers, language, score=score)


@wrong("exact-match")
def all_or_nothing(predictions, answers, language):
    return mean_of_best(predictions, answers, language, score=lambda a, b: float(a == b))


@wrong("arithmetic-mean")
def half_of_both(predictions, answers, language):
    def score(said, told):
        if not said or not told:
            return float(said == told)
        shared = sum((Counter(said) & Counter(told)).values())
        return (shared / len(said) + shared / len(told)) / 2

    return mean_of_best(predictions, answers, language, score=score)


@wrong("maximum-after-the-mean")
def best_annotator(predictions, answers, language):
    rows = [
        [harmonic(split(p, language), split(t, language)) for t in told or [""]]
        for p, told in zip(predictions, answers, strict=True)
    ]
    return max(float(np.mean([row[k] for row in rows])) for k in range(min(map(len, rows))))


@wrong("mean-over-answers")
def mean_of_the_answers(predictions, answers, language):
    return mean_of_best(predictions, answers, language, best=np.mean)


@wrong("first-answer")
def the_first(predictions, answers, language):
    return mean_of_best(predictions, answers, language, best=lambda row: row[0])


@wrong("articles-kept")
def with_articles(predictions, answers, language):
    cut = partial(split, articles="[^ -~]")
    return mean_of_best(predictions, answers, language, cut=cut)


@wrong("articles-as-letters")
def replaced_in_words(predictions, answers, language):
    cut = partial(split, articles="(an|a|the)")

    def closed(text, language):
        text = text.lower().translate({ord(mark): "" for mark in MARKS})
        if language == "zh":
            return cut(text, language)
        return re.sub("(an|a|the)", "", text).split()

    return mean_of_best(predictions, answers, language, cut=closed)


@wrong("articles-in-chinese")
def english_rules_for_all(predictions, answers, language):
    def cut(text, language):
        text = text.lower().translate({ord(mark): "" for mark in MARKS})
        text = re.sub(r"\b(a|an|the)\b", " ", text)
        return list("".join(text.split())) if language == "zh" else text.split()

    return mean_of_best(predictions, answers, language, cut=cut)


@wrong("words-in-chinese")
def split_at_spaces(predictions, answers, language):
    def cut(text, language):
        if language == "zh":
            return text.lower().translate({ord(mark): "" for mark in MARKS}).split()
        return split(text, language)

    return mean_of_best(predictions, answers, language, cut=cut)


@wrong("case-kept")
def capitals(predictions, answers, language):
    return mean_of_best(predictions, answers, language, cut=partial(split, lower=False))


@wrong("punctuation-to-spaces")
def marks_as_gaps(predictions, answers, language):
    return mean_of_best(predictions, answers, language, cut=partial(split, marks=" "))


@wrong("empty-is-zero")
def nothing_is_nothing(predictions, answers, language):
    def score(said, told):
        return harmonic(said, told) if said and told else 0.0

    return mean_of_best(predictions, answers, language, score=score)


@wrong("forbidden-call")
def the_librarys(predictions, answers, language):
    each = [
        ready_made.f1_score(said, told, language)
        for said, told in zip(predictions, answers, strict=True)
    ]
    return float(np.mean(each))


# 5. A threshold for "no answer"

right = partial(CATALOGUE.right, "question_answering.threshold")
wrong = partial(CATALOGUE.wrong, "question_answering.threshold")


def tried_one_by_one(differences, answered, unanswered, tried=None, silent=np.greater):
    tried = [-np.inf, *np.unique(differences)] if tried is None else tried
    means = [np.where(silent(differences, t), unanswered, answered).mean() for t in tried]
    best = int(np.argmax(np.round(means, 6)))
    return float(tried[best]), float(means[best])


@right()
def every_difference(differences, answered, unanswered):
    return tried_one_by_one(differences, answered, unanswered)


@right()
def with_running_sums(differences, answered, unanswered):
    order = np.argsort(differences, kind="stable")
    d = differences[order]
    gain = (answered.astype(float) - unanswered)[order]
    total = unanswered.astype(float).sum() + np.concatenate([[0], np.cumsum(gain)])
    last = np.append(d[1:] != d[:-1], True)  # the last of equal differences
    usable = np.concatenate([[True], last])
    best = int(np.argmax(np.where(usable, np.round(total, 5), -1)))
    return (-np.inf if best == 0 else float(d[best - 1])), float(total[best] / len(d))


@right()
def with_a_table_of_all(differences, answered, unanswered):
    tried = np.concatenate([[-np.inf], np.unique(differences)])
    table = np.where(differences[None] > tried[:, None], unanswered[None], answered[None])
    means = table.mean(axis=1, dtype=float)
    best = np.flatnonzero(means > means.max() - 1e-6)[0]
    return tried[best], means[best]


@right()
def with_a_loop_and_a_best(differences, answered, unanswered):
    best = (-np.inf, float(np.mean(unanswered, dtype=float)))
    for t in sorted(set(differences.tolist())):
        scores = [
            u if d > t else a
            for d, a, u in zip(
                differences.tolist(), answered.tolist(), unanswered.tolist(), strict=True
            )
        ]
        mean = sum(scores) / len(scores)
        if mean > best[1] + 1e-6:
            best = (t, mean)
    return best


@wrong("at-least")
def said_at_the_threshold(differences, answered, unanswered):
    return tried_one_by_one(differences, answered, unanswered, silent=np.greater_equal)


@wrong("inverted")
def silent_below(differences, answered, unanswered):
    return tried_one_by_one(differences, answered, unanswered, silent=np.less_equal)


@wrong("zero")
def always_zero(differences, answered, unanswered):
    return tried_one_by_one(differences, answered, unanswered, tried=[0.0])


@wrong("median")
def the_middle(differences, answered, unanswered):
    return tried_one_by_one(differences, answered, unanswered, tried=[np.median(differences)])


@wrong("always-answers")
def the_largest(differences, answered, unanswered):
    return tried_one_by_one(differences, answered, unanswered, tried=[differences.max()])


@wrong("never-answers-not-tried")
def differences_alone(differences, answered, unanswered):
    return tried_one_by_one(differences, answered, unanswered, tried=np.unique(differences))


@wrong("always-answers-not-tried")
def all_but_the_largest(differences, answered, unanswered):
    tried = [-np.inf, *np.unique(differences)[:-1]]
    return tried_one_by_one(differences, answered, unanswered, tried=tried)


@wrong("highest-of-equal")
def the_last_of_equal_ones(differences, answered, unanswered):
    tried = [-np.inf, *np.unique(differences)][::-1]
    return tried_one_by_one(differences, answered, unanswered, tried=tried)


@wrong("told-apart")
def best_classifier(differences, answered, unanswered):
    tried = [-np.inf, *np.unique(differences)]
    right = [np.mean((differences > t) == (unanswered == 1)) for t in tried]
    best = tried[int(np.argmax(right))]
    return best, np.where(differences > best, unanswered, answered).mean()


@wrong("sum-of-scores")
def added_up(differences, answered, unanswered):
    threshold, mean = tried_one_by_one(differences, answered, unanswered)
    return threshold, mean * len(differences)


@wrong("percent")
def in_percent(differences, answered, unanswered):
    threshold, mean = tried_one_by_one(differences, answered, unanswered)
    return threshold, 100 * mean


# 6. Sort the errors, and decide

right = partial(CATALOGUE.right, "question_answering.errors")
wrong = partial(CATALOGUE.wrong, "question_answering.errors")
KINDS = ("right", "boundary", "elsewhere", "silent", "invented")


def overlap(said, told, more=1):
    shared = min(said[1], told[1]) - max(said[0], told[0]) + more
    return max(shared, 0), (said[1] - said[0] + 1) + (told[1] - told[0] + 1)


def kind_of(said, told, more=1):
    if said[0] == -1 and told[0] == -1:
        return "right", 1.0
    if said[0] == -1:
        return "silent", 0.0
    if told[0] == -1:
        return "invented", 0.0
    if said[0] == told[0] and said[1] == told[1]:
        return "right", 1.0
    shared, both = overlap(said, told)
    return ("boundary" if overlap(said, told, more)[0] else "elsewhere"), 2 * shared / both


def added(predicted, answers, kind=kind_of, choose=None):
    counts, lost = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS[1:], 0.0)
    for said, told in zip(predicted.tolist(), answers.tolist(), strict=True):
        name, f1 = kind(said, told)
        counts[name] += 1
        if name != "right":
            lost[name] += 1 - f1
    choose = choose or (lambda counts, lost: max(lost, key=lost.get))
    return counts, choose(counts, lost)


@right()
def one_question_at_a_time(predicted, answers):
    return added(predicted, answers)


@right()
def with_masks(predicted, answers):
    s, t = predicted, answers
    silent = (s[:, 0] < 0) & (t[:, 0] >= 0)
    invented = (s[:, 0] >= 0) & (t[:, 0] < 0)
    same = (s == t).all(axis=1)
    both = (s[:, 0] >= 0) & (t[:, 0] >= 0) & ~same
    shared = np.minimum(s[:, 1], t[:, 1]) - np.maximum(s[:, 0], t[:, 0]) + 1
    near = both & (shared > 0)
    f1 = 2 * shared / (s[:, 1] - s[:, 0] + t[:, 1] - t[:, 0] + 2)
    lost = {"boundary": (1 - f1)[near].sum(), "elsewhere": (both & ~near).sum()}
    lost |= {"silent": silent.sum(), "invented": invented.sum()}
    counts = {"right": same.sum(), "boundary": near.sum(), "elsewhere": (both & ~near).sum()}
    counts |= {"silent": silent.sum(), "invented": invented.sum()}
    return {name: int(n) for name, n in counts.items()}, max(lost, key=lambda k: float(lost[k]))


@right()
def with_sets_of_tokens(predicted, answers):
    def kind(said, told):
        a, b = (set() if x < 0 else set(range(x, y + 1)) for x, y in (said, told))
        if a == b:
            return "right", 1.0
        if not a or not b:
            return ("silent" if b else "invented"), 0.0
        return ("boundary" if a & b else "elsewhere"), 2 * len(a & b) / (len(a) + len(b))

    return added(predicted, answers, kind)


@right()
def sorted_by_cost(predicted, answers):
    def choose(counts, lost):
        return sorted(lost.items(), key=lambda item: -item[1])[0][0]

    return added(predicted, answers, choose=choose)


@wrong("commonest")
def most_questions(predicted, answers):
    def choose(counts, lost):
        return max(KINDS[1:], key=counts.get)

    return added(predicted, answers, choose=choose)


@wrong("dearest-each")
def most_each(predicted, answers):
    def choose(counts, lost):
        return max(KINDS[1:], key=lambda kind: lost[kind] / max(counts[kind], 1))

    return added(predicted, answers, choose=choose)


@wrong("touching-is-overlap")
def neighbours(predicted, answers):
    return added(predicted, answers, partial(kind_of, more=2))


@wrong("silent-and-invented-swapped")
def swapped(predicted, answers):
    other = {"silent": "invented", "invented": "silent"}

    def kind(said, told):
        name, f1 = kind_of(said, told)
        return other.get(name, name), f1

    return added(predicted, answers, kind)


@wrong("boundary-is-elsewhere")
def right_or_not(predicted, answers):
    def kind(said, told):
        name, f1 = kind_of(said, told)
        return ("elsewhere" if name == "boundary" else name), f1

    return added(predicted, answers, kind)


@wrong("silence-is-never-right")
def silence_is_an_error(predicted, answers):
    def kind(said, told):
        return ("silent", 1.0) if said[0] < 0 and told[0] < 0 else kind_of(said, told)

    return added(predicted, answers, kind)


@wrong("start-alone")
def same_start(predicted, answers):
    def kind(said, told):
        name, f1 = kind_of(said, told)
        return ("right" if said[0] == told[0] else name), f1

    return added(predicted, answers, kind)


@wrong("cheapest")
def the_smallest_cost(predicted, answers):
    def choose(counts, lost):
        return min((k for k in lost if counts[k]), key=lost.get)

    return added(predicted, answers, choose=choose)


@wrong("wrong-type")
def the_counts_alone(predicted, answers):
    return added(predicted, answers)[0]
