"""BERT's weights in and out: Hugging Face's layout, the hub, keras-hub's presets (lesson 08).

    >>> from course import checkpoints
    >>> encoder = checkpoints.load_bert("google-bert/bert-base-uncased")
    >>> tokenizer = checkpoints.load_tokenizer("google-bert/bert-base-uncased")
    >>> checkpoints.save_bert(encoder, "my_bert", tokenizer=tokenizer)

Only numbers are read: safetensors and HDF5, never a pickle, which can run code when it is opened.
`shards` has the files, `layout` the names of the tensors in them, `sources` where files come from,
`bert` what loads and saves, `vocabulary` the tokenizer beside it.
"""

from course.checkpoints.bert import (
    Loaded,
    bert_config,
    load_bert,
    load_weights,
    pretraining_start,
    read_configs,
    save_bert,
)
from course.checkpoints.shards import CheckpointError
from course.checkpoints.vocabulary import load_tokenizer
from course.transformer.feed_forward import gelu_tanh

__all__ = [
    "CheckpointError",
    "Loaded",
    "bert_config",
    "gelu_tanh",
    "load_bert",
    "load_tokenizer",
    "load_weights",
    "pretraining_start",
    "read_configs",
    "save_bert",
]
