"""Hand-ins as they really come: the zips of platforms, odd names, files that no parser likes.

Names and forms are those that the platforms give; the students are made up.
"""

import io
import json
import random
import unicodedata
import zipfile
from pathlib import Path

import pytest

from course import exercises as bank
from course.grading import GradingError, assignment, jobs
from course.grading.submissions import (
    archives,
    collecting,
    folders,
    matching,
    notebooks,
    platforms,
    reading,
    selection,
)
from course.grading.submissions.reader import Overrun, Reader

KEY = "# exercise: start.double\n"
RIGHT = KEY + "def double(x):\n    return 2 * x"
FILE = "00_start.ipynb"


def notebook(*cells, **metadata):
    """The bytes of a notebook of these code cells."""
    made = [{"cell_type": "code", "metadata": {}, "source": source} for source in cells]
    tree = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(tree).encode()


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    """The bytes of a zip of [(name or ZipInfo, bytes)]."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


@pytest.fixture(scope="module")
def reader():
    """The process that reads, as `course grade` has it."""
    lessons = {name: bank.about(name) for name in ("start", "attention")}
    with Reader(reading.about_lessons(lessons, bank.of_lesson, lambda name: ())) as made:
        yield made


def collected(path, reader):
    """{student: work} of a class, read as `course grade` reads it."""
    with collecting.collected(path, assignment.Assignment(), None, reader) as (_, work, _):
        return {each.student: each for each in work}


# --- the forms of platforms ---------------------------------------------------------------------

CANVAS = {
    "doejane_123_4567_00_start.ipynb": "doejane",
    "liwei_LATE_124_4568_00_start.ipynb": "liwei",
    "liwei_LATE_124_4569_00_start-1.ipynb": "liwei",
    "bobtext_125_text.html": "bobtext",
    "anon_aB3dE_4570_00_start.ipynb": "anon-aB3dE",
    "anon_LATE_Zz9Yy_4571_00_start.ipynb": "anon-Zz9Yy",
    "__dunder_126_4572_Copy of 00_start.ipynb": "__dunder",
}
MOODLE_FOLDERS = {
    "Jane Doe_12345_assignsubmission_file_/00_start.ipynb": "Jane Doe",
    "Jane Doe_12345_assignsubmission_onlinetext_/onlinetext.html": "Jane Doe",
    "Jürgen Müller_12346_assignsubmission_file_/a/00_start.ipynb": "Jürgen Müller",
    "Jane Doe_12399_assignsubmission_file_/00_start.ipynb": "Jane Doe-12399",
}
MOODLE_FLAT = {
    "Jane Doe_12345_assignsubmission_file_00_start.ipynb": "Jane Doe",
    "李明_12346_assignsubmission_file_00_start.ipynb": "李明",
    "Bob_12347_assignsubmission_onlinetext_onlinetext.html": "Bob",
}
BLACKBOARD = {
    "Homework 1_jdoe_attempt_2026-10-01-12-00-00_00_start.ipynb": "jdoe",
    "Homework 1_jdoe_attempt_2026-10-01-12-00-00.txt": "jdoe",
    "Homework 1_jdoe_attempt_2026-10-02-09-30-00_00_start.ipynb": "jdoe",
    "Homework 1_li_wei_attempt_2026-10-01-13-00-00_00_start.ipynb": "li_wei",
}
CLASSROOM = {
    "Homework 1/Jane Doe - 00_start.ipynb": "Jane Doe",
    "Homework 1/Li Wei - Copy of 00_start.ipynb": "Li Wei",
}


@pytest.mark.parametrize(
    ("platform", "names"),
    [
        ("canvas", CANVAS),
        ("moodle", MOODLE_FLAT),
        ("moodle", {f"top/{name}": student for name, student in MOODLE_FLAT.items()}),
        ("blackboard", BLACKBOARD),
        ("classroom", CLASSROOM),
    ],
)
def test_the_names_of_a_platform_say_whose_a_file_is(platform, names):
    found = platforms.layout([*names, "__MACOSX/x", "top/.DS_Store"])
    assert found.platform == platform
    owners = {name: places[0].partition("/")[0] for name, places in found.places.items()}
    assert owners == names and not found.unplaced


def test_of_moodles_folders_two_students_of_one_name_are_told_apart_by_their_numbers():
    found = platforms.layout(list(MOODLE_FOLDERS))
    owners = {places[0].partition("/")[0] for places in found.places.values()}
    assert owners == {"Jane Doe-12345", "Jane Doe-12399", "Jürgen Müller"}
    assert found.students["Jürgen Müller"]["number"] == "12346"


def test_canvas_marks_the_late_and_its_anonymous_codes_are_no_numbers():
    students = platforms.layout(list(CANVAS)).students
    assert {name for name, said in students.items() if said.get("late")} == {"liwei", "anon-Zz9Yy"}
    assert students["doejane"]["number"] == "123" and "number" not in students["anon-aB3dE"]


def test_of_blackboards_attempts_the_newest_counts(tmp_path, reader):
    path = tmp_path / "gradebook.zip"
    path.write_bytes(
        zipped((n, notebook(RIGHT, f"# {n}") if n.endswith("b") else b"") for n in BLACKBOARD)
    )
    found = collected(path, reader)
    assert found.keys() == {"jdoe", "li_wei"}
    assert "2026-10-02" in found["jdoe"].document.cells[1].source


GRADESCOPE = """submission_301:
  :submitters:
  - :name: Ana María Ruiz
    :sid: '12'
    :email: ana@example.org
  - :name: Li Wei
    :sid: '13'
    :email: li@example.org
  :created_at: 2026-10-01 12:00:00.123456789 Z
  :score: 0.0
submission_302:
  :submitters:
  - :name: Li Wei
    :sid: '14'
  :created_at: 2026-10-03 12:00:00 +0200
"""


def test_each_member_of_a_gradescope_group_has_the_groups_files_and_the_date():
    names = ["submission_metadata.yml", *(f"submission_{n}/{FILE}" for n in (301, 302))]
    found = platforms.layout(names, GRADESCOPE)
    assert found.students.keys() == {
        "Ana María Ruiz",
        "Li Wei-submission_301",
        "Li Wei-submission_302",
    }
    ana = found.students["Ana María Ruiz"]
    assert (ana["email"], ana["id"], ana["group"]) == ("ana@example.org", "12", "submission_301")
    assert ana["date"] == "2026-10-01T12:00:00+00:00"
    assert found.students["Li Wei-submission_302"]["date"] == "2026-10-03T12:00:00+02:00"


# --- names, wrappers, kinds of files ------------------------------------------------------------


def test_one_folder_around_a_class_is_no_student(tmp_path, reader):
    path = tmp_path / "drive.zip"
    members = [(f"Homework/{name}/{FILE}", notebook(RIGHT)) for name in ("jane", "bob")]
    members += [("Homework/.DS_Store", b""), (f"__MACOSX/Homework/jane/._{FILE}", b"")]
    path.write_bytes(zipped(members))
    assert collected(path, reader).keys() == {"jane", "bob"}


@pytest.mark.parametrize(
    "name",
    [
        "00_start.IPYNB",
        "00_start.ipynb.txt",
        "00_start.ipynb.json",
        "00_start (1).ipynb",
        "00_start.ipynb (1)",
        "Copy of 00_start.ipynb",
        "00_start-2.ipynb",
    ],
)
def test_a_notebook_is_one_whatever_a_browser_has_added_to_its_name(name, tmp_path, reader):
    (tmp_path / "jane").mkdir()
    (tmp_path / "jane" / name).write_bytes(notebook(RIGHT))
    (work,) = collected(tmp_path, reader).values()
    assert (work.lesson, work.reason) == ("start", "")


def test_a_copy_beside_a_students_notebook_is_the_same_students(tmp_path, reader):
    for name in ("jane.ipynb", "Copy of jane.ipynb", "jane (1).ipynb", "bob.ipynb"):
        (tmp_path / name).write_bytes(notebook(RIGHT))
    found = collected(tmp_path, reader)
    assert found.keys() == {"jane", "bob"} and len(found["jane"].files) == 3


def test_a_zip_in_a_zip_is_read(tmp_path, reader):
    inner = zipped([(f"work/{FILE}", notebook(RIGHT)), ("work/data.csv", b"x")])
    path = tmp_path / "class.zip"
    path.write_bytes(zipped([("jane/hw.zip", inner), (f"bob/{FILE}", notebook(RIGHT))]))
    found = collected(path, reader)
    assert {name: work.reason for name, work in found.items()} == {"jane": "", "bob": ""}
    assert "read from hw.zip" in found["jane"].notes


def test_names_in_other_encodings_are_read():
    def stored(raw, flag=0):
        member = zipfile.ZipInfo(raw.decode("cp437"))
        member.flag_bits = flag
        return archives._name_of(member)

    assert stored("张伟/a.ipynb".encode("gb18030")) == "张伟/a.ipynb"
    assert stored("Jürgen/a.ipynb".encode()) == "Jürgen/a.ipynb"
    assert stored("Jürgen/a.ipynb".encode("cp437")) == "Jürgen/a.ipynb"
    apart = unicodedata.normalize("NFD", "Jürgen")
    assert stored(f"./{apart}/a.ipynb".encode()) == "Jürgen/a.ipynb"


def test_two_spellings_that_look_the_same_are_two_students(tmp_path, reader):
    for form in ("NFC", "NFD"):
        folder = tmp_path / unicodedata.normalize(form, "Jürgen")
        folder.mkdir()
        (folder / FILE).write_bytes(notebook(RIGHT, f"# {form}"))
    found = collected(tmp_path, reader)
    assert found.keys() == {"Jürgen", "Jürgen (2)"}
    assert len({work.record_name for work in found.values()}) == 2


def test_names_that_begin_with_dots_or_underscores_are_students(tmp_path, reader):
    for name in (".jane", "__bob", "_"):
        (tmp_path / name).mkdir()
        (tmp_path / name / FILE).write_bytes(notebook(RIGHT))
    assert collected(tmp_path, reader).keys() == {".jane", "__bob", "_"}


def test_no_student_takes_anothers_record_by_a_name_that_looks_like_its_hash():
    own = folders.safe_names(["jane doe"])["jane doe"]
    names = folders.safe_names(["jane doe", own])
    assert len(set(names.values())) == 2 and names[own] == own


def test_a_file_beside_a_folder_of_its_name_and_names_too_long_cost_nobody(tmp_path, reader):
    long = "𝔍" * 60
    members = [("bob", b"x"), (f"bob/{FILE}", notebook(RIGHT)), (f"{long}/{FILE}", notebook(RIGHT))]
    path = tmp_path / "class.zip"
    path.write_bytes(zipped([*members, (f"./jane/{FILE}", notebook(RIGHT))]))
    found = collected(path, reader)
    assert len(found) == 3 and not any(work.reason for work in found.values())
    assert all(len(work.record_name.encode()) < 200 for work in found.values())


def test_a_damaged_or_encrypted_file_costs_its_student(tmp_path, reader):
    data = bytearray(zipped([(f"{n}/{FILE}", notebook(RIGHT)) for n in ("jane", "bob")],
                            zipfile.ZIP_LZMA))  # fmt: skip
    data[60:80] = bytes(20)
    path = tmp_path / "class.zip"
    path.write_bytes(data)
    found = collected(path, reader)
    assert found["jane"].reason and not found["bob"].reason


def test_what_is_no_class_says_what_was_found_and_expected(tmp_path, reader):
    (tmp_path / "letter.docx").write_bytes(b"PK")
    with pytest.raises(GradingError, match=r"expected one folder for each student.*letter\.docx"):
        collected(tmp_path, reader)
    with pytest.raises(GradingError, match=r"neither a notebook .* nor a zip"):
        collected(tmp_path / "letter.docx", reader)


# --- what no parser likes -----------------------------------------------------------------------

HOSTILE = {
    "a lesson that is a list": notebook(RIGHT, course={"lesson": []}),
    "1,500 elif": notebook("if x: pass\n" + "elif x: pass\n" * 1500, RIGHT),
    "two parameters of one name": notebook("def f(a, a):\n    return a", RIGHT),
    "nonlocal outside": notebook("nonlocal x", RIGHT),
    "brackets": notebook("x = " + "(" * 500 + ")" * 500, RIGHT),
    "a sum of a million": notebook("x = " + "1+" * 90_000 + "1", RIGHT),
    "magics without end": notebook(*["%x\n" * 4000] * 40, RIGHT),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_cell_that_no_parser_likes_costs_itself(what, tmp_path, reader):
    (tmp_path / "jane").mkdir()
    (tmp_path / "jane" / FILE).write_bytes(HOSTILE[what])
    (work,) = collected(tmp_path, reader).values()
    assert work.reason == "" and work.scan.found["start.double"].status == "found"


def test_a_file_that_takes_too_much_ends_its_own_process_alone(tmp_path, reader):
    path = tmp_path / FILE
    path.write_bytes(notebook("x = [" + "1," * 90_000 + "]", RIGHT))
    with pytest.raises(Overrun, match="takes more than 0 s"):
        reader.do("read", seconds=0, path=str(path))
    assert reader.do("read", path=str(path))["lesson"] == "start"


NAMES = [f"student{i:02}" for i in range(12)]


def mutated(rng, data):
    """A member of a class to which something has happened: [(name in the zip, bytes)]."""
    how = rng.choice(["bytes", "cut", "twice", "tree", "name", "source", "zip", "empty"])
    place, data = f"{NAMES[5]}/{FILE}", bytearray(data)
    if how == "bytes":
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif how == "cut":
        del data[rng.randrange(len(data)) : rng.randrange(len(data))]
        del data[rng.randrange(1, len(data) + 1) :]
    elif how == "twice":
        data += bytes(data)
    elif how == "tree":
        tree = json.loads(data)
        odd = [None, [], {}, "x", 1e999, [[]] * 50, {"cells": []}, -1, True]
        tree[rng.choice(["cells", "metadata", "nbformat"])] = rng.choice(odd)
        if isinstance(tree.get("cells"), list) and tree["cells"]:
            cell = tree["cells"][0]
            if isinstance(cell, dict):
                cell[rng.choice(["source", "metadata", "cell_type"])] = rng.choice(odd)
        data = json.dumps(tree).encode()
    elif how == "name":
        odd = ["𝔍" * 60, "..", "a\tb", "\x1b[31mred", "CON", " ", "~", "%s", "x" * 250, "-rf", "é́"]
        place = f"{NAMES[5]}/{rng.choice(odd)}/{rng.choice([FILE, FILE.upper(), 'x'])}"
    elif how == "source":
        odd = [
            "(" * 2000,
            "%x\n" * 3000,
            "\x00",
            "def f(a,a): 0",
            "if x: 0\n" + "elif x: 0\n" * 900,
        ]
        data = notebook(rng.choice(odd), RIGHT)
    elif how == "zip":
        place = f"{NAMES[5]}/hw.zip"
        data = bytearray(zipped([(FILE, bytes(data))], rng.choice([0, 8, 12, 14])))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    else:
        data = b""
    return [(place, bytes(data))]


@pytest.mark.prove
def test_whatever_happens_to_one_member_the_others_are_read_as_they_were(
    tmp_path, reader, proof_size, note
):
    size, rng = proof_size(5000), random.Random(22)
    texts = {name: notebook(RIGHT, f"# of {name}") for name in NAMES}
    others = [(f"{n}/{FILE}", texts[n]) for n in NAMES if n != NAMES[5]]
    path = tmp_path / "class.zip"

    def seen(found):
        return {
            n: (w.reason, w.content, w.lesson, w.record_name, w.scan.found["start.double"])
            for n, w in found.items()
            if n != NAMES[5]
        }

    path.write_bytes(zipped([*others, (f"{NAMES[5]}/{FILE}", texts[NAMES[5]])]))
    expected, graded = seen(collected(path, reader)), 0
    for number in range(size):
        path.write_bytes(zipped([*others, *mutated(rng, texts[NAMES[5]])]))
        found = collected(path, reader)
        assert seen(found) == expected, number
        graded += not found[NAMES[5]].reason if NAMES[5] in found else 0
    note(f"{size} mutations of one member of a class of 12: the other 11 as they were; "
         f"{graded} of the mutated were read")  # fmt: skip


@pytest.mark.slow
def test_a_member_that_takes_its_reading_down_changes_no_others_grade(tmp_path):
    for name in ("anna", "bob"):
        (tmp_path / "class" / name).mkdir(parents=True)
        (tmp_path / "class" / name / FILE).write_bytes(notebook(RIGHT))
    (tmp_path / "class" / "bob" / FILE).write_bytes(b"[" * 1_000_000)
    summary = jobs.grade(tmp_path / "class", tmp_path / "out", seed=5)
    ((anna,), (bob,)) = (records for _, records in summary.students)
    assert anna["points"] == 1 and bob["state"] == "ungraded"
    assert "nested too deep" in bob["reason"]


# --- right answers in other clothes -------------------------------------------------------------

COLAB = '''# -*- coding: utf-8 -*-
"""00_start.ipynb

Automatically generated by Colab.
"""

!pip install nothing

"""# A heading"""

import numpy as np
# exercise: start.double
def double(x):
    return 2 * x

from course.start import double
check("start.double")
'''


def test_a_py_that_colab_made_is_read_statement_by_statement(tmp_path):
    (tmp_path / "00_start.py").write_text(COLAB)
    document = notebooks.read(tmp_path / "00_start.py")
    found = matching.match(document, bank.of_lesson("start"))["start.double"]
    assert found.source.startswith("def double")
    pieces = [text for _, text in matching.statements_of(document.cells[0].source)]
    assert "def double(x):\n    return 2 * x" in pieces


def test_of_a_cell_each_statement_keeps_its_line():
    source = "a = 1; b = 2\n\n@d\ndef f():\n    '''\n    x'''\n    return 1\nf()"
    assert matching.statements_of(source) == (
        (1, "a = 1; b = 2"),
        (3, "@d\ndef f():\n    '''\n    x'''\n    return 1"),
        (8, "f()"),
    )
    assert matching.statements_of("def f(:") == ()


def test_selection_in_this_process_and_in_the_reader_say_the_same(tmp_path, reader):
    (tmp_path / "jane").mkdir()
    (tmp_path / "jane" / FILE).write_bytes(notebook(RIGHT, "x = 1"))
    (here,) = selection.plan_work(tmp_path)
    (there,) = collected(Path(tmp_path), reader).values()
    assert (here.document.cells, here.scan) == (there.document.cells, there.scan)
