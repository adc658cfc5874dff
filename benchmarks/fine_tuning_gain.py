"""What pretraining gives, against random weights, a bag of words and the majority (lesson 08).

    python benchmarks/fine_tuning_gain.py [--record] [--seeds 4] [--models "random weights"]

Two tasks of the embedded world. "answers": does this sentence hold the answer to this question
(`course.fine_tuning.answers`)? "verdicts": is this reader's verdict positive? The first from 300
and from 1,000 labelled rows, the second from 1,000. Each seed draws other rows, another head,
another order and other dropout. The recipe is that of the lesson: 3 epochs, batches of 16, AdamW
with a decay of 0.01, a tenth of the updates as warm-up, linear fall, a largest rate of 1e-3. Of
3e-4, 1e-3 and 3e-3 it was the best for both models on the validation rows of "answers" (one seed).
Dropout, 0.1, acts in front of the head, as the checkpoint's config has none in the encoder; in the
rows "dropout throughout" it acts there too.

Prints test accuracy: mean and standard deviation over the seeds. `--record` writes
benchmarks/results/fine_tuning_gain.json, which the lesson shows; with `--models` it puts these rows
in the place of those that are there. Each run begins anew, so no row depends on another.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from _harness import record

RESULTS = Path(__file__).parent / "results"
RATE, EPOCHS, SIZE, LENGTH, DROPOUT, DECAY = 1e-3, 3, 16, 64, 0.1, 0.01


def answers(count, seed):
    from course.fine_tuning.answers import answer_task

    return answer_task(count, seed=seed)


def verdicts(count, seed):
    from course import fine_tuning

    task = fine_tuning.read_task("world-verdicts")
    train = task.splits["train"]
    chosen = np.random.default_rng(seed).permutation(len(train))[:count]
    some = fine_tuning.Examples(*([c[i] for i in chosen] for c in (train.texts, train.labels)))
    return fine_tuning.Task(task.labels, task.splits | {"train": some}, [])


TASKS = {"answers": answers, "verdicts": verdicts}
COUNTS = {"answers": (300, 1000), "verdicts": (1000,)}
MODELS = {
    f"{name}{more}": {"pretrained": name == "pretrained", "dropout": dropout}
    for more, dropout in (("", 0.0), (", dropout throughout", DROPOUT))
    for name in ("random weights", "pretrained")
}


class Rig:
    """A classifier that is compiled once and trained many times, each time from its beginning.

    Args:
        pretrained: whether it starts from the course's own BERT or from random weights.
        weight_decay: of AdamW.
        decay_all: whether vectors decay too.
        dropout: of the encoder; that of the head is always 0.1.
    """

    def __init__(self, pretrained=True, weight_decay=DECAY, decay_all=False, dropout=0.0):
        from course import checkpoints, runtime
        from course.pretraining import world_bert
        from course.training.optimizers import AdamW, adamw

        self.pretrained, self.dropout = pretrained, dropout
        self.tokenizer = checkpoints.load_tokenizer(world_bert())
        self.model = self.begin(0)
        if decay_all:
            optimizer = AdamW(RATE, weight_decay, epsilon=1e-8, global_clipnorm=1.0)
        else:
            optimizer = adamw(self.model, RATE, weight_decay=weight_decay, epsilon=1e-8)
        self.model.compile(optimizer, jit_compile=runtime.jit_compile())

    def begin(self, seed):
        """A model as it is before the training with this seed."""
        from course import checkpoints, runtime
        from course.fine_tuning import BertClassifier
        from course.pretraining import BertEncoder, world_bert

        def over(encoder):
            return BertClassifier(encoder, 2, DROPOUT, name="classifier")

        runtime.seed_everything(seed)
        if self.pretrained:
            rates = {"dropout": self.dropout, "attention_dropout": self.dropout}
            return checkpoints.load_bert(
                world_bert(), over, fresh=("classifier",), say=lambda line: None, **rates
            )
        size = {"max_length": 256, "dropout": self.dropout}
        size["pad_id"] = self.tokenizer.pad_id
        return over(BertEncoder.official("tiny", self.tokenizer.vocab_size, **size))

    def train(self, task, rates, epochs=EPOCHS, seed=0, each_epoch=False):
        """Trains with these rates, one for each update.

        Returns:
            {"nll": a number an epoch, "validation_nll", "validation", "test": accuracy}, the
            validation figures as lists if `each_epoch`.
        """
        import keras

        from course.fine_tuning import Classifier, ExampleBatches, encode
        from course.fine_tuning.recipe import score

        model, found = self.model, {"validation_nll": [], "validation": []}
        for ours, first in zip(
            model.trainable_variables, self.begin(seed).trainable_variables, strict=True
        ):
            ours.assign(first)
        for place, variable in enumerate(model.non_trainable_variables):
            if "seed_generator" in variable.path:
                variable.assign(np.array([seed, place], variable.dtype))
        for variable in model.optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))

        def batches(name, size, shuffle):
            part = task.splits[name]
            rows = encode(self.tokenizer, part.texts, part.pairs, LENGTH)
            ids = {"pad_id": self.tokenizer.pad_id, "end_id": self.tokenizer.end_id}
            return ExampleBatches(rows, part.labels, size, shuffle=shuffle, seed=seed, **ids)

        train, validation = batches("train", SIZE, True), batches("validation", 64, False)
        assert len(rates) == epochs * len(train)

        class Planned(keras.callbacks.Callback):
            done = 0

            def on_epoch_begin(self, epoch, logs=None):
                train.epoch = epoch

            def on_train_batch_begin(self, batch, logs=None):
                model.optimizer.learning_rate = float(rates[self.done])
                self.done += 1

            def on_epoch_end(self, epoch, logs=None):
                if each_epoch or epoch == epochs - 1:
                    logs = model.evaluate(validation, verbose=0, return_dict=True)
                    found["validation_nll"].append(round(logs["nll"], 4))
                    found["validation"].append(round(logs["accuracy"], 4))

        log = model.fit(train, epochs=epochs, shuffle=False, verbose=0, callbacks=[Planned()])
        classifier = Classifier(model, self.tokenizer, task.labels, LENGTH)
        if not each_epoch:
            found = {name: values[-1] for name, values in found.items()}
        found["nll"] = [round(float(x), 4) for x in log.history["nll"]]
        found["test"] = round(score(classifier, task.splits["test"])["accuracy"].value, 4)
        return found


def planned(updates, rate=RATE, warmup=None, constant=False):
    """The rates of a run: a tenth of it as warm-up unless told otherwise, then down to 0."""
    warmup = updates // 10 if warmup is None else warmup
    step = np.arange(1, updates + 1)
    up = step / warmup if warmup else np.ones(updates)
    down = (updates - step) / (updates - warmup) if warmup < updates and not constant else 1.0
    return rate * np.minimum(np.minimum(up, down), 1.0)


def told(values):
    """Mean, standard deviation and the values themselves."""
    values = [round(float(v), 4) for v in values]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": round(float(np.mean(values)), 4), "std": round(spread, 4), "runs": values}


def write(name, result):
    record(f"{name}", result)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="write results/fine_tuning_gain.json")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    arguments = parser.parse_args()

    from course import runtime

    runtime.start()
    from course.fine_tuning.baselines import BagOfWords

    began = time.process_time()
    rigs = {name: Rig(**MODELS[name]) for name in arguments.models}
    results = {}
    for task_name in TASKS:
        results[task_name] = {}
        for count in COUNTS[task_name]:
            found = {}
            for seed in range(arguments.seeds):
                task = TASKS[task_name](count, seed)
                test = task.splits["test"]
                labels = np.array(task.splits["train"].labels)
                majority = int(2 * labels.sum() > len(labels))
                scored = {"majority": np.mean(np.array(test.labels) == majority)}
                scored["bag of words"] = (
                    BagOfWords().fit(task.splits["train"]).score(test)["accuracy"].value
                )
                if test.pairs:
                    scored["bag of words, shared words marked"] = (
                        BagOfWords(shared=True)
                        .fit(task.splits["train"])
                        .score(test)["accuracy"]
                        .value
                    )
                updates = EPOCHS * -(-count // SIZE)
                for name, rig in rigs.items():
                    scored[name] = rig.train(task, planned(updates), seed=seed)["test"]
                for name, value in scored.items():
                    found.setdefault(name, []).append(value)
                print(task_name, count, seed, scored, flush=True)
            results[task_name][str(count)] = {name: told(v) for name, v in found.items()}
    seconds = time.process_time() - began
    for task_name, counts in results.items():
        for count, found in counts.items():
            for name, figures in found.items():
                print(
                    f"{task_name:10}{count:>6}  {name:36}"
                    f"{figures['mean']:.3f} ± {figures['std']:.3f}"
                )
    print(f"{seconds:.0f} CPU seconds")
    if arguments.record:
        known = {}
        if len(arguments.models) < len(MODELS):
            path = RESULTS / "fine_tuning_gain.json"
            known = json.loads(path.read_text(encoding="utf-8"))
            for task_name, counts in results.items():
                for count, found in counts.items():
                    results[task_name][count] = known["tasks"][task_name][count] | found
        write(
            "fine_tuning_gain",
            {
                "command": f"python benchmarks/fine_tuning_gain.py --record "
                f"--seeds {arguments.seeds}",
                "hardware": runtime.hardware(),
                "cpu_seconds": round(seconds) + known.get("cpu_seconds", 0),
                "test_rows": 400,
                "rate": RATE,
                "epochs": EPOCHS,
                "batch_size": SIZE,
                "tasks": results,
            },
        )


if __name__ == "__main__":
    main()
