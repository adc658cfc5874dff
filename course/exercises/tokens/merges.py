"""Learning merges: probes of the second exercise of lesson 01, tokens; text.toml has words."""

from collections import Counter
from itertools import pairwise

from course.checks.declaration import Probe, call, draw_until
from course.checks.judges import Match
from course.checks.texts import exercise

MAY_NOT_CALL = ("course.tokens.merges", "course.tokens.Tokenizer", "tokenizers", "transformers")
EXAMPLE = {"hug": 10, "pug": 5, "pun": 12, "bun": 4}


def letters(word, first=""):
    return [(first if i == 0 else "##") + letter for i, letter in enumerate(word)]


def bare(word):
    return list(word)


def whole(left, right):
    return left + right.removeprefix("##")


def everywhere(pieces, left, right, join):
    """Left to right, wherever the two meet; what was joined is not joined again."""
    done, i = [], 0
    while i < len(pieces):
        meets = pieces[i : i + 2] == [left, right]
        done.append(join(left, right) if meets else pieces[i])
        i += 2 if meets else 1
    return done


def first_place_only(pieces, left, right, join):
    for i in range(len(pieces) - 1):
        if pieces[i : i + 2] == [left, right]:
            return [*pieces[:i], join(left, right), *pieces[i + 2 :]]
    return pieces


def adjacent(pieces):
    return pairwise(pieces)


def in_any_order(pieces):
    return (tuple(sorted(pair)) for pair in pairwise(pieces))


def once_a_word(pieces):
    return set(pairwise(pieces))


def learned(
    i,
    *,
    start=letters,
    pairs_of=adjacent,
    weight=lambda times: times,
    prefer=lambda count, pair: (-count, pair),
    recount=True,
    put=everywhere,
    join=whole,
    more=0,
    one_word_only=False,
):
    """Byte-pair encoding, with a knob for each slip."""
    counts = i["counts"]
    pieces, merges, ranked = {word: start(word) for word in counts}, [], None
    for _ in range(max(0, i["num_merges"] + more)):
        if recount or ranked is None:
            pairs = Counter()
            for word, its in pieces.items():
                for pair in pairs_of(its):
                    pairs[pair] += weight(counts[word])
            ranked = sorted(pairs, key=lambda pair: prefer(pairs[pair], pair))
        if not ranked:
            break
        left, right = ranked.pop(0)
        merges.append((left, right))
        if one_word_only:
            word = next((w for w, its in pieces.items() if (left, right) in pairwise(its)), None)
            if word is not None:
                pieces[word] = put(pieces[word], left, right, join)
            continue
        pieces = {word: put(its, left, right, join) for word, its in pieces.items()}
    return merges, pieces


def with_knobs(**knobs):
    return lambda i: learned(i, **knobs)


def by_likelihood(i):
    """WordPiece's criterion, equation 2, in place of the count."""
    counts, (pieces, merges) = i["counts"], ({word: letters(word) for word in i["counts"]}, [])
    for _ in range(i["num_merges"]):
        pairs, single = Counter(), Counter()
        for word, its in pieces.items():
            for piece in its:
                single[piece] += counts[word]
            for pair in pairwise(its):
                pairs[pair] += counts[word]
        if not pairs:
            break
        left, right = min(pairs, key=lambda p: (-pairs[p] / (single[p[0]] * single[p[1]]), p))
        merges.append((left, right))
        pieces = {word: everywhere(its, left, right, whole) for word, its in pieces.items()}
    return merges, pieces


judge_merges = Match(
    learned,
    {
        "words-counted-once": with_knobs(weight=lambda times: 1),
        "counted-once-a-word": with_knobs(pairs_of=once_a_word),
        "ties-last": with_knobs(prefer=lambda count, pair: (-count, tuple(map(_reverse, pair)))),
        "ties-as-met": with_knobs(prefer=lambda count, pair: -count),
        "rarest-first": with_knobs(prefer=lambda count, pair: (count, pair)),
        "not-counted-again": with_knobs(recount=False),
        "first-place-only": with_knobs(put=first_place_only),
        "one-word-only": with_knobs(one_word_only=True),
        "hashes-kept": with_knobs(join=lambda left, right: left + right),
        "no-hashes-at-all": with_knobs(start=bare),
        "hashes-at-the-start": with_knobs(start=lambda word: letters(word, first="##")),
        "order-of-the-pair": with_knobs(pairs_of=in_any_order),
        "one-too-many": with_knobs(more=1),
        "one-too-few": with_knobs(more=-1),
        "likelihood": by_likelihood,
        "not-joined": lambda i: (learned(i)[0], {word: letters(word) for word in i["counts"]}),
        "merges-joined": lambda i: ([whole(*pair) for pair in learned(i)[0]], learned(i)[1]),
        "with-counts": lambda i: (
            learned(i)[0],
            {str(tuple(its)): i["counts"][word] for word, its in learned(i)[1].items()},
        ),
        "merges-alone": lambda i: learned(i)[0],
        "pieces-alone": lambda i: learned(i)[1],
    },
    labels=("merges", "pieces"),
    first_tells=True,
)


def _reverse(text):
    """Orders texts from the last to the first."""
    return (*(-ord(letter) for letter in text), 0)


def words(count, size, alphabet, num_merges, shortest=2):
    """Drawn words of an alphabet, each with how often it occurs."""

    def inputs(rng):
        drawn = {}
        while len(drawn) < count:
            length = rng.integers(shortest, size + 1)
            drawn["".join(rng.choice(list(alphabet), length))] = int(rng.integers(2, 20))
        return {"counts": drawn, "num_merges": num_merges}

    return inputs


def example(num_merges):
    """The words of the text, in an order of their own."""

    def inputs(rng):
        names = [str(name) for name in rng.permutation(list(EXAMPLE))]
        return {"counts": {name: EXAMPLE[name] for name in names}, "num_merges": num_merges}

    return inputs


def parts_from(*others):
    """Draws in which none of these answers comes out as the right one does."""
    return lambda i: all(learned(i) != other(i) for other in others)


def tie(rng):
    """Three pairs that are equally frequent: the first in order is met last."""
    low, middle, high = sorted(map(str, rng.choice(list("abcdef"), 3, replace=False)))
    times = int(rng.integers(2, 9))
    words_in_order = (f"{middle}x", f"{high}y", f"{low}z")
    return {"counts": dict.fromkeys(words_in_order, times), "num_merges": 1}


def call_merges(i):
    return call(dict(i["counts"]), i["num_merges"]) | {"keras": False}


def probe(title, points, inputs):
    return Probe(title, points, inputs, call_merges, judge_merges)


LEARN_MERGES = exercise(
    "tokens.learn_merges",
    defines="learn_merges",
    may_not_call=MAY_NOT_CALL,
    probes=(
        probe("no merge: every word is its letters", 0.5, example(0)),
        probe("the first pair of the example", 1, example(1)),
        probe("four merges of the example, each counted anew", 1, example(4)),
        probe("a pair is joined wherever it stands", 0.5, lambda rng: {
            "counts": {"".join(rng.permutation(["n", "b"])) + "anana": int(rng.integers(2, 9))},
            "num_merges": 2,
        }),
        probe("of equally frequent pairs, the first in alphabetical order", 0.5, tie),
        probe(
            "other words",
            1,
            draw_until(
                words(6, 5, "abc", 5),
                parts_from(
                    with_knobs(recount=False),
                    with_knobs(weight=lambda times: 1),
                    with_knobs(pairs_of=once_a_word),
                    with_knobs(put=first_place_only),
                    by_likelihood,
                ),
            ),
        ),
        probe("it ends where no pair is left", 0.5, words(2, 3, "ab", 40)),
    ),
)  # fmt: skip
