"""The figures of the datasheets: rows, sizes, word types and baselines anybody should beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from . import baselines, translation
from .world import make_world, sentences


def report(seed: int, folder: Path) -> str:
    return "\n".join(lines(seed, folder))


def lines(seed: int, folder: Path) -> Iterator[str]:
    world = make_world(seed)
    total = 0
    yield "view.split: rows, bytes on disk"
    for name, rows in world.items():
        size = (folder / f"{name}.jsonl.xz").stat().st_size
        total += size
        yield f"  {name}: {len(rows):,}, {size:,}"
    yield f"  all files: {total:,} bytes"
    yield from translation_lines(seed, world)
    yield from story_lines(world)
    yield from verdict_lines(world)


def translation_lines(seed: int, world: dict) -> Iterator[str]:
    splits = sentences(seed)
    train = splits["train"]
    yield "translation"
    for label, chosen in (("all", train), ("level 1", [s for s in train if s.level == 1])):
        counts = translation.words_of(chosen)
        types = ", ".join(f"{language} {len(count):,}" for language, count in counts.items())
        rare = ", ".join(
            f"{language} {sum(n < 10 for n in count.values()):,}"
            for language, count in counts.items()
        )
        length = sum(map(len, (s.english.split() for s in chosen))) / len(chosen)
        yield f"  train, {label}: {len(chosen):,} sentences, {length:.1f} English words each"
        yield f"    word types: {types}; of these seen less than ten times: {rare}"
    kinds = Counter(sentence.construction for sentence in train)
    yield f"  constructions in train: {len(kinds)}: " + ", ".join(sorted(kinds))
    held = Counter(sentence.construction for sentence in splits["test_constructions"])
    yield "  held-out constructions: " + ", ".join(f"{k} {v}" for k, v in sorted(held.items()))
    pairs = {
        pair
        for sentence in splits["test_combinations"]
        for pair in sentence.pairs
        if translation.held_out(pair)
    }
    count = Counter(pair[0] for pair in pairs)
    yield "  held-out pairs met in test_combinations: " + ", ".join(
        f"{kind} {n}" for kind, n in sorted(count.items())
    )
    yield "  baselines, BLEU on the first 300 rows (German words, Chinese characters)"
    for view in ("en-de", "en-zh"):
        neighbour = baselines.Neighbour(world[f"{view}.train"])
        for split in ("test", "test_combinations", "test_constructions"):
            rows = world[f"{view}.{split}"][:300]
            targets = [row["target"] for row in rows]
            copied = baselines.bleu([row["source"] for row in rows], targets)
            near = baselines.bleu([neighbour.answer(row["source"]) for row in rows], targets)
            yield f"    {view} {split}: copy the source {copied:.1f}, nearest neighbour {near:.1f}"


def story_lines(world: dict) -> Iterator[str]:
    train = [row["text"] for row in world["stories.train"]]
    test = [row["text"] for row in world["stories.test"]]
    types = {word for text in train for word in translation.plain_words(text)}
    yield "stories"
    yield f"  train text: {sum(map(len, train)):,} characters, {len(types):,} word types"
    yield f"  words a story: {sum(len(t.split()) for t in train) / len(train):.0f}"
    single, double = baselines.bigram_perplexity(train, test)
    yield f"  perplexity a word on test: unigram {single:.0f}, bigram {double:.1f}"
    people = [p for row in world["stories.train"] for p in row["facts"]["people"]]
    women = sum(person["gender"] == "female" for person in people)
    yield f"  people with facts: {len(people):,}, women {women / len(people):.1%}"
    shares = {}
    for job in {person["occupation"] for person in people}:
        same = [person["gender"] == "female" for person in people if person["occupation"] == job]
        shares[job] = sum(same) / len(same)
    extremes = sorted(shares, key=lambda job: (shares[job], job))
    low, high = extremes[0], extremes[-1]
    yield f"  women by occupation: from {low} {shares[low]:.0%} to {high} {shares[high]:.0%}"
    asked = world["questions.train"]
    kinds = Counter(row["kind"] for row in asked)
    yield "questions, train by kind: " + ", ".join(f"{k} {n:,}" for k, n in kinds.most_common())
    asked_test = world["questions.test"]
    none = sum(not row["answers"] for row in asked_test) / len(asked_test)
    habit = baselines.answer_by_habit(asked, asked_test)
    found = baselines.answer_sentence_found(asked_test)
    name = baselines.random_entity(asked_test)
    yield f"  exact match on test: always no answer {none:.1%}, commonest answer {habit:.1%},"
    yield f"  a random capitalised word {name:.1%}; the sentence nearest to the question holds"
    yield f"  the answer (where there is one) {found:.1%}"
    rows = world["summaries.test"]
    for count in (1, 2, 3):
        lead = [" ".join(baselines.split_sentences(r["document"])[:count]) for r in rows]
        pairs = zip(lead, rows, strict=True)
        score = sum(baselines.rouge1(text, row["summary"]) for text, row in pairs) / len(rows)
        yield f"summaries, ROUGE-1 of the first {count} sentences on test: {100 * score:.1f}"


def verdict_lines(world: dict) -> Iterator[str]:
    train, test = world["verdicts.train"], world["verdicts.test"]
    share = sum(row["label"] for row in test) / len(test)
    one = baselines.NaiveBayes(train, 1).accuracy(test)
    two = baselines.NaiveBayes(train, 2).accuracy(test)
    yield f"verdicts, accuracy on test: majority class {max(share, 1 - share):.1%}, naive Bayes on"
    yield f"  words {one:.1%}, on words and word pairs {two:.1%}"
    length = sum(len(row["text"].split()) for row in train) / len(train)
    yield f"  words a review: {length:.0f}"
