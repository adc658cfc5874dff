"""Questions answered from a text: exact match and F1 beside baselines (lesson 09).

    python benchmarks/question_answering.py [--record] [--task world] [--seeds 3]

"world": the embedded world's questions, offline. 7,168 training questions seen once in windows of
256 ids, batches of 16, AdamW with a tenth of the updates as warm-up and a largest rate of 1e-3; the
checkpoint and the threshold for "no answer" are chosen on the 921 validation questions, the scores
are those of the 939 test questions. From the course's own BERT, and from random weights.
"squad": SQuAD's development articles, divided by article (train 36, validation 4, test 8), another
division for each seed. "xquad", "cmrc2018": Chinese; XQuAD divided by article (36, 4, 8), CMRC's
trial questions to train, a half of its dev articles to choose, the other to test. These three want
`COURSE_DATA`, and `--from FOLDER`, a BERT that `course train bert-pretrain` wrote.

Baselines: the sentence with most words of the question; a random span of a usual length; the
sliding window of Richardson et al. 2013, as Rajpurkar et al. 2016 used it.

`--record` writes benchmarks/results/question_answering.json, the rows of other tasks kept.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _harness import record

RESULTS = Path(__file__).parent / "results"
NAME = "question_answering"
TASKS = ("world", "squad", "xquad", "cmrc2018")
KEYS = ("exact_match", "f1")
WORLD = {"epochs": 1, "learning_rate": 1e-3, "max_length": 256, "vocab_size": 3204}
REAL = {"epochs": 3, "learning_rate": 3e-4, "max_length": 384}


def splits_of(task, seed):
    """The questions of a task."""
    from course.question_answering import read_questions, split_by_title
    from course.question_answering.world import world_questions

    if task == "world":
        found = world_questions()
        order = np.random.default_rng(seed).permutation(len(found["train"]))[:7168]
        return found | {"train": [found["train"][i] for i in order]}
    sizes = {"train": 36, "validation": 4, "test": 8}
    if task == "cmrc2018":
        held_out = read_questions("cmrc2018", "dev").questions
        count = len({q.title or q.context for q in held_out}) // 2
        parts = split_by_title(held_out, {"validation": count, "test": count}, seed)
        return {"train": read_questions("cmrc2018", "trial").questions} | parts
    questions = read_questions(task, "zh" if task == "xquad" else "dev").questions
    return split_by_title(questions, sizes, seed)


def plain(scores):
    return {name: [round(x, 3) for x in score] for name, score in scores.items()}


def told(rows):
    """Mean and standard deviation over seeds of [{"exact_match": [...], "f1": [...]}, ...]."""
    found = {"runs": rows}
    for name in KEYS:
        values = [row[name][0] for row in rows]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        found[name] = {"mean": round(float(np.mean(values)), 2), "std": round(spread, 2)}
    return found


def baselines(splits, language, seed):
    """{name: scores} of what does not learn."""
    from course.question_answering import baselines as ways
    from course.question_answering import metrics
    from course.question_answering.recipe import usual_lengths

    test = splits["test"]
    said = {
        "random span": ways.random_spans(test, usual_lengths(splits["train"]), seed),
        "closest sentence": [ways.closest_sentence(q) for q in test],
        "sliding window": [ways.sliding_window(q) for q in test],
        "always no answer": [""] * len(test),
    }
    groups = [q.title or q.context for q in test]
    told = [q.texts for q in test]
    return {
        name: plain(metrics.scores(metrics.score_table(each, told, language), groups))
        for name, each in said.items()
    }


def closer_look(answerer, questions, language):
    """What one trained model does with and without the parts of its selection."""
    from course.question_answering import metrics
    from course.question_answering.recipe import evaluate

    predictions = answerer.predict(questions)
    _, table = evaluate(answerer, questions, language, predictions)
    rows = [q.texts for q in questions]

    def score(threshold):
        said = [a.text for a in predictions.best(threshold)]
        means = metrics.score_table(said, rows, language).mean(axis=0)
        return [round(100 * float(x), 2) for x in means]

    spread = np.quantile(predictions.differences, np.linspace(0, 1, 21))
    found = {
        "threshold": round(answerer.threshold, 3),
        "at the threshold": score(answerer.threshold),
        "at 0": score(0.0),
        "always a span": score(np.inf),
        "curve": [[round(float(t), 3), *score(t)] for t in spread],
        "by kind": metrics.by_group(table, [q.kind or metrics.question_word(q.question, language)
                                            for q in questions]),
        "by length": metrics.by_group(table, [metrics.length_class(q.texts, language)
                                              for q in questions]),
        "spans": spans_apart(answerer, questions),
        "windows": windows_merged(answerer, questions, language),
        "examples": examples(predictions, questions),
    }  # fmt: skip
    return json.loads(json.dumps(found, default=float))


def spans_apart(answerer, questions):
    """How often the likeliest start and the likeliest end make no span."""
    from course.question_answering import WindowBatches, make_windows

    windows = make_windows(answerer.tokenizer, questions, max_length=answerer.max_length)
    batches = WindowBatches(windows, 32, pad_id=0, no_answer=False, training=False)
    counts = {"windows": 0, "end before start": 0, "longer than 30": 0, "in the question": 0}
    for index in range(len(batches)):
        rows = len(batches.rows(index))
        (ids, segments, allowed), _ = batches[index]
        start, end, *_ = answerer.model.predict_on_batch((ids, segments))
        free = [np.asarray(x)[:rows, 1:].argmax(axis=1) + 1 for x in (start, end)]
        inside = [np.where(allowed, x, -1e9)[:rows].argmax(axis=1) for x in (start, end)]
        counts["windows"] += rows
        counts["end before start"] += int((inside[1] < inside[0]).sum())
        counts["longer than 30"] += int((inside[1] - inside[0] >= 30).sum())
        row = np.arange(rows)
        outside = [~allowed[row, place] & (ids[row, place] != 0) for place in free]
        counts["in the question"] += int((outside[0] | outside[1]).sum())
    return counts


def windows_merged(answerer, questions, language):
    """Short windows, merged by logits, and by the probabilities of each window."""
    from dataclasses import replace

    from course.question_answering import inference, metrics

    short = replace(answerer, max_length=64, doc_stride=16)
    some = [q for q in questions if q.answers]
    rows = [q.texts for q in some]

    def score():
        said = [a.text for a in short.predict(some).best(np.inf)]
        return [
            round(100 * float(x), 2) for x in metrics.score_table(said, rows, language).mean(axis=0)
        ]

    found = {"by logits": score()}
    kept = inference.merge_windows

    def by_probability(question, spans, null_scores=None, **more):
        chances = spans.score - np.asarray(spans.total)[:, None]
        return (*kept(question, spans._replace(score=chances), None, **more)[:2], None)

    inference.merge_windows = by_probability
    try:
        found["by the probabilities of each window"] = score()
    finally:
        inference.merge_windows = kept
    said = [a.text for a in answerer.predict(some).best(np.inf)]
    means = metrics.score_table(said, rows, language).mean(axis=0)
    found["one long window"] = [round(100 * float(x), 2) for x in means]
    return found | {"max_length": 64, "doc_stride": 16, "questions": len(some)}


def examples(predictions, questions, count=12):
    """Some questions with the model's best answers."""
    return [
        {
            "question": questions[i].question,
            "answers": questions[i].texts,
            "said": [[a.text, round(a.probability, 3)] for a in predictions.answers[i][:4]],
            "no answer": round(float(predictions.no_answer[i]), 3),
        }
        for i in np.linspace(0, len(questions) - 1, count).astype(int)
    ]


def run(task, name, start, seed, language, settings):
    """Trains one model; returns it, its scores on test, and what it cost."""
    from course.question_answering import Recipe, train_question_answerer

    splits = splits_of(task, seed)
    spent = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        recipe = Recipe(place, seed=seed, language=language, **settings)
        answerer, scores, log = train_question_answerer(
            recipe, splits, start, say=lambda line: None
        )
    row = plain(scores["test"]) | {
        "updates": log[-1]["step"],
        "cpu_seconds": round(time.process_time() - spent),
    }
    print(task, name, seed, row, flush=True)
    return answerer, splits, row


def measure(task, start, seeds):
    """All rows of one task."""
    from course.pretraining import world_bert

    language = "zh" if task in ("xquad", "cmrc2018") else "en"
    settings = WORLD if task == "world" else REAL
    start = world_bert() if task == "world" else start
    models = {"random weights": None, "pretrained": start}
    rows, found = {}, {}
    for seed in range(seeds):
        for name, checkpoint in models.items():
            answerer, splits, row = run(task, name, checkpoint, seed, language, settings)
            rows.setdefault(name, []).append(row)
            if seed == 0 and name == "pretrained":
                found = closer_look(answerer, splits["test"], language)
        for name, row in baselines(splits, language, seed).items():
            rows.setdefault(name, []).append(row)
    sizes = {name: len(questions) for name, questions in splits.items()}
    return {
        "questions": sizes,
        "settings": settings,
        "rows": {name: told(each) for name, each in rows.items()},
        "closer look": found,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="write results/ as well")
    parser.add_argument("--task", choices=TASKS, default="world")
    parser.add_argument("--from", dest="start", help="a BERT's folder, for real text")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.task != "world" and not arguments.start:
        parser.error(f"--from: which BERT is to learn {arguments.task}?")

    from course import runtime

    runtime.start()
    result = measure(arguments.task, arguments.start, arguments.seeds)
    for name, row in result["rows"].items():
        figures = [f"{row[key]['mean']:6.2f} ± {row[key]['std']:.2f}" for key in KEYS]
        print(f"{name:20} EM {figures[0]}  F1 {figures[1]}")
    if arguments.record:
        path = RESULTS / f"{NAME}.json"
        known = json.loads(path.read_text(encoding="utf-8"))["tasks"] if path.exists() else {}
        command = " ".join(["python", f"benchmarks/{NAME}.py", *sys.argv[1:]])
        result |= {"command": command, "hardware": runtime.hardware()}
        record(
            NAME,
            {"tasks": known | {arguments.task: result}},
            command=f"python benchmarks/{NAME}.py --record",
            hardware=runtime.hardware(),
        )


if __name__ == "__main__":
    main()
