"""Reads a lesson's words: titles, sentences for mistakes, hints, questions.

They stand in `exercises/NAME/text.toml` beside the probes, so that they can be read in one go and
translated. Every mistake that a judge can name must have its sentence here.
"""

import functools
import tomllib
from pathlib import Path

from course.checks.declaration import Exercise, Lesson, Question

EXERCISES = Path(__file__).parent.parent / "exercises"


@functools.cache
def read(name):
    """The words of a lesson, as the dict of its TOML file."""
    with open(EXERCISES / name / "text.toml", "rb") as file:
        return tomllib.load(file)


def lesson(name):
    """The `Lesson` of the table [lesson]."""
    return Lesson(name=name, **read(name)["lesson"])


def exercise(exercise_id, *, defines, probes, may_not_call=(), also=()):
    """An `Exercise` with its words from the lesson's TOML file.

    Args:
        exercise_id: "lesson.name"; the words are in the table [name].
        defines, probes, may_not_call: see `Exercise`.
        also: mistakes that a judge of its own names, beside the suspects of `Match` judges.

    Raises:
        KeyError: if a mistake that a probe can name has no sentence.
    """
    name, _, key = exercise_id.partition(".")
    words = read(name)
    sentences = words.get("mistakes", {}) | words[key].get("mistakes", {})
    named = [m for probe in probes for m in getattr(probe.judge, "names", ())]
    named += [mistake for probe in probes for mistake in probe.raises]
    named = list(dict.fromkeys([*named, *also]))
    missing = [mistake for mistake in named if mistake not in sentences]
    if missing:
        raise KeyError(
            f"exercises/{name}/text.toml has no sentence for {', '.join(missing)} of {exercise_id}"
        )
    return Exercise(
        id=exercise_id,
        title=words[key]["title"],
        defines=defines,
        minutes=words[key]["minutes"],
        probes=tuple(probes),
        mistakes={mistake: sentences[mistake] for mistake in named},
        may_not_call=tuple(may_not_call),
        hints=tuple(words[key].get("hints", ())),
    )


def questions(name):
    """The `Question`s of the tables [questions.*]."""
    return tuple(
        Question(
            id=f"{name}.{key}",
            text=table["text"],
            options={
                letter: (option["option"], option["reply"])
                for letter, option in table.items()
                if isinstance(option, dict)
            },
            answer=table["answer"],
        )
        for key, table in read(name).get("questions", {}).items()
    )
