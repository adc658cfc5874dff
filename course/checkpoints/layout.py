"""What each of BERT's tensors is called: here, in Hugging Face's layout, in keras-hub's.

One set of names serves for all, Hugging Face's without the prefix "bert.". A Dense layer's kernel
is `(in, out)` in Keras, and a Linear's weight `(out, in)` in torch.
"""

import re
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from course.checkpoints.shards import CheckpointError, Tensor
from course.pretraining import BertEncoder, BertForPretraining, MaskedLanguageModel, NextSentence

# Buffers that hold no weight, in old files.
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
HEADS = ("cls.", "classifier.", "qa_outputs.", "no_answer.", "pooler.")


class Place(NamedTuple):
    """Where a tensor goes: a variable, and whether it is the transposed one."""

    variable: keras.Variable
    transposed: bool = False

    @property
    def shape(self):
        shape = tuple(self.variable.shape)
        return shape[::-1] if self.transposed else shape

    def array(self):
        """The variable's numbers as the file has them, float32."""
        array = np.asarray(ops.convert_to_numpy(ops.cast(self.variable.value, "float32")))
        return array.T if self.transposed else array

    def assign(self, array):
        self.variable.assign(array.T if self.transposed else array)


def encoder_of(model):
    """The `BertEncoder` in a model, or the model itself.

    Raises:
        TypeError: if there is none.
    """
    encoder = model if isinstance(model, BertEncoder) else getattr(model, "encoder", None)
    if not isinstance(encoder, BertEncoder):
        raise TypeError(f"{type(model).__name__} is no BertEncoder, nor a model over one.")
    return encoder


def architecture(model):
    """What `transformers` calls such a model."""
    names = {
        BertEncoder: "BertModel",
        MaskedLanguageModel: "BertForMaskedLM",
        NextSentence: "BertForNextSentencePrediction",
        BertForPretraining: "BertForPreTraining",
    }
    for kind, name in names.items():
        if isinstance(model, kind):
            return name
    if hasattr(model, "qa_outputs"):
        return "BertForQuestionAnswering"
    return "BertForSequenceClassification"


def places(model):
    """Where each tensor of a checkpoint goes: {name without "bert.": `Place`}."""
    encoder = encoder_of(model)
    # Two models have no use for the pooler, and `transformers` gives them none.
    pooled = not (isinstance(model, MaskedLanguageModel) or hasattr(model, "qa_outputs"))
    found = _encoder(encoder, pooler=pooled)
    if isinstance(model, BertForPretraining):
        return found | _masked(model.masked_lm) | _next(model.next_sentence)
    if isinstance(model, MaskedLanguageModel):
        return found | _masked(model)
    if isinstance(model, NextSentence):
        return found | _next(model)
    for head in ("classifier", "qa_outputs", "no_answer"):
        if getattr(model, head, None) is not None:
            found |= _dense(head, getattr(model, head))
    return found


def _dense(name, layer):
    return {f"{name}.weight": Place(layer.kernel, True), f"{name}.bias": Place(layer.bias)}


def _norm(name, layer):
    return {f"{name}.weight": Place(layer.gamma), f"{name}.bias": Place(layer.beta)}


def _encoder(model, pooler):
    tables = {
        "word": model.token_embedding,
        "position": model.position_embedding,
        "token_type": model.segment_embedding,
    }
    found = {f"embeddings.{n}_embeddings.weight": Place(t.embeddings) for n, t in tables.items()}
    found |= _norm("embeddings.LayerNorm", model.embedding_norm)
    for i, block in enumerate(model.encoder.blocks):
        name, attention, network = f"encoder.layer.{i}", block.self_attention, block.feed_forward
        for part in ("query", "key", "value"):
            layer = getattr(attention, f"{part}_dense")
            found |= _dense(f"{name}.attention.self.{part}", layer)
        found |= _dense(f"{name}.attention.output.dense", attention.output_dense)
        found |= _norm(f"{name}.attention.output.LayerNorm", block.attention_norm)
        found |= _dense(f"{name}.intermediate.dense", network.inner)
        found |= _dense(f"{name}.output.dense", network.outer)
        found |= _norm(f"{name}.output.LayerNorm", block.feed_forward_norm)
    return found | (_dense("pooler.dense", model.pooler) if pooler else {})


def _masked(model):
    return {
        "cls.predictions.bias": Place(model.bias),
        **_dense("cls.predictions.transform.dense", model.transform),
        **_norm("cls.predictions.transform.LayerNorm", model.transform_norm),
    }


def _next(model):
    return _dense("cls.seq_relationship", model.classifier)


# Hugging Face's files


def plain_name(name):
    """A tensor's name without "bert.", and with today's names of what a LayerNorm holds."""
    name = name.removeprefix("bert.")
    if "LayerNorm." in name:
        name = re.sub(r"gamma$", "weight", name)
        name = re.sub(r"beta$", "bias", name)
    return name


def plain(tensors):
    """{name of a file: `Tensor`} → {name without "bert.": `Tensor`}.

    Raises:
        CheckpointError: if two names become one, or the output of the masked language model has
            weights of its own, which this course's model shares with its embeddings.
    """
    found = {}
    for name, tensor in tensors.items():
        if plain_name(name) in found:
            raise CheckpointError(f"the checkpoint has {plain_name(name)} twice, once as {name}.")
        found[plain_name(name)] = tensor
    shared = {
        "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
    for copy, of in shared.items():
        if copy not in found:
            continue
        if of not in found:
            found[of] = found[copy]
        one, other = found.pop(copy), found[of]
        if one.shape != other.shape or not np.array_equal(one.read(), other.read()):
            raise CheckpointError(
                f"{copy} is not {of}: this model's output has weights of its own, and BERT's are "
                "those of its embeddings."
            )
    return found


# keras-hub's presets


def from_keras_hub(arrays):
    """{a variable's path in keras-hub: function that returns it} → {plain name: `Tensor`}.

    Paths are those of a `BertBackbone`'s variables, such as
    "transformer_layer_0/self_attention_layer/query/kernel", or those of its file,
    "layers/transformer_encoder/_self_attention_layer/query_dense/vars/0".
    """
    tables = {
        "token_embedding/embeddings": "embeddings.word_embeddings.weight",
        "layers/reversible_embedding/vars/0": "embeddings.word_embeddings.weight",
        "position_embedding/embeddings": "embeddings.position_embeddings.weight",
        "layers/position_embedding/vars/0": "embeddings.position_embeddings.weight",
        "segment_embedding/embeddings": "embeddings.token_type_embeddings.weight",
        "layers/embedding/vars/0": "embeddings.token_type_embeddings.weight",
    }
    layers = {
        "embeddings_layer_norm": "embeddings.LayerNorm",
        "layers/layer_normalization": "embeddings.LayerNorm",
        "pooled_dense": "pooler.dense",
        "layers/dense": "pooler.dense",
        "self_attention_layer/query": "attention.self.query",
        "self_attention_layer/key": "attention.self.key",
        "self_attention_layer/value": "attention.self.value",
        "self_attention_layer/attention_output": "attention.output.dense",
        "self_attention_layer/query_dense": "attention.self.query",
        "self_attention_layer/key_dense": "attention.self.key",
        "self_attention_layer/value_dense": "attention.self.value",
        "self_attention_layer/output_dense": "attention.output.dense",
        "self_attention_layer_norm": "attention.output.LayerNorm",
        "feedforward_intermediate_dense": "intermediate.dense",
        "feedforward_output_dense": "output.dense",
        "feedforward_layer_norm": "output.LayerNorm",
    }
    ends = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}
    ends |= {"0": "weight", "1": "bias"}  # in the file
    found = {}
    for path, read in arrays.items():
        if path in tables:
            found[tables[path]] = _tensor(read)
            continue
        block = re.fullmatch(
            r"(?:transformer_layer_(\d+)|layers/transformer_encoder(?:_(\d+))?)/(.*)", path
        )
        rest = block[3] if block else path
        layer, _, end = rest.replace("/vars/", "/").rpartition("/")
        name = layers.get(layer.removeprefix("_"))
        if name is None or end not in ends:
            found[path] = _tensor(read)  # unknown: it will be told as unexpected
            continue
        if block:
            name = f"encoder.layer.{block[1] or block[2] or 0}.{name}"
        linear = ends[end] == "weight" and not name.endswith("LayerNorm")
        found[f"{name}.{ends[end]}"] = _tensor(read, name, linear)
    return found


def _tensor(read, name="", linear=False):
    """A `Tensor` in Hugging Face's shape: heads merged, kernels transposed."""
    array = read()
    merged = array
    if "attention" in name and not name.endswith("LayerNorm"):
        if linear and array.ndim == 3:
            heads_last = name.endswith("output.dense")  # (heads, d_head, d_model), else the reverse
            merged = array.reshape((-1, array.shape[-1]) if heads_last else (array.shape[0], -1))
        elif array.ndim == 2 and not linear:
            merged = array.reshape(-1)  # (heads, d_head): a bias
    merged = merged.T if linear else merged
    return Tensor(merged.shape, lambda: merged)
