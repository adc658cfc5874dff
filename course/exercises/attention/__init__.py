"""Exercises of lesson attention: its probes, references and words."""

from course.exercises.attention.probes import EXERCISES, LESSON, QUESTIONS

__all__ = ["EXERCISES", "LESSON", "QUESTIONS"]
