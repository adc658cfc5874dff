"""BERT on real text: pretrained on film reviews, then fine-tuned on SST-2 and IMDB.

    python benchmarks/bert_quality.py --run FOLDER --pretrain [--set steps=20000 …]
    python benchmarks/bert_quality.py --run FOLDER --fine-tune sst2 --start pretrained --seed 0
    python benchmarks/bert_quality.py --run FOLDER --everything [--at-once 4] [--mixed …] [--set …]
    python benchmarks/bert_quality.py --run FOLDER --record

The data come from `COURSE_DATA`. The first command pretrains BERT mini (4 layers, d_model 256, the
official uncased vocabulary, 11.2 M parameters) on IMDB's unlabelled reviews, of which the last
1,000 are held out, and on WikiText-2's validation text. The second fine-tunes it with the classic
recipe: 3 epochs, batches of 16, evaluation batches of 64, 500 steps of warm-up, weight decay 0.01;
`--start random` begins with the same model as it was before pretraining. The checkpoint with the
best validation accuracy is scored on the test rows. Each goes on where it was stopped. The third
runs them all as processes of their own, for three seeds each, several at once where there is a GPU
(and there `XLA_FLAGS="--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"` halves the
compiling that JAX does for every width of a batch); what is done already is left alone. The last
adds the baselines, majority and logistic regression on a bag of words, prints the table, and writes
benchmarks/results/bert_quality.json. It needs scikit-learn (`pip install scikit-learn`), which the
course does not: the course's own `BagOfWords` holds a dense matrix, too large for IMDB.

SST-2 trains on GLUE's 67,349 phrases without those that occur inside a sentence of the validation
(872) or test split (1,821); IMDB holds out a tenth of its training reviews for validation.
"""

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

RESULT = Path(__file__).parent / "results" / "bert_quality.json"
HELD_OUT = 1000  # reviews
PRETRAINING = {"d_model": 256, "num_layers": 4, "num_heads": 4, "d_ff": 1024, "stddev": 0.0625}
RATES = {"pretrained": 1e-4, "random": 3e-4}
LENGTHS = {"sst2": 64, "imdb": 512}
TASKS, STARTS, SEEDS = tuple(LENGTHS), tuple(RATES), (0, 1, 2)


def official_vocabulary():
    from course.data.sources import local_root

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
    from course.checkpoints import pretraining_start, save_bert
    from course.train_commands import recipe_from

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
        dropping = replace(recipe, dropout=pretraining.Recipe.dropout)
        dropping = dropping.model(tokenizer.vocab_size, tokenizer.pad_id)
        dropping.set_weights(model.get_weights())  # fine-tuned with dropout, pretrained or not
        save_bert(dropping, target, tokenizer=tokenizer)
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

    folder = arguments.run / f"random-{arguments.seed}"
    if not (folder / "config.json").exists():
        runtime.seed_everything(arguments.seed)
        tokenizer = Tokenizer.from_vocab(official_vocabulary(), True)
        model = Recipe(**PRETRAINING).model(tokenizer.vocab_size, tokenizer.pad_id)
        save_bert(model, folder, tokenizer=tokenizer)
    return folder


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


def name_of(arguments):
    rate = RATES[arguments.start] if arguments.rate is None else arguments.rate
    return f"{arguments.fine_tune}-{arguments.start}-{rate:g}-{arguments.seed}", rate


def fine_tune(arguments):
    from course import fine_tuning

    began = time.perf_counter()
    name, rate = name_of(arguments)
    task = task_of(arguments.fine_tune)
    print(task.table(), *task.notes, sep="\n", flush=True)
    start = arguments.run / "pretrained"
    if arguments.start == "random":
        start = random_start(arguments)
    recipe = fine_tuning.Recipe(
        str(arguments.run / name),
        learning_rate=rate,
        seed=arguments.seed,
        max_length=LENGTHS[arguments.fine_tune],
        mixed=arguments.mixed,
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

    def tuning(task, start, seed):
        if start == "pretrained":
            ready.result()
        name = f"{task}-{start}-{RATES[start]:g}-{seed}"
        more = ["--mixed", arguments.mixed] if arguments.mixed else []
        process(name, "--fine-tune", task, "--start", start, "--seed", str(seed), *more)

    began = time.perf_counter()
    with ThreadPoolExecutor(arguments.at_once) as pool:
        begin = ["--begin", arguments.begin] if arguments.begin else []
        ready = pool.submit(process, "pretrained", "--pretrain", *begin, "--set", *arguments.set)
        for start in reversed(STARTS):
            for task in arguments.tasks:
                for seed in SEEDS:
                    pool.submit(tuning, task, start, seed)


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


def record(arguments):
    from course import runtime
    from course.fine_tuning.scores import wilson

    def read(path):
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def figure(right, rows):
        return {"value": round(right / rows, 4), "interval": wilson(right, rows), "rows": rows}

    run, tasks = arguments.run, {}
    for task_name in TASKS:
        task, rows = task_of(task_name), {}
        labels = np.array(task.splits["train"].labels)
        majority = int(2 * labels.sum() > len(labels))
        counted = {"bag of words": bag_of_words(task)}
        counted["majority"] = {
            name: int((np.array(e.labels) == majority).sum()) for name, e in task.splits.items()
        }
        for name, right in counted.items():
            rows[name] = {s: figure(right[s], len(task.splits[s])) for s in ("validation", "test")}
        for start, rate in RATES.items():
            runs = []
            for folder in sorted(run.glob(f"{task_name}-{start}-{rate:g}-*")):
                scored = {
                    line["split"]: line["accuracy"] for line in read(folder / "metrics.jsonl")
                }
                seconds = read(folder / "log.jsonl")[-1]["seconds"]
                runs.append({s: f["value"] for s, f in scored.items()} | {"seconds": seconds})
            rows[start] = {"rate": rate, "runs": runs}
        tasks[task_name] = {"training rows": len(labels), "rows": rows}
        print(task_name, json.dumps(rows, indent=1), flush=True)
    log = read(run / "pretraining" / "log.jsonl")
    recipe = json.loads((run / "pretraining" / "recipe.json").read_text(encoding="utf-8"))
    kept = ("step", "epoch", "seconds", "cpu_seconds", "val_masked_loss", "val_masked_accuracy")
    result = {
        "command": "python benchmarks/bert_quality.py --run FOLDER --record",
        "hardware": arguments.hardware or runtime.hardware(),
        "note": arguments.note,
        "recipe": {n: v for n, v in recipe.items() if n != "vocabulary"},
        "unigrams": json.loads((run / "pretraining" / "unigrams.json").read_text(encoding="utf-8")),
        "pretraining": [{k: line[k] for k in kept} for line in log],
        "tasks": tasks,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to benchmarks/results/{RESULT.name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="where the runs live")
    parser.add_argument("--pretrain", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], help="NAME=VALUE of the pretraining recipe")
    parser.add_argument("--begin", help="a checkpoint to pretrain from, instead of random weights")
    parser.add_argument("--fine-tune", choices=TASKS)
    parser.add_argument("--start", choices=STARTS, default="pretrained")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, help="instead of the usual learning rate")
    parser.add_argument("--mixed", help="mixed_bfloat16, of fine-tuning")
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
