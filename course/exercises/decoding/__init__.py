"""Exercises of lesson decoding: its probes, references and words."""

from course.exercises.decoding.probes import EXERCISES, LESSON, QUESTIONS

__all__ = ["EXERCISES", "LESSON", "QUESTIONS"]
