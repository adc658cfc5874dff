"""Checkpoints: BERT's weights out and in again, other people's opened, damaged ones refused."""

import json
import os
import re
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import ROOT, installed, numbers
from data_server import serving
from safetensors.numpy import load_file, save_file

from course import checkpoints
from course.checkpoints import CheckpointError
from course.fine_tuning import BertClassifier
from course.pretraining import BertEncoder, BertForPretraining, MaskedLanguageModel, NextSentence
from course.tokens import Tokenizer

pytestmark = pytest.mark.backend

SIZES = {"num_layers": 2, "d_model": 16, "num_heads": 2, "d_ff": 32, "max_length": 24}
KINDS = {
    "encoder": lambda encoder: encoder,
    "masked": MaskedLanguageModel,
    "next": NextSentence,
    "both": BertForPretraining,
}
WORDS = "the cat sat on a mat dog ##s ##ing run , . ! ü 猫 the ##se".split()


def make(keras, rng, kind="encoder", vocab_size=61, **more):
    """A model with random numbers in every weight, biases too."""
    model = KINDS[kind](BertEncoder(vocab_size, **SIZES | more))
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    return model


def inputs(rng, vocab_size=61, rows=3, length=11):
    ids = rng.integers(1, vocab_size, (rows, length)).astype("int32")
    ids[1, 7:] = 0
    segments = (np.arange(length) > 5).astype("int32") * (ids != 0)
    return ids, segments.astype("int32")


def same(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def error_of(found, wanted):
    """max|Δ| / max|reference|."""
    found, wanted = numbers(found), np.asarray(wanted)
    return np.abs(found - wanted).max() / np.abs(wanted).max()


# Out and in


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", ["1GB", 3000], ids=["one file", "many files"])
def test_weights_go_out_and_come_back_bit_for_bit(keras, rng, tmp_path, kind, size):
    model = make(keras, rng, kind)
    checkpoints.save_bert(model, tmp_path / "out", max_shard_size=size)
    files = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert (files == ["model.safetensors"]) == (size == "1GB")
    again = checkpoints.load_bert(
        tmp_path / "out", KINDS[kind], may_lack="pooler" if kind == "masked" else ()
    )
    if kind == "masked":  # its pooler is in no file
        again.encoder.pooler.set_weights(model.encoder.pooler.get_weights())
    same(model, again)
    given = model if kind == "encoder" else model.encoder
    found = again if kind == "encoder" else again.encoder
    for key, value in given.get_config().items():
        if key not in ("name", "attention_dropout"):
            assert found.get_config()[key] == value, key


def test_every_setting_survives(keras, rng, tmp_path):
    settings = {"dropout": 0.2, "attention_dropout": 0.3, "epsilon": 1e-6, "pad_id": 4}
    settings |= {"segments": 3, "activation": checkpoints.gelu_tanh}
    model = make(keras, rng, **settings)
    checkpoints.save_bert(model, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["hidden_act"] == "gelu_pytorch_tanh" and config["pad_token_id"] == 4
    again = checkpoints.load_bert(tmp_path / "out").get_config()
    for key, value in model.get_config().items():
        if key != "name":
            assert again[key] == value, key
    assert checkpoints.load_bert(tmp_path / "out", dropout=0.0).get_config()["dropout"] == 0


def test_the_index_lists_every_tensor_once_and_no_file_is_over_the_size(keras, rng, tmp_path):
    model = make(keras, rng, "both")
    checkpoints.save_bert(model, tmp_path / "out", max_shard_size="0.006MB")
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    held = {}
    for path in (tmp_path / "out").glob("*.safetensors"):
        arrays = load_file(path)
        held |= dict.fromkeys(arrays, path.name)
        assert sum(a.nbytes for a in arrays.values()) <= 6000
    assert held == index["weight_map"]
    assert index["metadata"]["total_size"] == 4 * model.count_params()


def test_a_folder_with_a_checkpoint_is_not_written_over_and_a_half_written_one_is(
    keras, rng, tmp_path, monkeypatch
):
    model = make(keras, rng)
    checkpoints.save_bert(model, tmp_path / "out")
    with pytest.raises(ValueError, match="holds a checkpoint"):
        checkpoints.save_bert(model, tmp_path / "out")

    from course import runtime

    whole, count = runtime.write_atomically, []

    def killed(path, data):
        if len(count) == 2:
            raise KeyboardInterrupt
        count.append(whole(path, data))

    monkeypatch.setattr(runtime, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save_bert(model, tmp_path / "half", max_shard_size=3000)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"has no config\.json, which says how large"):
        checkpoints.load_bert(tmp_path / "half")
    checkpoints.save_bert(model, tmp_path / "half")
    same(checkpoints.load_bert(tmp_path / "half"), model)


@pytest.mark.parametrize("size", ["much", "1.2.3MB", 0, "-5"])
def test_a_size_of_a_shard_that_is_none_is_refused(keras, rng, tmp_path, size):
    with pytest.raises(ValueError, match='expected a size like "200MB"'):
        checkpoints.save_bert(make(keras, rng), tmp_path / "out", max_shard_size=size)


# Every tensor accounted for


@pytest.fixture
def saved(keras, rng, tmp_path):
    """A folder with one file, and `change(arrays)` to write it anew with other tensors."""
    folder = tmp_path / "saved"
    checkpoints.save_bert(make(keras, rng, "both"), folder)
    (folder / "SHA256SUMS").unlink()

    def change(alter):
        arrays = load_file(folder / "model.safetensors")
        arrays = {name: array.copy() for name, array in arrays.items()}
        save_file(alter(arrays) or arrays, folder / "model.safetensors")
        return folder

    return change


def test_all_that_is_missing_unexpected_or_misshapen_is_one_error(saved):
    def alter(arrays):
        del arrays["bert.encoder.layer.1.output.dense.bias"]
        arrays["bert.encoder.layer.2.output.dense.bias"] = np.zeros(16, "float32")
        arrays["extra"] = np.zeros(1, "float32")
        arrays["bert.encoder.layer.0.intermediate.dense.weight"] = np.zeros((16, 32), "float32")

    with pytest.raises(CheckpointError) as caught:
        checkpoints.load_bert(saved(alter))
    told = str(caught.value)
    assert "missing (1): encoder.layer.1.output.dense.bias" in told
    assert "unexpected (2): encoder.layer.2.output.dense.bias; extra" in told
    assert "encoder.layer.0.intermediate.dense.weight is (16, 32), expected (32, 16)" in told
    assert "nothing was loaded" in told


@pytest.mark.parametrize("name", ["bert.encoder.layer.2.output.dense.bias", "lm_head.weight"])
def test_one_tensor_too_many_is_an_error_if_it_is_no_heads(saved, name):
    with pytest.raises(CheckpointError, match=rf"unexpected \(1\): {name.removeprefix('bert.')}"):
        checkpoints.load_bert(saved(lambda arrays: arrays | {name: np.zeros(16, "float32")}))


def test_heads_that_the_model_lacks_are_left_out_and_told(keras, rng, saved):
    lines = []
    model = BertEncoder(61, **SIZES)
    loaded = checkpoints.load_weights(model, saved(lambda arrays: None), say=lines.append)
    assert loaded.fresh == [] and len(loaded.left_out) == 7
    assert all(name.startswith("cls.") for name in loaded.left_out)
    assert len(lines) == 1 and "BertEncoder has no place for" in lines[0]
    assert "cls.seq_relationship.weight" in lines[0]


def test_a_head_that_the_file_lacks_is_an_error_unless_it_may_be_fresh(keras, rng, saved):
    def without_pooler(arrays):
        return {name: a for name, a in arrays.items() if "pooler" not in name}

    folder = saved(without_pooler)
    with pytest.raises(CheckpointError, match=r"missing \(2\): pooler.*\n.*fresh=\['pooler'\]"):
        checkpoints.load_bert(folder)
    lines = []
    model = checkpoints.load_bert(folder, may_lack="pooler", say=lines.append)
    assert "keeps random numbers in pooler.dense.bias, pooler.dense.weight" in lines[-1]
    before = model.pooler.get_weights()
    loaded = checkpoints.load_weights(model, folder, fresh=("pooler",), say=lines.append)
    assert loaded.fresh == ["pooler.dense.bias", "pooler.dense.weight"]
    np.testing.assert_array_equal(before[0], model.pooler.get_weights()[0])


def test_nothing_is_loaded_if_one_tensor_does_not_fit(keras, rng, saved):
    def without_one(arrays):
        del arrays["bert.embeddings.LayerNorm.bias"]

    folder = saved(without_one)
    model = make(keras, rng)
    before = [w.copy() for w in model.get_weights()]
    with pytest.raises(CheckpointError, match="does not fit BertEncoder"):
        checkpoints.load_weights(model, folder)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_old_names_are_understood(keras, rng, tmp_path, prefix):
    model = make(keras, rng)
    checkpoints.save_bert(model, tmp_path / "out")
    (tmp_path / "out" / "SHA256SUMS").unlink()
    arrays = load_file(tmp_path / "out" / "model.safetensors")
    old = {}
    for name, array in arrays.items():
        if "LayerNorm" in name:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            name = name.replace("LayerNorm.bias", "LayerNorm.beta")
        old[prefix + name] = array
    old[f"{prefix}embeddings.position_ids"] = np.arange(24)[None]
    save_file(old, tmp_path / "out" / "model.safetensors")
    same(checkpoints.load_bert(tmp_path / "out"), model)


def test_a_copy_of_the_embeddings_as_output_is_read(saved):
    def copied(arrays):
        table = arrays["bert.embeddings.word_embeddings.weight"]
        arrays["cls.predictions.decoder.weight"] = table.copy()
        arrays["cls.predictions.decoder.bias"] = arrays["cls.predictions.bias"].copy()

    checkpoints.load_bert(saved(copied), BertForPretraining)


def test_an_output_with_a_table_of_its_own_is_loaded_saved_and_not_put_into_a_tied_model(
    keras, rng, saved, tmp_path
):
    def untied(arrays):
        table = arrays["bert.embeddings.word_embeddings.weight"].copy()
        table[3, 3] += 1
        arrays["cls.predictions.decoder.weight"] = table

    folder = saved(untied)
    model = checkpoints.load_bert(folder, BertForPretraining)
    found = numbers(model.masked_lm.output_embeddings - model.encoder.token_embedding.embeddings)
    assert found[3, 3] == pytest.approx(1) and np.count_nonzero(found) == 1
    checkpoints.save_bert(model, tmp_path / "again")
    assert (
        json.loads((tmp_path / "again" / "config.json").read_text())["tie_word_embeddings"] is False
    )
    same(checkpoints.load_bert(tmp_path / "again", BertForPretraining), model)
    tied = make(keras, rng, "both")
    with pytest.raises(CheckpointError, match=r"weights of its own.*tie_word_embeddings=False"):
        checkpoints.load_weights(tied, folder)
    encoder = checkpoints.load_bert(folder, say=lambda line: None)  # has no output at all
    same(encoder, model.encoder)


def test_half_precision_is_read_exactly(keras, rng, tmp_path):
    model = make(keras, rng)
    checkpoints.save_bert(model, tmp_path / "out")
    (tmp_path / "out" / "SHA256SUMS").unlink()
    path = tmp_path / "out" / "model.safetensors"
    arrays = load_file(path)
    save_file({name: a.astype("float16") for name, a in arrays.items()}, path)
    again = checkpoints.load_bert(tmp_path / "out")
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a.astype("float16").astype("float32"), b)
    # bfloat16, by hand: the upper two bytes of a float32
    header, data = {}, b""
    for name, array in arrays.items():
        upper = (array.view("uint32") >> 16).astype("<u2").tobytes()
        offsets = [len(data), len(data) + len(upper)]
        header[name] = {"dtype": "BF16", "shape": array.shape, "data_offsets": offsets}
        data += upper
    told = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(told)) + told + data)
    again = checkpoints.load_bert(tmp_path / "out")
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        cut = (a.view("uint32") >> 16 << 16).view("float32")
        np.testing.assert_array_equal(cut, b)


# What is refused


@pytest.fixture
def sharded(keras, rng, tmp_path):
    folder = tmp_path / "sharded"
    checkpoints.save_bert(make(keras, rng), folder, max_shard_size=3000)
    return folder, sorted(folder.glob("*.safetensors"))[1]


@pytest.mark.parametrize("cut", [1, 300, 10_000])
@pytest.mark.parametrize("sums", [True, False])
def test_a_truncated_shard_is_refused_by_name(sharded, cut, sums):
    folder, shard = sharded
    shard.write_bytes(shard.read_bytes()[:-cut])
    if not sums:
        (folder / "SHA256SUMS").unlink()
    with pytest.raises(
        CheckpointError,
        match=rf"{shard.name} is (cut off|damaged|no safetensors file: it is an empty)",
    ):
        checkpoints.load_bert(folder)


def test_one_flipped_bit_is_refused_by_name(sharded):
    folder, shard = sharded
    data = bytearray(shard.read_bytes())
    data[-5] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=rf"{shard.name} is damaged: its SHA-256"):
        checkpoints.load_bert(folder)


@pytest.mark.parametrize(
    "data", [b"", b"short", b"\xff" * 400, struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 4)]
)
def test_a_file_that_is_no_safetensors_is_refused_by_name(sharded, data):
    folder, shard = sharded
    (folder / "SHA256SUMS").unlink()
    shard.write_bytes(data)
    with pytest.raises(CheckpointError, match=shard.name):
        checkpoints.load_bert(folder)


def test_a_header_whose_places_overlap_is_refused(sharded):
    folder, shard = sharded
    (folder / "SHA256SUMS").unlink()
    raw = shard.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    header[names[0]]["data_offsets"] = header[names[1]]["data_offsets"]
    told = json.dumps(header).encode()
    shard.write_bytes(struct.pack("<Q", len(told)) + told + raw[8 + length :])
    with pytest.raises(CheckpointError, match=f"{shard.name} is damaged"):
        checkpoints.load_bert(folder)


def test_a_missing_shard_and_one_of_another_checkpoint_are_refused_by_name(sharded):
    folder, shard = sharded
    (folder / "SHA256SUMS").unlink()
    other = sorted(folder.glob("*.safetensors"))[2]
    kept = shard.read_bytes()
    shard.write_bytes(other.read_bytes())
    with pytest.raises(CheckpointError, match=rf"{shard.name} is not the file that"):
        checkpoints.load_bert(folder)
    shard.write_bytes(kept)
    other.unlink()
    with pytest.raises(CheckpointError, match=rf"{other.name}: missing beside"):
        checkpoints.load_bert(folder)


def test_an_index_that_leads_elsewhere_is_refused(sharded, tmp_path):
    folder, _ = sharded
    index = folder / "model.safetensors.index.json"
    told = json.loads(index.read_text())
    told["weight_map"] = dict.fromkeys(told["weight_map"], "../sharded/model.safetensors")
    index.write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match="is no index of a checkpoint"):
        checkpoints.load_bert(folder)
    index.write_text("{")
    with pytest.raises(CheckpointError, match="is no index of a checkpoint"):
        checkpoints.load_bert(folder)


def test_a_pickle_is_never_opened(saved):
    folder = saved(lambda arrays: None)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin only.*a pickle runs"):
        checkpoints.load_bert(folder)
    names = " ".join(p.read_text() for p in (ROOT / "course" / "checkpoints").glob("*.py"))
    assert not {"import pickle", "torch.load", "joblib"} & set(names.split("\n"))


def test_numbers_that_are_none_are_refused(saved):
    def alter(arrays):
        arrays["bert.pooler.dense.bias"][3] = np.nan

    with pytest.raises(CheckpointError, match=r"no numbers in pooler\.dense\.bias"):
        checkpoints.load_bert(saved(alter))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "roberta"}, "model_type 'roberta' in its config.json, and its weights are"),
        ({"model_type": "albert"}, "model_type 'albert'.*can be loaded"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type = 'relative_key'"),
        ({"hidden_act": "mish"}, "hidden_act = 'mish'"),
        ({"hidden_size": None}, "no number for hidden_size"),
        ({"is_decoder": True}, "is_decoder = True"),
    ],
)
def test_a_model_of_another_kind_is_refused(saved, change, says):
    folder = saved(lambda arrays: None)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=says):
        checkpoints.load_bert(folder)


def test_a_place_that_is_none_says_so(tmp_path):
    with pytest.raises(CheckpointError, match="is no folder, and no name"):
        checkpoints.load_bert(tmp_path / "nowhere" / "at" / "all")
    with pytest.raises(CheckpointError, match="neither"):
        checkpoints.load_bert(tmp_path)
    with pytest.raises(CheckpointError, match=r"neither vocab\.txt nor"):
        checkpoints.load_tokenizer(tmp_path)


# Hugging Face's models


PARITY_SIZES = [
    {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 1, "intermediate_size": 16},
    {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "hidden_act": "gelu_new"},
    {"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 12, "vocab_size": 700},
]
HF_KINDS = {
    "BertModel": lambda encoder: encoder,
    "BertForMaskedLM": MaskedLanguageModel,
    "BertForNextSentencePrediction": NextSentence,
    "BertForPreTraining": BertForPretraining,
}


def hugging_face(kind, seed=0, **settings):
    """A model of `transformers` with random numbers in every weight, in eval mode."""
    import torch
    import transformers

    torch.manual_seed(seed)
    sizes = {"vocab_size": 61, "intermediate_size": 64, "max_position_embeddings": 24}
    config = transformers.BertConfig(**sizes | settings)
    model = getattr(transformers, kind)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def theirs(model, ids, segments, **more):
    import torch

    ids, segments = torch.tensor(ids).long(), torch.tensor(segments).long()
    with torch.no_grad():
        return model(input_ids=ids, token_type_ids=segments, attention_mask=ids.ne(0), **more)


def answers(kind, model, out, ids, segments):
    """Pairs of what our model says and what theirs does, at real places."""
    real = ids != 0
    if kind == "BertModel":
        sequence, pooled = model((ids, segments))
        yield numbers(sequence)[real], out.last_hidden_state.numpy()[real]
        yield pooled, out.pooler_output.numpy()
        for ours, state in zip(
            model.hidden_states((ids, segments)), out.hidden_states, strict=True
        ):
            yield numbers(ours)[real], state.numpy()[real]
    elif kind == "BertForPreTraining":
        places = np.tile(np.arange(ids.shape[1], dtype="int32"), (len(ids), 1))
        logits, following = model((ids, segments, places))
        yield numbers(logits)[real], out.prediction_logits.numpy()[real]
        yield following, out.seq_relationship_logits.numpy()
    else:
        logits = numbers(model((ids, segments)))
        masked = kind == "BertForMaskedLM"
        yield (logits[real], out.logits.numpy()[real]) if masked else (logits, out.logits.numpy())


@pytest.mark.parity
@pytest.mark.parametrize("settings", PARITY_SIZES, ids=lambda s: str(s["hidden_size"]))
@pytest.mark.parametrize("kind", HF_KINDS)
def test_what_transformers_saved_says_the_same_here(rng, tmp_path, kind, settings):
    model = hugging_face(kind, **settings)
    model.save_pretrained(tmp_path / "theirs")
    ours = checkpoints.load_bert(
        tmp_path / "theirs", HF_KINDS[kind], may_lack="pooler" if "Masked" in kind else ()
    )
    ids, segments = inputs(rng, vocab_size=model.config.vocab_size)
    more = {"output_hidden_states": True} if kind == "BertModel" else {}
    for found, wanted in answers(kind, ours, theirs(model, ids, segments, **more), ids, segments):
        assert error_of(found, wanted) < 1e-5


@pytest.mark.parity
@pytest.mark.parametrize("kind", HF_KINDS)
@pytest.mark.parametrize("size", ["1GB", 3000], ids=["one file", "many files"])
def test_what_is_saved_here_transformers_opens_whole(keras, rng, tmp_path, kind, size):
    import transformers

    model = make(keras, rng, {k: n for n, k in KINDS.items()}.get(HF_KINDS[kind], "encoder"))
    checkpoints.save_bert(model, tmp_path / "ours", max_shard_size=size)
    opened, info = getattr(transformers, kind).from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(info.values())
    ids, segments = inputs(rng)
    more = {"output_hidden_states": True} if kind == "BertModel" else {}
    out = theirs(opened.eval(), ids, segments, **more)
    for found, wanted in answers(kind, model, out, ids, segments):
        assert error_of(found, wanted) < 1e-5


# RoBERTa and DistilBERT


FAMILIES = {
    "roberta": {"position_offset": 2, "pad_id": 1, "segments": 1, "epsilon": 1e-5},
    "distilbert": {"segments": 0, "pooler_activation": "relu"},
}
HEADS = {
    "Model": lambda encoder: encoder,
    "ForMaskedLM": MaskedLanguageModel,
    "ForSequenceClassification": lambda encoder: BertClassifier(encoder, 3),
}


def peer(family, head, **settings):
    """A RoBERTa or DistilBERT of `transformers` with random numbers, in eval mode."""
    import torch
    import transformers

    torch.manual_seed(0)
    if family == "roberta":
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        sizes |= {"intermediate_size": 32, "max_position_embeddings": 26, "vocab_size": 61}
        config = transformers.RobertaConfig(
            **sizes | {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "num_labels": 3} | settings
        )
        model = getattr(transformers, f"Roberta{head}")(config)
    else:
        sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "vocab_size": 61}
        config = transformers.DistilBertConfig(
            **sizes | {"max_position_embeddings": 24, "num_labels": 3} | settings
        )
        model = getattr(transformers, f"DistilBert{head}")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def padded(rng, pad_id):
    ids = rng.integers(4, 61, (3, 11)).astype("int32")
    ids[1, 7:] = ids[2, 1:] = pad_id
    return ids, np.tile((np.arange(11) > 5).astype("int32"), (3, 1))


def compare(head, ours, theirs, ids, segments):
    import torch

    pad_id = theirs.config.pad_token_id
    given = torch.tensor(ids).long()
    with torch.no_grad():
        out = theirs(input_ids=given, attention_mask=given.ne(pad_id))
    real = ids != pad_id
    if head == "Model":
        sequence, pooled = ours((ids, segments))
        assert error_of(numbers(sequence)[real], out.last_hidden_state.numpy()[real]) < 1e-5
        if "pooler_output" in out:
            assert error_of(pooled, out.pooler_output.numpy()) < 1e-5
    else:
        found, wanted = numbers(ours((ids, segments))), out.logits.numpy()
        at = real if head == "ForMaskedLM" else slice(None)
        assert error_of(found[at], wanted[at]) < 1e-5


@pytest.mark.parity
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_roberta_and_distilbert_of_transformers_say_the_same_here_and_go_back_whole(
    rng, tmp_path, family, head
):
    import transformers

    theirs = peer(family, head)
    theirs.save_pretrained(tmp_path / "theirs")
    lines = []
    ours = checkpoints.load_bert(tmp_path / "theirs", HEADS[head], say=lines.append)
    random = family == "distilbert" and head == "Model"  # it has no pooler
    assert [line.partition(": ")[2] for line in lines] == random * [
        "BertEncoder keeps random numbers in pre_classifier.bias, pre_classifier.weight"
    ]
    ids, segments = padded(rng, theirs.config.pad_token_id)
    compare(head, ours, theirs, ids, segments)
    checkpoints.save_bert(ours, tmp_path / "ours", labels="abc" if "Class" in head else None)
    assert load_file(tmp_path / "ours" / "model.safetensors").keys() == (
        load_file(tmp_path / "theirs" / "model.safetensors").keys()
    )
    opened, info = getattr(transformers, type(theirs).__name__).from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(info.values())
    for one, other in zip(opened.parameters(), theirs.parameters(), strict=True):
        assert one.equal(other)
    assert opened.config.pad_token_id == theirs.config.pad_token_id


@pytest.mark.parity
@pytest.mark.parametrize("family", FAMILIES)
def test_an_untied_output_of_transformers_says_the_same_here(rng, tmp_path, family):
    theirs = peer(family, "ForMaskedLM", tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = checkpoints.load_bert(tmp_path / "theirs", MaskedLanguageModel)
    assert not ours.tie_word_embeddings
    compare("ForMaskedLM", ours, theirs, *padded(rng, theirs.config.pad_token_id))


@pytest.mark.parity
def test_robertas_positions_count_real_tokens_wherever_padding_stands(rng, tmp_path):
    theirs = peer("roberta", "Model")
    theirs.save_pretrained(tmp_path / "theirs")
    ours = checkpoints.load_bert(tmp_path / "theirs")
    ids, segments = padded(rng, 1)
    compare("Model", ours, theirs, np.ascontiguousarray(ids[:, ::-1]), segments)
    full = rng.integers(4, 61, (2, 24)).astype("int32")  # as long as it goes
    compare("Model", ours, theirs, full, 0 * full)


@pytest.mark.parity
def test_robertas_output_layer_has_gelu_whatever_its_blocks_have(rng, tmp_path):
    theirs = peer("roberta", "ForMaskedLM", hidden_act="relu")
    theirs.save_pretrained(tmp_path / "theirs")
    ours = checkpoints.load_bert(tmp_path / "theirs", MaskedLanguageModel)
    compare("ForMaskedLM", ours, theirs, *padded(rng, 1))
    checkpoints.save_bert(ours, tmp_path / "ours")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
def test_roberta_and_distilbert_go_out_and_come_back(keras, rng, tmp_path, family, head):
    model = HEADS[head](BertEncoder(61, **SIZES, **FAMILIES[family]))
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    checkpoints.save_bert(model, tmp_path / "out")
    again = checkpoints.load_bert(tmp_path / "out", HEADS[head], say=lambda line: None)
    ids, segments = padded(rng, FAMILIES[family].get("pad_id", 0))
    found, wanted = again((ids, segments)), model((ids, segments))
    if head == "Model":
        found, wanted = found[0], wanted[0]
    np.testing.assert_array_equal(numbers(found), numbers(wanted))
    encoder = again if head == "Model" else again.encoder
    for key, value in FAMILIES[family].items():
        assert encoder.get_config()[key] == value, key


def test_a_classifier_may_begin_over_a_masked_language_model_of_each_family(keras, rng, tmp_path):
    for family, settings in {"bert": {}, **FAMILIES}.items():
        model = MaskedLanguageModel(BertEncoder(61, **SIZES, **settings))
        checkpoints.save_bert(model, tmp_path / family)
        lines = []
        again = checkpoints.load_bert(
            tmp_path / family,
            HEADS["ForSequenceClassification"],
            fresh="classifier",
            may_lack="pooler",
            say=lines.append,
        )
        same_table = (
            again.encoder.token_embedding.embeddings,
            model.encoder.token_embedding.embeddings,
        )
        np.testing.assert_array_equal(*map(numbers, same_table))
        assert "has no place for" in lines[0] and "keeps random numbers in" in lines[1]


def test_what_an_architecture_has_no_place_for_is_refused_by_name(keras, tmp_path):
    roberta = BertEncoder(61, **SIZES, **FAMILIES["roberta"])
    with pytest.raises(ValueError, match="predicts next sentences, for which Roberta's layout"):
        checkpoints.save_bert(NextSentence(roberta), tmp_path / "a")
    odd = BertEncoder(61, **SIZES, segments=0)
    with pytest.raises(ValueError, match="neither a BERT nor a RoBERTa nor a DistilBERT"):
        checkpoints.save_bert(odd, tmp_path / "a")
    head = MaskedLanguageModel(BertEncoder(61, **SIZES), activation="relu")
    with pytest.raises(ValueError, match=r"has the activation relu.*in Hugging Face's layout it"):
        checkpoints.save_bert(head, tmp_path / "a")
    checkpoints.save_bert(roberta, tmp_path / "roberta")
    with pytest.raises(CheckpointError, match="'roberta', which has no next-sentence head"):
        checkpoints.pretraining_start(tmp_path / "roberta")
    with pytest.raises(CheckpointError, match="of model_type 'roberta', and the encoder has the"):
        checkpoints.load_weights(BertEncoder(61, **SIZES), tmp_path / "roberta")


# What a config.json says, or does not


@pytest.mark.parametrize("architectures", [["BertForMaskedLM"], None])
def test_a_config_without_model_type_is_berts(saved, architectures):
    folder = saved(lambda arrays: None)
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"], config["architectures"]
    if architectures:
        config["architectures"] = architectures
    (folder / "config.json").write_text(json.dumps(config))
    checkpoints.load_bert(folder, BertForPretraining)
    config["architectures"] = ["AlbertModel"]
    (folder / "config.json").write_text(json.dumps(config))
    checkpoints.load_bert(folder, BertForPretraining)  # the names of its tensors are BERT's


@pytest.mark.parametrize("family", FAMILIES)
def test_a_config_without_model_type_is_what_its_tensors_say(keras, tmp_path, family):
    model = MaskedLanguageModel(BertEncoder(61, **SIZES, **FAMILIES[family]))
    checkpoints.save_bert(model, tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    del config["model_type"], config["architectures"]
    path.write_text(json.dumps(config))
    same_pooler = checkpoints.load_bert(tmp_path, MaskedLanguageModel)
    assert same_pooler.encoder.position_offset == FAMILIES[family].get("position_offset", 0)


@pytest.mark.parametrize("name", ["gelu_new", "gelu_pytorch_tanh", "gelu", "relu", "silu", "tanh"])
def test_an_activation_keeps_its_name(keras, saved, tmp_path, name):
    folder = saved(lambda arrays: None)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": name}))
    model = checkpoints.load_bert(folder, BertForPretraining)
    checkpoints.save_bert(model, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text())["hidden_act"] == name
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert checkpoints.bert_config(again)["hidden_act"] == name


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, (("LABEL_0", "LABEL_1"), "single_label_classification", None)),
        ({"num_labels": 1}, (("LABEL_0",), "regression", None)),
        ({"id2label": {"1": "b", "0": "a"}}, (("a", "b"), "single_label_classification", None)),
        (
            {"id2label": {"0": "a", "1": "b"}, "problem_type": "multi_label_classification"},
            (("a", "b"), "multi_label_classification", None),
        ),
        (
            {"classifier_dropout": 0.3, "problem_type": None},
            (("LABEL_0", "LABEL_1"), "single_label_classification", 0.3),
        ),
        (
            {"seq_classif_dropout": 0.2},
            (("LABEL_0", "LABEL_1"), "single_label_classification", 0.2),
        ),
    ],
)
def test_what_a_head_answers_is_read(config, expected):
    assert checkpoints.head_settings(config) == expected


@pytest.mark.parametrize(
    "config",
    [
        {"id2label": {"0": "a", "2": "b"}},
        {"id2label": "ab"},
        {"id2label": {}},
        {"problem_type": "ranking"},
        {"num_labels": "two"},
        {"num_labels": -1},
        {"classifier_dropout": "much"},
        {"classifier_dropout": 1.5},
    ],
)
def test_a_head_that_makes_no_sense_is_refused_by_key(config):
    key = next(iter(config))
    with pytest.raises(CheckpointError, match=f"my config has {key} = .*expected"):
        checkpoints.head_settings(config, "my config")


def test_a_head_of_several_labels_at_once_never_gets_a_softmax(keras, tmp_path):
    from course.fine_tuning import load_classifier

    model = HEADS["ForSequenceClassification"](BertEncoder(61, **SIZES))
    write_wordpiece(tmp_path)
    kind = "multi_label_classification"
    checkpoints.save_bert(model, tmp_path, labels=["x", "y", "z"], problem_type=kind)
    with pytest.raises(CheckpointError, match="problem_type 'multi_label_classification'"):
        load_classifier(tmp_path)


@pytest.mark.parametrize("family", ["bert", *FAMILIES])
def test_a_classifier_of_each_family_is_used_from_its_folder(keras, tmp_path, family):
    from course.fine_tuning import load_classifier

    encoder = BertEncoder(61, **SIZES, **FAMILIES.get(family, {}))
    words = ["<s>", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat"]
    write_wordpiece(tmp_path, words[1:] if encoder.pad_id == 0 else words)
    model = HEADS["ForSequenceClassification"](encoder)
    checkpoints.save_bert(model, tmp_path, labels=["x", "y", "z"])
    found = load_classifier(tmp_path).predict(["the cat"], ["cat"])
    assert found[0].label in "xyz"


def test_the_kind_of_problem_is_written(keras, tmp_path):
    model = HEADS["ForSequenceClassification"](BertEncoder(61, **SIZES))
    kind = "multi_label_classification"
    checkpoints.save_bert(model, tmp_path / "a", labels=["x", "y", "z"], problem_type=kind)
    config, _ = checkpoints.read_configs(tmp_path / "a")
    assert checkpoints.head_settings(config)[:2] == (("x", "y", "z"), kind)
    with pytest.raises(ValueError, match="problem_type = 'many': expected one of single_label"):
        checkpoints.save_bert(model, tmp_path / "b", problem_type="many")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_attention_heads": 3}, "num_attention_heads = 3: the heads do not divide the width"),
        ({"vocab_size": 62}, "vocab_size = 62 and its weights have 61"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers = 1000000000 and its weights have 2"),
        ({"hidden_size": 10**9}, "hidden_size = 1000000000 and its weights have 16"),
        ({"intermediate_size": 64}, "intermediate_size = 64 and its weights have 32"),
        ({"max_position_embeddings": -3}, "max_position_embeddings = -3: expected a whole number"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob = 1.5: expected a rate"),
        ({"hidden_dropout_prob": "0.1"}, "no number for hidden_dropout_prob.*is '0.1'"),
        ({"layer_norm_eps": 0}, "layer_norm_eps = 0: expected a small number"),
        ({"hidden_size": True}, "no number for hidden_size"),
        ({"hidden_size": 16.5}, "hidden_size = 16.5: expected a whole number"),
        ({"pad_token_id": 99}, "pad_token_id = 99, which is no id"),
        ({"hidden_act": ["gelu"]}, "hidden_act = .*expected one of gelu"),
        ({"embedding_size": 8}, "embedding_size = 8, which BERT does not"),
    ],
)
def test_sizes_that_make_no_sense_are_refused_by_name_before_a_model_is_made(saved, change, says):
    folder = saved(lambda arrays: None)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=says):
        checkpoints.load_bert(folder)


# Google's checkpoints


GOOGLE_LAYERS = {
    "attention/self/query": "query_dense",
    "attention/self/key": "key_dense",
    "attention/self/value": "value_dense",
    "attention/output/dense": "output_dense",
}


def googles(model):
    """{name of the variable in Google's code: array} of a `BertForPretraining`."""
    body = model.encoder
    made = {
        "bert/embeddings/word_embeddings": body.token_embedding.embeddings,
        "bert/embeddings/position_embeddings": body.position_embedding.embeddings,
        "bert/embeddings/token_type_embeddings": body.segment_embedding.embeddings,
    }

    def dense(name, layer):
        made.update({f"{name}/kernel": layer.kernel, f"{name}/bias": layer.bias})

    def norm(name, layer):
        made.update({f"{name}/LayerNorm/gamma": layer.gamma, f"{name}/LayerNorm/beta": layer.beta})

    norm("bert/embeddings", body.embedding_norm)
    for i, block in enumerate(body.encoder.blocks):
        layer = f"bert/encoder/layer_{i}"
        for name, ours in GOOGLE_LAYERS.items():
            dense(f"{layer}/{name}", getattr(block.self_attention, ours))
        norm(f"{layer}/attention/output", block.attention_norm)
        dense(f"{layer}/intermediate/dense", block.feed_forward.inner)
        dense(f"{layer}/output/dense", block.feed_forward.outer)
        norm(f"{layer}/output", block.feed_forward_norm)
    dense("bert/pooler/dense", body.pooler)
    dense("cls/predictions/transform/dense", model.masked_lm.transform)
    norm("cls/predictions/transform", model.masked_lm.transform_norm)
    made["cls/predictions/output_bias"] = model.masked_lm.bias
    made["cls/seq_relationship/output_bias"] = model.next_sentence.classifier.bias
    made = {name: numbers(variable) for name, variable in made.items()}
    kernel = numbers(model.next_sentence.classifier.kernel)
    made["cls/seq_relationship/output_weights"] = kernel.T  # (2, d_model), as the authors have it
    slots = {f"{n}/{s}": a for n, a in made.items() for s in ("adam_m", "adam_v") if "bias" in n}
    return made | slots | {"global_step": np.array(1000, "int64")}


GOOGLE_CONFIG = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 16,
    "initializer_range": 0.02,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
    "vocab_size": 61,
}


@pytest.fixture
def google_folder(keras, rng, tmp_path):
    """A model, and the folder that TensorFlow wrote its weights into as Google's code does."""
    tf = pytest.importorskip("tensorflow")
    model, folder = make(keras, rng, "both"), tmp_path / "google"
    folder.mkdir()
    (folder / "bert_config.json").write_text(json.dumps(GOOGLE_CONFIG))
    names, arrays = zip(*googles(model).items(), strict=True)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "bert_model.ckpt"),
        tensor_names=list(names),
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(array) for array in arrays],
    )
    return model, folder


@pytest.mark.needs_tf
def test_googles_checkpoint_as_tensorflow_writes_it_is_read_whole(google_folder):
    model, folder = google_folder
    assert (folder / "bert_model.ckpt.index").exists()
    lines = []
    same(checkpoints.load_bert(folder, BertForPretraining, say=lines.append), model)
    assert lines == []
    encoder = checkpoints.load_bert(folder, say=lines.append)
    same(encoder, model.encoder)
    assert "has no place for cls.predictions.bias" in lines[0]
    for path in folder.glob("bert_model.ckpt.*"):  # as run_pretraining.py names them
        path.rename(folder / path.name.replace("bert_model", "model").replace("ckpt", "ckpt-20"))
    same(checkpoints.load_bert(folder), model.encoder)


@pytest.mark.needs_tf
def test_googles_classifier_is_read(keras, rng, google_folder):
    import tensorflow as tf

    model, folder = google_folder
    arrays = {n: a for n, a in googles(model).items() if n.startswith("bert/")}
    arrays |= {"output_weights": rng.normal(size=(3, 16)), "output_bias": rng.normal(size=3)}
    tf.raw_ops.SaveV2(
        prefix=str(folder / "bert_model.ckpt"),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=[tf.constant(a.astype("float32")) for a in arrays.values()],
    )
    ours = checkpoints.load_bert(folder, HEADS["ForSequenceClassification"])
    np.testing.assert_allclose(numbers(ours.classifier.kernel), arrays["output_weights"].T, 1e-6)


@pytest.mark.needs_tf
def test_googles_checkpoint_that_is_not_whole_is_refused_by_name(google_folder, monkeypatch):
    _, folder = google_folder
    (data,) = folder.glob("*.data-*")
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"cannot read .*bert_model\.ckpt: it is cut off"):
        checkpoints.load_bert(folder)
    data.write_bytes(b"version https://git-lfs" + b"x" * 100)
    with pytest.raises(CheckpointError, match="a Git LFS pointer"):
        checkpoints.load_bert(folder)
    data.unlink()
    with pytest.raises(CheckpointError, match=r"data-00000-of-00001 is missing beside bert_model"):
        checkpoints.load_bert(folder)
    data.write_bytes(whole)
    (folder / "bert_config.json").rename(folder / "elsewhere.json")
    with pytest.raises(CheckpointError, match=r"no config\.json.*bert_config\.json"):
        checkpoints.load_bert(folder)


def test_googles_checkpoint_without_tensorflow_says_what_is_needed(tmp_path, monkeypatch):
    from course import runtime

    (tmp_path / "bert_config.json").write_text(json.dumps(GOOGLE_CONFIG))
    for end in ("index", "data-00000-of-00001"):
        (tmp_path / f"bert_model.ckpt.{end}").write_bytes(b"\0\0")
    monkeypatch.setattr(runtime, "installed", lambda name: name != "tensorflow")
    with pytest.raises(CheckpointError, match="pip install tensorflow"):
        checkpoints.load_bert(tmp_path)


# keras-hub


@pytest.fixture(scope="module")
def backbone():
    keras_hub = pytest.importorskip("keras_hub")
    model = keras_hub.models.BertBackbone(
        61, num_layers=3, num_heads=2, hidden_dim=16, intermediate_dim=32, max_sequence_length=24
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    return model


@pytest.mark.slow  # for keras-hub's import
@pytest.mark.parametrize("how", ["folder", "object"])
def test_keras_hubs_backbone_says_the_same_here(backbone, rng, tmp_path, how):
    source = backbone
    if how == "folder":
        source = tmp_path / "preset"
        backbone.save_to_preset(str(source))
    ours = checkpoints.load_bert(source)
    ids, segments = inputs(rng)
    mask = (ids != 0).astype("int32")
    out = backbone({"token_ids": ids, "segment_ids": segments, "padding_mask": mask})
    sequence, pooled = ours((ids, segments))
    real = ids != 0
    assert error_of(numbers(sequence)[real], numbers(out["sequence_output"])[real]) < 1e-5
    assert error_of(pooled, numbers(out["pooled_output"])) < 1e-5
    if how == "folder":
        weights = source / "model.weights.h5"
        weights.write_bytes(weights.read_bytes()[:-3000])
        with pytest.raises(CheckpointError, match=r"model\.weights\.h5 is cut off"):
            checkpoints.load_bert(source)


@pytest.mark.slow  # for keras-hub's import
@pytest.mark.parametrize("how", ["folder", "object"])
@pytest.mark.parametrize("head", ["BertTextClassifier", "BertMaskedLM"])
def test_keras_hubs_task_says_the_same_here(backbone, rng, tmp_path, how, head):
    keras_hub = pytest.importorskip("keras_hub")
    masked = head == "BertMaskedLM"
    more = {} if masked else {"num_classes": 3}
    task = source = getattr(keras_hub.models, head)(backbone, **more)
    for weight in task.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    if how == "folder":
        source = tmp_path / "preset"
        task.save_to_preset(str(source))
    kind = HEADS["ForMaskedLM" if masked else "ForSequenceClassification"]
    ours = checkpoints.load_bert(source, kind, say=lambda line: None)
    ids, segments = inputs(rng)
    given = {"token_ids": ids, "segment_ids": segments, "padding_mask": (ids != 0).astype("int32")}
    if masked:
        given["mask_positions"] = np.tile(np.arange(11, dtype="int32"), (3, 1))
    found, wanted = numbers(ours((ids, segments))), numbers(task(given))
    real = ids != 0 if masked else slice(None)
    assert error_of(found[real], wanted[real]) < 1e-5


@pytest.mark.slow  # for keras-hub's import
def test_keras_hubs_other_models_are_refused_by_name(tmp_path):
    keras_hub = pytest.importorskip("keras_hub")
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
    model = keras_hub.models.DistilBertBackbone(61, **sizes, max_sequence_length=24)
    model.save_to_preset(str(tmp_path))
    for source in (model, tmp_path):
        with pytest.raises(CheckpointError, match="it is keras-hub's DistilBertBackbone: of keras"):
            checkpoints.load_bert(source)


# The vocabulary


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS)]
    path.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return path


def test_a_vocabulary_goes_out_and_comes_back(keras, rng, vocabulary, tmp_path):
    for lowercase in (True, False):
        tokenizer = Tokenizer.from_vocab(vocabulary, lowercase=lowercase)
        folder = tmp_path / str(lowercase)
        checkpoints.save_bert(make(keras, rng), folder, tokenizer=tokenizer)
        again = checkpoints.load_tokenizer(folder)
        assert again.vocabulary == tokenizer.vocabulary and again.lowercase == lowercase
        (folder / "vocab.txt").unlink()
        assert checkpoints.load_tokenizer(folder).encode("The cats") == again.encode("The cats")


@pytest.mark.parity
def test_transformers_cuts_text_with_the_saved_vocabulary_as_we_do(
    keras, rng, vocabulary, tmp_path
):
    import transformers

    tokenizer = Tokenizer.from_vocab(vocabulary)
    checkpoints.save_bert(make(keras, rng), tmp_path / "out", tokenizer=tokenizer)
    opened = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    pairs = [
        ("The cats, running!", "a DOG"),
        ("Ü 猫 these [MASK]", "a dog"),
        ("x" * 150, "the  mat."),
    ]
    for text, other in pairs:
        found = opened(text, other, max_length=9, truncation=True)
        wanted = tokenizer.tokenize(text, other, max_length=9, read_special=True)
        assert found["input_ids"] == wanted.ids and found["token_type_ids"] == wanted.segment_ids


@pytest.mark.parity
@pytest.mark.prove
@pytest.mark.parametrize(
    ("name", "vocab", "split"),
    [("imdb", "bert-base-uncased", "test"), ("chnsenticorp", "bert-base-chinese", "train")],
)
def test_the_official_vocabularies_give_hugging_faces_ids_on_10000_lines(
    shared_data, monkeypatch, proof_size, name, vocab, split
):
    import itertools

    import transformers

    from course import data

    folder = shared_data / "bert_vocab" / vocab
    if not folder.is_dir():
        pytest.skip("no official vocabularies in the folder of real data")
    monkeypatch.setenv("COURSE_DATA", str(shared_data))
    ours = checkpoints.load_tokenizer(folder)
    peer = transformers.BertTokenizer({token: i for i, token in enumerate(ours.vocabulary)})
    splits = [split, "validation", "test"] if name == "chnsenticorp" else [split]
    rows = itertools.chain.from_iterable(data.stream(name, each) for each in splits)
    texts = [row["text"] for row in itertools.islice(rows, proof_size(10_000))]
    assert len(texts) == proof_size(10_000)
    wanted = peer(texts, max_length=512, truncation=True)["input_ids"]
    assert ours.encode_batch(texts, max_length=512, read_special=True) == wanted


# Tokenizers as they are published


def write_wordpiece(folder, words=None, **settings):
    words = words or ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS)]
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return words


def as_transformers(folder, texts, pairs=None):
    import transformers

    return transformers.BertTokenizer.from_pretrained(folder)(texts, pairs)["input_ids"]


TEXTS = [
    "The cats, running!",
    "A CAFÉ café cafe Ü ü u",
    "猫sat on猫",
    "covid-19 Covid-19 xcovid-19x",
]


@pytest.mark.parity
@pytest.mark.parametrize(
    "settings",
    [
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"do_lower_case": True, "tokenize_chinese_chars": False},
        {"do_lower_case": False},
    ],
    ids=str,
)
def test_accents_and_chinese_characters_are_treated_as_the_settings_say(
    keras, rng, tmp_path, settings
):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS)]
    words += ["cafe", "café", "CAFÉ", "CAFE", "u", "U", "Ü", "猫sat", "on猫", "A"]
    write_wordpiece(tmp_path / "in", words, **settings)
    tokenizer = checkpoints.load_tokenizer(tmp_path / "in")
    wanted = as_transformers(tmp_path / "in", TEXTS)
    assert tokenizer.encode_batch(TEXTS) == wanted
    checkpoints.save_bert(make(keras, rng), tmp_path / "out", tokenizer=tokenizer)
    assert checkpoints.load_tokenizer(tmp_path / "out").encode_batch(TEXTS) == wanted
    assert as_transformers(tmp_path / "out", TEXTS) == wanted
    if installed("tensorflow_text") and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        assert tokenizer.in_graph().tokenize(tf.constant(TEXTS)).to_list() == wanted


@pytest.mark.parity
@pytest.mark.parametrize("lowercase", [True, False])
def test_added_tokens_are_found_whole_and_have_their_ids(keras, rng, tmp_path, lowercase):
    words = write_wordpiece(tmp_path / "in", do_lower_case=lowercase)
    added = {"covid-19": len(words), "[EMOJI]": len(words) + 1}
    (tmp_path / "in" / "added_tokens.json").write_text(json.dumps(added))
    tokenizer = checkpoints.load_tokenizer(tmp_path / "in")
    texts = [*TEXTS, "the [EMOJI] cat"]
    wanted = as_transformers(tmp_path / "in", texts)
    assert tokenizer.encode_batch(texts) == wanted
    assert tokenizer.token_to_id("covid-19") == len(words) and tokenizer.added_tokens == added
    assert tokenizer.vocab_size == len(words) + 2
    checkpoints.save_bert(make(keras, rng), tmp_path / "out", tokenizer=tokenizer)
    again = checkpoints.load_tokenizer(tmp_path / "out")
    assert again.encode_batch(texts) == wanted and again.vocabulary == tokenizer.vocabulary
    (tmp_path / "out" / "vocab.txt").unlink()
    assert checkpoints.load_tokenizer(tmp_path / "out").encode_batch(texts) == wanted
    with pytest.raises(ValueError, match="this one has added tokens: "):
        tokenizer.in_graph()


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ({"new": 3}, r"'new' has the id 3, which is '\[SEP\]'"),
        ({"cat": 99}, "'cat' has the id 99, and 6 in the vocabulary"),
        ({"new": "x"}, "make no sense"),
        ([], "is no JSON object: it holds a list"),
    ],
)
def test_added_tokens_that_do_not_fit_are_refused(tmp_path, added, says):
    write_wordpiece(tmp_path)
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    with pytest.raises(CheckpointError, match=says):
        checkpoints.load_tokenizer(tmp_path)


@pytest.mark.parity
def test_a_published_vocabulary_with_a_token_twice_is_read_as_transformers_reads_it(
    keras, rng, tmp_path
):
    words = ["[PAD]", "[UNK]", "cat", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "new"]
    write_wordpiece(tmp_path / "in", words)
    (tmp_path / "in" / "added_tokens.json").write_text(json.dumps({"very-new": len(words)}))
    tokenizer = checkpoints.load_tokenizer(tmp_path / "in")
    texts = ["the cats", "cat new", "a very-new cat"]
    assert tokenizer.encode_batch(texts[:2]) == as_transformers(tmp_path / "in", texts[:2])
    assert tokenizer.encode(texts[2], special=False) == [1, 10, 7]
    assert tokenizer.vocabulary == [*words, "very-new"] and tokenizer.id_to_token(2) == "cat"
    checkpoints.save_bert(make(keras, rng), tmp_path / "out", tokenizer=tokenizer)
    again = checkpoints.load_tokenizer(tmp_path / "out")
    assert again.vocabulary == tokenizer.vocabulary
    assert again.encode_batch(texts) == tokenizer.encode_batch(texts)
    if installed("tensorflow_text") and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        write_wordpiece(tmp_path / "plain", words)
        graph = checkpoints.load_tokenizer(tmp_path / "plain").in_graph()
        assert graph.tokenize(tf.constant(["the cats"])).to_list() == [[3, 6, 7, 8, 4]]


@pytest.mark.parametrize(
    ("file", "settings", "says"),
    [
        ("tokenizer_config.json", {"word_tokenizer_type": "mecab"}, "which divides words by mecab"),
        ("config.json", {"tokenizer_class": "BertJapaneseTokenizer"}, "divides words by MeCab"),
        ("tokenizer_config.json", {"subword_tokenizer_type": "character"}, "words by character"),
        ("tokenizer_config.json", {"tokenizer_class": "XLNetTokenizer"}, "is XLNetTokenizer"),
        ("tokenizer_config.json", {"do_basic_tokenize": False}, "do_basic_tokenize = False"),
        ("tokenizer_config.json", {"do_lower_case": "yes"}, "do_lower_case = 'yes': expected true"),
        ("tokenizer_config.json", {"unk_token": "<unk>"}, "vocabulary has no <unk>"),
    ],
)
def test_a_tokenizer_of_another_class_is_refused_by_name(tmp_path, file, settings, says):
    write_wordpiece(tmp_path)
    (tmp_path / file).write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=says):
        checkpoints.load_tokenizer(tmp_path)


def test_a_japanese_tokenizer_that_divides_as_bert_does_is_read(tmp_path):
    kind = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "basic"}
    write_wordpiece(tmp_path, **kind)
    assert checkpoints.load_tokenizer(tmp_path).tokenize("the cat", special=False).ids == [5, 6]


def test_special_tokens_of_other_names_are_found(tmp_path):
    names = {"unk_token": "<unk>", "cls_token": {"content": "<bos>"}, "sep_token": "<eos>"}
    words = ["[PAD]", "<unk>", "<bos>", "<eos>", "[MASK]", "the", "cat"]
    write_wordpiece(tmp_path, words, **names)
    tokenizer = checkpoints.load_tokenizer(tmp_path)
    assert tokenizer.encode("the dog", "cat") == [2, 5, 1, 3, 6, 3]
    assert (tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id) == (1, 2, 3)


def write_roberta(folder):
    """RoBERTa's two files, with merges learned from a few words."""
    from tokenizers import ByteLevelBPETokenizer

    folder.mkdir()
    learned = ByteLevelBPETokenizer()
    learned.train_from_iterator(
        ["the cat sat on the mat, the café, 猫!"] * 3,
        vocab_size=300,
        min_frequency=1,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    )
    learned.save_model(str(folder))
    return folder


@pytest.mark.parity
def test_robertas_tokenizer_gives_transformers_ids(keras, rng, tmp_path):
    import transformers

    folder = write_roberta(tmp_path / "in")
    theirs = transformers.RobertaTokenizer.from_pretrained(folder)
    texts = ["The cat sat", "  on the mat, 猫 😀!\n", "", "the <mask> </s> café"]
    wanted = theirs(texts)["input_ids"], theirs(texts, texts[::-1])["input_ids"]
    theirs.save_pretrained(tmp_path / "json")
    model = BertEncoder(400, **SIZES, **FAMILIES["roberta"])
    ours = checkpoints.load_tokenizer(folder)
    checkpoints.save_bert(model, tmp_path / "out", tokenizer=ours)
    for place in (folder, tmp_path / "json", tmp_path / "out"):
        tokenizer = checkpoints.load_tokenizer(place)
        assert tokenizer.encode_batch(texts, read_special=True) == wanted[0]
        assert tokenizer.encode_batch(texts, texts[::-1], read_special=True) == wanted[1]
        assert tokenizer.pad_id == theirs.pad_token_id and tokenizer.mask_id == theirs.mask_token_id
        assert tokenizer.start_id == theirs.cls_token_id
        assert tokenizer.decode(tokenizer.encode("the café 猫 😀")) == "the café 猫 😀"
        assert tokenizer.encode("the <mask>")[2:-1] != [tokenizer.mask_id]  # text like any other
        assert set(tokenizer.tokenize("the cat", "sat").segment_ids) == {0}
    reopened = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert reopened(texts)["input_ids"] == wanted[0]
    assert reopened.pad_token_id == theirs.pad_token_id


def test_files_of_a_byte_level_vocabulary_that_do_not_fit_are_refused(tmp_path):
    folder = write_roberta(tmp_path / "in")
    merges = folder / "merges.txt"
    whole = merges.read_text(encoding="utf-8")
    for text, says in [
        (whole + "x y z\n", "has the line 'x y z': expected two pieces"),
        (whole + "qqq www\n", "do not fit"),
    ]:
        merges.write_text(text, encoding="utf-8")
        with pytest.raises(CheckpointError, match=says):
            checkpoints.load_tokenizer(folder)


def test_a_sentencepiece_tokenizer_is_refused_by_name(tmp_path):
    from tokenizers import Tokenizer as Fast
    from tokenizers import models

    (tmp_path / "tokenizer.json").write_text(Fast(models.Unigram([("a", 0.0)], 0)).to_str())
    with pytest.raises(CheckpointError, match="the model is unigram: expected WordPiece or BPE"):
        checkpoints.load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is no JSON file: it ends in the"):
        checkpoints.load_tokenizer(tmp_path)


# What a file is instead


@pytest.mark.parametrize(
    ("file", "data", "says"),
    [
        ("model.safetensors", b"version https://git-lfs.x/spec/v1\noid 12", "Git LFS pointer"),
        ("model.safetensors", b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "an HDF5 file"),
        ("model.safetensors", b"PK\x03\x04" + b"\0" * 99, "a zip archive, as torch"),
        ("model.safetensors", b"<!DOCTYPE html><html>" + b" " * 99, "a web page"),
        ("model.safetensors", b"", "an empty file"),
        ("config.json", b"version https://git-lfs.x/spec/v1\noid sha256:12", "Git LFS pointer"),
        ("config.json", b'{"model_type": "bert", "hidden', "ends in the middle, at line 1"),
        ("config.json", b'{"model_type": bert}', "line 1, column 16"),
        ("config.json", b"[1]", "no JSON object: it holds a list"),
        ("config.json", b"\xff\xfe\x00", "is no text: byte 0 is no UTF-8"),
        ("config.json", b"[" * 100_000, "nested too deeply"),
        ("vocab.txt", b"version https://git-lfs.x/spec/v1\noid sha256:12", r"no \[UNK\]"),
    ],
)  # fmt: skip
def test_a_file_that_is_something_else_is_called_what_it_is(saved, file, data, says):
    folder = saved(lambda arrays: None)
    (folder / file).write_bytes(data)
    with pytest.raises(CheckpointError, match=says) as caught:
        checkpoints.load_tokenizer(folder) if "vocab" in file else checkpoints.load_bert(folder)
    assert file in str(caught.value)


def test_a_byte_order_mark_in_front_of_a_config_is_no_fault(saved):
    path = saved(lambda arrays: None) / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    checkpoints.load_bert(path.parent, BertForPretraining)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["config.json", "tf_model.h5"], "tf_model.h5 only, the HDF5 layout of transformers'"),
        (["config.json", "flax_model.msgpack"], "former Flax models"),
        (["config.json", "model.fp16.safetensors"], "but model.fp16.safetensors: rename"),
        (["config.json", "model.gguf"], "weights in model.gguf only"),
        (["adapter_config.json"], "an adapter of PEFT"),
        (["model/config.json"], "the folder of a run; its model is in .*model: give that"),
        ([], "It is empty"),
        (["notes.txt"], "It has notes.txt"),
    ],
)
def test_a_folder_without_weights_says_what_it_has(tmp_path, files, says):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}" if name.endswith("json") else b"\x89HDF")
    with pytest.raises(CheckpointError, match=says) as caught:
        checkpoints.load_bert(tmp_path)
    assert "pickle" not in str(caught.value)


def test_a_source_that_is_a_file_or_nothing_says_so(saved):
    folder = saved(lambda arrays: None)
    with pytest.raises(CheckpointError, match="is a file: give the folder that it is in"):
        checkpoints.load_bert(folder / "config.json")
    for nothing in (None, "", 3, ["a"]):
        with pytest.raises(CheckpointError, match=r"source = .*expected a folder, or a name"):
            checkpoints.load_bert(nothing)
    with pytest.raises(CheckpointError, match="revision = 'main' is for names on the hub"):
        checkpoints.load_bert(folder, revision="main")


# The hub

HUB = """
    import os, sys
    from course import checkpoints
    from course.checkpoints import CheckpointError
    for name in sys.argv[1:]:
        try:
            model = checkpoints.load_bert(name)
            tokenizer = checkpoints.load_tokenizer(name)
            print(name, "loaded", model.count_params(), tokenizer.vocab_size)
        except CheckpointError as error:
            print(name, "refused:", error)
"""


def serve(server, name, folder, commit):
    """Lets a test's server answer as the hub's routes for files do."""
    import hashlib

    def answer(data):
        def behave(handler):
            handler.send_response(200)
            digest = hashlib.sha256(data).hexdigest()
            for key, value in {
                "Content-Length": len(data),
                "ETag": f'"{digest}"',
                "X-Repo-Commit": commit,
            }.items():
                handler.send_header(key, str(value))
            handler.end_headers()
            if handler.command == "GET":
                handler.wfile.write(data)

        return behave

    def absent(handler):
        handler.send_response(404)
        handler.send_header("X-Error-Code", "EntryNotFound")
        handler.send_header("X-Repo-Commit", commit)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    there = {path.name: path.read_bytes() for path in folder.iterdir()}
    names = {"config.json", "model.safetensors", "model.safetensors.index.json", "SHA256SUMS"}
    names |= {"vocab.txt", "tokenizer.json", "tokenizer_config.json", "pytorch_model.bin"}
    names |= {"pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack"}
    names |= {"assets/tokenizer/vocabulary.txt", "bert_model.ckpt.index"}
    # What else a loader may ask for: what the hub does not have it says so, and says nothing else.
    names |= set(
        re.findall(
            r'"([\w./-]+\.(?:json|txt|safetensors|bin|h5|msgpack|model|index|meta))"',
            "".join(p.read_text() for p in (ROOT / "course" / "checkpoints").glob("*.py")),
        )
    )
    for file in names | there.keys():
        for revision in ("main", commit):
            server.routes[f"/{name}/resolve/{revision}/{file}"] = (
                answer(there[file]) if file in there else absent
            )


@pytest.mark.skipif(not installed("huggingface_hub"), reason="huggingface_hub is not installed")
@pytest.mark.slow
def test_a_name_is_fetched_from_the_hub_once_and_then_found_in_its_cache(
    keras, rng, vocabulary, tmp_path
):
    tokenizer = Tokenizer.from_vocab(vocabulary)
    checkpoints.save_bert(
        make(keras, rng), tmp_path / "a", tokenizer=tokenizer, max_shard_size=9000
    )
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_bytes((tmp_path / "a" / "config.json").read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x02never opened")
    program = [sys.executable, "-c", textwrap.dedent(HUB)]
    with serving() as server:
        serve(server, "someone/small", tmp_path / "a", "1" * 40)
        serve(server, "someone/pickled", pickled, "2" * 40)

        def run(*names, **more):
            env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": server.base}
            env |= {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1", **more}
            env["HF_HUB_ETAG_TIMEOUT"] = "3"
            server.asked.clear()
            server.fetched.clear()
            done = subprocess.run(
                [*program, *names], capture_output=True, text=True, env=env, timeout=200
            )
            assert done.returncode == 0, done.stderr[-3000:]
            return done.stdout.splitlines()

        first, second, third = run("someone/small", "someone/pickled", "someone/absent")
        size = make(keras, rng).count_params()
        assert first == f"someone/small loaded {size} {tokenizer.vocab_size}"
        assert (
            "refused: someone/pickled (from the hub) has its weights in pytorch_model.bin" in second
        )
        assert "refused: there is no folder someone/absent" in third
        assert not any("pytorch_model.bin" in p for p in server.fetched)
        after = [path for path in server.asked if "/main/" in path and "small" in path]
        assert [p.rpartition("/")[2] for p in dict.fromkeys(after)] == [
            "config.json",
            "tokenizer_config.json",
        ]  # the rest by the commit that these came from

        offline = run("someone/small", "someone/other", COURSE_OFFLINE="1")
        assert offline[0] == first and server.asked == []
        assert "COURSE_OFFLINE is set" in offline[1]

        (shard,) = (tmp_path / "cache").rglob("model-00002-of*.safetensors")
        data = bytearray(shard.resolve().read_bytes())
        data[-1] ^= 1
        shard.resolve().write_bytes(bytes(data))
        (damaged,) = run("someone/small", COURSE_OFFLINE="1")
        assert "model-00002-of" in damaged and "is damaged: its SHA-256" in damaged


def test_without_the_hubs_client_a_name_is_refused_with_what_to_do(monkeypatch):
    from course import runtime

    monkeypatch.setattr(runtime, "installed", lambda name: name != "huggingface_hub")
    with pytest.raises(CheckpointError, match="pip install huggingface_hub"):
        checkpoints.load_bert("someone/something")
