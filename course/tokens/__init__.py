"""Text to numbers and back (lesson 01): tokenizers, and batches of rows of similar length."""

from course.tokens.batches import TokenBatches

__all__ = ["TokenBatches"]
