"""The command `course`. Each command imports what it needs when it runs."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Keras Transformer Course: check answers, grade a class, build lessons, see the data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="The named data sets of the course.", no_args_is_help=True)
app.add_typer(data_app, name="data")
train_app = typer.Typer(
    help="Trains a model; run again, it goes on where it was.", no_args_is_help=True
)
app.add_typer(train_app, name="train")

Lessons = Annotated[
    list[str] | None, typer.Argument(help='Names or numbers ("attention", "02"); all if none.')
]


def _stop(message):
    """Ends the command with a message on stderr and exit code 2."""
    typer.echo(f"course: {message}", err=True)
    raise typer.Exit(2)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A notebook, or a .py of answers.")],
    lesson: Annotated[str | None, typer.Option(help="The lesson; found from the file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one list of objects.")] = False,
):
    """Puts the public checks to the exercises in FILE. Exit code 0 only if all pass."""
    from course.grading import GradingError, check_file

    try:
        reports = check_file(file, lesson=lesson)
    except GradingError as error:
        _stop(error)
    if as_json:
        typer.echo(json.dumps([report.as_json() for report in reports], indent=1))
    else:
        from course.lab.checks import show_report

        for report in reports:
            typer.echo(f"{show_report(report).text}\n")
        earned = sum(report.points for report in reports)
        possible = sum(report.max_points for report in reports)
        typer.echo(f"{earned:g} of {possible:g} points in the public checks")
    raise typer.Exit(0 if all(report.passed for report in reports) else 1)


@app.command()
def grade(
    submissions: Annotated[
        Path, typer.Argument(help="SUBMISSIONS/<student>/<notebook>.ipynb, or a platform's zip.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for grades.csv, feedback/ and records/.")],
    seed: Annotated[int | None, typer.Option(help="Seed of the inputs; else a secret.")] = None,
    lesson: Annotated[str | None, typer.Option(help="Grade this lesson only.")] = None,
    assignment: Annotated[Path | None, typer.Option(help="assignment.toml of a release.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Submissions at a time; cores if none.")] = None,
    weak_sandbox: Annotated[
        bool, typer.Option("--weak-sandbox", help="Where nothing better is: trust submissions.")
    ] = False,
):
    """Grades a folder of submissions. Killed and run again, it goes on where it was."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    from course import grading

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())  # with the time left
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("grading", total=None)

        def progress(done, total, record):
            bar.update(task, completed=done, total=total)

        try:
            summary = grading.grade(
                submissions,
                out,
                lesson=lesson,
                seed=seed,
                jobs=jobs,
                progress=progress,
                assignment=assignment,
                weak_sandbox=weak_sandbox,
            )
        except grading.GradingError as error:
            bar.stop()
            _stop(error)
    typer.echo(str(summary))


@app.command()
def build(
    lessons: Lessons = None,
    check_only: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail if anything is out of step.")
    ] = False,
    root: Annotated[Path, typer.Option(help="The course's folder.")] = Path(),
):
    """Builds lessons/ and solutions/ notebooks from solutions/*.py."""
    try:
        from course import authoring
        from course.authoring import AuthoringError
    except ImportError as error:
        _stop(f'{error}. Install the tools: pip install "keras-transformer-course[instructor]"')
    if check_only:
        findings = authoring.check(root, lessons)
        for finding in findings:
            typer.echo(str(finding))
        if findings:
            typer.echo(f"{len(findings)} out of step: run `course build`")
            raise typer.Exit(1)
        typer.echo("all in step")
        return
    try:
        written = authoring.build(root, lessons, echo=typer.echo)
    except AuthoringError as error:
        _stop(error)
    typer.echo(f"written: {', '.join(written)}" if written else "nothing to do")


@app.command()
def release(
    lesson: Annotated[str, typer.Argument(help='Name or number ("attention", "02").')],
    out: Annotated[Path, typer.Option(help="Folder of the handout.")],
    points: Annotated[Path | None, typer.Option(help="TOML file with a table [points].")] = None,
    deadline: Annotated[str | None, typer.Option(help="As in 2026-12-01T23:59:00Z.")] = None,
    leave_out: Annotated[list[str] | None, typer.Option(help="Ids of exercises.")] = None,
    extra: Annotated[Path | None, typer.Option(help="Folder with exercises of your own.")] = None,
    root: Annotated[Path, typer.Option(help="The course's folder.")] = Path(),
):
    """Makes the handout of a lesson: notebook, points, deadline, exercises left out or added."""
    from course import authoring
    from course.authoring import AuthoringError

    try:
        authoring.release(
            lesson,
            out,
            points=points,
            deadline=deadline,
            leave_out=tuple(leave_out or ()),
            extra=extra,
            root=root,
        )
    except (AuthoringError, ValueError, KeyError, OSError) as error:
        _stop(error.args[0] if isinstance(error, KeyError) else error)
    typer.echo(
        f"The handout is in {out}. Grade with: course grade SUBMISSIONS --out GRADES "
        f"--assignment {out / 'assignment.toml'}"
    )


@app.command()
def progress(lesson: Annotated[str | None, typer.Argument(help="One lesson only.")] = None):
    """Shows your points, lesson by lesson."""
    from course.lab import progress as table

    try:
        typer.echo(table(lesson).text)
    except KeyError as error:
        _stop(error.args[0])


@app.command()
def tour(
    out: Annotated[Path, typer.Option(help="Folder for what the tour makes.")] = Path("tour"),
    root: Annotated[Path, typer.Option(help="The course's folder.")] = Path(),
):
    """Shows the course at work: a lesson run, answers checked, a class graded, a map drawn."""
    from course import tour as guide

    raise typer.Exit(guide.run(root, out))


@data_app.command("list")
def data_list():
    """Lists the data sets, and which of them are at hand."""
    from rich.console import Console
    from rich.table import Table

    from course import data

    table = Table("name", "task", "languages", "rows", "where")
    for name in data.names():
        card = data.describe(name)
        rows = sum(count or 0 for count in card.splits.values())
        table.add_row(name, card.task, " ".join(card.languages), f"{rows:,}", card.where)
    Console().print(table)


@data_app.command("describe")
def data_describe(name: str):
    """Shows a data set's card: splits, columns, licence, source."""
    import dataclasses

    from rich.console import Console
    from rich.table import Table

    from course import data

    try:
        card = data.describe(name)
    except data.DataError as error:
        _stop(error)
    table = Table.grid(padding=(0, 2))
    for key, value in dataclasses.asdict(card).items():
        if isinstance(value, dict):
            value = "\n".join(f"{k}: {v}" for k, v in value.items())
        elif isinstance(value, list | tuple):
            value = ", ".join(map(str, value))
        table.add_row(key, str(value))
    Console().print(table)


@data_app.command("fetch")
def data_fetch(names: list[str]):
    """Makes data sets present on this machine."""
    from course import data

    for name in names:
        try:
            paths = data.fetch(name, say=lambda line: typer.echo(line, err=True))
        except data.DataError as error:
            _stop(error)
        typer.echo(f"{name}: {len(paths)} files in {paths[0].parent}" if paths else name)


@data_app.command("verify")
def data_verify(names: Annotated[list[str] | None, typer.Argument()] = None):
    """Checks data sets row by row, the embedded ones if none is named; exit code 1 if wrong."""
    from course import data

    names = names or [name for name in data.names() if name.startswith("world-")]
    wrong = 0
    for name in names:
        try:
            findings = data.verify(name)
        except data.DataError as error:
            _stop(error)
        wrong += len(findings)
        typer.echo(f"{name}: {f'{len(findings)} findings' if findings else 'in order'}")
        for finding in findings[:20]:
            typer.echo(f"  {finding}")
    raise typer.Exit(1 if wrong else 0)


@train_app.command()
def translation(
    out: Annotated[Path, typer.Option(help="The run's folder.")],
    data: Annotated[str, typer.Option(help="A data set of pairs: `course data list`.")],
    pair: Annotated[str, typer.Option(help="Source and target.")] = "en-de",
    test: Annotated[list[str] | None, typer.Option(help="Splits to score at the end.")] = None,
    num_beams: Annotated[int, typer.Option(help="Beams when scoring; 1 is greedy.")] = 4,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="NAME=VALUE of course.translation.Recipe, for example steps=200."
        ),
    ] = None,
    deterministic: Annotated[bool, typer.Option(help="The same bits in every run.")] = False,
):
    """Trains a Transformer to translate, and scores it on test splits."""
    from course import translation
    from course.data import DataError

    source, _, target = pair.partition("-")
    try:
        recipe = _recipe(translation.Recipe, setting or ())
        pairs, validation = (
            translation.load_pairs(data, split, source, target) for split in ("train", "validation")
        )
        translator, log = translation.train_translator(
            recipe, pairs, out, validation=validation, deterministic=deterministic, verbose=2
        )
        for split in test or ():
            tests = translation.load_pairs(data, split, source, target)
            found = translator([text for text, _ in tests], num_beams=num_beams)
            references = [reference for _, reference in tests]
            scores = {
                "BLEU": translation.bleu(found, references, language=target),
                "chrF": translation.chrf(found, references),
            }
            for name, score in scores.items():
                typer.echo(f"{split:24} {name} {score['score']:.2f}  {score['signature']}")
    except (DataError, ValueError, KeyError, ArithmeticError) as error:
        _stop(error)
    last = log[-1]
    typer.echo(f"{last['step']} steps in {last['seconds']:.0f} s; the run is in {out}")


@train_app.command()
def classify(
    data: Annotated[str, typer.Argument(help="A data set, or a .csv, .tsv or .jsonl of your own.")],
    out: Annotated[Path | None, typer.Option(help="The run's folder.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="A checkpoint: folder or hub name. Else random.")
    ] = None,
    validation: Annotated[Path | None, typer.Option(help="A file of validation rows.")] = None,
    test: Annotated[list[Path] | None, typer.Option(help="Files of test rows.")] = None,
    text: Annotated[str, typer.Option(help="The column of the text.")] = "text",
    text2: Annotated[str, typer.Option(help="Of the second text, if there is one.")] = "text2",
    label: Annotated[str, typer.Option(help="The column of the label.")] = "label",
    drop_seen: Annotated[
        str | None,
        typer.Option(
            help='Leave out training texts that other splits show: "whole", or "inside" a text.'
        ),
    ] = None,
    check_only: Annotated[bool, typer.Option("--check", help="Only check the data.")] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of course.fine_tuning.Recipe: epochs=2."),
    ] = None,
    deterministic: Annotated[bool, typer.Option(help="The same bits in every run.")] = False,
):
    """Fine-tunes BERT to sort texts, or pairs of texts, into classes; checks the data first."""
    from course import fine_tuning
    from course.checkpoints import CheckpointError
    from course.data import DataError

    try:
        if drop_seen not in (None, "whole", "inside"):
            raise ValueError(f'--drop-seen {drop_seen}: choose "whole" or "inside".')
        if out is None and not check_only:
            raise ValueError("--out is missing: the folder where the run is to live.")
        recipe = _recipe(fine_tuning.Recipe, setting or (), output_dir=str(out))
        columns = {"text": text, "text2": text2, "label": label}
        task = fine_tuning.read_task(
            data, validation=validation, tests=test or (), seed=recipe.seed, **columns
        )
        if drop_seen:
            task = task.without_seen(inside=drop_seen == "inside")
        typer.echo(task.table())
        for note in task.notes:
            typer.echo(f"note: {note}")
        if check_only:
            return
        _, scores, log = fine_tuning.train_classifier(
            recipe, task, start, deterministic=deterministic, verbose=2
        )
    except (CheckpointError, DataError, ValueError, KeyError, ArithmeticError) as error:
        _stop(error)
    typer.echo("the best checkpoint, with 95% intervals (accuracy: Wilson's; others: bootstrap)")
    for split, figures in scores.items():
        for name, figure in figures.items():
            typer.echo(f"{split:16} {name:9} {figure}")
    last = log[-1]
    typer.echo(f"{last['step']} steps in {last['seconds']:.0f} s; the model is in {out / 'model'}")


def _recipe(kind, settings, **given):
    """A recipe from NAME=VALUE texts, and from what was given otherwise."""
    import dataclasses

    fields = [field for field in dataclasses.fields(kind) if field.name not in given]
    known = {field.name: field.default for field in fields}
    chosen = {}
    for text in settings:
        name, _, value = text.partition("=")
        if name not in known:
            raise ValueError(f"--set {text}: there is no {name!r}; there are {', '.join(known)}.")
        with contextlib.suppress(json.JSONDecodeError):
            value = json.loads(value)
        default = known[name]
        fits = isinstance(value, type(default)) or (
            isinstance(default, float) and isinstance(value, int)
        )
        if default is not None and not fits:
            raise ValueError(f"--set {text}: expected a value like {default!r}.")
        chosen[name] = value
    return kind(**chosen, **given)


def main():
    """The entry point of the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 still gets its text
    app()


if __name__ == "__main__":
    main()
