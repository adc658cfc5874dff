"""Time of a training step and of a forward pass of a small Transformer, by length and by batch.

    python benchmarks/transformer_cost.py [--record] [--repeats 7]

The model is the one of the training benchmark: 4 + 4 blocks, d_model 128, d_ff 512, 8 heads, two
vocabularies of 8,000. Source and target have the same length and no padding. Prints medians, the
floating-point operations counted by formula and how many of them are done in a second;
`--record` writes benchmarks/results/transformer_cost.json, which lesson 04 shows.
"""

import statistics
import sys
import time

import numpy as np
from _harness import arguments_parser, record

NUM_LAYERS, D_MODEL, NUM_HEADS, D_FF, VOCABULARY = 4, 128, 8, 512, 8000
LENGTHS, BATCH = (8, 16, 32, 64, 128, 256), 16
BATCHES, LENGTH = (1, 4, 16, 64), 32
SEED = 0


def forward_flops(batch, length):
    """Floating-point operations of the matrix products of one forward pass.

    Each weight of a matrix takes a multiplication and an addition for each position; scores and
    weighted means take 4 · length² · d_model for each attention.
    """
    attention, network = 4 * D_MODEL**2, 2 * D_MODEL * D_FF
    encoder, decoder = attention + network, 2 * attention + network
    weights = NUM_LAYERS * (encoder + decoder) + D_MODEL * VOCABULARY
    pairs = 3 * NUM_LAYERS * 4 * length**2 * D_MODEL  # 3: one attention here, two there
    return batch * (2 * length * weights + pairs)


def translator():
    """The compiled model."""
    import keras

    from course import runtime
    from course.transformer import Transformer

    keras.utils.set_random_seed(SEED)
    sizes = (NUM_LAYERS, D_MODEL, NUM_HEADS, D_FF, VOCABULARY, VOCABULARY)
    model = Transformer(*sizes, dropout=0.1)
    model.compile(
        keras.optimizers.Adam(1e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=runtime.jit_compile(),
    )
    return model


def measure(model, batch, length, repeats):
    """Median milliseconds of a training step and of a forward pass, interleaved."""
    rng = np.random.default_rng(SEED)
    source, target, labels = rng.integers(1, VOCABULARY, (3, batch, length)).astype("int32")
    calls = {
        "step": lambda: float(model.train_on_batch((source, target), labels)),
        "forward": lambda: model.predict_on_batch((source, target))[0, 0, 0],
    }
    times = {name: [] for name in calls}
    for repeat in range(repeats + 2):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if repeat >= 2:  # the first calls compile and warm up
                times[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    parser = arguments_parser(__doc__, "transformer_cost")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()

    from rich.console import Console
    from rich.table import Table

    from course import runtime

    runtime.start()
    model = translator()
    table = Table(title=f"{NUM_LAYERS} + {NUM_LAYERS} blocks, d_model {D_MODEL}, float32")
    for column in ("batch", "length", "step ms", "forward ms", "forward GFLOP", "step GFLOP/s"):
        table.add_column(column, justify="right")
    shapes = dict.fromkeys([(BATCH, n) for n in LENGTHS] + [(b, LENGTH) for b in BATCHES])
    for batch, length in shapes:
        took = shapes[batch, length] = measure(model, batch, length, arguments.repeats)
        giga = forward_flops(batch, length) / 1e9
        rate = 3 * giga / took["step"] * 1000  # backwards there are two products for each one
        cells = (f"{took['step']:.1f}", f"{took['forward']:.1f}", f"{giga:.3f}", f"{rate:.0f}")
        table.add_row(f"{batch}", f"{length}", *cells)
        print(f"batch {batch}, length {length} done", file=sys.stderr)
    Console(width=90).print(table)
    if arguments.record:
        result = {
            "command": "python benchmarks/transformer_cost.py --record",
            "hardware": runtime.hardware(),
            "seed": SEED,
            "num_layers": NUM_LAYERS,
            "d_model": D_MODEL,
            "num_heads": NUM_HEADS,
            "d_ff": D_FF,
            "vocabulary": VOCABULARY,
            "by_length": {"batch": BATCH, "lengths": list(LENGTHS)},
            "by_batch": {"length": LENGTH, "batches": list(BATCHES)},
        }
        for part, keys in (
            ("by_length", [(BATCH, n) for n in LENGTHS]),
            ("by_batch", [(b, LENGTH) for b in BATCHES]),
        ):
            for name in ("step", "forward"):
                result[part][f"{name}_ms"] = [round(shapes[key][name], 2) for key in keys]
            result[part]["forward_gflop"] = [round(forward_flops(*key) / 1e9, 4) for key in keys]
        record("transformer_cost", result)


if __name__ == "__main__":
    main()
