"""Answering questions with a span of a text (lesson 09).

"BERT: Pre-training of Deep Bidirectional Transformers", Devlin et al. 2019, sections 4.2 and 4.3:
`model` has the two vectors over BERT, `spans` the way from characters to tokens, `windows` long
texts, `selection` the best span, `metrics` exact match and F1, `questions` the files, `recipe` a
whole run, `inference` a trained model.
"""

from course.question_answering.inference import Answer, QuestionAnswerer, load_question_answerer
from course.question_answering.metrics import (
    Score,
    best_threshold,
    exact_match,
    f1_score,
    normalize_answer,
    scores,
)
from course.question_answering.model import BertForQuestionAnswering
from course.question_answering.questions import Question, read_questions, split_by_title
from course.question_answering.recipe import Recipe, train_question_answerer
from course.question_answering.selection import best_spans, merge_windows
from course.question_answering.spans import alignment, token_spans
from course.question_answering.windows import WindowBatches, Windows, make_windows

__all__ = [
    "Answer",
    "BertForQuestionAnswering",
    "Question",
    "QuestionAnswerer",
    "Recipe",
    "Score",
    "WindowBatches",
    "Windows",
    "alignment",
    "best_spans",
    "best_threshold",
    "exact_match",
    "f1_score",
    "load_question_answerer",
    "make_windows",
    "merge_windows",
    "normalize_answer",
    "read_questions",
    "scores",
    "split_by_title",
    "token_spans",
    "train_question_answerer",
]
