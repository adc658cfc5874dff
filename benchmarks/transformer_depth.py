"""How deep a stack learns: without residual connections, post-norm, pre-norm, with a warm-up.

    python benchmarks/transformer_depth.py [--record] [--steps 500] [--seed 0]

Stacks of 1 to 12 encoder blocks learn to write a sequence of 12 random ids backwards, each in the
same number of steps with the same learning rate. Prints the mean loss of the last 50 steps, and
that of guessing; `--record` writes benchmarks/results/transformer_depth.json for lesson 04.
"""

import math
import os
import time

import numpy as np
from _harness import arguments_parser, record

DEPTHS = (1, 3, 6, 12)
LENGTH, IDS, BATCH = 12, 16, 64
D_MODEL, NUM_HEADS, D_FF, LEARNING_RATE, WARMUP = 32, 4, 128, 1e-3, 200
KINDS = ("no residual", "post-norm", "post-norm with warm-up", "pre-norm")


def stack(kind, depth):
    """Ids `(batch, LENGTH)` → scores of the id at each place of the reversed sequence."""
    import keras

    from course.positions import AddPositions
    from course.transformer import Encoder, EncoderBlock

    class NoResidual(EncoderBlock):
        """A post-norm block that normalizes each sublayer's output and adds nothing to it."""

        def after(self, norm, x, out):
            return norm(out)

    class NoResiduals(Encoder):
        block = NoResidual

    make = NoResiduals if kind == "no residual" else Encoder
    norm = "pre" if kind == "pre-norm" else "post"
    ids = keras.Input((LENGTH,), dtype="int32")
    x = keras.layers.Embedding(IDS, D_MODEL, keras.initializers.RandomNormal(stddev=1.0))(ids)
    x = AddPositions()(x)  # (batch, LENGTH, D_MODEL)
    x = make(depth, D_MODEL, NUM_HEADS, D_FF, dropout=0.0, norm=norm)(x)
    return keras.Model(ids, keras.layers.Dense(IDS)(x))


def train(kind, depth, steps, seed):
    """The loss of each step."""
    import keras

    from course import runtime

    keras.utils.set_random_seed(seed)
    model = stack(kind, depth)
    rate = LEARNING_RATE
    if kind.endswith("with warm-up"):  # in a straight line from 0, then as the others
        rate = keras.optimizers.schedules.PolynomialDecay(0.0, WARMUP, LEARNING_RATE)
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=runtime.jit_compile(),
    )
    rng, losses = np.random.default_rng(seed), []
    for _ in range(steps):
        ids = rng.integers(0, IDS, (BATCH, LENGTH)).astype("int32")
        losses.append(float(model.train_on_batch(ids, ids[:, ::-1])))
    return losses


def write(loss, arguments):
    """Writes the result file with the depths that are done."""
    from course import runtime

    backend = os.environ["KERAS_BACKEND"]  # each draws its own first weights
    command = f"KERAS_BACKEND={backend} python benchmarks/transformer_depth.py --record"
    result = {
        "command": f"{command} --steps {arguments.steps} --seed {arguments.seed}",
        "hardware": runtime.hardware(),
        "seed": arguments.seed,
        "steps": arguments.steps,
        "learning_rate": LEARNING_RATE,
        "warmup_steps": WARMUP,
        "d_model": D_MODEL,
        "depths": list(DEPTHS[: len(loss[KINDS[0]])]),
        "guessing": round(math.log(IDS), 4),
        "loss": loss,
    }
    record("transformer_depth", result)


def main():
    parser = arguments_parser(__doc__, "transformer_depth")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    from rich.console import Console
    from rich.table import Table

    from course import runtime

    runtime.start()
    table = Table(title=f"loss after {arguments.steps} steps; guessing: {math.log(IDS):.2f}")
    for column in ("blocks", *KINDS, "seconds"):
        table.add_column(column, justify="right")
    loss = {kind: [] for kind in KINDS}
    for depth in DEPTHS:
        began = time.perf_counter()
        for kind in KINDS:
            losses = train(kind, depth, arguments.steps, arguments.seed)
            loss[kind].append(round(float(np.mean(losses[-50:])), 4))
        seconds = time.perf_counter() - began
        table.add_row(f"{depth}", *(f"{loss[kind][-1]:.3f}" for kind in KINDS), f"{seconds:.0f}")
        ends = {kind: values[-1] for kind, values in loss.items()}
        print(f"{depth} blocks: {seconds:.0f} s, {ends}", flush=True)
        if arguments.record:  # after each depth, so that an interrupted run leaves what it has
            write(loss, arguments)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
