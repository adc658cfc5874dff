"""The commands on questions: `course train question-answering`, `course answer`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from course.cli.train import recipe_from, starting


def train(
    data: Annotated[
        str,
        typer.Argument(
            help="NAME or NAME/SPLIT of a data set, SQuAD's .json, or a .csv, .tsv or .jsonl with "
            "question, context, answer, start."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The run's folder.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="A checkpoint: folder or hub name. Else random.")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="The same as DATA, to choose the checkpoint on.")
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option(help="The same, to score in the end; several times.")
    ] = None,
    articles: Annotated[
        str | None,
        typer.Option(help="Divide DATA by article instead: train/validation/test, as 36/4/8."),
    ] = None,
    check_only: Annotated[bool, typer.Option("--check", help="Only check the data.")] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of course.question_answering.Recipe: epochs=2."),
    ] = None,
    deterministic: Annotated[bool, typer.Option(help="The same bits in every run.")] = False,
):
    """Fine-tunes BERT to answer questions with a span of a text; checks the data first."""
    with starting():
        from course import question_answering

        if out is None and not check_only:
            raise ValueError("--out is missing: the folder where the run is to live.")
        recipe = recipe_from(question_answering.Recipe, setting or (), output_dir=str(out))
        splits = _splits(data, validation, test or (), articles, recipe.seed)
        for name, questions in splits.items():
            unanswered = sum(not q.answers for q in questions)
            contexts = len({q.context for q in questions})
            typer.echo(
                f"{name:16}{len(questions):7,} questions, {unanswered:,} without an answer, "
                f"{contexts:,} contexts"
            )
        if check_only:
            return
        if start is None:
            typer.echo(f"note: no --from, so a model of size {recipe.size} from random weights")
        _, scores, log = question_answering.train_question_answerer(
            recipe,
            splits,
            start,
            deterministic=deterministic,
            verbose=2,
            say=lambda line: typer.echo(f"note: {line}", err=True),
        )
    typer.echo("the best checkpoint, with 95% intervals (bootstrap over articles)")
    for split, found in scores.items():
        for name, score in found.items():
            typer.echo(f"{split:16} {name:12} {score}")
    last = log[-1]
    typer.echo(f"{last['step']} steps in {last['seconds']:.0f} s; the model is in {out / 'model'}")


def answer(
    run: Annotated[str, typer.Argument(help="A run's folder, or a checkpoint.")],
    question: Annotated[str, typer.Argument(help="The question, in quotation marks.")],
    context: Annotated[Path, typer.Option(help="A text file; - reads what is piped in.")],
    number: Annotated[int, typer.Option("--n", min=1, help="So many answers.")] = 1,
    threshold: Annotated[
        float | None,
        typer.Option(help='Say "no answer" above this difference; else the run\'s own.'),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object.")] = False,
):
    """Answers a question from a text: the answer, its probability and place, or "no answer"."""
    with starting():
        from course import question_answering
        from course.question_answering import Question

        text = _text(context)
        more = {} if threshold is None else {"threshold": threshold}
        answerer = question_answering.load_question_answerer(run, **more)
        if not question.strip():
            raise ValueError("the question is empty.")
        asked = Question("", question, text)
        predictions = answerer.predict([asked], n_best=max(number, 20))
        best = predictions.best(answerer.threshold)[0]
        chosen = predictions.answers[0][:number] if best.text else [best]
    if as_json:
        found = [a._asdict() | ({"line": _line(text, a.start)} if a.text else {}) for a in chosen]
        typer.echo(json.dumps({"question": question, "answers": found}, ensure_ascii=False))
        return
    for a in chosen:
        if not a.text:
            typer.echo(f"no answer  (probability {a.probability:.2f})")
            continue
        typer.echo(f"{a.text}  (probability {a.probability:.2f})")
        typer.echo(
            f"  line {_line(text, a.start)}, characters {a.start} to {a.end}: {_around(text, a)}"
        )


def _line(text, start):
    return text.count("\n", 0, start) + 1


def _around(text, found, width=40):
    """The answer between what stands around it, on one line."""
    before = text[max(found.start - width, 0) : found.start]
    behind = text[found.end : found.end + width]
    told = f"{before}[{text[found.start : found.end]}]{behind}"
    ends = "…" if found.start > width else "", "…" if found.end + width < len(text) else ""
    return ends[0] + " ".join(told.split()) + ends[1]


def _text(path):
    """The context, which must not be empty."""
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: byte {error.start} is not UTF-8. Save it as plain text in UTF-8."
        ) from None
    except OSError as error:
        raise ValueError(f"--context {path}: {error.strerror}.") from None
    if not text.strip():
        raise ValueError(f"--context {path}: there is no text in it.")
    return text


def _splits(source, validation, tests, articles, seed):
    """{split: questions}, with notes told on stderr."""
    from course.question_answering import split_by_title

    questions = _read(source)
    if articles is not None:
        if validation or tests:
            raise ValueError("--articles divides DATA: leave out --validation and --test.")
        parts = articles.split("/")
        if not (2 <= len(parts) <= 3 and all(part.isdecimal() and int(part) for part in parts)):
            raise ValueError(f"--articles {articles}: expected numbers, as 36/4/8.")
        names = ("train", "validation", "test")
        return split_by_title(questions, dict(zip(names, map(int, parts), strict=False)), seed)
    if validation is not None:
        splits = {"train": questions, "validation": _read(validation)}
    else:
        titles = len({q.title or q.context for q in questions})
        held_out = max(titles // 10, 1)
        if titles < 2:
            raise ValueError(
                f"{source} has one context only, and none is left to choose the checkpoint on: "
                "give --validation."
            )
        splits = split_by_title(
            questions, {"train": titles - held_out, "validation": held_out}, seed
        )
        typer.echo(f"note: no --validation, so {held_out} of {titles} articles are held out")
    return splits | {Path(name).stem if len(tests) > 1 else "test": _read(name) for name in tests}


def _read(source):
    from course import data
    from course.question_answering import read_questions

    name, _, split = str(source).partition("/")
    if name in data.names():
        there = list(data.describe(name).splits)
        read = read_questions(name, split or there[0])
    else:
        read = read_questions(source)
    for note in read.notes:
        typer.echo(f"note: {source}: {note}", err=True)
    return read.questions
