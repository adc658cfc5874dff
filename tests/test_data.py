import gzip
import hashlib
import io
import json
import lzma
import os
import signal
import subprocess
import sys
import tarfile
import time
from itertools import islice
from pathlib import Path

import data_server
import pytest
from data_server import BODIES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course import data
from course.data import DataError, locations
from course.data.card import Archive, Known, known_files
from course.data.formats import nearest
from course.data.registry import REGISTRY
from course.data.tables import text_lines
from course.data.unpack import imdb

TESTS = Path(__file__).parent
WORLD = {
    "world-en-zh": {"source", "target", "construction"},
    "world-en-de": {"source", "target", "construction"},
    "world-stories": {"title", "text", "facts"},
    "world-questions": {"story_id", "context", "question", "answers", "kind"},
    "world-summaries": {"story_id", "document", "summary"},
    "world-verdicts": {"story_id", "text", "label", "label_name"},
}


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch):
    """No variable of the person who runs the tests reaches them, and no proxy the local server."""
    for name in ("COURSE_DATA", "COURSE_OFFLINE", "COURSE_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def web():
    with data_server.serving() as server:
        yield server


@pytest.fixture
def server(web):
    web.routes.clear()
    web.asked.clear()
    return web


@pytest.fixture
def toy(monkeypatch):
    """Registers the toy data set with the addresses given for its English file."""

    def register(server, *english):
        german = server.good("/train.de.gz", BODIES["train.de"])
        mirrors = {"train.en": english, "train.de": [german]}
        data_server.register(mirrors, monkeypatch.setitem)

    return register


@pytest.fixture
def local(tmp_path, monkeypatch):
    """A COURSE_DATA folder: call it with a file's path and content to write it there."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    monkeypatch.setenv("COURSE_OFFLINE", "1")

    def write(path, content):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    return write


def cached(home) -> list[str]:
    """Every file under the cache, half-written ones included."""
    root = home / "data"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


# What there is


def test_importing_the_registry_imports_no_framework_and_no_downloader():
    code = "import sys, course.data; course.data.names(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"keras", "tensorflow", "jax", "torch", "pandas", "numpy", "pooch", "requests"}
    assert not heavy & {name.partition(".")[0] for name in run.stdout.split()}


def test_an_unknown_name_is_told_what_is_close_and_what_there_is():
    with pytest.raises(DataError, match=r"'multi30'.*Did you mean multi30k\?.*tinyshakespeare"):
        data.load("multi30", "train")
    with pytest.raises(DataError, match="Did you mean world-stories"):
        data.describe("World_Stories")


def test_an_unknown_split_is_told_what_is_close_and_what_there_is():
    with pytest.raises(DataError, match=r"'dev'.*mean validation\?.*train, validation, test"):
        data.load("sst2", "dev")
    with pytest.raises(DataError, match="test_2016_flickr"):
        data.stream("multi30k", "test")


@pytest.mark.parametrize("name", data.names())
def test_every_card_is_complete(name):
    card = data.describe(name)
    assert card.name == name
    assert all((card.title, card.task, card.languages, card.columns, card.licence, card.source))
    assert all((card.citation, card.splits, card.size)) and min(card.splits.values()) > 0
    assert set(card.where.split(" + ")) <= {"embedded", "remote", "by hand"}


def test_every_file_of_the_registry_has_known_checksums_and_every_mirrored_one_a_served_one():
    named = set()
    for dataset in REGISTRY.values():
        files = [file for split in dataset.files.values() for file in split]
        for file in [*files, *filter(None, [dataset.archive])]:
            known = dataset.known(file)
            named.add(f"{dataset.folder}/{file.path}")
            named.update(f"{dataset.folder}/{other}" for other in getattr(file, "also", ()))
            assert len(known.content) == 64
            assert len(known.served) == (64 if file.mirrors else 0), file.path
            assert len(set(file.mirrors)) == len(file.mirrors)
            assert all(url.startswith(("https://", "http://")) for url in file.mirrors)
    assert named == set(known_files())


# Embedded


@pytest.mark.parametrize("name", WORLD)
def test_embedded_views_load_with_their_columns_and_verify_clean(name):
    splits = data.describe(name).splits
    assert list(splits)[:3] == ["train", "validation", "test"]
    if "translation" in data.describe(name).task:
        assert {"test_combinations", "test_constructions"} <= set(splits)
    for split, rows in splits.items():
        loaded = data.load(name, split)
        assert len(loaded) == rows
        assert {"id", *WORLD[name]} <= set(loaded[0])
    assert data.verify(name) == []
    assert data.describe(name).where == "embedded"
    assert all(path.is_file() for path in data.fetch(name))


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An embedded folder of one's own."""
    monkeypatch.setattr(locations, "embedded_root", lambda: tmp_path)
    return tmp_path


def test_a_truncated_embedded_file_is_named_and_says_to_install_again(world):
    text = "".join(json.dumps({"id": str(i), "text": os.urandom(9).hex()}) for i in range(999))
    packed = lzma.compress(text.encode())
    (world / "stories.train.jsonl.xz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"stories\.train\.jsonl\.xz: truncated.*install"):
        data.load("world-stories", "train")
    assert "truncated" in str(data.verify("world-stories")[0])


def test_a_wrong_label_and_a_repeated_id_are_found_in_an_embedded_file(world):
    row = {"id": "a", "story_id": "s", "text": "Good.", "label": 1, "label_name": "positive"}
    rows = [row, row | {"id": "b", "label": 2}, row, row | {"id": "c", "label": True}]
    (world / "verdicts.train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = [(finding.row, finding.problem) for finding in data.verify("world-verdicts")]
    assert [row for row, _ in found] == [2, 3, 4]
    assert "2, an unknown label; expected 0 (negative) or 1 (positive)" in found[0][1]
    assert "id 'a' is that of row 1 too" in found[1][1]


def test_an_answer_that_is_not_where_it_is_said_to_be_is_an_error(world):
    row = {"id": "a", "story_id": "s", "context": "Tom ran.", "question": "Who?", "kind": "who"}
    row["answers"] = [{"text": "Tom", "start": 4}]
    (world / "questions.train.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError, match=r"row 1: the answer 'Tom'.* start at 4.*'ran'"):
        data.load("world-questions", "train")


# Downloads


def test_a_download_is_cached_and_the_server_is_not_asked_again(server, toy, course_home):
    toy(server, server.good("/a", BODIES["train.en"]))
    assert data.describe("toy").where == "remote"
    rows = data.load("toy", "train")
    assert (len(rows), rows[7]) == (20_000, {"en": "sentence number 7", "de": "Satz Nummer 7"})
    assert server.asked == ["/a", "/train.de.gz"]
    assert data.load("toy", "train") == rows and len(data.fetch("toy")) == 2
    assert server.asked == ["/a", "/train.de.gz"]
    assert cached(course_home) == ["toy/train.de.gz", "toy/train.en.gz"]
    assert data.describe("toy").where == "cached" and data.verify("toy") == []


def test_mirrors_are_tried_in_order_and_each_failure_is_told(server, toy, course_home):
    body = BODIES["train.en"]
    toy(
        server,
        server.status("/missing", 404),
        server.truncated("/truncated", body),
        server.good("/wrong", body[:-1] + b"x"),
        server.stalled("/stalled", body, sent=len(body) // 2),
        server.silent("/silent"),
        server.redirect("/loop", "/loop"),
        "http://127.0.0.1:9/nobody",
        server.redirect("/moved", server.good("/good", body)),
        server.good("/never", body),
    )
    told = []
    start = time.monotonic()
    data.fetch("toy", timeout=1.0, say=told.append)
    assert time.monotonic() - start < 15
    order = ["/missing", "/truncated", "/wrong", "/stalled", "/silent", "/loop", "/moved"]
    assert list(dict.fromkeys(server.asked)) == [*order, "/good", "/train.de.gz"]
    failures = [line for line in told if "trying the next mirror" in line]
    expected = (
        "HTTP 404 Not Found",
        "broke off before the end",
        "served other bytes than expected",
        "silent for 1 s",
        "silent for 1 s",
        "redirects without end",
        "no connection (",
    )
    assert len(failures) == len(expected)
    assert all(word in line for word, line in zip(expected, failures, strict=True))
    assert cached(course_home) == ["toy/train.de.gz", "toy/train.en.gz"]
    assert len(data.load("toy", "train")) == 20_000


def test_when_all_mirrors_fail_one_error_lists_them_and_nothing_is_left(server, toy, course_home):
    body = BODIES["train.en"]
    first, second = server.status("/a", 503), server.truncated("/b", body)
    toy(server, first, second, server.good("/c", b"<html>log in</html>"))
    with pytest.raises(DataError) as caught:
        data.load("toy", "train")
    text = str(caught.value)
    assert text.index(first) < text.index("503") < text.index(second) < text.index("broke off")
    assert "other bytes" in text and "COURSE_DATA" in text and "toy/train.en" in text
    assert cached(course_home) == []
    assert list((course_home / "data" / ".partial").iterdir()) == []
    assert "not here" in data.verify("toy")[0].problem


def test_a_file_damaged_in_the_cache_is_found_and_fetched_again(server, toy, course_home):
    toy(server, server.good("/a", BODIES["train.en"]))
    data.fetch("toy")
    path = course_home / "data" / "toy" / "train.en.gz"
    path.write_bytes(gzip.compress(b"other\n" * 20_000))
    assert [f.file for f in data.verify("toy")] == [str(path)]
    data.fetch("toy")
    assert path.read_bytes() == BODIES["train.en"] and data.verify("toy") == []
    path.write_bytes(BODIES["train.en"][:-9])
    with pytest.raises(DataError, match=r"train\.en\.gz: truncated.*course data fetch toy"):
        data.load("toy", "train")


def start_fetch(address: str) -> subprocess.Popen:
    """Fetches the toy data set in another process."""
    code = (
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        "import data_server\n"
        f"english = {address!r}\n"
        "german = english.rpartition('/')[0] + '/train.de.gz'\n"
        "data_server.register({'train.en': [english], 'train.de': [german]})\n"
        "from course import data\n"
        "data.fetch('toy')\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is POSIX's")
def test_a_download_killed_midway_poisons_nothing(server, toy, course_home):
    body = BODIES["train.en"]
    # More than pooch's chunk of 64 kB has to arrive before anything is on the disk.
    address = server.stalled("/a", body + bytes(200_000), sent=len(body) + 150_000)
    process = start_fetch(address)
    partial = course_home / "data" / ".partial"
    wait_for(lambda: any(p.stat().st_size for p in partial.rglob("*") if p.is_file()))
    process.kill()
    process.wait()
    left = [path for path in partial.rglob("*") if path.is_file()]
    assert left, "the killed process had written nothing: this test tests nothing"
    toy(server, server.good("/a", body))
    assert data.describe("toy").where == "remote"
    assert len(data.load("toy", "train")) == 20_000 and data.verify("toy") == []
    # What it left is nobody's for sure only after an hour; then the next download removes it.
    assert left[0].exists()
    for path in (left[0], left[0].parent):
        os.utime(path, (1, 1))
    (course_home / "data" / "toy" / "train.en.gz").unlink()
    data.fetch("toy")
    assert cached(course_home) == ["toy/train.de.gz", "toy/train.en.gz"]


def test_two_processes_that_fetch_at_once_both_succeed(server, toy, course_home):
    address = server.good("/a", BODIES["train.en"])
    toy(server, address)
    processes = [start_fetch(address) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert cached(course_home) == ["toy/train.de.gz", "toy/train.en.gz"]
    assert data.verify("toy") == []


def test_offline_downloads_nothing_and_says_what_to_do(server, toy, monkeypatch, course_home):
    toy(server, server.good("/a", BODIES["train.en"]))
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    for act in (lambda: data.load("toy", "train"), lambda: data.fetch("toy")):
        with pytest.raises(DataError, match=r"toy/train\.en.*unset COURSE_OFFLINE.*COURSE_DATA"):
            act()
    assert server.asked == [] and cached(course_home) == []
    assert data.load("world-verdicts", "test")
    monkeypatch.setenv("COURSE_OFFLINE", "0")
    data.fetch("toy")
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert len(data.load("toy", "train")) == 20_000


@pytest.mark.parametrize("value", ["soon", "0", "-3", "inf", "nan"])
def test_a_timeout_that_is_none_is_refused(value, server, toy, monkeypatch):
    toy(server, server.good("/a", BODIES["train.en"]))
    monkeypatch.setenv("COURSE_TIMEOUT", value)
    with pytest.raises(DataError, match=rf"COURSE_TIMEOUT.*{value}.*seconds"):
        data.fetch("toy")


def test_a_cache_that_cannot_be_written_names_course_home(server, toy, monkeypatch, tmp_path):
    toy(server, server.good("/a", BODIES["train.en"]))
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="COURSE_HOME"):
        data.fetch("toy")


def test_a_set_with_no_public_address_says_where_to_get_it_and_where_to_put_it(monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")  # which would be no reason to unset it
    assert data.describe("chnsenticorp").where == "by hand"
    with pytest.raises(DataError, match=r"chnsenticorp/train\.tsv.*Chinese-BERT-wwm.*COURSE_DATA"):
        data.load("chnsenticorp", "train")


def imdb_archive(rows) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        for name, text in rows:
            info = tarfile.TarInfo(f"aclImdb/{name}")
            info.size = len(text.encode())
            packed.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


def test_imdb_is_made_from_its_authors_archive(server, tmp_path, monkeypatch, course_home):
    packed = imdb_archive(
        [
            ("README", "not a review"),
            ("train/neg/0_2.txt", "Tedious."),
            ("train/pos/10_8.txt", "Great — été."),
            ("train/pos/9_10.txt", "Superb."),
            ("train/unsup/0_0.txt", "Unrated."),
            ("test/pos/3_7.txt", "Fine."),
        ]
    )
    digest = hashlib.sha256(packed).hexdigest()
    imdb_set = REGISTRY["imdb"]
    small = {"train": 3, "test": 1, "unsupervised": 1}
    archive = Archive("aclImdb_v1.tar.gz", (server.good("/imdb", packed),), "imdb")
    changed = imdb_set.__class__(**(vars(imdb_set) | {"rows": small, "archive": archive}))
    monkeypatch.setitem(REGISTRY, "imdb", changed)
    known = Known("", len(packed), digest, digest)
    monkeypatch.setitem(known_files(), "imdb/aclImdb_v1.tar.gz", known)
    assert data.load("imdb", "train") == [
        {"id": 9, "label": 1, "rating": 10, "text": "Superb."},
        {"id": 10, "label": 1, "rating": 8, "text": "Great — été."},
        {"id": 0, "label": 0, "rating": 2, "text": "Tedious."},
    ]
    assert data.load("imdb", "unsupervised") == [{"id": 0, "text": "Unrated."}]
    assert server.asked == ["/imdb"] and data.verify("imdb") == []
    made = [f"imdb/{n}.jsonl.gz" for n in ("test", "train", "unsup")]
    assert cached(course_home) == made
    # The archive that a person has put in COURSE_DATA serves as well, offline too.
    for path in made:
        (course_home / "data" / path).unlink()
    (tmp_path / "imdb").mkdir()
    (tmp_path / "imdb" / "aclImdb_v1.tar.gz").write_bytes(packed)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert data.load("imdb", "test")[0]["text"] == "Fine."
    assert server.asked == ["/imdb"] and cached(course_home) == made
    (tmp_path / "imdb" / "aclImdb_v1.tar.gz").write_bytes(packed[:-1])
    (course_home / "data" / "imdb" / "test.jsonl.gz").unlink()
    with pytest.raises(DataError, match=r"aclImdb_v1\.tar\.gz: is not the known archive"):
        data.load("imdb", "test")


# COURSE_DATA


@pytest.mark.parametrize(
    ("form", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)]
)
def test_local_files_may_be_plain_gz_or_xz(form, pack, local):
    local(f"sst2/dev.tsv{form}", pack(b"a fine film\t1\nno fun\t0\n"))
    expected = [{"text": "a fine film", "label": 1}, {"text": "no fun", "label": 0}]
    assert data.load("sst2", "validation") == expected
    assert data.describe("sst2").where == "remote + local"


def test_course_data_goes_before_the_cache(server, toy, local, monkeypatch):
    monkeypatch.delenv("COURSE_OFFLINE")
    toy(server, server.good("/a", BODIES["train.en"]))
    data.fetch("toy")
    local("toy/train.en", "one\n")
    local("toy/train.de", "eins\n")
    assert data.load("toy", "train") == [{"en": "one", "de": "eins"}]
    found = [finding.problem for finding in data.verify("toy")]
    assert "not the known one" in found[0] and "1 rows; expected 20,000" in found[-1]


def test_half_a_split_in_course_data_is_an_error_and_not_filled_from_elsewhere(local):
    local("multi30k/val.en", "A man.\n")
    with pytest.raises(DataError, match=r"has val\.en but not val\.de and val\.fr"):
        data.load("multi30k", "val")


def test_course_data_that_is_no_folder_is_named(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "nowhere/at/all")
    with pytest.raises(DataError, match=r"COURSE_DATA is 'nowhere/at/all'.*not a folder"):
        data.load("sst2", "train")


SQUAD = {
    "data": [
        {
            "title": "T",
            "paragraphs": [
                {
                    "context": "Tom ran.",
                    "qas": [
                        {
                            "id": "q1",
                            "question": "Who?",
                            "answers": [{"text": "Tom", "answer_start": 0}],
                        }
                    ],
                }
            ],
        }
    ]
}


def broken_squad(change) -> str:
    copy = json.loads(json.dumps(SQUAD))
    change(copy["data"][0]["paragraphs"][0]["qas"][0])
    return json.dumps(copy)


REVIEW = '{"id": 0, "label": 1, "rating": 9, "text": "Good."}\n'
MALFORMED = {
    "a third column": ("sst2", "train", "sst2/train.tsv", "a\t1\nb\t0\tc\n", 2, "3 tab-separated"),
    "one column": ("sst2", "train", "sst2/train.tsv", "a\t1\nb 0\n", 2, r"expected 2 \(text, lab"),
    "a blank line": ("sst2", "train", "sst2/train.tsv", "a\t1\n\nb\t0\n", 2, "1 tab-separated"),
    "an unknown label": ("sst2", "train", "sst2/train.tsv", "a\t1\nb\t5\n", 2, "unknown label.*0"),
    "a label that is a word": ("sst2", "train", "sst2/train.tsv", "a\tpos\n", 1, "unknown label"),
    "an empty text": ("sst2", "train", "sst2/train.tsv", "a\t1\n \t0\n", 2, "'text' is empty"),
    "Latin-1": (
        "sst2",
        "train",
        "sst2/train.tsv",
        b"a\t1\ncaf\xe9\t0\n",
        2,
        "byte 4 .0xe9. is not",
    ),
    "UTF-16": ("sst2", "train", "sst2/train.tsv", "a\t1\n".encode("utf-16"), 1, "UTF-16"),
    "a BOM": ("sst2", "train", "sst2/train.tsv", "\ufeffa\t1\n", 1, "byte order mark"),
    "CRLF": ("sst2", "train", "sst2/train.tsv", "a\t1\r\n", 1, "CRLF.*autocrlf"),
    "no header": ("sst2-phrases", "test", "sst2/phrases/test.tsv", "a\t1\n", 1, "header is 'a"),
    "bad JSON": ("imdb", "test", "imdb/test.jsonl", REVIEW + "{oops\n", 2, "bad JSON at column 2"),
    "a JSON list": ("imdb", "test", "imdb/test.jsonl", REVIEW + "[1]\n", 2, "JSON list; expected"),
    "a missing key": ("imdb", "test", "imdb/test.jsonl", '{"id": 1}\n', 1, "'label' is missing"),
    "a text as label": (
        *("imdb", "test", "imdb/test.jsonl"),
        *(REVIEW.replace('"label": 1', '"label": "1"'), 1, "'1', an unknown label"),
    ),
    "an empty caption": (
        *("tatoeba-en-es", "all", "tatoeba_eng_spa/spa.txt"),
        *("Go.\tVe.\nRun.\t\n", 2, "'es' is empty"),
    ),
    "an answer elsewhere": (
        *("squad", "dev", "squad_v11_dev/dev-v1.1.json"),
        *(broken_squad(lambda q: q["answers"][0].update(answer_start=4)), 1, "'Tom'.*start at 4"),
    ),
    "a question without id": (
        *("squad", "dev", "squad_v11_dev/dev-v1.1.json"),
        *(broken_squad(lambda q: q.pop("id")), 1, "lacks 'id'"),
    ),
    "JSON cut short": (
        *("squad", "dev", "squad_v11_dev/dev-v1.1.json"),
        *(json.dumps(SQUAD, indent=1)[:60], 7, "bad JSON"),
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_local_file_is_named_with_its_row_and_what_was_expected(case, local):
    name, split, path, content, row, told = MALFORMED[case]
    local(path, content)
    with pytest.raises(DataError, match=told) as caught:
        data.load(name, split)
    assert f"{Path(path).name}, row {row}: " in str(caught.value)
    assert f"course data verify {name}" in str(caught.value)
    findings = [f for f in data.verify(name) if f.split == split]
    assert any(f.row == row or f"row {row}" in f.problem for f in findings)


def test_parallel_files_of_different_length_are_told_with_both_lengths(local):
    local("multi30k/val.en", "A man.\nA dog.\nA cat.\n")
    local("multi30k/val.de", "Ein Mann.\nEin Hund.\nEine Katze.\n")
    local("multi30k/val.fr", "Un homme.\nUn chien.\n")
    with pytest.raises(DataError, match=r"val\.fr, row 3.*val\.en has 3 rows.*val\.fr has 2 rows"):
        data.load("multi30k", "val")
    assert len(list(islice(data.stream("multi30k", "val"), 2))) == 2


def test_an_empty_line_in_a_parallel_file_names_that_file(local):
    for code, text in (("en", "A.\nB.\n"), ("de", "A.\n\n"), ("fr", "A.\nB.\n")):
        local(f"multi30k/val.{code}", text)
    with pytest.raises(DataError, match=r"val\.de, row 2: column 'de' is empty"):
        data.load("multi30k", "val")


def test_lines_end_at_line_feeds_only(local):
    local("tinyshakespeare/input.txt", "one\u2028still one\n\ntwo\x85still two\n")
    texts = [row["text"] for row in data.load("tinyshakespeare", "all")]
    assert texts == ["one\u2028still one", "", "two\x85still two"]


@pytest.mark.parametrize(("form", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_a_truncated_local_file_is_named(form, pack, local):
    packed = pack("".join(f"{os.urandom(20).hex()}\t1\n" for _ in range(2000)).encode())
    local(f"sst2/train.tsv{form}", packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"train\.tsv\.\w\w: truncated or damaged after row \d+"):
        data.load("sst2", "train")
    local(f"sst2/train.tsv{form}", b"this was never compressed")
    with pytest.raises(DataError, match=r"train\.tsv\.\w\w: truncated or damaged after row 0"):
        data.load("sst2", "train")


def test_verify_collects_every_bad_row_and_counts_what_it_does_not_list(local):
    local("sst2/dev.tsv", "a\t1\n" + "b\t7\n" * 50)
    findings = [f for f in data.verify("sst2") if f.split == "validation"]
    assert "sha256" in findings[0].problem
    assert [f.row for f in findings[1:20]] == list(range(2, 21))
    assert any("more problems" in f.problem for f in findings)


def test_an_answer_is_moved_to_its_nearest_occurrence_where_offsets_are_known_to_be_off():
    assert nearest("a rose is a rose", "rose", 11) == 12
    assert nearest("a rose is a rose", "rose", 3) == 2
    assert nearest("a rose is a rose", "tulip", 3) == -1
    assert nearest("a rose is a rose", "rose", -1) == 2


# The real files, where they are

ROWS = {
    "multi30k": (29_000, 1_014, 1_000, 1_000, 461),
    "tatoeba-en-zh": (29_155,),
    "tatoeba-en-es": (118_964,),
    "sst2": (6_920, 872, 1_821),
    "sst2-phrases": (60_614, 6_735, 872),
    "imdb": (25_000, 25_000, 50_000),
    "chnsenticorp": (9_600, 1_200, 1_200),
    "squad": (10_570,),
    "xquad": (1_190, 1_190),
    "cmrc2018": (3_219, 1_002),
    "dialogsum": (12_460, 500, 500),
    "wikitext2": (3_760, 4_358),
    "tinyshakespeare": (40_000,),
}


def test_no_real_data_set_is_left_out():
    assert set(ROWS) | set(WORLD) == set(data.names())


@pytest.mark.parametrize("name", ROWS)
def test_real_data_has_the_rows_and_the_bytes_it_is_known_for(name, shared_data, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(shared_data))
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    card = data.describe(name)
    assert card.where == "local" and tuple(card.splits.values()) == ROWS[name]
    if name == "imdb":  # 100,000 reviews: only the first of each split, and the sha256 of one
        for split in card.splits:
            assert set(next(data.stream(name, split))) >= {"id", "text"}
        assert locations.matches(REGISTRY[name], shared_data / "imdb" / "test.jsonl.xz")
        return
    assert data.verify(name) == []
    for split in card.splits:
        assert set(next(data.stream(name, split))) == {
            column.name for column in REGISTRY[name].columns_of(split)
        }


# A user's own table


def table(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


GOOD = [{"text": "A fine, long film.", "label": 1}, {"text": 'She said "no".', "label": 0}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'text,label\n"A fine, long film.",good\n"She said ""no"".",bad\n'),
        ("t.csv", '\ufefftext,label\r\n"A fine, long film.",1\r\n"She said ""no"".",0\r\n'),
        ("t.csv", 'text;label\n"A fine, long film.";good\n"She said ""no"".";bad\n'),
        ("t.tsv", 'id\ttext\tlabel\n1\tA fine, long film.\tgood\n2\tShe said "no".\tbad\n'),
        ("t.jsonl", "".join(json.dumps(row) + "\n" for row in GOOD)),
        ("t.jsonl.gz", gzip.compress("\n".join(map(json.dumps, GOOD)).encode(), mtime=0)),
        ("t.csv", 'sep=;\r\ntext;label\r\n"A fine, long film.";good\r\n"She said ""no"".";bad\r\n'),
        (
            "t.csv",
            'text\tlabel\nA fine, long film.\tgood\n"She said ""no""."\tbad\n'.encode("utf-16"),
        ),
        ("t.csv", 'text,label\n"A fine, long film.",good\n"She said \\"no\\".",bad\n,\n\n,\n'),
        ("t.csv", 'label, text\n1, "A fine, long film."\n0, "She said ""no""."\n'),
        ("t.csv", 'text|label\nA fine, long film.|good\n"She said ""no""."|bad\n'),
        ("t.csv", 'text,label\n"A fine, long film.",good,,\n"She said ""no"".",bad,,\n'),
        ("t.tsv", 'text\tlabel\nA fine, long film.\tgood\n"She said ""no""."\tbad\n'),  # pandas
        (
            "t.tsv",
            '"text"\t"label"\n"A fine, long film."\t"good"\n"She said ""no""."\t"bad"\n',
        ),  # R
        ("T.CSV", 'text,label\n"A fine, long film.",good\n\n"She said ""no"".",bad\n'),
    ],
)
def test_read_table_reads_what_people_have(name, content, tmp_path):
    path = table(tmp_path, name, content)
    assert data.read_table(path, columns=("text", "label"), labels=("bad", "good")) == GOOD


def test_read_table_renames_columns_and_reads_all_of_them_by_default(tmp_path):
    path = table(tmp_path, "t.csv", "review,stars\nGood.,5\n")
    assert data.read_table(path) == [{"review": "Good.", "stars": "5"}]
    assert data.read_table(path, columns={"text": "review"}) == [{"text": "Good."}]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv", "text,label\na,good\nb\n", r"row 3: 1 cells; expected 2 \(text, label\)"),
        ("t.csv", "text,label\na, b,good\n", r"row 2: 3 cells.*quote a text"),
        ("t.csv", "text,label\na,good\n ,bad\n", r"row 3, column 'text': empty"),
        (
            "t.csv",
            "text,label\na,godo\n",
            r"row 2, column 'label': unknown label 'godo'.*'good' \(1",
        ),
        ("t.csv", "text,label\na,\n", r"row 2, column 'label': unknown label ''"),
        ("t.csv", "text,label\na,2\n", r"row 2, column 'label': unknown label '2'"),
        ("t.csv", "Text,Label\na,good\n", r"row 1: no column 'text'.*Did you mean 'Text'"),
        (
            "t.csv",
            "a fine film,good\nno,bad\n",
            r"no column 'text'; found 'a fine film'.*first row",
        ),
        ("t.csv", "text,text\na,b\n", r"row 1.*'text' twice"),
        ("t.csv", "text,\na,b\n", r"no column 'label'; found 'text', ''"),
        ("t.csv", 'text,label\n"a,good\nb,bad\n', r"row 2: cannot be split.*quotation mark"),
        ("t.csv", b"text,label\na,good\ncaf\xe9,bad\n", r"row 3: byte 0xe9 is not UTF-8"),
        ("t.csv", "text,label\n", "no rows"),
        ("t.csv", "", "no rows"),
        ("t.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}\n', r"row 2, column 'label'"),
        ("t.jsonl", '{"text": "a", "label": 1}\n{"text":\n', r"row 2: bad JSON"),
        ("t.jsonl", '[\n {"text": "a", "label": 1}\n]\n', r"one JSON array.*line of its own"),
        ("t.json", "[]", r"suffix '\.json'.*one object a line"),
        ("t.jsonl", '{"text": null, "label": 1}\n', r"row 1, column 'text': None"),
        ("t.jsonl", '{"text": "a", "label": true}\n', r"unknown label True"),
        ("t.csv.gz", gzip.compress(b"text,label\n" * 99, mtime=0)[:-9], "truncated or damaged"),
        ("t.xlsx", "PK", r"suffix '\.xlsx'.*CSV UTF-8"),
    ],
)
def test_read_table_says_which_row_and_which_column_is_wrong(name, content, told, tmp_path):
    path = table(tmp_path, name, content)
    with pytest.raises(DataError, match=told) as caught:
        data.read_table(path, columns=("text", "label"), labels=("bad", "good"))
    assert path.name in str(caught.value)


def test_a_column_without_a_name_may_stand_beside_those_that_are_asked_for(tmp_path):
    path = table(tmp_path, "t.csv", ",text,label,,\n0,a,good,,\n1,b,bad,,\n")  # pandas, Excel
    found = data.read_table(path, columns=("text", "label"))
    assert found == [{"text": "a", "label": "good"}, {"text": "b", "label": "bad"}]
    with pytest.raises(DataError, match=r"row 1.*no name"):
        data.read_table(path)


def test_read_table_lists_ten_problems_and_counts_the_rest(tmp_path):
    path = table(tmp_path, "t.csv", "text,label\n" + "a,x\n" * 40)
    with pytest.raises(DataError, match=r"40 problems") as caught:
        data.read_table(path, labels=("bad", "good"))
    assert str(caught.value).count("unknown label") == 10 and "30 more" in str(caught.value)


def test_read_table_names_a_file_that_is_close(tmp_path):
    table(tmp_path, "reviews.csv", "text\na\n")
    with pytest.raises(DataError, match=r"no such file.*Did you mean reviews\.csv"):
        data.read_table(tmp_path / "review.csv")


def test_an_archive_with_too_few_reviews_is_refused(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(imdb_archive([("train/pos/0_9.txt", "Good.")]))
    with pytest.raises(DataError, match="expected"):
        imdb(tmp_path / "a.tar.gz", tmp_path, {"train": 2, "test": 0, "unsupervised": 0})


def test_a_cell_may_be_longer_than_python_s_own_limit(tmp_path):
    path = table(tmp_path, "t.csv", f"text\n{'long ' * 50_000}\n")
    assert len(data.read_table(path)[0]["text"]) == 250_000


def test_a_table_without_a_header_has_numbered_columns(tmp_path):
    path = table(tmp_path, "t.csv", "A fine film.,1\nno,0\n")
    rows = data.read_table(path, columns={"text": "1", "label": "2"}, header=False)
    assert rows == [{"text": "A fine film.", "label": "1"}, {"text": "no", "label": "0"}]


def test_a_separator_may_be_said(tmp_path):
    path = table(tmp_path, "t.dat", "text~label\na,b;c~0\n")
    assert data.read_table(path, separator="~") == [{"text": "a,b;c", "label": "0"}]
    with pytest.raises(DataError, match="expected one character"):
        data.read_table(path, separator="~~")


def test_quotation_marks_that_belong_to_a_tsv_s_texts_stay(tmp_path):
    path = table(tmp_path, "t.tsv", 'text\n"Yes," he said.\n"No."\n')
    assert [row["text"] for row in data.read_table(path)] == ['"Yes," he said.', '"No."']


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "t.jsonl",
            '{"text": "a \\ud83d b"}\n',
            r"row 1, column 'text': character 3 is half of one",
        ),
        ("t.csv", "version https://git-lfs.example/spec/v1\n", "pointer of Git LFS.*git lfs pull"),
        ("t.csv", b"PK\x03\x04rest", "spreadsheet"),
    ],
)
def test_what_is_no_text_is_called_what_it_is(name, content, told, tmp_path):
    with pytest.raises(DataError, match=told):
        data.read_table(table(tmp_path, name, content))


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
    lambda text: text.strip()
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6), data_=st.data())
def test_what_python_s_csv_wrote_is_read_back(rows, data_, tmp_path):
    import csv

    separator = data_.draw(st.sampled_from(",;\t|"))
    quoting = data_.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    path = tmp_path / "t.csv"
    with open(
        path, "w", newline="", encoding=data_.draw(st.sampled_from(["utf-8", "utf-16"]))
    ) as f:
        csv.writer(f, delimiter=separator, quoting=quoting).writerows([("text", "other"), *rows])
    read = data.read_table(path, columns=("text", "other"))
    assert [(row["text"], row["other"]) for row in read] == rows


@pytest.mark.parametrize(
    "content",
    [
        "a\nb\n\nc",
        "a\r\nb\r\n\r\nc\r\n",
        "\ufeffa\nb\n\nc\n",
        "a\rb\r\rc",
        "a\nb\n\nc".encode("utf-16"),
    ],
)
@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz"])
def test_text_lines_reads_lines_whatever_ends_them(content, name, tmp_path):
    content = content.encode() if isinstance(content, str) else content
    path = table(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content)
    assert list(text_lines(path)) == ["a", "b", "", "c"]


def test_text_lines_says_where_a_byte_is_no_text(tmp_path):
    with pytest.raises(DataError, match=r"t\.txt, near row \d: byte 0xe9 is not UTF-8"):
        list(text_lines(table(tmp_path, "t.txt", b"a\ncaf\xe9\n")))
