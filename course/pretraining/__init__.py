"""BERT, and how it learns from text alone (lesson 07).

"BERT: Pre-training of Deep Bidirectional Transformers", Devlin et al. 2019: `encoder` has the model
of section 3, `heads` the two tasks of section 3.1, `masking` and `examples` the data of each,
`text` where it comes from, `recipe` a whole run (appendix A.2). What keeps a run alive is in
`course.training`; weights go out and in through `course.checkpoints`.
"""

from course.pretraining.encoder import OFFICIAL, BertEncoder
from course.pretraining.examples import Pairs, PretrainingBatches, draw_pairs
from course.pretraining.heads import BertForPretraining, MaskedLanguageModel, NextSentence
from course.pretraining.masking import Masking
from course.pretraining.recipe import (
    Recipe,
    fill_mask,
    load_pretrained,
    pretrain,
    recipe_of_start,
    world_bert,
)
from course.pretraining.text import Corpus, documents, sentences

__all__ = [
    "OFFICIAL",
    "BertEncoder",
    "BertForPretraining",
    "Corpus",
    "MaskedLanguageModel",
    "Masking",
    "NextSentence",
    "Pairs",
    "PretrainingBatches",
    "Recipe",
    "documents",
    "draw_pairs",
    "fill_mask",
    "load_pretrained",
    "pretrain",
    "recipe_of_start",
    "sentences",
    "world_bert",
]
