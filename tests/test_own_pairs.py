"""A user's own sentence pairs: read from what people have, checked, divided without leaks."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from course.cli.commands import spread
from course.cli.main import app
from course.data import DataError
from course.translation import read_pairs, split_pairs
from course.translation.own_pairs import script, without_seen

ROWS = [(f"The dog number {i} sleeps.", f"Der Hund Nummer {i} schläft.") for i in range(40)]


def write(path, rows=ROWS, header="en\tde", between="\t"):
    lines = [header] * bool(header) + [between.join(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def aligned(folder, rows=ROWS):
    for name, side in (("train.en", 0), ("train.de.gz", 1)):
        text = "".join(f"{row[side]}\r\n" for row in rows).encode()
        (folder / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    return [folder / "train.en", folder / "train.de.gz"]


def test_pairs_come_from_a_table_or_from_two_aligned_files(tmp_path):
    table = write(tmp_path / "a.tsv")
    assert read_pairs(table, "en", "de").pairs == ROWS
    assert read_pairs(table, "de", "en").pairs == [(b, a) for a, b in ROWS]
    assert read_pairs(aligned(tmp_path), "en", "de").pairs == ROWS
    no_header = write(tmp_path / "b.tsv", header="")
    assert read_pairs(no_header, "en", "de", header=False).pairs == ROWS
    named = write(tmp_path / "c.csv", header="one;two", between=";")
    assert read_pairs(named, "en", "de", columns=("one", "two")).pairs == ROWS


def test_what_is_wrong_with_a_row_is_said_with_its_row(tmp_path):
    made = read_pairs(write(tmp_path / "a.tsv", [*ROWS[:2], ("A dog.", ""), ("", "")]), "en", "de")
    assert made.problems == ["row 4, target: empty; expected text"] and len(made.pairs) == 2
    assert made.notes == []  # a row of empty cells is no row
    lines = aligned(tmp_path, [*ROWS[:2], ("", "")])
    assert read_pairs(lines, "en", "de").notes == ["1 rows are empty on both sides and left out"]
    (tmp_path / "short.de").write_text("Ein Hund.\n")
    with pytest.raises(DataError, match=r"40 lines and .*short\.de 1: line n of one"):
        read_pairs([aligned(tmp_path)[0], tmp_path / "short.de"], "en", "de")
    with pytest.raises(DataError, match=r"no column 'fr'; found 'en', 'de'"):
        read_pairs(tmp_path / "a.tsv", "en", "fr")


@pytest.mark.parametrize(
    ("rows", "pair", "says"),
    [
        ([*ROWS, ROWS[0]], ("en", "de"), "1 pairs occur more than once (row 42 is row 2)"),
        ([*ROWS, ("OK", "OK")], ("en", "de"), "the same text on both sides (row 42)"),
        ([*ROWS, ("A dog.", "Hund " * 40)], ("en", "de"), "over 9 times as long"),
        (
            [("一只狗。", "A dog."), ("我爱猫。", "I love cats.")],
            ("en", "zh"),
            "exchanged in all rows",
        ),
        (
            [("A dog.", "一只狗。"), ("我爱猫。", "I love cats.")],
            ("en", "zh"),
            "exchanged in 1 rows",
        ),
        (
            [("A dog.", "一只狗。"), ("A cat.", "Кошка.")],
            ("en", "zh"),
            "not written like zh (row 3",
        ),
    ],
)
def test_what_is_odd_is_noted(tmp_path, rows, pair, says):
    path = write(tmp_path / "a.tsv", rows, header="source\ttarget")
    assert any(says in note for note in read_pairs(path, *pair).notes)


def test_the_script_of_a_text_is_that_of_most_of_its_letters():
    texts = {"A dog.": "LATIN", "我爱 a 猫。": "CJK", "犬がいる。": "KANA", "Собака": "CYRILLIC"}
    assert {text: script(text) for text in texts} == texts
    assert script("123 …") == ""


SIDES = st.sampled_from([f"sentence {i}" for i in range(60)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=80))
def test_no_sentence_is_in_two_splits(pairs):
    try:
        parts = split_pairs(pairs)
    except DataError as error:
        assert "hang together" in str(error)
        return
    assert sorted(place for places in parts.values() for place in places) == list(range(len(pairs)))
    assert all(parts.values())
    for side in (0, 1):
        seen = [{pairs[place][side] for place in places} for places in parts.values()]
        assert sum(map(len, seen)) == len(set().union(*seen))


def test_pairs_that_share_a_sentence_with_a_test_are_left_out():
    pairs = [("a", "b"), ("c", "d"), ("e", "B ")]
    assert without_seen(pairs, [("x", "b")]) == [1]


def check(*arguments):
    return CliRunner().invoke(app, ["train", "translation", "--check", *map(str, arguments)])


def test_the_check_says_what_is_there_and_what_is_wrong(tmp_path):
    done = check("--data", write(tmp_path / "a.tsv"))
    assert done.exit_code == 0, done.stderr
    assert "40 pairs, 0 rows that cannot be used" in done.stdout
    assert "no sentence is in two splits" in done.stdout
    assert check("--data", *aligned(tmp_path)).exit_code == 0
    wrong = check("--data", write(tmp_path / "b.tsv", [*ROWS, ("A dog.", "")]))
    assert wrong.exit_code == 2 and "row 42, target: empty" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data", "world-en-zh", "--pair", "en-de"], "has the languages en and zh"),
        (["--data", "world-en-zh", "--pair", "enzh"], "expected two languages"),
        (["--data", "world-en-de", "--source", "x"], "--source: for files of your own"),
        (["--data", "nosuch.tsv"], "no such file"),
        (["--data", "sst2"], "has no sentence pairs"),
    ],
)
def test_a_choice_that_cannot_be_followed_is_refused(arguments, says):
    done = check(*arguments)
    assert done.exit_code == 2 and says in done.stderr and "Traceback" not in done.stderr


def test_several_values_may_follow_one_option():
    many = {"--set", "--data"}
    assert spread(["--set", "a=1", "b=2", "--out", "x", "y"], many) == [
        *("--set", "a=1", "--set", "b=2", "--out", "x", "y")
    ]
    assert spread(["--set", "a=1", "b=2", "file"], many, positional=True) == [
        *("--set", "a=1", "--set", "b=2", "file")
    ]
