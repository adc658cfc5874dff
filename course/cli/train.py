"""The commands `course train …`. Each imports what it needs when it runs."""

import contextlib
import json
from pathlib import Path
from typing import Annotated

import typer

train_app = typer.Typer(
    help="Trains a model; run again, it goes on where it was.", no_args_is_help=True
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
            "--set", help="NAME=VALUE of course.translation.Recipe, for example max_steps=200."
        ),
    ] = None,
    deterministic: Annotated[bool, typer.Option(help="The same bits in every run.")] = False,
):
    """Trains a Transformer to translate, and scores it on test splits."""
    source, _, target = pair.partition("-")
    with starting():
        from course import translation

        recipe = recipe_from(translation.Recipe, setting or ())
        pairs, validation = (
            translation.load_pairs(data, split, source, target) for split in ("train", "validation")
        )
        translator, log = translation.train_translator(
            recipe, pairs, out, validation=validation, deterministic=deterministic, verbose=1
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
    last = log[-1]
    typer.echo(f"{last['step']} steps in {last['seconds']:.0f} s; the run is in {out}")


@train_app.command()
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
        _, log = pretraining.pretrain(
            recipe,
            data,
            out,
            validation=validation,
            start=start and pretraining_start(start),
            deterministic=deterministic,
            verbose=1,
        )
        model, tokenizer = pretraining.load_pretrained(out, "last")
        if not (out / "bert" / "config.json").exists():
            save_bert(model, out / "bert", tokenizer=tokenizer)
    updates, seconds = log[-1]["step"] // recipe.gradient_accumulation_steps, log[-1]["seconds"]
    typer.echo(f"{updates} updates in {seconds:.0f} s; the model is in {out / 'bert'}")


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
    with starting():
        from course import fine_tuning

        if drop_seen not in (None, "whole", "inside"):
            raise ValueError(f'--drop-seen {drop_seen}: choose "whole" or "inside".')
        if out is None and not check_only:
            raise ValueError("--out is missing: the folder where the run is to live.")
        recipe = recipe_from(fine_tuning.Recipe, setting or (), output_dir=str(out))
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
        if start is None:
            typer.echo(f"note: no --from, so a model of size {recipe.size} from random weights")
        _, scores, log = fine_tuning.train_classifier(
            recipe, task, start, deterministic=deterministic, verbose=1
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
