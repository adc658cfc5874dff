"""What share of a step each function of `course.kernels` saves, beside its plain form.

    python benchmarks/kernels.py [--record] [--rounds 15] [--only gelu top_k]

The steps are those in which the function matters: pretraining a small BERT (dropout, layer norm,
GELU, AdamW), training a small translator (cross-entropy in parts) and its beam search (top k). Each
step is compiled twice, with the fast form and with the plain one, and the two take turns. The share
is (plain - fast) / plain of the medians; a function that saves less than 5 % is to be deleted.
`--record` writes benchmarks/results/kernels.json.
"""

import contextlib

import numpy as np
from _harness import arguments_parser, in_turns, medians, print_table, record

SEED, VOCABULARY, WORTH = 0, 8000, 0.05


@contextlib.contextmanager
def plain(name):
    """Everything that is built or traced inside computes with the plain form of `name`."""
    from course import kernels
    from course.kernels import regularization

    def adamw_update(weight, *arguments, assign=None, **settings):
        m, v = arguments[1:3]
        values = kernels.plain_adamw_update(weight, *arguments, **settings)
        for variable, value in zip((weight, m, v), values, strict=True):
            variable.assign(value) if assign is None else assign(variable, value)

    # The layer `Dropout` looks its function up in its own module.
    place = regularization if name == "dropout" else kernels
    fast = getattr(place, name)
    twin = adamw_update if name == "adamw_update" else getattr(kernels, f"plain_{name}")
    setattr(place, name, twin)
    try:
        yield
    finally:
        setattr(place, name, fast)


def pretraining_step():
    """One update of a BERT of 4 layers and width 256, on 16 rows of 128 ids."""
    from course import runtime
    from course.pretraining import BertEncoder, BertForPretraining
    from course.training.optimizers import adamw

    runtime.seed_everything(SEED)
    rng = np.random.default_rng(SEED)
    model = BertForPretraining(BertEncoder.official("mini", VOCABULARY))
    model.compile(adamw(model, 1e-4), jit_compile=runtime.jit_compile())
    ids = rng.integers(5, VOCABULARY, (16, 128)).astype("int32")
    places = np.sort(rng.integers(0, 128, (16, 20)), axis=1).astype("int32")
    labels = rng.integers(5, VOCABULARY, (16, 20)).astype("int32")
    inputs = (ids, np.zeros_like(ids), places)
    targets = (labels, rng.integers(0, 2, 16).astype("int32"))
    return lambda: model.train_on_batch(inputs, targets)


def translator():
    from course import runtime
    from course.transformer import Transformer

    runtime.seed_everything(SEED)
    return Transformer(2, 128, 4, 512, VOCABULARY, VOCABULARY)


def translation_step():
    """One update of a translator of 2 + 2 layers and width 128, on 64 pairs of 32 ids."""
    import keras

    from course import runtime
    from course.translation import TeacherForcing

    model = TeacherForcing(translator())
    model.compile(keras.optimizers.Adam(1e-4), jit_compile=runtime.jit_compile())
    rng = np.random.default_rng(SEED)
    source, target, labels = rng.integers(4, VOCABULARY, (3, 64, 32)).astype("int32")
    return lambda: model.train_on_batch((source, target), labels)


def beam_search():
    """A beam search of 4 beams over 32 sentences, 20 ids each."""
    from course import decoding

    model = translator()
    source = np.random.default_rng(SEED).integers(4, VOCABULARY, (32, 20)).astype("int32")
    settings = {"max_length": 20, "start_id": 1, "end_id": -1, "num_beams": 4}
    return lambda: np.asarray(decoding.beam_search(model, source, **settings)[1])


STEPS = {
    "dropout": pretraining_step,
    "layer_norm": pretraining_step,
    "gelu": pretraining_step,
    "adamw_update": pretraining_step,
    "summed_cross_entropy": translation_step,
    "top_k": beam_search,
}


def measure(name, rounds):
    """Seconds of the step with the fast form and with the plain one: medians of turns."""
    calls = {"fast": STEPS[name]()}
    calls["fast"]()
    with plain(name):
        calls["plain"] = STEPS[name]()
        calls["plain"]()  # traced here
    return medians(in_turns(calls, rounds))


def main():
    parser = arguments_parser(__doc__, "kernels")
    parser.add_argument("--rounds", type=int, default=15, help="times that each step is timed")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS))
    arguments = parser.parse_args()

    import keras

    from course import runtime

    rows = {}
    for name in arguments.only:
        seconds = measure(name, arguments.rounds)
        share = 1 - seconds["fast"] / seconds["plain"]
        rows[name] = {
            "step": STEPS[name].__name__,
            "plain_seconds": round(seconds["plain"], 5),
            "fast_seconds": round(seconds["fast"], 5),
            "share": round(share, 4),
        }
    title = f"{keras.backend.backend()}, float32; {runtime.hardware()}"
    columns = ("function", "step", "plain, ms", "fast, ms", "saved", "")
    table = [
        (
            name,
            row["step"].replace("_", " "),
            f"{1000 * row['plain_seconds']:.1f}",
            f"{1000 * row['fast_seconds']:.1f}",
            f"{row['share']:.1%}",
            "" if row["share"] >= WORTH else f"under {WORTH:.0%}: delete it",
        )
        for name, row in rows.items()
    ]
    print_table(title, columns, table)
    if arguments.record:
        result = {"backend": keras.backend.backend(), "rounds": arguments.rounds, "rows": rows}
        record("kernels", result)


if __name__ == "__main__":
    main()
