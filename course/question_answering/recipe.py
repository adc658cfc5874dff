"""A whole run of fine-tuning on questions, which may die and go on."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import numpy as np

from course import checkpoints, runtime, training
from course.pretraining import OFFICIAL, BertEncoder
from course.question_answering import metrics
from course.question_answering.inference import QuestionAnswerer
from course.question_answering.model import BertForQuestionAnswering
from course.question_answering.windows import WindowBatches, make_windows
from course.tokens import Tokenizer
from course.training import WarmupLinear
from course.training.optimizers import adamw


@dataclass(frozen=True)
class Recipe(training.Recipe):
    """Every setting of a question-answering run, under the names that other libraries use.

    Those of every run are in `course.training.Recipe`.

    Attributes:
        epochs: times that each window is seen.
        batch_size, eval_batch_size: windows of a batch.
        learning_rate: the largest. Devlin et al. took 5e-5; a small model bears ten times as much.
        weight_decay: of AdamW, see `course.training.optimizers.adamw`.
        max_length: ids of a window, question and special tokens included.
        doc_stride, max_query_length: see `make_windows`.
        max_answer_length: the most tokens of an answer.
        no_answer: "auto" is "cls" where a training question has no answer, else "none"; "cls" and
            "head" as `BertForQuestionAnswering` has them.
        language: "en" or "zh", of the scores.
        dropout: rate in the encoder; None means the checkpoint's.
        round_steps: updates between two checkpoints and validations; None means an epoch.
        size, vocab_size: of a model from random weights, if no checkpoint is given: see
            `BertEncoder.official`; its vocabulary is learnt from the training texts.

    Reference: Devlin et al. 2019, sections 4.2 and 4.3.
    """

    movable: ClassVar[tuple[str, ...]] = (*training.Recipe.movable, "eval_batch_size")
    at_least_one: ClassVar[tuple[str, ...]] = (
        *training.Recipe.at_least_one,
        "max_answer_length",
        "max_query_length",
        "doc_stride",
    )

    epochs: int | None = 3
    batch_size: int = 16
    eval_batch_size: int = 32
    weight_decay: float = 0.01
    max_length: int = 384
    doc_stride: int = 128
    max_query_length: int = 64
    max_answer_length: int = 30
    no_answer: str = "auto"
    language: str = "en"
    dropout: float | None = None
    round_steps: int | None = None
    size: str = "tiny"
    vocab_size: int = 8000

    def __post_init__(self):
        super().__post_init__()
        allowed = {"no_answer": ("auto", "none", "cls", "head"), "language": ("en", "zh")}
        for name, values in (allowed | {"size": tuple(OFFICIAL)}).items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} = {getattr(self, name)!r}: choose one of {', '.join(values)}."
                )

    def optimizer(self, model, steps):
        """AdamW with warm-up and linear decay over `steps` updates.

        Raises:
            ValueError: if the warm-up is as long as the training.
        """
        warmup_steps = self.warmup(steps, self.output_dir)
        if warmup_steps >= max(steps, 1):
            raise ValueError(
                f"warmup_steps = {warmup_steps}, and the run has {steps} updates: the learning "
                "rate would never be reached. Leave it out for a tenth of them."
            )
        return adamw(
            model,
            WarmupLinear(self.learning_rate, warmup_steps, steps),
            weight_decay=self.weight_decay,
            epsilon=self.epsilon,
            clipnorm=self.clipnorm,
        )


def train_question_answerer(
    recipe, splits, start=None, *, deterministic=False, callbacks=(), verbose=0, say=None
):
    """Fine-tunes a span model; call it again to go on after a stop.

    In `recipe.output_dir` are then `log.jsonl` (a line a validation), `metrics.jsonl` (a line a
    split), `predictions-SPLIT.json` ({id: answer}, as the official scripts read it), `model/`
    (Hugging Face's layout), `checkpoints/` and `best.safetensors`.

    Args:
        recipe: a `Recipe`.
        splits: {"train": list of `Question`s, "validation": …, and further ones}. All but "train"
            are scored in the end. The threshold for "no answer" is chosen on "validation".
        start: the checkpoint to start from, see `checkpoints.load_bert`; None starts from random
            weights.
        deterministic: whether operations have to give the same bits in every run. Slower.
        callbacks: more Keras callbacks, told of validations as of epochs.
        verbose: as Keras' `fit` takes it.
        say: called with lines on what a checkpoint has and lacks, and on answers that the training
            cannot learn; by default they go to stderr.

    Returns:
        The best `QuestionAnswerer`, {split: {name: `Score`}}, and the log (see `training.train`).

    Raises:
        ValueError: if a setting does not fit the data, or the folder holds another run.
    """
    folder = recipe.folder()
    lacking = [name for name in ("train", "validation") if not splits.get(name)]
    if lacking:
        raise ValueError(f"there are no questions of {' and '.join(lacking)}.")
    runtime.seed_everything(recipe.seed, deterministic=deterministic)
    no_answer = _no_answer(recipe, splits["train"])
    model, tokenizer = _start(recipe, splits["train"], start, folder, no_answer, say)
    answerer = QuestionAnswerer(
        model,
        tokenizer,
        max_length=min(recipe.max_length, model.encoder.max_length),
        doc_stride=recipe.doc_stride,
        max_query_length=recipe.max_query_length,
        max_answer_length=recipe.max_answer_length,
    )
    batches = _batches(recipe, answerer, splits["train"], say=say)
    asked, recipe = recipe, recipe.resolved(len(batches), folder)
    model.compile(recipe.optimizer(model, recipe.max_steps), jit_compile=runtime.jit_compile())
    settings = replace(asked, warmup_steps=recipe.warmup_steps).run_settings()
    settings |= {"data": _digest(splits), "start": str(start)}
    log = training.train(
        model,
        batches,
        steps=recipe.max_steps,
        folder=folder,
        round_steps=recipe.round_steps,
        validation=_batches(recipe, answerer, splits["validation"], training_rows=False),
        monitor="val_nll",
        keep=recipe.keep,
        patience=recipe.patience,
        settings=settings,
        logging_dir=recipe.logging_dir,
        callbacks=callbacks,
        verbose=verbose,
    )
    note = training.load_checkpoint(folder / "best.safetensors", model)
    found = _evaluate(recipe, answerer, splits, note["step"])
    asked.save(folder)
    _keep(answerer, folder / "model")
    return answerer, found, log


def evaluate(answerer, questions, language="en", predictions=None, batch_size=32):
    """What a `QuestionAnswerer` is worth.

    Args:
        answerer: the model.
        questions: list of `Question`s.
        language: of the scores.
        predictions: `Predictions` of these questions, if they are there already.
        batch_size: windows of a batch.

    Returns:
        Pair of {"exact_match": `Score`, "f1": `Score`}, whose intervals draw whole articles, or
        contexts where there are no titles, and the table behind it, `(questions, 2)`.
    """
    predictions = predictions or answerer.predict(questions, batch_size=batch_size)
    said = [answer.text for answer in predictions.best(answerer.threshold)]
    table = metrics.score_table(said, [q.texts for q in questions], language)
    return metrics.scores(table, [q.title or q.context for q in questions]), table


def choose_threshold(predictions, questions, language="en"):
    """The threshold for "no answer" with the best F1 on these questions; see `best_threshold`."""
    said = [answers[0].text if answers else "" for answers in predictions.answers]
    told = [q.texts for q in questions]
    with_span = metrics.score_table(said, told, language)[:, 1]
    without = metrics.score_table([""] * len(said), told, language)[:, 1]
    return metrics.best_threshold(predictions.differences, with_span, without)[0]


def _evaluate(recipe, answerer, splits, step):
    """Scores of all splits but "train", written to the run's folder."""
    folder, found, lines = recipe.folder(), {}, []
    for name in ["validation", *(n for n in splits if n not in ("train", "validation"))]:
        questions = splits[name]
        predictions = answerer.predict(questions, batch_size=recipe.eval_batch_size)
        if name == "validation" and answerer.model.no_answer_by:
            answerer.threshold = choose_threshold(predictions, questions, recipe.language)
        found[name], _ = evaluate(answerer, questions, recipe.language, predictions)
        said = predictions.best(answerer.threshold)
        told = {q.id: answer.text for q, answer in zip(questions, said, strict=True)}
        text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
        runtime.write_atomically(folder / f"predictions-{name}.json", text.encode())
        line = {"split": name, "questions": len(questions), "step": step}
        lines.append(line | {key: score._asdict() for key, score in found[name].items()})
    told = "".join(json.dumps(line) + "\n" for line in lines)
    runtime.write_atomically(folder / "metrics.jsonl", told.encode())
    return found


def _no_answer(recipe, train):
    """How the model tells "no answer": "cls", "head" or None."""
    unanswered = sum(not q.answers for q in train)
    if recipe.no_answer == "auto":
        return "cls" if unanswered else None
    return None if recipe.no_answer == "none" else recipe.no_answer


def _start(recipe, train, start, folder, no_answer, say):
    """The model that the training starts from, and its tokenizer."""
    settings = {} if recipe.dtype_policy is None else {"dtype": recipe.dtype_policy}
    if recipe.dropout is not None:
        settings |= {"dropout": recipe.dropout, "attention_dropout": recipe.dropout}
    more = {} if say is None else {"say": say}

    def over(encoder):
        return BertForQuestionAnswering(encoder, no_answer, name="question_answering")

    if start is None:
        tokenizer = _vocabulary(recipe, train, folder)
        settings |= {"max_length": max(recipe.max_length, 128), "pad_id": tokenizer.pad_id}
        return over(BertEncoder.official(recipe.size, tokenizer.vocab_size, **settings)), tokenizer
    tokenizer = checkpoints.load_tokenizer(start)
    model = checkpoints.load_bert(
        start, over, fresh=("qa_outputs", "no_answer"), **more, **settings
    )
    rows = model.encoder.token_embedding.input_dim
    if tokenizer.vocab_size > rows:
        raise ValueError(
            f"{start}: its vocabulary has {tokenizer.vocab_size} tokens and its model {rows}: they "
            "do not belong together."
        )
    return model, tokenizer


def _vocabulary(recipe, train, folder):
    """The vocabulary of an earlier call, or a new one of the training texts."""
    if (folder / "tokenizer.json").exists():
        return Tokenizer.load(folder)
    texts = [*dict.fromkeys(q.context for q in train), *(q.question for q in train)]
    tokenizer = Tokenizer.learn(texts, recipe.vocab_size)
    tokenizer.save(folder)
    return tokenizer


def _batches(recipe, answerer, questions, training_rows=True, say=None):
    windows = make_windows(
        answerer.tokenizer,
        questions,
        max_length=answerer.max_length,
        doc_stride=answerer.doc_stride,
        max_query_length=answerer.max_query_length,
        no_answer=answerer.model.no_answer_by is not None,
    )
    if training_rows and say and windows.lost:
        reasons = ", ".join(f"{n} {kind}" for kind, n in windows.aligned.items() if kind != "total")
        say(f"{windows.lost} of {windows.aligned['total']} answers teach nothing ({reasons})")
    return WindowBatches(
        windows,
        recipe.batch_size if training_rows else recipe.eval_batch_size,
        pad_id=answerer.tokenizer.pad_id,
        no_answer=answerer.model.no_answer_by == "cls",
        training=training_rows,
        seed=recipe.seed,
    )


def _digest(splits):
    """What tells these training and validation questions from others."""
    told = [[asdict(q) for q in splits[name]] for name in ("train", "validation")]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _keep(answerer, folder):
    """Writes the model where an earlier call's may stand, which is then replaced as a whole."""
    half = folder.with_name(f".writing-{folder.name}")
    shutil.rmtree(half, ignore_errors=True)  # what a killed run left
    answerer.save(half)
    shutil.rmtree(folder, ignore_errors=True)
    half.rename(folder)


def usual_lengths(questions):
    """Words of each answer, for `baselines.random_spans`."""
    return [len(a.text.split()) for q in questions for a in q.answers] or list(np.ones(1, int))
