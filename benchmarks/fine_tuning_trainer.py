"""The classic recipe here and by Hugging Face's Trainer, from the same weights on the same data.

    python benchmarks/fine_tuning_trainer.py [--record] [--seeds 3]

The task "answers" of `fine_tuning_gain.py`, 1,000 labelled pairs. For each seed our classifier,
with its new head, is written by `course.checkpoints`, and `BertForSequenceClassification` opens the
folder; before the training both give the same logits. Then both train: 3 epochs, batches of 16,
AdamW with a decay of 0.01 that leaves out biases and layer normalization, 18 warm-up steps, linear
fall, gradients clipped to a norm of 1, dropout 0.1 in front of the head. The order of the rows and
dropout are drawn by each library for itself, so the results agree in the mean and not digit for
digit.

Needs torch, transformers and accelerate (`pip install accelerate`), which is no dependency of the
course. Prints test accuracy. `--record` writes benchmarks/results/fine_tuning_trainer.json, which
the lesson shows.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from fine_tuning_gain import DECAY, EPOCHS, LENGTH, RATE, SIZE, Rig, answers, told, write
from fine_tuning_gain import planned as planned_rates

COUNT = 1000


def rows_of(tokenizer, examples):
    """What the Trainer reads: a list of dicts of lists."""
    from course.fine_tuning import encode
    from course.fine_tuning.examples import segments

    made = []
    ids = encode(tokenizer, examples.texts, examples.pairs, LENGTH)
    for row, label in zip(ids, examples.labels, strict=True):
        kinds = segments(np.array([row]), tokenizer.pad_id, tokenizer.end_id)[0]
        made.append(
            {
                "input_ids": row,
                "token_type_ids": kinds.tolist(),
                "attention_mask": [1] * len(row),
                "labels": int(label),
            }
        )
    return made


def by_the_trainer(folder, tokenizer, task, updates, seed, scratch):
    """Test accuracy after training with Hugging Face's Trainer, and how it begins."""
    import torch
    from transformers import BertForSequenceClassification, Trainer, TrainingArguments

    model = BertForSequenceClassification.from_pretrained(folder)

    def collate(rows):
        longest = max(len(row["input_ids"]) for row in rows)
        batch = {}
        for name in ("input_ids", "token_type_ids", "attention_mask"):
            fill = tokenizer.pad_id if name == "input_ids" else 0
            padded = [row[name] + [fill] * (longest - len(row[name])) for row in rows]
            batch[name] = torch.tensor(padded)
        return batch | {"labels": torch.tensor([row["labels"] for row in rows])}

    def logits_of(rows):
        model.eval()
        with torch.no_grad():
            return np.concatenate(
                [model(**collate(rows[i : i + 64])).logits.numpy() for i in range(0, len(rows), 64)]
            )

    test = rows_of(tokenizer, task.splits["test"])
    began = logits_of(test)
    arguments = TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=SIZE,
        learning_rate=RATE,
        warmup_steps=updates // 10,
        weight_decay=DECAY,
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        seed=seed,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    train = rows_of(tokenizer, task.splits["train"])
    trainer = Trainer(model=model, args=arguments, train_dataset=train, data_collator=collate)
    trainer.train()
    assert trainer.state.global_step == updates
    hits = logits_of(test).argmax(-1) == np.array([row["labels"] for row in test])
    return float(hits.mean()), began


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()

    from course import runtime

    runtime.start()
    # The course's folder of data, which transformers would take for the package of that name.
    sys.modules["datasets"] = None
    import accelerate
    import torch
    import transformers

    from course import checkpoints
    from course.fine_tuning import ExampleBatches, encode

    torch.set_num_threads(1)  # two wait for one another where the machine is busy
    updates = EPOCHS * -(-COUNT // SIZE)
    rig, began = Rig(), time.process_time()
    found = {"course": [], "Trainer": []}
    furthest = 0.0
    for seed in range(arguments.seeds):
        task = answers(COUNT, seed)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "start"
            first = rig.begin(seed)
            checkpoints.save_bert(
                first, folder, tokenizer=rig.tokenizer, labels=task.labels, max_length=LENGTH
            )
            accuracy, logits = by_the_trainer(
                folder, rig.tokenizer, task, updates, seed, Path(scratch) / "run"
            )
            test = task.splits["test"]
            batches = ExampleBatches(
                encode(rig.tokenizer, test.texts, test.pairs, LENGTH),
                batch_size=len(test),
                pad_id=rig.tokenizer.pad_id,
                end_id=rig.tokenizer.end_id,
                shuffle=False,
            )
            ours = np.zeros_like(logits)
            ours[batches.rows(0)] = np.asarray(first.predict_on_batch(batches[0][0]))
            furthest = max(furthest, float(np.abs(ours - logits).max() / np.abs(logits).max()))
        found["Trainer"].append(accuracy)
        rates = planned_rates(updates)
        found["course"].append(rig.train(task, rates, seed=seed)["test"])
        print(seed, {name: values[-1] for name, values in found.items()}, flush=True)
    seconds = time.process_time() - began
    results = {name: told(values) for name, values in found.items()}
    print(results, f"logits before training differ by {furthest:.1e}; {seconds:.0f} CPU seconds")
    if arguments.record:
        others = f"torch {torch.__version__}, transformers {transformers.__version__}"
        write(
            "fine_tuning_trainer",
            {
                "command": "python benchmarks/fine_tuning_trainer.py --record "
                f"--seeds {arguments.seeds}",
                "hardware": f"{runtime.hardware()}, {others}, accelerate {accelerate.__version__}",
                "cpu_seconds": round(seconds),
                "train_rows": COUNT,
                "test_rows": 400,
                "updates": updates,
                "logits_before": furthest,
                "results": results,
            },
        )


if __name__ == "__main__":
    main()
