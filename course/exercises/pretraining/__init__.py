"""Exercises of lesson pretraining: its probes, references and words."""

from course.exercises.pretraining.probes import EXERCISES, LESSON, QUESTIONS

__all__ = ["EXERCISES", "LESSON", "QUESTIONS"]
