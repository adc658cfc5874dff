"""Causal language models: text that goes on (lesson 10).

`blocks` has the decoder block of GPT-2 and what Llama changed in it, `model` the whole model,
`packing` documents in rows, `loss` what trains it, `recipe` a whole run, `scoring` perplexity and
bits a byte, `ngram` the baseline, and `generation` what writes. Checkpoints of others are read by
`course.checkpoints.causal`.
"""

from course.language_modelling.blocks import (
    CausalBlock,
    CausalDecoder,
    GatedFeedForward,
    GroupedQueryAttention,
    RMSNorm,
)
from course.language_modelling.characters import learn_characters
from course.language_modelling.generation import encode_prompts, generate, stream
from course.language_modelling.loss import NextToken, causal_loss
from course.language_modelling.model import CausalLM
from course.language_modelling.ngram import KneserNey
from course.language_modelling.packing import PackedBatches, pack
from course.language_modelling.recipe import (
    LanguageModel,
    Recipe,
    load_language_model,
    train_language_model,
)
from course.language_modelling.scoring import (
    bits_per_byte,
    encode_documents,
    evaluate,
    next_token_probabilities,
    perplexity,
    start_and_end,
    token_nll,
)
from course.language_modelling.texts import load_texts

__all__ = [
    "CausalBlock",
    "CausalDecoder",
    "CausalLM",
    "GatedFeedForward",
    "GroupedQueryAttention",
    "KneserNey",
    "LanguageModel",
    "NextToken",
    "PackedBatches",
    "RMSNorm",
    "Recipe",
    "bits_per_byte",
    "causal_loss",
    "encode_documents",
    "encode_prompts",
    "evaluate",
    "generate",
    "learn_characters",
    "load_language_model",
    "load_texts",
    "next_token_probabilities",
    "pack",
    "perplexity",
    "start_and_end",
    "stream",
    "token_nll",
    "train_language_model",
]
