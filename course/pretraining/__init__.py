"""BERT, and how it learns from text alone (lesson 07).

"BERT: Pre-training of Deep Bidirectional Transformers", Devlin et al. 2019: `encoder` has the model
of section 3, `heads` the two tasks of section 3.1 that it is pretrained on.
"""

from course.pretraining.encoder import OFFICIAL, BertEncoder
from course.pretraining.heads import BertForPretraining, MaskedLanguageModel, NextSentence

__all__ = [
    "OFFICIAL",
    "BertEncoder",
    "BertForPretraining",
    "MaskedLanguageModel",
    "NextSentence",
]
