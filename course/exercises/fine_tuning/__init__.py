"""Exercises of lesson fine_tuning: its probes, references and words."""

from course.exercises.fine_tuning.probes import EXERCISES, LESSON, QUESTIONS

__all__ = ["EXERCISES", "LESSON", "QUESTIONS"]
