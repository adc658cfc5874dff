"""Exercises of lesson 01, tokens: probes and the mistakes they find; words in text.toml."""

import string
from dataclasses import dataclass, replace

import numpy as np

from course.checks.declaration import OF_DTYPES, OF_SHAPES, Probe, Verdict, call, tensor
from course.checks.judges import Match, MatchRows, leaves, name_of, sentence_case
from course.checks.references import of_inputs, turned, turning
from course.checks.texts import exercise, lesson, questions
from course.exercises.tokens.merges import LEARN_MERGES

LESSON = lesson("tokens")

MAY_NOT_CALL = ("course.tokens.Tokenizer", "tokenizers", "transformers", "tensorflow_text")
UNKNOWN = "[UNK]"


# 1. Longest match first


def pieces(
    i,
    *,
    hashes="##",
    first="",
    ends=lambda begin, length: range(length, begin, -1),
    unknown=lambda found, word, begin: [UNKNOWN],
    write=lambda piece: piece,
    next_begin=lambda begin, end: end,
):
    """WordPiece on one word, with a knob for each slip."""
    word, vocabulary = i["word"], set(i["vocabulary"])
    found, begin = [], 0
    while begin < len(word):
        prefix = hashes if begin else first
        for end in ends(begin, len(word)):
            if prefix + word[begin:end] in vocabulary:
                break
        else:
            return unknown(found, word, begin)
        found.append(write(prefix + word[begin:end]))
        begin = next_begin(begin, end)
    return found


pieces_of = turning(pieces)


def _goes_on(i, keep):
    """Unknown characters are passed over one by one; `keep` says what stands for each."""
    word, vocabulary = i["word"], set(i["vocabulary"])
    found, begin = [], 0
    while begin < len(word):
        prefix = "##" if begin else ""
        ends = (e for e in range(len(word), begin, -1) if prefix + word[begin:e] in vocabulary)
        end = next(ends, None)
        found += keep if end is None else [prefix + word[begin:end]]
        begin = begin + 1 if end is None else end
    return found


def _other_cuts(i):
    """Every cut into pieces of the vocabulary."""
    word, vocabulary = i["word"], set(i["vocabulary"])

    def cuts(begin):
        if begin == len(word):
            yield []
        for end in range(len(word), begin, -1):
            piece = ("##" if begin else "") + word[begin:end]
            if piece in vocabulary:
                yield from ([piece, *rest] for rest in cuts(end))

    return list(cuts(0))


def _backtracked(i):
    cuts = _other_cuts(i)
    return cuts[0] if cuts else [UNKNOWN]


def _fewest(i):
    cuts = _other_cuts(i)
    if not cuts:
        return [UNKNOWN]
    best = [cut for cut in cuts if len(cut) == min(map(len, cuts))]
    return best[0] if len(best) == 1 else None


def _from_the_end(i):
    """The longest piece at the end of the word, then on towards its beginning."""
    word, vocabulary = i["word"], set(i["vocabulary"])
    found, end = [], len(word)
    while end:
        for begin in range(end):
            piece = ("##" if begin else "") + word[begin:end]
            if piece in vocabulary:
                break
        else:
            return [UNKNOWN]
        found.insert(0, piece)
        end = begin
    return found


def _first_in_the_list(i):
    """The first entry of the vocabulary that fits, however short."""
    word, found, begin = i["word"], [], 0
    while begin < len(word):
        prefix = "##" if begin else ""
        for piece in i["vocabulary"]:
            text = piece.removeprefix("##")
            if prefix + text == piece and text and word.startswith(text, begin):
                break
        else:
            return [UNKNOWN]
        found.append(piece)
        begin += len(text)
    return found


def _found_anywhere(i):
    """The longest piece that occurs anywhere in what is left of the word."""
    left, found = i["word"], []
    while left:
        pieces = (p for p in i["vocabulary"] if p.startswith("##") == bool(found))
        pieces = [p for p in pieces if p.removeprefix("##") in left]
        if not pieces:
            return [UNKNOWN]
        found.append(max(pieces, key=len))
        left = left[len(found[-1].removeprefix("##")) :]
    return found


def _beginnings_too(i):
    """Where no continuation fits, a piece that begins a word does."""
    word, vocabulary = i["word"], set(i["vocabulary"])
    found, begin = [], 0
    while begin < len(word):
        for end in range(len(word), begin, -1):
            piece = next((m for m in ("##", "") if m + word[begin:end] in vocabulary), None)
            if piece is not None and (begin or not piece):
                break
        else:
            return [UNKNOWN]
        found.append(piece + word[begin:end])
        begin = end
    return found


@dataclass(frozen=True)
class MatchPieces(Match):
    """`Match` for a list of strings, which it shows as one text."""

    def __call__(self, inputs, outcome):
        got = outcome.results[self.result]
        if not isinstance(got, list | tuple) or not all(isinstance(p, str) for p in got):
            what = f"{name_of(outcome.types[self.result], got)} was returned"
            detail = sentence_case(f"{what}, expected a list of strings.")
            return Verdict(False, ("wrong-type",), detail, got)
        results, types = {self.result: list(got)}, {self.result: ["str"] * len(got)}
        verdict = super().__call__(inputs, replace(outcome, results=results, types=types))
        if verdict.passed:
            return verdict
        ours, theirs = " ".join(got), " ".join(self.reference(inputs))
        kind = verdict.mistakes if verdict.mistakes[0] in self.names else ("unrecognised",)
        return replace(
            verdict, mistakes=kind, detail=f"The result is {ours!r}.", got=ours, expected=theirs
        )


judge_pieces = MatchPieces(
    pieces,
    {
        "shortest-first": pieces_of(ends=lambda begin, length: range(begin + 1, length + 1)),
        "no-hashes": pieces_of(hashes=""),
        "beginnings-too": _beginnings_too,
        "hashes-lost": pieces_of(write=lambda piece: piece.removeprefix("##")),
        "hashes-at-the-start": pieces_of(first="##"),
        "unknown-at-the-end": pieces_of(unknown=lambda found, word, begin: [*found, UNKNOWN]),
        "rest-dropped": pieces_of(unknown=lambda found, word, begin: found),
        "unknown-characters": lambda i: _goes_on(i, [UNKNOWN]),
        "characters-dropped": lambda i: _goes_on(i, []),
        "unknown-as-nothing": pieces_of(unknown=lambda found, word, begin: []),
        "unknown-as-itself": pieces_of(unknown=lambda found, word, begin: [word]),
        "backtracked": _backtracked,
        "fewest-pieces": _fewest,
        "from-the-end": _from_the_end,
        "order-of-the-list": _first_in_the_list,
        "found-anywhere": _found_anywhere,
        "marks-counted": pieces_of(next_begin=lambda begin, end: end + 2 * (begin > 0)),
        "single-letters-skipped": pieces_of(
            ends=lambda begin, length: range(length, begin + 1, -1)
        ),
        "rest-never-whole": pieces_of(ends=lambda begin, length: range(length - 1, begin, -1)),
    },
)


def word(text, *vocabulary):
    """A word and a vocabulary, their letters replaced by others that are drawn."""

    def inputs(rng):
        letters = string.ascii_lowercase
        other = str.maketrans(letters, "".join(rng.permutation(list(letters))))
        return {
            "word": text.translate(other),
            "vocabulary": [UNKNOWN, *(piece.translate(other) for piece in vocabulary)],
        }

    return inputs


def word_probe(title, points, inputs, **more):
    plan = lambda i: call(i["word"], i["vocabulary"]) | {"keras": False}  # noqa: E731
    return Probe(title, points, inputs, plan, judge_pieces, **more)


SINGLES = ("a", "b", "c", "##a", "##b", "##c")

WORDPIECE = exercise(
    "tokens.wordpiece",
    defines="wordpiece",
    may_not_call=MAY_NOT_CALL,
    probes=(
        word_probe(
            "a long word that is a piece",
            0.5,
            word("abcdefghijkl", "abcdefghijkl", "abc", "a", *(f"##{c}" for c in "abcdefghijkl")),
        ),
        word_probe(
            "three pieces, the longest first",
            1.5,
            word(
                "unwanted", "u", "un", "##w", "want", "ed", "##want", "##wan", "##ed", "##e", "##d"
            ),
        ),
        word_probe(
            "a beginning is no continuation",
            1,
            word("abab", "ab", "a", "b", "##a", "##b", "##ba"),
        ),
        word_probe("the whole word is unknown", 1, word("abcx", "ab", "x", *SINGLES)),
        word_probe("no letter of it is known", 0.5, word("xyz", *SINGLES)),
        word_probe("a gap in the middle is unknown too", 0.5, word("abxc", "ab", *SINGLES, "##bc")),
        word_probe(
            "no way back, where another cut would do",
            1,
            word("abcd", "abc", "ab", "a", "##bcd", "##cd", "##b", "##c"),
        ),
        word_probe(
            "longest first, not fewest",
            0.5,
            word("abcde", "abc", "ab", "##d", "##e", "##c", "##b", "##cde", "##bcde"),
        ),
        word_probe("one letter", 0.5, word("a", "##a", "b", "a")),
    ),
)


# 2. Fill up a batch


def padded(
    i,
    *,
    front=False,
    pad=None,
    width=max,
    mask=lambda ids, real, pad_id: real,
):
    """Rows of ids side by side and which are real, with a knob for each slip."""
    rows, pad_id = i["rows"], i["pad_id"]
    longest = width([len(row) for row in rows])
    ids = np.full((len(rows), longest), pad_id if pad is None else pad)
    real = np.zeros(ids.shape, bool)
    for n, row in enumerate(rows):
        row = row[:longest]
        place = slice(longest - len(row), longest) if front else slice(0, len(row))
        ids[n, place], real[n, place] = row, True
    return ids, mask(ids, real, pad_id)


padded_of = turning(padded)


@dataclass(frozen=True)
class MatchIds(Match):
    """`Match` for ids and a mask: ids are integers."""

    @property
    def names(self):
        return (*super().names, "float-ids")

    def __call__(self, inputs, outcome):
        verdict = super().__call__(inputs, outcome)
        floating = [t for t in leaves(outcome.types[self.result]) if t.startswith("float")]
        if floating and (verdict.passed or verdict.mistakes[0] == "wrong-dtype"):
            return Verdict(False, ("float-ids",), f"The ids are {floating[0]}.")
        return verdict


judge_padded = MatchIds(
    padded,
    {
        "padded-in-front": padded_of(front=True),
        "mask-inverted": padded_of(mask=lambda ids, real, pad_id: ~real),
        "pad-id-ignored": turned(padded, pad=0, when=lambda i: i["pad_id"]),
        "mask-of-zeros": turned(
            padded, mask=lambda ids, real, pad_id: ids != 0, when=lambda i: i["pad_id"]
        ),
        "zeros-throughout": turned(
            padded, pad=0, mask=lambda ids, real, pad_id: ids != 0, when=lambda i: i["pad_id"]
        ),
        "mask-all-true": padded_of(mask=lambda ids, real, pad_id: np.ones_like(real)),
        "cut-to-the-shortest": padded_of(width=min),
        "cut-to-the-first": padded_of(width=lambda lengths: lengths[0]),
        "one-too-wide": padded_of(width=lambda lengths: max(lengths) + 1),
        "transposed": lambda i: tuple(part.T for part in padded(i)),
        "mask-of-rows": padded_of(mask=lambda ids, real, pad_id: real.any(axis=1)),
        "lengths-for-a-mask": padded_of(mask=lambda ids, real, pad_id: real.sum(axis=1)),
        "mask-first": turned(padded, then=lambda r, i: r[::-1]),
    },
    labels=("ids", "mask"),
)


def rows(*lengths, pad_id=0, least=1):
    """Rows of ids that are drawn; the pad id is none of them."""

    def inputs(rng):
        ids = np.setdiff1d(np.arange(least, 200), [pad_id])
        drawn = [rng.choice(ids, n).tolist() for n in lengths]
        if least == 0:
            drawn[0][0] = 0  # a real word
        return {"rows": drawn, "pad_id": pad_id}

    return inputs


def call_padded(i):
    return call(i["rows"], **({"pad_id": i["pad_id"]} if i["pad_id"] else {}))


def padded_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, call_padded, judge_padded, **more)


# What a row without ids makes of max, min, an index or a stack.
EMPTY_ROW = r"(?i:empty|IndexError|out of range)|" + OF_SHAPES

PAD = exercise(
    "tokens.pad",
    defines="pad",
    may_not_call=(
        "keras.utils.pad_sequences",
        "keras.preprocessing.sequence.pad_sequences",
        "course.tokens.TokenBatches",
        "course.attention.padding_mask",
    ),
    probes=(
        padded_probe("one row", 0.5, rows(3)),
        padded_probe("three rows of different lengths", 1.5, rows(3, 5, 2)),
        padded_probe("rows of one length need no padding", 0.5, rows(4, 4)),
        padded_probe(
            "another pad id, where 0 is a real word",
            1,
            rows(4, 2, 6, pad_id=7, least=0),
        ),
        padded_probe(
            "an empty row is all padding", 0.5, rows(0, 3), if_raises={"empty-row": EMPTY_ROW}
        ),
    ),
)


# 3. Repair a mean that counts the padding


def mean(i, *, mask=lambda mask: mask, over=None, total=np.sum):
    """The mean of the real vectors of each row, with a knob for each slip."""
    x, m = i["vectors"].astype("float64"), mask(i["mask"])
    kept = np.where(m[..., None], x, 0)
    count = m.sum(axis=1, keepdims=True) if over is None else over(m)
    return total(kept, axis=1) / np.maximum(count, 1)


mean_of = turning(mean)


def _not_a_number(i):
    with np.errstate(all="ignore"):
        m = i["mask"]
        return np.where(m[..., None], i["vectors"], 0).sum(1) / m.sum(1, keepdims=True)


judge_mean = Match(
    mean,
    {
        "padding-counted": lambda i: i["vectors"].mean(axis=1),
        "divided-by-length": mean_of(over=lambda m: m.shape[1]),
        "sum": mean_of(over=lambda m: 1),
        "mask-inverted": mean_of(mask=np.logical_not),
        "empty-row-nan": lambda i: _not_a_number(i) if not i["mask"].any(axis=1).all() else None,
        "divided-by-all": mean_of(over=lambda m: m.sum()),
        "mean-count": mean_of(over=lambda m: m.sum() / len(m)),
        "maximum": lambda i: np.where(i["mask"][..., None], i["vectors"], -np.inf).max(1),
        "one-vector": lambda i: (
            i["vectors"][i["mask"]].mean(axis=0) if len(i["mask"]) > 1 else None
        ),
        "batch-axis-lost": turned(mean, then=lambda r, i: r[0], when=lambda i: len(i["mask"]) == 1),
        "over-the-batch": lambda i: (
            np.where(i["mask"][..., None], i["vectors"], 0).sum(0)
            / np.maximum(i["mask"].sum(0), 1)[:, None]
        ),
        "one-too-many": mean_of(over=lambda m: m.sum(axis=1, keepdims=True) + 1),
        "last-vector": lambda i: i["vectors"][
            np.arange(len(i["mask"])), np.maximum(i["mask"].sum(1) - 1, 0)
        ],
    },
)


def sentences(*lengths, width=4, dtype="float32", longest=None, front=False):
    """Vectors of rows with so many real words each; what stands in the padding is large."""

    def inputs(rng):
        length = longest or max(lengths)
        place = np.arange(length)
        real = np.array([place >= length - n if front else place < n for n in lengths])
        x = rng.normal(size=(len(lengths), length, width))
        x = np.where(real[..., None], x, 5 + x).astype(dtype)
        more = {} if dtype == "float32" else {"dtype": dtype, "tolerance": 5e-3}
        return {"vectors": x, "mask": real} | more

    return inputs


def mean_probe(title, points, inputs, **more):
    plan = lambda i: call(tensor(i["vectors"]), tensor(i["mask"]))  # noqa: E731
    return Probe(title, points, inputs, plan, judge_mean, **more)


REPAIR = exercise(
    "tokens.repair",
    defines="sentence_vectors",
    probes=(
        # As it is handed out the function passes this one: it has to stay so, for no points.
        mean_probe("no padding", 0, sentences(4, 4)),
        mean_probe("two rows with padding", 1.5, sentences(2, 5, 3)),
        mean_probe("padding in front", 0.5, sentences(2, 5, front=True)),
        mean_probe("a row that is all padding gives zeros", 1, sentences(0, 3)),
        mean_probe("one word", 0.5, sentences(1, longest=4)),
        mean_probe(
            "float16 in, float16 out",
            0.5,
            sentences(3, 2, 0, dtype="float16"),
            if_raises={"dtypes-mixed": OF_DTYPES},
        ),
    ),
)


# 4. Measure what sorting saves


def shares(i, *, sort=np.sort, share="padding", last="short", width="batch", order=1):
    """Share of padding in the given order and sorted, with a knob for each slip."""

    def one(lengths):
        size = i["batch_size"]
        batches = [lengths[at : at + size] for at in range(0, len(lengths), size)]
        if last == "dropped" and len(batches[-1]) < size:
            batches = batches[:-1]
        whole = [(size if last == "full" else len(b)) * b.max() for b in batches]
        if width == "all":
            whole = [len(b) * i["lengths"].max() for b in batches]
        real = [b.sum() for b in batches]
        if share == "mean":
            return np.mean([1 - r / w for r, w in zip(real, whole, strict=True)])
        real, whole = float(np.sum(real)), float(np.sum(whole))
        return {
            "padding": 1 - real / whole,
            "real": real / whole,
            "of real": whole / real - 1,
            "count": whole - real,
            "percent": 100 * (1 - real / whole),
        }[share]

    return (one(i["lengths"]), one(sort(i["lengths"])))[::order]


shares_of = turning(shares)


def _rest(i):
    return len(i["lengths"]) % i["batch_size"]


judge_shares = MatchRows(
    shares,
    {
        "real-share": shares_of(share="real"),
        "of-real": shares_of(share="of real"),
        "count": shares_of(share="count"),
        "percent": shares_of(share="percent"),
        "mean-of-shares": shares_of(share="mean"),
        "one-width": shares_of(width="all"),
        "not-sorted": shares_of(sort=lambda lengths: lengths),
        "longest-first": turned(
            shares, sort=lambda lengths: np.sort(lengths)[::-1], when=lambda i: _rest(i)
        ),
        "last-batch-dropped": turned(shares, last="dropped", when=lambda i: _rest(i)),
        "last-batch-full": turned(shares, last="full", when=lambda i: _rest(i)),
        "sorted-first": shares_of(order=-1),
        "saved": turned(shares, then=lambda r, i: float(np.subtract(*r))),
    },
    labels=("share in the given order", "share when sorted"),
    dtype=None,
    tolerance=1e-6,
)


def lengths(count, batch_size, most=40):
    def inputs(rng):
        drawn = np.minimum(rng.geometric(1 / 12, count) + 1, most)
        drawn[rng.integers(count)] = most
        return {"lengths": drawn, "batch_size": batch_size}

    return inputs


def shares_probe(title, points, inputs, **more):
    plan = lambda i: call(i["lengths"], i["batch_size"]) | {"keras": False}  # noqa: E731
    return Probe(title, points, inputs, plan, judge_shares, **more)


BUCKET = exercise(
    "tokens.bucket",
    defines="padding_shares",
    may_not_call=("course.tokens.TokenBatches",),
    probes=(
        shares_probe("two batches of two", 1, lengths(4, 2)),
        shares_probe("many batches", 1, lengths(96, 8)),
        shares_probe("a last batch that is short", 1.5, lengths(29, 8)),
        shares_probe("one row a batch: no padding", 0.5, lengths(5, 1)),
    ),
)


# 5. Decide where to cut


def limit(i, *, multiple=8, least=None, of="rows", step=0, rounding=np.ceil):
    """The smallest multiple of 8 that so large a share of the rows fits into, with knobs."""
    ordered = np.sort(i["lengths"])
    share = i["share"] if least is None else least
    weights = np.ones(len(ordered)) if of == "rows" else ordered
    reached = np.cumsum(weights) / weights.sum()
    at = int(np.argmax(reached >= share - 1e-9)) + step
    length = ordered[min(at, len(ordered) - 1)]
    return int(rounding(length / multiple) * multiple)


limit_of = turning(limit)


def _rounded(i, rounding):
    """The share of the rows rounded to a number of rows that may be too small."""
    need = max(int(rounding(i["share"] * len(i["lengths"]) + 1e-9)), 1)
    return int(np.ceil(np.sort(i["lengths"])[need - 1] / 8) * 8)


def _in_given_order(i):
    need = int(np.ceil(i["share"] * len(i["lengths"]) - 1e-9))
    return int(np.ceil(i["lengths"][need - 1] / 8) * 8)


def _interpolated(i):
    return int(np.ceil(np.quantile(i["lengths"], i["share"]) / 8) * 8)


def _of_ids_kept(i):
    """The smallest limit under which that share of the ids is kept, rows cut or not."""
    for cut in range(8, int(i["lengths"].max()) + 8, 8):
        if np.minimum(i["lengths"], cut).sum() >= i["share"] * i["lengths"].sum():
            return cut
    return None


judge_limit = Match(
    limit,
    {
        "not-a-multiple": limit_of(multiple=1),
        "rounded-down": limit_of(rounding=np.floor),
        "rounded-to-nearest": limit_of(rounding=np.round),
        "always-one-more": limit_of(rounding=lambda x: np.floor(x) + 1),
        "of-tokens": limit_of(of="tokens"),
        "of-ids-kept": _of_ids_kept,
        "longest": lambda i: int(np.ceil(i["lengths"].max() / 8) * 8),
        "one-row-too-few": limit_of(step=-1),
        "one-row-too-many": limit_of(step=1),
        "share-of-the-longest": lambda i: int(np.ceil(i["share"] * i["lengths"].max() / 8) * 8),
        "share-cut": turned(limit, least=of_inputs(lambda i: 1 - i["share"])),
        "rows-rounded-down": lambda i: _rounded(i, np.floor),
        "rows-rounded": lambda i: _rounded(i, np.round),
        "interpolated": _interpolated,
        "repeats-dropped": turned(limit, given=lambda i: {"lengths": np.unique(i["lengths"])}),
        "not-sorted": _in_given_order,
        "percentile": lambda i: int(np.ceil(np.percentile(i["lengths"], i["share"]) / 8) * 8),
        "mean": lambda i: int(np.ceil(i["lengths"].mean() / 8) * 8),
        "power-of-two": lambda i: int(2 ** np.ceil(np.log2(limit(i, multiple=1)))),
    },
    dtype=None,
    tolerance=1e-9,
)


def given(lengths, share):
    """Lengths in an order that is drawn."""
    return lambda rng: {"lengths": rng.permutation(lengths), "share": share}


def limit_probe(title, points, inputs):
    plan = lambda i: call(i["lengths"], i["share"]) | {"keras": False}  # noqa: E731
    return Probe(title, points, inputs, plan, judge_limit)


DECIDE = exercise(
    "tokens.decide",
    defines="choose_limit",
    probes=(
        limit_probe("every row fits", 0.5, given([3, 9, 17, 20, 30], 1.0)),
        limit_probe("nine rows of ten fit", 1, given([2, 3, 5, 6, 7, 9, 10, 11, 19, 90], 0.9)),
        limit_probe("a length that is a multiple", 1, given([5, 16, 16, 16, 16, 16, 25, 34], 0.75)),
        limit_probe(
            "the next row is much longer", 1, given([4, 6, 7, 8, 12, 13, 14, 15, 57, 200], 0.8)
        ),
        limit_probe("5.6 rows of 8 are six", 0.5, given([3, 5, 7, 8, 9, 17, 30, 50], 0.7)),
        limit_probe("3.1 rows of 5 are four", 0.5, given([10, 20, 33, 49, 220], 0.62)),
    ),
)

EXERCISES = (WORDPIECE, LEARN_MERGES, PAD, REPAIR, BUCKET, DECIDE)

QUESTIONS = questions("tokens")
