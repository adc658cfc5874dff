"""Exercises of lesson transformer: its probes, references and words."""

from course.exercises.transformer.probes import EXERCISES, LESSON, QUESTIONS

__all__ = ["EXERCISES", "LESSON", "QUESTIONS"]
