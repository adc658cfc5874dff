"""The questions of the embedded world, for the lesson and its record."""

from course.question_answering.questions import read_questions


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
        questions = read_questions("world-questions", split).questions
        found[split] = [q for q in questions if unanswerable or q.answers][:count]
    return found
