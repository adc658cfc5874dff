"""Text to numbers and back (lesson 01): tokenizers, and batches of rows of similar length."""

from course.runtime.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__, {"Encoding": "tokenizer", "Tokenizer": "tokenizer", "TokenBatches": "bucketing"}
)
