"""Training steps of the paper's base model on a GPU or TPU, beside torch, with their utilization.

    KERAS_BACKEND=jax python benchmarks/accelerator_step.py [--record] [--only ours torch]

6 + 6 layers, d_model 512, d_ff 2048, 8 heads, one table of 32,000 tokens for both languages and the
output, dropout 0.1, Adam, bfloat16 products with float32 weights; batches of 128 × (128 + 128) ids
at hand, none of them padding. The peer is `torch.nn.Transformer` under autocast with its fused
Adam, as it is and compiled. Each is timed in a process of its own: medians of rounds of 20 steps.

Utilization is the model's own arithmetic, 6 operations for each weight of a matrix that a token
meets and 12 · length · d_model for each attention (half of it where it is causal), over what the
device can do in bfloat16 (`--peak`, in TFLOP/s; 989 for an H100, without sparsity).
`--record` writes benchmarks/results/accelerator_step.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import numpy as np
from _harness import arguments_parser, record

LAYERS, D_MODEL, D_FF, HEADS, VOCABULARY, DROPOUT = 6, 512, 2048, 8, 32_000, 0.1
ROWS, LENGTH, SMOOTHING, STEPS, SEED = 128, 128, 0.1, 20, 0


def operations(rows=ROWS, length=LENGTH):
    """What a training step has to compute, in floating-point operations."""
    attention, feed_forward = 4 * D_MODEL**2, 2 * D_MODEL * D_FF
    encoder, decoder = attention + feed_forward, 2 * attention + feed_forward
    weights = LAYERS * (encoder + decoder) + VOCABULARY * D_MODEL  # met by a pair of tokens
    products = LAYERS * (1 + 0.5 + 1) * 12 * length * D_MODEL  # encoder, decoder, across
    return rows * length * (6 * weights + products)


def batch():
    rng = np.random.default_rng(SEED)
    return [rng.integers(4, VOCABULARY, (ROWS, LENGTH)).astype("int32") for _ in range(3)]


def ours():
    import keras

    from course import runtime
    from course.transformer import Transformer
    from course.translation import TeacherForcing

    class AtHand(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            source, given, labels = batch()
            self.batch = (source, given), labels

        def __len__(self):
            return STEPS

        def __getitem__(self, index):
            return self.batch

    runtime.seed_everything(SEED)
    model = Transformer(
        LAYERS,
        D_MODEL,
        HEADS,
        D_FF,
        VOCABULARY,
        VOCABULARY,
        dropout=DROPOUT,
        tie_embeddings="all",
        dtype="mixed_bfloat16",
    )
    model = TeacherForcing(model, smoothing=SMOOTHING)
    model.compile(keras.optimizers.Adam(1e-4), jit_compile=True)
    data = AtHand()
    return lambda: model.fit(data, verbose=0, shuffle=False)


def torch_peer(compiled=False):
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    torch.manual_seed(SEED)
    torch.set_float32_matmul_precision("high")
    device = "cuda" if torch.cuda.is_available() else "cpu"

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, D_MODEL)
            nn.init.normal_(self.embedding.weight, std=D_MODEL**-0.5)
            self.places = nn.Parameter(torch.randn(LENGTH, D_MODEL), requires_grad=False)
            sizes = (D_MODEL, HEADS, LAYERS, LAYERS, D_FF, DROPOUT)
            self.body = nn.Transformer(*sizes, batch_first=True)
            self.dropout = nn.Dropout(DROPOUT)
            mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)
            self.register_buffer("mask", mask)

        def forward(self, source, given, labels):
            x, y = (
                self.dropout(self.embedding(ids) * D_MODEL**0.5 + self.places)
                for ids in (source, given)
            )
            out = self.body(x, y, tgt_mask=self.mask, tgt_is_causal=True)
            logits = out @ self.embedding.weight.T
            return cross_entropy(
                logits.flatten(0, 1).float(), labels.flatten(), label_smoothing=SMOOTHING
            )

    model = Model().train().to(device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=True)
    loss_of = torch.compile(model) if compiled else model
    source, given, labels = (torch.from_numpy(x).long().to(device) for x in batch())

    def steps():
        for _ in range(STEPS):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, torch.bfloat16):
                loss = loss_of(source, given, labels)
            loss.backward()
            optimizer.step()
        return float(loss.detach())  # waits for the device

    return steps


PEERS = {"ours": ours, "torch": torch_peer, "torch, compiled": lambda: torch_peer(True)}


def serve(name, rounds):
    """Prints the seconds of each round, the device's memory that was used, and the device."""
    began = time.perf_counter()
    steps = PEERS[name]()
    steps()
    ready, times = time.perf_counter() - began, []
    for _ in range(rounds):
        began = time.perf_counter()
        steps()
        times.append(time.perf_counter() - began)
    if name == "ours":
        import jax

        device = jax.devices()[0]
        memory = (device.memory_stats() or {}).get("peak_bytes_in_use", 0)
        told = device.device_kind
    else:
        import torch

        gpu = torch.cuda.is_available()
        memory = torch.cuda.max_memory_allocated() if gpu else 0
        told = torch.cuda.get_device_name() if gpu else "CPU"
    print(json.dumps({"times": times, "ready": ready, "memory": memory, "device": told}))


def main():
    global ROWS, LENGTH
    parser = arguments_parser(__doc__, "accelerator_step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--length", type=int, default=LENGTH)
    parser.add_argument("--peak", type=float, default=989.0, help="TFLOP/s of the device, bfloat16")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--serve", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    ROWS, LENGTH = arguments.rows, arguments.length
    if arguments.serve:
        serve(arguments.serve, arguments.rounds)
        return

    rows, device = {}, "?"
    for name in arguments.only:
        command = [sys.executable, __file__, "--serve", name, "--rounds", str(arguments.rounds)]
        command += ["--rows", str(ROWS), "--length", str(LENGTH)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{name}: not measured, it ended with {done.returncode}", file=sys.stderr)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        seconds, device = statistics.median(found["times"]) / STEPS, found["device"]
        rows[name] = {
            "milliseconds_a_step": round(1000 * seconds, 2),
            "tokens_a_second": round(2 * ROWS * LENGTH / seconds),
            "utilization": round(operations(ROWS, LENGTH) / seconds / arguments.peak / 1e12, 3),
            "gigabytes": round(found["memory"] / 1e9, 1),
            "seconds_to_the_first_round": round(found["ready"], 1),
        }
        print(name, rows[name], found["times"], flush=True)
    print(f"{device}; {operations(ROWS, LENGTH) / 1e12:.2f} TFLOP a step")
    if arguments.record:
        from course import runtime

        result = {
            "command": "KERAS_BACKEND=jax python benchmarks/accelerator_step.py --record",
            "hardware": f"{device}; {runtime.hardware()}",
            "peak_tflops": arguments.peak,
            "tflop_a_step": round(operations(ROWS, LENGTH) / 1e12, 3),
            "rows": rows,
        }
        record("accelerator_step", result)


if __name__ == "__main__":
    main()
