"""Time of fine-tuning and of inference beside Hugging Face with torch and keras-hub.

    python benchmarks/fine_tuning_step.py [--record] [--rounds 7] [--only ours torch]
                                          [--sizes tiny mini] [--batches 16 64]

BERT of 2 layers, d_model 128 (tiny) and 4 layers, d_model 256 (mini), vocabulary 30,522, two
classes, float32. A training step is AdamW with decay left out of vectors, gradients clipped to a
norm of 1, dropout 0.1. "dense": 256 texts of 128 ids. "mixed": 256 texts with lengths from a
log-normal distribution (median 30, σ 0.7, at most 128), as reviews' sentences have; we take them as
`ExampleBatches` does, the peers at random, each batch padded to its longest (with XLA to 128,
where each width would be compiled anew).

Each peer lives in a process of its own; they take turns, so that a busy moment meets them all.
Prints medians of the rounds and how many times as fast as the best peer we are. `--record` writes
benchmarks/results/fine_tuning_step.json.
"""

import argparse
import functools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from _harness import record

VOCABULARY, LENGTH, TEXTS, PAD, START, END, SEED = 30522, 128, 256, 0, 101, 102, 0
SIZES = {"tiny": (2, 128), "mini": (4, 256)}
TASKS = [
    f"{what}, {lengths}" for what in ("training", "inference") for lengths in ("dense", "mixed")
]
RATE, DECAY, CLIP, DROPOUT = 5e-5, 0.01, 1.0, 0.1
RESULTS = Path(__file__).parent / "results"


@functools.cache
def texts(lengths):
    """Lists of ids with `[CLS]` and `[SEP]`, and their labels."""
    rng = np.random.default_rng(SEED)
    sizes = np.full(TEXTS, LENGTH)
    if lengths == "mixed":
        sizes = np.clip(np.exp(rng.normal(np.log(30), 0.7, TEXTS)), 4, LENGTH).astype(int)
    rows = [[START, *rng.integers(1000, VOCABULARY, n - 2).tolist(), END] for n in sizes]
    return rows, rng.integers(0, 2, TEXTS).astype("int32")


def our_batches(lengths, size, shuffle):
    from course.fine_tuning import ExampleBatches

    rows, labels = texts(lengths)
    options = {"pad_id": PAD, "end_id": END, "seed": SEED, "shuffle": shuffle}
    batches = ExampleBatches(rows, labels, size, **options)
    return [(*batches[i][0], batches[i][1]) for i in range(len(batches))]


def peer_batches(lengths, size, width=None):
    """The texts in random order, each batch padded to its longest or to `width`."""
    rows, labels = texts(lengths)
    order = np.random.default_rng(SEED + 1).permutation(TEXTS).reshape(-1, size)
    made = []
    for some in order:
        ids = np.full((size, width or max(len(rows[i]) for i in some)), PAD, "int32")
        for place, i in enumerate(some):
            ids[place, : len(rows[i])] = rows[i]
        made.append((ids, np.zeros_like(ids), labels[some]))
    return made


# The peers: each returns a function that goes once through the texts


def ours(task, size, batch):
    from course import runtime
    from course.fine_tuning import BertClassifier, adamw
    from course.pretraining import BertEncoder

    runtime.seed_everything(SEED)
    model = BertClassifier(BertEncoder.official(size, VOCABULARY, dropout=DROPOUT), 2)
    optimizer = adamw(model, RATE, weight_decay=DECAY, epsilon=1e-8, clipnorm=CLIP)
    model.compile(optimizer, jit_compile=runtime.jit_compile())
    what, _, lengths = task.partition(", ")
    batches = our_batches(lengths, batch, shuffle=what == "training")

    def run():
        for ids, segments, labels in batches:
            if what == "training":
                model.train_on_batch((ids, segments), labels)
            else:
                model.predict_on_batch((ids, segments))

    return run


def keras_hub(task, size, batch, xla=False):
    import keras
    import keras_hub

    layers, width = SIZES[size]
    backbone = keras_hub.models.BertBackbone(
        VOCABULARY, layers, width // 64, width, 4 * width, DROPOUT, max_sequence_length=512
    )
    model = keras_hub.models.BertTextClassifier(backbone, num_classes=2, preprocessor=None)
    optimizer = keras.optimizers.AdamW(RATE, weight_decay=DECAY, global_clipnorm=CLIP)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=xla)
    what, _, lengths = task.partition(", ")
    batches = peer_batches(lengths, batch, LENGTH if xla else None)

    def run():
        for ids, segments, labels in batches:
            x = {"token_ids": ids, "segment_ids": segments, "padding_mask": (ids != PAD)}
            if what == "training":
                model.train_on_batch(x, labels)
            else:
                model.predict_on_batch(x)

    return run


def keras_hub_xla(task, size, batch):
    return keras_hub(task, size, batch, xla=True)


def hugging_face(task, size, batch):
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(SEED)
    layers, width = SIZES[size]
    config = BertConfig(
        vocab_size=VOCABULARY,
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
    )
    model = BertForSequenceClassification(config)
    vectors = [p for p in model.parameters() if p.ndim < 2]
    matrices = [p for p in model.parameters() if p.ndim > 1]
    groups = [
        {"params": matrices, "weight_decay": DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    what, _, lengths = task.partition(", ")
    batches = peer_batches(lengths, batch)
    model.train(what == "training")

    def run():
        for ids, segments, labels in batches:
            ids, segments, labels = (torch.from_numpy(x).long() for x in (ids, segments, labels))
            given = {"input_ids": ids, "token_type_ids": segments, "attention_mask": (ids != PAD)}
            given["attention_mask"] = given["attention_mask"].long()
            if what == "training":
                model(**given, labels=labels).loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                optimizer.step()
                optimizer.zero_grad()
            else:
                with torch.inference_mode():
                    model(**given).logits.numpy()

    return run


PEERS = {
    "ours": ours,
    "torch": hugging_face,
    "keras-hub": keras_hub,
    "keras-hub, XLA": keras_hub_xla,
}


def serve(name):
    """A peer's process: for each line with a case, one pass through the texts, and its seconds."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    runs = {}
    print("ready", flush=True)
    for line in sys.stdin:
        case = tuple(json.loads(line))
        try:
            if case not in runs:
                runs[case] = PEERS[name](*case)
                runs[case]()  # compiles, and makes the optimizer's variables
                print("warm", flush=True)
                continue
            began = time.perf_counter()
            runs[case]()
            print(time.perf_counter() - began, flush=True)
        except ImportError as error:
            print(f"not there: {error}", flush=True)


class Worker:
    def __init__(self, name):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.process.stdout.readline()

    def __call__(self, case):
        """Seconds of one pass, or what kept it from running."""
        try:
            self.process.stdin.write(json.dumps(case) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return "not there"
        return self.process.stdout.readline().strip() or "not there"

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(arguments.serve)
    if any(TEXTS % size for size in arguments.batches):
        parser.error(f"--batches: each has to divide {TEXTS}")

    from rich.console import Console
    from rich.table import Table

    from course import runtime

    workers = {name: Worker(name) for name in arguments.only}
    rows = []
    for size in arguments.sizes:
        for batch in arguments.batches:
            for task in TASKS:
                case, times = (task, size, batch), {name: [] for name in workers}
                for name, worker in list(workers.items()):
                    if (told := worker(case)) != "warm":
                        print(f"{name}: {told}", file=sys.stderr)
                        worker.close()
                        del workers[name], times[name]
                for _ in range(arguments.rounds):
                    for name, worker in workers.items():
                        times[name].append(float(worker(case)))
                medians = {name: statistics.median(found) for name, found in times.items()}
                rows.append(
                    {
                        "task": task,
                        "size": size,
                        "batch": batch,
                        "texts_a_second": {n: round(TEXTS / t, 1) for n, t in medians.items()},
                    }
                )
                print(f"{task}, {size}, batch {batch}: done", file=sys.stderr)
    for worker in workers.values():
        worker.close()

    table = Table(title=f"texts a second, float32; {runtime.hardware()}")
    for column in ("task", "size", "batch", *workers, "to the best peer"):
        table.add_column(column, justify="left" if column == "task" else "right")
    for row in rows:
        found = row["texts_a_second"]
        best = max((speed for name, speed in found.items() if name != "ours"), default=None)
        row["ratio"] = round(found["ours"] / best, 2) if best and "ours" in found else None
        told = [f"{found[name]:,.0f}" for name in workers]
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        table.add_row(row["task"], row["size"], str(row["batch"]), *told, ratio)
    Console(width=110).print(table)
    if arguments.record:
        result = {
            "command": "python benchmarks/fine_tuning_step.py --record",
            "hardware": runtime.hardware(),
            "seed": SEED,
            "rounds": arguments.rounds,
            "rows": rows,
        }
        record("fine_tuning_step", result)
    return None


if __name__ == "__main__":
    main()
