"""Exercises of lesson question_answering: its probes, references and words."""

from course.exercises.question_answering.probes import EXERCISES, LESSON, QUESTIONS

__all__ = ["EXERCISES", "LESSON", "QUESTIONS"]
