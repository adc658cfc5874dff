"""Chooses words that belong together and builds plans of noun phrases and clauses from them."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from .grammar import NP, Clause, Measure, Where
from .lexicon import Lexicon, Noun, Verb, make_noun, rows

ADULT_VERBS = frozenset(
    "drive sign build hunt park sell cut_down order harvest organise print weigh fry bake iron "
    "sew knit smoke pray work cook punish teach ride marry burn plant".split()
)
MINE = frozenset("friend neighbour colleague twin guest".split())
NO_MANNER = frozenset("look_for buy sell order borrow choose collect visit harvest wear".split())
DESCENDANTS = frozenset("son daughter nephew niece grandson granddaughter".split())
EVERYDAY_PLURALS = frozenset("a number several some many the this".split())
CREATURE_VERBS = frozenset("see frighten notice discover".split())
RELATION_OF = {"furniture": ("on", "under", "next to", "behind"), "container": ("in", "next to")}


class Sampler:
    """Draws balanced words: of three candidates the one used least so far wins.

    While ``core`` is set, only core words are drawn where there are any; ``strayed`` tells
    whether a sentence nevertheless had to use another word.
    """

    def __init__(self, lexicon: Lexicon, rng: random.Random) -> None:
        self.lexicon = lexicon
        self.rng = rng
        self.used: Counter = Counter()
        self.core = self.strayed = False
        self.settings: dict[str, list] = {}
        by_name = {place.noun.english.replace(" ", "_"): place for place in lexicon.places}
        for _, (verbs, places) in rows("settings"):
            known = [by_name[name] for name in places.split() if name in by_name]
            for verb in verbs.split():
                self.settings.setdefault(verb, []).extend(known)
        self.measures = []
        for _, (english, german, chinese, masses) in rows("measures"):
            noun = make_noun(english, german, chinese, "measure", "", "个")
            for mass in masses.split():
                self.measures.append(Measure(noun, lexicon.noun(mass)))
        self.adults = [
            noun
            for noun in lexicon.nouns
            if noun.tags & {"job", "folk"} and noun.english not in MINE
        ]
        self.children = [n for n in lexicon.having(["child"]) if n.english != "baby"]
        self.kin = [
            n for n in lexicon.nouns if "kin" in n.tags or n.english in MINE - {"twin", "guest"}
        ]
        self.animals = lexicon.having(["animal"])

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def choose(self, options):
        """The least used of three random options; ties go to the first drawn."""
        if self.core:
            known = [option for option in options if option in self.lexicon.core]
            self.strayed = self.strayed or not known
            options = known or options
        drawn = [options[self.rng.randrange(len(options))] for _ in range(3)]
        best = min(drawn, key=lambda option: self.used[option])
        self.used[best] += 1
        return best

    def phrase(self, section: str):
        return self.choose(self.lexicon.phrases[section])

    def adjectives(self, noun: Noun, probability: float = 0.35) -> tuple:
        known = self.lexicon.adjectives_of[noun]
        if not known or not self.chance(probability):
            return ()
        first = self.choose(known)
        if first.section == "size" and self.chance(0.15):
            colours = [a for a in known if a.section == "colour"]
            if colours:
                return (first, self.choose(colours))
        return (first,)

    def name(self) -> NP:
        return NP(name=self.choose(self.lexicon.names))

    def kin_of(self, owner: NP | None = None, plural: bool = False) -> NP:
        """Her aunt, Anna's aunt, my aunt."""
        noun = self.kin_for(self.choose(self.kin), owner)
        if owner is None:
            if self.chance(0.4):
                return NP(noun, owner=self.name(), plural=plural)
            return NP(noun, det=self.rng.choice(("my", "our", "my")), plural=plural)
        return NP(noun, det=self.possessive(owner) or "my", plural=plural)

    def kin_for(self, noun: Noun, owner: NP | None) -> Noun:
        """The relative, or an elder one where a child would have a grandson."""
        young = owner is not None and owner.noun in (*self.children, self.lexicon.noun("baby"))
        if young and noun.english in DESCENDANTS:
            return self.lexicon.noun(self.rng.choice(("mother", "father", "uncle", "aunt")))
        return noun

    def possessive(self, owner: NP) -> str:
        """The possessive that refers back to the owner, or "" where sex is not known."""
        if owner.pronoun in ("I", "you", "we", "they"):
            return {"I": "my", "you": "your", "we": "our", "they": "their"}[owner.pronoun]
        if owner.is_plural:
            return "their"
        if owner.sex:
            return {"m": "his", "f": "her"}[owner.sex]
        return ""

    def person(self, verb: Verb | None = None, pronouns: bool = True, many: float = 0.15) -> NP:
        """A subject: a name, somebody's relative, a job, a child or a pronoun."""
        lemma = verb.lemma if verb else ""
        dice = self.rng.random()
        if dice < 0.3:
            return self.name()
        if dice < 0.4:
            return self.kin_of()
        if dice < 0.47 and pronouns:
            return NP(pronoun=self.rng.choice(("he", "she", "they", "we", "I")))
        if dice < 0.52:
            first, second = self.name(), self.name()
            return NP(pair=(first, second)) if first != second else first
        if dice < 0.62 and lemma not in ADULT_VERBS:
            noun = self.choose(self.children)
        else:
            noun = self.choose(self.adults)
        plural = self.chance(many)
        det = "this" if self.chance(0.06) else "all" if plural and self.chance(0.15) else "the"
        return NP(noun, det=det, plural=plural, adjectives=self.adjectives(noun, 0.25))

    def somebody(self, noun: Noun, owner: NP) -> NP:
        """A person as object."""
        if noun in self.kin:
            noun = self.kin_for(noun, owner)
            det = self.possessive(owner)
            return NP(noun, det=det) if det else NP(noun, owner=self.name())
        if self.chance(0.2):
            return self.name()
        if self.chance(0.12) and not owner.pronoun:
            return NP(pronoun=self.rng.choice(("he", "she", "they")))
        adjectives = self.adjectives(noun, 0.25)
        plural = self.chance(0.15)
        det = self.rng.choice(("the", "the", "the", "a"))
        return NP(noun, det="the" if plural else det, plural=plural, adjectives=adjectives)

    def thing(self, noun: Noun, owner: NP | None = None, dets: str = "") -> NP:
        """An object: definite, indefinite, counted, possessed."""
        adjectives = self.adjectives(noun)
        det = self.rng.choice(
            dets.split() or "the the the the a a a number number this own".split()
        )
        if det == "own":
            det = (self.possessive(owner) if owner else "") or "the"
            plural = self.chance(0.2)
        elif det == "number":
            det = self.rng.choice(("number", "number", "many", "several", "some"))
            plural = True
        else:
            plural = det == "plural" or (det in ("the", "this") and self.chance(0.2))
        det = "bare" if det == "plural" else det
        number = self.phrase("number") if det == "number" else None
        if number and self.chance(0.7):
            number = self.rng.choice(self.lexicon.phrases["number"][:6])
        return NP(noun, det=det, plural=plural, number=number, adjectives=adjectives)

    def mass(self) -> NP:
        """A cup of tea, three bowls of soup."""
        measure = self.choose(self.measures)
        if self.chance(0.55):
            return NP(measure=measure, det="a")
        number = self.rng.choice(self.lexicon.phrases["number"][:5])
        return NP(measure=measure, det="number", number=number, plural=True)

    def target(self, verb: Verb, subject: NP, dets: str = "") -> NP:
        """Something this verb can be done to."""
        noun = self.choose(self.lexicon.having(verb.tags))
        if "person" in noun.tags:
            return self.somebody(noun, subject)
        if "pluralonly" in verb.flags:
            return self.thing(noun, subject, dets="number plural")
        if verb.lemma in ("wear", "ride", "drive"):
            return self.thing(noun, subject, dets="the a a own")
        thing = self.thing(noun, subject, dets)
        if any(adjective.english == verb.lemma for adjective in thing.adjectives):
            return replace(thing, adjectives=())  # nobody empties the empty jug
        return thing

    def verb(self, kind: str, *without: str) -> Verb:
        return self.choose(self.lexicon.verbs_of(kind, frozenset(["massonly", *without])))

    def place_for(self, verb: Verb, probability: float = 0.3) -> Where | None:
        places = self.settings.get(verb.lemma)
        if not places or not self.chance(probability):
            return None
        if self.chance(0.12):
            return Where(town=self.choose(self.lexicon.towns))
        return Where(place=self.choose(places))

    def event(self, tense: str = "past", **extra) -> Clause:
        """Somebody does something: transitive or not, in a setting that suits the verb."""
        without = ["state", "nopast"]
        if "progressive" in tense or tense == "present":
            without.append("punctual")
        if tense == "future":
            without.append("involuntary")
        if self.chance(0.2) and not extra.get("transitive"):
            if tense == "perfect":
                without.append("involuntary")
            return self.action(tense, *without)
        verb = self.verb("transitive", *without)
        subject = extra.get("subject")
        if subject is None and verb.lemma in CREATURE_VERBS and self.chance(0.5):
            subject = NP(self.choose(self.animals))
        subject = subject or self.person(verb)
        thing = self.target(verb, subject, extra.get("dets", ""))
        while thing.key in subject.key.split("+"):
            thing = self.target(verb, subject, extra.get("dets", ""))
        where = None if thing.plural and thing.relative else self.place_for(verb)
        manner = None
        steady = not verb.flags & {"punctual", "state"} and verb.lemma not in NO_MANNER
        if steady and where is None and self.chance(0.15):
            manner = self.phrase("manner")
        return Clause(subject, verb, thing, tense=tense, where=where, manner=manner)

    def action(self, tense: str, *without: str) -> Clause:
        """An intransitive clause; animals may be the subject where the verb allows them."""
        verb = self.verb("intransitive", *without)
        if "pluralperson" in verb.tags:
            subject = NP(self.choose(self.adults), plural=True)
            if self.chance(0.5):
                subject = NP(pair=(self.name(), self.name()))
                if subject.pair[0] == subject.pair[1]:
                    subject = NP(pronoun="they")
        elif "person" in verb.tags or "adult" in verb.tags:
            others = self.lexicon.having(verb.tags - {"person"})
            if others and self.chance(0.3):
                noun = self.choose(others)
                subject = NP(noun, adjectives=self.adjectives(noun, 0.3))
            else:
                subject = self.person(verb)
        else:
            noun = self.choose(self.lexicon.having(verb.tags))
            subject = NP(noun, plural=self.chance(0.2), adjectives=self.adjectives(noun, 0.3))
        manner = None
        where = self.place_for(verb, 0.5)
        animal = subject.noun and "animal" in subject.noun.tags
        if where and animal and verb.lemma in ("sleep", "swim"):
            where = None
        return Clause(subject, verb, tense=tense, where=where, manner=manner)

    def motion(self, tense: str = "past") -> Clause:
        verb = self.verb("motion")
        source = "from" in verb.flags or "from" in verb.tags or verb.lemma == "come_back"
        if "towns" in verb.flags or "towns" in verb.tags or self.chance(0.2):
            where = Where(town=self.choose(self.lexicon.towns), goal=not source, source=source)
        else:
            where = Where(place=self.choose(self.lexicon.places), goal=not source, source=source)
        return Clause(self.person(verb), verb, tense=tense, where=where)

    def spot(self, *relations: str, goal: bool = False) -> Where:
        """On the table, under the bed: a thing as a place."""
        lexicon = self.lexicon
        kind = self.rng.choice(("furniture", "furniture", "container"))
        relation = self.rng.choice(relations or RELATION_OF[kind])
        if relation == "in":
            noun = self.choose(lexicon.having(["container", "cupboard"]))
        elif relation == "on":
            noun = self.choose([lexicon.noun(n) for n in "table chair desk sofa bench bed".split()])
        else:
            noun = self.choose(lexicon.having(["furniture"]))
            if noun.english == "mirror":
                noun = lexicon.noun("table")
        return Where(relation=relation, thing=NP(noun), goal=goal)

    def gift(self, tense: str = "past") -> Clause:
        """Somebody gives somebody something."""
        verb = self.verb("ditransitive")
        subject = self.person(verb)
        nouns = [n for n in self.lexicon.having(verb.tags) if "person" not in n.tags]
        thing = self.thing(self.choose(nouns), subject, dets="the the a a a number own")
        dice = self.rng.random()
        if dice < 0.3:
            whom = self.name()
        elif dice < 0.6:
            whom = self.kin_of(subject)
        else:
            whom = NP(self.choose(self.adults + self.children))
        if whom.key in subject.key.split("+"):
            whom = NP(self.lexicon.noun("child"))
        return Clause(subject, verb, thing, recipient=whom, tense=tense)

    def placing(self, tense: str = "past") -> Clause:
        verb = self.verb("placement")
        subject = self.person(verb)
        thing = self.thing(self.choose(self.lexicon.having(verb.tags)), subject, "the the a own")
        relations = {
            "hide": ("under", "behind", "in"),
            "put": ("on", "in"),
            "place": ("on", "under"),
        }
        if verb.lemma in relations:
            where = self.spot(*relations[verb.lemma], goal=verb.lemma != "hide")
        else:
            noun = self.lexicon.noun(self.rng.choice(("wall", "door", "gate", "fence")))
            where = Where(relation="on", thing=NP(noun), goal=True)
        return Clause(subject, verb, thing, tense=tense, where=where)

    def positioned(self, tense: str = "progressive") -> Clause:
        verb = self.verb("position")
        if "person" in verb.tags and self.chance(0.6):
            subject = self.person(verb)
        else:
            noun = self.choose(self.lexicon.having(verb.tags - {"person"}) or self.children)
            subject = NP(noun, adjectives=self.adjectives(noun, 0.3))
        if verb.lemma == "sit":
            person = subject.noun is None or "person" in subject.noun.tags
            where = self.spot("on", "next to", *(() if person else ("under", "behind")))
        elif verb.lemma == "lie":
            where = self.spot("on", "next to")
            if where.relation == "on":
                noun = self.lexicon.noun(self.rng.choice(("sofa", "bed", "carpet", "bench")))
                where = Where(relation="on", thing=NP(noun))
        else:
            things = self.lexicon.having(["structure", "door", "plant", "vehicle"])
            things = [n for n in things if n.section not in ("flower",) and n.english != "herb"]
            relation = self.rng.choice(("behind", "next to", "in front of"))
            where = Where(relation=relation, thing=NP(self.choose(things)))
        return Clause(subject, verb, tense=tense, where=where)
