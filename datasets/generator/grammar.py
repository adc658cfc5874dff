"""What a sentence says, before any language: noun phrases, clauses and where things are.

The three renderers (``english.py``, ``german.py``, ``chinese.py``) turn the same plan into words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .lexicon import Adjective, Name, Noun, Phrase, Place, Verb

POSSESSIVES = {"my": "I", "your": "you", "his": "he", "her": "she", "our": "we", "their": "they"}
PLURAL_PRONOUNS = ("we", "they")
MEN = frozenset(
    "boy man king prince father brother uncle grandfather son nephew grandson policeman postman "
    "fisherman waiter monk".split()
)
WOMEN = frozenset(
    "girl woman queen princess mother sister aunt grandmother daughter niece granddaughter "
    "witch midwife".split()
)


@dataclass(frozen=True)
class Measure:
    """A measured mass: a cup of tea. ``noun`` is the cup, ``mass`` the tea."""

    noun: Noun
    mass: Noun


@dataclass(frozen=True)
class NP:
    """A noun phrase. Exactly one of noun, name, pronoun, pair and measure is given."""

    noun: Noun | None = None
    name: Name | None = None
    pronoun: str = ""
    pair: tuple[NP, NP] | None = None
    measure: Measure | None = None
    plural: bool = False
    det: str = "the"
    number: Phrase | None = None
    adjectives: tuple[Adjective, ...] = ()
    owner: NP | None = None
    relative: tuple[Clause, str] | None = None
    feminine: bool = False

    @property
    def is_plural(self) -> bool:
        return self.plural or self.pair is not None or self.pronoun in PLURAL_PRONOUNS

    @property
    def definite(self) -> bool:
        if self.name or self.pronoun or self.owner or self.pair:
            return True
        return self.det in ("the", "this", "all", *POSSESSIVES)

    @property
    def person(self) -> int:
        return {"I": 1, "we": 1, "you": 2}.get(self.pronoun, 3)

    @property
    def head(self) -> Noun:
        return self.measure.noun if self.measure else self.noun

    @property
    def sex(self) -> str:
        """m, f, or "" where the words do not say; jobs say it only through ``feminine``."""
        if self.name:
            return self.name.gender
        if self.pronoun:
            return {"he": "m", "she": "f"}.get(self.pronoun, "")
        if self.noun and self.noun.english in MEN:
            return "m"
        if self.noun and self.noun.english in WOMEN:
            return "f"
        return ""

    @property
    def women(self) -> bool:
        """Whether these are several, all of them women: 她们, not 他们."""
        if self.pair:
            return all(part.sex == "f" for part in self.pair)
        return self.is_plural and (self.sex == "f" or (self.pronoun == "they" and self.feminine))

    @property
    def key(self) -> str:
        """The word by which facts and held-out pairs know this phrase."""
        if self.name:
            return self.name.english
        if self.pronoun:
            return self.pronoun
        if self.pair:
            return f"{self.pair[0].key}+{self.pair[1].key}"
        return self.measure.mass.english if self.measure else self.noun.english


@dataclass(frozen=True)
class Where:
    """Where something is or goes: at a place, in a town, or on/under/... a thing.

    Relations with a thing: in, on, under, behind, next to, in front of. ``goal`` means motion
    towards, ``source`` motion away from.
    """

    place: Place | None = None
    town: Name | None = None
    relation: str = ""
    thing: NP | None = None
    goal: bool = False
    source: bool = False

    @property
    def key(self) -> str:
        if self.place:
            return self.place.noun.english
        return self.town.english if self.town else f"{self.relation} {self.thing.key}"


@dataclass(frozen=True)
class Clause:
    """One clause.

    ``tense``: present, past, future, perfect, progressive, past progressive. ``modal``: can,
    must, want, should, may, with tense present or past. ``ask``: "" for a statement, or yes,
    who, what, where, when, why. ``verb`` None means "to be" with a ``predicate``.
    """

    subject: NP
    verb: Verb | None = None
    object: NP | None = None
    recipient: NP | None = None
    predicate: Adjective | NP | None = None
    degree: Phrase | None = None
    tense: str = "past"
    modal: str = ""
    negated: bool = False
    passive: bool = False
    already: str = ""
    where: Where | None = None
    time: Phrase | None = None
    front: bool = False
    manner: Phrase | None = None
    frequency: Phrase | None = None
    infinitive: Clause | None = None
    ask: str = ""

    @property
    def roles(self) -> tuple[NP, NP | None]:
        """(who does it, to what): a passive has them the other way round."""
        return (self.object, self.subject) if self.passive else (self.subject, self.object)

    def but(self, **changes) -> Clause:
        return replace(self, **changes)


def people_in(clause: Clause):
    """The noun phrases of a clause, those inside it included."""
    for phrase in (clause.subject, clause.object, clause.recipient):
        if phrase is not None:
            yield phrase
            yield from phrase.pair or ()
            if phrase.owner:
                yield phrase.owner
            if phrase.relative:
                yield from people_in(phrase.relative[0])
    if isinstance(clause.predicate, NP):
        yield clause.predicate
    if clause.where and clause.where.thing:
        yield clause.where.thing
    if clause.infinitive:
        yield from people_in(clause.infinitive)


def clauses_in(clause: Clause):
    """The clause and the clauses inside its noun phrases and infinitive."""
    yield clause
    for phrase in (clause.subject, clause.object, clause.recipient):
        if phrase is not None and phrase.relative:
            yield from clauses_in(phrase.relative[0])
    if clause.infinitive:
        yield from clauses_in(clause.infinitive)


def pairs_in(clause: Clause) -> set[tuple[str, str, str]]:
    """The word pairs a clause joins, by kind: what the held-out combinations are made of."""
    pairs = set()
    for part in clauses_in(clause):
        for phrase in people_in(part):
            if phrase.noun:
                pairs |= {("adjective-noun", a.english, phrase.key) for a in phrase.adjectives}
        doer, thing = part.roles
        if part.verb and thing and (thing.noun or thing.measure):
            pairs.add(("verb-object", part.verb.lemma, thing.key))
        if part.verb and doer.noun:
            pairs.add(("subject-verb", doer.key, part.verb.lemma))
    return pairs


def facts_of(clause: Clause) -> list[dict]:
    """Who did what to what, where and when, for each clause."""
    facts = []
    for part in clauses_in(clause):
        doer, thing = part.roles
        fact = {"who": doer.key}
        fact["did"] = part.verb.lemma.replace("_", " ") if part.verb else "be"
        if thing and part.ask != "what":
            fact["what"] = thing.key
        if part.recipient:
            fact["whom"] = part.recipient.key
        if part.predicate:
            plain = isinstance(part.predicate, Adjective)
            fact["what"] = part.predicate.english if plain else part.predicate.key
        if part.where:
            fact["where"] = part.where.key
        if part.time:
            fact["when"] = part.time.english
        fact["tense"] = f"{part.modal} {part.tense}".strip()
        if part.negated:
            fact["negated"] = True
        facts.append(fact)
    return facts
