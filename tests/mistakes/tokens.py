"""Answers to the exercises of lesson 01, tokens, and what each must be told."""

import itertools
from functools import partial

import keras
import numpy as np
from keras import ops

from course.tokens import Tokenizer

from . import Catalogue

CATALOGUE = Catalogue()


# 1. Longest match first

right = partial(CATALOGUE.right, "tokens.wordpiece")
wrong = partial(CATALOGUE.wrong, "tokens.wordpiece")


@right()
def as_in_berts_code(word, vocabulary):
    chars = list(word)
    is_bad, start, sub_tokens = False, 0, []
    while start < len(chars):
        end = len(chars)
        cur_substr = None
        while start < end:
            substr = "".join(chars[start:end])
            if start > 0:
                substr = "##" + substr
            if substr in vocabulary:
                cur_substr = substr
                break
            end -= 1
        if cur_substr is None:
            is_bad = True
            break
        sub_tokens.append(cur_substr)
        start = end
    return ["[UNK]"] if is_bad else sub_tokens


@right()
def calls_itself(word, vocabulary):
    def rest(word, mark):
        if not word:
            return []
        for end in range(len(word), 0, -1):
            if mark + word[:end] in vocabulary:
                following = rest(word[end:], "##")
                return None if following is None else [mark + word[:end], *following]
        return None

    pieces = rest(word, "")
    return ["[UNK]"] if pieces is None else pieces


@right()
def longest_entry_that_fits(word, vocabulary):
    pieces = []
    while word:
        mark = "##" if pieces else ""
        fits = [
            piece
            for piece in vocabulary
            if piece.startswith("##") == bool(pieces)
            and piece != mark
            and (mark + word).startswith(piece)
        ]
        if not fits:
            return ["[UNK]"]
        best = max(fits, key=len)
        pieces.append(best)
        word = word[len(best) - len(mark) :]
    return pieces


@right()
def a_tuple_by_way_of_a_set(word, vocabulary):
    known, pieces = set(vocabulary), ()
    text = word
    while text:
        mark = "##" * (text != word)
        end = next((e for e in range(len(text), 0, -1) if mark + text[:e] in known), 0)
        if end == 0:
            return ("[UNK]",)
        pieces += (mark + text[:end],)
        text = text[end:]
        if text == word:  # cannot be: text has become shorter
            break
    return pieces


def cut(word, vocabulary, mark="##", ends=None, unknown=None):
    """Longest match first with places to slip."""
    pieces, begin = [], 0
    ends = ends or (lambda begin, length: range(length, begin, -1))
    while begin < len(word):
        prefix = mark if begin else ""
        for end in ends(begin, len(word)):
            if prefix + word[begin:end] in vocabulary:
                break
        else:
            return ["[UNK]"] if unknown is None else unknown(pieces, word)
        pieces.append(prefix + word[begin:end])
        begin = end
    return pieces


@wrong("shortest-first")
def from_one_letter_up(word, vocabulary):
    return cut(word, vocabulary, ends=lambda begin, n: range(begin + 1, n + 1))


@wrong("no-hashes")
def continuations_like_beginnings(word, vocabulary):
    return cut(word, vocabulary, mark="")


@wrong("beginnings-too")
def any_piece_that_fits(word, vocabulary):
    pieces, begin = [], 0
    while begin < len(word):
        for end in range(len(word), begin, -1):
            text = word[begin:end]
            if begin and "##" + text in vocabulary:
                pieces.append("##" + text)
                break
            if text in vocabulary:
                pieces.append(text)
                break
        else:
            return ["[UNK]"]
        begin = end
    return pieces


@wrong("unrecognised")
def pieces_of_four_letters_at_most(word, vocabulary):
    return cut(word, vocabulary, ends=lambda begin, n: range(min(n, begin + 4), begin, -1))


@wrong("hashes-lost")
def slices_of_the_word(word, vocabulary):
    return [piece.replace("##", "") for piece in cut(word, vocabulary)]


@wrong("unknown-at-the-end")
def keeps_what_it_had(word, vocabulary):
    return cut(word, vocabulary, unknown=lambda pieces, word: [*pieces, "[UNK]"])


@wrong("rest-dropped")
def stops_where_it_is(word, vocabulary):
    return cut(word, vocabulary, unknown=lambda pieces, word: pieces)


@wrong("unknown-as-nothing")
def an_empty_list(word, vocabulary):
    return cut(word, vocabulary, unknown=lambda pieces, word: [])


@wrong("unknown-as-itself")
def the_word_for_itself(word, vocabulary):
    return cut(word, vocabulary, unknown=lambda pieces, word: [word])


@wrong("unknown-characters")
def a_letter_at_a_time(word, vocabulary):
    pieces, begin = [], 0
    while begin < len(word):
        prefix = "##" if begin else ""
        for end in range(len(word), begin, -1):
            if prefix + word[begin:end] in vocabulary:
                pieces.append(prefix + word[begin:end])
                begin = end
                break
        else:
            pieces.append("[UNK]")
            begin += 1
    return pieces


@wrong("characters-dropped")
def passes_over_letters(word, vocabulary):
    return [piece for piece in a_letter_at_a_time(word, vocabulary) if piece != "[UNK]"]


@wrong("backtracked")
def tries_all_cuts(word, vocabulary):
    def rest(begin):
        if begin == len(word):
            return []
        for end in range(len(word), begin, -1):
            piece = ("##" if begin else "") + word[begin:end]
            if piece in vocabulary and (following := rest(end)) is not None:
                return [piece, *following]
        return None

    return rest(0) or ["[UNK]"]


@wrong("fewest-pieces")
def a_shortest_path(word, vocabulary):
    best = {0: []}
    for end in range(1, len(word) + 1):
        found = [
            [*best[begin], piece]
            for begin in range(end)
            if begin in best and (piece := ("##" if begin else "") + word[begin:end]) in vocabulary
        ]
        if found:
            best[end] = min(found, key=len)
    return best.get(len(word), ["[UNK]"])


@wrong("from-the-end")
def suffix_first(word, vocabulary):
    pieces, end = [], len(word)
    while end > 0:
        for begin in range(end):
            piece = ("##" if begin else "") + word[begin:end]
            if piece in vocabulary:
                break
        else:
            return ["[UNK]"]
        pieces = [piece, *pieces]
        end = begin
    return pieces


@wrong("order-of-the-list")
def first_entry_that_fits(word, vocabulary):
    pieces, begin = [], 0
    while begin < len(word):
        for piece in vocabulary:
            text = piece[2:] if piece.startswith("##") else piece
            if piece.startswith("##") == (begin > 0) and word.startswith(text, begin):
                pieces.append(piece)
                begin += len(text)
                break
        else:
            return ["[UNK]"]
    return pieces


@wrong("hashes-at-the-start")
def marks_everywhere(word, vocabulary):
    pieces, begin = [], 0
    while begin < len(word):
        for end in range(len(word), begin, -1):
            if "##" + word[begin:end] in vocabulary:
                break
        else:
            return ["[UNK]"]
        pieces.append("##" + word[begin:end])
        begin = end
    return pieces


@wrong("found-anywhere")
def in_instead_of_startswith(word, vocabulary):
    out, rest = [], word
    while rest:
        fits = [p for p in vocabulary if p.removeprefix("##") in rest]
        fits = [p for p in fits if p.startswith("##") == bool(out)]
        if not fits:
            return ["[UNK]"]
        out.append(max(fits, key=len))
        rest = rest[len(out[-1].removeprefix("##")) :]
    return out


@wrong("marks-counted")
def goes_on_by_the_piece_with_its_marks(word, vocabulary):
    pieces, begin = [], 0
    while begin < len(word):
        mark = "##" if begin else ""
        for end in range(len(word), begin, -1):
            if mark + word[begin:end] in vocabulary:
                break
        else:
            return ["[UNK]"]
        pieces.append(mark + word[begin:end])
        begin += len(pieces[-1])
    return pieces


@wrong("single-letters-skipped")
def stops_at_two_letters(word, vocabulary):
    return cut(word, vocabulary, ends=lambda begin, n: range(n, begin + 1, -1))


@wrong("rest-never-whole")
def begins_one_letter_short(word, vocabulary):
    return cut(word, vocabulary, ends=lambda begin, n: range(n - 1, begin, -1))


@wrong("unrecognised")
def another_name_for_unknown(word, vocabulary):
    return cut(word, vocabulary, unknown=lambda pieces, word: ["<unk>"])


@wrong("unrecognised")
def marks_at_the_back(word, vocabulary):
    pieces = cut(word, vocabulary)
    return [p.removeprefix("##") + "##" * (p.startswith("##")) for p in pieces]


@wrong("wrong-type")
def joined_by_spaces(word, vocabulary):
    return " ".join(cut(word, vocabulary))


@wrong("wrong-type")
def places_in_the_vocabulary(word, vocabulary):
    return [vocabulary.index(piece) for piece in cut(word, vocabulary)]


@wrong("wrong-type")
def none_for_unknown(word, vocabulary):
    return cut(word, vocabulary, unknown=lambda pieces, word: None)


@wrong("too-slow", seconds=1.0)
def never_moves_on(word, vocabulary):
    begin, pieces = 0, []
    while begin < len(word):
        if word[begin:] in vocabulary:
            pieces.append(word[begin:])
    return pieces


@wrong("exception")
def walks_off_the_word(word, vocabulary):
    begin, pieces = 0, []
    while begin < len(word):
        end = len(word)
        while ("##" if begin else "") + word[begin:end] not in vocabulary:
            end -= 1
            word[end]
            if end < -2 * len(word):
                break
        pieces.append(("##" if begin else "") + word[begin:end])
        begin = end
    return pieces


@wrong("forbidden-call")
def the_ready_made_one(word, vocabulary):
    made = Tokenizer.from_vocab(list(dict.fromkeys(vocabulary)))
    return made.tokenize(word, special=False).tokens


@wrong("not-written")
def wordpiece_not_written(word, vocabulary):
    raise NotImplementedError


@wrong("wrong-arguments")
def vocabulary_forgotten(word):
    return [word]


# 2. Fill up a batch

right = partial(CATALOGUE.right, "tokens.pad")
wrong = partial(CATALOGUE.wrong, "tokens.pad")


@right()
def row_by_row(rows, pad_id=0):
    longest = max(map(len, rows))
    ids = np.array([row + [pad_id] * (longest - len(row)) for row in rows])
    mask = np.array([[True] * len(row) + [False] * (longest - len(row)) for row in rows])
    return ids, mask


@right()
def compared_with_the_pad_id(rows, pad_id=0):
    longest = max(len(row) for row in rows)
    ids = ops.convert_to_tensor(
        [list(row) + [pad_id] * (longest - len(row)) for row in rows], dtype="int32"
    )
    return ids, ops.not_equal(ids, pad_id)


@right()
def by_zip_longest(rows, pad_id=0):
    ids = np.array(list(itertools.zip_longest(*rows, fillvalue=pad_id)), "int64").T
    return [ids, ids != pad_id]


@right()
def from_the_lengths(rows, pad_id=0):
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad_id, "int32")
    ids[mask] = np.concatenate([np.array(row, "int32") for row in rows])
    return ids, mask


@right()
def with_np_pad(rows, pad_id=0):
    n = max(len(r) for r in rows)
    out = [np.pad(np.array(r, int), (0, n - len(r)), constant_values=pad_id) for r in rows]
    return np.stack(out), np.stack([np.arange(n) < len(r) for r in rows])


@wrong("padded-in-front")
def as_keras_does_by_default(rows, pad_id=0):
    longest = max(map(len, rows))
    ids = np.array([[pad_id] * (longest - len(row)) + row for row in rows])
    return ids, ids != pad_id


@wrong("cut-to-the-first")
def as_wide_as_the_first_row(rows, pad_id=0):
    width = len(rows[0])
    ids = np.array([[*row[:width], *[pad_id] * (width - len(row))] for row in rows], "int32")
    return ids, np.arange(width) < np.array([min(len(row), width) for row in rows])[:, None]


@wrong("mask-inverted")
def true_for_padding(rows, pad_id=0):
    ids, mask = row_by_row(rows, pad_id)
    return ids, ~mask


@wrong("pad-id-ignored")
def filled_with_zeros(rows, pad_id=0):
    longest = max(map(len, rows))
    ids, mask = np.zeros((len(rows), longest), int), np.zeros((len(rows), longest), bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, True
    return ids, mask


@wrong("mask-of-zeros")
def compared_with_zero(rows, pad_id=0):
    ids, _ = row_by_row(rows, pad_id)
    return ids, ids != 0


@wrong("zeros-throughout")
def zeros_and_compared_with_zero(rows, pad_id=0):
    ids, _ = filled_with_zeros(rows)
    return ids, ids != 0


@wrong("mask-all-true")
def ones_for_a_mask(rows, pad_id=0):
    ids, mask = row_by_row(rows, pad_id)
    return ids, np.ones_like(mask)


@wrong("cut-to-the-shortest")
def cut_by_zip(rows, pad_id=0):
    ids = np.array(list(zip(*rows, strict=False)), int).reshape(-1, len(rows)).T
    return ids, np.ones(ids.shape, bool)


@wrong("one-too-wide")
def a_column_more(rows, pad_id=0):
    return row_by_row([*rows, [pad_id] * (max(map(len, rows)) + 1)], pad_id)[0][:-1], np.array(
        [[j < len(r) for j in range(max(map(len, rows)) + 1)] for r in rows]
    )


@wrong("transposed")
def columns_for_rows(rows, pad_id=0):
    ids = np.array(list(itertools.zip_longest(*rows, fillvalue=pad_id)))
    return ids, ids != pad_id


@wrong("mask-of-rows")
def one_truth_a_row(rows, pad_id=0):
    return row_by_row(rows, pad_id)[0], np.array([len(row) > 0 for row in rows])


@wrong("lengths-for-a-mask")
def returns_lengths(rows, pad_id=0):
    return row_by_row(rows, pad_id)[0], np.array([len(row) for row in rows])


@wrong("mask-first")
def the_other_way_round(rows, pad_id=0):
    return row_by_row(rows, pad_id)[::-1]


@wrong("float-ids")
def a_float_array(rows, pad_id=0):
    ids = np.full((len(rows), max(map(len, rows))), float(pad_id))
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
    return ids, ids != pad_id


@wrong("wrong-type")
def numbers_for_truth(rows, pad_id=0):
    ids, mask = row_by_row(rows, pad_id)
    return ids, mask.astype("int32")


@wrong("wrong-type")
def ids_alone(rows, pad_id=0):
    return row_by_row(rows, pad_id)[0]


@wrong("wrong-type")
def lists_of_lists(rows, pad_id=0):
    ids, mask = row_by_row(rows, pad_id)
    return ids.tolist(), mask.tolist()


@wrong("wrong-shape")
def one_long_row(rows, pad_id=0):
    ids, mask = row_by_row(rows, pad_id)
    return ids.ravel(), mask.ravel()


@wrong("wrong-shape")
def always_ten_wide(rows, pad_id=0):
    ids = np.array([row + [pad_id] * (10 - len(row)) for row in rows])
    return ids, ids != pad_id


@wrong("exception")
def a_ragged_array(rows, pad_id=0):
    ids = np.array(rows, "int32")
    return ids, ids != pad_id


@wrong("empty-row")
def looks_at_the_first_id(rows, pad_id=0):
    assert all(row[0] >= 0 for row in rows)
    return row_by_row(rows, pad_id)


@wrong("forbidden-call")
def padded_by_keras(rows, pad_id=0):
    ids = keras.utils.pad_sequences(rows, padding="post", value=pad_id)
    return ids, ids != pad_id


# 3. Repair a mean that counts the padding

right = partial(CATALOGUE.right, "tokens.repair")
wrong = partial(CATALOGUE.wrong, "tokens.repair")


@right()
def weights_and_a_sum(vectors, padding_mask):
    weights = ops.cast(ops.expand_dims(padding_mask, -1), vectors.dtype)
    count = ops.sum(weights, axis=1)
    return ops.sum(vectors * weights, axis=1) / ops.where(count == 0, ops.ones_like(count), count)


@right()
def by_where(vectors, padding_mask):
    kept = ops.where(padding_mask[..., None], vectors, ops.zeros_like(vectors))
    count = ops.cast(ops.sum(ops.cast(padding_mask, "int32"), axis=1), vectors.dtype)
    return ops.sum(kept, axis=1) / ops.maximum(count, 1)[:, None]


@right()
def by_einsum(vectors, padding_mask):
    mask = ops.cast(padding_mask, vectors.dtype)
    count = ops.maximum(ops.sum(mask, axis=-1, keepdims=True), 1)
    return ops.einsum("bld,bl->bd", vectors, mask / count)


@right()
def in_numpy_row_by_row(vectors, padding_mask):
    x, mask = ops.convert_to_numpy(vectors), ops.convert_to_numpy(padding_mask)
    rows = [
        r[m].mean(axis=0) if m.any() else np.zeros(r.shape[-1])
        for r, m in zip(x, mask, strict=True)
    ]
    return np.array(rows, x.dtype)


@right()
def with_a_product_of_matrices(vectors, padding_mask):
    mask = ops.cast(padding_mask, vectors.dtype)[:, None, :]
    total = ops.matmul(mask, vectors)[:, 0]
    return ops.divide_no_nan(total, ops.sum(mask, axis=-1))


def weights_of(vectors, padding_mask):
    return ops.cast(padding_mask, vectors.dtype)[..., None]


@wrong("padding-counted")
def as_handed_out(vectors, padding_mask):
    return ops.mean(vectors, axis=1)


@wrong("divided-by-length")
def mean_of_the_product(vectors, padding_mask):
    return ops.mean(vectors * weights_of(vectors, padding_mask), axis=1)


@wrong("sum")
def added_up(vectors, padding_mask):
    return ops.sum(vectors * weights_of(vectors, padding_mask), axis=1)


@wrong("mask-inverted")
def mean_of_the_padding(vectors, padding_mask):
    return weights_and_a_sum(vectors, ops.logical_not(padding_mask))


@wrong("empty-row-nan")
def nothing_by_nothing(vectors, padding_mask):
    real = weights_of(vectors, padding_mask)
    return ops.sum(vectors * real, axis=1) / ops.sum(real, axis=1)


@wrong("divided-by-all")
def words_of_the_batch(vectors, padding_mask):
    real = weights_of(vectors, padding_mask)
    return ops.sum(vectors * real, axis=1) / ops.sum(real)


@wrong("mean-count")
def words_on_average(vectors, padding_mask):
    real = weights_of(vectors, padding_mask)
    return ops.sum(vectors * real, axis=1) / ops.mean(ops.sum(real, axis=1))


@wrong("maximum")
def largest_numbers(vectors, padding_mask):
    low = ops.cast(-np.inf, vectors.dtype)
    return ops.max(ops.where(padding_mask[..., None], vectors, low), axis=1)


@wrong("one-vector")
def all_rows_together(vectors, padding_mask):
    x, mask = ops.convert_to_numpy(vectors), ops.convert_to_numpy(padding_mask)
    return x[mask].mean(axis=0)


@wrong("over-the-batch")
def the_first_axis(vectors, padding_mask):
    real = weights_of(vectors, padding_mask)
    return ops.sum(vectors * real, axis=0) / ops.maximum(ops.sum(real, axis=0), 1)


@wrong("one-too-many")
def one_added_against_zero(vectors, padding_mask):
    real = weights_of(vectors, padding_mask)
    return ops.sum(vectors * real, axis=1) / (ops.sum(real, axis=1) + 1)


@wrong("last-vector")
def only_the_last_word(vectors, padding_mask):
    x, mask = ops.convert_to_numpy(vectors), ops.convert_to_numpy(padding_mask)
    return x[np.arange(len(x)), np.maximum(mask.sum(axis=1) - 1, 0)]


@wrong("exception")
def truth_times_number(vectors, padding_mask):
    weights = np.array(["real" if m else None for m in padding_mask[0]])
    return vectors * weights[:, None]


@wrong("dtypes-mixed", "wrong-dtype")
def a_float32_mask(vectors, padding_mask):
    real = ops.cast(padding_mask, "float32")[..., None]
    return ops.sum(vectors * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1)


@wrong("wrong-dtype")
def always_float32(vectors, padding_mask):
    return ops.cast(weights_and_a_sum(vectors, padding_mask), "float32")


@wrong("wrong-shape")
def an_axis_kept(vectors, padding_mask):
    return weights_and_a_sum(vectors, padding_mask)[:, None, :]


@wrong("unrecognised", "nan")
def a_small_number_against_zero(vectors, padding_mask):
    real = weights_of(vectors, padding_mask)
    return ops.sum(vectors * real, axis=1) / (ops.sum(real, axis=1) + 0.01)


@wrong("wrong-type")
def mean_and_count(vectors, padding_mask):
    return weights_and_a_sum(vectors, padding_mask), ops.sum(ops.cast(padding_mask, "int32"))


@wrong("empty-row-nan")
def a_small_number_that_float16_lacks(vectors, padding_mask):
    weights = ops.cast(padding_mask, vectors.dtype)[..., None]
    return ops.sum(vectors * weights, axis=1) / (ops.sum(weights, axis=1) + 1e-9)


@wrong("batch-axis-lost")
def squeezed(vectors, padding_mask):
    weights = ops.cast(padding_mask, vectors.dtype)
    weights = weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1)
    return ops.squeeze(ops.matmul(weights[:, None, :], vectors))


# 4. Measure what sorting saves

right = partial(CATALOGUE.right, "tokens.bucket")
wrong = partial(CATALOGUE.wrong, "tokens.bucket")


def batched(lengths, batch_size):
    return [lengths[i : i + batch_size] for i in range(0, len(lengths), batch_size)]


def share_of(lengths, batch_size):
    whole = sum(len(b) * max(b) for b in batched(lengths, batch_size))
    return (whole - sum(lengths)) / whole


@right()
def two_calls(lengths, batch_size):
    return share_of(lengths, batch_size), share_of(np.sort(lengths), batch_size)


@right()
def a_list_from_python(lengths, batch_size):
    given = [int(n) for n in lengths]
    return [share_of(given, batch_size), share_of(sorted(given), batch_size)]


@right()
def both_in_one_array(lengths, batch_size):
    return np.array([share_of(lengths, batch_size), share_of(np.sort(lengths), batch_size)])


@right()
def by_reduceat(lengths, batch_size):
    starts = np.arange(0, len(lengths), batch_size)
    rows = np.diff([*starts, len(lengths)])

    def share(x):
        return 1 - x.sum() / (np.maximum.reduceat(x, starts) * rows).sum()

    return share(lengths), share(np.sort(lengths))


@right()
def filled_up_and_counted(lengths, batch_size):
    answer = []
    for order in (lengths, np.array(sorted(lengths))):
        pads = total = 0
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            for n in batch:
                pads += batch.max() - n
                total += batch.max()
        answer.append(pads / total)
    return np.array(answer)[0], np.array(answer)[1]


@wrong("real-share")
def what_is_real(lengths, batch_size):
    return tuple(1 - share for share in two_calls(lengths, batch_size))


@wrong("of-real")
def padding_by_real(lengths, batch_size):
    return tuple(share / (1 - share) for share in two_calls(lengths, batch_size))


@wrong("count")
def ids_of_padding(lengths, batch_size):
    return tuple(
        int(sum(len(b) * b.max() - b.sum() for b in batched(x, batch_size)))
        for x in (lengths, np.sort(lengths))
    )


@wrong("percent")
def in_percent(lengths, batch_size):
    return tuple(100 * share for share in two_calls(lengths, batch_size))


@wrong("mean-of-shares")
def averaged_over_batches(lengths, batch_size):
    return tuple(
        np.mean([1 - b.mean() / b.max() for b in batched(x, batch_size)])
        for x in (lengths, np.sort(lengths))
    )


@wrong("one-width")
def as_wide_as_the_longest_of_all(lengths, batch_size):
    share = 1 - lengths.mean() / lengths.max()
    return share, share


@wrong("not-sorted")
def sorts_and_forgets(lengths, batch_size):
    sorted(lengths)
    return share_of(lengths, batch_size), share_of(lengths, batch_size)


@wrong("longest-first")
def from_long_to_short(lengths, batch_size):
    return share_of(lengths, batch_size), share_of(np.sort(lengths)[::-1], batch_size)


@wrong("last-batch-dropped")
def full_batches_only(lengths, batch_size):
    n = len(lengths) // batch_size * batch_size
    shares = []
    for order in (lengths, np.sort(lengths)):
        batches = order[:n].reshape(-1, batch_size)
        shares.append(1 - batches.sum() / (batches.max(axis=1) * batch_size).sum())
    return tuple(shares)


@wrong("last-batch-full")
def missing_rows_counted(lengths, batch_size):
    return tuple(
        1 - x.sum() / sum(batch_size * b.max() for b in batched(x, batch_size))
        for x in (lengths, np.sort(lengths))
    )


@wrong("sorted-first")
def in_the_other_order(lengths, batch_size):
    return two_calls(lengths, batch_size)[::-1]


@wrong("saved")
def the_difference(lengths, batch_size):
    given, ordered = two_calls(lengths, batch_size)
    return given - ordered


@wrong("input-changed")
def sorts_in_place(lengths, batch_size):
    first = share_of(lengths, batch_size)
    lengths.sort()
    return first, share_of(lengths, batch_size)


@wrong("unrecognised")
def shares_added_up(lengths, batch_size):
    return tuple(
        sum(1 - b.mean() / b.max() for b in batched(x, batch_size))
        for x in (lengths, np.sort(lengths))
    )


@wrong("wrong-type")
def only_the_first(lengths, batch_size):
    return (share_of(lengths, batch_size),)


@wrong("exception")
def reshaped_at_once(lengths, batch_size):
    batches = np.sort(lengths).reshape(-1, batch_size)
    share = 1 - batches.sum() / (batches.max(axis=1) * batch_size).sum()
    return share_of(lengths, batch_size), share


# 5. Decide where to cut

right = partial(CATALOGUE.right, "tokens.decide")
wrong = partial(CATALOGUE.wrong, "tokens.decide")


@right()
def tries_one_after_another(lengths, share):
    limit = 8
    while (lengths <= limit).mean() < share:
        limit += 8
    return limit


@right()
def counts_the_rows(lengths, share):
    for limit in range(8, int(max(lengths)) + 9, 8):
        if sum(n <= limit for n in lengths) >= share * len(lengths):
            return limit


@right()
def the_last_row_that_must_fit(lengths, share):
    need = int(np.ceil(share * len(lengths)))
    return int(-(-np.sort(lengths)[need - 1] // 8) * 8)


@right()
def a_quantile_that_is_a_row(lengths, share):
    return 8 * np.ceil(np.quantile(lengths, share, method="inverted_cdf") / 8)


@right()
def cumulated(lengths, share):
    limits = np.arange(8, lengths.max() + 8, 8)
    fits = (lengths[:, None] <= limits).sum(axis=0)
    return limits[np.argmax(fits >= share * len(lengths))]


def row_that_must_fit(lengths, share):
    return int(np.sort(lengths)[int(np.ceil(share * len(lengths))) - 1])


@wrong("not-a-multiple")
def the_length_itself(lengths, share):
    return row_that_must_fit(lengths, share)


@wrong("rounded-down")
def by_floor_division(lengths, share):
    return row_that_must_fit(lengths, share) // 8 * 8


@wrong("rounded-to-nearest")
def by_round(lengths, share):
    return round(row_that_must_fit(lengths, share) / 8) * 8


@wrong("always-one-more")
def the_next_multiple(lengths, share):
    return (row_that_must_fit(lengths, share) // 8 + 1) * 8


@wrong("of-ids-kept")
def share_of_the_ids(lengths, share):
    limit = 8
    while np.minimum(lengths, limit).sum() < share * lengths.sum():
        limit += 8
    return limit


@wrong("of-tokens")
def ids_of_the_rows_that_fit(lengths, share):
    limit = 8
    while lengths[lengths <= limit].sum() < share * lengths.sum():
        limit += 8
    return limit


@wrong("longest")
def all_of_them(lengths, share):
    return -(-int(lengths.max()) // 8) * 8


@wrong("one-row-too-few")
def index_one_before(lengths, share):
    at = max(int(np.ceil(share * len(lengths))) - 2, 0)
    return int(-(-np.sort(lengths)[at] // 8) * 8)


@wrong("one-row-too-many")
def index_one_behind(lengths, share):
    at = min(int(share * len(lengths)), len(lengths) - 1)
    return int(-(-np.sort(lengths)[at] // 8) * 8)


@wrong("share-of-the-longest")
def part_of_the_longest(lengths, share):
    return int(np.ceil(share * lengths.max() / 8) * 8)


@wrong("share-cut")
def share_that_is_cut(lengths, share):
    limit = 8
    while np.mean(lengths <= limit) < 1 - share:
        limit += 8
    return limit


@wrong("rows-rounded-down")
def int_of_the_share(lengths, share):
    return int(np.sort(lengths)[int(len(lengths) * share) - 1] + 7) // 8 * 8


@wrong("rows-rounded")
def round_of_the_share(lengths, share):
    return int(np.sort(lengths)[round(len(lengths) * share) - 1] + 7) // 8 * 8


@wrong("percentile")
def percentile_of_a_share(lengths, share):
    return int(np.ceil(np.percentile(lengths, share) / 8) * 8)


@wrong("interpolated")
def a_plain_quantile(lengths, share):
    return int(np.ceil(np.quantile(lengths, share) / 8) * 8)


@wrong("mean")
def mean_length(lengths, share):
    return int(np.ceil(lengths.mean() / 8) * 8)


@wrong("power-of-two")
def doubles_each_time(lengths, share):
    limit = 1
    while np.mean(lengths <= limit) < share:
        limit *= 2
    return limit


@wrong("always-one-more")
def strictly_shorter(lengths, share):
    limit = 8
    while np.mean(lengths < limit) < share:
        limit += 8
    return limit


@wrong("wrong-type")
def limit_and_share(lengths, share):
    limit = tries_one_after_another(lengths, share)
    return limit, float(np.mean(lengths <= limit))


@wrong("too-slow", seconds=1.0)
def more_than_all(lengths, share):
    limit = 8
    while np.mean(lengths <= limit) <= share:
        limit += 8
    return limit


@wrong("repeats-dropped")
def of_the_different_lengths(lengths, share):
    lengths = sorted(set(lengths.tolist()))
    return -(-lengths[int(np.ceil(share * len(lengths))) - 1] // 8) * 8


@wrong("not-sorted")
def in_the_order_they_come(lengths, share):
    need = int(np.ceil(share * len(lengths)))
    return int(-(-lengths[need - 1] // 8) * 8)


@wrong("share-cut")
def from_the_longest_down(lengths, share):
    need = int(np.ceil(share * len(lengths)))
    return int(-(-np.sort(lengths)[::-1][need - 1] // 8) * 8)


@wrong("rows-rounded")
def the_nearest_quantile(lengths, share):
    return np.ceil(np.quantile(lengths, share, method="nearest") / 8) * 8
