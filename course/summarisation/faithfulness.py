"""What a summary copies, and what it invents."""

import re
from collections import Counter

from course.summarisation.rouge import CharacterTokenizer


def novel_ngrams(document, summary, n=2):
    """The share of a summary's n-grams that its document does not have.

    Args:
        document, summary: strings; tokens are lower-case words, and ideographs by themselves.
        n: words of an n-gram.

    Returns:
        A number from 0 (all copied) to 1; 0 for a summary with no n-gram.

    Reference: See et al. 2017, "Get To The Point", section 7.2.
    """
    tokenizer = CharacterTokenizer()
    there, found = (_ngrams(tokenizer.tokenize(text), n) for text in (document, summary))
    if not found:
        return 0.0
    return sum(gram not in there for gram in found) / len(found)


def _ngrams(tokens, n):
    """The n-grams of a list, in order, repeated ones too."""
    return list(zip(*(tokens[i:] for i in range(n)), strict=False))


KINDS = ("name", "home", "occupation", "food", "pet", "hobby")  # of a person of the world


class WorldFacts:
    """The names and things of the embedded world, and which of them each story has.

    Args:
        stories: rows of "world-stories", whose "facts" hold people and events. The names and things
            of all of them are looked for in summaries.
    """

    def __init__(self, stories):
        self.kinds, self.of_story = {}, {}
        for row in stories:
            pairs = list(_entities(row["facts"]))
            self.kinds.update({text.lower(): kind for text, kind in pairs})
            self.of_story[row["id"]] = {text.lower() for text, _ in pairs}
        longest_first = sorted(self.kinds, key=lambda text: (-len(text), text))
        self._any = re.compile(
            r"(?<!\w)(" + "|".join(map(re.escape, longest_first)) + r")(?!\w)", re.IGNORECASE
        )

    def mentions(self, text):
        """The names and things of the world in a text: a list of (text, kind)."""
        found = (match[1].lower() for match in self._any.finditer(text))
        return [(each, self.kinds[each]) for each in found]

    def check(self, summary, document, story_id):
        """Sorts what a summary mentions.

        Args:
            summary, document: strings.
            story_id: of the story behind the document.

        Returns:
            {"supported": [...], "invented": [...]}, lists of (text, kind): what the story's facts
            or its text have, and what neither has.

        Raises:
            KeyError: if the story is not among those that were given.
        """
        if story_id not in self.of_story:
            raise KeyError(f"no facts of a story {story_id!r}: pass the rows of its split too.")
        known = self.of_story[story_id] | {text for text, _ in self.mentions(document)}
        sorted_out = {"supported": [], "invented": []}
        for text, kind in dict.fromkeys(self.mentions(summary)):
            sorted_out["supported" if text in known else "invented"].append((text, kind))
        return sorted_out

    def rates(self, summaries, documents, story_ids):
        """What many summaries invent.

        Args:
            summaries, documents, story_ids: lists of equal length.

        Returns:
            {"mentions": in all, "invented": in all, "share": of the mentions that are invented,
            "summaries": the share of summaries that invent something, "by kind": {kind: count}}.
        """
        kinds, total, having = Counter(), 0, 0
        rows = list(zip(summaries, documents, story_ids, strict=True))
        for row in rows:
            found = self.check(*row)
            total += len(found["supported"]) + len(found["invented"])
            having += bool(found["invented"])
            kinds.update(kind for _, kind in found["invented"])
        return {
            "mentions": total,
            "invented": sum(kinds.values()),
            "share": sum(kinds.values()) / max(total, 1),
            "summaries": having / max(len(rows), 1),
            "by kind": dict(sorted(kinds.items())),
        }


def _entities(facts):
    """The (text, kind) pairs of a story's facts; of a text with two kinds the last counts."""
    for event in facts["events"]:
        for key, kind in (("what", "thing"), ("where", "place"), ("when", "day")):
            if isinstance(event.get(key), str):
                yield event[key], kind
    for person in facts["people"]:
        for kind in KINDS:
            if person.get(kind):
                yield person[kind], kind
