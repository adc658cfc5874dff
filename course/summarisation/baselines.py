"""What a summary is measured against: sentences of the text itself, and the best of them."""

from course.pretraining.text import sentences
from course.summarisation.rouge import scorer


def lead(text, count=1):
    """The first sentences: what a newspaper's editor would leave.

    Args:
        text: a string.
        count: how many sentences.
    """
    return " ".join(sentences(text)[:count])


def longest_sentence(text):
    """The sentence with the most characters, the first of those; "" for an empty text."""
    return max(sentences(text), key=len, default="")


def extractive_oracle(text, reference, *, count=3, language="en"):
    """The sentences that a reader of the reference would choose: what extraction can reach.

    Sentences are added one by one, each time that which raises ROUGE-1 plus ROUGE-2 most, until
    none does; they stand in the order of the text.

    Args:
        text: a string.
        reference: the summary.
        count: the most sentences.
        language: see `rouge.scorer`.

    Returns:
        A string.

    Reference: Nallapati et al. 2017, "SummaRuNNer", section 2.1.
    """
    measure, found = scorer(language, kinds=("rouge1", "rouge2")), sentences(text)

    def worth(chosen):
        scores = measure.score(reference, " ".join(found[i] for i in sorted(chosen)))
        return sum(score.fmeasure for score in scores.values())

    chosen, best = [], 0.0
    while len(chosen) < min(count, len(found)):
        rest = [i for i in range(len(found)) if i not in chosen]
        value, added = max(((worth([*chosen, i]), i) for i in rest), key=lambda pair: pair[0])
        if value <= best:
            break
        chosen, best = [*chosen, added], value
    return " ".join(found[i] for i in sorted(chosen))


def baselines(documents, references, *, language="en"):
    """Every baseline's summaries.

    Args:
        documents: list of strings.
        references: list of as many strings, for the oracle; of several references the first counts.
        language: see `rouge.scorer`.

    Returns:
        {name: list of strings}: "lead-1", "lead-3", "longest sentence", "extractive oracle".
    """
    firsts = [each if isinstance(each, str) else each[0] for each in references]
    return {
        "lead-1": [lead(text) for text in documents],
        "lead-3": [lead(text, 3) for text in documents],
        "longest sentence": [longest_sentence(text) for text in documents],
        "extractive oracle": [
            extractive_oracle(text, reference, language=language)
            for text, reference in zip(documents, firsts, strict=True)
        ],
    }
