"""What each part of the training recipe of lesson 05 is worth, one left out at a time.

    python benchmarks/translation_parts.py [--record] [--steps 300] [--seed 0]

The small translator of the lesson learns from the level-1 sentences of the embedded world,
English to German: as the lesson does it, with a constant learning rate, with one five times as
high, without label smoothing, and with padding counted in the loss. Prints the cross-entropy a
token on validation, BLEU of 300 validation sentences by greedy search, and how well the
probabilities are calibrated; `--record` writes benchmarks/results/translation_parts.json, which
lesson 05 shows.
"""

import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from _harness import arguments_parser, record

BINS = 10


def level_1(split):
    """The sentence pairs of a split that use the core words only."""
    from course import data

    rows = data.load("world-en-de", split)
    return [(row["source"], row["target"]) for row in rows if row["level"] == 1]


def recipe_of(steps, seed):
    """The lesson's recipe with fewer steps."""
    from course.translation import Recipe

    return Recipe(
        vocab_size=2000,
        kind="wordpiece",
        num_layers=2,
        d_model=64,
        num_heads=4,
        d_ff=128,
        dropout=0.0,
        max_tokens=1024,
        max_steps=steps,
        learning_rate=6e-3,
        warmup_steps=100,
        round_steps=steps // 10,
        seed=seed,
    )


def trainer(recipe, vocab_size, count_padding=False, rate=None):
    """A compiled `TeacherForcing`; `rate` replaces the schedule by a constant."""
    import keras
    from keras import ops

    from course import runtime
    from course.translation.loss import TeacherForcing, mean_of_real

    class PaddingCounted(TeacherForcing):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            logits = ops.cast(self.transformer.logits(y_pred), "float32")
            nll = ops.sparse_categorical_crossentropy(y, logits, from_logits=True)
            self.nll.update_state(mean_of_real(nll, y), ops.sum(ops.cast(y != 0, "float32")))
            return ops.mean(nll)  # over padded places, too

    runtime.seed_everything(recipe.seed)
    kind = PaddingCounted if count_padding else TeacherForcing
    model = kind(recipe.model(vocab_size), recipe.label_smoothing)
    optimizer = recipe.optimizer()
    if rate is not None:
        optimizer = keras.optimizers.Adam(rate, 0.9, recipe.beta_2, recipe.epsilon)
    model.compile(optimizer, jit_compile=runtime.jit_compile())
    return model


def calibration(model, batches):
    """Accuracy, mean confidence and expected calibration error of the next tokens."""
    from keras import ops

    sure, right = [], []
    for index in range(len(batches)):
        x, labels = batches[index]
        p = ops.convert_to_numpy(ops.softmax(model.transformer.logits(model(x))))
        real = labels != 0
        sure.append(p.max(-1)[real])
        right.append((p.argmax(-1) == labels)[real])
    sure, right = np.concatenate(sure), np.concatenate(right)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    apart = [abs((sure - right)[bins == b].sum()) for b in range(BINS)]
    return {
        "accuracy": round(float(right.mean()), 4),
        "confidence": round(float(sure.mean()), 4),
        "calibration_error": round(float(sum(apart) / len(sure)), 4),
    }


def main():
    parser = arguments_parser(__doc__, "translation_parts")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    from rich.console import Console
    from rich.table import Table

    from course import runtime

    runtime.start()

    from course import training
    from course.tokens import Tokenizer
    from course.translation import bleu, pair_batches, translate

    recipe = recipe_of(arguments.steps, arguments.seed)
    pairs, held_out = level_1("train"), level_1("validation")[:300]
    tokenizer = Tokenizer.learn(
        [text for pair in pairs for text in pair], recipe.vocab_size, recipe.kind, lowercase=False
    )
    validation = pair_batches(tokenizer, held_out, recipe.max_tokens, shuffle=False)
    plain = replace(recipe, label_smoothing=0.0)
    high = 5 * recipe.learning_rate
    runs = {
        "as in the lesson": (recipe, {}),
        f"constant rate {recipe.learning_rate:g}": (recipe, {"rate": recipe.learning_rate}),
        f"constant rate {high:g}": (recipe, {"rate": high}),
        "no smoothing": (plain, {}),
        "padding counted": (plain, {"count_padding": True}),
    }
    results = {}
    for name, (settings, options) in runs.items():
        began = time.perf_counter()
        model = trainer(settings, tokenizer.vocab_size, **options)
        batches = pair_batches(tokenizer, pairs, settings.max_tokens, seed=settings.seed)
        broke = None
        with tempfile.TemporaryDirectory() as folder:
            try:
                log = training.train(
                    model,
                    batches,
                    steps=settings.steps,
                    folder=folder,
                    round_steps=settings.round_steps,
                    validation=validation,
                    monitor="val_nll",
                    keep=1,
                )
            except ArithmeticError as error:
                broke = str(error).partition(":")[0]
                log = [json.loads(line) for line in (Path(folder) / "log.jsonl").open()]
        found = {"loss": [round(line["loss"], 4) for line in log]}
        found["val_nll"] = [round(line["val_nll"], 4) for line in log]
        found["broke"] = broke
        if broke is None:
            said = translate(model.transformer, tokenizer, [source for source, _ in held_out])
            found["bleu"] = round(bleu(said, [target for _, target in held_out])["score"], 1)
            found |= calibration(model, validation)
        results[name] = found
        print(f"{name}: {time.perf_counter() - began:.0f} s, {found}", flush=True)

    table = Table(title=f"{len(pairs):,} pairs, {recipe.max_steps} steps")
    columns = ("bleu", "val_nll", "loss", "accuracy", "confidence", "calibration_error")
    for column in ("run", *columns):
        table.add_column(column, justify="right")
    for name, found in results.items():
        last = {k: v[-1] if isinstance(v, list) and v else v for k, v in found.items()}
        table.add_row(name, *(str(last.get(column, "")) for column in columns))
    Console(width=110).print(table)
    if arguments.record:
        result = {
            "command": "python benchmarks/translation_parts.py --record "
            f"--steps {arguments.steps} --seed {arguments.seed}",
            "hardware": runtime.hardware(),
            "seed": arguments.seed,
            "pairs": len(pairs),
            "vocabulary": tokenizer.vocab_size,
            "peak": recipe.learning_rate,
            "warmup_steps": recipe.warmup_steps,
            "steps": [recipe.round_steps * (k + 1) for k in range(10)],
            "sentences": len(held_out),
            "padding": round(batches.padding, 3),
            "runs": results,
        }
        record("translation_parts", result)


if __name__ == "__main__":
    main()
