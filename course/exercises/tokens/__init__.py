"""Exercises of lesson tokens: its probes, references and words."""

from course.exercises.tokens.probes import EXERCISES, LESSON, QUESTIONS

__all__ = ["EXERCISES", "LESSON", "QUESTIONS"]
