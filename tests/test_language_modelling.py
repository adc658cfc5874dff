"""Causal language models: against transformers, packed rows, perplexity by hand, runs, texts."""

import json
import math

import keras
import numpy as np
import pytest
from conftest import shared_folder
from keras import ops
from typer.testing import CliRunner

from course import decoding, training
from course import language_modelling as lm
from course.checkpoints import CheckpointError, causal, gpt2, llama2c
from course.cli import main as cli_main
from course.tokens import Tokenizer

pytestmark = pytest.mark.backend

SIZES = {"num_layers": 2, "d_model": 16, "num_heads": 4, "max_length": 32}
KINDS = {
    "gpt2": {"activation": "gelu"},
    "llama": {
        "normalization": "rms",
        "gated": True,
        "activation": "silu",
        "positions": "rotary",
        "use_bias": False,
        "num_key_value_heads": 2,
        "tie_embeddings": False,
    },
}
TEXTS = ["The cat sat on the mat.\n", "A dog ran after the cat.\n", "The mat was red.\n"] * 4


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def model(kind):
    keras.utils.set_random_seed(3)
    made = lm.CausalLM(23, **SIZES, **KINDS[kind])
    for weight in made.weights:  # far from the small numbers it begins with
        weight.assign(weight + 0.2 * keras.random.normal(weight.shape, seed=5))
    return made


@pytest.fixture
def ids(rng):
    return rng.integers(1, 23, (3, 10)).astype("int32")


def numbers(x):
    return np.asarray(ops.convert_to_numpy(x))


# The model


def test_no_token_sees_a_later_one(model, ids):
    changed = ids.copy()
    changed[:, 6:] = 1
    before, after = numbers(model(ids)), numbers(model(changed))
    np.testing.assert_allclose(before[:, :6], after[:, :6], atol=1e-5)
    assert np.abs(before[:, 6:] - after[:, 6:]).max() > 0.1


def test_with_a_cache_the_logits_are_the_same(model, ids):
    logits = numbers(model(ids))
    cache = model.start_cache(ids, 10)
    found, cache = model.step(ids[:, :4], cache, 0)
    for t in range(4, 10):
        np.testing.assert_allclose(numbers(found), logits[:, t - 1], atol=2e-5)
        found, cache = model.step(ids[:, t], cache, t)
    np.testing.assert_allclose(numbers(found), logits[:, -1], atol=2e-5)


def test_packed_documents_are_computed_as_if_each_were_alone(model, ids):
    documents = np.array([[4] * 3 + [5] * 7] * 3, "int32")
    packed = numbers(model((ids, documents)))
    alone = np.concatenate([numbers(model(ids[:, :3])), numbers(model(ids[:, 3:]))], axis=1)
    np.testing.assert_allclose(packed, alone, atol=2e-5)
    assert np.abs(packed - numbers(model(ids)))[:, 3:].max() > 0.1


def test_a_cache_of_shared_keys_is_smaller():
    made = lm.CausalLM(23, **SIZES, **KINDS["llama"])
    (keys, values), _ = made.start_cache(np.zeros((3, 1), "int32"), 8)[0]
    assert tuple(keys.shape) == tuple(values.shape) == (3, 2, 8, 4)


def test_config_and_file_give_the_same_model(model, ids, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numbers(again(ids)), numbers(model(ids)), atol=1e-6)
    assert again.get_config() == model.get_config()


def test_rms_norm_divides_by_the_root_of_the_mean_square(rng):
    x = rng.normal(size=(2, 3, 8)).astype("float32") * 5
    layer = lm.RMSNorm(epsilon=1e-6)
    expected = x / np.sqrt((x.astype("float64") ** 2).mean(-1, keepdims=True))
    np.testing.assert_allclose(numbers(layer(x)), expected, rtol=1e-5)


def test_rms_norm_in_float16_squares_in_float32():
    x = np.full((1, 4), 300.0, "float16")  # its square is more than float16 holds
    assert numbers(lm.RMSNorm(dtype="float16")(x)) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"positions": "sinusoidal"}, "positions"),
        ({"normalization": "batch"}, "normalization"),
        ({"positions": "rotary", "num_key_value_heads": 3}, "num_key_value_heads"),
        ({"num_key_value_heads": 2}, "rotary"),
        ({"heads": 2}, "heads"),
    ],
)
def test_what_cannot_be_is_said_by_name(settings, told):
    with pytest.raises((ValueError, TypeError), match=told):
        lm.CausalLM(23, **SIZES | settings)


def test_an_input_longer_than_the_model_is_refused(model):
    with pytest.raises(ValueError, match="max_length is 32"):
        model(np.ones((1, 33), "int32"))
    with pytest.raises(ValueError, match="reads 32"):
        model.start_cache(np.ones((1, 4), "int32"), 40)


# Against Hugging Face


def hugging_face(kind, folder):
    """A model of transformers with random weights, saved in a folder."""
    import torch
    import transformers

    torch.manual_seed(0)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=101, n_layer=3, n_embd=48, n_head=4, n_positions=96, eos_token_id=1
        )
        made = transformers.GPT2LMHeadModel(config)
    else:
        config = transformers.LlamaConfig(
            vocab_size=101,
            num_hidden_layers=3,
            hidden_size=48,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=96,
            max_position_embeddings=96,
            rope_theta=50_000.0,
        )
        made = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    made.eval().save_pretrained(folder)
    return made


@pytest.mark.parity
def test_logits_and_greedy_ids_are_hugging_faces_both_ways(kind, rng, tmp_path):
    torch = pytest.importorskip("torch")
    theirs = hugging_face(kind, tmp_path / "theirs")
    model = causal.load_causal_lm(tmp_path / "theirs")
    ids = rng.integers(1, 101, (3, 20)).astype("int32")
    with torch.no_grad():
        expected = theirs(torch.tensor(ids).long()).logits.numpy()
    found = numbers(model(ids))
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()

    settings = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    written = theirs.generate(torch.tensor(ids).long(), max_new_tokens=64, **settings)
    mine = decoding.greedy(model, ids, max_length=64, end_id=-1)
    np.testing.assert_array_equal(numbers(mine), written.numpy()[:, 20:])

    causal.save_causal_lm(model, tmp_path / "ours")
    back = type(theirs).from_pretrained(tmp_path / "ours").eval()
    with torch.no_grad():
        assert np.array_equal(back(torch.tensor(ids).long()).logits.numpy(), expected)


def test_what_is_saved_is_loaded_number_for_number(model, ids, tmp_path):
    causal.save_causal_lm(model, tmp_path / "run", max_shard_size="4KB")
    again = causal.load_causal_lm(tmp_path / "run")
    np.testing.assert_array_equal(numbers(again(ids)), numbers(model(ids)))
    with pytest.raises(ValueError, match="holds a checkpoint"):
        causal.save_causal_lm(model, tmp_path / "run")


def test_a_checkpoint_that_cannot_be_followed_is_refused_by_name(model, kind, tmp_path):
    causal.save_causal_lm(model, tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    odd = {"gpt2": ("scale_attn_by_inverse_layer_idx", True), "llama": ("head_dim", 8)}[kind]
    path.write_text(json.dumps(config | dict([odd])))
    with pytest.raises(CheckpointError, match=odd[0]):
        causal.load_causal_lm(tmp_path)
    path.write_text(json.dumps(config | {"model_type": "mamba"}))
    with pytest.raises(CheckpointError, match="mamba"):
        causal.load_causal_lm(tmp_path)
    layers = {"gpt2": "n_layer", "llama": "num_hidden_layers"}[kind]
    path.write_text(json.dumps(config | {layers: 3}))
    with pytest.raises(CheckpointError, match="missing"):
        causal.load_causal_lm(tmp_path)


def test_stories260k_writes_its_known_passage_to_the_character():
    folder = shared_folder("data/weights_stories260k")
    if folder is None:
        pytest.skip("no weights: ../shared/data/weights_stories260k is not there")
    model = llama2c.load_llama2c(folder / "stories260K.bin")
    tokenizer = llama2c.load_llama2c_tokenizer(folder / "tok512.bin")
    ids = decoding.greedy(model, np.array([[1]], "int32"), max_length=256, end_id=1)
    page = (folder / "stories260K_model_doc.md").read_text()
    known = page[page.index("Once upon") :].partition("```")[0].strip()
    assert tokenizer.decode(numbers(ids)[0]) == known
    assert tokenizer.encode(known, special=False) == numbers(ids)[0].tolist()


def test_byte_level_bpe_gives_gpt2s_ids(tmp_path):
    folder = shared_folder("data/tokenizer_reference/gpt2")
    if folder is None:
        pytest.skip("no vectors: ../shared/data/tokenizer_reference is not there")
    import lzma

    for name, target in (("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")):
        (tmp_path / target).write_bytes(lzma.decompress((folder / f"{name}.xz").read_bytes()))
    tokenizer = gpt2.byte_level_bpe(tmp_path / "vocab.json", tmp_path / "merges.txt")
    assert tokenizer.vocab_size == 50_257
    assert tokenizer.encode("Hello world", special=False) == [15496, 995]
    for text in ("  two  blanks\n\ttab", "naïve café 中文 😀", "don't <|endoftext|> 12345", ""):
        assert tokenizer.decode(tokenizer.encode(text, special=False)) == text
    assert lm.start_and_end(tokenizer) == (50_256, 50_256)


# Packing


def test_packed_rows_hold_every_token_once_and_no_document_leaks():
    documents = [[1, 5, 6, 2], [1, 7, 2], [1, 8, 9, 10, 2]]
    batches = lm.PackedBatches(documents, 2, 4, shuffle=False, pad_id=0)
    (ids, owners), labels = batches[0]
    np.testing.assert_array_equal(ids, [[1, 5, 6, 2], [1, 7, 2, 1]])
    np.testing.assert_array_equal(owners, [[0, 0, 0, 0], [1, 1, 1, 2]])
    np.testing.assert_array_equal(labels, [[5, 6, 2, 0], [7, 2, 0, 8]])
    together = lm.PackedBatches(documents, 2, 4, separate=False, shuffle=False)
    ids, labels = together[0]
    np.testing.assert_array_equal(labels, [[5, 6, 2, 1], [7, 2, 1, 8]])
    _, labels = together[1]
    np.testing.assert_array_equal(labels, [[9, 10, 2, 0], [0, 0, 0, 0]])


def test_an_epoch_depends_on_seed_and_epoch_alone():
    documents = [list(range(1, 120))]

    def epoch(number, seed=0):
        batches = lm.PackedBatches(documents, 3, 8, seed=seed)
        batches.epoch = number
        return np.concatenate([batches[i][1] for i in range(len(batches))])

    np.testing.assert_array_equal(epoch(4), epoch(4))
    assert not np.array_equal(epoch(4), epoch(5))
    assert not np.array_equal(epoch(4), epoch(4, seed=1))


def test_the_loss_leaves_padding_out(rng):
    logits = rng.normal(size=(2, 3, 5)).astype("float32")
    labels = np.array([[1, 2, 0], [4, 0, 0]], "int32")
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log([p[0, 0, 1], p[0, 1, 2], p[1, 0, 4]]).mean()
    assert float(lm.causal_loss(logits, labels)) == pytest.approx(expected, rel=1e-5)
    assert float(lm.causal_loss(logits, labels * 0)) == 0.0


# Scores


def test_a_stride_scores_every_token_once_with_at_least_its_context(rng):
    keras.utils.set_random_seed(0)
    model = lm.CausalLM(23, **SIZES | {"max_length": 8}, **KINDS["gpt2"])
    model.token_embedding.embeddings.assign(model.token_embedding.embeddings * 30)
    documents = [rng.integers(1, 23, n).tolist() for n in (21, 5, 1)]
    found = lm.token_nll(model, documents, stride=3, batch_size=4)
    assert [len(each) for each in found] == [20, 4, 0]
    for document, losses in zip(documents, found, strict=True):
        for t, loss in enumerate(losses):
            begin = 0 if t < 8 else (t - 8) // 3 * 3 + 3
            read = np.array([document[begin : t + 1]], "int32")
            logits = numbers(model(read))[0, -1].astype("float64")
            expected = np.log(np.exp(logits).sum()) - logits[document[t + 1]]
            assert loss == pytest.approx(expected, abs=2e-4)


def test_perplexity_is_of_the_mean_loss_and_bits_are_shared_by_bytes():
    losses = [np.log([2.0, 8.0]), np.log([4.0])]
    assert lm.perplexity(losses) == pytest.approx(4.0)
    assert lm.bits_per_byte(losses, ["ab", "é"]) == pytest.approx((1 + 3 + 2) / 4)
    with pytest.raises(ValueError, match="no token"):
        lm.perplexity([np.zeros(0)])


def test_kneser_ney_is_a_distribution_and_knows_what_it_saw(rng):
    documents = [[1, *rng.integers(3, 9, 30).tolist(), 2] for _ in range(5)]
    model = lm.KneserNey(documents, vocab_size=9, order=3)
    for context in ([], [1], [1, 4], [4, 5], [8, 8], [2, 2]):
        total = sum(model.probability(context, token) for token in range(9))
        assert total == pytest.approx(1.0)
    seen = lm.perplexity(model.token_nll(documents))
    unseen = lm.perplexity(model.token_nll([[1, 2, 1, 2, 0, 0]]))
    assert seen < 9 < unseen


def test_kneser_ney_by_hand():
    """Two documents "a b" and "a c" as bigrams, discount ½: continuation counts, not counts."""
    a, b, c, start = 1, 2, 3, 0
    model = lm.KneserNey([[start, a, b], [start, a, c]], vocab_size=4, order=2, discount=0.5)
    # After a: b and c once each. Lower order: a, b, c each follow one token, 3 kinds in all.
    lower = (1 - 0.5) / 3 + 0.5 * 3 / 3 / 4
    assert model.probability([a], b) == pytest.approx((1 - 0.5) / 2 + 0.5 * 2 / 2 * lower)


# Runs


def recipe(folder, **settings):
    small = {"kind": "characters", "num_layers": 1, "d_model": 16, "num_heads": 2, "max_length": 16}
    small |= {"batch_size": 4, "max_steps": 6, "round_steps": 3, "learning_rate": 1e-2}
    return lm.Recipe(output_dir=str(folder), **small | {"dropout": 0.1} | settings)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path):
    whole, log = lm.train_language_model(recipe(tmp_path / "a"), TEXTS, validation=TEXTS[:3])

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lm.train_language_model(
            recipe(tmp_path / "b"), TEXTS, validation=TEXTS[:3], callbacks=[Stop()]
        )
    again, other = lm.train_language_model(recipe(tmp_path / "b"), TEXTS, validation=TEXTS[:3])
    assert [line["val_nll"] for line in log] == pytest.approx(
        [line["val_nll"] for line in other], abs=1e-5
    )
    for one, two in zip(whole.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    with pytest.raises(ValueError, match="other settings"):
        lm.train_language_model(recipe(tmp_path / "b", dropout=0.2), TEXTS)


def test_training_has_dropout_and_learns(tmp_path):
    settings = {"max_steps": 60, "round_steps": 60, "dropout": 0.0, "d_model": 32}
    model, log = lm.train_language_model(recipe(tmp_path, **settings), TEXTS)
    assert log[-1]["nll"] < 2.6  # 24 characters: log 24 is 3.2
    assert model.evaluate(TEXTS)["perplexity"] < math.exp(2.4)
    net = lm.NextToken(recipe(tmp_path, dropout=0.5).model(9, 0))
    ids = np.ones((1, 4), "int32")
    assert np.abs(numbers(net(ids, training=True)) - numbers(net(ids, training=False))).max() > 0


def test_streamed_pieces_are_the_generated_text():
    tokenizer = lm.learn_characters(TEXTS)
    sizes = SIZES | KINDS["llama"] | {"max_length": 16}
    model = lm.LanguageModel(lm.CausalLM(tokenizer.vocab_size, **sizes), tokenizer)
    for settings in ({"temperature": 0}, {"temperature": 0.9, "top_k": 5, "seed": 4}):
        settings["max_new_tokens"] = 8
        assert "".join(model.stream("The", **settings)) == model.generate(["The"], **settings)[0]
    with pytest.raises(ValueError, match="nothing can"):
        model.generate(["The cat sat on the mat."])
    with pytest.raises(ValueError, match="list of prompts"):
        model.generate("The")


def test_bytes_of_one_character_come_together(monkeypatch, tmp_path):
    tokenizer = Tokenizer.learn(["é"] * 3, 261, "bpe")
    model = lm.CausalLM(261, **SIZES)
    wanted = iter([*tokenizer.encode("aé中", special=False), tokenizer.end_id])

    def step(new, cache, index, uniform):
        return np.array([next(wanted)]), cache

    monkeypatch.setattr("course.language_modelling.generation._step", lambda *_: step)
    pieces = list(lm.stream(model, tokenizer, "", max_new_tokens=20))
    assert "".join(pieces) == "aé中" and all("\ufffd" not in piece for piece in pieces)


@pytest.mark.slow
def test_the_commands_train_score_and_write(tmp_path):
    (tmp_path / "texts.txt").write_text("".join(TEXTS))
    settings = "kind=characters num_layers=1 d_model=16 num_heads=2 max_length=16 batch_size=4 "
    settings += "max_steps=4 round_steps=2"
    options = [part for text in settings.split() for part in ("--set", text)]
    arguments = ["train", "language-model", str(tmp_path / "texts.txt"), "--out"]
    run = CliRunner()
    found = run.invoke(cli_main.app, [*arguments, str(tmp_path / "run"), *options])
    assert found.exit_code == 0, found.output
    assert "perplexity" in found.output and "bits a byte" in found.output
    write = ["generate", str(tmp_path / "run"), "The ", "--max-new-tokens", "5"]
    texts = [run.invoke(cli_main.app, [*write, "--seed", s]).stdout for s in ("1", "1", "2")]
    assert texts[0].startswith("The ") and texts[0] == texts[1] != texts[2]
    for wrong in (["--top-p", "2"], ["--temperature", "-1"], ["--top-k", "0"]):
        found = run.invoke(cli_main.app, [*write, *wrong])
        assert found.exit_code == 2 and wrong[0] in found.output
    found = run.invoke(cli_main.app, [*arguments[:2], "no-such-file.txt", "--out", str(tmp_path)])
    assert found.exit_code == 2 and "no file and no data set" in found.output
    assert training.load_recipe(tmp_path / "run", lm.Recipe).kind == "characters"
