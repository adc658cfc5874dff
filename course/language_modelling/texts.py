"""Texts to learn from and to score: data sets by name, and files."""

from pathlib import Path

from course import data
from course.data.registry import REGISTRY

HELD_OUT = 0.1  # of a text that nobody has divided, its end


def load_texts(source, split="train"):
    """The texts of a data set or of a file, each one a document.

    Args:
        source: a name (`course data list`), if need be with its split and column, as in
            "world-stories", "imdb/unsupervised" or "world-summaries/train/summary"; or the path of
            a text file, which is one document, or of a table (.csv, .tsv, .jsonl) with a column
            "text". Of running text (Tiny Shakespeare, WikiText) all lines are one document.
        split: "train", "validation" or "test", where the name says nothing else. Of what nobody has
            divided, "validation" is the last tenth and "train" the rest.

    Returns:
        A list of strings.

    Raises:
        DataError: if there is no such data set, split, column or file.
    """
    name, *more = str(source).split("/")
    if name in REGISTRY and not Path(source).exists():
        return _named(name, *more, split=split)
    path = Path(source)
    if path.is_dir():
        files = sorted(each for each in path.rglob("*.txt") if each.is_file())
        if not files:
            raise data.DataError(f"{path}: the folder holds no .txt file.")
        return _part([_read(each) for each in files], split)
    if path.suffix.lower() in (".csv", ".tsv", ".jsonl"):
        return _part([row["text"] for row in data.read_table(path, columns=("text",))], split)
    return _part([_read(path)], split)


def _read(path):
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise data.DataError(
            f"{path} is no file and no data set. Give a path, or one of {', '.join(REGISTRY)}."
        ) from None
    except UnicodeDecodeError as error:
        raise data.DataError(
            f"{path}: byte {error.start:,} is not UTF-8. Save the file as UTF-8."
        ) from None


def _named(name, own_split=None, column="text", *, split):
    splits = list(data.describe(name).splits)
    wanted = own_split or split
    if own_split is None and split not in splits:
        same = {"validation": ("valid", "val", "dev"), "train": ("valid",)}.get(split, ())
        wanted = next((each for each in same if each in splits), splits[0])
    rows = data.load(name, wanted)
    if column not in rows[0]:
        raise data.DataError(
            f"{name} has no column {column!r}; there are {', '.join(rows[0])}. Name it as in "
            f"{name}/{wanted}/COLUMN."
        )
    if set(rows[0]) == {"text"} and "lines" in type(REGISTRY[name].layout).__name__.lower():
        texts = ["\n".join(row["text"] for row in rows) + "\n"]
    else:
        texts = [row[column] for row in rows]
    return texts if wanted in (split, own_split) else _part(texts, split)


def _part(texts, split):
    """The last tenth as validation, of one text or of many; the rest is for training."""
    if split not in ("train", "validation"):
        return texts
    if len(texts) > 9:
        edge = len(texts) - max(int(len(texts) * HELD_OUT), 1)
        return texts[:edge] if split == "train" else texts[edge:]
    edges = [len(text) - int(len(text) * HELD_OUT) for text in texts]
    pairs = zip(texts, edges, strict=True)
    return [t[:edge] if split == "train" else t[edge:] for t, edge in pairs]
