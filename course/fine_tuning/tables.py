"""A task's data, and what is wrong with it: which file, which row, which column."""

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from course import data
from course.data import DataError
from course.data.tables import numbered_rows
from course.fine_tuning.examples import Examples

_MOST = 10  # problems shown; the rest are counted
_LABELS = 100  # more than so many in few rows are no classes
_VALIDATION = ("validation", "val", "valid", "dev")


@dataclass(frozen=True)
class Task:
    """What there is to learn.

    Attributes:
        labels: names of the classes; a label is a place in this tuple.
        splits: {"train": `Examples`, "validation": …, and any tests}.
        notes: sentences on what is odd, but no error.
    """

    labels: tuple
    splits: dict
    notes: list

    def table(self):
        """One line a split: rows, and the share of each label."""
        lines = []
        for name, examples in self.splits.items():
            counts = np.bincount(examples.labels, minlength=len(self.labels))
            told = ", ".join(
                f"{label} {count / len(examples):.1%}"
                for label, count in zip(self.labels, counts, strict=True)
            )
            lines.append(f"{name}: {len(examples):,} rows; {told}")
        return "\n".join(lines)

    def without_seen(self, inside=False):
        """A `Task` whose training rows are those that `drop_seen` leaves."""
        train = self.splits["train"]
        others = [examples for name, examples in self.splits.items() if name != "train"]
        left = drop_seen(train, others, inside)
        if len(set(left.labels)) < 2:
            raise DataError(
                f"of {len(train):,} training rows {len(left):,} are left, of one label."
            )
        how = "inside a text of another split" if inside else "in another split"
        note = f"train: {len(train) - len(left):,} rows are left out, which occur {how}"
        return Task(self.labels, self.splits | {"train": left}, [*self.notes, note])


def read_task(
    source,
    *,
    validation=None,
    tests=(),
    text="text",
    text2=None,
    label="label",
    separator=None,
    header=True,
    held_out=0.1,
    seed=0,
):
    """Reads a named data set or a user's own files, after checking every row.

    Args:
        source: a name of `course data list`, or a .csv, .tsv or .jsonl of training rows.
        validation: a file like it. If there is none, rows of the training file are held out.
        tests: more files, each a split of its own, named after the file.
        text, text2, label: names of the columns; of None as text2, a column of that name is read
            if there is one.
        separator, header: see `course.data.read_table`.
        held_out: share of the training rows that is held out; rows of one text stay together.
        seed: of the choice.

    Returns:
        A `Task`. A file's labels are sorted, as numbers if they are numbers. Its notes tell of rows
        with the same text, whatever its spaces and capitals.

    Raises:
        DataError: with every problem found (the first ten in full): file, row, column, what was
            given and expected.
    """
    text2_given, text2 = text2 is not None, text2 or "text2"
    columns = {"text": text, "text2": text2, "label": label}
    if str(source) in data.names():
        if validation or tests:
            raise DataError(f"{source} is a named data set, which has its own splits.")
        splits, labels = _named(str(source))
    else:
        files = {"train": source}
        files |= {"validation": validation} if validation else {}
        for path in tests:
            name = Path(path).name.partition(".")[0]
            files[f"{name}-2" if name in files else name] = path
        optional = () if text2_given else ("text2",)
        options = {"optional": optional, "separator": separator, "header": header}
        splits, labels = _own(files, columns, options)
    notes = []
    if not any(name in splits for name in _VALIDATION):
        splits = _hold_out(splits, held_out, seed)
        notes.append(
            f"there is no validation split: {len(splits['validation']):,} of the training rows "
            f"({held_out:.0%}, seed {seed}) are held out for it"
        )
    made = {}
    for name, rows in splits.items():
        pairs = [row["text2"] for _, row in rows] if "text2" in rows[0][1] else None
        name = "validation" if name in _VALIDATION else name
        made[name] = Examples([r["text"] for _, r in rows], [r["label"] for _, r in rows], pairs)
    if len({examples.pairs is None for examples in made.values()}) > 1:
        raise DataError(f"some files have a column {text2!r} and others do not.")
    numbers = {name: [n for n, _ in rows] for name, rows in splits.items()}
    return Task(labels, made, notes + _oddities(made, numbers, labels))


def _named(name):
    """{split: [(row, values)]} and the labels of a named data set."""
    columns = {column.name: column for column in data.REGISTRY[name].columns}
    if "text" not in columns or "label" not in columns:
        fit = [n for n in data.names() if {"text", "label"} <= data.describe(n).columns.keys()]
        raise DataError(
            f"{name} has no columns text and label to learn from. These have: {', '.join(fit)}."
        )
    labelled = columns["label"].splits or data.describe(name).splits
    splits = {split: list(enumerate(data.load(name, split), 1)) for split in labelled}
    return splits, columns["label"].labels


def _refuse_lists(path, column, rows):
    """Refuses lists of labels, which are no class."""
    for number, row in rows:
        if isinstance(row["label"], list | dict):
            raise DataError(
                f"{path}, row {number}, column {column!r}: {row['label']!r} is a list of labels. "
                "A text has one label here (multi-label data is not supported): write one label, "
                "or a column and a training of its own for each."
            )


def _own(files, columns, options):
    """The same of a user's files."""
    splits, problems = {}, []
    for name, path in files.items():
        try:
            splits[name] = numbered_rows(path, columns, **options)
            _refuse_lists(path, columns["label"], splits[name])
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    found = Counter(_written(row["label"]) for _, row in splits["train"])
    labels = tuple(sorted(found, key=_order))
    path, column, rows = files["train"], columns["label"], len(splits["train"])
    if len(labels) == 1:
        raise DataError(
            f"{path}: column {column!r} is {labels[0]!r} in all {rows:,} rows; expected at least "
            "two labels to tell apart."
        )
    if len(labels) > _LABELS and 10 * len(labels) > rows:
        raise DataError(
            f"{path}: column {column!r} has {len(labels):,} different values in {rows:,} rows; "
            "expected a few labels. Is it the right column (a measurement, a text, an id)?"
        )
    for name, path in files.items():
        wrong = []
        for number, row in splits[name]:
            for key in ("text", "text2"):
                if key in row and not isinstance(row[key], str):
                    wrong.append(
                        f"row {number}, column {columns[key]!r}: {row[key]!r}; expected text"
                    )
            given = _written(row["label"])
            if given in labels:
                row["label"] = labels.index(given)
                continue
            told = " or ".join(map(repr, labels[:6])) + (", …" if len(labels) > 6 else "")
            close = difflib.get_close_matches(given.lower(), [label.lower() for label in labels], 1)
            hint = "; is it only written differently?" if close else ""
            wrong.append(
                f"row {number}, column {column!r}: {given!r} is no label of the training rows; "
                f"expected {told}{hint}"
            )
        if wrong:
            more = len(wrong) - _MOST
            problems.append(
                f"{path}: {len(wrong):,} problem{'s' * (len(wrong) > 1)}. Correct the file and "
                "read it again."
                + "".join(f"\n  {line}" for line in wrong[:_MOST])
                + (f"\n  … and {more:,} more" if more > 0 else "")
            )
    if problems:
        raise DataError("\n".join(problems))
    return splits, labels


def _written(value):
    """A label as text: 1, "1", 1.0 and "1.0" are one label."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return re.sub(r"(?<=\d)\.0+$", "", text) if re.fullmatch(r"-?\d+\.0+", text) else text


def _order(label):
    return (0, float(label), label) if re.fullmatch(r"-?\d+(\.\d+)?", label) else (1, 0, label)


def _key(row):
    """What makes two rows the same: their texts, whatever their spaces and capitals."""
    return tuple(" ".join(row[c].split()).casefold() for c in ("text", "text2") if c in row)


def _hold_out(splits, share, seed):
    """Takes `share` of the training rows for validation, with the share of each label kept."""
    rows = splits["train"]
    groups = {}
    for i, (_, row) in enumerate(rows):
        groups.setdefault(_key(row), []).append(i)
    rng = np.random.default_rng(seed)
    by_label = {}
    for group in groups.values():
        by_label.setdefault(rows[group[0]][1]["label"], []).append(group)
    taken = set()
    for label in sorted(by_label):
        some = by_label[label]
        wanted = round(share * sum(map(len, some)))
        for i in rng.permutation(len(some)):
            if wanted <= 0 or len(some) < 2:
                break
            taken.update(some[i])
            wanted -= len(some[i])
    if not taken or len(taken) == len(rows):
        raise DataError(
            f"{len(rows)} training rows with {len(groups)} different texts are too few to hold out "
            f"{share:.0%} of them: give a validation file."
        )
    parts = {"train": [], "validation": []}
    for i, row in enumerate(rows):
        parts["validation" if i in taken else "train"].append(row)
    return parts | {name: rows for name, rows in splits.items() if name != "train"}


def _texts(examples):
    pairs = examples.pairs or [None] * len(examples)
    for text, pair in zip(examples.texts, pairs, strict=True):
        yield _key({"text": text} if pair is None else {"text": text, "text2": pair})


def _oddities(splits, numbers, labels):
    """Sentences on rows that occur twice, and on labels that hardly occur."""
    notes, first = [], {}
    for name, examples in splits.items():
        again, conflicts = {}, []
        home = name if name in numbers else next(n for n in numbers if n in _VALIDATION)
        for number, key, label in zip(
            numbers[home], _texts(examples), examples.labels, strict=True
        ):
            there = first.setdefault(key, (name, number, label))
            if there[:2] == (name, number):
                continue
            again.setdefault(there[0], []).append((number, there[1]))
            if there[2] != label:
                conflicts.append((number, there))
        for other, pairs in again.items():
            told = ", ".join(f"row {a} is row {b}" for a, b in pairs[:3])
            where = "twice" if other == name else f"in {other} too"
            told += ", …" if len(pairs) > 3 else ""
            notes.append(f"{name}: {len(pairs):,} rows occur {where} ({told})")
        if conflicts:
            number, (other, row, _) = conflicts[0]
            notes.append(
                f"{name}: {len(conflicts):,} rows have another label than the same text elsewhere "
                f"(row {number}, and {other} row {row})"
            )
        lacking = [label for i, label in enumerate(labels) if i not in set(examples.labels)]
        if lacking:
            notes.append(f"{name} has no row of {', '.join(map(repr, lacking))}")
    return notes


def drop_seen(train, others, inside=False):
    """Training examples without those whose text a validation or test set shows.

    Args:
        train: `Examples`.
        others: list of `Examples`.
        inside: whether to drop also what occurs inside one of their texts, word for word, as the
            phrases of the Sentiment Treebank do in its sentences.

    Returns:
        `Examples`.
    """
    seen = {key for examples in others for key in _texts(examples)}
    if inside:
        words = [key[0].split() for key in _texts(train)]
        lengths = sorted({len(each) for each in words})
        texts = [key[0].split() for examples in others for key in _texts(examples)]
        parts = {
            tuple(text[i : i + n])
            for text in texts
            for n in lengths
            if n <= len(text)
            for i in range(len(text) - n + 1)
        }
        kept = [i for i, each in enumerate(words) if tuple(each) not in parts]
    else:
        kept = [i for i, key in enumerate(_texts(train)) if key not in seen]
    columns = (train.texts, train.labels, train.pairs)
    texts, labels, pairs = (None if c is None else [c[i] for i in kept] for c in columns)
    return Examples(texts, labels, pairs)
