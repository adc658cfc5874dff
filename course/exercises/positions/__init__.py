"""Exercises of lesson positions: its probes, references and words."""

from course.exercises.positions.probes import EXERCISES, LESSON, QUESTIONS

__all__ = ["EXERCISES", "LESSON", "QUESTIONS"]
