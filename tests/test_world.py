"""The embedded world: sizes, splits, held-out pairs, answer spans, its generator and datasheets."""

from __future__ import annotations

import json
import lzma
import re
import sys
from collections import Counter
from functools import cache
from itertools import combinations, islice

import pytest
from conftest import PROVING, ROOT

sys.path.insert(0, str(ROOT / "datasets"))

import generate
from generator import translation, world
from generator.lexicon import Lexicon

WORLD = ROOT / "datasets" / "world"
PAIRS = ("en-zh", "en-de")
STORIES = ("stories", "questions", "summaries", "verdicts")
SPLITS = ("train", "validation", "test")
HELD_OUT = ("test_combinations", "test_constructions")
SPLITS_OF = dict.fromkeys(PAIRS, SPLITS + HELD_OUT) | dict.fromkeys(STORIES, SPLITS)
CONTENT = {"stories": ("text",), "questions": ("context", "question"), "summaries": ("document",)}
CONTENT |= dict.fromkeys(PAIRS, ("source",)) | {"verdicts": ("text",)}


@cache
def unpacked(name: str) -> bytes:
    return lzma.decompress((WORLD / f"{name}.jsonl.xz").read_bytes())


@cache
def rows(view: str, split: str = "train") -> list[dict]:
    return [json.loads(line) for line in unpacked(f"{view}.{split}").splitlines()]


@cache
def lexicon() -> Lexicon:
    return Lexicon()


def words(texts) -> set[str]:
    return {word for text in texts for word in translation.plain_words(text)}


def chinese_words(texts) -> set[str]:
    """Longest match with the words of the lexicon, then single characters."""
    tables = (ROOT / "datasets" / "generator" / "lexicon").glob("*.txt")
    known = {w for t in tables for w in re.findall("[\u4e00-\u9fff]+", t.read_text("utf-8"))}
    longest = max(map(len, known))
    found = set()
    for text in texts:
        while text:
            ends = range(min(longest, len(text)), 0, -1)
            end = next((n for n in ends if text[:n] in known), 1)
            found.add(text[:end])
            text = text[end:]
    return {word for word in found if re.match("[\u4e00-\u9fff]", word)}


def doings(row: dict) -> set[tuple[str, str, str]]:
    """The pairs of words that the facts of a sentence join."""
    pairs = set()
    for fact in row["facts"]:
        if "did" in fact:
            verb = fact["did"].replace(" ", "_")
            pairs.add(("subject-verb", fact.get("who", ""), verb))
            pairs.add(("verb-object", verb, fact.get("what", "")))
    return pairs


def held_out_doings(row: dict) -> set[tuple[str, str, str]]:
    """Those that a split may hold out: a verb of the lexicon with one of its nouns."""
    nouns = {noun.english for noun in lexicon().nouns}
    verbs = {verb.lemma for verb in lexicon().verbs}
    at = {"subject-verb": (1, 2), "verb-object": (2, 1)}
    return {
        pair
        for pair in doings(row)
        if pair[at[pair[0]][0]] in nouns
        and pair[at[pair[0]][1]] in verbs
        and translation.held_out(pair)
    }


def test_the_world_is_small():
    assert sum(path.stat().st_size for path in WORLD.iterdir()) < 5_000_000


def test_every_file_is_of_a_view_and_a_split():
    wanted = {f"{view}.{split}.jsonl.xz" for view, splits in SPLITS_OF.items() for split in splits}
    assert {path.name for path in WORLD.glob("*.xz")} == wanted


@pytest.mark.parametrize("view", PAIRS)
def test_there_are_enough_pairs(view):
    assert len(rows(view)) >= 20_000
    assert all(len(rows(view, split)) == 1_000 for split in SPLITS_OF[view][1:])


def test_both_languages_translate_the_same_sentences():
    for split in SPLITS_OF["en-de"]:
        pairs = zip(rows("en-zh", split), rows("en-de", split), strict=True)
        assert all(zh["source"] == de["source"] for zh, de in pairs)


def test_the_stories_are_two_megabytes_of_text():
    assert sum(len(row["text"].encode()) for row in rows("stories")) >= 2_000_000


def test_every_language_has_enough_word_types():
    assert len(words(row["source"] for row in rows("en-de"))) >= 1_500
    assert len(words(row["target"] for row in rows("en-de"))) >= 1_500
    assert len(chinese_words(row["target"] for row in rows("en-zh"))) >= 1_500
    assert len(words(row["text"] for row in rows("stories"))) >= 1_500


@pytest.mark.parametrize("view", SPLITS_OF)
def test_splits_are_disjoint(view):
    content = {}
    for split in SPLITS_OF[view]:
        keys = [tuple(row[name] for name in CONTENT[view]) for row in rows(view, split)]
        content[split] = set(keys)
        assert len(content[split]) == len(keys), f"{split} says something twice"
        ids = [row["id"] for row in rows(view, split)]
        assert ids == [f"{ids[0].rpartition('-')[0]}-{n:05d}" for n in range(len(ids))]
    for one, other in combinations(content, 2):
        assert not content[one] & content[other], f"{one} and {other} share rows"


@pytest.mark.parametrize("view", STORIES[1:])
@pytest.mark.parametrize("split", SPLITS)
def test_rows_belong_to_stories_of_their_split(view, split):
    stories = {row["id"]: row["text"] for row in rows("stories", split)}
    assert {row["story_id"] for row in rows(view, split)} <= stories.keys()
    name = {"questions": "context", "summaries": "document"}.get(view)
    if name:
        assert all(row[name] == stories[row["story_id"]] for row in rows(view, split))


def test_held_out_constructions_are_not_in_train():
    seen = {row["construction"] for row in rows("en-de")}
    for split in ("validation", "test", "test_combinations"):
        assert {row["construction"] for row in rows("en-de", split)} <= seen
    held = Counter(row["construction"] for row in rows("en-de", "test_constructions"))
    assert len(held) == 6
    assert not held.keys() & seen
    assert min(held.values()) > 100


def test_held_out_constructions_are_not_in_train_by_their_words():
    """What the labels say, read off the sentences themselves."""
    train = [row["source"] for row in rows("en-de")]
    assert not any(text.startswith("Although ") for text in train)
    assert not any(re.search(r" because .* wanted to ", text) for text in train)
    assert not any(re.search(r"\b(was|were) not .* by ", text) for text in train)
    assert not any(re.match(r"(Is|Are) .* than ", text) for text in train)
    whole = r"^(?!The )(?!“).* the (\w+ )?\w+ (that|whom) .* \w+ed\.$"
    held = [row for row in rows("en-de", "test_constructions")]
    held = [row["source"] for row in held if row["construction"] == "relative-object"]
    assert held and any(re.search(whole, text) for text in held)


def test_held_out_pairs_of_adjective_and_noun_are_not_in_train():
    train = "\n".join(row["source"].lower() for row in rows("en-de"))
    seen = words([train])
    pairs = []
    for noun, adjectives in lexicon().adjectives_of.items():
        for adjective in adjectives:
            if translation.held_out(("adjective-noun", adjective.english, noun.english)):
                pairs.append((adjective.english, noun.english, noun.english_plural))
    assert len(pairs) > 100
    known = [(a, one, many) for a, one, many in pairs if a in seen and {one, many} & seen]
    assert len(known) > 100
    following = {}
    for adjective, rest in re.findall(r"([a-z-]+) (?=([a-z-]+))", train):
        following.setdefault(adjective, set()).add(rest)
    for adjective, one, many in known:
        assert not {one, many} & following.get(adjective, set()), f"{adjective} {one} is in train"
    new = "\n".join(row["source"].lower() for row in rows("en-de", "test_combinations"))
    met = [a for a, one, many in known if re.search(rf"\b{a} ({one}|{many})\b", new)]
    assert len(met) > 20


def test_held_out_pairs_of_noun_and_verb_are_not_in_train():
    seen = words(row["source"] for row in rows("en-de"))
    leaked = [row["source"] for row in rows("en-de") if held_out_doings(row)]
    assert leaked == []
    held = [pair for row in rows("en-de", "test_combinations") for pair in held_out_doings(row)]
    assert len(set(held)) > 100
    nouns = {pair[1] if pair[0] == "subject-verb" else pair[2] for pair in held}
    forms = {n.english: {n.english, n.english_plural} for n in lexicon().nouns}
    single = [noun for noun in nouns if " " not in noun and noun in forms]
    assert single and all(forms[noun] & seen for noun in single)


def test_test_combinations_has_no_word_that_train_lacks():
    for view, name in (("en-de", "source"), ("en-de", "target")):
        seen = words(row[name] for row in rows(view))
        for split in HELD_OUT:
            assert words(row[name] for row in rows(view, split)) <= seen


@pytest.mark.parametrize("split", SPLITS)
def test_answers_stand_where_they_are_said_to(split):
    none = 0
    for row in rows("questions", split):
        assert (row["kind"] == "unanswerable") == (not row["answers"])
        none += not row["answers"]
        for answer in row["answers"]:
            start = answer["start"]
            assert row["context"][start : start + len(answer["text"])] == answer["text"]
            before, after = row["context"][start - 1 : start], row["context"][start:]
            assert answer["text"] and not (start and before.isalnum())
            assert not after[len(answer["text"])].isalnum()
    assert 0.15 < none / len(rows("questions", split)) < 0.25


@pytest.mark.parametrize("split", SPLITS)
def test_summaries_name_nobody_that_the_story_does_not(split):
    names = {name.english for name in (*lexicon().names, *lexicon().towns)}
    for row in rows("summaries", split):
        said = set(re.findall(r"[A-Z]\w+", row["summary"])) & names
        assert said and said <= set(re.findall(r"[A-Z]\w+", row["document"]))


@pytest.mark.parametrize("split", SPLITS)
def test_verdicts_are_balanced(split):
    labels = Counter(row["label"] for row in rows("verdicts", split))
    assert labels[0] == labels[1]
    named = {(row["label"], row["label_name"]) for row in rows("verdicts", split)}
    assert named == {(0, "negative"), (1, "positive")}
    assert max(Counter(row["story_id"] for row in rows("verdicts", split)).values()) == 2


def test_no_occupation_is_of_one_sex():
    people = [person for row in rows("stories") for person in row["facts"]["people"]]
    women = Counter(p["occupation"] for p in people if p["gender"] == "female")
    total = Counter(p["occupation"] for p in people)
    assert 0.45 < sum(women.values()) / len(people) < 0.55
    assert all(0.25 < women[job] / count < 0.75 for job, count in total.items() if count > 50)


def test_the_generator_makes_the_first_sentences_again():
    sampler = translation.new_sampler(generate.SEED, lexicon())
    made = translation.new_sentences(sampler, set())
    first = list(islice((sentence for sentence, held in made if not held), 500))
    for name, made_rows in translation.make_rows({"train": first}).items():
        assert unpacked(name).startswith(generate.to_bytes(made_rows)), name


def test_the_generator_makes_the_stories_again():
    for name, made_rows in world.make_story_views(generate.SEED, lexicon()).items():
        assert generate.to_bytes(made_rows) == unpacked(name), name


@pytest.mark.slow
@pytest.mark.prove  # the two before make a sample of the sentences, and all stories, again
@pytest.mark.skipif(not PROVING, reason="the whole world is made again in `make prove`")
def test_the_generator_makes_every_byte_again():
    assert generate.differences(generate.SEED, WORLD) == []


@pytest.mark.parametrize("view", SPLITS_OF)
def test_every_view_has_a_datasheet_that_counts_right(view):
    sheet = (WORLD / f"{view}.md").read_text("utf-8")
    table = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", sheet, re.MULTILINE)
    told = {split: int(count.replace(",", "")) for split, count in table}
    assert told == {split: len(rows(view, split)) for split in SPLITS_OF[view]}
    assert re.findall(r"^## (.*)$", sheet, re.MULTILINE) == [
        *("What", "Why", "How it was made", "Splits", "Known facts", "Word types", "Baselines"),
        *("The reading", "Limits", "Licence"),
    ]
    assert "CC BY 4.0" in sheet and "2026-11-25" in sheet
