"""`course check` and `course grade`: one's own answers, and a class."""

import json
from pathlib import Path
from typing import Annotated

import typer

from course.cli.train import stop
from course.grading.submissions.folders import printable


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
        stop(printable(error))
    if as_json:
        typer.echo(json.dumps([report.as_json() for report in reports], indent=1))
    else:
        from course.lab.interactive import show_report

        for report in reports:
            typer.echo(f"{_shown(show_report(report).text)}\n")
        earned = sum(report.points for report in reports)
        possible = sum(report.max_points for report in reports)
        typer.echo(f"{earned:g} of {possible:g} points in the public checks")
    raise typer.Exit(0 if all(report.passed for report in reports) else 1)


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
            stop(printable(error))
    typer.echo(str(summary))


def _shown(text):
    """Text of several lines whose words are a student's, fit for a terminal."""
    return "\n".join(map(printable, text.split("\n")))
