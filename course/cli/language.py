"""The commands `course train language-model` and `course generate`."""

from pathlib import Path
from typing import Annotated

import typer

from course.cli.train import recipe_from, starting


def train(
    data: Annotated[
        str,
        typer.Argument(
            help="NAME[/SPLIT[/COLUMN]] of a data set, a text file, a folder of .txt files, or a "
            "table with a column 'text'."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run's folder.")],
    validation: Annotated[
        str | None,
        typer.Option(help="The same, to choose on; else the validation split, or the last tenth."),
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option(help="The same, scored at the end; several times.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Tokens from window to window when scoring; half if none.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="NAME=VALUE of course.language_modelling.Recipe: kind=characters."
        ),
    ] = None,
    deterministic: Annotated[bool, typer.Option(help="The same bits in every run.")] = False,
):
    """Trains a causal language model on texts, and scores it: perplexity and bits a byte."""
    with starting():
        from course import language_modelling as lm

        recipe = recipe_from(lm.Recipe, setting or (), output_dir=str(out))
        texts = lm.load_texts(data)
        held_out = lm.load_texts(validation or data, "validation")
        characters = sum(map(len, texts))
        typer.echo(f"{len(texts):,} documents of {characters:,} characters to learn from")
        model, log = lm.train_language_model(
            recipe, texts, validation=held_out, deterministic=deterministic, verbose=2
        )
        scored = {"validation": held_out}
        scored |= {name: lm.load_texts(name, "test") for name in test or ()}
        for name, each in scored.items():
            figures = model.evaluate(each, stride=stride)
            typer.echo(
                f"{name:24} perplexity {figures['perplexity']:.3f}  bits a byte "
                f"{figures['bits_per_byte']:.4f}  ({figures['tokens']:,} tokens, "
                f"{figures['bytes']:,} bytes)"
            )
    last = log[-1]
    typer.echo(f"{last['step']} steps in {last['seconds']:.0f} s; the run is in {out}")


def generate(
    run: Annotated[
        str, typer.Argument(help="A run's folder, or a GPT-2 or Llama: folder or hub name.")
    ],
    prompt: Annotated[str, typer.Argument(help="What the text begins with.")] = "",
    max_new_tokens: Annotated[int, typer.Option(help="The most tokens to write.")] = 200,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest each time.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest up to p.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed writes the same text.")] = 0,
):
    """Goes on with a text, token by token, as it is written."""
    with starting():
        from course import language_modelling as lm

        if temperature < 0:
            raise ValueError(f"--temperature {temperature}: expected 0 or more.")
        if top_k is not None and top_k < 1:
            raise ValueError(f"--top-k {top_k}: keep at least 1 token.")
        if top_p is not None and not 0 < top_p <= 1:
            raise ValueError(f"--top-p {top_p}: a probability above 0 and at most 1.")
        model = _open(lm, run)
        typer.echo(prompt, nl=False)
        settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
        for piece in model.stream(prompt, max_new_tokens=max_new_tokens, **settings):
            typer.echo(piece, nl=False)
    typer.echo()


def _open(lm, source):
    """The language model of a run's folder, else of a checkpoint."""
    if (Path(source) / "recipe.json").is_file():
        return lm.load_language_model(source)
    from course.checkpoints import causal

    return lm.LanguageModel(causal.load_causal_lm(source), causal.load_causal_tokenizer(source))
