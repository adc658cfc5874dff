"""What each tensor of BERT, RoBERTa and DistilBERT is called in Hugging Face's files.

One set of names serves for all three, BERT's without the prefix "bert.": `plain` turns a file's
names into these, `file_names` turns them back. So a head is "classifier" and the layer before it
"pooler", whatever the architecture calls them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import keras
import numpy as np

from course.checkpoints.config import BERT, DISTILBERT, ROBERTA, model_type
from course.checkpoints.places import Place, Target
from course.checkpoints.shards import CheckpointError, Tensor
from course.kernels import gelu
from course.pretraining import BertEncoder, BertForPretraining, MaskedLanguageModel, NextSentence

# Buffers that hold no weight, in old files.
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
HEADS = ("cls", "classifier", "qa_outputs", "no_answer", "pooler", "unused")
DECODER, TABLE = "cls.predictions.decoder.weight", "embeddings.word_embeddings.weight"
BIAS, DECODER_BIAS = "cls.predictions.bias", "cls.predictions.decoder.bias"

_TRANSFORM = "cls.predictions.transform"
# Beginnings of names, in the order in which they are tried: the architecture's, ours.
_ROBERTA = {
    "lm_head.dense.": f"{_TRANSFORM}.dense.",
    "lm_head.layer_norm.": f"{_TRANSFORM}.LayerNorm.",
    "lm_head.decoder.": "cls.predictions.decoder.",
    "lm_head.bias": BIAS,
    "classifier.dense.": "pooler.dense.",
    "classifier.out_proj.": "classifier.",
}
_DISTILBERT = {
    "vocab_transform.": f"{_TRANSFORM}.dense.",
    "vocab_layer_norm.": f"{_TRANSFORM}.LayerNorm.",
    "vocab_projector.weight": DECODER,
    "vocab_projector.bias": BIAS,
    "pre_classifier.": "pooler.dense.",
}
_DISTILBERT_BLOCK = {
    "attention.q_lin.": "attention.self.query.",
    "attention.k_lin.": "attention.self.key.",
    "attention.v_lin.": "attention.self.value.",
    "attention.out_lin.": "attention.output.dense.",
    "sa_layer_norm.": "attention.output.LayerNorm.",
    "ffn.lin1.": "intermediate.dense.",
    "ffn.lin2.": "output.dense.",
    "output_layer_norm.": "output.LayerNorm.",
}
_NAMES = {BERT: {}, ROBERTA: _ROBERTA, DISTILBERT: _DISTILBERT}
_BODY = ("embeddings.", "encoder.", "transformer.", "pooler.")


def encoder_of(model) -> BertEncoder:
    """The `BertEncoder` in a model, or the model itself.

    Raises:
        TypeError: if there is none.
    """
    encoder = model if isinstance(model, BertEncoder) else getattr(model, "encoder", None)
    if not isinstance(encoder, BertEncoder):
        raise TypeError(f"{type(model).__name__} is no BertEncoder, nor a model over one.")
    return encoder


def masked_head(model) -> MaskedLanguageModel | None:
    """The masked language model in a model, or None."""
    if isinstance(model, BertForPretraining):
        return model.masked_lm
    return model if isinstance(model, MaskedLanguageModel) else None


def architecture(model) -> str:
    """What `transformers` calls such a model.

    Raises:
        ValueError: if it has no such model: next sentences over RoBERTa or DistilBERT.
    """
    kind = model_type(encoder_of(model))
    name = {BERT: "Bert", ROBERTA: "Roberta", DISTILBERT: "DistilBert"}[kind]
    if isinstance(model, BertEncoder):
        return f"{name}Model"
    if isinstance(model, MaskedLanguageModel):
        return f"{name}ForMaskedLM"
    if isinstance(model, NextSentence | BertForPretraining):
        if kind != BERT:
            raise ValueError(
                f"{type(model).__name__} predicts next sentences, for which {name}'s layout has no "
                "place: save its MaskedLanguageModel or its encoder."
            )
        alone = isinstance(model, NextSentence)
        return "BertForNextSentencePrediction" if alone else "BertForPreTraining"
    if hasattr(model, "qa_outputs"):
        return f"{name}ForQuestionAnswering"
    return f"{name}ForSequenceClassification"


def places(model) -> dict[str, Target]:
    """Where each tensor of a checkpoint goes: {name without "bert.": `Place`}."""
    encoder = encoder_of(model)
    # Neither of the two has a use for the pooler, and `transformers` gives them none.
    pooler = not isinstance(model, MaskedLanguageModel) and not hasattr(model, "qa_outputs")
    found = _encoder(encoder, pooler)
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


def _dense(name: str, layer) -> dict[str, Target]:
    return {f"{name}.weight": Place(layer.kernel, True), f"{name}.bias": Place(layer.bias)}


def _norm(name: str, layer) -> dict[str, Target]:
    return {f"{name}.weight": Place(layer.gamma), f"{name}.bias": Place(layer.beta)}


def _encoder(model: BertEncoder, pooler: bool) -> dict[str, Target]:
    tables = {
        "word": model.token_embedding,
        "position": model.position_embedding,
        "token_type": model.segment_embedding,
    }
    found: dict[str, Target] = {
        f"embeddings.{name}_embeddings.weight": Place(table.embeddings)
        for name, table in tables.items()
        if table is not None
    }
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


def _masked(model: MaskedLanguageModel) -> dict[str, Target]:
    table = {} if model.tie_word_embeddings else {DECODER: Place(model.output_embeddings)}
    return {
        BIAS: Place(model.bias),
        **_dense(f"{_TRANSFORM}.dense", model.transform),
        **_norm(f"{_TRANSFORM}.LayerNorm", model.transform_norm),
        **table,
    }


def _next(model: NextSentence) -> dict[str, Target]:
    return _dense("cls.seq_relationship", model.classifier)


def plain_name(name: str, kind: str = BERT) -> str:
    """BERT's name of a tensor, without "bert.", and with today's names in a LayerNorm.

    Args:
        name: what the file calls it.
        kind: the `model_type`.
    """
    name = name.removeprefix(f"{kind}.")
    if "LayerNorm." in name or "layer_norm." in name:
        name = re.sub(r"gamma$", "weight", name)
        name = re.sub(r"beta$", "bias", name)
    if kind == DISTILBERT and (block := re.fullmatch(r"transformer\.layer\.(\d+)\.(.*)", name)):
        rest = block[2]
        for theirs, ours in _DISTILBERT_BLOCK.items():
            if rest.startswith(theirs):
                return f"encoder.layer.{block[1]}.{ours}{rest.removeprefix(theirs)}"
    for theirs, ours in _NAMES[kind].items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def file_name(name: str, kind: str = BERT, classifier: bool = False, prefix: bool = False) -> str:
    """What Hugging Face's file calls a tensor: `plain_name` the other way.

    Args:
        name: BERT's name, without "bert.".
        kind: the `model_type`.
        classifier: whether the model has a classifier, whose first layer RoBERTa's pooler then is.
        prefix: whether the encoder's tensors begin with the architecture's name.
    """
    made, heads = name, _NAMES[kind]
    if kind == ROBERTA and not classifier:  # its pooler is a pooler
        heads = {t: ours for t, ours in heads.items() if not t.startswith("classifier.")}
    if kind == DISTILBERT and (block := re.fullmatch(r"encoder\.layer\.(\d+)\.(.*)", name)):
        for theirs, ours in _DISTILBERT_BLOCK.items():
            if block[2].startswith(ours):
                made = f"transformer.layer.{block[1]}.{theirs}{block[2].removeprefix(ours)}"
    else:
        for theirs, ours in heads.items():
            if name.startswith(ours):
                made = theirs + name.removeprefix(ours)
                break
    return f"{kind}.{made}" if prefix and made.startswith(_BODY) else made


def file_names(model) -> dict[str, str]:
    """{BERT's name: what a file in Hugging Face's layout calls it} of all that is saved."""
    kind, names = model_type(encoder_of(model)), places(model)
    classifier, alone = "classifier.weight" in names, isinstance(model, BertEncoder)
    if kind == DISTILBERT and alone:  # DistilBERT itself has no pooler
        names = {name: place for name, place in names.items() if not name.startswith("pooler.")}
    return {name: file_name(name, kind, classifier, not alone) for name in names}


def plain(tensors: Mapping[str, Tensor], kind: str = BERT) -> dict[str, Tensor]:
    """{name of a file: `Tensor`} → {BERT's name, without "bert.": `Tensor`}.

    Args:
        tensors: of a file.
        kind: the `model_type`.

    Raises:
        CheckpointError: if two names become one.
    """
    found = {}
    head = kind == ROBERTA and any(name.startswith("classifier.dense.") for name in tensors)
    for name, tensor in tensors.items():
        made = plain_name(name, kind)
        if head and name.startswith(("roberta.pooler.", "pooler.")):
            made = f"unused.{name}"  # the classifier has a layer of its own in its place
        if made in found:
            raise CheckpointError(
                f"the checkpoint has {made} twice, once as {name}: its maker has to say which of "
                "the two counts."
            )
        found[made] = tensor
    return found


def equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same numbers."""
    return one.shape == other.shape and np.array_equal(one.read(), other.read())


def is_untied(config: Mapping[str, object], tensors: Mapping[str, Tensor]) -> bool:
    """Whether the output of the masked language model has a table of its own in a checkpoint.

    Args:
        config: its `config.json`; "tie_word_embeddings" may say so.
        tensors: {BERT's name: `Tensor`}.
    """
    if DECODER not in tensors or TABLE not in tensors:
        return False
    return config.get("tie_word_embeddings") is False or not equal(tensors[DECODER], tensors[TABLE])


def settle_output(tensors: Mapping[str, Tensor], model, source: str) -> dict[str, Tensor]:
    """The tensors, with what stands twice in a file once: the table and the bias of the output.

    Args:
        tensors: {BERT's name: `Tensor`}.
        model: into which they are to go.
        source: how messages call the checkpoint.

    Raises:
        CheckpointError: if the output has a table of its own and the model's is tied.
    """
    found, head = dict(tensors), masked_head(model)
    if DECODER_BIAS in found:  # where both stand, this one is what `transformers` adds
        if BIAS in found and not equal(found[BIAS], found[DECODER_BIAS]):
            found[f"unused.{BIAS}"] = found[BIAS]
        found[BIAS] = found.pop(DECODER_BIAS)
    if DECODER in found and TABLE not in found:
        found[TABLE] = found[DECODER]
    if head is not None and not head.tie_word_embeddings:
        if DECODER not in found and TABLE in found:
            found[DECODER] = found[TABLE]
    elif DECODER in found:
        if equal(found[DECODER], found[TABLE]):
            del found[DECODER]
        elif head is not None:
            raise CheckpointError(
                f"{source}: {DECODER} is not {TABLE}: the output of this masked language model has "
                f"weights of its own. Make the model with tie_word_embeddings=False, or load it "
                f"with checkpoints.load_bert(…, {type(model).__name__}), which does."
            )
    return found


def check_masked_head(head: MaskedLanguageModel) -> None:
    """Refuses a masked language model whose settings Hugging Face's layout cannot say.

    Raises:
        ValueError: if its activation or epsilon is not what `transformers` would take.
    """
    block = head.encoder.encoder.blocks[0]
    kind, activation = model_type(head.encoder), head.transform.activation
    wanted = gelu if kind == ROBERTA else block.feed_forward.inner.activation
    plain = (keras.activations.gelu, gelu)
    same = activation is wanted or (activation in plain and wanted in plain)
    if not same or head.transform_norm.epsilon != block.attention_norm.epsilon:
        raise ValueError(
            f"the masked language model's head has the activation {activation.__name__} and "
            f"epsilon = {head.transform_norm.epsilon}, and in Hugging Face's layout it has "
            f"{wanted.__name__} and {block.attention_norm.epsilon}: save its encoder only, or "
            "make the head with those."
        )


def labelled(kind: str, classifier: bool) -> Callable[[str], str]:
    """What messages call a tensor: its name in the file, without the architecture's."""
    return lambda name: file_name(name, kind, classifier)
