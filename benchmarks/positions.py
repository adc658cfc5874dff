"""How far each position encoding reaches past the length that it was trained on.

    python benchmarks/positions.py [--record] [--steps 1500] [--seed 0]

A causal language model of two small layers is trained on windows of 32 words of the embedded
stories, once for each encoding and once without. Then the same words of the test stories are
predicted with 8 to 128 words in view. Prints the accuracy of each, and the perplexity; `--record`
writes benchmarks/results/positions_reach.json, which lesson 03 shows.
"""

import re
import time
from collections import Counter

import numpy as np
from _harness import arguments_parser, record

TRAINED, LENGTHS = 32, (8, 16, 24, 32, 48, 64, 96, 128)
D_MODEL, NUM_HEADS, NUM_LAYERS, BATCH, VOCABULARY = 64, 4, 2, 64, 2000
KINDS = ("none", "waves", "learned", "rotary", "ALiBi")


def words_of(split):
    """The words of a split's stories, one stream; punctuation marks are words."""
    from course import data

    stories = (row["text"] for row in data.load("world-stories", split))
    return [word for story in stories for word in re.findall(r"\w+|[^\w\s]", story.lower())]


def language_model(kind):
    """Ids `(batch, length)` → scores of the next word `(batch, length, VOCABULARY)`."""
    import keras
    from keras import ops

    from course.attention import MultiHeadAttention, causal_mask
    from course.positions import AddPositions

    class LanguageModel(keras.Model):
        def __init__(self):
            super().__init__()
            self.embed = keras.layers.Embedding(VOCABULARY, D_MODEL)
            self.places = {
                "waves": AddPositions("sinusoidal", max_length=max(LENGTHS)),
                "learned": AddPositions("learned", max_length=max(LENGTHS)),
            }.get(kind)
            dense, norm = keras.layers.Dense, keras.layers.LayerNormalization
            inside = {"rotary": "rotary", "ALiBi": "alibi"}.get(kind)
            self.layers_ = [
                (
                    norm(),
                    MultiHeadAttention(NUM_HEADS, D_MODEL, positions=inside),
                    norm(),
                    dense(4 * D_MODEL, activation="relu"),
                    dense(D_MODEL),
                )
                for _ in range(NUM_LAYERS)
            ]
            self.final, self.scores = norm(), dense(VOCABULARY)

        def call(self, ids):
            x = self.embed(ids) * D_MODEL**0.5
            x = self.places(x) if self.places else x
            mask = causal_mask(ops.shape(ids)[1])
            for norm, attend, norm_2, widen, narrow in self.layers_:
                x = x + attend(norm(x), attention_mask=mask)
                x = x + narrow(widen(norm_2(x)))
            return self.scores(self.final(x))

    model = LanguageModel()
    model(ops.zeros((1, TRAINED), "int32"))
    return model


def train(kind, stream, steps, seed):
    """A model of this kind after so many steps on random windows; its last loss."""
    import keras

    from course import runtime

    keras.utils.set_random_seed(seed)
    model = language_model(kind)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, steps, 0.0, "cosine", 3e-3, steps // 10)
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.01, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=runtime.jit_compile(),
    )
    starts = np.random.default_rng(seed).integers(0, len(stream) - TRAINED - 1, (steps, BATCH))
    losses = []
    for row in starts:
        windows = stream[row[:, None] + np.arange(TRAINED + 1)]  # (BATCH, TRAINED + 1)
        losses.append(float(model.train_on_batch(windows[:, :-1], windows[:, 1:])))
    return model, float(np.mean(losses[-100:]))


def measure(model, stream, targets):
    """{length: (accuracy, perplexity)} of the same target words with that many words in view."""
    import keras
    from keras import ops

    found = {}
    for length in LENGTHS:
        hits, surprise = [], []
        for part in np.array_split(targets, max(1, len(targets) // 250)):
            view = stream[part[:, None] + np.arange(-length, 0)]  # (part, length)
            scores = model.predict_on_batch(view)[:, -1]  # (part, VOCABULARY)
            hits.append(scores.argmax(-1) == stream[part])
            losses = keras.losses.sparse_categorical_crossentropy(
                stream[part], scores, from_logits=True
            )
            surprise.append(ops.convert_to_numpy(losses))
        mean = float(np.concatenate(surprise).mean())
        found[length] = float(np.concatenate(hits).mean()), float(np.exp(mean))
    return found


def main():
    parser = arguments_parser(__doc__, "positions_reach")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    from rich.console import Console
    from rich.table import Table

    from course import runtime

    runtime.start()
    train_words, test_words = words_of("train"), words_of("test")
    common = [word for word, _ in Counter(train_words).most_common(VOCABULARY - 1)]
    numbers = {word: i for i, word in enumerate(common, start=1)}  # 0: a rarer word
    train_ids, test_ids = (
        np.array([numbers.get(word, 0) for word in words], "int32")
        for words in (train_words, test_words)
    )
    targets = np.arange(max(LENGTHS), len(test_ids), 7)[:4000]
    baseline = float((test_ids[targets] == np.bincount(train_ids).argmax()).mean())

    table = Table(title=f"next words predicted (%), trained on {TRAINED} words, perplexity below")
    for column in ("encoding", "train loss", *map(str, LENGTHS), "seconds"):
        table.add_column(column, justify="right")
    results = {}
    for kind in KINDS:
        began = time.perf_counter()
        model, loss = train(kind, train_ids, arguments.steps, arguments.seed)
        results[kind] = measure(model, test_ids, targets)
        seconds = time.perf_counter() - began
        cells = [f"{100 * a:.1f}\n{p:.1f}" for a, p in results[kind].values()]
        table.add_row(kind, f"{loss:.2f}", *cells, f"{seconds:.0f}")
        print(f"{kind}: {seconds:.0f} s", flush=True)
    Console(width=110).print(table)
    print(f"{len(targets):,} target words; the commonest word every time: {baseline:.1%}")
    if arguments.record:
        result = {
            "command": f"python benchmarks/positions.py --record --steps {arguments.steps} "
            f"--seed {arguments.seed}",
            "hardware": runtime.hardware(),
            "seed": arguments.seed,
            "trained_length": TRAINED,
            "lengths": list(LENGTHS),
            "targets": len(targets),
            "baseline": round(baseline, 4),
            "accuracy": {k: [round(a, 4) for a, _ in r.values()] for k, r in results.items()},
            "perplexity": {k: [round(p, 2) for _, p in r.values()] for k, r in results.items()},
        }
        record("positions_reach", result)


if __name__ == "__main__":
    main()
