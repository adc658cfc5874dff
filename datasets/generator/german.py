"""German: gender and four cases, adjective endings, verb second and verb last."""

from __future__ import annotations

import re
from dataclasses import replace

from .grammar import NP, POSSESSIVES, Clause, Where
from .lexicon import Adjective, Noun, Verb

GENDERS = {"m": 0, "f": 1, "n": 2, "p": 3}
# Endings by case for masculine, feminine, neuter, plural.
DEFINITE = {
    "nom": ("der", "die", "das", "die"),
    "acc": ("den", "die", "das", "die"),
    "dat": ("dem", "der", "dem", "den"),
    "gen": ("des", "der", "des", "der"),
}
LIKE_DIESER = {
    "nom": ("er", "e", "es", "e"),
    "acc": ("en", "e", "es", "e"),
    "dat": ("em", "er", "em", "en"),
    "gen": ("es", "er", "es", "er"),
}
LIKE_EIN = LIKE_DIESER | {"nom": ("", "e", "", "e"), "acc": ("en", "e", "", "e")}
WEAK = {
    "nom": ("e", "e", "e", "en"),
    "acc": ("en", "e", "e", "en"),
    "dat": ("en", "en", "en", "en"),
    "gen": ("en", "en", "en", "en"),
}
MIXED = WEAK | {"nom": ("er", "e", "es", "en"), "acc": ("en", "e", "es", "en")}
STRONG = {
    "nom": ("er", "e", "es", "e"),
    "acc": ("en", "e", "es", "e"),
    "dat": ("em", "er", "em", "en"),
    "gen": ("en", "er", "en", "er"),
}
RELATIVE = DEFINITE | {"dat": ("dem", "der", "dem", "denen")}
PRONOUNS = {
    "nom": {"I": "ich", "you": "du", "he": "er", "she": "sie", "we": "wir", "they": "sie"},
    "acc": {"I": "mich", "you": "dich", "he": "ihn", "she": "sie", "we": "uns", "they": "sie"},
    "dat": {"I": "mir", "you": "dir", "he": "ihm", "she": "ihr", "we": "uns", "they": "ihnen"},
}
IT = {"nom": ("er", "sie", "es", "sie"), "acc": ("ihn", "sie", "es", "sie")}
OWNERS = {
    "my": "mein",
    "your": "dein",
    "his": "sein",
    "her": "ihr",
    "our": "unser",
    "their": "ihr",
}
QUANTIFIERS = {"many": "viel", "some": "einig", "several": "mehrer"}
CONTRACTIONS = {
    "in dem": "im",
    "an dem": "am",
    "zu dem": "zum",
    "zu der": "zur",
    "von dem": "vom",
    "bei dem": "beim",
    "in das": "ins",
    "an das": "ans",
}
RELATIONS = {
    "in": "in",
    "on": "auf",
    "under": "unter",
    "behind": "hinter",
    "next to": "neben",
    "in front of": "vor",
}
UPRIGHT = ("wall", "door", "gate", "fence")
STEMS = {"teuer": "teur", "dunkel": "dunkl", "sauer": "saur", "hoch": "hoh"}
SEIN = ("bin", "bist", "ist", "sind", "war", "waren")
HABEN = ("habe", "hast", "hat", "haben", "hatte", "hatten")
WERDEN = ("werde", "wirst", "wird", "werden", "wurde", "wurden")
MODALS = {
    "can": ("kann", "kannst", "kann", "können", "konnte", "konnten"),
    "must": ("muss", "musst", "muss", "müssen", "musste", "mussten"),
    "want": ("will", "willst", "will", "wollen", "wollte", "wollten"),
    "should": ("sollte", "solltest", "sollte", "sollten", "sollte", "sollten"),
    "may": ("darf", "darfst", "darf", "dürfen", "durfte", "durften"),
}
SECOND_PERSON = {
    "hält": "hältst",
    "lädt": "lädst",
    "brät": "brätst",
    "weiß": "weißt",
    "mag": "magst",
}
FIRST_PERSON = {"wissen": "weiß", "mögen": "mag"}


def column(noun: Noun, plural: bool) -> int:
    return GENDERS["p" if plural else noun.gender]


def decline(noun: Noun, case: str, plural: bool = False, feminine: bool = False) -> str:
    """The noun itself: dative plural -n, genitive -(e)s, weak masculines."""
    if feminine and noun.feminine:
        if not plural:
            return noun.feminine
        return noun.feminine + "nen"
    if plural:
        form = noun.german_plural
        return form + "n" if case == "dat" and form[-1] not in "ns" else form
    if noun.weak and case != "nom":
        return noun.german_plural
    if case == "gen" and noun.gender in "mn":
        word = noun.german
        if word in ("Mann", "Sohn"):
            return word + "es"
        if word.endswith(("s", "ß", "x", "z")):
            return word + "es"
        short = len(re.findall(r"[aeiouäöüy]+", word.lower())) == 1
        return word + ("es" if short and word[-1] not in "aeiouhlrn" else "s")
    return noun.german


def inflect(adjective: Adjective, ending: str) -> str:
    return STEMS.get(adjective.german, adjective.german.removesuffix("e")) + ending


def noun_phrase(phrase: NP, case: str = "nom") -> str:
    if phrase.name:
        return phrase.name.english
    if phrase.pronoun:
        return PRONOUNS[case][phrase.pronoun]
    if phrase.pair:
        return " und ".join(noun_phrase(part, case) for part in phrase.pair)
    noun = phrase.head
    feminine = phrase.feminine and bool(noun.feminine)
    gender = GENDERS["p" if phrase.plural else "f" if feminine else noun.gender]
    words = []
    endings = WEAK
    named_owner = phrase.owner is not None and phrase.owner.name is not None
    if named_owner:
        name = phrase.owner.name.english
        words.append(name + ("’" if name.endswith(("s", "x", "z")) else "s"))
        endings = STRONG
    elif phrase.owner or phrase.det == "the":
        words.append(DEFINITE[case][gender])
    elif phrase.det in ("this", "all"):
        words.append(("dies" if phrase.det == "this" else "all") + LIKE_DIESER[case][gender])
    elif phrase.det in ("a", "no") or phrase.det in POSSESSIVES:
        stem = {"a": "ein", "no": "kein"}.get(phrase.det) or OWNERS[phrase.det]
        ending = LIKE_EIN[case][gender]
        stem = "unsr" if stem == "unser" and ending else stem
        words.append(stem.replace("unsr", "unser") + ending)
        endings = WEAK if gender == 3 else MIXED
    else:
        endings = STRONG
        if phrase.det == "number":
            words.append(phrase.number.german)
        elif phrase.det in QUANTIFIERS:
            words.append(QUANTIFIERS[phrase.det] + LIKE_DIESER[case][gender])
    words += [inflect(adjective, endings[case][gender]) for adjective in phrase.adjectives]
    words.append(decline(noun, case, phrase.plural, feminine))
    if phrase.measure:
        words.append(phrase.measure.mass.german)
    if phrase.owner and not named_owner:
        words.append(noun_phrase(phrase.owner, "gen"))
    text = " ".join(words)
    if phrase.relative:
        clause, gap = phrase.relative
        gap_case = "nom" if gap == "subject" else object_case(clause.verb)
        text += f", {RELATIVE[gap_case][gender]} {subordinate(clause, gap)},"
    return text


def object_case(verb: Verb) -> str:
    return "dat" if "dat" in verb.flags else "acc"


def with_preposition(preposition: str, text: str) -> str:
    text = f"{preposition} {text}"
    for long, short in CONTRACTIONS.items():
        if text.startswith(long + " "):
            return short + text[len(long) :]
    return text


def location(where: Where) -> str:
    if where.town:
        return f"{'aus' if where.source else 'nach' if where.goal else 'in'} {where.town.english}"
    if where.thing:
        case = "acc" if where.goal else "dat"
        upright = where.relation == "on" and where.thing.noun.english in UPRIGHT
        preposition = "an" if upright else RELATIONS[where.relation]
        return with_preposition(preposition, noun_phrase(where.thing, case))
    place = where.place
    if where.source:
        preposition, case = "aus" if place.german == "in" else "von", "dat"
    elif where.goal:
        preposition = place.german_goal
        case = "dat" if preposition == "zu" else "acc"
    else:
        preposition, case = place.german, "dat"
    return with_preposition(preposition, noun_phrase(NP(place.noun), case))


def pick(forms: tuple[str, ...], subject: NP, past: bool = False) -> str:
    """One of (ich, du, er, wir, past singular, past plural)."""
    if past:
        return forms[5] if subject.is_plural else forms[4]
    return forms[3] if subject.is_plural else forms[subject.person - 1]


def simple(verb: Verb, subject: NP, past: bool) -> str:
    """Present or preterite of a full verb, without its prefix."""
    if past:
        form = verb.preterite
        return form + ("n" if form.endswith("e") else "en") if subject.is_plural else form
    if subject.is_plural:
        return verb.infinitive
    if subject.person == 1:
        stem = verb.infinitive
        first = stem[:-3] + "le" if stem.endswith("eln") else stem.removesuffix("n")
        return FIRST_PERSON.get(stem, first if first.endswith("e") else first + "e")
    if subject.person == 2:
        stem = verb.present3.removesuffix("t")
        regular = verb.present3 if stem.endswith(("s", "ß", "z")) else stem + "st"
        return SECOND_PERSON.get(verb.present3, regular)
    return verb.present3


def verb_parts(clause: Clause) -> tuple[str, str, str]:
    """(finite verb, separable prefix, non-finite part at the end)."""
    verb, subject = clause.verb, clause.subject
    past = clause.tense.startswith("past")
    infinitive = (verb.prefix + verb.infinitive) if verb else "sein"
    if clause.modal:
        end = f"{verb.german_participle} werden" if clause.passive else infinitive
        modal = clause.modal
        if modal == "must" and clause.negated and not past:
            modal = "may"  # "must not" forbids: darf nicht
        return pick(MODALS[modal], subject, past), "", end
    if clause.tense == "future":
        return pick(WERDEN, subject), "", infinitive
    if clause.passive:
        return pick(WERDEN, subject, past), "", verb.german_participle
    if clause.tense == "perfect":
        helper = SEIN if verb is None or verb.auxiliary == "sein" else HABEN
        return pick(helper, subject), "", verb.german_participle if verb else "gewesen"
    if verb is None:
        return pick(SEIN, subject, past), "", ""
    return simple(verb, subject, past), verb.prefix, ""


def middle(clause: Clause, gap: str = "") -> list[str]:
    """The middle field: pronouns, time, definite objects, manner, nicht, place, the rest."""
    verb, thing = clause.verb, clause.object
    if gap == "object" or clause.ask == "what":
        thing = None
    early, late, last = [], [], []
    negation = clause.negated
    if thing is not None:
        if clause.passive:
            last.append(with_preposition("von", noun_phrase(thing, "dat")))
        elif verb.preposition:
            preposition, case = verb.preposition
            last.append(with_preposition(preposition, noun_phrase(thing, case)))
        elif negation and not thing.definite:
            bare = replace(thing, det="no", number=None)
            late.append(noun_phrase(bare, object_case(verb)))
            negation = False
        else:
            slot = early if thing.definite else late
            slot.append(noun_phrase(thing, object_case(verb)))
    words = [early.pop()] if early and (thing.pronoun or thing.name) else []
    if clause.time and not clause.front and clause.ask != "when":
        words.append(clause.time.german)
    if clause.recipient:
        whom = noun_phrase(clause.recipient, "dat")
        known = clause.recipient.pronoun or clause.recipient.name
        words = [whom, *words] if known else [*words, whom]
    if clause.tense.endswith("progressive"):
        words.append("gerade")
    adverbs = [part.german for part in (clause.frequency, clause.manner) if part]
    if thing is None or thing.noun is None or "person" not in thing.noun.tags:
        words, adverbs = words + adverbs, []  # wäscht stolz den Löffel, but: lädt den Mann oft ein
    words += early
    words.append({"already": "schon", "yet": "noch", "never": "noch nie"}.get(clause.already, ""))
    words += adverbs
    words.append("nicht" if negation else "")
    if isinstance(clause.predicate, Adjective):
        words += [clause.degree.german] if clause.degree else []
        words.append(clause.predicate.german)
    elif clause.predicate is not None:
        words.append(noun_phrase(clause.predicate))
    where = location(clause.where) if clause.where and clause.ask != "where" else ""
    moves = bool(clause.where and (clause.where.goal or clause.where.source))
    words += [*late, where] if moves else [where, *late]
    return [word for word in [*words, *last] if word]


def infinitive_clause(clause: Clause) -> str:
    """The part after the comma: den Korb zu öffnen, den Kuchen abzuholen."""
    inner = clause.infinitive
    verb = inner.verb
    joined = f"{verb.prefix}zu{verb.infinitive}" if verb.prefix else f"zu {verb.infinitive}"
    return ", " + " ".join([*middle(inner), joined])


def statement(clause: Clause, opener: str = "", inverted: bool = False) -> str:
    """Verb second; a fronted time (or an ``opener``) pushes the subject behind the verb."""
    finite, prefix, end = verb_parts(clause)
    subject = noun_phrase(clause.subject)
    front = opener or (clause.time.german if clause.front and clause.time else "")
    start = [front, finite, subject] if front or inverted else [subject, finite]
    words = [*start, *middle(clause), end or prefix]
    text = " ".join(word for word in words if word)
    return text + (infinitive_clause(clause) if clause.infinitive else "")


def subordinate(clause: Clause, gap: str = "") -> str:
    """Verb last; in a relative clause the ``gap`` is left out."""
    finite, prefix, end = verb_parts(clause)
    subject = "" if gap == "subject" else noun_phrase(clause.subject)
    words = [subject, *middle(clause, gap)]
    words += [end, finite] if end else [prefix + finite]
    text = " ".join(word for word in words if word)
    return text + (infinitive_clause(clause) if clause.infinitive else "")


QUESTION_WORDS = {"what": "was", "where": "wo", "when": "wann", "why": "warum"}


def question(clause: Clause) -> str:
    finite, prefix, end = verb_parts(clause)
    if clause.ask == "who":
        words = ["wer", finite, *middle(clause)]
    else:
        first = QUESTION_WORDS.get(clause.ask, "")
        words = [first, finite, noun_phrase(clause.subject), *middle(clause)]
    return " ".join(word for word in [*words, end or prefix] if word)


def sentence(text: str, mark: str = ".") -> str:
    """Capital and stop; the comma that closes a clause goes before a stop or another comma."""
    text = re.sub(r"\s+([,.?!])", r"\1", " ".join(text.split()))
    text = re.sub(r",(\s*,)+", ",", text).rstrip(",. ") + mark
    return text[0].upper() + text[1:]


def it(noun: Noun, case: str = "nom") -> str:
    """The pronoun for a thing follows its gender: der Hut ... er."""
    return IT[case][GENDERS[noun.gender]]
