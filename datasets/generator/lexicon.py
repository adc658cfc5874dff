"""The words of the world, read from the tables in ``lexicon/``.

Every word knows its three forms (English, German, Chinese) and what it may be combined with, so
that the sentences make sense: nobody eats a bridge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

TABLES = Path(__file__).parent / "lexicon"
VOWELS = "aeiou"
NO_GE = ("be", "ver", "er", "ent", "zer", "ge", "emp", "über", "unter")


@dataclass(frozen=True, eq=False)
class Noun:
    """A noun: singular and plural, German gender, Chinese measure word, tags it can be found by."""

    english: str
    english_plural: str
    german: str
    gender: str
    german_plural: str
    weak: bool
    feminine: str
    chinese: str
    measure: str
    section: str
    tags: frozenset[str] = field(compare=False)

    @property
    def mass(self) -> bool:
        return self.german_plural == "-"


@dataclass(frozen=True, eq=False)
class Adjective:
    """An adjective; one without a comparative is not gradable (nobody is very wooden)."""

    english: str
    english_comparative: str
    german: str
    german_comparative: str
    chinese_attribute: str
    chinese_predicate: str
    section: str
    tags: frozenset[str] = field(compare=False)

    @property
    def gradable(self) -> bool:
        return bool(self.german_comparative)


@dataclass(frozen=True, eq=False)
class Verb:
    """A verb with its principal parts; ``tags`` say what its object (or subject) may be."""

    kind: str
    lemma: str
    past: str
    participle: str
    ing: str
    infinitive: str
    prefix: str
    present3: str
    preterite: str
    german_participle: str
    auxiliary: str
    chinese: str
    tags: frozenset[str] = field(compare=False)
    flags: frozenset[str] = field(compare=False)

    @property
    def particle(self) -> str:
        return " ".join(self.lemma.split("_")[1:])

    @property
    def preposition(self) -> tuple[str, str] | None:
        """The German preposition of the object with its case: warten auf + accusative."""
        for flag in self.flags:
            if flag.startswith("acc:"):
                return flag[4:], "acc"
        return None


@dataclass(frozen=True, eq=False)
class Place:
    """A place: as a noun, and with the prepositions for being there and for going there."""

    noun: Noun
    english: str
    german: str
    german_goal: str
    chinese_ending: str
    kind: str


@dataclass(frozen=True, eq=False)
class Phrase:
    """A fixed phrase in three languages; the Chinese is a tuple of words."""

    english: str
    german: str
    chinese: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Name:
    """A person's first name with its gender, or a town (gender ``t``)."""

    english: str
    chinese: str
    gender: str


@dataclass(frozen=True, eq=False)
class State:
    """A state of the world ("it was raining"), for subordinate clauses."""

    english: str
    german: tuple[str, str, str]
    chinese: tuple[str, ...]


def rows(table: str):
    """Yields (section header, cells) for each line of a table."""
    header: list[str] = []
    for line in (TABLES / f"{table}.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            header = [cell.strip() for cell in line.strip("[]").split("|")]
        else:
            yield header, [cell.strip() for cell in re.split(r"\s\|(?=\s|$)", line)]


def suits(adjective: Adjective, noun: Noun) -> bool:
    """Feelings are said with "to be" only, and a letter is long or short, not big."""
    sized = adjective.english in ("big", "small") and noun.section == "message"
    return adjective.section != "feeling" and not sized


def split_cells(line_cells: list[str], count: int) -> list[str]:
    return line_cells + [""] * (count - len(line_cells))


def regular_plural(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    return word + "s"


def make_noun(english: str, german: str, chinese: str, section: str, tags: str, measure: str):
    singular, _, plural = english.partition("/")
    word, gender, german_plural = german.rsplit(" ", 2)
    word, _, feminine = word.partition("/")
    zh, _, own_measure = chinese.partition(" ")
    return Noun(
        english=singular,
        english_plural=plural or regular_plural(singular),
        german=word,
        gender=gender[0],
        german_plural=german_plural,
        weak=gender == "mw",
        feminine="" if feminine == "-" else feminine,
        chinese=zh,
        measure=own_measure or measure,
        section=section,
        tags=frozenset([section, singular.replace(" ", "_"), *tags.split()]),
    )


def read_nouns() -> list[Noun]:
    nouns = []
    for table in ("things", "beings"):
        for (section, tags, measure), cells in rows(table):
            nouns.append(make_noun(*cells[:3], section, tags, measure))
    return nouns


def read_adjectives() -> list[Adjective]:
    adjectives = []
    for (section, *_), (english, german, chinese, tags) in rows("adjectives"):
        word, _, comparative = english.partition(" ")
        german_word, _, german_comparative = german.partition(" ")
        attribute, _, predicate = chinese.lstrip("=").partition("/")
        adjectives.append(
            Adjective(
                english=word,
                english_comparative=f"more {word}" if comparative == "more" else comparative,
                german=german_word,
                german_comparative=german_comparative,
                chinese_attribute=attribute,
                chinese_predicate=predicate or attribute.removesuffix("的"),
                section=section,
                tags=frozenset(tags.split()),
            )
        )
    return adjectives


def english_parts(text: str, flags: list[str]) -> tuple[str, str, str, str]:
    """lemma, past, participle, -ing form; only irregular parts are in the table."""
    parts = text.split()
    lemma = parts[0]
    head = lemma.partition("_")[0]
    if len(parts) == 1:
        if head.endswith("e"):
            past = head + "d"
        elif head.endswith("y") and head[-2] not in VOWELS:
            past = head[:-1] + "ied"
        elif head in ("hug",):
            past = head + "ged"
        else:
            past = head + "ed"
        participle = past
    else:
        past, participle = (part.partition("_")[0] for part in parts[1:3])
    ing = next((flag[4:] for flag in flags if flag.startswith("ing:")), "")
    if not ing:
        if head.endswith("ie"):
            ing = head[:-2] + "ying"
        elif head.endswith("e") and not head.endswith("ee"):
            ing = head[:-1] + "ing"
        else:
            doubled = re.fullmatch(r"[^aeiou][aeiou][^aeiouwxy]|begin|forget", head)
            ing = head + (head[-1] if doubled else "") + "ing"
    return lemma, past, participle, ing


def german_parts(text: str) -> dict[str, str]:
    """Principal parts; a weak verb is derived from its infinitive alone."""
    words = text.split()
    auxiliary = "sein" if "+sein" in words else "haben"
    words = [word for word in words if word != "+sein"]
    prefix, bar, infinitive = words[0].rpartition("|")
    if len(words) == 1:
        stem = infinitive[:-2] if infinitive.endswith("en") else infinitive[:-1]
        link = "e" if re.search(r"[td]$|[^lrhaeiou][mn]$", stem) else ""
        present3, preterite = f"{stem}{link}t", f"{stem}{link}te"
        bare = infinitive.endswith("ieren") or (not bar and infinitive.startswith(NO_GE))
        participle = f"{'' if bare else 'ge'}{stem}{link}t"
    else:
        present3, preterite, participle = words[1:4]
    return {
        "infinitive": infinitive,
        "prefix": prefix,
        "present3": present3,
        "preterite": preterite,
        "german_participle": prefix + participle,
        "auxiliary": auxiliary,
    }


def read_verbs() -> list[Verb]:
    verbs = []
    for (kind, *_), cells in rows("verbs"):
        english, german, chinese, tags, flags = split_cells(cells, 5)
        flag_list = flags.split()
        lemma, past, participle, ing = english_parts(english, flag_list)
        verbs.append(
            Verb(
                kind=kind,
                lemma=lemma,
                past=past,
                participle=participle,
                ing=ing,
                chinese=chinese if "~" in chinese else chinese + "~",
                tags=frozenset(tags.split()),
                flags=frozenset(flag_list),
                **german_parts(german),
            )
        )
    return verbs


def read_places() -> list[Place]:
    places = []
    for _, (english, german, chinese, kind) in rows("places"):
        name, _, preposition = english.rpartition(" ")
        word, gender, static, goal = german.rsplit(" ", 3)
        zh, ending = chinese.split()
        noun = make_noun(name, f"{word} {gender} -", zh, "place", f"place fixed {kind}", "个")
        places.append(Place(noun, preposition, static, goal, "" if ending == "-" else ending, kind))
    return places


class Lexicon:
    """All words, and the look-ups that the sentence plans need."""

    def __init__(self) -> None:
        self.nouns = read_nouns()
        self.adjectives = read_adjectives()
        self.verbs = read_verbs()
        self.places = read_places()
        self.names: list[Name] = []
        self.towns: list[Name] = []
        for (gender, *_), (line,) in rows("names"):
            for pair in line.split(","):
                english, chinese = pair.split()
                if gender == "town":
                    self.towns.append(Name(english, chinese, "t"))
                else:
                    self.names.append(Name(english, chinese, gender))
        self.phrases: dict[str, list[Phrase]] = {}
        for (section, *_), (english, german, chinese) in rows("phrases"):
            self.phrases.setdefault(section, []).append(
                Phrase(english, german, tuple(chinese.split("_")))
            )
        self.states: dict[str, list[State]] = {}
        for (section, *_), (english, german, chinese) in rows("states"):
            subject, middle, verb = (part.strip("- ") for part in german.split("/"))
            self.states.setdefault(section, []).append(
                State(english, (subject, middle, verb), tuple(chinese.split()))
            )
        self.core = self.read_core()
        self._having: dict[frozenset[str], list[Noun]] = {}

    def read_core(self) -> set:
        """The core words, with the first few names, towns and phrases of each section."""
        lists: dict[str, set[str]] = {}
        for (section, *_), (line,) in rows("core"):
            lists.setdefault(section, set()).update(line.split())
        core: set = set(self.towns[:6])
        for gender in "fm":
            core.update([name for name in self.names if name.gender == gender][:8])
        for phrases in self.phrases.values():
            core.update(phrases[:6])
        for states in self.states.values():
            core.update(states[:3])
        core.update(n for n in self.nouns if n.english.replace(" ", "_") in lists["nouns"])
        core.update(p for p in self.places if p.noun.english in lists["nouns"])
        core.update(v for v in self.verbs if v.lemma in lists["verbs"])
        core.update(a for a in self.adjectives if a.english in lists["adjectives"])
        return core

    def having(self, tags) -> list[Noun]:
        """Nouns with any of the tags, in table order."""
        key = frozenset(tags)
        if key not in self._having:
            self._having[key] = [noun for noun in self.nouns if noun.tags & key]
        return self._having[key]

    @cached_property
    def adjectives_of(self) -> dict[Noun, list[Adjective]]:
        """For each noun the adjectives that suit it before the noun."""
        return {
            noun: [a for a in self.adjectives if a.tags & noun.tags and suits(a, noun)]
            for noun in self.nouns
        }

    @cached_property
    def describable(self) -> list[Noun]:
        """Things and ideas that some adjective suits."""
        kinds = {"concrete", "mental", "event"}
        return [n for n in self.nouns if n.tags & kinds and self.adjectives_of[n]]

    @cache  # noqa: B019 - one lexicon lives as long as the program
    def verbs_of(self, kind: str, without: frozenset[str] = frozenset()) -> list[Verb]:
        return [v for v in self.verbs if v.kind == kind and not v.flags & without]

    @cache  # noqa: B019
    def noun(self, english: str) -> Noun:
        return next(noun for noun in self.nouns if noun.english == english)

    def unknown_tags(self) -> set[str]:
        """Tags that a verb or adjective asks for and no noun has: a typing mistake in a table."""
        known = {tag for noun in self.nouns for tag in noun.tags}
        known |= {tag for place in self.places for tag in place.noun.tags}
        known |= {"town", "towns", "to", "toprep", "for", "from", "zu", "adult", "pluralperson"}
        asked = {tag for word in (*self.verbs, *self.adjectives) for tag in word.tags}
        return asked - known
