"""The command `course`. Each command imports what it needs when it runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from course.cli import answer as _answer
from course.cli import grade as _grading
from course.cli import language as _language
from course.cli import summarise as _summarise
from course.cli import use as _use
from course.cli.train import stop as _stop
from course.cli.train import train_app

app = typer.Typer(
    help="Keras Transformer Course: check answers, grade a class, build lessons, see the data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # [MASK] and NAME[/SPLIT] are text
)
data_app = typer.Typer(help="The named data sets of the course.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(train_app, name="train")
train_app.command("question-answering")(_answer.train)
app.command()(_answer.answer)
train_app.command("language-model")(_language.train)
app.command()(_language.generate)
train_app.command("summarisation")(_summarise.train)
app.command()(_summarise.summarise)
app.command()(_use.translate)
app.command()(_use.classify)
app.command("fill-mask")(_use.fill_mask)


def _version(asked: bool):
    if asked:
        from course import __version__

        typer.echo(f"course {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
):
    """Keras Transformer Course: check answers, grade a class, train models and use them."""


app.command()(_grading.check)
app.command()(_grading.grade)

Lessons = Annotated[
    list[str] | None, typer.Argument(help='Names or numbers ("attention", "02"); all if none.')
]


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
    solutions: Annotated[bool, typer.Option(help="Whether solution(...) shows one.")] = True,
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
            solutions=solutions,
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
    from course.lab.display import printable
    from course.lab.progress_record import overview

    try:
        typer.echo(printable(overview(lesson).text))
    except KeyError as error:
        _stop(error.args[0])


@app.command()
def tour(
    out: Annotated[Path, typer.Option(help="Folder for what the tour makes.")] = Path("tour"),
    root: Annotated[Path, typer.Option(help="The course's folder.")] = Path(),
):
    """Shows the course at work: a lesson run, answers checked, a class graded, a map drawn."""
    from course.cli import tour as guide

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


def main():
    """The entry point of the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 still gets its text
    app()


if __name__ == "__main__":
    main()
