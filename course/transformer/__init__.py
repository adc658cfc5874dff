"""The Transformer: encoder blocks, decoder blocks, and the whole encoder-decoder (lesson 04).

"Attention Is All You Need", Vaswani et al. 2017, in the order of its section 3: `blocks` has the
feed-forward network, the blocks and the two stacks, `model` the whole with its embeddings. BERT is
an `Encoder`, a language model a `Decoder(cross_attention=False)`: each idea is written once.

Masks are boolean and True means "may attend". Keras hands `training` down from the outermost call.
To look at attention weights, call inside `course.attention.recorded_weights`.
"""

from course.transformer.blocks import (
    Decoder,
    DecoderBlock,
    Encoder,
    EncoderBlock,
    FeedForward,
    layer_norm,
)
from course.transformer.cached_attention import CachedMultiHeadAttention
from course.transformer.model import Transformer

__all__ = [
    "CachedMultiHeadAttention",
    "Decoder",
    "DecoderBlock",
    "Encoder",
    "EncoderBlock",
    "FeedForward",
    "Transformer",
    "layer_norm",
]
