"""Exercises of lesson start: its probes, references and words."""

from course.exercises.start.probes import EXERCISES, LESSON, QUESTIONS

__all__ = ["EXERCISES", "LESSON", "QUESTIONS"]
