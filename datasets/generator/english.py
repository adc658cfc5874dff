"""English: agreement, a/an, do-support, irregular verbs."""

from __future__ import annotations

import re

from .grammar import NP, Clause, Where
from .lexicon import Adjective, Verb

OBJECT_PRONOUNS = {"I": "me", "he": "him", "she": "her", "we": "us", "they": "them"}
BE = {"present": ("am", "are", "is"), "past": ("was", "were", "was")}
MODALS = {
    ("can", "present"): "can",
    ("must", "present"): "must",
    ("should", "present"): "should",
    ("may", "present"): "may",
    ("can", "past"): "could",
    ("want", "present"): "want to",
    ("want", "past"): "wanted to",
    ("must", "past"): "had to",
}
AN_EXCEPTIONS = ("uni", "use", "euro", "one")


def article(word: str) -> str:
    """a or an, by sound."""
    if word.startswith(("hour", "honest")):
        return "an"
    return "an" if word[0] in "aeiou" and not word.startswith(AN_EXCEPTIONS) else "a"


def third_person(word: str) -> str:
    if word == "have":
        return "has"
    if word.endswith(("s", "x", "z", "ch", "sh", "o")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def possessive(phrase: NP) -> str:
    text = noun_phrase(phrase)
    return text + ("'" if phrase.is_plural and text.endswith("s") else "'s")


def noun_phrase(phrase: NP, as_object: bool = False) -> str:
    if phrase.name:
        return phrase.name.english
    if phrase.pronoun:
        if as_object:
            return OBJECT_PRONOUNS.get(phrase.pronoun, phrase.pronoun)
        return phrase.pronoun
    if phrase.pair:
        return " and ".join(noun_phrase(part, as_object) for part in phrase.pair)
    noun = phrase.head
    words = [adjective.english for adjective in phrase.adjectives]
    words.append(noun.english_plural if phrase.plural else noun.english)
    if phrase.measure:
        words += ["of", phrase.measure.mass.english]
    if phrase.owner:
        words.insert(0, possessive(phrase.owner))
    elif phrase.det == "a":
        words.insert(0, article(words[0]))
    elif phrase.det == "number":
        words.insert(0, phrase.number.english)
    elif phrase.det == "this":
        words.insert(0, "these" if phrase.plural else "this")
    elif phrase.det == "all":
        words = ["all", "the", *words]
    elif phrase.det != "bare":
        words.insert(0, phrase.det)
    text = " ".join(words)
    if phrase.relative:
        clause, gap = phrase.relative
        who = ("who" if gap == "subject" else "whom") if noun.tags & {"person"} else "that"
        text += f" {who} {body(clause, gap=gap)}"
    return text


def location(where: Where) -> str:
    if where.place:
        preposition = "from" if where.source else "to" if where.goal else where.place.english
        return f"{preposition} the {where.place.noun.english}"
    if where.town:
        preposition = "from" if where.source else "to" if where.goal else "in"
        return f"{preposition} {where.town.english}"
    return f"{where.relation} {noun_phrase(where.thing, as_object=True)}"


def be(tense: str, subject: NP) -> str:
    forms = BE["past" if tense.startswith("past") else "present"]
    if subject.is_plural or subject.person == 2:
        return forms[1]
    return forms[0] if subject.person == 1 else forms[2]


def verb_group(clause: Clause, with_do: bool) -> tuple[str, str]:
    """(auxiliary, main part). ``with_do`` asks for an auxiliary even in the simple tenses."""
    verb, tense, subject = clause.verb, clause.tense, clause.subject
    head = verb.lemma.split("_")[0] if verb else "be"
    third = not subject.is_plural and subject.person == 3
    if clause.modal:
        modal = MODALS[clause.modal, "past" if tense == "past" else "present"]
        if modal in ("want to", "wanted to", "had to"):
            if with_do:
                stem = "have to" if modal == "had to" else "want to"
                return ("did" if tense == "past" else "does" if third else "do"), f"{stem} {head}"
            modal = "wants to" if modal == "want to" and third else modal
            return "", f"{modal} {head}"
        return modal, f"be {verb.participle}" if clause.passive else head
    if tense == "future":
        return "will", head
    if tense == "perfect":
        return ("has" if third else "have"), verb.participle if verb else "been"
    if clause.passive:
        return be(tense, subject), verb.participle
    if tense.endswith("progressive"):
        return be(tense, subject), verb.ing
    if verb is None:
        return be(tense, subject), ""
    if with_do:
        return ("did" if tense == "past" else "does" if third else "do"), head
    if tense == "past":
        return "", verb.past
    return "", third_person(head) if third else head


def tail(clause: Clause, gap: str = "") -> list[str]:
    """What follows the verb."""
    words: list[str] = []
    verb = clause.verb
    if verb and verb.particle:
        words.append(verb.particle)
    if isinstance(clause.predicate, Adjective):
        words += [clause.degree.english] if clause.degree else []
        words.append(clause.predicate.english)
    elif clause.predicate is not None:
        words.append(noun_phrase(clause.predicate))
    if clause.infinitive:
        head = clause.infinitive.verb.lemma.split("_")[0]
        words += ["to", head, *tail(clause.infinitive)]
    thing = clause.object
    asked = clause.ask == "what" or gap == "object"
    target = noun_phrase(thing, as_object=True) if thing and not asked else ""
    if clause.passive:
        words.append(f"by {target}" if target else "")
    elif clause.recipient:
        whom = noun_phrase(clause.recipient, as_object=True)
        words += [target, f"to {whom}"] if "toprep" in verb.flags or not target else [whom, target]
    else:
        words.append(target)
    if clause.where and clause.ask != "where":
        words.append(location(clause.where))
    if clause.manner:
        words.append(clause.manner.english)
    if clause.time and not clause.front and clause.ask != "when":
        words.append(clause.time.english)
    if clause.already == "yet":
        words.append("yet")
    return [word for word in words if word]


def body(clause: Clause, gap: str = "") -> str:
    """The clause in statement order; ``gap`` names the part a relative pronoun stands for."""
    auxiliary, main = verb_group(clause, with_do=clause.negated)
    words = [] if gap == "subject" else [noun_phrase(clause.subject)]
    words.append(auxiliary)
    if clause.already == "never":
        words.append("never")
    elif clause.negated:
        words = [*words[:-1], "cannot"] if auxiliary == "can" else [*words, "not"]
    if clause.already == "already":
        words.append("already")
    if clause.frequency:
        words.append(clause.frequency.english)
    words += [main, *tail(clause, gap)]
    return " ".join(word for word in words if word)


def question(clause: Clause) -> str:
    if clause.ask == "who":
        auxiliary, main = verb_group(clause, with_do=clause.negated)
        text = " ".join(w for w in ("who", auxiliary, main, *tail(clause)) if w)
    else:
        auxiliary, main = verb_group(clause, with_do=True)
        first = "" if clause.ask == "yes" else clause.ask
        already = clause.already if clause.already == "already" else ""
        words = (first, auxiliary, noun_phrase(clause.subject), already, main, *tail(clause))
        text = " ".join(word for word in words if word)
    return text


def statement(clause: Clause) -> str:
    text = body(clause)
    if clause.front and clause.time:
        text = f"{clause.time.english} {text}"
    return text


def sentence(text: str, mark: str = ".") -> str:
    """Capital, full stop, no comma before the stop."""
    text = re.sub(r"\s+([,.?!])", r"\1", " ".join(text.split()))
    text = text.rstrip(",. ") + mark
    return text[0].upper() + text[1:]


def conjugated(verb: Verb, subject: NP, tense: str) -> str:
    """The finite verb alone, for sentence patterns that are built by hand."""
    return verb_group(Clause(subject, verb, tense=tense), with_do=False)[1]
