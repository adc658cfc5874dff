"""A user's own table of texts and labels, as people have them."""

import json

import pytest
from typer.testing import CliRunner

from course.cli.main import app
from course.data import DataError
from course.fine_tuning import read_task

ROWS = [(f"the film number {i} was {'good' if i % 2 else 'bad'}", i % 2) for i in range(40)]


def check(*arguments):
    done = CliRunner().invoke(app, ["train", "classify", *map(str, arguments), "--check"])
    assert "Traceback" not in done.output
    return done


def test_labels_0_and_0_0_are_one_class(tmp_path):
    path = tmp_path / "a.csv"
    labels = ("0.0", "1", "0", "1.0")
    path.write_text(
        "text,label\n" + "".join(f"{t},{labels[i % 4]}\n" for i, (t, _) in enumerate(ROWS))
    )
    assert read_task(path).labels == ("0", "1")


def test_a_list_of_labels_is_refused_as_such(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": t, "label": ["a"]}) + "\n" for t, _ in ROWS))
    with pytest.raises(DataError, match=r"row 1, column 'label': \['a'\] is a list of labels"):
        read_task(path)


def test_a_second_text_that_is_not_there_is_an_error_and_one_that_is_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("one,two,label\n" + "".join(f"{t},{t} too,{y}\n" for t, y in ROWS))
    assert check(path, "--text", "one", "--text2", "two").exit_code == 0
    wrong = check(path, "--text", "one", "--text2", "tow")
    assert wrong.exit_code == 2 and "no column 'tow'; found 'one', 'two', 'label'" in wrong.stderr


def test_a_table_without_a_header_or_with_a_separator_of_its_own(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{y}~{t}\n" for t, y in ROWS))
    options = ["--no-header", "--separator", "~", "--text", "2", "--label", "1"]
    assert check(path, *options).exit_code == 0


@pytest.mark.parametrize("name", ["translation", "bert-pretrain", "classify"])
def test_help_is_printed(name):
    done = CliRunner().invoke(app, ["train", name, "--help"])
    assert done.exit_code == 0 and "--set" in done.output
