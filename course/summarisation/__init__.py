"""Summaries in words of their own (lesson 10): the encoder-decoder of lesson 04, and its measures.

`recipe` trains and summarises, `rouge` scores, `baselines` are sentences of the text itself, and
`faithfulness` measures what a summary copies and what it invents.
"""

from course.summarisation.baselines import baselines, extractive_oracle, lead, longest_sentence
from course.summarisation.faithfulness import WorldFacts, novel_ngrams
from course.summarisation.recipe import (
    Recipe,
    Summariser,
    load_summaries,
    load_summariser,
    train_summariser,
)
from course.summarisation.rouge import CharacterTokenizer, is_chinese, rouge, rouge_each

__all__ = [
    "CharacterTokenizer",
    "Recipe",
    "Summariser",
    "WorldFacts",
    "baselines",
    "extractive_oracle",
    "is_chinese",
    "lead",
    "load_summaries",
    "load_summariser",
    "longest_sentence",
    "novel_ngrams",
    "rouge",
    "rouge_each",
    "train_summariser",
]
