"""What tokens cost on real captions: unknown words, pieces a word, padding.

    COURSE_DATA=folder python benchmarks/tokens.py [--record]

The folder holds Multi30k (English and German image captions). Prints, for each language: how many
test captions hold a word that a vocabulary of training words lacks; how many WordPieces a word
becomes for vocabularies of several sizes; which share of the ids is padding in random batches, and
in those of `TokenBatches`. Nothing is timed. `--record` writes results/tokens_multi30k.json, which
lesson 01 shows.
"""

import re
from collections import Counter

import numpy as np
from _harness import arguments_parser, record

SIZES, BATCH, SEED = (500, 1000, 2000, 4000, 8000, 16000), 64, 0


def words_of(text):
    return re.findall(r"\w+|[^\w\s]", text.lower())


def measure(train, test):
    """The figures of one language."""
    from course.tokens import TokenBatches, Tokenizer

    counts = Counter(word for text in train for word in words_of(text))
    known = {word for word, count in counts.items() if count >= 2}
    lacking = [any(word not in known for word in words_of(text)) for text in test]
    words = sum(len(words_of(text)) for text in test)
    pieces, shares_unknown = [], []
    for size in SIZES:
        tokenizer = Tokenizer.learn(train, size, lowercase=True)
        ids = tokenizer.encode_batch(test, special=False)
        pieces.append(sum(map(len, ids)) / words)
        shares_unknown.append(float(np.mean([tokenizer.unknown_id in row for row in ids])))
        if size == 8000:
            rows = tokenizer.encode_batch(train)
    order = np.random.default_rng(SEED).permutation(len(rows))
    lengths = np.array([len(row) for row in rows])[order]
    random = [lengths[at : at + BATCH] for at in range(0, len(lengths), BATCH)]
    padding = 1 - lengths.sum() / sum(len(batch) * batch.max() for batch in random)
    buckets = TokenBatches(rows, 2048, multiple=4)
    return {
        "different_words": len(counts),
        "known_words": len(known),
        "captions_with_unknown_word": float(np.mean(lacking)),
        "pieces_per_word": pieces,
        "captions_with_unknown_piece": shares_unknown,
        "random_padding": float(padding),
        "bucket_padding": buckets.padding,
        "bucket_shapes": buckets.num_shapes,
    }


def main():
    parser = arguments_parser(__doc__, "tokens_multi30k")
    arguments = parser.parse_args()

    from rich.console import Console
    from rich.table import Table

    from course import data, runtime

    found = {}
    train, test = data.load("multi30k", "train"), data.load("multi30k", "test_2016_flickr")
    for language, column in (("English", "en"), ("German", "de")):
        found[language] = measure([r[column] for r in train], [r[column] for r in test])
    table = Table(title="Multi30k, 29,000 training and 1,000 test captions")
    for head in ("", *found):
        table.add_column(head, justify="right")
    for name in found["English"]:
        if not isinstance(found["English"][name], list):
            table.add_row(name, *(f"{f[name]:.4g}" for f in found.values()))
    for i, size in enumerate(SIZES):
        cells = (f"{f['pieces_per_word'][i]:.3f}" for f in found.values())
        table.add_row(f"pieces a word, {size}", *cells)
    Console(width=100).print(table)
    if arguments.record:
        versions = ", ".join(f"{name} {v}" for name, v in runtime.versions().items())
        result = {
            "command": "COURSE_DATA=folder python benchmarks/tokens.py --record",
            "hardware": f"any: nothing is timed; {versions}",
            "seed": SEED,
            "batch": BATCH,
            "sizes": list(SIZES),
            "languages": found,
        }
        record("tokens_multi30k", result)


if __name__ == "__main__":
    main()
