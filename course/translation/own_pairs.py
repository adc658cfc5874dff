"""A user's own sentence pairs: read, checked, and divided so that no sentence is on two sides."""

import hashlib
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from course.data import DataError
from course.data.tables import raw_rows, text_lines, text_problem

_MOST = 10  # problems shown; the rest are counted
_RATIO = 9  # a side so many times as long as the other is odd
_LONG = 1000  # characters that hardly fit a sentence
# The script that letters of a language are written in, by the first word of their Unicode names.
_SCRIPTS = {
    "LATIN": "en de fr es it pt nl sv da no nb nn fi is pl cs sk sl hr hu ro tr vi id ms tl sw et "
    "lv lt ca eu gl ga cy sq af eo la",
    "CYRILLIC": "ru uk be bg mk sr kk ky mn tg",
    "CJK": "zh yue",
    "HANGUL": "ko",
    "ARABIC": "ar fa ur ps",
    "HEBREW": "he yi",
    "GREEK": "el",
    "DEVANAGARI": "hi mr ne sa",
    "BENGALI": "bn",
    "TAMIL": "ta",
    "THAI": "th",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
}
_SCRIPT_OF = {code: script for script, codes in _SCRIPTS.items() for code in codes.split()}
_SCRIPT_OF["ja"] = "KANA"


@dataclass
class OwnPairs:
    """Pairs that were read, and what is odd about them.

    Attributes:
        pairs: list of (source, target).
        rows: the row of each in its file.
        problems: sentences on rows that cannot be used; a training wants none.
        notes: sentences on what is odd, but no error.
    """

    pairs: list
    rows: list
    problems: list = field(default_factory=list)
    notes: list = field(default_factory=list)


def read_pairs(files, source="en", target="de", *, columns=None, separator=None, header=True):
    """Reads sentence pairs from a table or from two aligned files, and checks every row.

    Args:
        files: one path, of a .csv, .tsv or .jsonl; or two, of texts whose lines correspond: sources
            and targets. Each may be .gz or .xz.
        source, target: codes of the languages, such as "en".
        columns: names of the two columns of a table; None finds those called like the languages,
            "source" and "target", or the only two.
        separator, header: see `course.data.read_table`.

    Returns:
        `OwnPairs`.

    Raises:
        DataError: if a file cannot be read, a column is not there, or two files are not aligned.
    """
    files = [files] if isinstance(files, str | Path) else list(files)
    if len(files) == 1:
        found = _table(Path(files[0]), source, target, columns, separator, header)
    elif len(files) == 2:
        found = _aligned(*map(Path, files))
    else:
        raise DataError(f"{len(files)} files; expected one table, or two files of aligned lines.")
    made = OwnPairs([], [])
    empty = 0
    for row, sides in found:
        sides = [" ".join(str(side if side is not None else "").split()) for side in sides]
        if not any(sides):
            empty += 1
            continue
        wrong = [
            f"row {row}, {name}: {problem}"
            for name, side in zip(("source", "target"), sides, strict=True)
            if (problem := text_problem(side))
        ]
        made.problems += wrong
        if not wrong:
            made.pairs.append(tuple(sides))
            made.rows.append(row)
    if empty:
        made.notes.append(f"{empty:,} rows are empty on both sides and left out")
    if not made.pairs and not made.problems:
        raise DataError(f"{files[0]}: no pairs; expected at least one.")
    made.notes += _oddities(made, source, target)
    return made


def refuse_problems(made, files):
    """Raises `DataError` with the first problems of `OwnPairs`, if there are any."""
    if made.problems:
        more = len(made.problems) - _MOST
        raise DataError(
            f"{' and '.join(map(str, files))}: {len(made.problems):,} rows cannot be used. Correct "
            "them, or take them out, and read it again."
            + "".join(f"\n  {line}" for line in made.problems[:_MOST])
            + (f"\n  … and {more:,} more" if more > 0 else "")
        )


def _table(path, source, target, columns, separator, header):
    rows, problems = raw_rows(path, separator=separator, header=header)
    if problems:
        more = len(problems) - _MOST
        told = "\n".join(f"  {line}" for line in problems[:_MOST])
        raise DataError(
            f"{path}: {len(problems):,} problems. Correct the file and read it again.\n{told}"
            + (f"\n  … and {more:,} more" if more > 0 else "")
        )
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    if columns is None:
        known = ((source, target), ("source", "target"))
        columns = next((two for two in known if set(two) <= set(names)), None)
        if columns is None and len(names) == 2 and not header:
            columns = names
    if columns is None or not set(columns) <= set(names):
        asked = columns or (source, target)
        lacking = [name for name in asked if name not in names]
        raise DataError(
            f"{path}: no column {' and none '.join(map(repr, lacking))}; found "
            f"{', '.join(map(repr, names))}. Say which columns hold the source and the target. If "
            'the file has no header, say so; its columns are then called "1", "2", …'
        )
    return [(number, [row.get(name) for name in columns]) for number, row in rows]


def _aligned(one, other):
    sides = [list(text_lines(path)) for path in (one, other)]
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{one} has {len(sides[0]):,} lines and {other} {len(sides[1]):,}: line n of one has "
            "to be the translation of line n of the other. Make them anew from one source."
        )
    return list(enumerate(zip(*sides, strict=True), 1))


def script(text):
    """The script that most letters of a text are of: "LATIN", "CJK", "CYRILLIC", …; "" if none."""
    counts = Counter()
    for letter in text:
        if letter.isalpha():
            name = unicodedata.name(letter, "").partition(" ")[0]
            counts["KANA" if name in ("HIRAGANA", "KATAKANA") else name] += 1
    if counts["KANA"]:  # Japanese has both
        return "KANA"
    return counts.most_common(1)[0][0] if counts else ""


def _oddities(made, source, target):
    """Sentences on duplicates, lengths, languages and sides."""
    notes, seen, again, alike, ratio, long = [], {}, [], [], [], []
    scripts = []
    for row, (one, other) in zip(made.rows, made.pairs, strict=True):
        first = seen.setdefault((one.casefold(), other.casefold()), row)
        if first != row:
            again.append(f"row {row} is row {first}")
        if one.casefold() == other.casefold():
            alike.append(f"row {row}")
        scripts.append((script(one), script(other)))
        # A Chinese character says as much as several letters.
        sizes = [len(t) * (3 if s in ("CJK", "KANA", "HANGUL") else 1) for t, s in
                 zip((one, other), scripts[-1], strict=True)]  # fmt: skip
        if max(sizes) > _RATIO * min(sizes) and max(sizes) > 40:
            ratio.append(f"row {row}: {len(one)} and {len(other)} characters")
        if max(len(one), len(other)) > _LONG:
            long.append(f"row {row}")
    told = (
        (again, "pairs occur more than once"),
        (alike, "pairs have the same text on both sides"),
        (ratio, f"pairs have a side over {_RATIO} times as long as the other"),
        (long, f"pairs have a side of over {_LONG:,} characters"),
    )
    for rows, what in told:
        if rows:
            shown = ", ".join(rows[:3]) + (", …" if len(rows) > 3 else "")
            notes.append(f"{len(rows):,} {what} ({shown})")
    return notes + _wrong_scripts(made.rows, scripts, source, target)


def _wrong_scripts(rows, scripts, source, target):
    wanted = [_SCRIPT_OF.get(code.partition("-")[0].lower()) for code in (source, target)]
    notes, swapped = [], []
    if all(wanted) and wanted[0] != wanted[1]:
        swapped = [r for r, two in zip(rows, scripts, strict=True) if list(two) == wanted[::-1]]
    if swapped:
        all_of = "all" if len(swapped) == len(rows) else f"{len(swapped):,}"
        notes.append(
            f"sides exchanged in {all_of} rows (first row {swapped[0]}): the source looks like "
            f"{target} and the target like {source}"
        )
    for side, (code, script_) in enumerate(zip((source, target), wanted, strict=True)):
        other = [
            (row, two[side])
            for row, two in zip(rows, scripts, strict=True)
            if script_ and two[side] and two[side] != script_ and row not in set(swapped)
        ] if len(swapped) < len(rows) else []  # fmt: skip
        other = [(row, s) for row, s in other if (script_, s) != ("KANA", "CJK")]
        if other:
            name = ("source", "target")[side]
            notes.append(
                f"{len(other):,} rows have a {name} that is not written like {code} (row "
                f"{other[0][0]}: {other[0][1].lower()} letters)"
            )
    return notes


def split_pairs(pairs, shares=(("validation", 0.05), ("test", 0.1))):
    """Divides pairs so that no sentence, of either language, is in two parts.

    Args:
        pairs: list of (source, target).
        shares: (name, share of the pairs) of each part but "train", which gets the rest.

    Returns:
        {name: list of places in `pairs`}, "train" first; the same for the same pairs.

    Raises:
        DataError: if sentences that occur in many pairs tie too many of them together.
    """
    groups = {}
    for place, leader in enumerate(connected(pairs)):
        groups.setdefault(leader, []).append(place)
    if len(groups) < len(shares) + 1:
        raise DataError(
            f"{len(pairs):,} pairs hang together by sentences that they share, in {len(groups)} "
            "groups; too few to hold some out. Give a file of validation pairs."
        )
    # By their digest, so that neither the order of the file nor a new row moves the others.
    order = sorted(groups, key=lambda leader: hashlib.sha256(repr(leader).encode()).digest())
    # The largest group trains: a sentence such as "Yes." may tie half of all pairs together.
    largest = max(order, key=lambda leader: len(groups[leader]))
    order = [leader for leader in order if leader != largest]
    parts = {"train": [], **{name: [] for name, _ in shares}}
    for name, share in shares:
        while order and len(parts[name]) < max(share * len(pairs), 1):
            parts[name] += groups[order.pop()]
    parts["train"] = sorted([*groups[largest], *(p for leader in order for p in groups[leader])])
    return parts


def connected(pairs):
    """For each pair a key that is the same for all that hang together by a sentence.

    Sentences are the same whatever their capitals and spaces.
    """
    leader = {}

    def find(sentence):
        while leader.setdefault(sentence, sentence) != sentence:
            leader[sentence] = sentence = leader[leader[sentence]]
        return sentence

    keys = [tuple((i, " ".join(s.split()).casefold()) for i, s in enumerate(p)) for p in pairs]
    for one, other in keys:
        first, second = sorted((find(one), find(other)))
        leader[second] = first
    return [find(one) for one, _ in keys]


def without_seen(pairs, others):
    """Places of the pairs that share no sentence, of the same side, with any of the others."""

    def key(side, text):
        return side, " ".join(text.split()).casefold()

    seen = {key(side, text) for pair in others for side, text in enumerate(pair)}
    return [
        place
        for place, pair in enumerate(pairs)
        if not any(key(side, text) in seen for side, text in enumerate(pair))
    ]
