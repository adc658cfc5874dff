"""Chinese: measure words, 了 and 过, 把 and 被, time and place before the verb.

Every function returns a list of words, so that the word types can be counted without a segmenter.
"""

from __future__ import annotations

from dataclasses import replace

from .grammar import NP, POSSESSIVES, Clause, Where
from .lexicon import Adjective, Verb

PRONOUNS = {
    "I": "我",
    "you": "你",
    "he": "他",
    "she": "她",
    "we": "我们",
    "they": "他们",
    "who": "谁",
}
QUANTIFIERS = {"many": ["很多"], "some": ["一些"], "all": ["所有"]}
RELATIONS = {
    "in": "里",
    "on": "上",
    "under": "下面",
    "behind": "后面",
    "next to": "旁边",
    "in front of": "前面",
}
MODALS = {
    ("can", "present"): ("能", "不能"),
    ("must", "present"): ("必须", "不准"),
    ("want", "present"): ("想", "不想"),
    ("should", "present"): ("应该", "不应该"),
    ("may", "present"): ("可以", "不可以"),
    ("can", "past"): ("当时_能", "当时_不能"),
    ("must", "past"): ("不得不", "不必"),
    ("want", "past"): ("想", "不想"),
}


def adjectives_before(phrase: NP) -> list[str]:
    """红色的大盒子: the short adjectives stand next to the noun."""
    long = [a for a in phrase.adjectives if a.chinese_attribute.endswith("的")]
    short = [a for a in phrase.adjectives if not a.chinese_attribute.endswith("的")]
    words = []
    for adjective in long:
        words += [adjective.chinese_attribute.removesuffix("的"), "的"]
    return words + [adjective.chinese_attribute for adjective in short]


def noun_phrase(phrase: NP, bare: bool = False) -> list[str]:
    """``bare`` drops 一个, as after 没有 or in a habit."""
    if phrase.name:
        return [phrase.name.chinese]
    if phrase.pronoun:
        return ["她们" if phrase.women else PRONOUNS[phrase.pronoun]]
    if phrase.pair:
        first, second = phrase.pair
        return [*noun_phrase(first), "和", *noun_phrase(second)]
    noun = phrase.head
    measure = noun.measure
    if phrase.measure:
        measure, noun = noun.chinese, phrase.measure.mass
    words: list[str] = []
    suffix: list[str] = []
    if phrase.relative:
        clause, gap = phrase.relative
        words += [*body(clause, gap=gap), "的"]
    if phrase.owner:
        words += [*noun_phrase(phrase.owner), "的"]
    elif phrase.det in POSSESSIVES:
        women = phrase.det == "their" and phrase.feminine
        words += ["她们" if women else PRONOUNS[POSSESSIVES[phrase.det]], "的"]
    elif phrase.det == "a":
        words += [] if bare else ["一", measure]
    elif phrase.det == "number":
        words += [*phrase.number.chinese, measure]
    elif phrase.det == "this":
        words += ["这些"] if phrase.plural else ["这", measure]
    elif phrase.det == "several":
        words += ["几", measure]
    elif phrase.det in QUANTIFIERS:
        words += QUANTIFIERS[phrase.det]
    elif phrase.det == "the" and phrase.plural:
        if "person" in noun.tags:
            suffix = ["们"]
        else:
            words += ["那些"]
    return [*words, *adjectives_before(phrase), noun.chinese, *suffix]


def location(where: Where, inside: bool = True) -> list[str]:
    """The place as a noun phrase: 花园里, 桌子上, 米尔布鲁克."""
    if where.town:
        return [where.town.chinese]
    if where.thing:
        return [*noun_phrase(where.thing), RELATIONS[where.relation]]
    short = len(where.place.noun.chinese) == 1  # 岛上, not a bare 岛
    ending = where.place.chinese_ending if inside or short else ""
    return [where.place.noun.chinese, *([ending] if ending else [])]


def with_aspect(verb: Verb, aspect: str) -> list[str]:
    """跳舞, 跳了舞: the particle goes where the table marks it."""
    before, _, after = verb.chinese.partition("~")
    if not aspect:
        return [before + after] if before + after else []
    return [word for word in (before, aspect, after) if word]


def takes_ba(clause: Clause) -> bool:
    """把 for a definite thing that an action with a result disposes of."""
    verb, thing = clause.verb, clause.object
    if not verb or not thing or verb.kind != "transitive":
        return False
    return "punctual" in verb.flags and "noba" not in verb.flags and thing.definite


def of_women(phrase: NP | None) -> NP | None:
    """Their hats, when all the owners are women."""
    return replace(phrase, feminine=True) if phrase and phrase.det == "their" else phrase


def verb_phrase(clause: Clause, aspect: str, gap: str = "") -> list[str]:
    """The verb with its objects."""
    if clause.subject.women:
        clause = clause.but(object=of_women(clause.object), recipient=of_women(clause.recipient))
    verb = clause.verb
    bare = clause.negated
    asked = clause.ask == "what"
    thing = [] if clause.object is None else noun_phrase(clause.object, bare)
    if asked:
        thing = ["什么"]
    if gap == "object":
        thing = []
    if verb.kind == "placement":
        goal = location(clause.where)
        return ["把", *thing, f"{verb.chinese.rstrip('~')}在", *([aspect] if aspect else []), *goal]
    if verb.kind == "motion":
        goal = location(clause.where, inside=False)
        before, from_, after = verb.chinese.partition("_")
        if from_:
            return [before, *goal, after.rstrip("~"), *([aspect] if aspect else [])]
        return [verb.chinese.rstrip("~"), *([aspect] if aspect else []), *goal]
    if verb.kind == "position":
        return [f"{verb.chinese.rstrip('~')}在", *location(clause.where)]
    if clause.recipient:
        whom = noun_phrase(clause.recipient)
        before, split, after = verb.chinese.partition("_")
        if split:
            return [before, *whom, after.rstrip("~"), *([aspect] if aspect else []), *thing]
        given = [verb.chinese.rstrip("~"), *([aspect] if aspect else []), *whom]
        return ["把", *thing, *given] if clause.object.definite else [*given, *thing]
    if "_" in verb.chinese:
        before, _, after = verb.chinese.partition("_")
        return [before, *thing, *with_aspect(replace(verb, chinese=after), aspect)]
    if takes_ba(clause) and not gap and not asked and (aspect == "了" or clause.modal):
        return ["把", *thing, *with_aspect(verb, aspect)]
    return [*with_aspect(verb, aspect), *thing]


def predicate(clause: Clause) -> list[str]:
    """The part after the subject of a sentence with "to be"."""
    what = clause.predicate
    no = ["不"] if clause.negated else []
    if what is None:
        return [*no, "在", *location(clause.where)]
    if isinstance(what, NP):
        return [*no, "是", *noun_phrase(what)]
    if not what.gradable:
        return [*no, "是", what.chinese_attribute.removesuffix("的"), "的"]
    if clause.negated:
        degree = {"very": ["太"]}.get(clause.degree.english, []) if clause.degree else []
        return ["不", *degree, what.chinese_predicate]
    if clause.degree:
        return [*clause.degree.chinese, what.chinese_predicate]
    if clause.ask == "yes":
        return [what.chinese_predicate]
    return ["很", what.chinese_predicate]


def adverbs(clause: Clause) -> tuple[list[str], str]:
    """(words before the verb, aspect particle) for tense, negation and modality."""
    verb, negated = clause.verb, clause.negated
    stative = bool(verb) and "state" in verb.flags
    if clause.modal:
        words = MODALS[clause.modal, "past" if clause.tense == "past" else "present"]
        return words[1 if negated else 0].split("_"), ""
    if clause.already == "never":
        return ["从来", "没有"], "过"
    if clause.tense == "perfect":
        if negated:
            return (["还"] if clause.already == "yet" else []) + ["没有"], ""
        return (["已经"] if clause.already == "already" else []), "了"
    if clause.tense == "future":
        return (["不会"] if negated else ["会"]), ""
    if clause.tense.endswith("progressive"):
        return (["没有", "在"] if negated else ["正在"]), ""
    if clause.tense == "past" and not stative:
        still = verb is not None and verb.kind in ("position", "clausal", "infinitive")
        if negated:
            return ["没有"], ""
        return [], "" if still else "了"
    return (["不"] if negated else []), ""


def body(clause: Clause, gap: str = "", opener: tuple[str, ...] = ()) -> list[str]:
    """Subject, time, place, manner, verb, object; a fronted time comes first."""
    subject = [] if gap == "subject" else noun_phrase(clause.subject)
    if clause.ask == "who":
        subject = ["谁"]
    time = list(clause.time.chinese) if clause.time and clause.ask != "when" else []
    words = [*opener, *time, *subject] if clause.front else [*opener, *subject, *time]
    words += ["都"] if clause.subject.det == "all" else []
    words += list(clause.frequency.chinese) if clause.frequency else []
    if clause.verb is None:
        return words + predicate(clause)
    before, aspect = adverbs(clause)
    verb = clause.verb
    if gap == "object" or (clause.ask == "why" and verb.kind == "intransitive"):
        aspect = ""
    place: list[str] = []
    if clause.where and verb.kind not in ("motion", "placement", "position"):
        place = ["在", *location(clause.where)]
    if place and before == ["正在"]:
        before, place = ["正"], place
    elif verb.kind == "position" and before == ["正在"]:
        before = ["正"]
    emphatic = clause.ask in ("where", "when") and clause.tense == "past"
    asked = {"where": ["在", "哪里"], "when": ["什么", "时候"], "why": ["为什么"]}
    if emphatic:
        return [*words, "是", *asked[clause.ask], *place, *verb_phrase(clause, ""), "的"]
    if clause.ask in asked:
        words += asked[clause.ask]
    manner = list(clause.manner.chinese) if clause.manner else []
    if clause.passive:
        agent = ["被", *noun_phrase(clause.object)]
        return [*words, *before, *place, *agent, *with_aspect(verb, aspect)]
    if clause.infinitive:
        return [*words, *before, verb.chinese.rstrip("~"), *verb_phrase(clause.infinitive, "")]
    return [*words, *before, *place, *manner, *verb_phrase(clause, aspect, gap)]


def question(clause: Clause) -> list[str]:
    words = body(clause)
    if clause.ask != "yes":
        return words
    if clause.tense == "perfect" and not clause.negated and words[-1] != "了":
        counted = clause.object is not None and clause.object.det == "a"
        words = [*(w for w in words if counted or w != "了"), "了"]  # 你已经喂那些鹅了吗
    return [*words, "吗"]


def sentence(words: list[str], mark: str = "。") -> list[str]:
    return [word for word in words if word] + [mark]


def degree_of(adjective: Adjective) -> str:
    """The bare form used in a comparison: 更大."""
    return adjective.chinese_predicate
