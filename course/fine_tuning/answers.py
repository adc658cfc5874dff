"""A task made of the world's questions: does this sentence hold the answer to this question?

Each question of `world-questions` has its story, and the answer's place in it. So the sentence that
holds the answer is known, and so are the sentences of the same story that do not.
"""

import numpy as np

from course import data
from course.fine_tuning.examples import Examples
from course.fine_tuning.tables import Task
from course.pretraining import sentences

LABELS = ("no", "yes")


def answer_task(train=1000, held_out=400, seed=0):
    """Questions and sentences: label 1 where the sentence holds the answer.

    Half of the pairs have label 1. A wrong sentence is of the same story and does not hold the
    answer's words either. Splits are those of the stories.

    Args:
        train, held_out: pairs for training, and of validation and of test.
        seed: which questions are drawn for training; validation and test stay as they are.

    Returns:
        A `Task`, with pairs (question, sentence).
    """
    splits = {"train": answer_pairs("train", train, seed)}
    splits |= {name: answer_pairs(name, held_out, 0) for name in ("validation", "test")}
    return Task(LABELS, splits, [])


def answer_pairs(split, count, seed):
    """So many pairs of a split, drawn under a seed, as `Examples`."""
    rows = [row for row in data.load("world-questions", split) if row["answers"]]
    rng = np.random.default_rng([seed, len(rows)])
    questions, found, labels = [], [], []
    for index in rng.permutation(len(rows)):
        if len(labels) == count:
            break
        row, label = rows[index], len(labels) % 2
        holds, others = _sorted_by_answer(row["context"], row["answers"][0])
        chosen = [holds] if label else others
        if holds is None or not others:
            continue
        questions.append(row["question"])
        found.append(chosen[rng.integers(len(chosen))])
        labels.append(label)
    return Examples(questions, labels, found)


def _sorted_by_answer(context, answer):
    """The sentence of a story that holds the answer, and those that do not hold its words."""
    holds, others, place = None, [], 0
    for sentence in sentences(context):
        place = context.index(sentence, place)
        if place <= answer["start"] < place + len(sentence):
            holds = sentence
        elif answer["text"] not in sentence:
            others.append(sentence)
        place += len(sentence)
    return holds, others
