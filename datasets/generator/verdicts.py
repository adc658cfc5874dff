"""Readers' reviews of the stories. The words alone do not settle them: negation and contrast do."""

from __future__ import annotations

import random
import re

from .english import article
from .lexicon import Noun, rows
from .stories import Story

SIDES = {1: "+", 0: "-"}
CONTRASTS = (
    "{weak}, but {strong}.",
    "Although {weak}, {strong}.",
    "It seemed {weak_word} at first, but {strong}.",
    "Here and there it may be {weak_word}, but {strong}.",
    "{strong}, even though {weak}.",
    "{weak}. Still, {strong}.",
    "True, {weak}. But {strong}, and that is what counts.",
    "Yes, {weak}, and yet {strong}.",
)
MISLED = {
    1: (
        "Others have called it {bad} and {bad2}. I could not disagree more.",
        "The critics wrote that it was {bad}. What nonsense!",
        "If you think that this will be {bad}, you are mistaken.",
        "I was afraid that it would be {bad} and {bad2}. It was neither.",
        "It could so easily have been {bad}, and it never is.",
        "My neighbour found it {bad}; I cannot understand why.",
    ),
    0: (
        "Others have called it {good} and {good2}. I could not disagree more.",
        "The critics wrote that it was {good}. What nonsense!",
        "If you think that this will be {good}, you are mistaken.",
        "I was hoping that it would be {good} and {good2}. It was neither.",
        "It could so easily have been {good}, and it never is.",
        "My neighbour found it {good}; I cannot understand why.",
    ),
}
PLAIN = (
    "{aspect} is {word}.",
    "I found {aspect} {word}.",
    "{aspect} is {word} and {word2}.",
    "What I remember is {aspect}: simply {word}.",
    "For me {aspect} was {word}.",
)
NEGATED = (
    "{aspect} is not {other}.",
    "{aspect} is anything but {other}.",
    "I did not find {aspect} {other}.",
    "{aspect} is neither {other} nor {other2}.",
    "Nothing about {aspect} is {other}.",
)
MIXED = (
    "{aspect} is {other}, {aspect2} is {other2}, and still {strong}.",
    "{aspect} may be {other}, but {aspect2} is {word}, and {strong}.",
    "{aspect} is {other}, I admit, but that is not the point: {strong}.",
)


# A review speaks of each of these once: nobody calls the ending dull and touching.
SUBJECTS = (
    "beginning",
    "ending",
    "language",
    "plot",
    "humour",
    "dialogue",
    "scene",
    "the title",
    "{hero}",
    "{helper}",
    "pace",
    "the idea",
    "lines",
    "sentence",
    "i had expected",
    "funny",
    "anything but",
    "last line",
)


class Reviewer:
    """Writes one review after another."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.phrases: dict[str, list[str]] = {}
        for (section, *_), cells in rows("verdict_phrases"):
            self.phrases.setdefault(section, []).extend(cells[0].split("; "))
        self.judgements = self.phrases["+word"] + self.phrases["-word"]

    def two(self, section: str) -> list[str]:
        return self.rng.sample(self.phrases[section], 2)

    def part(self, shape: str, label: int) -> str:
        """One sentence or two that speak for the label."""
        side, other = SIDES[label], SIDES[1 - label]
        word, word2 = self.two(f"{side}word")
        against, against2 = self.two(f"{other}word")
        aspect, aspect2 = self.two("aspect")
        clauses = self.phrases[f"{side}clause"] + self.phrases[f"{side}not"]
        alone = shape == "clause"
        strong = self.rng.choice([c for c in clauses if alone or "had expected" not in c])
        weak = self.rng.choice(self.phrases[f"{other}weak"] + self.phrases[f"{other}clause"][4:8])
        templates = {
            "clause": ("{strong}.",),
            "plain": PLAIN,
            "negated": NEGATED,
            "contrast": CONTRASTS,
            "misled": MISLED[label],
            "mixed": MIXED,
        }
        return self.rng.choice(templates[shape]).format(
            strong=strong,
            weak=weak,
            weak_word=against,
            aspect=aspect,
            aspect2=aspect2,
            word=word,
            word2=word2,
            other=against,
            other2=against2,
            bad=against,
            bad2=against2,
            good=against,
            good2=against2,
        )

    def review(self, story: Story, label: int) -> str:
        shapes = ["clause", "plain", "negated", "contrast", "misled", "mixed"]
        count = self.rng.choice((1, 2, 2, 3))
        drawn = self.rng.choices(shapes, (4, 3, 3, 4, 2, 2), k=count)
        parts = [self.part(shape, label) for shape in drawn]
        whole = re.sub("it starts|first page", "beginning", " ".join(parts), flags=re.IGNORECASE)
        again = any(whole.lower().count(subject) > 1 for subject in (*SUBJECTS, *self.judgements))
        if len(set(parts)) < len(parts) or again:
            return self.review(story, label)
        if self.rng.random() < 0.5:
            parts.insert(0, self.rng.choice(self.phrases["opener"]))
        return self.finish(" ".join(parts), story)

    def finish(self, text: str, story: Story) -> str:
        """Names and things of the story, and a capital after each stop."""
        teller = story.teller
        thing = next((v for v in teller.values.values() if isinstance(v, Noun)), None)
        place = next((k for k in teller.plot.use if k == "place"), "")
        values = {
            "hero": teller.value("hero"),
            "helper": teller.value("helper"),
            "town": teller.value("town"),
            "thing": thing.english,
            "a_thing": f"{article(thing.english)} {thing.english}",
            "title": story.title,
            "place": teller.value("in.place") if place else f"in {teller.value('town')}",
        }
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        pieces = text.split(" ")
        start = True
        for number, piece in enumerate(pieces):
            if start and piece[0].islower():
                pieces[number] = piece[0].upper() + piece[1:]
            start = piece[-1] in ".!?" and not piece.endswith("?”")
        return " ".join(pieces)


def make_reviews(seed: int, stories: list[Story]) -> list[tuple[Story, int, str]]:
    """A positive and a negative review of every story: the labels are balanced by design."""
    rng = random.Random(f"{seed}/verdicts")
    reviewer = Reviewer(rng)
    reviews = []
    seen = set()
    for story in stories:
        for label in (0, 1):
            text = reviewer.review(story, label)
            while text in seen:
                text = reviewer.review(story, label)
            seen.add(text)
            reviews.append((story, label, text))
    return reviews
