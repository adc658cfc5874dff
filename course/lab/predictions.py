"""Questions before a result: asked, answered, kept, and summed up at the end of a lesson."""

import json
import os
import time

from course import exercises, runtime
from course.lab import handout, naming
from course.lab.display import BAD, GOOD, NEUTRAL, Shown, badge, box, escape, mark


def folder():
    """Where predictions are kept: one file a question."""
    return runtime.home() / "predictions"


@naming.understood
def predict(question_id, answer="?"):
    """Asks before you run: shows a question, or the reply to your answer.

    It is called like this: `predict("attention.change_one_key", "b")`.

    Args:
        question_id: the question's id.
        answer: a letter; "?" shows the question and its options.
    """
    question = naming.question(question_id)
    letters = list(question.options)
    given = str(answer).strip().lower().rstrip(").")
    options = [f"{letter}) {question.options[letter][0]}" for letter in letters]
    lines = [question.text, *options]
    if given in letters:
        right = given == question.answer
        word = "Yes." if right else "No."
        reply = f"{given}) {word} {question.options[given][1]}"
        sign, colour = mark(right), GOOD if right else BAD
        _keep(question, given)
    else:
        asked = " or ".join(f'"{letter}"' for letter in letters)
        reply = f'Put your answer in place of "{answer}": {asked}. Then run the cell again.'
        sign, colour = "", NEUTRAL
    html = "".join(f"<p style='margin:4px 0'>{escape(line)}</p>" for line in lines)
    label = f"{badge(sign, colour)} " if sign else ""
    html += f"<p style='margin:4px 0'>{label}<b>{escape(reply)}</b></p>"
    Shown("\n".join([*lines, f"{sign} {reply}".strip()]), box(colour, html)).show()


def _keep(question, given):
    """Notes an answer. The first one is the prediction: a second one knows the reply."""
    noted = load(question) or {"question": question.id, "first": given}
    noted |= {"last": given, "when": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    try:
        runtime.write_atomically(
            folder() / f"{question.id}.json", json.dumps(noted, indent=1).encode()
        )
    except OSError as error:
        print(f"Your prediction could not be kept in {folder()}: {error.strerror or error}.")


def load(question):
    """What is noted of a question, or None."""
    try:
        noted = json.loads((folder() / f"{question.id}.json").read_text(encoding="utf-8"))
        return noted if noted["first"] in question.options else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def summary(lesson):
    """What was expected and what it was, for each question of a lesson that was answered.

    Returns:
        (lines of text, HTML); ([], "") where none was answered.
    """
    answered = [(q, load(q)) for q in exercises.questions_of(lesson)]
    answered = [(question, noted["first"]) for question, noted in answered if noted]
    if not answered:
        return [], ""
    right = sum(given == question.answer for question, given in answered)
    title = f"Your predictions: {right} of {len(answered)} right at first."
    lines, html = [title], f"<p style='margin:8px 0 4px'><b>{escape(title)}</b></p>"
    for question, given in answered:
        is_right = given == question.answer
        heading, cell_id = handout.heading_of(question)
        expected, truth = question.options[given][0], question.options[question.answer][0]
        said = f"You expected: {expected}." + ("" if is_right else f" It was: {truth}.")
        said = said.replace("..", ".")
        where = f' (section "{heading}")' if heading else ""
        lines.append(f"  {mark(is_right)} {question.text} {said}{where}")
        link = f' <a href="{escape(_address(lesson, cell_id))}">{escape(heading)}</a>' * bool(where)
        html += (
            f"<p style='margin:4px 0'>{badge(mark(is_right), GOOD if is_right else BAD)} "
            f"{escape(question.text)}<br>{escape(said)}{link}</p>"
        )
    return lines, html


def _address(lesson, cell_id):
    """Where a cell is found: on Colab inside the page, elsewhere in the notebook's file."""
    if runtime.on_colab():
        return f"#scrollTo={cell_id}"
    name = os.path.basename(os.environ.get("JPY_SESSION_NAME", ""))
    file = name if name.endswith(".ipynb") else exercises.about(lesson).file
    return f"{file}#cell-id={cell_id}"
