"""The commands `course train …`. Each imports what it needs when it runs."""

import contextlib
import json
from pathlib import Path
from typing import Annotated

import typer

from course.cli.commands import Command
from course.cli.translation_data import languages

train_app = typer.Typer(
    help="Trains a model; run again, it goes on where it was.",
    no_args_is_help=True,
    rich_markup_mode=None,  # [MASK] and NAME[/SPLIT] are text
)


def stop(message):
    """Ends the command with a message on stderr and exit code 2."""
    typer.echo(f"course: {message}", err=True)
    raise typer.Exit(2)


@contextlib.contextmanager
def starting():
    """Starts Keras without the framework's notes; what is wrong inside ends the command."""
    from course import runtime

    runtime.start()
    try:
        yield
    except KeyError as error:
        stop(error.args[0] if error.args and " " in str(error.args[0]) else f"no {error}")
    except (
        ValueError,
        ArithmeticError,
        OSError,
        ImportError,
    ) as error:  # DataError is a ValueError
        stop(error)
    except KeyboardInterrupt as error:
        told = str(error).replace("the same again", "the same command") or "stopped"
        typer.echo(f"course: {told}", err=True)
        raise typer.Exit(130) from None


@train_app.command(cls=Command)
def translation(
    data: Annotated[
        list[str],
        typer.Option(
            help="A data set of pairs (`course data list`), or your own: one .csv, .tsv or .jsonl, "
            "or two files of aligned lines."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The run's folder.")] = None,
    pair: Annotated[str, typer.Option(help="Source and target language.")] = "en-de",
    source: Annotated[str | None, typer.Option(help="The source's column in a table.")] = None,
    target: Annotated[str | None, typer.Option(help="The target's column in a table.")] = None,
    validation: Annotated[
        list[str] | None, typer.Option(help="Validation pairs, as --data; else some are held out.")
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(help="Splits of a data set, or test pairs of your own, to score in the end."),
    ] = None,
    separator: Annotated[
        str | None, typer.Option(help="The character between cells of a table; found if none.")
    ] = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The first row is a pair; columns are 1, 2, …")
    ] = False,
    check_only: Annotated[bool, typer.Option("--check", help="Only check the data.")] = False,
    num_beams: Annotated[int, typer.Option(help="Beams when scoring; 1 is greedy.")] = 4,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="NAME=VALUE of course.translation.Recipe, for example max_steps=200."
        ),
    ] = None,
    deterministic: Annotated[bool, typer.Option(help="The same bits in every run.")] = False,
):
    """Trains a Transformer to translate, checks the data first, and scores it in the end."""
    with starting():
        from course import translation
        from course.cli import translation_data

        if out is None and not check_only:
            raise ValueError("--out is missing: the folder where the run is to live.")
        recipe = recipe_from(translation.Recipe, setting or (), output_dir=out and str(out))
        own_options = {"--source": source, "--target": target, "--separator": separator}
        own_options |= {"--no-header": no_header or None, "--validation": validation or None}
        if translation_data.is_named(data):
            chosen = [name for name, value in own_options.items() if value is not None]
            if chosen:
                raise ValueError(f"{', '.join(chosen)}: for files of your own, not for {data[0]}.")
            splits = translation_data.named(data[0], pair, test or ())
            if check_only:
                typer.echo(f"{data[0]}: " + ", ".join(f"{n} {len(p):,}" for n, p in splits.items()))
        else:
            if (source is None) != (target is None):
                raise ValueError("--source and --target: give both columns, or neither.")
            splits = translation_data.own(
                data,
                pair,
                columns=source and (source, target),
                separator=_character(separator),
                header=not no_header,
                validation=validation,
                tests=test,
                check=check_only,
            )
        if check_only:
            return
        held_out = splits["validation"]
        if "validation" not in (test or ()):  # asked for as a test too, it stays and is scored
            del splits["validation"]
        translator, log = translation.train_translator(
            recipe,
            splits.pop("train"),
            validation=held_out,
            deterministic=deterministic,
            verbose=1,
            say=lambda line: typer.echo(f"note: {line}"),
        )
        if not translation_data.is_named(data) and not test:
            translation_data.save_test(splits["test"], out)
            typer.echo(f"note: the held-out test pairs are in {out / 'test.tsv'}")
        for split, tests in splits.items():
            found = translator([text for text, _ in tests], num_beams=num_beams)
            references = [reference for _, reference in tests]
            scores = {
                "BLEU": translation.bleu(found, references, language=languages(pair)[1]),
                "chrF": translation.chrf(found, references),
            }
            for name, score in scores.items():
                typer.echo(f"{split:24} {name} {score['score']:.2f}  {score['signature']}")
    last = log[-1]
    typer.echo(
        f"{last['step']} steps in {last['seconds']:.0f} s; the run is in {out}\n"
        f'now translate: course translate {out} "a sentence"'
    )


def _character(separator):
    """A separator as it is written on a command line, where a tab is hard to type."""
    return {"\\t": "\t", "tab": "\t"}.get(separator, separator)


@train_app.command(cls=Command)
def bert_pretrain(
    out: Annotated[Path, typer.Option(help="The run's folder.")],
    data: Annotated[
        list[str],
        typer.Option(
            help="NAME[/SPLIT[/COLUMN]] of a data set, or a text file in which an empty line ends "
            "a document; may be given several times."
        ),
    ],
    validation: Annotated[
        list[str] | None, typer.Option(help="The same, to choose the best checkpoint on.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="A checkpoint: folder or hub name. Else random.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of course.pretraining.Recipe: max_steps=200."),
    ] = None,
    deterministic: Annotated[bool, typer.Option(help="The same bits in every run.")] = False,
):
    """Pretrains BERT on text, and writes it as `course train classify --from OUT/bert` reads it."""
    with starting():
        from course import pretraining
        from course.checkpoints import pretraining_start, save_bert

        recipe = recipe_from(pretraining.Recipe, setting or ())
        begun = start and pretraining_start(start)
        if begun:
            asked = {text.partition("=")[0].strip() for text in setting or ()}
            recipe = pretraining.recipe_of_start(recipe, begun, asked)
        _, log = pretraining.pretrain(
            recipe,
            data,
            out,
            validation=validation,
            start=begun,
            deterministic=deterministic,
            verbose=1,
        )
        model, tokenizer = pretraining.load_pretrained(out, "last")
        if not (out / "bert" / "config.json").exists():
            save_bert(model, out / "bert", tokenizer=tokenizer)
    updates, seconds = log[-1]["step"] // recipe.gradient_accumulation_steps, log[-1]["seconds"]
    typer.echo(f"{updates} updates in {seconds:.0f} s; the model is in {out / 'bert'}")


@train_app.command(cls=Command)
def classify(
    data: Annotated[str, typer.Argument(help="A data set, or a .csv, .tsv or .jsonl of your own.")],
    out: Annotated[Path | None, typer.Option(help="The run's folder.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="A checkpoint: folder or hub name. Else random.")
    ] = None,
    validation: Annotated[Path | None, typer.Option(help="A file of validation rows.")] = None,
    test: Annotated[list[Path] | None, typer.Option(help="Files of test rows.")] = None,
    text: Annotated[str, typer.Option(help="The column of the text.")] = "text",
    text2: Annotated[
        str | None, typer.Option(help="Of the second text; text2 if there is such a column.")
    ] = None,
    label: Annotated[str, typer.Option(help="The column of the label.")] = "label",
    separator: Annotated[str | None, typer.Option(help="Between cells; found if none.")] = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="Columns are called 1, 2, …")
    ] = False,
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
    with starting():
        from course import fine_tuning

        if drop_seen not in (None, "whole", "inside"):
            raise ValueError(f'--drop-seen {drop_seen}: choose "whole" or "inside".')
        if out is None and not check_only:
            raise ValueError("--out is missing: the folder where the run is to live.")
        recipe = recipe_from(fine_tuning.Recipe, setting or (), output_dir=out and str(out))
        columns = {"text": text, "text2": text2, "label": label}
        columns |= {"separator": _character(separator), "header": not no_header}
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
        if start is None:
            typer.echo(f"note: no --from, so a model of size {recipe.size} from random weights")
        _, scores, log = fine_tuning.train_classifier(
            recipe,
            task,
            start,
            deterministic=deterministic,
            verbose=1,
            say=lambda line: typer.echo(f"note: {line}", err=True),
        )
    typer.echo("the best checkpoint, with 95% intervals (accuracy: Wilson's; others: bootstrap)")
    for split, figures in scores.items():
        for name, figure in figures.items():
            typer.echo(f"{split:16} {name:9} {figure}")
    last = log[-1]
    typer.echo(f"{last['step']} steps in {last['seconds']:.0f} s; the model is in {out / 'model'}")


def recipe_from(kind, settings, **given):
    """A recipe from NAME=VALUE texts, and from what was given otherwise.

    Args:
        kind: the recipe's class.
        settings: list of NAME=VALUE; a VALUE is read as JSON, or else taken as text. Names of
            older versions count as those of today.
        **given: settings that are chosen elsewhere, and may not be set here.

    Raises:
        ValueError: if there is no such setting, its value is of another kind.
    """
    import dataclasses
    import difflib
    import typing

    from course.training.recipe import OLD_NAMES

    fields = {f.name: f for f in dataclasses.fields(kind) if f.name not in given}
    types = typing.get_type_hints(kind)
    chosen = {}
    for text in settings:
        name, equals, value = (part.strip() for part in text.partition("="))
        if name not in fields and OLD_NAMES.get(name) in fields:
            typer.echo(f"note: {name} is now called {OLD_NAMES[name]}", err=True)
            name = OLD_NAMES[name]
        if name not in fields:
            close = difflib.get_close_matches(name, fields, 1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ValueError(
                f"--set {text}: there is no {name!r}; there are {', '.join(fields)}.{hint}"
            )
        if not equals:
            raise ValueError(f"--set {text}: expected NAME=VALUE, for example {name}=1.")
        with contextlib.suppress(json.JSONDecodeError):
            value = None if value == "None" else json.loads(value)
        if name in chosen and chosen[name] != value:
            typer.echo(f"note: {name} is set twice; {value!r}, the last, counts", err=True)
        allowed = typing.get_args(types[name]) or (types[name],)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if float in allowed and whole:
            value = float(value)
        # bool is a kind of int in Python, and no number here.
        if not any(type(value) is each for each in allowed):
            default = fields[name].default
            wanted = " or ".join("None" if t is type(None) else t.__name__ for t in allowed)
            like = wanted if default is None else f"a value like {default!r} ({wanted})"
            raise ValueError(f"--set {text}: expected {like}.")
        chosen[name] = value
    return kind(**chosen, **given)
