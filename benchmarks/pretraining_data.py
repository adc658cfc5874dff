"""How fast pretraining data is made, beside what a training step consumes.

    python benchmarks/pretraining_data.py [--record] [--rounds 5] [--steps 30]

The text is the embedded world's (stories, summaries, verdicts), rows of up to 128 tokens, 32 a
batch. Prints tokens a second, padding not counted: of reading and tokenizing, done once; of drawing
pairs, packing and masking, done each epoch, pieces and whole words; of training steps of two sizes
(AdamW, float32, batches at hand), and how many times faster the data is. Medians of the rounds, in
which all take turns. `--record` writes benchmarks/results/pretraining_data.json.
"""

import statistics
import tempfile
import time
from pathlib import Path

from _harness import arguments_parser, record

SOURCES = ["world-stories", "world-summaries/train/summary", "world-verdicts"]
VOCABULARY, LENGTH, ROWS, SEED = 8000, 128, 32, 0
MODELS = {"2 layers, d 128": (2, 128), "4 layers, d 256": (4, 256)}
GOAL = 20


def tokens_of(batches):
    """Ids of some batches, padding not counted."""
    return sum(int((batch[0][0] != 0).sum()) for batch in batches)


def per_second(work):
    """What `work` says it did, a second."""
    start = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - start)


def trainer(size, vocab_size, batches, steps):
    """A function that trains for some steps on batches at hand and tells their tokens."""
    import keras

    from course import runtime
    from course.pretraining import BertEncoder, BertForPretraining
    from course.training.optimizers import adamw

    class AtHand(keras.utils.PyDataset):
        def __len__(self):
            return steps

        def __getitem__(self, index):
            return batches[index % len(batches)]

    num_layers, d_model = size
    encoder = BertEncoder(vocab_size, num_layers, d_model, d_model // 64, 4 * d_model)
    model = BertForPretraining(encoder)
    model.compile(adamw(model, 1e-4), jit_compile=runtime.jit_compile())

    class Keep(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            runtime.keep_freed_memory()  # as `course.training.train` does

    ready, told = AtHand(), tokens_of(batches[i % len(batches)] for i in range(steps))

    def train():
        model.fit(ready, shuffle=False, verbose=0, callbacks=[Keep()])
        return told

    return train


def main():
    parser = arguments_parser(__doc__, "pretraining_data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30, help="training steps a round")
    arguments = parser.parse_args()

    from rich.console import Console
    from rich.table import Table

    from course import runtime
    from course.pretraining import Corpus, Masking, PretrainingBatches, documents
    from course.tokens import Tokenizer

    texts = list(documents(SOURCES))
    tokenizer = Tokenizer.learn([s for text in texts for s in text], VOCABULARY)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus.write(Path(folder) / "corpus", texts, tokenizer)

        def written():
            again = Corpus.write(Path(folder) / "again", documents(SOURCES), tokenizer)
            return len(again.tokens)

        def batches(**options):
            masking = Masking(tokenizer, **options)
            sizes = {"batch_size": ROWS, "max_length": LENGTH, "seed": SEED}
            return PretrainingBatches(corpus, tokenizer, masking, **sizes)

        def epoch(data):
            return lambda: tokens_of(data)  # iterating over it draws a new epoch

        ready = [batches()[i] for i in range(min(arguments.steps, len(batches())))]
        work = {
            "reading, tokenizing": written,
            "pairs, packing, masking": epoch(batches()),
            "the same, whole words": epoch(batches(whole_words=True)),
        }
        for name, size in MODELS.items():
            work[f"training, {name}"] = trainer(size, tokenizer.vocab_size, ready, arguments.steps)
        for once in work.values():
            once()  # compiles, and fills caches
        rounds = []
        for _ in range(arguments.rounds):
            rounds.append({name: per_second(each) for name, each in work.items()})
    found = {name: statistics.median(each[name] for each in rounds) for name in work}
    table = Table(title=f"{len(corpus.tokens):,} tokens, rows of up to {LENGTH}, {ROWS} a batch")
    for head in ("", "tokens a second", f"data is so many times faster (goal: {GOAL})"):
        table.add_column(head, justify="right")
    for name, rate in found.items():
        times = found["pairs, packing, masking"] / rate
        table.add_row(name, f"{rate:,.0f}", f"{times:.0f}" if name.startswith("training") else "")
    Console(width=100).print(table)
    if arguments.record:
        result = {
            "command": "python benchmarks/pretraining_data.py --record",
            "hardware": runtime.hardware(),
            "rounds": arguments.rounds,
            "tokens": len(corpus.tokens),
            "tokens_per_second": found,
        }
        record("pretraining_data", result)


if __name__ == "__main__":
    main()
