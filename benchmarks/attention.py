"""Forward time of attention and of its projections against length, beside Keras' own layer.

    python benchmarks/attention.py [--record]

Prints a table: median milliseconds of the attention alone (scores, softmax, weighted mean), of the
four projections alone, and of our MultiHeadAttention and keras.layers.MultiHeadAttention, each
called eagerly and compiled into a graph (tf.function or jax.jit, as training does), all in one run,
interleaved. `--record` writes benchmarks/results/attention_cost.json, which lesson 02 shows.
"""

import sys

import numpy as np
from _harness import arguments_parser, in_turns, medians, record

LENGTHS = (128, 256, 512, 1024, 2048, 4096)
D_MODEL, NUM_HEADS, REPEATS, SEED = 256, 4, 9, 0


def timers(length):
    """Functions without arguments, each doing one forward pass for one sentence of `length`."""
    import keras
    from keras import ops

    from course.attention import MultiHeadAttention, scaled_dot_product_attention

    x = keras.random.normal((1, length, D_MODEL), seed=SEED)
    heads = keras.random.normal((1, NUM_HEADS, length, D_MODEL // NUM_HEADS), seed=SEED)
    kernels = [keras.random.normal((D_MODEL, D_MODEL), seed=i) for i in range(4)]
    ours = MultiHeadAttention(NUM_HEADS, D_MODEL)
    theirs = keras.layers.MultiHeadAttention(NUM_HEADS, D_MODEL // NUM_HEADS)

    if keras.backend.backend() == "jax":
        import jax

        in_graph = jax.jit
    else:
        import tensorflow as tf

        in_graph = tf.function
    ours(x), theirs(x, x)  # weights are made outside of a graph
    graph, their_graph = in_graph(lambda x: ours(x)), in_graph(lambda x: theirs(x, x))

    def wait(*tensors):
        return [ops.convert_to_numpy(tensor[..., :1, :1]) for tensor in tensors]

    return {
        "attention": lambda: wait(scaled_dot_product_attention(heads, heads, heads)),
        "projections": lambda: wait(*(ops.matmul(x, kernel) for kernel in kernels)),
        "ours": lambda: wait(ours(x)),
        "keras": lambda: wait(theirs(x, x)),
        "ours compiled": lambda: wait(graph(x)),
        "keras compiled": lambda: wait(their_graph(x)),
    }


def measure(length):
    """Median milliseconds of each timer, their repeats interleaved."""
    calls = timers(length)
    seconds = medians(in_turns(calls, REPEATS))
    return {name: 1000 * value for name, value in seconds.items()}


def main():
    parser = arguments_parser(__doc__, "attention_cost")
    arguments = parser.parse_args()

    from rich.console import Console
    from rich.table import Table

    from course import runtime

    runtime.start()
    table = Table(title=f"milliseconds, d_model {D_MODEL}, {NUM_HEADS} heads, batch 1, float32")
    shown = ("attention", "projections", "ours", "keras", "ours compiled", "keras compiled")
    for column in ("length", *shown, "ratio"):
        table.add_column(column, justify="right")
    rows = []
    for length in LENGTHS:
        row = measure(length)
        rows.append(row)
        ratio = row["keras compiled"] / row["ours compiled"]
        table.add_row(f"{length:,}", *(f"{row[n]:.2f}" for n in shown), f"{ratio:.2f}")
        print(f"{length} done", file=sys.stderr)
    Console(width=90).print(table)
    print("ratio: Keras' time over ours, both compiled")

    exponent = {
        name: float(np.polyfit(np.log(LENGTHS[2:]), np.log([r[name] for r in rows[2:]]), 1)[0])
        for name in ("attention", "projections")
    }
    for name, value in exponent.items():
        print(f"{name}: time grows as length ** {value:.2f} from length {LENGTHS[2]} on")
    if arguments.record:
        result = {
            "command": "python benchmarks/attention.py --record",
            "hardware": runtime.hardware(),
            "seed": SEED,
            "d_model": D_MODEL,
            "num_heads": NUM_HEADS,
            "lengths": list(LENGTHS),
            "exponent": exponent,
        } | {
            f"{name.replace(' ', '_')}_ms": [round(row[name], 3) for row in rows]
            for name in rows[0]
        }
        record("attention_cost", result)


if __name__ == "__main__":
    main()
