"""The whole world: every view and split as rows, from one seed."""

from __future__ import annotations

import random
from functools import cache

from . import stories, translation, verdicts
from .constructions import Sentence
from .lexicon import Lexicon
from .stories import Story

STORY_SIZES = {"train": 3_000, "validation": 200, "test": 200}


@cache
def sentences(seed: int) -> dict[str, list[Sentence]]:
    """The parallel sentences by split; the report needs their Chinese words."""
    return translation.make_sentences(seed, Lexicon())


@cache
def make_world(seed: int) -> dict[str, list[dict]]:
    """Rows by "view.split", for all views; made once a process."""
    return translation.make_rows(sentences(seed)) | make_story_views(seed, Lexicon())


def make_story_views(seed: int, lexicon: Lexicon) -> dict[str, list[dict]]:
    """Stories with their questions, summaries and reviews; a story's split is theirs."""
    tables: dict[str, list[dict]] = {}
    told = stories.make_stories(seed, lexicon, sum(STORY_SIZES.values()))
    start = 0
    for split, size in STORY_SIZES.items():
        part = told[start : start + size]
        start += size
        names = {id(story): f"story-{split}-{n:05d}" for n, story in enumerate(part)}
        tables[f"stories.{split}"] = [
            {
                "id": names[id(story)],
                "title": story.title,
                "text": story.text,
                "facts": story.facts,
            }
            for story in part
        ]
        tables[f"summaries.{split}"] = [
            {
                "id": names[id(story)].replace("story", "summary"),
                "story_id": names[id(story)],
                "document": story.text,
                "summary": stories.summary(story),
            }
            for story in part
        ]
        tables[f"questions.{split}"] = question_rows(split, part, names)
    tables.update(review_rows(seed, told))
    return tables


def question_rows(split: str, part: list[Story], names: dict[int, str]) -> list[dict]:
    rows = []
    for story in part:
        for question in stories.questions(story):
            rows.append(
                {
                    "id": f"question-{split}-{len(rows):05d}",
                    "story_id": names[id(story)],
                    "context": story.text,
                    **question,
                }
            )
    return rows


def review_rows(seed: int, told: list[Story]) -> dict[str, list[dict]]:
    """Reviews, shuffled within each split so that the labels do not alternate."""
    tables: dict[str, list[dict]] = {}
    reviews = verdicts.make_reviews(seed, told)
    rng = random.Random(f"{seed}/verdict order")
    start = 0
    for split, size in STORY_SIZES.items():
        numbered = [
            (f"story-{split}-{n:05d}", label, text)
            for n in range(size)
            for _, label, text in reviews[2 * (start + n) : 2 * (start + n) + 2]
        ]
        start += size
        rng.shuffle(numbered)
        tables[f"verdicts.{split}"] = [
            {
                "id": f"verdict-{split}-{number:05d}",
                "story_id": story,
                "text": text,
                "label": label,
                "label_name": ("negative", "positive")[label],
            }
            for number, (story, label, text) in enumerate(numbered)
        ]
    return tables
