"""Sentence patterns about being and having: qualities, comparison, age, price, origin, weather."""

from __future__ import annotations

from . import chinese, english, german
from .constructions import ask, render, say
from .grammar import MEN, NP, WOMEN, Clause

TOLD_TENSES = ("present", "present", "past")


def is_word(subject: NP, tense: str = "present") -> tuple[str, str]:
    """is/are/was/were and ist/sind/war/waren."""
    return english.be(tense, subject), german.pick(german.SEIN, subject, tense == "past")


def feeling(s):
    subject = s.person()
    adjective = s.choose([a for a in s.lexicon.adjectives if a.section == "feeling"])
    degree = s.phrase("degree") if s.chance(0.3) else None
    tense = s.rng.choice(TOLD_TENSES)
    negated = degree is None and s.chance(0.25)
    clause = Clause(subject, predicate=adjective, degree=degree, tense=tense, negated=negated)
    if tense == "past" and s.chance(0.6):
        clause = clause.but(time=s.phrase("past"))
    return say("feeling", clause)


def owned_thing(s) -> NP:
    noun = s.choose(s.lexicon.describable)
    dice = s.rng.random()
    if dice < 0.45 or noun.tags & {"fixed", "wild", "bird", "insect"}:
        return NP(noun, plural=s.chance(0.25))
    if dice < 0.6:
        return NP(noun, owner=s.name())
    if dice < 0.7 and "concrete" in noun.tags:
        return NP(noun, owner=NP(s.choose(s.adults)))
    if dice < 0.85:
        return NP(noun, det=s.rng.choice(("my", "our", "her", "his", "their")))
    return NP(noun, det="this", plural=s.chance(0.3))


def quality(s):
    subject = owned_thing(s)
    adjective = s.choose(s.lexicon.adjectives_of[subject.noun])
    degree = s.phrase("degree") if adjective.gradable and s.chance(0.35) else None
    negated = degree is None and s.chance(0.25)
    clause = Clause(
        subject,
        predicate=adjective,
        degree=degree,
        tense=s.rng.choice(TOLD_TENSES),
        negated=negated,
    )
    if clause.tense == "present" and s.chance(0.25):
        return ask("quality-question", clause.but(ask="yes", degree=None, negated=False))
    return say("quality", clause)


def comparison_parts(s):
    noun, other, adjective = None, None, None
    while noun == other:
        adjective = s.choose([a for a in s.lexicon.adjectives if a.gradable and a.tags])
        if adjective.section == "feeling":
            first, second = s.name(), s.name()
            while first == second:
                second = s.name()
            return first, second, adjective
        fitting = s.lexicon.having(adjective.tags)
        noun = s.choose(fitting)
        near = [n for n in fitting if n.section == noun.section]
        other = s.choose(near)
    det = "this" if s.chance(0.3) else "the"
    return NP(noun, det=det), NP(other), adjective


def comparative(s):
    first, second, adjective = comparison_parts(s)
    tense = s.rng.choice(TOLD_TENSES)
    is_en, is_de = is_word(first, tense)
    than = english.noun_phrase(second)
    en = f"{english.noun_phrase(first)} {is_en} {adjective.english_comparative} than {than}"
    de = [german.noun_phrase(first), is_de, adjective.german_comparative, "als"]
    zh = [*chinese.noun_phrase(first), *(["当时"] if tense == "past" else [])]
    zh += ["比", *chinese.noun_phrase(second), "更", adjective.chinese_predicate]
    de_text = " ".join([*de, german.noun_phrase(second)])
    fact = {"who": first.key, "did": "be", "what": adjective.english_comparative}
    fact |= {"than": second.key, "tense": tense}
    return render("comparative", en, de_text, zh, fact_clause(first, adjective), facts=[fact])


def fact_clause(subject, predicate) -> Clause:
    """A plan that only carries the facts and pairs of a hand-built pattern."""
    return Clause(subject, predicate=predicate, tense="present")


def doing(s, subject: NP, lemma: str) -> Clause:
    """A plan that carries the pairs of a hand-built pattern with a verb."""
    verb = next((verb for verb in s.lexicon.verbs if verb.lemma == lemma), None)
    return Clause(subject, verb, tense="present")


def equality(s):
    first, second, adjective = comparison_parts(s)
    is_en, is_de = is_word(first)
    negated = s.chance(0.4)
    en = (
        f"{english.noun_phrase(first)} {is_en} {'not ' if negated else ''}as {adjective.english} "
        f"as {english.noun_phrase(second)}"
    )
    de = [german.noun_phrase(first), is_de, "nicht so" if negated else "so", adjective.german]
    de_text = " ".join([*de, "wie", german.noun_phrase(second)])
    zh = chinese.noun_phrase(first)
    if negated:
        zh += ["没有", *chinese.noun_phrase(second), "那么", adjective.chinese_predicate]
    else:
        zh += ["和", *chinese.noun_phrase(second), "一样", adjective.chinese_predicate]
    fact = {"who": first.key, "did": "be", "what": f"as {adjective.english}", "as": second.key}
    fact |= {"tense": "present"} | ({"negated": True} if negated else {})
    return render("equality", en, de_text, zh, fact_clause(first, adjective), facts=[fact])


def comparative_question(s):
    first, second, adjective = comparison_parts(s)
    is_en, is_de = is_word(first)
    en = f"{is_en} {english.noun_phrase(first)} {adjective.english_comparative} than "
    en += english.noun_phrase(second)
    de = [is_de, german.noun_phrase(first), adjective.german_comparative, "als"]
    zh = [*chinese.noun_phrase(first), "比", *chinese.noun_phrase(second)]
    zh += ["更", adjective.chinese_predicate, "吗"]
    de_text = " ".join([*de, german.noun_phrase(second)])
    plan = fact_clause(first, adjective)
    fact = {"who": first.key, "did": "be", "what": adjective.english_comparative}
    fact |= {"than": second.key, "tense": "present"}
    return render("comparative-question", en, de_text, zh, plan, mark="?", facts=[fact])


def occupation(s):
    name = s.name()
    wrong = WOMEN if name.sex == "m" else MEN
    noun = s.choose([n for n in s.lexicon.having(["job"]) if n.english not in wrong])
    feminine = name.sex == "f"
    negated = s.chance(0.2)
    article = english.noun_phrase(NP(noun, det="a"))
    de_noun = noun.feminine if feminine and noun.feminine else noun.german
    female = noun.gender == "f" or (feminine and noun.feminine)
    a_de = "eine " if female else "ein "
    no_de = f"k{a_de}" if negated else ""
    en = f"{name.key} is {'not ' if negated else ''}{article}"
    de = f"{name.key} ist {no_de}{de_noun}"
    zh = [name.name.chinese, *(["不"] if negated else []), "是", "一", noun.measure, noun.chinese]
    if negated:
        zh = [name.name.chinese, "不", "是", noun.chinese]
    town = s.choose(s.lexicon.towns)
    if not negated and s.chance(0.5):
        en += f" from {town.english}"
        de = f"{name.key} ist {a_de}{de_noun} aus {town.english}"
        zh = [name.name.chinese, "是", "一", noun.measure, "来自", town.chinese, "的", noun.chinese]
    return render("occupation", en, de, zh, fact_clause(name, NP(noun, feminine=feminine)))


def origin(s):
    subject = s.person()
    town = s.choose(s.lexicon.towns)
    third = not subject.is_plural and subject.person == 3
    kind = s.rng.choice(("come", "live", "lived"))
    who_de = german.noun_phrase(subject)
    who_zh = chinese.noun_phrase(subject) + (["都"] if subject.det == "all" else [])
    if kind == "come":
        en = f"{english.noun_phrase(subject)} {'comes' if third else 'come'} from {town.english}"
        verb_de = "kommen" if subject.is_plural else "komme" if subject.person == 1 else "kommt"
        return render(
            "origin",
            en,
            f"{who_de} {verb_de} aus {town.english}",
            [*who_zh, "来自", town.chinese],
            fact_clause(subject, None),
            facts=[{"who": subject.key, "did": "come", "where": town.english}],
        )
    verb_de = "wohnen" if subject.is_plural else "wohne" if subject.person == 1 else "wohnt"
    if kind == "live":
        en = f"{english.noun_phrase(subject)} {'lives' if third else 'live'} in {town.english}"
        de = f"{who_de} {verb_de} in {town.english}"
        zh = [*who_zh, "住在", town.chinese]
    else:
        number = s.phrase("number")
        has = "has" if third else "have"
        years = f"for {number.english} years"
        en = f"{english.noun_phrase(subject)} {has} lived in {town.english} {years}"
        de = f"{who_de} {verb_de} seit {number.german} Jahren in {town.english}"
        zh = [*who_zh, "在", town.chinese, "住", "了", *number.chinese, "年", "了"]
    fact = {"who": subject.key, "did": "live", "where": town.english}
    return render("origin", en, de, zh, fact_clause(subject, None), facts=[fact])


LARGE = frozenset(
    "elephant lion tiger bear deer leopard zebra giraffe kangaroo crocodile seal panda wolf lynx "
    "camel ostrich vulture eagle stork swan pelican".split()
) | {"wild boar"}


def existential(s):
    past = s.chance(0.4)
    where = s.spot()
    if where.relation in ("under", "behind", "next to"):
        nouns = s.lexicon.having(["animal", "container", "toy", "clothes"])
        nouns = [n for n in nouns if n.section not in ("farm",) and "big" not in n.tags]
        nouns = [n for n in nouns if n.english not in LARGE]
        noun = s.choose(nouns)
        while noun == where.thing.noun:
            noun = s.choose(nouns)
    elif where.relation == "on":
        noun = s.choose(s.lexicon.having(["kitchen", "reading", "fruit", "utensil", "stationery"]))
    else:
        noun = s.choose(s.lexicon.having(["valuable", "stationery", "message", "fruit"]))
    thing = s.thing(noun, None, "a a number")
    be_en = ("were" if past else "are") if thing.plural else ("was" if past else "is")
    be_de = ("waren" if past else "sind") if thing.plural else ("war" if past else "ist")
    negated = s.chance(0.15) and thing.det == "a"
    thing_de = NP(thing.noun, det="no") if negated else thing
    if negated:
        thing = NP(thing.noun, det="no")
    en = f"there {be_en} {english.noun_phrase(thing)} {english.location(where)}"
    de = f"{german.location(where)} {be_de} {german.noun_phrase(thing_de)}"
    zh = chinese.location(where)
    zh += ["当时"] if past else []
    zh += ["没有", noun.chinese] if negated else ["有", *chinese.noun_phrase(thing)]
    plan = fact_clause(thing, None)
    plan = plan.but(where=where, tense="past" if past else "present", negated=negated)
    return render("existential", en, de, zh, plan)


def having(s):
    subject = s.person()
    noun = s.choose(
        s.lexicon.having(
            [
                "pet",
                "farm",
                "container",
                "tool",
                "toy",
                "vehicle",
                "instrument",
                "device",
                "stationery",
                "valuable",
            ]
        )
    )
    third = not subject.is_plural and subject.person == 3
    negated = s.chance(0.3)
    thing = NP(noun, det="no") if negated else s.thing(noun, None, "a a number")
    has = "has" if third else "have"
    have_de = german.pick(german.HABEN, subject)
    en = f"{english.noun_phrase(subject)} {has} {english.noun_phrase(thing)}"
    de = f"{german.noun_phrase(subject)} {have_de} {german.noun_phrase(thing, 'acc')}"
    zh = chinese.noun_phrase(subject) + (["都"] if subject.det == "all" else [])
    zh += ["没有", noun.chinese] if negated else ["有", *chinese.noun_phrase(thing)]
    fact = {"who": subject.key, "did": "have", "what": noun.english}
    if negated:
        fact["negated"] = True
    plan = fact_clause(subject, thing)
    return render("having", en, de, zh, plan, facts=[fact])


# How old a relative may be, as a slice of the number words (13 is thirty, 16 is sixty).
LIFETIMES = {
    **dict.fromkeys(("grandmother", "grandfather"), (16, 20)),
    **dict.fromkeys(("mother", "father", "uncle", "aunt", "colleague"), (13, 18)),
    **dict.fromkeys(("son", "daughter", "nephew", "niece", "grandson", "granddaughter"), (0, 14)),
    **dict.fromkeys(("brother", "sister", "friend"), (3, 17)),
}


def number_word(s):
    return s.phrase("number")


def age(s):
    subject = s.name() if s.chance(0.6) else s.kin_of()
    while subject.noun and subject.key == "neighbour":
        subject = s.kin_of()
    youngest, oldest = LIFETIMES.get(subject.key, (0, 21))
    number = s.choose(s.lexicon.phrases["number"][youngest:oldest])
    is_en, is_de = is_word(subject)
    years_zh = list(number.chinese)
    en = f"{english.noun_phrase(subject)} {is_en} {number.english} years old"
    de = f"{german.noun_phrase(subject)} {is_de} {number.german} Jahre alt"
    fact = {"who": subject.key, "did": "be", "age": number.english}
    return render("age", en, de, [*chinese.noun_phrase(subject), *years_zh, "岁"], facts=[fact])


def price(s):
    noun = s.choose(s.lexicon.having(["buyable"]))
    subject = NP(noun, det=s.rng.choice(("this", "the")), adjectives=s.adjectives(noun, 0.4))
    number = number_word(s)
    past = s.chance(0.3)
    en = f"{english.noun_phrase(subject)} {'cost' if past else 'costs'} {number.english} crowns"
    verb = "kostete" if past else "kostet"
    de = f"{german.noun_phrase(subject)} {verb} {number.german} Kronen"
    zh = [*chinese.noun_phrase(subject), *(["当时"] if past else []), "要"]
    plan = fact_clause(subject, None)
    fact = {"what": noun.english, "did": "cost", "price": number.english}
    return render("price", en, de, [*zh, *number.chinese, "克朗"], plan, facts=[fact])


def material(s):
    made = {
        "wood": "furniture tool toy flute gate fence bridge hut box",
        "gold": "ring necklace bracelet coin medal watch comb mask",
        "silver": "ring spoon fork bracelet coin necklace tray whistle",
        "glass": "bottle jug bowl vase marble jar",
        "stone": "bridge tower wall well statue lighthouse chimney bench",
        "paper": "lantern kite bag map mask envelope",
        "leather": "belt bag jacket purse suitcase ball coat",
        "wool": "scarf pullover cap blanket carpet",
        "silk": "dress scarf shirt blouse handkerchief tent",
        "cotton": "shirt towel dress tablecloth skirt apron pillow",
        "iron": "gate pot pan hammer hook kettle axe plough",
        "clay": "jug bowl pot vase teapot cup plate",
        "plastic": "bucket comb toy broom cup ruler basket",
        "copper": "kettle pot pan coin tray bowl",
    }
    stuff = s.phrase("material")
    noun = s.choose(s.lexicon.having(made[stuff.english].split()))
    plural = s.chance(0.2)
    subject = NP(noun, det=s.rng.choice(("the", "this", "my", "her", "our")), plural=plural)
    is_en, is_de = is_word(subject)
    en = f"{english.noun_phrase(subject)} {is_en} made of {stuff.english}"
    de = f"{german.noun_phrase(subject)} {is_de} aus {stuff.german}"
    zh = [*chinese.noun_phrase(subject), "是", *stuff.chinese, "做", "的"]
    fact = {"what": noun.english, "did": "be made of", "of": stuff.english}
    return render("material", en, de, zh, facts=[fact])


def body_part(s):
    owner = s.name() if s.chance(0.6) else s.kin_of()
    part = s.phrase("body")
    noun, gender = part.german.split()
    past = s.chance(0.4)
    verb_de = "tat" if past else "tut"
    if owner.name:
        name = owner.key
        de_owner = name + ("’" if name.endswith(("s", "x", "z")) else "s")
        de = f"{de_owner} {noun} {verb_de} weh"
    else:
        article = {"m": "der", "f": "die", "n": "das"}[gender]
        de = f"{article} {noun} {german.noun_phrase(owner, 'gen')} {verb_de} weh"
        if owner.owner:
            de = f"{article} {noun} von {german.noun_phrase(owner, 'dat')} {verb_de} weh"
    en = f"{english.possessive(owner)} {part.english} {'hurt' if past else 'hurts'}"
    time = s.phrase("past") if past else None
    zh = [*chinese.noun_phrase(owner), "的", *part.chinese, "很", "疼"]
    if time:
        en += f" {time.english}"
        de = de.removesuffix(" weh") + f" {time.german} weh"
        zh = [*time.chinese, *zh]
    fact = {"who": owner.key, "did": "hurt", "what": part.english}
    return render("body", en, de, zh, facts=[fact])


def skill(s):
    """Languages, subjects and sports."""
    subject = s.person()
    third = not subject.is_plural and subject.person == 3
    en, de = english.noun_phrase(subject), german.noun_phrase(subject)
    zh = chinese.noun_phrase(subject) + (["都"] if subject.det == "all" else [])
    kind = s.rng.choice(("language", "subject", "sport"))
    thing = s.phrase(kind)
    plural, first = subject.is_plural, subject.person == 1
    if kind == "language":
        en += f" {'speaks' if third else 'speak'} {thing.english}"
        de += f" {'sprechen' if plural else 'spreche' if first else 'spricht'} {thing.german}"
        zh += ["说", *thing.chinese]
    elif kind == "subject":
        en += f" {'studies' if third else 'study'} {thing.english}"
        de += f" {'studieren' if plural else 'studiere' if first else 'studiert'} {thing.german}"
        zh += ["学", *thing.chinese]
        if s.chance(0.5):
            town = s.choose(s.lexicon.towns)
            en, de = f"{en} in {town.english}", f"{de} in {town.english}"
            zh = [*zh[:-2], "在", town.chinese, *zh[-2:]]
    else:
        time = s.phrase("habit")
        en += f" {'plays' if third else 'play'} {thing.english} {time.english}"
        verb = "spielen" if plural else "spiele" if first else "spielt"
        de += f" {verb} {time.german} {thing.german}"
        zh += [*time.chinese, *thing.chinese]
    fact = {"who": subject.key, "did": {"language": "speak", "subject": "study"}.get(kind, "play")}
    plan = doing(s, subject, fact["did"])
    return render(kind, en, de, zh, plan, facts=[fact | {"what": thing.english}])


def clock(s):
    noun = s.choose(s.lexicon.having(["event"]))
    number = s.rng.choice(s.lexicon.phrases["number"][:11])
    future = s.chance(0.4)
    time = s.phrase("future") if future else None
    subject = NP(noun)
    hour = f"at {number.english} o'clock"
    en = f"{english.noun_phrase(subject)} {'will begin' if future else 'began'} {hour}"
    de = [german.noun_phrase(subject), "wird" if future else "begann"]
    while time and time.english in (
        "soon",
        "in half an hour",
        "in three days",
        "in two weeks",
        "next summer",
        "next year",
        "next week",
        "next month",
        "next weekend",
    ):
        time = s.phrase("future")
    day = time if future else s.phrase("day")
    while not future and len(day.chinese) > 1:
        day = s.phrase("day")
    en += f" {day.english}"
    de += [day.german, "um", number.german, "Uhr", "beginnen" if future else ""]
    zh = [*chinese.noun_phrase(subject), *day.chinese, *number.chinese, "点", "开始"]
    if not future:
        zh = [
            *chinese.noun_phrase(subject),
            "是",
            *day.chinese,
            *number.chinese,
            "点",
            "开始",
            "的",
        ]
    fact = {"what": noun.english, "did": "begin", "when": hour}
    return render("clock", en, " ".join(de), zh, facts=[fact])


def birthday(s):
    subject = s.name() if s.chance(0.6) else s.kin_of()
    month = s.phrase("month")
    town = s.choose(s.lexicon.towns) if s.chance(0.5) else None
    en = f"{english.noun_phrase(subject)} was born"
    de = f"{german.noun_phrase(subject)} wurde im {month.german}"
    zh = [*chinese.noun_phrase(subject), "是", *month.chinese]
    if town:
        en, de = f"{en} in {town.english}", f"{de} in {town.english}"
        zh += ["在", town.chinese]
    fact = {"who": subject.key, "did": "be born", "when": month.english}
    if town:
        fact["where"] = town.english
    return render(
        "birth", f"{en} in {month.english}", f"{de} geboren", [*zh, "出生", "的"], facts=[fact]
    )


def seat(s):
    subject = s.person(pronouns=False)
    third = not subject.is_plural
    ordinal = s.phrase("ordinal")
    en = f"{english.noun_phrase(subject)} {'sits' if third else 'sit'} in the {ordinal.english} row"
    de = f"{german.noun_phrase(subject)} {'sitzt' if third else 'sitzen'} in der "
    zh = [*chinese.noun_phrase(subject), *(["都"] if subject.det == "all" else []), "坐在"]
    fact = {"who": subject.key, "did": "sit", "where": f"{ordinal.english} row"}
    de += f"{ordinal.german}en Reihe"
    zh += [*ordinal.chinese, "排"]
    return render("seat", en, de, zh, doing(s, subject, "sit"), facts=[fact])


def where_is(s):
    """Where a thing is: The key is on the table."""
    where = s.spot()
    nouns = s.lexicon.having(["valuable", "stationery", "reading", "message"])
    noun = s.choose(nouns)
    subject = NP(noun, det=s.rng.choice(("the", "my", "her", "his", "our")))
    clause = Clause(subject, where=where, tense=s.rng.choice(TOLD_TENSES))
    negated = s.chance(0.3)
    if negated:
        clause = clause.but(negated=True)
    return say("where-is", clause)
