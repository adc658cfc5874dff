"""ROUGE: how much of the references' n-grams and order a summary has, by rouge-score."""

import re
import unicodedata

import numpy as np

from course.pretraining.text import sentences

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_TOKEN = re.compile(
    r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]"  # one ideograph
    r"|[\u3040-\u30ff]"  # one kana
    r"|[^\W_]+?(?=[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[\W_]|$)"  # a run of other letters
)


class CharacterTokenizer:
    """Tokens for Chinese ROUGE: each ideograph by itself, other letters and digits in words.

    rouge-score's own tokenizer keeps the letters a to z and digits alone, so of a Chinese summary
    nothing is left and each score is 0.
    """

    def tokenize(self, text):
        """A list of strings; full-width letters and digits count as the narrow ones."""
        return _TOKEN.findall(unicodedata.normalize("NFKC", text).lower())


def is_chinese(text):
    """Whether ideographs outnumber the Latin letters of a text."""
    ideographs = sum("\u3400" <= c <= "\u9fff" for c in text)
    return ideographs > sum(c.isascii() and c.isalpha() for c in text)


def scorer(language="en", *, use_stemmer=True, kinds=KINDS):
    """A `rouge_score.rouge_scorer.RougeScorer`.

    Args:
        language: "en", or another; "zh", "ja" count ideographs and need no stemmer.
        use_stemmer: whether English word endings are taken off first, as most papers do.
        kinds: of `KINDS`.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise ImportError(
            "scores of summaries need rouge-score, which is not installed: "
            'pip install "keras-transformer-course[rouge]"'
        ) from None

    if language in ("zh", "ja"):
        return RougeScorer(list(kinds), tokenizer=CharacterTokenizer())
    return RougeScorer(list(kinds), use_stemmer=use_stemmer)


def rouge_each(predictions, references, *, language="en", use_stemmer=True):
    """ROUGE of each summary by itself.

    Args:
        predictions: list of strings.
        references: as many strings, or lists of strings where there are several for each: then that
            with the largest F1 counts, for each kind of ROUGE by itself.
        language: see `scorer`.
        use_stemmer: see `scorer`.

    Returns:
        {kind: array `(texts, 3)`}: precision, recall and F1 from 0 to 1, for rouge1, rouge2, rougeL
        and rougeLsum. Before the last, texts are cut into sentences.

    Raises:
        ValueError: if there are not as many of both, or none.

    Reference: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", sections 2 and 3.
    """
    predictions, references = list(predictions), list(references)
    if len(predictions) != len(references) or not references:
        raise ValueError(
            f"{len(predictions)} summaries and {len(references)} references: expected as many of "
            "both, and at least one."
        )
    measure = scorer(language, use_stemmer=use_stemmer)
    rows = {kind: [] for kind in KINDS}
    for prediction, reference in zip(predictions, references, strict=True):
        several = [reference] if isinstance(reference, str) else list(reference)
        cut = ["\n".join(sentences(text)) for text in (prediction, *several)]
        found = measure.score_multi(cut[1:], cut[0])
        for kind in KINDS:
            score = found[kind]
            rows[kind].append((score.precision, score.recall, score.fmeasure))
    return {kind: np.array(values) for kind, values in rows.items()}


def rouge(predictions, references, *, language="en", use_stemmer=True):
    """Mean F1 of each kind of ROUGE over a test set, from 0 to 100.

    Args:
        predictions, references, language, use_stemmer: see `rouge_each`.

    Returns:
        {"rouge1", "rouge2", "rougeL", "rougeLsum"}: numbers.
    """
    settings = {"language": language, "use_stemmer": use_stemmer}
    found = rouge_each(predictions, references, **settings)
    return {kind: 100 * float(values[:, 2].mean()) for kind, values in found.items()}
