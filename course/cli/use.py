"""The commands that use a trained model: `course translate`, `course classify`, `course fill-mask`.

Each answers line for line in the order of what it is given, and begins before the input has ended.
"""

import csv
import itertools
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from course.cli.train import _character, starting

CHUNK = 64  # lines that are answered together, if so many are there
Run = Annotated[
    Path, typer.Argument(help="A run's folder, an exported folder, or one of Hugging Face.")
]
TextFile = Annotated[Path | None, typer.Option("--file", help="A text file, a line each.")]


def translate(
    run: Run,
    text: Annotated[str | None, typer.Argument(help="A sentence; else --file or stdin.")] = None,
    file: TextFile = None,
    num_beams: Annotated[int, typer.Option(min=1, help="1 is greedy.")] = 4,
    n_best: Annotated[
        int, typer.Option(min=1, help="So many translations of each line, tab-separated.")
    ] = 1,
    attention: Annotated[
        Path | None, typer.Option(help="A .png of where the words of TEXT's translation look.")
    ] = None,
):
    """Translates TEXT, a file, or standard input, a line each; an empty line stays empty."""
    with starting():
        if n_best > num_beams:
            raise ValueError(f"--n-best {n_best} of --num-beams {num_beams}: at most as many.")
        if attention is not None and text is None:
            raise ValueError("--attention draws one sentence: give TEXT.")
        answer = _translator(run, num_beams, n_best)
        if attention is not None:
            _draw(answer, run, text, attention)
        _answer(text, file, lambda lines: ("\t".join(found) for found in answer(lines)))


def fill_mask(
    run: Run,
    text: Annotated[str | None, typer.Argument(help="A text with [MASK]; else stdin.")] = None,
    file: TextFile = None,
    top_k: Annotated[int, typer.Option(min=1, help="So many tokens for each [MASK].")] = 5,
):
    """Says what BERT expects behind each [MASK]: token and probability, tab-separated."""
    with starting():
        from course import checkpoints, pretraining

        _existing(run)
        if (run / "checkpoints").is_dir():
            model, tokenizer = pretraining.load_pretrained(run)
        elif (run / "saved_model.pb").is_file():
            raise ValueError(f"{run} is a SavedModel, which has no head for [MASK].")
        else:
            model, tokenizer = checkpoints.pretraining_start(run)

        def answer(lines):
            for line in lines:
                if not line.strip():
                    yield ""
                    continue
                told = pretraining.fill_mask(model, tokenizer, line, top_k)
                yield "\t".join(f"{token} {share:.4f}" for each in told for token, share in each)

        _answer(text, file, answer)


def classify(
    run: Run,
    file: Annotated[str, typer.Argument(help='.csv, .tsv, .jsonl or .txt; "-" is stdin.')],
    out: Annotated[Path | None, typer.Option(help="The answers as CSV; else stdout.")] = None,
    text: Annotated[str, typer.Option(help="The column of the text.")] = "text",
    text2: Annotated[str | None, typer.Option(help="Of the second text, if there is one.")] = None,
    separator: Annotated[str | None, typer.Option(help="Between cells; found if none.")] = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="Columns are called 1, 2, …")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows of a batch.")] = 64,
):
    """Says each row's label and the probability of every label; a row without text gets none."""
    with starting():
        rows = _rows(file, text, text2, _character(separator), not no_header)
        labels, probabilities = _classifier(run, batch_size)
        half = out and out.with_name(f".writing-{out.name}")
        stream = sys.stdout if out is None else open(half, "w", newline="", encoding="utf-8")  # noqa: SIM115
        try:
            _write(stream, rows, labels, probabilities, batch_size, out is not None)
            if out is not None:
                stream.close()
                os.replace(half, out)
        finally:
            if out is not None:
                stream.close()
                half.unlink(missing_ok=True)


def _write(stream, rows, labels, probabilities, batch_size, progress):
    """The answers, as CSV."""
    writer, done = csv.writer(stream), 0
    names = ["row", "text", *(["text2"] if rows and rows[0][2] is not None else [])]
    writer.writerow([*names, "label", "probability", *map(str, labels)])
    for start in range(0, len(rows), batch_size * 8):
        some = rows[start : start + batch_size * 8]
        real = [row for row in some if row[1].strip()]
        pairs = [row[2] for row in real] if real and real[0][2] is not None else None
        found = iter(probabilities([row[1] for row in real], pairs) if real else ())
        for number, one, other in some:
            given = [number, one, *([other] if other is not None else [])]
            if not one.strip():
                writer.writerow([*given, *[""] * (2 + len(labels))])
                continue
            shares = next(found)
            best = int(shares.argmax())
            told = [f"{share:.6f}" for share in shares]
            writer.writerow([*given, labels[best], told[best], *told])
        stream.flush()
        done += len(some)
        if progress:
            typer.echo(f"{done:,} of {len(rows):,} rows", err=True)


def _rows(file, text, text2, separator, header):
    """(number, text, second text or None) of each row."""
    from course.data import DataError
    from course.data.tables import raw_rows, text_lines

    if file == "-":
        return [(n, line, None) for n, line in enumerate(_stdin(), 1)]
    name = file.lower().removesuffix(".gz").removesuffix(".xz")
    if name.endswith(".txt") and separator is None:
        return [(n, line, None) for n, line in enumerate(text_lines(file), 1)]
    rows, problems = raw_rows(file, separator=separator, header=header)
    if problems:
        raise DataError(f"{file}: {len(problems):,} problems, the first: {problems[0]}.")
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    for option, column in (("--text", text), ("--text2", text2)):
        if column is not None and column not in names:
            raise DataError(
                f"{file}: no column {column!r}; found {', '.join(map(repr, names))}. Say which it "
                f"is with {option} NAME, or that there is no header with --no-header {option} 1."
            )

    def cell(row, column):
        value = row.get(column)
        return "" if value is None else str(value)

    return [(n, cell(row, text), None if text2 is None else cell(row, text2)) for n, row in rows]


def _existing(run):
    if not run.is_dir():
        raise FileNotFoundError(f"{run}: no such folder; expected what `course train` wrote.")


def _saved_model(run):
    """A SavedModel, whose strings are split by tensorflow-text."""
    try:
        import tensorflow as tf
        import tensorflow_text  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{run} is a SavedModel, which needs TensorFlow and tensorflow-text ({error}). Install "
            'them: pip install "keras-transformer-course[tf]"'
        ) from None
    return tf.saved_model.load(str(run)), tf


def _translator(run, num_beams, n_best):
    """A function from lines to lists of `n_best` translations."""
    from course import translation

    _existing(run)
    if (run / "saved_model.pb").is_file():
        if n_best > 1:
            raise ValueError(f"{run} is a SavedModel, which gives one translation: no --n-best.")
        typer.echo("note: a SavedModel has its own number of beams", err=True)
        loaded, tf = _saved_model(run)

        def exported(lines):
            real = [line for line in lines if line.strip()]
            found = iter(loaded(tf.constant(real)).numpy() if real else ())
            return [[next(found).decode()] if line.strip() else [""] for line in lines]

        return exported
    if not (run / "recipe.json").is_file() and (run / "config.json").is_file():
        raise ValueError(
            f"{run} holds a model in Hugging Face's layout; of translators only those that "
            "`course train translation` made can be read."
        )
    translator = translation.load_translator(run)

    def ours(lines):
        options = {"num_beams": num_beams, "num_return_sequences": n_best}
        found = translator(lines, **options)
        return found if n_best > 1 else [[text] for text in found]

    ours.translator = translator
    return ours


def _draw(answer, run, text, path):
    """Writes the map of the last cross-attention."""
    if not hasattr(answer, "translator"):
        raise ValueError(f"{run}: a SavedModel keeps no attention; give the run's folder.")
    import numpy as np
    from keras import ops

    from course.attention import recorded_weights
    from course.lab import attention_map

    tokenizer, model = answer.translator.tokenizer, answer.translator.model
    target = answer([text])[0][0]
    source_ids = np.array([tokenizer.encode(text)[1:]], "int32")
    target_ids = np.array([tokenizer.encode(target)], "int32")
    with recorded_weights() as kept:
        model((source_ids, target_ids[:, :-1]))
    weights = [weights for where, weights in kept if "cross_attention" in where][-1]
    drawn = attention_map(
        ops.convert_to_numpy(weights)[0].mean(axis=0),  # (target, source): the mean of the heads
        [tokenizer.id_to_token(int(i)) for i in target_ids[0, 1:]],
        [tokenizer.id_to_token(int(i)) for i in source_ids[0]],
    )
    drawn.save(path)
    typer.echo(f"the map is in {path}", err=True)


def _classifier(run, batch_size):
    """The labels, and a function from texts to probabilities `(texts, labels)`."""
    from course import fine_tuning

    _existing(run)
    if not (run / "saved_model.pb").is_file():
        classifier = fine_tuning.load_classifier(run)
        return classifier.labels, lambda texts, pairs: classifier.probabilities(
            texts, pairs, batch_size=batch_size
        )
    raise ValueError(
        f"{run} is a SavedModel, which does not name all its labels: give the run's folder, or its "
        "model/."
    )


def _stdin():
    """The lines of standard input: UTF-8, any line ends."""
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            byte = raw[error.start]
            raise ValueError(
                f"standard input, row {number}: byte 0x{byte:02x} is not UTF-8."
            ) from None
        yield line.rstrip("\r\n")


def _answer(text, file, answer):
    """Prints the answer to each line as soon as it is there; progress goes to stderr."""
    if text is not None and file is not None:
        raise ValueError("TEXT and --file: give one of them.")
    if text is not None:
        chunks = [[text]]
    elif file is not None:
        from course.data.tables import text_lines

        lines = text_lines(file)
        chunks = iter(lambda: list(itertools.islice(lines, CHUNK)), [])
    else:
        if sys.stdin.isatty():
            typer.echo("a line each; end with ctrl-D", err=True)
        chunks = _as_they_come(_stdin())
    done, watched = 0, file is not None and sys.stderr.isatty()
    try:
        for chunk in chunks:
            for line in answer(chunk):
                print(line)
            sys.stdout.flush()
            done += len(chunk)
            if watched:
                typer.echo(f"\r{done:,} lines", err=True, nl=False)
    except BrokenPipeError:  # as of `| head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    if watched:
        typer.echo(err=True)


def _as_they_come(lines):
    """Chunks of the lines that are there, so that a program that waits for each answer gets it."""
    waiting, end = queue.Queue(CHUNK), object()

    def read():
        try:
            for line in lines:
                waiting.put(line)
            waiting.put(end)
        except ValueError as error:
            waiting.put(error)

    threading.Thread(target=read, daemon=True).start()
    while True:
        chunk = [waiting.get()]
        while len(chunk) < CHUNK and chunk[-1] is not end and not waiting.empty():
            chunk.append(waiting.get())
        last = chunk[-1]
        texts = [line for line in chunk if isinstance(line, str)]
        if texts:
            yield texts
        if isinstance(last, ValueError):
            raise last
        if last is end:
            return
