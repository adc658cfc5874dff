"""Decoding: from logits of the next id to sentences (lesson 06).

Greedy and beam search, and sampling with temperature, top-k, top-p and a repetition penalty. They
take any model with two methods, encoder-decoder or decoder-only:

    cache = model.start_cache(inputs, max_length)    room for `max_length` ids in each row
    logits, cache = model.step(ids, cache, index)    ids `(rows,)` at position `index`, or
                                                     `(rows, length)` from there on
                                                     → logits `(rows, vocab_size)` of the next

`inputs` are the source ids, or the prompts where there is no source. A cache is a nest of tensors,
rows first. Three more methods are used where a model has them: `reorder_cache(cache, rows)` by beam
search (else every tensor of the nest is reordered), `grow_cache(cache, max_length)` (else the cache
has its full length from the start), and `keep_sources(cache, sources, rows)`, which leaves out the
sentences that are done (else they stay, where a model has a `reorder_cache` of its own).
`course.transformer.Transformer` has all five.

A call is one compiled graph with its loop inside, on TensorFlow and on JAX, and ends when all rows
are done. On TensorFlow without XLA sentences leave it as they end. In a graph of your own, such as
an exported model, the functions are plain operations.
"""

from course.decoding.config import GenerationConfig
from course.decoding.logits_processors import repetition_penalty, top_k, top_p
from course.decoding.strategies import beam_search, greedy, sample

__all__ = [
    "GenerationConfig",
    "beam_search",
    "greedy",
    "repetition_penalty",
    "sample",
    "top_k",
    "top_p",
]
