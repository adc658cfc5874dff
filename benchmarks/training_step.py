"""Time of a training step beside keras-hub, the TensorFlow tutorial's layout, torch and Marian.

    python benchmarks/training_step.py [--record] [--data multi30k] [--rounds 7] [--only ours torch]
    python benchmarks/training_step.py --parts [--record]

4 + 4 layers, d_model 128, d_ff 512, 8 heads, vocabularies of 8,000, dropout 0.1, Adam, float32.
Without `--data`: batches of 64 × (32 + 32) ids, a fifth of them padding; every peer trains on the
same ones. With `--data`: the sentences of that data set. We train on `TokenBatches` of 4,096 ids;
`ours, naive` and the peers on random batches of 64 sentences, each padded to its longest.

`--parts` changes one thing in our step at a time, and so says what each is worth; and it times the
forward pass to the logits alone, with and without Grappler's remapping of operations.

Each peer lives in a process of its own; they take turns, so that a busy moment meets them all.
Prints medians of the rounds. `--record` writes benchmarks/results/training_step[_DATA].json, or
training_step_parts.json.
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

LAYERS, D_MODEL, D_FF, HEADS, VOCABULARY, DROPOUT = 4, 128, 512, 8, 8000, 0.1
ROWS, LENGTH, PADDING, MAX_TOKENS, SEED = 64, 32, 0.2, 4096, 0
START, END = 2, 3
RESULTS = Path(__file__).parent / "results"


def dense_batches(count):
    """Random ids: (source, decoder input, labels), a fifth of the places padding."""
    rng = np.random.default_rng(SEED)
    batches = []
    for _ in range(count):
        lengths = rng.integers(LENGTH * (1 - 2 * PADDING), LENGTH + 1, (2, ROWS, 1))
        ids = rng.integers(4, VOCABULARY, (2, ROWS, LENGTH + 1)).astype("int32")
        place = np.arange(LENGTH)
        source = np.where(place < lengths[0], ids[0, :, :-1], 0)
        given = np.where(place < lengths[1], ids[1, :, :-1], 0)
        labels = np.where(place < lengths[1], ids[1, :, 1:], 0)
        batches.append((source, given, labels))
    return batches


def real_batches(name, count, bucketed):
    """Batches of a data set's first epoch, its words cut by a vocabulary of 8,000."""
    from course import translation
    from course.tokens import Tokenizer

    pairs = translation.load_pairs(name, "train")
    tokenizer = Tokenizer.learn([t for pair in pairs for t in pair], VOCABULARY, "bpe")
    if bucketed:
        batches = translation.pair_batches(tokenizer, pairs, MAX_TOKENS, seed=SEED)
        return [(*batches[i][0], batches[i][1]) for i in range(min(count, len(batches)))]
    order = np.random.default_rng(SEED).permutation(len(pairs))[: count * ROWS]
    made = []
    for rows in order.reshape(-1, ROWS):
        sources = [ids[1:] for ids in tokenizer.encode_batch([pairs[i][0] for i in rows])]
        targets = tokenizer.encode_batch([pairs[i][1] for i in rows])
        target = padded(targets)
        made.append((padded(sources), target[:, :-1] * (target[:, 1:] != 0), target[:, 1:]))
    return made


def padded(rows):
    """Lists of ids as one array, 0 behind each."""
    batch = np.zeros((len(rows), max(map(len, rows))), "int32")
    for row, ids in zip(batch, rows, strict=True):
        row[: len(ids)] = ids
    return batch


# The peers: each returns a function that trains on one batch


def our_transformer(dropout=DROPOUT):
    from course import runtime
    from course.transformer import Transformer

    runtime.seed_everything(SEED)
    return Transformer(LAYERS, D_MODEL, HEADS, D_FF, VOCABULARY, VOCABULARY, dropout=dropout)


def ours(batches, dropout=DROPOUT, jit_compile=None, mixed=None, remapping=True):
    import keras

    from course import runtime
    from course.translation import TeacherForcing

    if mixed:
        keras.mixed_precision.set_dtype_policy(mixed)
    if not remapping:
        without_remapping()
    model = TeacherForcing(our_transformer(dropout), smoothing=0.0)
    jit_compile = runtime.jit_compile() if jit_compile is None else jit_compile
    model.compile(keras.optimizers.Adam(1e-4), jit_compile=jit_compile)
    return keras_step(model)


def without_remapping():
    """Takes from Grappler, which rewrites TensorFlow's graphs, its joining of operations."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"remapping": False})


def in_one_part(batches):
    """The loss of all labels at once: one array of logits."""
    from course import kernels

    kernels.summed_cross_entropy = functools.partial(kernels.summed_cross_entropy, parts=1)
    return ours(batches)


def logits_everywhere(batches):
    """Our layers with the loss that tutorials write: logits at padding too, and all kept."""
    import keras

    model = our_transformer()
    model.compile(keras.optimizers.Adam(1e-4), masked_loss, jit_compile=False)
    return keras_step(model)


def forward(batches, remapping=True):
    """The logits alone, in a TensorFlow graph."""
    import tensorflow as tf

    if not remapping:
        without_remapping()
    model = our_transformer()
    logits = tf.function(lambda source, given: model((source, given)), autograph=False)
    return lambda source, given, labels: logits(source, given).numpy()


def keras_step(model):
    return lambda source, given, labels: model.train_on_batch((source, given), labels)


def masked_loss(labels, logits):
    """Cross-entropy over real labels, as tutorials write it."""
    import keras
    from keras import ops

    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    real = ops.cast(ops.not_equal(labels, 0), losses.dtype)
    return ops.sum(losses * real) / ops.sum(real)


def compiled(source, given, logits, jit_compile):
    """A functional model, compiled as a peer would."""
    import keras

    model = keras.Model((source, given), logits)
    model.compile(keras.optimizers.Adam(1e-4), masked_loss, jit_compile=jit_compile)
    return keras_step(model)


def keras_hub(batches, jit_compile=False):
    """keras-hub's own layers, masks from the ids."""
    import keras
    import keras_hub

    layers = keras_hub.layers
    source, given = (keras.Input((None,), dtype="int32") for _ in range(2))

    def embed(ids):
        embedding = layers.TokenAndPositionEmbedding(VOCABULARY, 256, D_MODEL, mask_zero=True)
        return keras.layers.Dropout(DROPOUT)(embedding(ids))

    memory, x = embed(source), embed(given)
    for _ in range(LAYERS):
        memory = layers.TransformerEncoder(D_FF, HEADS, DROPOUT)(memory)
    for _ in range(LAYERS):
        x = layers.TransformerDecoder(D_FF, HEADS, DROPOUT)(x, memory)
    return compiled(source, given, keras.layers.Dense(VOCABULARY)(x), jit_compile)


def keras_hub_xla(batches):
    return keras_hub(batches, jit_compile=True)


def tutorial(batches):
    """The layout of TensorFlow's Transformer tutorial: Keras' attention with key_dim = d_model."""
    import keras
    from keras import layers

    from course.positions import AddPositions

    def attend(x, context, **more):
        attention = layers.MultiHeadAttention(HEADS, key_dim=D_MODEL, dropout=DROPOUT)
        return layers.LayerNormalization()(x + attention(x, context, **more))

    def feed_forward(x):
        out = layers.Dense(D_MODEL)(layers.Dense(D_FF, "relu")(x))
        return layers.LayerNormalization()(x + layers.Dropout(DROPOUT)(out))

    def embed(ids):
        x = layers.Embedding(VOCABULARY, D_MODEL, mask_zero=True)(ids)
        x = layers.Rescaling(D_MODEL**0.5)(x)
        return layers.Dropout(DROPOUT)(AddPositions(max_length=256)(x))

    source, given = (keras.Input((None,), dtype="int32") for _ in range(2))
    memory, x = embed(source), embed(given)
    for _ in range(LAYERS):
        memory = feed_forward(attend(memory, memory))
    for _ in range(LAYERS):
        x = attend(x, x, use_causal_mask=True)
        x = feed_forward(attend(x, memory))
    return compiled(source, given, layers.Dense(VOCABULARY)(x), False)


def torch_peer(batches):
    """torch.nn.Transformer with embeddings, sines and a projection around it."""
    import torch
    from torch import nn

    from course.exercises.positions.probes import waves

    torch.manual_seed(SEED)
    table = torch.tensor(waves({"length": 256, "d_model": D_MODEL}), dtype=torch.float32)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embeddings = nn.ModuleList(nn.Embedding(VOCABULARY, D_MODEL) for _ in range(2))
            sizes = (D_MODEL, HEADS, LAYERS, LAYERS, D_FF, DROPOUT)
            self.body = nn.Transformer(*sizes, batch_first=True)
            self.dropout, self.output = nn.Dropout(DROPOUT), nn.Linear(D_MODEL, VOCABULARY)

        def forward(self, source, given):
            x, y = (
                self.dropout(embed(ids) * D_MODEL**0.5 + table[: ids.shape[1]])
                for embed, ids in zip(self.embeddings, (source, given), strict=True)
            )
            causal = torch.triu(torch.ones(given.shape[1], given.shape[1], dtype=torch.bool), 1)
            pads = source == 0, given == 0
            out = self.body(
                x,
                y,
                tgt_mask=causal,
                src_key_padding_mask=pads[0],
                tgt_key_padding_mask=pads[1],
                memory_key_padding_mask=pads[0],
                tgt_is_causal=True,
            )
            return self.output(out)

    model = Model().train()
    return torch_step(model, lambda source, given: model(source, given))


def marian(batches):
    """Hugging Face's Marian, one table of embeddings for both languages and the output."""
    import torch
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(SEED)
    config = MarianConfig(
        vocab_size=VOCABULARY,
        d_model=D_MODEL,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=D_FF,
        decoder_ffn_dim=D_FF,
        dropout=DROPOUT,
        attention_dropout=DROPOUT,
        activation_function="relu",
        scale_embedding=True,
        max_position_embeddings=256,
        pad_token_id=0,
        eos_token_id=END,
        decoder_start_token_id=START,
    )
    model = MarianMTModel(config).train()

    def logits(source, given):
        found = model(
            input_ids=source,
            attention_mask=(source != 0).long(),
            decoder_input_ids=given,
            decoder_attention_mask=(given != 0).long(),
            use_cache=False,
        )
        return found.logits

    return torch_step(model, logits)


def torch_step(model, logits):
    import torch

    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    loss = torch.nn.CrossEntropyLoss(ignore_index=0)

    def step(source, given, labels):
        source, given, labels = (torch.from_numpy(x).long() for x in (source, given, labels))
        optimizer.zero_grad()
        value = loss(logits(source, given).reshape(-1, VOCABULARY), labels.reshape(-1))
        value.backward()
        optimizer.step()
        return float(value.detach())

    return step


PEERS = {
    "ours": ours,
    "keras-hub": keras_hub,
    "keras-hub, XLA": keras_hub_xla,
    "tutorial": tutorial,
    "torch": torch_peer,
    "Marian": marian,
}
PARTS = {
    "ours": ours,
    "compiled by XLA": functools.partial(ours, jit_compile=True),
    "all logits at once": in_one_part,
    "logits at padding too": logits_everywhere,
    "no dropout": functools.partial(ours, dropout=0.0),
    "mixed_bfloat16": functools.partial(ours, mixed="mixed_bfloat16"),
    "no remapping": functools.partial(ours, remapping=False),
    "forward": forward,
    "forward, no remapping": functools.partial(forward, remapping=False),
}


def serve(name, data, count):
    """A peer's process: for each line that comes, trains on all batches and prints the seconds."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    peer, _, naive = name.partition("/")
    if data:
        batches = real_batches(data, count, bucketed=peer == "ours" and not naive)
    else:
        batches = dense_batches(count)
    step = (PEERS | PARTS)[peer](batches)
    for batch in batches:
        step(*batch)  # compiles, and makes the optimizer's variables
    real = sum(int((x != 0).sum()) for batch in batches for x in (batch[0], batch[2]))
    print(json.dumps({"batches": len(batches), "tokens": real}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for batch in batches:
            step(*batch)
        print(time.perf_counter() - began, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="a data set of pairs, for example multi30k")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, help="batches a round")
    parser.add_argument("--only", nargs="+", choices=[*PEERS, *PARTS])
    parser.add_argument("--parts", action="store_true", help="ours, one change at a time")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    count = arguments.batches or (40 if arguments.data else 4)
    if arguments.serve:
        return serve(arguments.serve, arguments.data, count)

    from rich.console import Console
    from rich.table import Table

    from course import runtime

    names = list(arguments.only or (PARTS if arguments.parts else PEERS))
    if arguments.data and "ours" in names:
        names.insert(1, "ours/naive")
    workers, facts = {}, {}
    for name in names:
        command = [sys.executable, __file__, "--serve", name, "--batches", str(count)]
        command += ["--data", arguments.data] if arguments.data else []
        workers[name] = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        line = workers[name].stdout.readline()
        if not line:
            print(f"{name}: not there (is its package installed?)", file=sys.stderr)
            del workers[name]
            continue
        facts[name] = json.loads(line)
        print(f"{name}: ready", file=sys.stderr)
    times = {name: [] for name in workers}
    for _ in range(arguments.rounds):
        for name, worker in workers.items():
            worker.stdin.write("go\n")
            worker.stdin.flush()
            times[name].append(float(worker.stdout.readline()))
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()

    rows = {}
    for name, seconds in times.items():
        median = statistics.median(seconds)
        rows[name] = {
            "seconds_a_step": round(median / facts[name]["batches"], 4),
            "tokens_a_second": round(facts[name]["tokens"] / median),
        }
    others = (row["tokens_a_second"] for n, row in rows.items() if "ours" not in n)
    ours = rows.get("ours", {}).get("tokens_a_second")
    best = ours if arguments.parts else max(others, default=None)
    table = Table(title=f"training, float32, {arguments.data or 'dense'}; {runtime.hardware()}")
    compared = "to ours" if arguments.parts else "to the best peer"
    for column in ("", "s a step", "real tokens a s", compared):
        table.add_column(column, justify="right")
    for name, row in rows.items():
        ratio = f"{row['tokens_a_second'] / best:.2f}" if best else ""
        table.add_row(name, f"{row['seconds_a_step']:.3f}", f"{row['tokens_a_second']:,}", ratio)
    Console(width=110).print(table)
    if arguments.record:
        result = {
            "command": " ".join(["python benchmarks/training_step.py", *sys.argv[1:]]),
            "hardware": runtime.hardware(),
            "seed": SEED,
            "rounds": arguments.rounds,
            "rows": rows,
        }
        which = "parts" if arguments.parts else arguments.data
        record(f"training_step{'_' + which if which else ''}", result)
    return None


if __name__ == "__main__":
    main()
