"""Sentence patterns of two clauses: because, when, although, relative clauses, reported speech.

Some patterns are held out: they make ``test_constructions`` and never occur in train, although
each of their parts does.
"""

from __future__ import annotations

from dataclasses import replace

from . import chinese, english, german
from .constructions import (
    SUBJECT_PRONOUN,
    ask,
    event,
    human_event,
    no_people,
    passive_clause,
    render,
    say,
    tidy,
    timed,
)
from .grammar import NP, Clause

REASONS = {"tired", "hungry", "happy", "angry", "thirsty", "worried", "lonely", "disappointed"}
REASONS |= {"excited", "grateful", "busy", "jealous", "embarrassed", "exhausted", "surprised"}

MOTIVES = REASONS - {"thirsty", "hungry", "surprised", "exhausted", "tired"}


def reference(subject: NP) -> NP:
    """The pronoun that takes up a subject: Anna ... she, the children ... they."""
    if subject.pronoun:
        return subject
    if subject.is_plural:
        return NP(pronoun="they", feminine=subject.women)
    return NP(pronoun=SUBJECT_PRONOUN.get(subject.sex, ""))


def told_subject(s, many: bool = True) -> NP:
    """A person whose pronoun is known; a job is made a man or a woman by a coin."""
    subject = s.person(pronouns=False, many=0.2 if many else 0.0)
    while subject.owner or (not many and subject.is_plural):
        subject = s.person(pronouns=False, many=0.2 if many else 0.0)
    return subject


def with_reference(s, subject: NP) -> tuple[NP, NP]:
    """(subject, pronoun). The sex of a job is drawn evenly, so that no job is of one sex."""
    pronoun = reference(subject)
    if pronoun.pronoun:
        return subject, pronoun
    feminine = s.chance(0.5)
    noun = subject.noun
    if noun is not None and (noun.gender in "fn" or not noun.feminine):
        feminine = noun.gender == "f"
    subject = replace(subject, feminine=feminine)
    return subject, NP(pronoun="she" if feminine else "he")


def with_subject(s, make, subject: NP) -> Clause:
    """An event with people, given this subject; possessives follow it."""
    clause = make(s)
    while no_people(clause) or (clause.subject.noun and "animal" in clause.subject.noun.tags):
        clause = make(s)
    changes = {"subject": subject}
    for part in ("object", "recipient"):
        phrase = getattr(clause, part)
        if phrase is not None and phrase.det in ("his", "her", "their", "our", "my"):
            det = s.possessive(subject)
            if subject.feminine or (subject.noun is not None and not det):
                det = "her" if subject.feminine else ""
            noun = s.kin_for(phrase.noun, subject)
            changes[part] = replace(phrase, noun=noun, det=det or "the")
            if not det and phrase.noun in s.kin:
                changes[part] = NP(phrase.noun, owner=s.name())
        if phrase is not None and phrase.name and phrase.key == subject.key:
            changes[part] = NP(s.choose(s.children))
        if phrase is not None and phrase.pronoun:
            changes[part] = NP(s.choose(s.children))
    if clause.verb.kind == "intransitive" and "pluralperson" in clause.verb.tags:
        return with_subject(s, make, subject)
    return clause.but(**changes)


def plain_event(s) -> Clause:
    return human_event(s).but(manner=None)


def reason_clause(s, pronoun: NP, feelings=REASONS) -> Clause:
    adjective = s.choose([a for a in s.lexicon.adjectives if a.english in feelings])
    return Clause(pronoun, predicate=adjective, tense="past")


def two(name: str, first, second, conjunction, front=False, zh_link=("", "")):
    """Main clause and subordinate clause with a conjunction, in either order."""
    en_word, de_word, zh_word = conjunction
    sub_en, sub_de = english.body(second), german.subordinate(second)
    zh_sub, zh_main = chinese.body(second), chinese.body(first)
    if front:
        en = f"{en_word} {sub_en}, {english.statement(first)}"
        de = f"{de_word} {sub_de}, {german.statement(first, inverted=True)}"
        subject, rest = chinese.noun_phrase(first.subject), zh_main
        if zh_link[1] == "就":
            rest = rest[len(subject) :]
            zh_main = [*subject, zh_link[1], *rest]
        elif zh_link[1]:
            zh_main = [zh_link[1], *zh_main]
        zh = [*zh_word, *zh_sub, *([zh_link[0]] if zh_link[0] else []), "，", *zh_main]
    else:
        en = f"{english.statement(first)} {en_word} {sub_en}"
        de = f"{german.statement(first)}, {de_word} {sub_de}"
        zh = [*zh_main, "，", *zh_word, *zh_sub]
    return render(name, en, de, zh, first, second)


BECAUSE = ("because", "weil", ["因为"])
ALTHOUGH = ("although", "obwohl", ["尽管"], [])


def because_final(s):
    subject, pronoun = with_reference(s, told_subject(s))
    clause = with_subject(s, plain_event, subject)
    return two("because", clause, reason_clause(s, pronoun, MOTIVES), BECAUSE)


def because_fronted(s):
    subject, pronoun = with_reference(s, told_subject(s))
    clause = with_subject(s, plain_event, subject).but(subject=pronoun)
    reason = reason_clause(s, subject, MOTIVES)
    return two("because-first", clause, reason, BECAUSE, front=True, zh_link=("", "所以"))


def because_modal(s):
    """Held out: train has modals and has because, never together."""
    subject, pronoun = with_reference(s, told_subject(s))
    clause = with_subject(s, plain_event, subject)
    inner = s.gift("past") if s.chance(0.3) else s.event("past")
    while no_people(inner) or inner.object is None or "involuntary" in inner.verb.flags:
        inner = s.event("past")
    inner = with_subject(s, lambda _: inner, pronoun)
    inner = inner.but(modal="want", manner=None, where=None)
    return two("because-modal", clause, inner, BECAUSE)


def state_sentence(s, name, clause, state, conjunction, front=False, link=""):
    """A clause and a state of the world: because it was raining."""
    clause = tidy(clause)
    en_word, de_word, zh_word, zh_after = conjunction
    subject_de, middle_de, verb_de = state.german
    sub_de = f"{subject_de} {middle_de} {verb_de}"
    main_zh = chinese.body(clause)
    if front:
        en = f"{en_word} {state.english}, {english.statement(clause)}"
        de = f"{de_word} {sub_de}, {german.statement(clause, inverted=True)}"
        subject = chinese.noun_phrase(clause.subject)
        if link == "就":
            main_zh = [*subject, link, *main_zh[len(subject) :]]
        elif link:
            main_zh = [link, *main_zh]
        zh = [*zh_word, *state.chinese, *zh_after, "，", *main_zh]
    else:
        en = f"{english.statement(clause)} {en_word} {state.english}"
        de = f"{german.statement(clause)}, {de_word} {sub_de}"
        zh = [*main_zh, "，", *zh_word, *state.chinese, *zh_after]
        if en_word in ("when", "until", "before", "after"):
            zh = [*state.chinese, *zh_after, "，", *main_zh]
    sentence = render(name, en, de, zh, clause)
    sentence.facts.append({"state": state.english, "joined by": en_word})
    return sentence


def weather(s, section: str = "past"):
    return s.choose(s.lexicon.states[section])


def because_state(s):
    kinds = [lambda: s.event("past"), lambda: s.motion("past")]
    clause = s.rng.choice(kinds)()
    while no_people(clause):
        clause = s.rng.choice(kinds)()
    fair = s.chance(0.3)
    state = weather(s, "fair" if fair else s.rng.choice(("past", "past", "trouble")))
    if not fair:
        where = None if clause.object else clause.where
        clause = clause.but(negated=True, where=where)
    clause = clause.but(manner=None)
    conjunction = (*BECAUSE, [])
    front = s.chance(0.5)
    link = "所以" if front else ""
    return state_sentence(s, "because-state", clause, state, conjunction, front, link)


def outing(s) -> Clause:
    """Something one does outside, or a way one goes: what bad weather might prevent."""
    if s.chance(0.5):
        return s.motion("past")
    while True:
        clause = s.event("past").but(manner=None)
        place = clause.where and clause.where.place
        if place and place.kind in ("wild", "town") and not no_people(clause):
            return clause


def although_final(s):
    return state_sentence(s, "although", outing(s), weather(s), ALTHOUGH)


def although_fronted(s):
    """Held out: train has although only at the end, and because and when at the front."""
    clause = outing(s)
    return state_sentence(s, "although-first", clause, weather(s), ALTHOUGH, True, "可是")


def when_event(s):
    state = s.choose(s.lexicon.states["event"])
    conjunction = ("when", "als", [], ["的", "时候"])
    front = s.chance(0.5)
    if s.chance(0.6):
        clause = s.event("past progressive").but(manner=None)
    else:
        clause = s.positioned("past progressive")
    state = replace(state, chinese=tuple(w for w in state.chinese if w != "了"))
    return state_sentence(s, "when", clause, state, conjunction, front=front)


def after_event(s):
    state = s.choose([x for x in s.lexicon.states["event"] if x.english != "the fire broke out"])
    clause = plain_event(s)
    word = s.rng.choice(("after", "before"))
    de = {"after": "nachdem", "before": "bevor"}[word]
    if word == "after":
        subject, middle, verb = state.german
        past = {
            "läutete": "geläutet hatte",
            "begann": "begonnen hatte",
            "aufging": "aufgegangen war",
            "ausging": "ausgegangen war",
            "aufhörte": "aufgehört hatte",
            "ankam": "angekommen war",
            "ankamen": "angekommen waren",
            "endete": "geendet hatte",
            "ausfiel": "ausgefallen war",
        }
        state = replace(state, german=(subject, middle, past[verb]))
    state = replace(state, chinese=tuple(w for w in state.chinese if w != "了"))
    zh_after = {"after": ["以后"], "before": ["以前"]}[word]
    front = s.chance(0.5)
    return state_sentence(s, word, clause, state, (word, de, [], zh_after), front=front)


def if_state(s):
    clause = event(s, "future").but(manner=None)
    while no_people(clause):
        clause = event(s, "future").but(manner=None)
    if s.chance(0.3):
        clause = clause.but(negated=True)
    state = s.choose(s.lexicon.states["future"])
    sentence = state_sentence(
        s, "if", clause, state, ("if", "wenn", ["如果"], []), front=True, link="就"
    )
    return sentence


def while_clause(s):
    first = s.event("past progressive").but(manner=None)
    second = s.event("past progressive").but(manner=None)
    while first.subject.pronoun or second.subject.pronoun or first.subject == second.subject:
        second = s.event("past progressive").but(manner=None)
        first = s.event("past progressive").but(manner=None)
    plain = second.but(tense="past progressive")
    en = f"while {english.body(plain)}, {english.statement(first)}"
    past_second, past_first = second.but(tense="past"), first.but(tense="past")
    de = f"während {german.subordinate(past_second)}, "
    de += german.statement(past_first, inverted=True)
    zh = [*chinese.body(second), "的", "时候", "，", *chinese.body(first)]
    return render("while", en, de, zh, first, second)


def relative_clause(s, gap: str) -> tuple[NP, Clause]:
    """A noun with a relative clause of which it is the subject or the object."""
    while True:
        clause = s.event("past", dets="the the a a number").but(manner=None, where=None)
        if clause.object is None or clause.object.pronoun:
            continue
        inside = [clause.object, clause.subject]
        if any(p.det in ("his", "her", "their", "my", "our") for p in inside):
            continue
        if gap == "subject" and clause.subject.noun and not clause.subject.owner:
            head = clause.subject
        elif gap == "object" and clause.object.noun and not clause.object.owner:
            if clause.verb.preposition or "dat" in clause.verb.flags:
                continue
            head = clause.object
        else:
            continue
        if clause.subject.det == "all" or (clause.subject.pronoun and gap == "subject"):
            continue
        plain = NP(head.noun, plural=head.plural and "person" in head.noun.tags)
        if gap == "subject":
            clause = clause.but(subject=plain)
        return plain, clause


def relative_subject(s):
    """The teacher who lost the key is tired. The cake that Anna baked was delicious."""
    gap = s.rng.choice(("subject", "object"))
    head, inner = relative_clause(s, gap)
    subject = replace(head, relative=(inner, gap))
    if gap == "object":
        adjectives = [a for a in s.lexicon.adjectives_of[head.noun]]
        while not adjectives:
            head, inner = relative_clause(s, gap)
            subject = replace(head, relative=(inner, gap))
            adjectives = [a for a in s.lexicon.adjectives_of[head.noun]]
        clause = Clause(
            subject, predicate=s.choose(adjectives), tense=s.rng.choice(["past", "present"])
        )
    elif "person" not in head.noun.tags:
        return relative_subject(s)
    elif s.chance(0.4):
        feelings = [a for a in s.lexicon.adjectives if a.section == "feeling"]
        clause = Clause(subject, predicate=s.choose(feelings), tense="past")
    else:
        clause = with_subject(s, plain_event, subject)
        while (
            clause.object is None
            or clause.object.key == inner.object.key
            or clause.recipient
            or clause.verb == inner.verb
        ):
            clause = with_subject(s, plain_event, subject)
        if clause.verb.kind in ("placement", "motion"):
            clause = clause.but(where=clause.where)
    return say(f"relative-subject-{gap}", clause)


def relative_object(s):
    """Held out: a relative clause on the object; train has them on subjects only."""
    head, inner = relative_clause(s, "object")
    verbs = [v for v in s.lexicon.verbs_of("transitive") if head.noun.tags & v.tags]
    verbs = [v for v in verbs if not v.flags & {"state", "nopast", "pluralonly", "massonly"}]
    verbs = [v for v in verbs if v.lemma != inner.verb.lemma and not v.preposition]
    if not verbs or "person" in head.noun.tags:
        return relative_object(s)
    thing = replace(head, relative=(inner, "object"))
    outer = s.choose(verbs)
    subject = s.person(outer)
    if subject.key == inner.subject.key:
        return relative_object(s)
    return say("relative-object", Clause(subject, outer, thing))


def passive_negated(s):
    """Held out: train has passives and negations, never a negated passive."""
    return say("passive-negated", passive_clause(s).but(negated=True))


def gift_question(s):
    """Held out: a yes-no question with two objects."""
    clause = s.gift("past")
    while clause.subject.pronoun:
        clause = s.gift("past")
    return ask("ditransitive-question", clause.but(ask="yes"))


def coordination(s):
    subject = s.person(pronouns=True)
    first, second = plain_event(s), plain_event(s)
    first, second = with_subject(s, plain_event, subject), with_subject(s, plain_event, subject)
    while second.verb == first.verb or first.verb.kind == second.verb.kind == "motion":
        second = with_subject(s, plain_event, subject)
    time = s.phrase("past") if s.chance(0.3) else None
    first = first.but(time=time)
    en = f"{english.body(first)} and {english.body(second, gap='subject')}"
    finite, prefix, end = german.verb_parts(second)
    rest = " ".join([finite, *german.middle(second), end or prefix])
    de = f"{german.statement(first)} und {rest}"
    zh = [*chinese.body(first), "，", "然后", *chinese.body(second, gap="subject")]
    return render("coordination", en, de, zh, first, second)


def but_clause(s):
    subject, _ = with_reference(s, told_subject(s))
    first = with_subject(s, plain_event, subject)
    while first.verb.kind in ("motion", "placement") or "involuntary" in first.verb.flags:
        first = with_subject(s, plain_event, subject)
    first = first.but(modal="want", where=None)
    state = weather(s)
    parts = state.german
    en = f"{english.body(first)}, but {state.english}"
    de = f"{german.statement(first)}, aber {parts[0]} {parts[2]} {parts[1]}"
    zh = [*chinese.body(first), "，", "可是", *state.chinese]
    sentence = render("but", en, de, zh, first)
    sentence.facts.append({"state": state.english, "joined by": "but"})
    return sentence


def reported(s):
    """Anna said that the dog was hungry. He knows that ..."""
    verb = s.verb("clausal")
    subject, pronoun = with_reference(s, told_subject(s, many=False))
    past_verb = verb.lemma in ("say", "claim", "hear", "notice", "dream", "think", "fear")
    tense = "past" if past_verb else "present"
    dice = s.rng.random()
    if verb.lemma in ("hope", "fear"):
        dice = 1.0  # nobody hopes to be lonely
    if dice < 0.4:
        inner = reason_clause(s, pronoun)
        inner = inner.but(tense=tense)
    elif dice < 0.75 and verb.lemma in ("say", "claim", "hear", "dream", "know"):
        inner = s.event("past").but(manner=None, where=None)
        while inner.subject.pronoun or inner.subject.key == subject.key:
            inner = s.event("past").but(manner=None, where=None)
    elif verb.lemma in ("think", "hope", "fear", "say", "know", "claim"):
        inner = event(s, "future").but(manner=None)
        while no_people(inner) or inner.subject.key == subject.key:
            inner = event(s, "future").but(manner=None)
        tense = "present"
    else:
        inner = reason_clause(s, pronoun).but(tense=tense)
    outer = Clause(subject, verb, tense=tense)
    en = f"{english.body(outer)} that {english.body(inner)}"
    de = f"{german.statement(outer)}, dass {german.subordinate(inner)}"
    zh = [*chinese.body(outer), "，" if len(chinese.body(inner)) > 99 else "", *chinese.body(inner)]
    return render("reported", en, de, zh, outer, inner)


def quoted(s):
    subject = told_subject(s, many=False)
    speaker = NP(pronoun="I")
    if s.chance(0.5):
        inner = reason_clause(s, speaker).but(tense="present")
    else:
        inner = with_subject(s, lambda x: event(x, "future"), speaker).but(manner=None)
        inner = timed(s, inner, 0.4)
    outer = Clause(subject, next(v for v in s.lexicon.verbs_of("clausal") if v.lemma == "say"))
    en_inner = english.sentence(english.statement(inner), "")
    de_inner = german.sentence(german.statement(inner), "")
    en = f"“{en_inner},” said {english.noun_phrase(subject)}"
    de = f"„{de_inner}“, sagte {german.noun_phrase(subject)}"
    zh = [*chinese.noun_phrase(subject), "说", "：", "“", *chinese.body(inner), "。", "”"]
    sentence = render("quoted", en, de, zh, outer, inner)
    sentence.english = f"“{en_inner},” said {english.noun_phrase(subject)}."
    sentence.german = f"„{de_inner}“, sagte {german.noun_phrase(subject)}."
    sentence.chinese = zh
    return sentence


def commented(s):
    """Unfortunately, Anna lost the key."""
    word = s.phrase("sentence")
    clause = event(s, "past").but(manner=None)
    comma = "" if word.english in ("perhaps", "then", "later") else ","
    en = f"{word.english}{comma} {english.statement(clause)}"
    de = german.statement(clause, opener=word.german)
    zh = chinese.body(clause)
    subject = chinese.noun_phrase(clause.subject)
    if word.english in ("suddenly", "finally"):
        zh = [*subject, *word.chinese, *zh[len(subject) :]]
    elif word.english == "unfortunately":
        zh = [*word.chinese, "，", *zh]
    else:
        zh = [*word.chinese, *zh]
    return render("comment", en, de, zh, clause)
