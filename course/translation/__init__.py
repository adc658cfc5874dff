"""Teaching a Transformer to translate (lesson 05).

"Attention Is All You Need", Vaswani et al. 2017, section 5: `loss` has label smoothing and what
trains with it (5.4), `pairs` sentences by name, `recipe` a whole run (5.1 to 5.3), `translator` a
trained model, `evaluation` BLEU and chrF (6.1). The schedules and what keeps a run alive are in
`course.training`.
"""

from course.training import InverseSquareRoot, WarmupLinear
from course.translation.evaluation import bleu, chrf
from course.translation.loss import TeacherForcing, label_smoothed_loss, masked_accuracy
from course.translation.own_pairs import read_pairs, split_pairs
from course.translation.pairs import load_pairs
from course.translation.recipe import (
    Recipe,
    load_translator,
    pair_batches,
    train_translator,
)
from course.translation.translator import Translator, export_translator, translate

__all__ = [
    "InverseSquareRoot",
    "Recipe",
    "TeacherForcing",
    "Translator",
    "WarmupLinear",
    "bleu",
    "chrf",
    "export_translator",
    "label_smoothed_loss",
    "load_pairs",
    "load_translator",
    "masked_accuracy",
    "pair_batches",
    "read_pairs",
    "split_pairs",
    "train_translator",
    "translate",
]
