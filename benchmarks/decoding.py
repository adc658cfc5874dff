"""How fast sentences are decoded: greedy and beam 4, against Marian and a loop without a cache.

    python benchmarks/decoding.py [--record] [--sentences 100] [--repeats 3] [--run FOLDER]

The model has 4 + 4 layers of width 128 and 8,000 ids, with random weights, or is that of a run of
`course train translation --set norm=post`, as Marian is (FOLDER). Hugging Face's Marian gets the
same weights and must return the same ids, so that all do the same work. With random weights the end
is kept out: every sentence is written to `--length` ids (32). A trained model ends sentences where
it would, and some never: they end at the length that `translate` allows, 1.5 times that of the
longest source plus 10. The sentences are Multi30k's where `COURSE_DATA` has them, else the embedded
world's. The loop without a cache is that of TensorFlow's Transformer tutorial, which reads source
and text again for each id, one sentence at a time; and the same for all sentences at once.

With random weights a last table is the time of one more id against the number of ids before it,
with and without a cache. `--record` writes benchmarks/results/decoding_speed.json, or with a run
decoding_trained.json; lesson 06 shows both.
"""

import argparse
import os
import re
import time
from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np
from _harness import record

SIZES = {"num_layers": 4, "d_model": 128, "num_heads": 8, "d_ff": 512}
VOCABULARY, PAD, END, FIRST_WORD = 8000, 0, 3, 4
START = PAD  # as in Marian; a trained model has a start symbol of its own
POSITIONS, BATCH = (8, 16, 32, 64, 128, 256, 512), 16
RESULTS = Path(__file__).parent / "results"


def settings(start=START):
    return {"start_id": start, "end_id": END, "pad_id": PAD, "suppress_ids": (PAD, start)}


def texts(count):
    """Real English sentences, and the name of the data."""
    from course import data

    try:
        name, column = "multi30k", "en"
        rows = data.load(name, "test_2016_flickr")
    except (data.DataError, OSError):
        name, column = "world-en-de", "source"
        rows = data.load(name, "test")
    return [row[column] for row in rows[:count]], name


def source_ids(count, tokenizer=None):
    """Ids `(count, length)` of real sentences, and the name of the data.

    Those of a tokenizer, or one id a word.
    """
    found, name = texts(count)
    if tokenizer is not None:
        rows = [ids[1:] for ids in tokenizer.encode_batch(found)]
    else:
        words = [re.findall(r"\w+|[^\w\s]", text.lower()) for text in found]
        known = Counter(word for text in words for word in text)
        known = known.most_common(VOCABULARY - FIRST_WORD)
        ids = {word: i + FIRST_WORD for i, (word, _) in enumerate(known)}
        rows = [[*(ids[word] for word in text), END] for text in words]
    source = np.full((len(rows), max(map(len, rows))), PAD, "int32")
    for row, ids in zip(source, rows, strict=True):
        row[: len(ids)] = ids
    return source, name


def trained_model(folder):
    """The model of a translation run, and its tokenizer."""
    from course.translation import load_translator

    translator = load_translator(folder)
    model, tokenizer = translator.model, translator.tokenizer
    if model.encoder.blocks[0].norm != "post" or model.tie_embeddings != "all":
        raise SystemExit(f"{folder}: Marian is post-norm, so train with --set norm=post")
    if (tokenizer.pad_id, tokenizer.end_id) != (PAD, END):
        raise SystemExit(f"{folder}: expected padding and end to be ids {PAD} and {END}")
    return model, tokenizer


def sizes_of(model):
    block = model.encoder.blocks[0]
    return {
        "num_layers": len(model.encoder.blocks),
        "d_model": model.target_embedding.embeddings.shape[1],
        "num_heads": block.self_attention.num_heads,
        "d_ff": block.feed_forward.inner.units,
        "vocabulary": model.target_embedding.embeddings.shape[0],
    }


def describe(folder):
    """What the weights of a run are, in words."""
    from course import training, translation

    recipe = training.load_recipe(folder, translation.Recipe)
    return f"a post-norm run of {recipe.max_steps:,} steps, peak {recipe.learning_rate}"


def our_model(seed):
    """A `Transformer` as Marian is laid out: one table of embeddings, a bias on the logits."""
    import keras

    from course.transformer import Transformer

    keras.utils.set_random_seed(seed)
    model = Transformer(
        **SIZES,
        source_vocab_size=VOCABULARY,
        target_vocab_size=VOCABULARY,
        tie_embeddings="all",
        output_bias=True,
        positions="learned",
        max_length=max(POSITIONS) + 1,
    )
    bias = np.zeros(VOCABULARY, "float32")
    bias[END] = -1e4  # so that everybody writes to the full length
    model.bias.assign(bias)
    return model


def marian_of(model, start=START):
    """A `MarianMTModel` of the same sizes with the same weights; `start` is its start symbol."""
    import torch
    from transformers import MarianConfig, MarianMTModel

    block = model.encoder.blocks[0]
    vocabulary, d_model = model.target_embedding.embeddings.shape
    config = MarianConfig(
        vocab_size=vocabulary,
        d_model=d_model,
        encoder_layers=len(model.encoder.blocks),
        decoder_layers=len(model.decoder.blocks),
        encoder_attention_heads=block.self_attention.num_heads,
        decoder_attention_heads=block.self_attention.num_heads,
        encoder_ffn_dim=block.feed_forward.inner.units,
        decoder_ffn_dim=block.feed_forward.inner.units,
        max_position_embeddings=model.max_length,
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=PAD,
        eos_token_id=END,
        forced_eos_token_id=None,
        decoder_start_token_id=start,
    )
    marian = MarianMTModel(config).eval()
    with torch.no_grad():
        for theirs, ours in marian_pairs(model, marian):
            theirs.copy_(torch.from_numpy(ours).reshape(theirs.shape))
    return marian


def marian_pairs(model, marian):
    """Pairs of Marian's parameter and our weight, turned as Marian has it."""
    from keras import ops

    def numbers(weight):
        return np.array(ops.convert_to_numpy(weight))

    body = marian.model
    yield body.shared.weight, numbers(model.target_embedding.embeddings)
    if model.bias is not None:
        yield marian.final_logits_bias, numbers(model.bias)
    for ours, positions, theirs in (
        (model.encoder, model.source_positions, body.encoder),
        (model.decoder, model.target_positions, body.decoder),
    ):
        yield theirs.embed_positions.weight, numbers(positions.table)
        for block, layer in zip(ours.blocks, theirs.layers, strict=True):
            attentions = [(block.self_attention, layer.self_attn)]
            norms = [(block.attention_norm, layer.self_attn_layer_norm)]
            if hasattr(layer, "encoder_attn"):
                attentions.append((block.cross_attention, layer.encoder_attn))
                norms.append((block.cross_norm, layer.encoder_attn_layer_norm))
            norms.append((block.feed_forward_norm, layer.final_layer_norm))
            dense = [(block.feed_forward.inner, layer.fc1), (block.feed_forward.outer, layer.fc2)]
            for mine, other in attentions:
                dense += [
                    (mine.query_dense, other.q_proj),
                    (mine.key_dense, other.k_proj),
                    (mine.value_dense, other.v_proj),
                    (mine.output_dense, other.out_proj),
                ]
            for mine, other in dense:
                yield other.weight, numbers(mine.kernel).T.copy()
                yield other.bias, numbers(mine.bias)
            for mine, other in norms:
                yield other.weight, numbers(mine.gamma)
                yield other.bias, numbers(mine.beta)


def generate(marian, source, length, num_beams):
    """Marian's own search, with its cache: `(batch, length)` ids without the start symbol."""
    import torch

    ids = torch.from_numpy(source).long()
    found = marian.generate(
        input_ids=ids,
        attention_mask=(ids != PAD).long(),
        max_new_tokens=length,
        num_beams=num_beams,
        do_sample=False,
        bad_words_ids=[[i] for i in {PAD, marian.config.decoder_start_token_id}],
    )[:, 1:].numpy()
    # Where the padding is id 0, its beam search fills up with the end instead.
    after = (np.cumsum(found == END, axis=1) - (found == END)) > 0
    found = np.where(after, PAD, found)
    return np.pad(found, ((0, 0), (0, length - found.shape[1])), constant_values=PAD)


def without_cache(model, length, start):
    """The tutorial's loop: `loop(source_ids)` gives the same ids as greedy search."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, None), "int32")], autograph=False)
    def loop(source):
        batch = tf.shape(source)[0]

        def body(i, ids, done):
            logits = model((source, ids))[:, -1]  # the source, and all ids so far, once more
            never = tf.range(logits.shape[-1])
            never = tf.logical_or(never == PAD, never == start)
            logits = tf.where(never, -np.inf, logits)
            chosen = tf.where(done, PAD, tf.argmax(logits, -1, "int32"))
            ids = tf.concat([ids, chosen[:, None]], 1)
            return i + 1, ids, tf.logical_or(done, chosen == END)

        _, ids, _ = tf.while_loop(
            lambda i, ids, done: tf.logical_and(i < length, tf.logical_not(tf.reduce_all(done))),
            body,
            (0, tf.fill((batch, 1), start), tf.zeros((batch,), "bool")),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([None, None]),
                tf.TensorShape([None]),
            ),
        )
        return ids[:, 1:]

    return loop


def seconds(function, repeats):
    """Median time of a call after one that is not counted, and its result."""
    result, times = function(), []
    for _ in range(repeats):
        began = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - began)
    return median(times), result


def compare(model, source, length, repeats, start):
    """{way: {"seconds", "sentences_per_second"}} of each, in one run."""
    import keras

    from course import decoding

    numpy, tensorflow = keras.ops.convert_to_numpy, keras.backend.backend() == "tensorflow"

    def ours(num_beams):
        if num_beams == 1:
            return numpy(decoding.greedy(model, source, max_length=length, **settings(start)))
        found, _ = decoding.beam_search(
            model, source, max_length=length, num_beams=num_beams, **settings(start)
        )
        return numpy(found)[:, 0]

    ways = {"greedy, ours": lambda: ours(1), "beam 4, ours": lambda: ours(4)}
    marian = marian_of(model, start)
    ways["greedy, Marian"] = lambda: generate(marian, source, length, 1)
    ways["beam 4, Marian"] = lambda: generate(marian, source, length, 4)
    if tensorflow:
        loop = without_cache(model, length, start)
        few = source[: max(1, len(source) // 10)]  # one at a time takes long: a tenth of them
        ways["no cache, all at once"] = lambda: loop(source).numpy()
        ways["no cache, one at a time"] = lambda: [loop(row[row != PAD][None]) for row in few]
    results, found = {}, {}
    for name, way in ways.items():
        taken, found[name] = seconds(way, repeats)
        count = len(few) if name.endswith("one at a time") else len(source)
        results[name] = {
            "seconds": round(taken, 3),
            "sentences_per_second": round(count / taken, 2),
        }
        print(f"{name}: {taken:.2f} s for {count}", flush=True)
    for ours, theirs in (("greedy, ours", "greedy, Marian"), ("beam 4, ours", "beam 4, Marian")):
        same = float((found[ours] == found[theirs]).all(axis=1).mean())
        print(f"the same ids, {theirs}: {same:.0%} of the sentences")
        results[theirs]["same_ids"] = round(same, 3)
        results[ours]["mean_ids"] = round(float((found[ours] != PAD).sum(axis=1).mean()), 1)
        results[ours]["never_ended"] = int((found[ours] != END).all(axis=1).sum())
    return results


def one_more_id(model, repeats):
    """Milliseconds of one more id after so many, with and without a cache: two lists."""
    import keras

    from course.attention import padding_mask

    rng = np.random.default_rng(0)
    source = rng.integers(FIRST_WORD, VOCABULARY, (BATCH, 16)).astype("int32")
    ids = rng.integers(FIRST_WORD, VOCABULARY, (BATCH, max(POSITIONS) + 1)).astype("int32")
    memory, mask = model.encode(source), padding_mask(source, PAD)

    def step(ids, cache, index):
        return model.step(ids, cache, index)[0]

    def whole(ids, memory, mask):
        return model.logits(model.decode(ids, memory, mask)[:, -1])

    if keras.backend.backend() == "jax":
        import jax

        step, whole = jax.jit(step), jax.jit(whole)
    else:
        import tensorflow as tf

        step, whole = (tf.function(f, autograph=False) for f in (step, whole))
    cached, uncached = [], []
    for count in POSITIONS:
        cache, index = model.start_cache(source, count + 1), keras.ops.array(count, "int32")
        now, so_far = (keras.ops.convert_to_tensor(x) for x in (ids[:, count], ids[:, : count + 1]))
        for function, arguments, times in (
            (step, (now, cache, index), cached),
            (whole, (so_far, memory, mask), uncached),
        ):
            taken, _ = seconds(
                lambda f=function, a=arguments: keras.ops.convert_to_numpy(f(*a)), repeats + 2
            )
            times.append(round(1e3 * taken, 3))
    return cached, uncached


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="write the result file")
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--length", type=int, help="most ids a sentence")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", help="a translation run's folder, instead of random weights")
    parser.add_argument("--remapping", choices=("on", "off"), help="Grappler's, on TensorFlow")
    arguments = parser.parse_args()

    from rich.console import Console
    from rich.table import Table

    from course import runtime

    runtime.start()
    if arguments.remapping and os.environ["KERAS_BACKEND"] == "tensorflow":
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"remapping": arguments.remapping == "on"})
    import torch

    torch.set_num_threads(runtime.cores())
    model, tokenizer, start = our_model(arguments.seed), None, START
    if arguments.run:
        model, tokenizer = trained_model(arguments.run)
        start = tokenizer.start_id
    source, name = source_ids(arguments.sentences, tokenizer)
    length = arguments.length or (source.shape[1] * 3 // 2 + 10 if arguments.run else 32)
    results = compare(model, source, length, arguments.repeats, start)

    table = Table(title=f"{len(source)} sentences of {name}, at most {length} ids each")
    for column in ("way", "seconds", "sentences a second", "ours is faster by"):
        table.add_column(column, justify="right")
    for way, result in results.items():
        ours = results["beam 4, ours" if way.startswith("beam") else "greedy, ours"]
        rate = result["sentences_per_second"]
        ratio = ours["sentences_per_second"] / rate
        result["ratio"] = round(ratio, 2)
        cells = (f"{result['seconds']:.2f}", f"{rate:.1f}", f"{ratio:.1f} ×")
        table.add_row(way, *("" if "ours" in way and c.endswith("×") else c for c in cells))
    Console(width=110).print(table)
    cost = {}
    if not arguments.run:
        cached, uncached = one_more_id(model, arguments.repeats)
        cost |= {"ids_before": list(POSITIONS), "batch": BATCH}
        cost |= {"with_cache_ms": cached, "without_cache_ms": uncached}
        table = Table(title=f"milliseconds of one more id for {BATCH} sentences")
        for column in ("ids before", "with a cache", "without", "ratio"):
            table.add_column(column, justify="right")
        for count, a, b in zip(POSITIONS, cached, uncached, strict=True):
            table.add_row(f"{count}", f"{a:.2f}", f"{b:.2f}", f"{b / a:.1f}")
        Console(width=110).print(table)
    if arguments.record:
        from importlib import metadata

        versions = runtime.versions() | {n: metadata.version(n) for n in ("torch", "transformers")}
        options = "".join(
            f" --{key} {getattr(arguments, key)}"
            for key in ("sentences", "length", "repeats", "remapping")
            if getattr(arguments, key)
        )
        options += " --run FOLDER" * bool(arguments.run)
        result = {
            "command": f"python benchmarks/decoding.py --record{options} --seed {arguments.seed}",
            "hardware": f"{runtime.cores()} CPU cores; {os.environ['KERAS_BACKEND']} backend; "
            + ", ".join(f"{package} {v}" for package, v in versions.items()),
            "seed": arguments.seed,
            "data": name,
            "sentences": len(source),
            "length": length,
            "weights": describe(arguments.run) if arguments.run else "random",
            "sizes": sizes_of(model),
            "speed": results,
            **cost,
        }
        record(f"decoding_{'trained' if arguments.run else 'speed'}", result)


if __name__ == "__main__":
    main()
