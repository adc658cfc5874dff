"""Weights of encoders in and out: Hugging Face's, Google's and keras-hub's (lesson 08).

    >>> from course import checkpoints
    >>> encoder = checkpoints.load_bert("google-bert/bert-base-uncased")
    >>> tokenizer = checkpoints.load_tokenizer("google-bert/bert-base-uncased")
    >>> checkpoints.save_bert(encoder, "my_bert", tokenizer=tokenizer)

Only numbers are read: safetensors, HDF5 and TensorFlow's checkpoints, never a pickle, which can run
code when it is opened.

`bert` loads and saves. `config` has the sizes, `layout` the names of the tensors, `vocabulary` the
tokenizer; `google` and `keras_hub` read what these two write. What serves any architecture:
`opening` (where files come from), `shards` (safetensors), `places` (all tensors, or none).
"""

from course.checkpoints.bert import (
    bert_config,
    load_bert,
    load_weights,
    pretraining_start,
    read_configs,
    save_bert,
)
from course.checkpoints.config import Head, gelu_new, head_settings
from course.checkpoints.places import Loaded
from course.checkpoints.shards import CheckpointError
from course.checkpoints.vocabulary import load_tokenizer
from course.transformer.feed_forward import gelu_tanh

__all__ = [
    "CheckpointError",
    "Head",
    "Loaded",
    "bert_config",
    "gelu_new",
    "gelu_tanh",
    "head_settings",
    "load_bert",
    "load_tokenizer",
    "load_weights",
    "pretraining_start",
    "read_configs",
    "save_bert",
]
