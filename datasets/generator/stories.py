"""Stories told from plots, with the facts behind them and the place where each fact is told."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from .english import article
from .lexicon import TABLES, Lexicon, Name, Noun, rows

SLOT = re.compile(r"\{([^}]+)\}")
# What a plot's "use" line may ask for: nouns by tag, places by kind or by name.
PLACE_GROUPS = {
    "concert": "church theatre school castle hotel park square",
    "cool": "kitchen cellar balcony yard garden",
    "indoors": "kitchen cellar attic living_room bedroom garage",
    "farmland": "garden orchard field greenhouse",
    "craft": "workshop factory studio",
    "fair": "square park castle school market hotel stadium",
    "market": "market square harbour",
    "work": "workshop factory office mill bakery studio laboratory pharmacy farm",
    "town2kind": "park station square harbour café museum bookshop",
}
NOUN_GROUPS = {
    "bigplant": "oak birch pine willow apple_tree cherry_tree maple fir_tree lime_tree",
    "growfood": "carrot pumpkin cucumber tomato cabbage radish leek melon turnip courgette "
    "beetroot",
    "pest": "hare rabbit deer hedgehog mole goat goose badger wild_boar",
    "repairable": "bicycle pump sewing_machine clock oven cart plough radio typewriter "
    "washing_machine",
    "sellable": "statue map violin picture vase ring watch portrait flute mirror book clock",
    "farmish": "goose pig goat donkey sheep cow pony turkey duck",
    "pocket": "ring necklace bracelet watch key coin comb medal whistle compass penknife purse "
    "brooch pearl thimble notebook diary pen magnifying_glass mouth_organ wallet earring",
    "handmade": "kite puppet doll spinning_top rocking_horse puzzle toy_car mask picture flute "
    "box chair lantern",
    "luxury": "ring necklace bracelet watch camera guitar violin telescope brooch carpet",
    "travelread": "novel newspaper magazine crime_novel travel_guide comic atlas biography",
    "mending": "hammer saw screwdriver wrench drill needle file chisel plane",
    "saving": "rope net ladder shovel spade",
    "cutting": "axe saw",
    "furry": "dog cat rabbit puppy kitten hamster guinea_pig",
    "ovened": "cake tart pie pizza croissant bread_roll",
    "stirred": "cake tart pie pancake pudding",
    "fixing": "hammer saw screwdriver wrench drill file",
    "tuneful": "violin guitar flute trumpet piano harp cello clarinet accordion saxophone horn "
    "xylophone mouth_organ double_bass",
    "seat": "bench table chair stool",
    "lost": "handbag briefcase basket suitcase bag rucksack crate sack box",
    "keepsake": "ring necklace bracelet watch brooch pearl medal comb key",
    "portable": "violin guitar flute trumpet drum accordion mouth_organ clarinet horn",
    "mail": "letter postcard telegram invitation note",
    "baked": "cake tart pie omelette pudding pancake",
}
# Plots in which the hero has an animal, so that asking for a pet has an answer of sorts.
OWN_ANIMAL = ("bargain", "rescue", "guest", "mystery")
# Nobody who cannot live without a goat takes it to market.
WITHOUT_PET = {
    "{hero.He} loved {hero.food} and could not live without {hero.pet}.": "{hero.He} loved "
    "{hero.food} and could not live without music.",
    "{hero.He} owned {hero.pet} that followed {hero.him} everywhere.": "{hero.He} owned little "
    "and wanted little.",
    "{hero.He} lived alone with {hero.pet}.": "{hero.He} lived alone.",
}
# Plots that speak of two people before the hero is described: "he" would be anybody.
TWO_AT_ONCE = ("quarrel", "mystery", "guest")
# Adjectives that a plot would contradict or that would sound odd in it.
UNTOLD = "broken empty rotten dirty wet hot cheap expensive useful strange".split()
# Traits and flaws that nobody has at once.
OPPOSITES = (
    {"patient", "impatient"},
    {"proud", "vain", "modest"},
    {"cheerful", "grumpy"},
    {"brave", "cautious"},
    {"shy", "talkative", "noisy"},
    {"generous", "thrifty"},
    {"restless", "dreamy"},
)
# Endings in which the hero is alone: nothing is said there about the two of them.
ALONE = {
    "letter B",
    "guest B",
    "honest A",
    "honest B",
    "bargain A",
    "bargain B",
    "new-job B",
    "lost-thing B",
    "storm B",
}
CRAFTS = (
    "baker carpenter cook gardener tailor potter weaver shoemaker watchmaker smith roofer "
    "painter bricklayer goldsmith florist hairdresser photographer"
).split()
NOT_IN_STORIES = ("cave", "street", "courtroom", "swamp", "desert", "city", "village")
UNSTATED = {
    "age": ("how-old", "How old was {hero}?"),
    "food": ("what", "What did {hero} like to eat most?"),
    "pet": ("what", "What animal did {hero} own?"),
    "job": ("what", "What was {hero}'s occupation?"),
    "town": ("where", "Where did {hero} live?"),
    "hobby": ("what", "What did {hero} do in {hero.his} free time?"),
}
STATED = {
    "age": ("how-old", "How old was {hero}?", "hero.age"),
    "job": ("what", "What was {hero}'s occupation?", "hero.ajob"),
    "town": ("where", "Where did {hero} live?", "hero.town"),
    "helper": ("what", "What was {helper}'s occupation?", "helper.ajob"),
}


@dataclass
class Person:
    """A character. Sex and occupation are drawn independently, so neither predicts the other."""

    name: Name
    job: str
    town: str
    traits: dict[str, str]

    def get(self, attribute: str) -> str:
        male = self.name.gender == "m"
        forms = {
            "he": "he" if male else "she",
            "him": "him" if male else "her",
            "his": "his" if male else "her",
            "job": self.job,
            "ajob": f"{article(self.job)} {self.job}",
            "town": self.town,
            "the_trait": f"the {self.traits['trait']}",
        }
        return forms.get(attribute) or self.traits[attribute]

    def facts(self) -> dict[str, str]:
        return {
            "name": self.name.english,
            "gender": "male" if self.name.gender == "m" else "female",
            "occupation": self.job,
            "home": self.town,
            **{key: self.traits[key] for key in ("age", "trait", "food", "pet", "hobby")},
        }


@dataclass
class Plot:
    """A plot as the table has it."""

    name: str
    use: dict[str, str] = field(default_factory=dict)
    titles: list[str] = field(default_factory=list)
    steps: list[tuple[str, bool, list[str]]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    questions: list[tuple[str, str, str, str]] = field(default_factory=list)
    summaries: list[tuple[str, list[str]]] = field(default_factory=list)


@dataclass
class Story:
    """A told story: the text, its facts, and everything the other views need."""

    plot: Plot
    ending: str
    title: str
    text: str
    facts: dict
    spans: dict[str, tuple[int, int]]
    teller: Teller


def ending_of(text: str) -> tuple[str, str]:
    """Splits "A) text" into the ending and the text."""
    return (text[0], text[3:]) if re.match(r"[AB]\) ", text) else ("", text)


def read_plots() -> list[Plot]:
    plots: list[Plot] = []
    for line in (TABLES / "plots.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("["):
            plots.append(Plot(line.strip("[]")))
            continue
        plot = plots[-1]
        if line.startswith("use "):
            plot.use = dict(item.split("=") for item in line[4:].split())
        elif line.startswith("T "):
            plot.titles = line[2:].split(" / ")
        elif line.startswith("F "):
            plot.facts.append(ending_of(line[2:]))
        elif line.startswith("S "):
            ending, text = ending_of(line[2:])
            plot.summaries.append((ending, text.split(" / ")))
        elif line.startswith("Q "):
            ending, text = ending_of(line[2:])
            kind, rest = text.split(": ", 1)
            question, slot = rest.rsplit(" = ", 1)
            plot.questions.append((ending, kind, question, slot))
        else:
            optional = line.startswith("? ")
            ending, text = ending_of(line.removeprefix("? "))
            plot.steps.append((ending, optional, text.split(" / ")))
    return plots


def read_words() -> dict[str, list[str]]:
    words = {}
    for line in (TABLES / "story_words.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, values = line.split(": ", 1)
            words[name] = values.split("; ")
    return words


class Library:
    """Plots, openings and slot words, read once."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.plots = read_plots()
        self.words = read_words()
        self.ages = dict(NUMBERS)
        self.openings: dict[str, list[str]] = {}
        for (section, *_), cells in rows("openings"):
            self.openings.setdefault(section, []).append(cells[0])
        self.jobs = [n.english for n in lexicon.having(["job"]) if n.english not in GENDERED]


TENS = {"twenty": 20, "thirty": 30, "forty": 40}
UNITS = dict(enumerate("one two three four five six seven eight nine".split(), 1))
NUMBERS = {word: n for n, word in UNITS.items()} | TENS
NUMBERS |= {"ten": 10, "twelve": 12, "fifteen": 15, "nineteen": 19}
NUMBERS |= {f"{ten}-{word}": n + unit for ten, n in TENS.items() for unit, word in UNITS.items()}
# Not drawn as occupations: words with a sex, or things one is rather than works as.
GENDERED = frozenset(
    "policeman postman fisherman midwife monk waiter referee spy student knight cyclist mayor "
    "nurse".split()
) | {"chess player"}


class Teller:
    """Fills the slots of one story and remembers where in the text each was told."""

    def __init__(self, library: Library, plot: Plot, rng: random.Random) -> None:
        self.library, self.plot, self.rng = library, plot, rng
        self.values: dict[str, object] = {}
        self.adjectives: dict[str, str] = {}
        self.people: dict[str, Person] = {}
        lexicon = library.lexicon
        names = rng.sample(lexicon.names, 4)
        towns = [town.english for town in rng.sample(lexicon.towns, 6)]
        jobs = rng.sample(library.jobs, 4)
        traits = {
            key: rng.sample(library.words[key], 4)
            for key in ("age", "trait", "flaw", "food", "pet", "hobby")
        }
        self.values["town"], self.values["town2"], self.values["origin"] = towns[0], *towns[4:6]
        for number, role in enumerate(("hero", "helper", "third", "fourth")):
            home = towns[0] if role == "hero" else towns[number]
            own = {key: values[number] for key, values in traits.items()}
            own["flaw"] = next(f for f in library.words["flaw"] if self.goes(own["trait"], f))
            if self.goes(own["trait"], traits["flaw"][number]):
                own["flaw"] = traits["flaw"][number]
            self.people[role] = Person(names[number], jobs[number], home, own)
        for slot, group in plot.use.items():
            if slot == "season":
                self.values[slot] = group
            elif slot == "job":
                self.people["hero"].job, self.people["helper"].job = rng.sample(CRAFTS, 2)
            else:
                self.values[slot] = self.draw(group)
        self.used: set[str] = set()
        self.ending = ""
        self.spans: dict[str, tuple[int, int]] = {}

    @staticmethod
    def goes(trait: str, flaw: str) -> bool:
        """Whether one person may be said to be both."""
        return trait != flaw and not any({trait, flaw} <= both for both in OPPOSITES)

    def possible(self, name: str) -> list[str]:
        """The words for a slot that the story allows: nobody is a baker before birth."""
        words = self.library.words[name]
        if name == "years":
            youth = self.library.ages[self.people["hero"].traits["age"]]
            words = [word for word in words if self.library.ages[word] <= max(youth - 15, 5)]
        if name == "sup" and "season" in self.plot.use | self.values:
            wrong = {"winter": "hottest", "summer": "coldest"}.get(self.word("season"))
            words = [word for word in words if word != wrong]
        return words

    def draw(self, group: str):
        """A noun or a place of the group, different from those already drawn."""
        lexicon = self.library.lexicon
        if group in ("town", "home", "wild", "work", *PLACE_GROUPS):
            names = PLACE_GROUPS.get(group, "").split()
            options = [
                p
                for p in lexicon.places
                if (p.noun.english.replace(" ", "_") in names if names else p.kind == group)
                and p.noun.english not in NOT_IN_STORIES
            ]
        else:
            options = lexicon.having(NOUN_GROUPS.get(group, group).split())
            options = [n for n in options if not n.tags & {"mental", "event"}]
        taken = list(self.values.values())
        return self.rng.choice([option for option in options if option not in taken])

    def word(self, name: str) -> str:
        """A slot word, drawn once a story."""
        if name not in self.values:
            if name == "weather":
                return self.word(self.word("season"))
            self.values[name] = self.rng.choice(self.possible(name))
        return self.values[name]

    def adjective(self, slot: str) -> str:
        if slot not in self.adjectives:
            noun = self.values[slot]
            known = [
                a.english
                for a in self.library.lexicon.adjectives_of.get(noun, ())
                if a.english not in UNTOLD
            ]
            self.adjectives[slot] = self.rng.choice(known) if known else "old"
        return self.adjectives[slot]

    def value(self, expression: str) -> str:
        """The words for one slot: {hero.his}, {a.thing}, {in.place}, {day}."""
        first, _, rest = expression.partition(".")
        if first in self.people:
            person = self.people[first]
            return person.get(rest) if rest else person.name.english
        if not rest:
            if first in self.plot.use and first != "season":
                value = self.values[first]
                return value.english if isinstance(value, Noun) else value.noun.english
            return self.word(first)
        if first == "a" and rest == "season":
            season = self.word("season")
            return f"{article(season)} {season}"
        value = self.values[rest]
        if first in ("in", "to", "the"):
            name = f"the {value.noun.english}"
            return {"in": f"{value.english} {name}", "to": f"to {name}", "the": name}[first]
        if first == "adj":
            return self.adjective(rest)
        if first == "plural":
            return value.english_plural
        phrase = f"{self.adjective(rest)} {value.english}" if first == "a" else value.english
        return f"{article(phrase)} {phrase}"

    def fill(self, template: str, text: str = "", spans: dict | None = None) -> str:
        """``text`` continued by the template; the first place of each slot goes to ``spans``."""
        position = 0
        for match in SLOT.finditer(template):
            text += template[position : match.start()]
            expression = match.group(1)
            parts = expression.split(".")
            capital = parts[0][0].isupper() or parts[-1][0].isupper()
            plain = ".".join(part[0].lower() + part[1:] for part in parts)
            value = self.value(plain)
            if capital or re.search(r"(^|[.!?] |\.” |“)$", text):
                value = value[0].upper() + value[1:]
            if spans is not None:
                self.mark(plain, len(text), len(text) + len(value), spans)
            text += value
            position = match.end()
        return text + template[position:]

    def mark(self, expression: str, start: int, end: int, spans: dict) -> None:
        spans.setdefault(expression, (start, end))
        first, _, rest = expression.partition(".")
        if first in ("in", "to") and rest:
            spans.setdefault(f"the.{rest}", (end - len(self.value(f"the.{rest}")), end))

    def step(self, template: str) -> str:
        """A step of the plot, or a line of the openings it asks for."""
        match = re.fullmatch(r"\{@(\w+)\}", template)
        if not match:
            return template
        name = match.group(1)
        if name == "mood2":
            return self.word("mood2")
        options = [o for o in self.library.openings[name] if o not in self.used]
        together = f"{self.plot.name} {self.ending}" not in ALONE
        if name == "end" and not together:
            options = [o for o in options if "{helper" not in o and "they " not in o]
        if "hero.the_trait" in self.spans:
            options = [o for o in options if "{hero.trait}" not in o]
        if name == "end" and not {"town", "hero.town"} & set(self.spans):
            options = [o for o in options if "{town}" not in o]
        chosen = self.rng.choice(options)
        self.used.add(chosen)
        if self.plot.name == "bargain":
            chosen = WITHOUT_PET.get(chosen, chosen)
        if name == "about" and self.plot.name in TWO_AT_ONCE:
            chosen = re.sub(r"^\{hero\.His\}", "{hero}'s", chosen)
            chosen = re.sub(r"^\{hero\.He\}", "{hero}", chosen)
        return chosen

    def tell(self) -> Story:
        self.ending = ending = self.rng.choice("AB")
        text = ""
        self.spans = spans = {}
        for own_ending, optional, alternatives in self.plot.steps:
            if own_ending not in ("", ending) or (optional and self.rng.random() < 0.4):
                continue
            template = self.step(self.rng.choice(alternatives).replace("{@mood2}", "{mood2}"))
            text = self.fill(template, text + " " if text else "", spans)
        title = self.fill(self.rng.choice(self.plot.titles))
        roles = [role for role in self.people if role in spans]
        facts = {
            "plot": self.plot.name,
            "ending": ending,
            "people": [self.people[role].facts() | {"role": role} for role in roles],
            "events": [self.fact(fact) for own, fact in self.plot.facts if own in ("", ending)],
        }
        return Story(self.plot, ending, title, text, facts, spans, self)

    def fact(self, template: str) -> dict[str, str]:
        found = {}
        for key, value in re.findall(r"(\w+)=(.*?)(?= \w+=|$)", template):
            names = []
            for part in value.split("+"):
                known = part in self.people or part in self.values
                known = known or (key != "did" and part in self.library.words)
                names.append(self.value(part) if known and key != "did" else part)
            found[key] = " and ".join(names)
        return found


def questions(story: Story) -> list[dict]:
    """Questions with their answers' offsets; some have no answer in the text."""
    teller, rng = story.teller, story.teller.rng
    asked = []
    for ending, kind, template, slot in story.plot.questions:
        if ending in ("", story.ending) and slot in story.spans:
            asked.append((kind, template, slot))
    rng.shuffle(asked)
    asked = asked[:3]
    for name, (kind, template, slot) in STATED.items():
        moved = name == "town" and story.plot.name == "new-job"  # home is what one leaves there
        if slot in story.spans and not moved and rng.random() < 0.3:
            asked.append((kind, template, slot))
    found = []
    for kind, template, slot in asked:
        start, end = story.spans[slot]
        answer = {"text": story.text[start:end], "start": start}
        found.append({"question": teller.fill(template), "answers": [answer], "kind": kind})
    for name, (_, template) in UNSTATED.items():
        told = any(f"hero.{form}" in story.spans for form in (name, f"a{name}"))
        told = told or (name == "town" and ("town" in story.spans or "hero.town" in story.spans))
        told = told or (name == "pet" and story.plot.name in OWN_ANIMAL)
        if not told and rng.random() < 0.25:
            question = teller.fill(template)
            found.append({"question": question, "answers": [], "kind": "unanswerable"})
    return found


def summary(story: Story) -> str:
    own = [options for ending, options in story.plot.summaries if ending in ("", story.ending)]
    return story.teller.fill(story.teller.rng.choice(own[0]))


def make_stories(seed: int, lexicon: Lexicon, count: int) -> list[Story]:
    """``count`` different stories; plots take turns."""
    rng = random.Random(f"{seed}/stories")
    library = Library(lexicon)
    stories: list[Story] = []
    seen = set()
    while len(stories) < count:
        plot = library.plots[len(stories) % len(library.plots)]
        story = Teller(library, plot, rng).tell()
        if story.text not in seen:
            seen.add(story.text)
            stories.append(story)
    rng.shuffle(stories)
    return stories
