"""The sentence patterns: each draws a plan from the sampler and renders it in three languages."""

from __future__ import annotations

from dataclasses import dataclass, replace

from . import chinese, english, german
from .grammar import NP, Clause, facts_of, pairs_in
from .sampler import Sampler

SUBJECT_PRONOUN = {"m": "he", "f": "she"}
# Nobody sneezes or peels a carrot next year: small things happen on a day.
SMALL = frozenset(
    "peel fry slice cook taste eat drink open close lock pack fill empty light switch_off "
    "switch_on wash dry fold iron throw lift catch touch hug kiss stroke count weigh polish "
    "wake_up wear clean greet mend feed water order".split()
)
LONG_TIMES = frozenset("week weeks month year years summer winter spring autumn".split())


@dataclass
class Sentence:
    """One sentence in three languages with what it says."""

    english: str
    german: str
    chinese: list[str]
    construction: str
    facts: list[dict]
    pairs: set
    level: int = 2


def render(name: str, en: str, de: str, zh: list, *clauses: Clause, mark: str = ".", facts=None):
    zh_mark = {".": "。", "?": "？", "!": "！"}[mark]
    pairs = set().union(*(pairs_in(clause) for clause in clauses)) if clauses else set()
    told = [fact for clause in clauses for fact in facts_of(clause)]
    return Sentence(
        english.sentence(en, mark),
        german.sentence(de, mark),
        chinese.sentence(zh, zh_mark),
        name,
        facts or told,
        pairs,
    )


def tidy(clause: Clause) -> Clause:
    """Quantities make no sense under a negation: not three apples, but not the apples.

    Nor do they in a question about a known event: where did she fry the onions?
    """
    thing = clause.object
    vague = clause.negated or clause.ask in ("where", "when")
    vague = vague or (clause.ask == "yes" and clause.tense == "perfect")
    kinds = {"number", "many", "some", "several"} | ({"a"} if clause.ask[:1] == "w" else set())
    if vague and thing is not None and not thing.measure and thing.det in kinds:
        return clause.but(object=replace(thing, det="the", number=None))
    return clause


def say(name: str, clause: Clause) -> Sentence:
    clause = tidy(clause)
    return render(
        name, english.statement(clause), german.statement(clause), chinese.body(clause), clause
    )


def ask(name: str, clause: Clause) -> Sentence:
    clause = tidy(clause)
    return render(
        name,
        english.question(clause),
        german.question(clause),
        chinese.question(clause),
        clause,
        mark="?",
    )


def join(name, clauses, en, de, zh) -> Sentence:
    return render(name, en, de, zh, *clauses)


def timed(s: Sampler, clause: Clause, probability: float = 1.0) -> Clause:
    """Adds a time that suits the tense."""
    if not s.chance(probability):
        return clause
    section = {"past": "past", "future": "future", "present": "habit"}[clause.tense]
    if section == "past" and s.chance(0.3):
        section = "day"
    if section == "habit" and s.chance(0.3):
        return clause.but(frequency=s.phrase("frequency"))
    time = s.phrase(section)
    verb = clause.verb
    brief = verb is not None and (verb.kind in ("intransitive", "placement") or verb.lemma in SMALL)
    brief = brief and section != "habit"
    while brief and LONG_TIMES & set(time.english.split()):
        time = s.phrase(section)
    return clause.but(time=time)


def event(s: Sampler, tense: str = "past", **extra) -> Clause:
    """Any kind of happening."""
    dice = s.rng.random()
    if dice < 0.66 or extra:
        return s.event(tense, **extra)
    if dice < 0.8 and tense != "progressive" and "progressive" not in tense:
        return s.motion(tense)
    if dice < 0.9:
        return s.gift(tense)
    return s.event(tense) if "progressive" in tense or tense == "present" else s.placing(tense)


def no_people(clause: Clause) -> bool:
    return clause.subject.noun is not None and "animal" in clause.subject.noun.tags


def human_event(s: Sampler, tense: str = "past") -> Clause:
    clause = event(s, tense)
    while no_people(clause):
        clause = event(s, tense)
    return clause


def past(s):
    return say("past", timed(s, event(s), 0.6))


def past_fronted(s):
    clause = event(s).but(front=True)
    return say("past-time-first", timed(s, clause))


def habit(s):
    verb_plural = s.chance(0.45)
    if verb_plural:
        verb = s.choose([v for v in s.lexicon.verbs_of("transitive") if "plural" in v.flags])
        while verb.flags & {"state"}:
            verb = s.choose([v for v in s.lexicon.verbs_of("transitive") if "plural" in v.flags])
        subject = s.person(verb)
        noun = s.choose(s.lexicon.having(verb.tags))
        clause = Clause(subject, verb, NP(noun, det="bare", plural=True), tense="present")
        return say("habit", timed(s, clause))
    clause = s.event("present", dets="the number number").but(manner=None)
    return say("habit", timed(s, clause))


def state(s):
    verb = s.choose([v for v in s.lexicon.verbs_of("transitive") if "state" in v.flags])
    subject = s.person(verb)
    noun = s.choose(s.lexicon.having(verb.tags))
    if "person" in noun.tags:
        thing = s.somebody(noun, subject)
    elif "plural" in verb.flags and "mental" not in noun.tags:
        thing = NP(noun, det="bare", plural=True)
    else:
        thing = s.thing(noun, subject, "the the this a own" if verb.lemma == "need" else "the this")
    clause = Clause(subject, verb, thing, tense="present", negated=s.chance(0.35))
    return say("state", clause)


def progressive(s):
    return say("progressive", event(s, "progressive"))


def past_progressive(s):
    return say("past-progressive", event(s, "past progressive"))


def future(s):
    clause = timed(s, event(s, "future"), 0.7)
    return say("future", clause.but(front=clause.time is not None and s.chance(0.25)))


def future_negated(s):
    clause = event(s, "future").but(negated=True, manner=None)
    return say("future-negated", timed(s, clause, 0.4))


def past_negated(s):
    clause = event(s).but(negated=True, manner=None, where=None)
    if clause.verb.kind in ("motion", "placement"):
        clause = s.event("past").but(negated=True, manner=None, where=None)
    return say("past-negated", timed(s, clause, 0.5))


def habit_negated(s):
    verb = s.choose([v for v in s.lexicon.verbs_of("transitive") if "plural" in v.flags])
    noun = s.choose(s.lexicon.having(verb.tags))
    subject = s.person(verb)
    clause = Clause(subject, verb, NP(noun, det="bare", plural=True), tense="present", negated=True)
    return say("habit-negated", clause)


def perfect(s):
    clause = event(s, "perfect").but(manner=None, already="already", where=None)
    if clause.verb.kind in ("motion", "placement"):
        clause = s.gift("perfect").but(already="already")
    return say("perfect", clause)


def perfect_not_yet(s):
    clause = s.event("perfect").but(negated=True, already="yet", manner=None, where=None)
    return say("perfect-not-yet", clause)


def perfect_never(s):
    clause = s.event("perfect", dets="a this").but(already="never", manner=None, where=None)
    return say("perfect-never", clause)


def modal(s):
    word = s.rng.choice(("can", "must", "want", "should", "may"))
    clause = human_event(s).but(tense="present", modal=word, manner=None, where=None)
    while "involuntary" in clause.verb.flags:
        clause = human_event(s).but(tense="present", modal=word, manner=None, where=None)
    if clause.verb.kind in ("motion", "placement"):
        clause = s.gift("present").but(modal=word)
    if word != "may" and s.chance(0.3):
        clause = clause.but(negated=True)
    if word == "may" and clause.verb.lemma in ("steal", "lose", "break"):
        clause = clause.but(modal="can")
    return say("modal", clause)


def modal_past(s):
    word = s.rng.choice(("can", "must", "want"))
    clause = human_event(s).but(modal=word, manner=None)
    while clause.verb.kind in ("motion", "placement") or "involuntary" in clause.verb.flags:
        clause = human_event(s).but(modal=word, manner=None)
    negated = word != "must" and s.chance(0.5)
    return say("modal-past", clause.but(negated=negated, where=None))


def trip(s):
    tense = s.rng.choice(("past", "past", "future", "perfect"))
    clause = s.motion(tense)
    if tense != "perfect":
        clause = timed(s, clause, 0.7)
        clause = clause.but(front=clause.time is not None and s.chance(0.3))
    return say("motion", clause)


def gift(s):
    clause = s.gift(s.rng.choice(("past", "past", "future")))
    return say("ditransitive", timed(s, clause, 0.35))


def placing(s):
    return say("placement", s.placing(s.rng.choice(("past", "past", "future"))))


def position(s):
    return say("position", s.positioned(s.rng.choice(("progressive", "past progressive", "past"))))


def measured(s):
    tense = s.rng.choice(("past", "past", "future", "present"))
    thing = s.mass()
    mass, unit = thing.measure.mass, thing.measure.noun.english
    if "drink" in mass.tags and unit != "bottle":
        lemma = "drink"
    elif unit in ("kilo", "bag", "loaf", "bottle"):
        lemma = "buy"
    else:
        lemma = "eat"
    verb = next(v for v in s.lexicon.verbs_of("transitive") if v.lemma == lemma)
    subject = s.person(verb)
    if mass.english in ("wine", "beer", "cider"):
        subject = NP(s.choose(s.adults)) if s.chance(0.5) else s.name()
    clause = Clause(subject, verb, thing, tense=tense)
    return say("measure", timed(s, clause, 0.7 if tense != "present" else 1))


def passive(s):
    clause = timed(s, passive_clause(s), 0.5)
    return say("passive", clause.but(front=clause.time is not None and s.chance(0.4)))


def passive_clause(s) -> Clause:
    verbs = s.lexicon.verbs_of("transitive")
    verb = s.choose([v for v in verbs if "punctual" in v.flags and "noba" not in v.flags])
    things = [n for n in s.lexicon.having(verb.tags) if "kin" not in n.tags]
    patient = s.thing(s.choose(things), None, "the the the this")
    if "person" in patient.noun.tags:
        patient = NP(patient.noun)
    agent = s.person(verb, pronouns=False)
    return Clause(patient, verb, agent, passive=True, tense="past")


def infinitive(s):
    outer = s.verb("infinitive")
    inner = s.event("past").but(where=None, manner=None)
    while no_people(inner) or "involuntary" in inner.verb.flags:
        inner = s.event("past").but(where=None, manner=None)
    if outer.lemma == "begin":
        while no_people(inner) or "punctual" in inner.verb.flags:
            inner = s.event("past").but(where=None, manner=None)
    return say("infinitive", Clause(inner.subject, outer, tense="past", infinitive=inner))


def yes_no(s):
    kind = s.rng.choice(("past", "past", "future", "modal", "perfect", "you"))
    if kind == "you":
        clause = s.event("perfect", subject=NP(pronoun="you")).but(already="already", where=None)
        clause = clause.but(manner=None)
    elif kind == "modal":
        word = s.rng.choice(("can", "must", "should", "may"))
        clause = s.event("past").but(tense="present", modal=word, where=None, manner=None)
        while "involuntary" in clause.verb.flags:
            clause = s.event("past").but(tense="present", modal=word, where=None, manner=None)
        if no_people(clause):
            clause = clause.but(modal="can")
    else:
        clause = event(s, kind).but(manner=None)
        if kind == "perfect":
            clause = clause.but(already="already", where=None)
            if clause.verb.kind in ("motion", "placement"):
                clause = s.event("perfect").but(already="already", where=None, manner=None)
        else:
            clause = timed(s, clause, 0.4)
    return ask("yes-no", clause.but(ask="yes"))


def who(s):
    clause = s.event("past", transitive=True, dets="the the a number").but(manner=None)
    clause = clause.but(subject=NP(pronoun="who"), ask="who")
    thing = clause.object
    if thing is not None and thing.det in ("his", "her", "their", "our", "my"):
        clause = clause.but(object=NP(thing.noun, det="my"))
    return ask("who", timed(s, clause, 0.3))


def what(s):
    clause = s.event("past", transitive=True).but(manner=None)
    while clause.object is None or clause.verb.preposition or "person" in clause.object.key:
        clause = s.event("past", transitive=True).but(manner=None)
    noun = clause.object.noun
    while noun is None or noun.tags & {"person", "animal"} or "dat" in clause.verb.flags:
        clause = s.event("past", transitive=True).but(manner=None)
        noun = clause.object.noun if clause.object and not clause.verb.preposition else None
    return ask("what", timed(s, clause.but(ask="what"), 0.3))


def where_question(s):
    clause = s.event("past", dets="the the a number").but(manner=None)
    while clause.verb.lemma not in s.settings:
        clause = s.event("past", dets="the the a number").but(manner=None)
    return ask("where", clause.but(where=None, ask="where"))


def when_question(s):
    clause = event(s, "past").but(manner=None, ask="when")
    return ask("when", clause)


def why_question(s):
    clause = event(s, "past").but(manner=None, ask="why")
    return ask("why", clause)


def how_many(s):
    verb = s.choose([v for v in s.lexicon.verbs_of("transitive") if v.lemma in COUNTING])
    noun = s.choose([n for n in s.lexicon.having(verb.tags) if not n.mass])
    subject = s.person(verb)
    future_tense = s.chance(0.3)
    plan = Clause(subject, verb, NP(noun, det="bare", plural=True), ask="how many")
    plan = plan.but(tense="future" if future_tense else "past")
    auxiliary = "will" if future_tense else "did"
    plural = noun.english_plural
    en = f"how many {plural} {auxiliary} {english.noun_phrase(subject)} {verb.lemma}"
    finite, prefix, end = german.verb_parts(plan)
    de = f"wie viele {noun.german_plural} {finite} {german.noun_phrase(subject)} {end or prefix}"
    zh = [*chinese.noun_phrase(subject), *(["会"] if future_tense else [])]
    zh += chinese.with_aspect(verb, "" if future_tense else "了")
    zh += ["多少", noun.measure, noun.chinese]
    return render("how-many", en, de, zh, plan, mark="?")


COUNTING = ("buy", "sell", "eat", "collect", "count", "draw", "plant", "pick", "bake", "write")


def imperative(s):
    verb = s.verb("transitive", "state", "nopast")
    banned = (
        "meet",
        "see",
        "hear",
        "receive",
        "win",
        "lose",
        "miss",
        "notice",
        "steal",
        "discover",
    )
    while verb.lemma in banned:
        verb = s.verb("transitive", "state", "nopast")
    noun = s.choose(s.lexicon.having(verb.tags))
    thing = NP(noun, det="my") if noun in s.kin else s.thing(noun, None, "the the this")
    negated = s.chance(0.35)
    clause = Clause(NP(pronoun="you"), verb, thing, tense="present", negated=negated)
    words = " ".join([verb.lemma.split("_")[0], *english.tail(clause)])
    finite = german_command(verb)
    rest = german.middle(clause)
    if negated:
        en, de = f"do not {words}", " ".join([finite, *rest, verb.prefix])
    else:
        en, de = f"please {words}", " ".join([finite, "bitte", *rest, verb.prefix])
    zh = ["不要" if negated else "请", *chinese.verb_phrase(clause.but(modal="can"), "")]
    return render("imperative", en, de, zh, clause)


def german_command(verb) -> str:
    """The du-imperative: e changes to i (iss, nimm), other stems take -e or nothing."""
    whole = verb.infinitive
    stem = whole.removesuffix("en") if whole.endswith("en") else whole.removesuffix("n")
    strong = verb.present3.removesuffix("t")
    if verb.present3 in ("isst", "liest", "wirft", "hilft", "trifft", "sieht", "zerbricht", "gibt"):
        return {"iss": "iss", "lies": "lies"}.get(strong, strong)
    if verb.present3 in ("vergisst", "stiehlt", "empfiehlt"):
        return strong
    if verb.infinitive.endswith("eln"):
        return stem[:-2] + "le"
    if verb.infinitive.endswith("ern"):
        return stem + "e"
    return stem + "e"
