"""BERT on real text: pretrained on film reviews, then fine-tuned on SST-2 and IMDB.

    python benchmarks/bert_quality.py --run FOLDER --pretrain [--set max_steps=20000 …]
    python benchmarks/bert_quality.py --run FOLDER --fine-tune sst2 --start pretrained --seed 0
    python benchmarks/bert_quality.py --run FOLDER --fine-tune sst2 --start 4000
    python benchmarks/bert_quality.py --run FOLDER --everything [--at-once 4] [--mixed …] [--set …]
    python benchmarks/bert_quality.py --run FOLDER --record

The data come from `COURSE_DATA`. The first command pretrains BERT mini (4 layers, d_model 256, the
official uncased vocabulary, 11.2 M parameters) on IMDB's unlabelled reviews, of which the last
1,000 are held out, and on WikiText-2's validation text; `--set` chooses another model, and
`vocabulary=null` a vocabulary learnt from that text. The second fine-tunes it with the classic
recipe: 3 epochs, batches of 16, evaluation batches of 64, 500 steps of warm-up, weight decay 0.01;
`--start random` begins with the same model as it was before pretraining, `--start 4000` as it was
after 4,000 updates of it, for the curve, and `--start imdb` with the pretrained model after it was
fine-tuned on IMDB with seed 0 (Phang et al. 2018, arXiv:1811.01088). The checkpoint with the best
validation accuracy is scored on the test rows. Each goes on where it was stopped. `--everything`
runs them all as processes of their own, for three seeds each, several at once where there is a GPU
(and there `XLA_FLAGS="--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"` halves the
compiling that JAX does for every width of a batch); what is done already is left alone. `--record`
adds the baselines, majority and logistic regression on a bag of words, prints the table, and writes
benchmarks/results/bert_quality.json; of several learning rates it takes the one whose seed 0 is the
best on validation, among those with the most seeds. It needs scikit-learn (`pip install
scikit-learn`), which the course does not: the course's own `BagOfWords` holds a dense matrix, too
large for IMDB.

SST-2 trains on GLUE's 67,349 phrases without those that occur inside a sentence of the validation
(872) or test split (1,821); IMDB holds out a tenth of its training reviews for validation.
"""

import argparse
import itertools
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import _harness
import numpy as np

COMMAND = "python benchmarks/bert_quality.py --run FOLDER"
HELD_OUT = 1000  # reviews
PRETRAINING = {"d_model": 256, "num_layers": 4, "num_heads": 4, "d_ff": 1024, "stddev": 0.0625}
RATES = {"pretrained": 1e-4, "random": 3e-4}
LENGTHS = {"sst2": 64, "imdb": 512}
TASKS, STARTS, SEEDS = tuple(LENGTHS), tuple(RATES), (0, 1, 2)
SCORED = ("validation", "test")
GOAL = 0.855  # on SST-2's test sentences
STUDENT = 4.3027  # of three values


def official_vocabulary():
    from course.data.locations import local_root

    return str(local_root() / "bert_vocab" / "bert-base-uncased" / "vocab.txt")


def text_files(folder):
    """IMDB's unlabelled reviews as two files, one to train on and one that is held out."""
    from course import data, runtime

    paths = [folder / f"{name}.txt" for name in ("train", "held_out")]
    if not all(path.exists() for path in paths):
        reviews = [row["text"] for row in data.load("imdb", "unsupervised")]
        for path, some in zip(paths, (reviews[:-HELD_OUT], reviews[-HELD_OUT:]), strict=True):
            runtime.write_atomically(path, "\n\n".join(some).encode())
    return paths


def pretrain(arguments):
    from course import pretraining, runtime
    from course.checkpoints import pretraining_start
    from course.cli.train import recipe_from

    given = {"vocabulary": official_vocabulary(), **PRETRAINING}
    given = {
        n: v for n, v in given.items() if not any(s.startswith(f"{n}=") for s in arguments.set)
    }
    recipe = recipe_from(pretraining.Recipe, arguments.set, **given)
    train, held_out = text_files(arguments.run)
    model, log = pretraining.pretrain(
        recipe,
        [str(train), "wikitext2/valid"],
        arguments.run / "pretraining",
        validation=[str(held_out)],
        start=arguments.begin and pretraining_start(arguments.begin),
        verbose=2,
    )
    tokenizer = pretraining.load_pretrained(arguments.run / "pretraining")[1]
    target = arguments.run / "pretrained"
    if not (target / "config.json").exists():
        save_start(target, recipe, model, tokenizer)
    told = json.dumps(unigrams(arguments.run / "pretraining"))
    runtime.write_atomically(arguments.run / "pretraining" / "unigrams.json", told.encode())
    print(log[-1], told)


def unigrams(folder):
    """What knows only how often each token occurs scores on the held-out text."""
    from course.pretraining import Corpus

    seen, asked = (np.asarray(Corpus.open(folder / n).tokens) for n in ("corpus", "validation"))
    counts = np.bincount(seen, minlength=int(max(seen.max(), asked.max())) + 1) + 1.0
    return {
        "loss": round(float(-np.log(counts / counts.sum())[asked].mean()), 3),
        "accuracy": round(float((asked == counts.argmax()).mean()), 4),
        "tokens": len(seen),
        "held_out_tokens": len(asked),
    }


def random_start(arguments):
    """A folder with the model as it is before pretraining, drawn with this seed."""
    from course import runtime
    from course.checkpoints import save_bert
    from course.pretraining import Recipe
    from course.tokens import Tokenizer
    from course.training import current_names

    folder = arguments.run / f"random-{arguments.seed}"
    if not (folder / "config.json").exists():
        runtime.seed_everything(arguments.seed)
        pretraining = arguments.run / "pretraining"
        recipe = Recipe(vocabulary=official_vocabulary(), **PRETRAINING)
        if (pretraining / "run.json").exists():  # begun, perhaps with another model
            told = json.loads((pretraining / "run.json").read_text(encoding="utf-8"))
            told = current_names(told)
            given = {field.name: told[field.name] for field in fields(Recipe) if field.name in told}
            recipe = replace(Recipe(**given), dropout=Recipe.dropout, dtype_policy=None)
        if recipe.vocabulary is None:
            tokenizer = Tokenizer.load(pretraining)
        else:
            tokenizer = Tokenizer.from_vocab(recipe.vocabulary, recipe.lowercase)
        model = recipe.model(tokenizer.vocab_size, tokenizer.pad_id)
        save_bert(model, folder, tokenizer=tokenizer)
    return folder


def pretrained_start(arguments):
    """A folder with the model after pretraining, after so many updates of it, or after IMDB."""
    from course.pretraining import Recipe, load_pretrained
    from course.training import load_recipe

    if arguments.start == "pretrained":
        return arguments.run / "pretrained"
    if arguments.start == "imdb":
        return arguments.run / name_of("imdb", "pretrained", usual_rate("pretrained"), 0) / "model"
    folder, pretraining = arguments.run / f"step-{arguments.start}", arguments.run / "pretraining"
    if not (folder / "config.json").exists():
        path = pretraining / "checkpoints" / f"step-{int(arguments.start):08d}.safetensors"
        save_start(folder, load_recipe(pretraining, Recipe), *load_pretrained(pretraining, path))
    return folder


def save_start(folder, recipe, model, tokenizer):
    """A checkpoint with the usual dropout: so it is fine-tuned, whatever it was pretrained with."""
    from course.checkpoints import save_bert
    from course.pretraining import Recipe

    dropping = replace(recipe, dropout=Recipe.dropout)
    dropping = dropping.model(tokenizer.vocab_size, tokenizer.pad_id)
    dropping.set_weights(model.get_weights())
    save_bert(dropping, folder, tokenizer=tokenizer)


def task_of(name):
    """The `Task`: training rows, and the splits that it is scored on."""
    from course.fine_tuning import Examples, Task, read_task

    if name == "imdb":
        return read_task("imdb").without_seen()
    phrases, sentences = read_task("sst2-phrases"), read_task("sst2")
    parts = [phrases.splits[split] for split in ("train", "validation")]
    train = Examples(
        *([x for part in parts for x in getattr(part, n)] for n in ("texts", "labels"))
    )
    splits = {split: sentences.splits[split] for split in ("validation", "test")}
    return Task(sentences.labels, {"train": train, **splits}, []).without_seen(inside=True)


def usual_rate(start):
    return RATES.get(start, RATES["pretrained"])


def name_of(task, start, rate, seed):
    """The folder of a run of fine-tuning."""
    return f"{task}-{start}-{rate:g}-{seed}"


def fine_tune(arguments):
    from course import fine_tuning

    began = time.perf_counter()
    rate = usual_rate(arguments.start) if arguments.rate is None else arguments.rate
    name = name_of(arguments.fine_tune, arguments.start, rate, arguments.seed)
    task = task_of(arguments.fine_tune)
    print(task.table(), *task.notes, sep="\n", flush=True)
    start = (random_start if arguments.start == "random" else pretrained_start)(arguments)
    recipe = fine_tuning.Recipe(
        str(arguments.run / name),
        learning_rate=rate,
        seed=arguments.seed,
        max_length=arguments.max_length or LENGTHS[arguments.fine_tune],
        dtype_policy=arguments.mixed,
    )
    _, found, log = fine_tuning.train_classifier(recipe, task, start, verbose=2)
    print(name, {s: str(f["accuracy"]) for s, f in found.items()}, log[-1]["seconds"])
    print(f"{time.perf_counter() - began:.0f} s with all that is around it")


def everything(arguments):
    """Pretrains, and meanwhile fine-tunes what needs no pretraining; then the rest."""

    def process(name, *more):
        if not (arguments.run / name / "metrics.jsonl").exists():
            command = [sys.executable, __file__, "--run", str(arguments.run), *more]
            with open(arguments.run / f"{name}.log", "w", encoding="utf-8") as told:
                code = subprocess.run(command, stdout=told, stderr=subprocess.STDOUT).returncode
            ended = f"ended with {code}, see {told.name}" if code else "done"
            print(f"{time.perf_counter() - began:.0f} s: {name} {ended}", flush=True)
            return code

    def tuning(task, start, seed):
        if (start == "pretrained" or of_another_model) and ready.result():
            return 1
        name = name_of(task, start, RATES[start], seed)
        more = ["--mixed", arguments.mixed] if arguments.mixed else []
        more += ["--max-length", str(arguments.max_length)] if arguments.max_length else []
        return process(name, "--fine-tune", task, "--start", start, "--seed", str(seed), *more)

    began = time.perf_counter()
    settings = {text.partition("=")[0] for text in arguments.set}
    of_another_model = bool(settings & {*PRETRAINING, "vocabulary"})  # known when it is trained
    with ThreadPoolExecutor(arguments.at_once) as pool:
        begin = ["--begin", arguments.begin] if arguments.begin else []
        ready = pool.submit(process, "pretrained", "--pretrain", *begin, "--set", *arguments.set)
        asked = itertools.product(reversed(STARTS), arguments.tasks, SEEDS)
        ends = [pool.submit(tuning, task, start, seed) for start, task, seed in asked]
    if any(end.result() for end in [ready, *ends]):
        sys.exit("Not all of it ended well: see above. The same command goes on with the rest.")


# The record


def bag_of_words(task):
    """scikit-learn's logistic regression; the strength of its penalty is chosen on validation."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    words = CountVectorizer(binary=True, token_pattern=r"\w+|[^\w\s]")
    train, others = task.splits["train"], {n: e for n, e in task.splits.items() if n != "train"}
    x = words.fit_transform(train.texts)
    best = {}
    for strength in (0.01, 0.03, 0.1, 0.3, 1.0):
        model = LogisticRegression(C=strength, max_iter=300, solver="liblinear")
        model.fit(x, train.labels)
        found = {
            name: int((model.predict(words.transform(e.texts)) == np.array(e.labels)).sum())
            for name, e in others.items()
        }
        if not best or found["validation"] > best["validation"]:
            best = found
    return best


def over_seeds(values):
    """Their mean, and the 95% interval of the mean by Student's t for 2 degrees of freedom."""
    mean, found = float(np.mean(values)), {"seeds": len(values)}
    if len(values) == len(SEEDS):
        half = STUDENT * float(np.std(values, ddof=1)) / len(values) ** 0.5
        found["interval"] = [round(mean - half, 4), round(mean + half, 4)]
    return {"mean": round(mean, 4)} | found


def means(runs):
    return {s: over_seeds([r[s]["value"] for r in runs]) for s in SCORED}


def scaling_curve(rows, lines, splits, sizes, goal=GOAL):
    """Accuracy against the CPU minutes of pretraining, and where the goal would be reached.

    The line through the points is straight in the logarithm of the minutes. Beside it: what
    the lines through all points but one say; None where such a line does not rise. Splits count
    by their `sizes`.
    """
    spent = {str(line["step"]): line["cpu_seconds"] / 60 for line in lines}
    spent["pretrained"] = lines[-1]["cpu_seconds"] / 60
    sizes = [sizes[split]["rows"] for split in splits]

    def accuracy(row):
        return float(np.average([row[split]["mean"] for split in splits], weights=sizes))

    points = sorted((spent[name], accuracy(row)) for name, row in rows.items() if name in spent)

    def minutes(some):
        slope, level = np.polyfit(*np.array([(np.log(x), y) for x, y in some]).T, 1)
        return round(float(np.exp((goal - level) / slope))) if slope > 0 else None

    found = {"points": [[round(x, 1), round(y, 4)] for x, y in points]}
    if len(points) > 2:
        found |= {"goal": goal, "minutes": minutes(points)}
        found["leaving one out"] = [minutes([p for p in points if p != left]) for left in points]
    return found


def record(arguments):
    from course import runtime
    from course.fine_tuning.metrics import wilson
    from course.pretraining import Recipe

    def read(path):
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def figure(right, rows):
        interval = [round(end, 4) for end in wilson(right, rows)]
        return {"value": round(right / rows, 4), "interval": interval, "rows": rows}

    run, tasks = arguments.run, {}
    lines = read(run / "pretraining" / "log.jsonl")
    for task_name in TASKS:
        task, rows = task_of(task_name), {}
        labels = np.array(task.splits["train"].labels)
        majority = int(2 * labels.sum() > len(labels))
        counted = {"bag of words": bag_of_words(task)}
        counted["majority"] = {
            name: int((np.array(e.labels) == majority).sum()) for name, e in task.splits.items()
        }
        for name, right in counted.items():
            rows[name] = {s: figure(right[s], len(task.splits[s])) for s in SCORED}
        found = {}  # by start, then by learning rate: a list of runs
        for path in sorted(run.glob(f"{task_name}-*/metrics.jsonl")):
            settings = json.loads((path.parent / "run.json").read_text(encoding="utf-8"))
            start = path.parent.name.split("-")[1]
            one = {"seed": settings["seed"], "max_length": settings["max_length"]}
            for line in read(path):
                value, *interval = (round(line["accuracy"][k], 4) for k in ("value", "low", "high"))
                one[line["split"]] = {"value": value, "interval": interval}
            one["seconds"] = read(path.parent / "log.jsonl")[-1]["seconds"]
            found.setdefault(start, {}).setdefault(settings["learning_rate"], []).append(one)
        for start in sorted(found, key=lambda name: (name.isdigit(), name.zfill(9))):
            first = {rate: runs[0]["validation"]["value"] for rate, runs in found[start].items()}
            rate = max(first, key=lambda rate: (len(found[start][rate]), first[rate]))
            tried = {f"{r:g}": value for r, value in first.items()}
            runs = found[start][rate]
            rows[start] = {"rate": rate, "tried": tried, "runs": runs}
            rows[start] |= means(runs)
        if task_name == "sst2":  # at one learning rate
            at_rate = {
                n: means(r[usual]) for n, r in found.items() if (usual := usual_rate(n)) in r
            }
            curve = {
                " and ".join(splits): scaling_curve(at_rate, lines, splits, rows["majority"])
                for splits in (("test",), SCORED)
            }
            print("SST-2 against minutes of pretraining", json.dumps(curve, indent=1))
        tasks[task_name] = {"training rows": len(labels), "rows": rows}
        print(task_name, json.dumps(rows, indent=1), flush=True)
    recipe = json.loads((run / "pretraining" / "recipe.json").read_text(encoding="utf-8"))
    mini = Recipe(vocabulary=official_vocabulary(), **PRETRAINING)
    chosen = {n: v for n, v in recipe.items() if v != getattr(mini, n)}
    chosen = " ".join(
        f"{n}={v if isinstance(v, str) else json.dumps(v)}" for n, v in chosen.items()
    )
    kept = ("step", "epoch", "seconds", "cpu_seconds", "val_masked_loss", "val_masked_accuracy")
    result = {
        "command": f"{COMMAND} --pretrain --set {chosen}; --fine-tune, for each run; --record",
        "hardware": arguments.hardware or runtime.hardware(),
        "note": arguments.note,
        "recipe": {n: v for n, v in recipe.items() if n != "vocabulary"},
        "unigrams": json.loads((run / "pretraining" / "unigrams.json").read_text(encoding="utf-8")),
        "pretraining": [{k: round(line[k], 4) for k in kept} for line in lines],
        "tasks": tasks,
        "curve": curve,
    }
    _harness.record("bert_quality", result)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="where the runs live")
    parser.add_argument("--pretrain", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], help="NAME=VALUE of the pretraining recipe")
    parser.add_argument("--begin", help="a checkpoint to pretrain from, instead of random weights")
    parser.add_argument("--fine-tune", choices=TASKS)
    parser.add_argument(
        "--start", default="pretrained", help="or random, imdb, or a number of updates"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, help="instead of the usual learning rate")
    parser.add_argument("--mixed", help="mixed_bfloat16, of fine-tuning")
    parser.add_argument("--max-length", type=int, help="ids of a text; else 64 or 512 by the task")
    parser.add_argument("--everything", action="store_true")
    parser.add_argument("--at-once", type=int, default=1, help="processes of --everything")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, help="of --everything")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--hardware", help="of runs that were made elsewhere")
    parser.add_argument("--note", default="", help="what else the machine did")
    arguments = parser.parse_args()
    arguments.run.mkdir(parents=True, exist_ok=True)
    if arguments.everything:  # in other processes: this one leaves the device alone
        everything(arguments)
        return

    from course import runtime

    runtime.start()
    if arguments.pretrain:
        pretrain(arguments)
    elif arguments.fine_tune:
        fine_tune(arguments)
    elif arguments.record:
        record(arguments)
    else:
        parser.error("say --pretrain, --fine-tune, --everything or --record.")


if __name__ == "__main__":
    main()
