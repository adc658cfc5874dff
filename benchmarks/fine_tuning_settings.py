"""What each setting of the classic recipe is worth: one changed at a time (lesson 08).

    python benchmarks/fine_tuning_settings.py [--record] [--seeds 2] [--only NAME ...]

The task "answers" of `fine_tuning_gain.py`, 1,000 labelled pairs, the course's own BERT, 189
updates. Prints for each change the validation accuracy, as mean and standard deviation over the
seeds, and what the weights became. `--record` writes benchmarks/results/fine_tuning_settings.json,
which the lesson shows; with `--only` it puts these changes beside those that are there. Each run
begins anew, so it does not matter which ones ran before it.
"""

import argparse
import json
import time

import numpy as np
from fine_tuning_gain import (
    EPOCHS,
    RATE,
    RESULTS,
    SIZE,
    Rig,
    answers,
    planned,
    told,
    write,
)

COUNT, LONG_COUNT, LONG_EPOCHS, STRONG = 1000, 300, 15, 10.0


def norms(model):
    """The mean size of kernels and tables, and of layer normalization's scales."""
    scales, kernels = [], []
    for variable in model.trainable_variables:
        size = float(
            np.abs(np.asarray(variable.numpy() if hasattr(variable, "numpy") else variable)).mean()
        )
        if variable.path.endswith("gamma"):
            scales.append(size)
        elif len(variable.shape) > 1:
            kernels.append(size)
    return {
        "scales": round(float(np.mean(scales)), 4),
        "kernels": round(float(np.mean(kernels)), 4),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="+", help="names of changes; else all, and many epochs")
    arguments = parser.parse_args()

    from course import runtime

    runtime.start()
    began = time.process_time()
    updates = EPOCHS * -(-COUNT // SIZE)
    usual = Rig()
    changes = {
        "as in the lesson": (usual, planned(updates)),
        "no warm-up": (usual, planned(updates, warmup=0)),
        "no fall": (usual, planned(updates, constant=True)),
        "500 warm-up steps": (usual, planned(updates, warmup=500)),
        "rate 5e-5": (usual, planned(updates, 5e-5)),
        "rate 5e-3": (usual, planned(updates, 5e-3)),
        "rate 5e-5, 500 steps": (usual, planned(updates, 5e-5, warmup=500)),
    }
    others = {
        "no decay": {"weight_decay": 0.0},
        f"decay {STRONG:g}": {"weight_decay": STRONG},
        f"decay {STRONG:g}, vectors too": {"weight_decay": STRONG, "decay_all": True},
        "dropout 0.1 throughout": {"dropout": 0.1},
    }
    results = {}

    def put(name, rig, rates):
        if arguments.only and name not in arguments.only:
            return
        runs = []
        for seed in range(arguments.seeds):
            runs.append(rig.train(answers(COUNT, seed), rates, seed=seed) | norms(rig.model))
        results[name] = {
            "validation": told([run["validation"] for run in runs]),
            "nll": told([run["validation_nll"] for run in runs]),
            "train_nll": told([run["nll"][-1] for run in runs]),
            "scales": told([run["scales"] for run in runs]),
            "kernels": told([run["kernels"] for run in runs]),
        }
        print(name, results[name], flush=True)

    for name, (rig, rates) in changes.items():
        put(name, rig, rates)
    long = {}
    if not arguments.only:
        rates = planned(LONG_EPOCHS * -(-LONG_COUNT // SIZE))
        long = usual.train(answers(LONG_COUNT, 0), rates, epochs=LONG_EPOCHS, each_epoch=True)
        long = {"many_epochs": {"train_rows": LONG_COUNT, "seed": 0} | long}
        print("many epochs", long, flush=True)
    del changes, usual
    for name, options in others.items():
        if not arguments.only or name in arguments.only:
            put(name, Rig(**options), planned(updates))
    seconds = time.process_time() - began
    for name, found in results.items():
        print(
            f"{name:24}{found['validation']['mean']:.3f} ± {found['validation']['std']:.3f}  "
            f"nll {found['nll']['mean']:.3f}  scales {found['scales']['mean']:.3f}  "
            f"kernels {found['kernels']['mean']:.3f}"
        )
    print(f"{seconds:.0f} CPU seconds")
    if arguments.record:
        path = RESULTS / "fine_tuning_settings.json"
        known = json.loads(path.read_text(encoding="utf-8")) if arguments.only else {"runs": {}}
        write(
            "fine_tuning_settings",
            known
            | {
                "command": "python benchmarks/fine_tuning_settings.py --record "
                f"--seeds {arguments.seeds}",
                "hardware": runtime.hardware(),
                "cpu_seconds": round(seconds) + known.get("cpu_seconds", 0),
                "train_rows": COUNT,
                "validation_rows": 400,
                "updates": updates,
                "rate": RATE,
                "runs": known["runs"] | results,
            }
            | long,
        )


if __name__ == "__main__":
    main()
