"""Text to numbers and back (lesson 01): tokenizers, and batches of rows of similar length."""

from course.tokens.batches import TokenBatches
from course.tokens.tokenizer import Encoding, Tokenizer

__all__ = ["Encoding", "TokenBatches", "Tokenizer"]
