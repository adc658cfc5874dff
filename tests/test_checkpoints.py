"""Checkpoints: BERT's weights out and in again, other people's opened, damaged ones refused."""

import json
import os
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
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor"):
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


def test_an_output_with_weights_of_its_own_is_refused_and_a_copy_is_not(saved):
    def copied(arrays):
        table = arrays["bert.embeddings.word_embeddings.weight"]
        arrays["cls.predictions.decoder.weight"] = table.copy()
        arrays["cls.predictions.decoder.bias"] = arrays["cls.predictions.bias"].copy()

    checkpoints.load_bert(saved(copied), BertForPretraining)

    def untied(arrays):
        arrays["cls.predictions.decoder.weight"][3, 3] += 1

    with pytest.raises(CheckpointError, match="output has weights of its own"):
        checkpoints.load_bert(saved(untied), BertForPretraining)


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
    with pytest.raises(CheckpointError, match=rf"{shard.name} is (cut off|damaged)"):
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
        ({"model_type": "roberta"}, "model_type 'roberta'"),
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


def test_a_tokenizer_with_other_rules_than_berts_is_refused(vocabulary, tmp_path):
    settings = {"do_lower_case": True, "strip_accents": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="strip_accents = False"):
        checkpoints.load_tokenizer(tmp_path)


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
    names |= {"assets/tokenizer/vocabulary.txt"}
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
