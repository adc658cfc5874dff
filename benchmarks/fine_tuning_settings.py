"""What each setting of the classic recipe is worth: one changed at a time (lesson 08).

    python benchmarks/fine_tuning_settings.py [--record] [--seeds 3]

The task "answers" of `fine_tuning_gain.py`, 1,000 labelled pairs, the course's own BERT, 189
updates. Prints for each change the validation accuracy, as mean and standard deviation over the
seeds, and what the weights became. `--record` writes benchmarks/results/fine_tuning_settings.json,
which the lesson shows.
"""

import argparse
import time

import numpy as np
from fine_tuning_gain import EPOCHS, RATE, SIZE, Rig, answers, hardware, planned, told, write

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
    parser.add_argument("--seeds", type=int, default=3)
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
    }
    decayed = {
        "no decay": {"weight_decay": 0.0},
        f"decay {STRONG:g}": {"weight_decay": STRONG},
        f"decay {STRONG:g}, vectors too": {"weight_decay": STRONG, "decay_all": True},
    }
    results = {}

    def put(name, rig, rates):
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
    updates_of_long = LONG_EPOCHS * -(-LONG_COUNT // SIZE)
    long = usual.train(
        answers(LONG_COUNT, 0),
        planned(updates_of_long),
        epochs=LONG_EPOCHS,
        each_epoch=True,
    )
    print("many epochs", long, flush=True)
    del changes, usual
    for name, options in decayed.items():
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
        write(
            "fine_tuning_settings",
            {
                "command": "python benchmarks/fine_tuning_settings.py --record "
                f"--seeds {arguments.seeds}",
                "hardware": hardware(),
                "cpu_seconds": round(seconds),
                "train_rows": COUNT,
                "validation_rows": 400,
                "updates": updates,
                "rate": RATE,
                "runs": results,
                "many_epochs": {"train_rows": LONG_COUNT, "seed": 0} | long,
            },
        )


if __name__ == "__main__":
    main()
