"""What each part of BERT's pretraining is worth, one changed at a time.

    python benchmarks/pretraining_parts.py [--record] [--steps 480] [--seed 0]

The tiny model of lesson 07 is pretrained on the verdicts of the embedded world: as BERT is, and
with one part changed: every chosen token behind [MASK], 5 % or 40 % of the tokens chosen,
no warm-up, first weights as small as BERT's, no next sentence. All are judged on the same draws of
the validation text, 15 % with 80/10/10: the loss, and how often a token is right that is hidden,
that was replaced, that stayed. `--record` writes benchmarks/results/pretraining_parts.json, which
lesson 07 shows.
"""

import time
from dataclasses import replace

import numpy as np
from _harness import arguments_parser, record

DRAWS = 4  # of masks over the validation text


def recipe_of(steps, seed):
    """The lesson's recipe."""
    from course.pretraining import Recipe

    return Recipe(
        num_layers=1,
        d_model=64,
        num_heads=2,
        d_ff=128,
        dropout=0.0,
        stddev=0.125,
        max_positions=64,
        max_length=48,
        batch_size=32,
        multiple=16,
        max_steps=steps,
        warmup_steps=steps // 10,
        learning_rate=1e-2,
        beta_2=0.98,
        seed=seed,
    )


def trained(recipe, corpus, tokenizer, masking, alone):
    """The model after its steps; `alone` leaves the next sentence out of the loss."""
    import keras
    from keras import ops

    from course import runtime, training
    from course.pretraining import BertForPretraining, PretrainingBatches

    class MaskedAlone(BertForPretraining):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            both = super().compute_loss(x, y, y_pred, sample_weight, training)
            following = ops.sparse_categorical_crossentropy(y[1], y_pred[1], from_logits=True)
            return both - ops.mean(following)

    runtime.seed_everything(recipe.seed)
    model = recipe.model(tokenizer.vocab_size)
    model = MaskedAlone(model.encoder) if alone else model
    model.compile(recipe.optimizer(model), jit_compile=runtime.jit_compile())
    batches = PretrainingBatches(
        corpus,
        tokenizer,
        masking,
        batch_size=recipe.batch_size,
        max_length=recipe.max_length,
        multiple=recipe.multiple,
        seed=recipe.seed,
    )
    rounds = training.Rounds(batches, recipe.max_steps // 10)

    class Round(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            rounds.round = epoch

    log = model.fit(rounds, epochs=10, verbose=0, shuffle=False, callbacks=[Round()])
    return model, [round(float(x), 4) for x in log.history["masked_loss"]]


def judged(model, recipe, corpus, tokenizer):
    """Loss and accuracy of chosen tokens, and the accuracy of each kind by itself."""
    from keras import ops

    from course.pretraining import PretrainingBatches

    losses, hits, kinds = [], [], []
    for draw in range(DRAWS):
        batches = PretrainingBatches(
            corpus, tokenizer, max_length=recipe.max_length, shuffle=False, seed=1000 + draw
        )
        for index in range(len(batches)):
            (ids, segments, places), (labels, _) = batches[index]
            logits, _ = model((ids, segments, places))
            log_p = ops.convert_to_numpy(ops.log_softmax(logits))
            real = labels != 0
            shown = np.take_along_axis(ids, places, 1)
            kind = np.where(shown == tokenizer.mask_id, 0, np.where(shown == labels, 2, 1))
            losses.append(-np.take_along_axis(log_p, labels[..., None], -1)[..., 0][real])
            hits.append((log_p.argmax(-1) == labels)[real])
            kinds.append(kind[real])
    losses, hits, kinds = (np.concatenate(part) for part in (losses, hits, kinds))
    found = {"loss": float(losses.mean()), "accuracy": float(hits.mean())}
    for number, name in enumerate(("hidden", "replaced", "stayed")):
        found[name] = float(hits[kinds == number].mean())
    return {name: round(figure, 4) for name, figure in found.items()}


def main():
    parser = arguments_parser(__doc__, "pretraining_parts")
    parser.add_argument("--steps", type=int, default=480)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    from course import runtime

    runtime.start()

    from course.pretraining import Corpus, Masking, documents
    from course.tokens import Tokenizer

    recipe = recipe_of(arguments.steps, arguments.seed)
    texts = list(documents(["world-verdicts"]))
    tokenizer = Tokenizer.learn([s for text in texts for s in text], 4000)
    corpus = Corpus.of(texts, tokenizer)
    held_out = Corpus.of(documents(["world-verdicts/validation"]), tokenizer)
    plain = Masking(tokenizer)
    runs = {
        "all as BERT": (recipe, plain, False),
        "always [MASK]": (recipe, Masking(tokenizer, mask_share=1.0, random_share=0.0), False),
        "5 % chosen": (recipe, Masking(tokenizer, 0.05), False),
        "40 % chosen": (recipe, Masking(tokenizer, 0.4), False),
        "no warm-up": (replace(recipe, warmup_steps=0), plain, False),
        "weights begin at 0.02": (replace(recipe, stddev=0.02), plain, False),
        "no next sentence": (recipe, plain, True),
    }
    results = {}
    for name, (settings, masking, alone) in runs.items():
        began = time.process_time()
        model, log = trained(settings, corpus, tokenizer, masking, alone)
        results[name] = {"training": log} | judged(model, settings, held_out, tokenizer)
        print(f"{name}: {time.process_time() - began:.0f} s, {results[name]}", flush=True)

    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{len(texts):,} verdicts, {recipe.max_steps} steps")
    columns = ("loss", "accuracy", "hidden", "replaced", "stayed")
    for column in ("run", *columns):
        table.add_column(column, justify="right")
    for name, found in results.items():
        table.add_row(name, *(str(found[column]) for column in columns))
    Console(width=110).print(table)
    if arguments.record:
        result = {
            "command": "python benchmarks/pretraining_parts.py --record "
            f"--steps {arguments.steps} --seed {arguments.seed}",
            "hardware": runtime.hardware(),
            "seed": arguments.seed,
            "verdicts": len(texts),
            "vocabulary": tokenizer.vocab_size,
            "steps": [recipe.max_steps // 10 * (k + 1) for k in range(10)],
            "runs": results,
        }
        record("pretraining_parts", result)


if __name__ == "__main__":
    main()
