"""What a masked language model learns by heart when it reads few texts again and again.

    python benchmarks/pretraining_heart.py [--record] [--steps 1500] [--seed 0]

A model of one block, width 64, is pretrained on all 6,000 verdicts of the embedded world, and for
as many steps on the first 200 of them. From time to time it is asked for names that are hidden, in
texts of its own training and in new ones: how often the right name is ranked first of all names.
`--record` writes benchmarks/results/pretraining_heart.json, which lesson 07 shows.
"""

import time

import numpy as np
from _harness import arguments_parser, record

FEW, ROUNDS, LENGTH, BATCH = 200, 5, 48, 16


def recipe_of(steps, seed):
    """One block, small enough for a minute on two cores."""
    from course.pretraining import Recipe

    return Recipe(
        num_layers=1,
        d_model=64,
        num_heads=2,
        d_ff=128,
        dropout=0.0,
        stddev=0.125,
        max_positions=64,
        max_length=LENGTH,
        batch_size=BATCH,
        multiple=LENGTH,
        max_steps=steps,
        warmup_steps=steps // 10,
        learning_rate=5e-3,
        beta_2=0.98,
        seed=seed,
    )


def with_one_name(corpus, tokenizer, names):
    """Rows that hold one name, which is hidden: inputs of the model, and the names' ids."""
    from course.pretraining import PretrainingBatches, draw_pairs

    batches = PretrainingBatches(corpus, tokenizer, max_length=LENGTH, shuffle=False)
    rng = np.random.default_rng(0)
    pairs = draw_pairs(corpus.sentences, corpus.documents, LENGTH - 3, rng)
    ids, segments = batches.packed(pairs, LENGTH)
    is_name = np.isin(ids, names)
    rows = is_name.sum(axis=1) == 1
    ids, segments, is_name = ids[rows], segments[rows], is_name[rows]
    places = is_name.argmax(axis=1)[:, None].astype("int32")
    return (np.where(is_name, tokenizer.mask_id, ids).astype("int32"), segments, places), ids[
        is_name
    ]


def found(model, rows, wanted, names):
    """How often the right name is ranked first of all names."""
    from keras import ops

    hits = []
    for start in range(0, len(wanted), 256):
        part = tuple(array[start : start + 256] for array in rows)
        logits = ops.convert_to_numpy(model(part)[0])[:, 0, names]
        hits.append(names[logits.argmax(axis=1)] == wanted[start : start + 256])
    return round(float(np.concatenate(hits).mean()), 4)


def main():
    parser = arguments_parser(__doc__, "pretraining_heart")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    from course import runtime

    runtime.start()

    from course import data, training
    from course.pretraining import Corpus, documents
    from course.tokens import Tokenizer

    recipe = recipe_of(arguments.steps, arguments.seed)
    texts = list(documents(["world-verdicts"]))
    tokenizer = Tokenizer.learn([s for text in texts for s in text], 4000)
    stories = data.load("world-stories", "train")
    people = {person["name"] for row in stories for person in row["facts"]["people"]}
    pieces = [tokenizer.encode(name, special=False) for name in sorted(people)]
    names = np.array([ids[0] for ids in pieces if len(ids) == 1])
    new = with_one_name(
        Corpus.of(documents(["world-verdicts/validation"]), tokenizer), tokenizer, names
    )

    results = {}
    for count in (len(texts), FEW):
        began = time.process_time()
        corpus = Corpus.of(texts[:count], tokenizer)
        own = with_one_name(Corpus.of(texts[:FEW], tokenizer), tokenizer, names)
        runtime.seed_everything(recipe.seed)
        model = recipe.model(tokenizer.vocab_size)
        model.compile(recipe.optimizer(model), jit_compile=runtime.jit_compile())
        batches = recipe.batches(corpus, tokenizer)
        rounds = training.Rounds(batches, recipe.max_steps // ROUNDS)
        lines = {"own": [], "new": [], "masked_loss": []}
        for number in range(ROUNDS):
            rounds.round = number
            log = model.fit(rounds, verbose=0, shuffle=False)
            lines["masked_loss"].append(round(float(log.history["masked_loss"][0]), 4))
            for name, rows in (("own", own), ("new", new)):
                lines[name].append(found(model, *rows, names))
        passes = round(recipe.max_steps / len(batches), 1)
        results[count] = lines | {"passes": passes}
        print(f"{count}: {time.process_time() - began:.0f} s, {results[count]}", flush=True)

    if arguments.record:
        result = {
            "command": "python benchmarks/pretraining_heart.py --record "
            f"--steps {arguments.steps} --seed {arguments.seed}",
            "hardware": runtime.hardware(),
            "seed": arguments.seed,
            "steps": [recipe.max_steps // ROUNDS * (k + 1) for k in range(ROUNDS)],
            "names": len(names),
            "rows": {"own": len(own[1]), "new": len(new[1])},
            "runs": results,
        }
        record("pretraining_heart", result)


if __name__ == "__main__":
    main()
