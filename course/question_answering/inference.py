"""A trained model: a question and a text in; an answer, its probability and its place out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from keras import ops

from course import checkpoints, runtime
from course.question_answering.model import BertForQuestionAnswering
from course.question_answering.questions import Question
from course.question_answering.selection import NEVER, Spans, best_spans, merge_windows
from course.question_answering.spans import span_text
from course.question_answering.windows import WindowBatches, make_windows

SETTINGS = "question_answering.json"


class Answer(NamedTuple):
    """What a model says to a question.

    Attributes:
        text: the answer's words as they stand in the context; "" means "no answer".
        probability: of this answer among all spans (and "no answer").
        start, end: its characters in the context, end exclusive; -1 and -1 for "no answer".
    """

    text: str
    probability: float
    start: int = -1
    end: int = -1


@dataclass
class Predictions:
    """Best answers of many questions, best first.

    Attributes:
        answers: list of lists of `Answer`s, without "no answer", each text once.
        no_answer: float array `(questions,)`, the probability of "no answer"; 0 if the model knows
            none.
        differences: float array `(questions,)`: the score of "no answer" minus the best span's;
            -inf if the model knows none.
    """

    answers: list
    no_answer: np.ndarray
    differences: np.ndarray

    def best(self, threshold=0.0):
        """The `Answer` to each question: "no answer" where the difference is above threshold."""
        found = []
        for answers, none, difference in zip(
            self.answers, self.no_answer, self.differences, strict=True
        ):
            silent = difference > threshold or not answers
            found.append(Answer("", float(none)) if silent else answers[0])
        return found


@dataclass
class QuestionAnswerer:
    """A trained model with all that it needs to answer.

    Attributes:
        model: the `BertForQuestionAnswering`.
        tokenizer: its `Tokenizer`.
        max_length, doc_stride, max_query_length: see `make_windows`.
        max_answer_length: the most tokens of an answer.
        threshold: above which difference "no answer" is said; chosen on validation.
    """

    model: BertForQuestionAnswering
    tokenizer: object
    max_length: int = 384
    doc_stride: int = 128
    max_query_length: int = 64
    max_answer_length: int = 30
    threshold: float = 0.0

    def answer(self, question, context):
        """Answers one question: an `Answer`."""
        asked = Question("", question, context)
        return self.predict([asked], n_best=1).best(self.threshold)[0]

    def n_best(self, question, context, n=5):
        """The n likeliest answers to one question: a list of `Answer`s."""
        return self.predict([Question("", question, context)], n_best=max(n, 20)).answers[0][:n]

    def predict(self, questions, *, batch_size=32, n_best=20):
        """Scores the spans of many contexts.

        Args:
            questions: list of `Question`s; their answers are not looked at.
            batch_size: rows of a batch.
            n_best: answers of a question.

        Returns:
            `Predictions`.
        """
        questions = list(questions)
        if not questions:
            return Predictions([], np.zeros(0), np.zeros(0))
        windows = make_windows(
            self.tokenizer,
            [Question("", q.question, q.context) for q in questions],
            max_length=self.max_length,
            doc_stride=self.doc_stride,
            max_query_length=self.max_query_length,
        )
        spans, null = self._score(windows, batch_size, n_best)
        by_cls = self.model.no_answer_by == "cls"
        merged, source, lowest = merge_windows(
            windows.question, spans, null if by_cls else None, n_best=n_best
        )
        if self.model.no_answer_by == "head":  # its odds are against all spans together
            lowest = np.full(len(questions), np.inf)
            np.minimum.at(lowest, windows.question, null)
            lowest = lowest + merged.total
            merged = merged._replace(total=np.logaddexp(merged.total, lowest))
        return self._predictions(questions, windows, merged, source, lowest)

    def _score(self, windows, batch_size, n_best):
        """`Spans` of every window, and its score of "no answer" or None."""
        batches = WindowBatches(
            windows, batch_size, pad_id=self.tokenizer.pad_id, no_answer=False, training=False
        )
        kind = self.model.no_answer_by
        found, null = None, None if kind is None else np.zeros(len(windows))
        for index in range(len(batches)):
            rows = batches.rows(index)
            (ids, segments, allowed), _ = batches[index]
            # Without the mask, so that [CLS] has its logits; the mask is laid on below.
            start, end, *head = self.model.predict_on_batch((ids, segments))
            spans = best_spans(
                start,
                end,
                allowed,
                may_start=batches.best(index, ids.shape[1]),
                n_best=n_best,
                max_answer_length=self.max_answer_length,
            )
            parts = [ops.convert_to_numpy(part)[: len(rows)] for part in spans]
            if found is None:
                shape = (len(windows), n_best)
                found = [np.zeros(shape, int), np.zeros(shape, int), np.full(shape, NEVER * 2)]
                found.append(np.full(len(windows), -np.inf))
            n = parts[0].shape[1]
            for whole, part in zip(found[:3], parts[:3], strict=True):
                whole[rows, :n] = part
            found[3][rows] = parts[3]
            if kind == "cls":
                null[rows] = (np.asarray(start)[:, 0] + np.asarray(end)[:, 0])[: len(rows)]
            elif kind == "head":
                null[rows] = np.asarray(head[0])[: len(rows)]
        return Spans(*found), null

    def _predictions(self, questions, windows, merged, source, lowest):
        answers, none = [], np.zeros(len(questions))
        differences = np.full(len(questions), -np.inf)
        if lowest is not None:
            none = np.exp(lowest - merged.total)
            best = np.where(merged.score[:, 0] > NEVER, merged.score[:, 0], lowest - 1e4)
            differences = lowest - best
        # Places in a row → tokens of the context: minus what stands in front, plus the window's.
        shift = (windows.first - windows.begins)[source]
        firsts, lasts = merged.start + shift, merged.end + shift
        chances = np.exp(merged.score - merged.total[:, None])
        for row, question in enumerate(questions):
            offsets, kept = windows.offsets[row], {}
            for first, last, score, chance in zip(
                firsts[row], lasts[row], merged.score[row], chances[row], strict=True
            ):
                if score <= NEVER:
                    break
                text = span_text(offsets, question.context, first, last)
                start, end = int(offsets[first][0]), int(offsets[last][1])
                kept.setdefault(text, Answer(text, float(chance), start, end))
            answers.append(list(kept.values()))
        return Predictions(answers, none, differences)

    def save(self, folder, *, max_shard_size="1GB"):
        """Writes it in Hugging Face's layout, as `BertForQuestionAnswering` opens it."""
        checkpoints.save_bert(
            self.model,
            folder,
            tokenizer=self.tokenizer,
            max_length=self.max_length,
            max_shard_size=max_shard_size,
        )
        settings = {name: getattr(self, name) for name in _KEPT}
        settings["no_answer"] = self.model.no_answer_by
        told = json.dumps(settings, indent=1) + "\n"
        runtime.write_atomically(Path(folder) / SETTINGS, told.encode())


_KEPT = ("max_length", "doc_stride", "max_query_length", "max_answer_length", "threshold")


def load_question_answerer(source, **settings):
    """A model that was trained here, or that `transformers` saved or the hub has.

    Args:
        source: a run's folder, or what `checkpoints.load_bert` takes. Of a checkpoint from
            elsewhere it is not known whether it tells "no answer": give no_answer="cls" if it was
            trained on SQuAD 2.0.
        **settings: those of `QuestionAnswerer` that are to differ, and `no_answer`.

    Returns:
        A `QuestionAnswerer`.

    Raises:
        checkpoints.CheckpointError: if it is none.
    """
    if (Path(str(source)) / "model" / "config.json").is_file():
        source = Path(str(source)) / "model"
    kept = {}
    if (file := Path(str(source)) / SETTINGS).is_file():
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise checkpoints.CheckpointError(f"{file} is no JSON ({error}).") from None
    kept |= settings
    no_answer = kept.pop("no_answer", None)
    model = checkpoints.load_bert(
        source,
        lambda encoder: BertForQuestionAnswering(encoder, no_answer, name="question_answering"),
    )
    longest = model.encoder.max_length
    kept["max_length"] = min(kept.get("max_length", 384), longest)
    return QuestionAnswerer(model, checkpoints.load_tokenizer(source), **kept)
