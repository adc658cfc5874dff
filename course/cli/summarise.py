"""The commands `course train summarisation` and `course summarise`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from course.cli.train import recipe_from, starting


def train(
    data: Annotated[
        str,
        typer.Argument(
            help="A data set of summaries (`course data list`), or a table with the columns "
            "'document' and 'summary'."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run's folder.")],
    test: Annotated[str, typer.Option(help="The split to score at the end.")] = "test",
    num_beams: Annotated[int, typer.Option(help="Beams when scoring; 1 is greedy.")] = 4,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of course.summarisation.Recipe: max_steps=200."),
    ] = None,
    deterministic: Annotated[bool, typer.Option(help="The same bits in every run.")] = False,
):
    """Trains a Transformer to summarise, and scores it by ROUGE beside the baselines."""
    with starting():
        from course import summarisation
        from course.summarisation.rouge import scorer

        scorer()  # where it is missing, that is said now and not after the training
        recipe = recipe_from(summarisation.Recipe, setting or (), output_dir=str(out))
        rows, held_out = (summarisation.load_summaries(data, s) for s in ("train", "validation"))
        named = not Path(data).is_file()
        tests = summarisation.load_summaries(data, test) if named else held_out
        model, log = summarisation.train_summariser(
            recipe, rows, validation=held_out, deterministic=deterministic, verbose=2
        )
        documents = [row["document"] for row in tests]
        references = [row["references"] for row in tests]
        chinese = summarisation.is_chinese("".join(each[0] for each in references))
        language = "zh" if chinese else "en"
        found = {"the model": model(documents, num_beams=num_beams)}
        found |= summarisation.baselines(documents, references, language=language)
        for name, summaries in found.items():
            scores = summarisation.rouge(summaries, references, language=language)
            told = "  ".join(f"{kind} {score:5.2f}" for kind, score in scores.items())
            pairs = zip(documents, summaries, strict=True)
            novel = [summarisation.novel_ngrams(document, summary) for document, summary in pairs]
            share = 100 * sum(novel) / len(novel)
            typer.echo(f"{name:20} {told}  novel bigrams {share:5.1f} %")
    last = log[-1]
    typer.echo(f"{last['step']} steps in {last['seconds']:.0f} s; the run is in {out}")


def summarise(
    run: Annotated[Path, typer.Argument(help="The folder of `course train summarisation`.")],
    file: Annotated[Path, typer.Argument(help="A text file, or - for what comes in.")],
    num_beams: Annotated[int, typer.Option(help="1 is greedy.")] = 4,
    max_new_tokens: Annotated[int, typer.Option(help="The most tokens of the summary.")] = 80,
):
    """Summarises a text."""
    with starting():
        from course import summarisation

        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
        if not text.strip():
            raise ValueError(f"{file} holds no text.")
        model = summarisation.load_summariser(run)
        count = len(model.tokenizer.encode(text))
        if count > model.max_length:
            typer.echo(
                f"note: the text has {count:,} tokens and the model reads {model.max_length:,}: "
                "what comes after is not seen.",
                err=True,
            )
        typer.echo(model([text], num_beams=num_beams, max_new_tokens=max_new_tokens)[0])
