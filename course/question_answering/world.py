"""The questions of the embedded world, for the lesson and its record."""

from dataclasses import replace
from itertools import islice

from course import data
from course.pretraining import sentences
from course.question_answering.questions import AnswerText, Question


def world_questions(train=None, held_out=None, *, unanswerable=True):
    """`world-questions` in its three splits, the first rows of each.

    Args:
        train, held_out: questions of training, and of validation and of test; all if None.
        unanswerable: whether those without an answer are kept.

    Returns:
        {"train", "validation", "test"}: lists of `Question`s.
    """
    found = {}
    for split, count in (("train", train), ("validation", held_out), ("test", held_out)):
        rows = data.stream("world-questions", split)
        some = islice((row for row in rows if unanswerable or row["answers"]), count)
        found[split] = [
            Question(
                row["id"],
                row["question"],
                row["context"],
                tuple(AnswerText(**answer) for answer in row["answers"]),
                row["story_id"],
                row["kind"],
            )
            for row in some
        ]
    return found


def in_one_sentence(questions):
    """The questions that have an answer, each with only the sentence that holds it as context."""
    found = []
    for question in questions:
        place = 0
        for sentence in sentences(question.context) if question.answers else ():
            place = question.context.index(sentence, place)
            start, text = question.answers[0].start - place, question.answers[0].text
            if start >= 0 and sentence.startswith(text, start):
                answers = (AnswerText(text, start),)
                found.append(replace(question, context=sentence, answers=answers))
                break
            place += len(sentence)
    return found
