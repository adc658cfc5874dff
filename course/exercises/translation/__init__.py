"""Exercises of lesson translation: its probes, references and words."""

from course.exercises.translation.probes import EXERCISES, LESSON, QUESTIONS

__all__ = ["EXERCISES", "LESSON", "QUESTIONS"]
