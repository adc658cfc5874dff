"""The parallel views: the same sentences in English, German and Chinese, and their splits."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Iterator

from . import being, complex, constructions
from .constructions import Sentence
from .lexicon import Lexicon
from .sampler import Sampler

# Pattern and how often it is drawn.
PATTERNS = {
    constructions.past: 9,
    constructions.past_fronted: 5,
    constructions.habit: 5,
    constructions.state: 4,
    constructions.progressive: 4,
    constructions.past_progressive: 2,
    constructions.future: 5,
    constructions.future_negated: 2,
    constructions.past_negated: 4,
    constructions.habit_negated: 2,
    constructions.perfect: 3,
    constructions.perfect_not_yet: 2,
    constructions.perfect_never: 2,
    constructions.modal: 5,
    constructions.modal_past: 2,
    constructions.trip: 4,
    constructions.gift: 5,
    constructions.placing: 3,
    constructions.position: 3,
    constructions.measured: 4,
    constructions.passive: 4,
    constructions.infinitive: 3,
    constructions.yes_no: 4,
    constructions.who: 2,
    constructions.what: 2,
    constructions.where_question: 2,
    constructions.when_question: 2,
    constructions.why_question: 2,
    constructions.how_many: 2,
    constructions.imperative: 3,
    being.feeling: 3,
    being.quality: 7,
    being.comparative: 3,
    being.equality: 2,
    being.occupation: 3,
    being.origin: 3,
    being.existential: 3,
    being.having: 3,
    being.age: 2,
    being.price: 2,
    being.material: 2,
    being.body_part: 2,
    being.skill: 5,
    being.clock: 2,
    being.birthday: 2,
    being.seat: 1,
    being.where_is: 3,
    complex.because_final: 3,
    complex.because_fronted: 2,
    complex.because_state: 2,
    complex.although_final: 2,
    complex.when_event: 3,
    complex.after_event: 2,
    complex.if_state: 2,
    complex.while_clause: 1,
    complex.relative_subject: 4,
    complex.coordination: 4,
    complex.but_clause: 2,
    complex.reported: 4,
    complex.quoted: 3,
    complex.commented: 3,
}
# Level 1 uses these patterns and the core words only.
CORE_PATTERNS = {
    pattern: PATTERNS[pattern]
    for pattern in (
        constructions.past,
        constructions.past_fronted,
        constructions.habit,
        constructions.progressive,
        constructions.future,
        constructions.past_negated,
        constructions.perfect,
        constructions.modal,
        constructions.trip,
        constructions.gift,
        constructions.placing,
        constructions.passive,
        constructions.yes_no,
        constructions.who,
        being.feeling,
        being.quality,
        being.occupation,
        being.existential,
        being.having,
        being.where_is,
        complex.because_final,
        complex.relative_subject,
    )
}
CORE_SHARE = 0.4
HELD_OUT_PATTERNS = {
    complex.relative_object: 1,
    complex.passive_negated: 1,
    complex.although_fronted: 1,
    complex.because_modal: 1,
    complex.gift_question: 1,
    being.comparative_question: 1,
}
# One pair in so many is held out, by kind.
HELD_OUT_SHARE = {"adjective-noun": 16, "verb-object": 16, "subject-verb": 24}
SIZES = {"train": 30_000, "validation": 1_000, "test": 1_000}
EXTRA_SIZES = {"test_combinations": 1_000, "test_constructions": 1_000}
LONGEST = 17  # English words: a lesson's small model trains for ninety seconds


def held_out(pair: tuple[str, str, str]) -> bool:
    """Whether two words never occur together in train. A fixed hash decides, not the seed."""
    return zlib.crc32("/".join(pair).encode()) % HELD_OUT_SHARE[pair[0]] == 0


def draw(sampler: Sampler, patterns: dict) -> Sentence:
    sampler.core = sampler.chance(CORE_SHARE)
    if sampler.core and patterns is PATTERNS:
        patterns = CORE_PATTERNS
    functions = list(patterns)
    weights = list(patterns.values())
    while True:
        sampler.strayed = False
        sentence = sampler.rng.choices(functions, weights)[0](sampler)
        if len(sentence.english.split()) <= LONGEST:
            sentence.level = 1 if sampler.core and not sampler.strayed else 2
            return sentence


def new_sentences(sampler: Sampler, seen: set[str]) -> Iterator[tuple[Sentence, bool]]:
    """Different sentences without end, each with whether it has a held-out pair."""
    while True:
        sentence = draw(sampler, PATTERNS)
        if sentence.english not in seen:
            seen.add(sentence.english)
            yield sentence, any(held_out(pair) for pair in sentence.pairs)


def new_sampler(seed: int, lexicon: Lexicon) -> Sampler:
    return Sampler(lexicon, random.Random(f"{seed}/translation"))


def make_sentences(seed: int, lexicon: Lexicon) -> dict[str, list[Sentence]]:
    """All splits. No English sentence is in two of them."""
    sampler = new_sampler(seed, lexicon)
    seen: set[str] = set()
    plain: list[Sentence] = []
    combined: list[Sentence] = []
    for sentence, held in new_sentences(sampler, seen):
        (combined if held else plain).append(sentence)
        if len(plain) == sum(SIZES.values()):
            break
    splits = {}
    start = 0
    for split, size in SIZES.items():
        splits[split] = plain[start : start + size]
        start += size
    known = words_of(splits["train"])
    splits["test_combinations"] = [s for s in combined if known_in(s, known)][
        : EXTRA_SIZES["test_combinations"]
    ]
    constructed: list[Sentence] = []
    while len(constructed) < EXTRA_SIZES["test_constructions"]:
        sentence = draw(sampler, HELD_OUT_PATTERNS)
        if sentence.english in seen or any(held_out(pair) for pair in sentence.pairs):
            continue
        if known_in(sentence, known):
            seen.add(sentence.english)
            constructed.append(sentence)
    splits["test_constructions"] = constructed
    return splits


def plain_words(text: str) -> list[str]:
    """Lower-case words without punctuation, for counting types."""
    return [w for w in (raw.strip("“”„,.?!:").lower() for raw in text.split()) if w]


def words_of(sentences: list[Sentence]) -> dict[str, Counter]:
    """How often each word occurs, by language."""
    counts = {"en": Counter(), "de": Counter(), "zh": Counter()}
    for sentence in sentences:
        counts["en"].update(plain_words(sentence.english))
        counts["de"].update(plain_words(sentence.german))
        counts["zh"].update(w for w in sentence.chinese if w not in "，。？！：“”")
    return counts


def known_in(sentence: Sentence, known: dict[str, Counter]) -> bool:
    """Whether train has every word of the sentence: a held-out pair is then the only news."""
    return all(
        all(word in known[language] for word in words)
        for language, words in (
            ("en", plain_words(sentence.english)),
            ("de", plain_words(sentence.german)),
            ("zh", [w for w in sentence.chinese if w not in "，。？！：“”"]),
        )
    )


def make_rows(splits: dict[str, list[Sentence]]) -> dict[str, list[dict]]:
    """Rows of en-zh and en-de; a sentence has the same number in both."""
    tables: dict[str, list[dict]] = {}
    for split, sentences in splits.items():
        for view in ("en-zh", "en-de"):
            tables[f"{view}.{split}"] = [
                {
                    "id": f"{view}-{split}-{number:05d}",
                    "source": sentence.english,
                    "target": "".join(sentence.chinese) if view == "en-zh" else sentence.german,
                    "construction": sentence.construction,
                    "level": sentence.level,
                    "facts": sentence.facts,
                }
                for number, sentence in enumerate(sentences)
            ]
    return tables
