"""What a translation is worth: BLEU and chrF of sacreBLEU, with their signatures."""


def bleu(hypotheses, references, *, language="en"):
    """SacreBLEU of a whole test set.

    Args:
        hypotheses: list of detokenised strings.
        references: list of as many strings, one for each.
        language: "zh", "ja" and "ko" are divided as sacreBLEU does it for them.

    Returns:
        {"score": 0 to 100, "signature": the settings, to be given with the score}.

    Reference: Papineni et al. 2002; Post 2018, "A Call for Clarity in Reporting BLEU Scores".
    """
    from sacrebleu.metrics import BLEU

    tokenize = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}.get(language, "13a")
    return _score(BLEU(tokenize=tokenize), hypotheses, references)


def chrf(hypotheses, references):
    """chrF, an F-score of character n-grams; as `bleu`, which see. Reference: Popović 2015."""
    from sacrebleu.metrics import CHRF

    return _score(CHRF(), hypotheses, references)


def _score(metric, hypotheses, references):
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise TypeError("hypotheses and references are lists of strings; one string was given.")
    hypotheses, references = list(hypotheses), list(references)
    if len(hypotheses) != len(references) or not references:
        raise ValueError(
            f"{len(hypotheses)} hypotheses and {len(references)} references: "
            "expected as many of both, and at least one."
        )
    score = metric.corpus_score(hypotheses, [references]).score
    return {"score": float(score), "signature": str(metric.get_signature())}
