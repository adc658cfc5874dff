"""Fine-tuning BERT to sort texts, or pairs of texts, into classes (lesson 08).

"BERT: Pre-training of Deep Bidirectional Transformers", Devlin et al. 2019, section 4.1 and
appendix A.3: `classifier` has the model, `examples` its batches, `tables` the data and what is
wrong with it, `recipe` the classic recipe and a whole run, `metrics` what answers are worth,
`inference` a trained model.
"""

from course.fine_tuning.classifier import BertClassifier
from course.fine_tuning.examples import ExampleBatches, Examples, encode
from course.fine_tuning.inference import (
    Classifier,
    Prediction,
    export_classifier,
    load_classifier,
)
from course.fine_tuning.metrics import Figure, confusion_matrix, scores
from course.fine_tuning.recipe import Recipe, train_classifier
from course.fine_tuning.tables import Task, drop_seen, read_task
from course.training import WarmupLinear
from course.training.optimizers import adamw

__all__ = [
    "BertClassifier",
    "Classifier",
    "ExampleBatches",
    "Examples",
    "Figure",
    "Prediction",
    "Recipe",
    "Task",
    "WarmupLinear",
    "adamw",
    "confusion_matrix",
    "drop_seen",
    "encode",
    "export_classifier",
    "load_classifier",
    "read_task",
    "scores",
    "train_classifier",
]
