"""The data of `course train translation`: a named data set, or a user's own files."""

from pathlib import Path

import typer


def languages(pair):
    """The two codes of a pair such as "en-de"."""
    source, dash, target = pair.partition("-")
    if not dash or not source or not target or source == target:
        raise ValueError(f"--pair {pair}: expected two languages, for example en-de.")
    return source, target


def named(name, pair, tests):
    """{split: pairs} of a data set: "train", "validation", and the tests that are asked for."""
    from course import translation

    wanted = ("train", "validation", *tests)
    return {split: translation.load_pairs(name, split, *languages(pair)) for split in wanted}


def own(files, pair, *, columns, separator, header, validation, tests, check=False):
    """The same of a user's own files, after checking every row; says what is odd and what is used.

    Args:
        files: one table, or two files of aligned lines.
        pair: the languages, such as "en-de".
        columns: names of the two columns, or None.
        separator, header: see `course.data.read_table`.
        validation, tests: files like it; of none, pairs are held out.
        check: whether to print the report only.

    Returns:
        {split: pairs}; None after a check.
    """
    from course.data import DataError
    from course.translation import own_pairs

    source, target = languages(pair)
    options = {"columns": columns, "separator": separator, "header": header}
    given = {"train": files, "validation": validation, "test": tests}
    found, wrong = {}, []
    for name, some in given.items():
        if not some:
            continue
        made = own_pairs.read_pairs(some, source, target, **options)
        if check:
            _report(name, some, made)
        try:
            own_pairs.refuse_problems(made, some)
        except DataError as error:
            wrong.append(str(error))
        for note in () if check else made.notes:
            typer.echo(f"note: {name}: {note}")
        found[name] = made.pairs
    if wrong:
        raise DataError("\n".join(wrong))
    shares = [(n, s) for n, s in (("validation", 0.05), ("test", 0.1)) if n not in found]
    others = [pair for name in ("validation", "test") for pair in found.get(name, ())]
    train = found["train"]
    if others:
        kept = own_pairs.without_seen(train, others)
        left_out = len(train) - len(kept)
        if left_out:
            typer.echo(
                f"note: train: {left_out:,} pairs share a sentence with another split: left out"
            )
        train = [train[place] for place in kept]
    if shares:
        parts = own_pairs.split_pairs(train, shares)
        found |= {name: [train[place] for place in places] for name, places in parts.items()}
        held_out = " and ".join(f"{len(found[name]):,} for {name}" for name, _ in shares)
        typer.echo(f"note: held out {held_out}; no sentence is in two splits")
    else:
        found["train"] = train
    told = ", ".join(f"{name} {len(pairs):,}" for name, pairs in found.items())
    typer.echo(f"pairs: {told}")
    return None if check else found


def _report(name, files, made):
    """What `--check` says of some files."""
    lengths = sorted(max(len(one), len(other)) for one, other in made.pairs)
    typer.echo(f"{name}: {' and '.join(map(str, files))}")
    typer.echo(f"  {len(made.pairs):,} pairs, {len(made.problems):,} rows that cannot be used")
    if lengths:
        middle, longest = lengths[len(lengths) // 2], lengths[-1]
        typer.echo(f"  the longer side: {middle:,} characters in the middle, {longest:,} at most")
    for note in made.notes:
        typer.echo(f"  note: {note}")


def is_named(files):
    """Whether the one thing that was given is the name of a data set, and no file."""
    from course import data

    return len(files) == 1 and files[0] in data.names() and not Path(files[0]).exists()


def save_test(pairs, folder):
    """Keeps held-out pairs beside the run, for a later score."""
    from course import runtime

    lines = ["source\ttarget", *("\t".join(pair) for pair in pairs)]
    runtime.write_atomically(Path(folder) / "test.tsv", ("\n".join(lines) + "\n").encode())
