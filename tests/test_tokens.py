"""Tokens: BERT's ids everywhere, text that comes back, batches that lose nothing."""

import gzip
import json
import lzma
import subprocess
import sys

import numpy as np
import pytest
from tokenizers import normalizers

# What goes through Keras is marked one by one: ids are the same whatever computes.


# Batches


@pytest.fixture(scope="module")
def batches():
    from course.tokens import TokenBatches

    return TokenBatches


def sentences(rng, rows, mean=12, most=60, first=1):
    """Rows of ids that are never 0 and differ from each other."""
    lengths = rng.geometric(1 / mean, rows).clip(1, most)
    return [rng.integers(first, 1000, n).tolist() for n in lengths]


def pairs(rng, rows=700, **more):
    """Source and target rows of similar lengths, each with its number in front."""
    source = [[i + 1, *row] for i, row in enumerate(sentences(rng, rows, **more))]
    target = [[i + 1, *row, *row[: i % 4]] for i, row in enumerate(source)]
    return source, target


def stripped(row):
    return [int(i) for i in row if i]


def test_an_epoch_has_every_row_once_and_the_columns_stay_side_by_side(batches, rng):
    source, target = pairs(rng)
    found = {}
    for left, right in batches((source, target), 512):
        assert left.dtype == right.dtype == "int32"
        for a, b in zip(left, right, strict=True):
            if stripped(a):
                assert stripped(a)[0] not in found
                found[stripped(a)[0]] = stripped(a), stripped(b)
            else:
                assert not stripped(b)
    assert found == {i + 1: pair for i, pair in enumerate(zip(source, target, strict=True))}


def test_a_batch_holds_the_budget_and_one_row_of_padding_at_most(batches, rng):
    given = batches(pairs(rng), 512, multiple=4)
    for i, (left, right) in enumerate(given):
        assert len(left) == len(right)
        assert len(left) * max(left.shape[1], right.shape[1]) <= 512
        assert left.shape[1] % 4 == right.shape[1] % 4 == 0
        assert (given.rows(i) < 0).sum() <= 1


def test_shapes_are_few_and_the_same_in_every_epoch(batches, rng):
    given = batches(pairs(rng), 512, max_shapes=6)
    seen = [{(left.shape, right.shape) for left, right in given} for _ in range(3)]
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == given.num_shapes <= 6


def test_the_share_of_padding_is_the_one_that_is_seen_and_far_below_a_naive_batch(batches, rng):
    rows = sentences(rng, 3000)
    given = batches(rows, 512)
    ids = np.concatenate([batch.ravel() for batch in given])
    assert given.padding == pytest.approx((ids == 0).mean())
    naive = 1 - np.mean([len(row) for row in rows]) / max(map(len, rows))
    assert given.padding < naive / 3


def test_an_epoch_depends_on_seed_and_number_only(batches, rng):
    rows = sentences(rng, 500)

    def epoch(number, seed=0):
        given = batches(rows, 256, seed=seed)
        given.epoch = number
        return [batch.tolist() for batch in given]

    ran_through = batches(rows, 256)
    three = [[batch.tolist() for batch in ran_through] for _ in range(3)]
    assert ran_through.epoch == 3
    assert three[2] == epoch(2)
    assert three[2] != three[1]
    assert epoch(2, seed=1) != epoch(2)


def test_without_shuffling_rows_keep_their_order_and_say_where_they_come_from(batches, rng):
    rows = sentences(rng, 200)
    given = batches(rows, 256, shuffle=False)
    for i, batch in enumerate(given):
        numbers = given.rows(i)
        real = numbers[numbers >= 0]
        assert (np.diff(real) > 0).all()
        assert [stripped(row) for row in batch[numbers >= 0]] == [rows[n] for n in real]
    widths = [batch.shape[1] for batch in given]
    second = widths.pop(1)
    assert widths == sorted(widths)
    assert second > widths[0]  # so that Keras sees that the length varies


def test_make_builds_the_batch_and_numbers_ride_along(batches):
    rows, labels = [[5, 6], [7], [8, 9, 10]], [2, 0, 1]
    given = batches((rows, labels), 64, make=lambda ids, y: (ids, y, ids[:, 0] != 0))
    ids, y, real = given[0]
    found = {tuple(stripped(r)): label for r, label in zip(ids, y.tolist(), strict=True)}
    assert found == {(5, 6): 2, (7,): 0, (8, 9, 10): 1}
    assert real.all()
    weights = batches((rows, [0.5, 1.0, 2.0]), 64)[0][1]
    assert weights.dtype == "float32"


def test_a_row_that_is_too_long_is_never_lost_in_silence(batches):
    rows = [[1] * 5, [2] * 12, [3] * 3]
    with pytest.raises(ValueError, match="row 1 has 12 ids and at most 10 are allowed"):
        batches(rows, 64, max_length=10)
    with pytest.raises(ValueError, match="at most 8 are allowed"):
        batches(rows, 8)
    cut = batches(rows, 64, max_length=10, too_long="cut")
    assert sorted(len(stripped(row)) for batch in cut for row in batch if any(row)) == [3, 5, 10]
    left = batches((rows, [0, 1, 2]), 64, max_length=10, too_long="drop")
    assert sorted(n for _, labels in left for n in labels) == [0, 2]
    assert cut.num_too_long == left.num_too_long == 1


@pytest.mark.parametrize(
    ("columns", "more", "said"),
    [
        (([[1]], [[1], [2]]), {}, "1, 2 rows"),
        ([], {}, "0 rows"),
        (([1, 2],), {}, "at least one column of lists"),
        ([[1]], {"max_tokens": 4}, "raise it"),
        ([[1]], {"max_tokens": 64, "max_length": 65}, "raise max_tokens"),
        ([[1]], {"too_long": "skip"}, '"error", "cut" or "drop"'),
        ([[1] * 9], {"max_length": 8, "too_long": "drop"}, "all 1 rows"),
    ],
)
def test_what_cannot_be_batched_is_refused(batches, columns, more, said):
    with pytest.raises(ValueError, match=said):
        batches(columns, **more)


def test_rows_of_arrays_empty_rows_and_another_pad_id_work(batches):
    given = batches([np.array([4, 5]), np.array([], int), np.array([6])], 64, pad_id=-1)
    assert given[0].shape == (3, 8)
    assert sorted(row[row >= 0].tolist() for row in given[0]) == [[], [4, 5], [6]]
    assert given[-1].tolist() == given[len(given) - 1].tolist()
    with pytest.raises(IndexError):
        given[len(given)]


@pytest.mark.backend
@pytest.mark.parametrize("epochs", [1, 3])
def test_fit_goes_through_the_epochs_in_order(batches, rng, epochs, keras):
    """The numbers that come to the model are those of epochs 4, 5, …, padding included."""
    rows = sentences(rng, 300, most=40)
    seen = []

    class Sum(keras.Model):
        def __init__(self):
            super().__init__()
            self.scale = self.add_weight(shape=(), initializer="ones")

        def call(self, ids):
            return keras.ops.sum(keras.ops.cast(ids, "float32"), axis=-1) * self.scale

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    def make(ids):
        return ids, ids[:, 0].astype("float32")

    given = batches(rows, 256, make=make)
    given.epoch = 4
    model = Sum()
    model.compile(keras.optimizers.SGD(0.0), "mae", jit_compile=False)
    model.fit(given, epochs=epochs, shuffle=False, verbose=0, callbacks=[Note()])
    assert given.epoch == 4 + epochs
    steps = len(given)
    for number in range(epochs):
        got = seen[number * steps : (number + 1) * steps]
        served = epoch_of(batches, rows, 4 + number)
        losses = [np.abs(b.sum(-1) - b[:, 0]).sum() for b in served]
        means = np.cumsum(losses) / np.cumsum([len(b) for b in served])
        assert got == pytest.approx(means.tolist(), rel=1e-4)


def epoch_of(batches, rows, number):
    given = batches(rows, 256)
    given.epoch = number
    return list(given)


@pytest.mark.backend
def test_lengths_that_first_agree_do_not_fix_what_fit_expects(batches, keras):
    """Keras on TensorFlow looks at two batches and takes a length that they share for fixed."""
    short, long = [[1] * 3] * 400, [[1] * 30] * 10
    model = keras.Sequential([keras.layers.Embedding(5, 1), keras.layers.GlobalMaxPooling1D()])
    model.compile("sgd", "mse", jit_compile=False)
    for seed in range(5):
        given = batches(short + long, 64, seed=seed, make=lambda ids: (ids, ids[:, :1] * 1.0))
        assert given[0][0].shape[1] != given[1][0].shape[1]
        model.fit(given, shuffle=False, verbose=0)
        in_order = batches(
            short + long, 64, shuffle=False, make=lambda ids: (ids, ids[:, :1] * 1.0)
        )
        model.evaluate(in_order, verbose=0)


@pytest.mark.parametrize("seed", range(20))
def test_the_first_two_batches_differ_in_every_length_that_varies(batches, seed):
    rng = np.random.default_rng(seed)
    given = batches(pairs(rng, 60, most=40), 64, seed=seed)
    varies = [len(set(lengths)) > 1 for lengths in given.shapes.T]
    first, second = (np.array([a.shape[1] for a in given[i]]) for i in (0, 1))
    assert (first != second)[varies].all()


# Vocabularies


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij", "un", "##want", "##ed"]
SENTENCES = [
    "Two young, white males are outside near many bushes.",
    "Several men in hard hats are operating a giant pulley system.",
    "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche.",
    "Ein kleines Mädchen klettert in ein Spielhaus aus Holz.",
    "我们今天去图书馆。",
] * 3


@pytest.fixture(scope="module")
def tokenizer():
    from course.tokens import Tokenizer

    return Tokenizer


@pytest.fixture(scope="module")
def english(tokenizer, shared_data):
    return tokenizer.from_vocab(shared_data / "bert_vocab" / "bert-base-uncased" / "vocab.txt")


@pytest.fixture(scope="module")
def chinese(tokenizer, shared_data):
    return tokenizer.from_vocab(shared_data / "bert_vocab" / "bert-base-chinese" / "vocab.txt")


def reference(ours, lowercase=True):
    """The tokenizer that the library `tokenizers` builds for BERT, over the same vocabulary."""
    from tokenizers import BertWordPieceTokenizer

    ids = {token: i for i, token in enumerate(ours.vocabulary)}
    theirs = BertWordPieceTokenizer(ids, lowercase=lowercase)
    theirs.encode_special_tokens = True
    return theirs


def real_texts(shared_data, name):
    """Real lines in English, German and Chinese."""
    folder = shared_data / name
    if name == "multi30k":
        files = [folder / f"val.{language}.gz" for language in ("en", "de", "fr")]
        return [line for f in files for line in gzip.open(f, "rt", "utf-8").read().splitlines()]
    if name == "tatoeba_eng_cmn":
        found = next(f for f in sorted(folder.iterdir()) if "eng" in f.name or "cmn" in f.name)
        opened = lzma.open if found.suffix == ".xz" else gzip.open
        return opened(found, "rt", encoding="utf-8").read().splitlines()[:3000]
    return (folder / "sample_text.txt").read_text(encoding="utf-8").splitlines()


def test_the_published_vectors_come_out(tokenizer, shared_data, english):
    path = shared_data / "tokenizer_reference" / "wordpiece_vectors.json"
    vectors = json.loads(path.read_text(encoding="utf-8"))
    for vector in vectors:
        if vector["kind"] == "bert-base-uncased":
            found = english.tokenize(vector["text"], vector.get("pair"))
            assert found.ids == vector["ids"]
            if "tokens" in vector:
                assert found.tokens == vector["tokens"]
                assert [list(span) for span in found.offsets] == vector["offsets"]
                assert found.segment_ids == vector["type_ids"]
        elif vector["kind"].startswith("basic"):  # the division into words alone
            words = ["[UNK]", *vector["tokens"]]
            ours = tokenizer.from_vocab(words, lowercase=vector["kind"] == "basic_lower")
            assert ours.tokenize(vector["text"], special=False).tokens == vector["tokens"]
        else:
            ours = tokenizer.from_vocab(vector["vocab"])
            found = ours.tokenize(vector["text"], special=False)
            assert found.tokens == vector["tokens"]
            assert found.ids == vector.get("ids", found.ids)
    assert len(vectors) == 13


@pytest.mark.parametrize("name", ["multi30k", "tatoeba_eng_cmn", "bert_vocab"])
@pytest.mark.parametrize("language", ["english", "chinese"])
def test_real_text_has_the_ids_of_berts_reference(request, shared_data, language, name):
    ours = request.getfixturevalue(language)
    texts = real_texts(shared_data, name)
    theirs = [found.ids for found in reference(ours).encode_batch(texts)]
    assert ours.encode_batch(texts) == theirs
    assert len(texts) > 30


@pytest.mark.parity
@pytest.mark.parametrize("language", ["english", "chinese"])
def test_transformers_gives_the_same_ids_and_reads_them_alike(request, shared_data, language):
    from transformers import BertTokenizer

    ours = request.getfixturevalue(language)
    theirs = BertTokenizer({token: i for i, token in enumerate(ours.vocabulary)})
    texts = [*real_texts(shared_data, "multi30k")[::7], "a [MASK] c", "[SEP][CLS] Straße", ""]
    pairs = texts[::-1]
    found = ours.tokenize_batch(texts, pairs, read_special=True, max_length=24)
    want = theirs(texts, pairs, truncation=True, max_length=24)
    assert [f.ids for f in found] == want["input_ids"]
    assert [f.segment_ids for f in found] == want["token_type_ids"]
    ids = ours.encode_batch(texts, special=False)
    apart = [" ".join(theirs.convert_ids_to_tokens(row)).replace(" ##", "") for row in ids]
    assert ours.decode_batch(ids, tidy=False) == apart


def any_text(alphabet=None):
    from hypothesis import strategies

    characters = strategies.characters(exclude_categories=["Cs"])
    latin = strategies.sampled_from("aäßÅİé Zz'’-.,#[]0 9\t\n\u0301\u200b中国한글ｶﾞ😀")
    return strategies.text(alphabet or characters | latin, max_size=40)


@pytest.mark.prove
@pytest.mark.parametrize("lowercase", [True, False])
def test_random_unicode_has_the_ids_of_berts_reference(
    tokenizer, shared_data, english, lowercase, proof_size
):
    from hypothesis import given, settings

    ours = tokenizer.from_vocab(english.vocabulary, lowercase)
    theirs = reference(ours, lowercase)

    @settings(max_examples=proof_size(20_000), deadline=None, database=None, derandomize=True)
    @given(any_text(), any_text())
    def same(text, pair):
        found, want = ours.tokenize(text, pair), theirs.encode(text, pair)
        assert (found.ids, found.offsets) == (want.ids, want.offsets)

    same()


@pytest.mark.prove
def test_bpe_gives_back_every_text(tokenizer, proof_size):
    from hypothesis import given, settings

    ours = tokenizer.learn(SENTENCES, 300, "bpe")
    as_it_is_kept = normalizers.NFC()

    @settings(max_examples=proof_size(20_000), deadline=None, database=None, derandomize=True)
    @given(any_text())
    def back(text):
        for special in (True, False):
            found = ours.decode(ours.encode(text, special=special))
            assert found == as_it_is_kept.normalize_str(text)

    back()
    assert ours.decode(ours.encode("  two  spaces, [SEP] and\ta tab. ")) == (
        "  two  spaces, [SEP] and\ta tab. "
    )


def test_the_same_texts_give_the_same_vocabulary_in_every_process(tokenizer):
    """Equally common pairs abound in a small text: with the trainer alone the ids change."""
    script = (
        "import json, sys; from course.tokens import Tokenizer; texts = json.loads(sys.argv[1]); "
        "made = [Tokenizer.learn(texts, 290, kind).vocabulary for kind in ('wordpiece', 'bpe')]; "
        "assert 'keras' not in sys.modules; print(json.dumps(made))"
    )
    command = [sys.executable, "-c", script, json.dumps(SENTENCES)]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for _ in range(3):
        made = [tokenizer.learn(iter(SENTENCES), 290, k).vocabulary for k in ("wordpiece", "bpe")]
        assert made == json.loads(elsewhere)


def test_a_learned_vocabulary_has_the_size_asked_for_and_the_special_tokens_first(tokenizer):
    for kind, size in (("wordpiece", 150), ("bpe", 290)):
        made = tokenizer.learn(SENTENCES, size, kind)
        assert made.vocab_size == size == len(set(made.vocabulary))
        first = (made.pad_id, made.unknown_id, made.start_id, made.end_id, made.mask_id)
        assert first == (0, 1, 2, 3, 4)
        assert made.kind == kind
        assert made.lowercase == (kind == "wordpiece")
    assert tokenizer.learn(SENTENCES, 5000).vocab_size < 5000  # no more pairs than there are


def test_a_learned_wordpiece_vocabulary_joins_the_commonest_pair_first(tokenizer):
    made = tokenizer.learn(["hug"] * 10 + ["pug"] * 5 + ["pun"] * 12 + ["bun"] * 4, 17)
    # p + ##u stands in 17 words; then pu + ##n in 12, h + ##u in 10.
    assert made.vocabulary[5:] == [*"bghnpu", "##g", "##n", "##u", "pu", "pun", "hu"]
    assert made.tokenize("hug pun", special=False).tokens == ["hu", "##g", "pun"]


def test_rare_characters_can_be_left_out_and_too_many_are_refused(tokenizer):
    with pytest.raises(ValueError, match="pass max_characters"):
        tokenizer.learn(SENTENCES, 40)
    made = tokenizer.learn(SENTENCES, 40, max_characters=10)
    assert made.vocab_size == 40
    assert made.encode("我", special=False) == [made.unknown_id]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda t: t.learn(["a"], 300, "unigram"), 'choose "wordpiece" or "bpe"'),
        (lambda t: t.learn("a text", 300), "pass a list"),
        (lambda t: t.learn(["a"], 100, "bpe"), "at least 261"),
        (lambda t: t.from_vocab(["[UNK]", "a", "a"]), "'a' more than once"),
        (lambda t: t.from_vocab(["a"]), "no \\[UNK\\]"),
        (lambda t: t.from_vocab(WORDS).encode_batch("text"), "a list of texts"),
    ],
)
def test_a_vocabulary_that_cannot_be_is_refused(tokenizer, make, said):
    with pytest.raises(ValueError, match=said):
        make(tokenizer)


def test_tokens_and_ids_that_do_not_exist_are_named(tokenizer):
    made = tokenizer.from_vocab(WORDS)
    assert made.id_to_token(made.token_to_id("##ed")) == "##ed"
    for wrong in (len(WORDS), -1):
        with pytest.raises(IndexError, match=f"id {wrong}"):
            made.id_to_token(wrong)
        with pytest.raises(IndexError, match=f"id {wrong}"):
            made.decode([2, wrong])
    with pytest.raises(KeyError, match="'zebra' is not among the 18"):
        made.token_to_id("zebra")
    bare = tokenizer.from_vocab(["[UNK]", "a"])
    assert bare.encode("a b", special=False) == [1, 0]
    with pytest.raises(KeyError, match=r"\[CLS\]"):
        bare.encode("a")


# Text to ids and back


def test_a_word_becomes_the_longest_pieces_or_unknown_as_a_whole(tokenizer):
    made = tokenizer.from_vocab(WORDS)
    assert made.tokenize("UNwantéd a unwantedx", special=False).tokens == [
        *("un", "##want", "##ed"),
        "a",
        "[UNK]",
    ]
    assert made.encode("a" * 101, special=False) == [made.unknown_id]


def test_every_ideograph_is_a_word(chinese):
    assert chinese.tokenize("我爱Transformer模型。", special=False).tokens[:2] == ["我", "爱"]
    assert chinese.tokenize("模型。", special=False).tokens == ["模", "型", "。"]
    assert chinese.decode(chinese.encode("我爱你，2024年。")) == "我爱你，2024年。"


def test_offsets_are_characters_of_the_text_that_was_given(english):
    text = "Ein Café im Straßenbau: 我们 ÜBER 3.5"
    found = english.tokenize(text, special=False)
    spans = [text[start:end] for start, end in found.offsets]
    assert "".join(spans) == text.replace(" ", "")
    question = english.tokenize("Who?", text)
    at = question.tokens.index("cafe")
    assert text[slice(*question.offsets[at])] == "Café"
    assert question.segment_ids[at] == 1
    assert question.offsets[0] == (0, 0)


def test_a_text_that_names_a_special_token_is_text(english):
    plain = english.tokenize("[SEP]", special=False)
    assert plain.tokens == ["[", "sep", "]"]
    assert english.encode("[SEP]", special=False, read_special=True) == [english.end_id]
    assert english.tokenize("[SEP]", special=False) == plain  # the option does not stay


def test_a_limit_cuts_text_and_keeps_the_frame(english):
    ids = english.encode("one two three four", max_length=4)
    assert english.decode(ids) == "one two"
    assert (ids[0], ids[-1], len(ids)) == (english.start_id, english.end_id, 4)
    pair = english.tokenize("one two three four five six", "seven eight", max_length=8)
    assert pair.tokens.count("[SEP]") == 2
    assert pair.segment_ids == [0] * 5 + [1] * 3
    assert len(english.encode("one two three four")) == 6  # the limit does not stay


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world! (It works.) What's new?",
        'He said: "I don\'t know", and left.',
        "A well-known man pays $3.50 at 2:30 for 1,000 t-shirts; 50% off.",
        "Der „Hund“ mag Akten- und Umhängetaschen.",
        "We've 3 dogs, 'old' ones [no joke] and/or cats…",
        "图书馆在2024年开门：你好，world！",
        "",
    ],
)
def test_words_are_put_together_as_one_writes_them(tokenizer, text):
    made = tokenizer.learn([text, "a b"] * 2, 400, lowercase=False)
    assert made.decode(made.encode(text)) == text


def test_most_real_sentences_come_back_as_they_were(tokenizer, shared_data):
    texts = real_texts(shared_data, "multi30k")[:2028]  # English and German
    texts = [" ".join(text.split()) for text in texts]
    made = tokenizer.learn(texts, 4000, lowercase=False)
    back = made.decode_batch(made.encode_batch(texts))
    assert np.mean([a == b for a, b in zip(texts, back, strict=True)]) > 0.98


def test_unknown_words_are_shown_and_padding_is_not(tokenizer):
    made = tokenizer.from_vocab(WORDS)
    assert made.decode(np.array([2, 5, 1, 6, 3, 0, 0])) == "a [UNK] b"
    assert made.decode_batch(np.array([[5, 0], [6, 7]])) == ["a", "b c"]
    assert made.decode([5, 16], tidy=False) == made.decode([5, 16]) == "awant"


@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_what_is_saved_is_loaded_and_a_failed_save_leaves_the_old_file(
    tokenizer, tmp_path, kind, monkeypatch
):
    made = tokenizer.learn(SENTENCES, 300, kind)
    made.encode("a b c", max_length=3)
    made.save(tmp_path / "folder")
    loaded = tokenizer.load(tmp_path / "folder")
    assert (loaded.kind, loaded.lowercase) == (made.kind, made.lowercase)
    assert loaded.vocabulary == made.vocabulary
    ids = made.encode_batch(SENTENCES)
    assert loaded.encode_batch(SENTENCES) == ids
    assert loaded.decode_batch(ids) == made.decode_batch(ids)

    before = (tmp_path / "folder" / "tokenizer.json").read_bytes()
    monkeypatch.setattr("os.fsync", lambda file: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tokenizer.learn(SENTENCES[:3], 290, kind).save(tmp_path / "folder")
    assert [f.name for f in (tmp_path / "folder").iterdir()] == ["tokenizer.json"]
    assert (tmp_path / "folder" / "tokenizer.json").read_bytes() == before
    with pytest.raises(FileNotFoundError, match="save a tokenizer"):
        tokenizer.load(tmp_path)


# In TensorFlow graphs


@pytest.fixture(scope="module")
def graph(english):
    pytest.importorskip("tensorflow_text", reason="tensorflow-text is not installed")
    return english.in_graph()


def in_words(ours, texts):
    normalizer, words = ours.fast.normalizer, ours.fast.pre_tokenizer
    return [[w for w, _ in words.pre_tokenize_str(normalizer.normalize_str(t))] for t in texts]


def strings(tensor):
    return [[piece.decode() for piece in row] for row in tensor.to_list()]


@pytest.mark.needs_tf
@pytest.mark.prove
@pytest.mark.parametrize("lowercase", [True, False])
def test_every_code_point_of_unicode_becomes_the_same_in_the_graph(
    tokenizer, english, graph, lowercase, proof_size
):
    made = graph if lowercase else tokenizer.from_vocab(english.vocabulary, False).in_graph()
    ours = tokenizer.from_vocab(english.vocabulary, lowercase)
    points = [p for p in range(0x110000) if not 0xD800 <= p < 0xE000]
    points = points[:: len(points) // proof_size(len(points))]
    for start in range(0, len(points), 20_000):
        texts = [f"a{chr(p)}b" for p in points[start : start + 20_000]]
        assert strings(made.words(texts)) == in_words(ours, texts)


@pytest.mark.needs_tf
@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_graph_gives_the_ids_of_real_text(request, shared_data, language):
    pytest.importorskip("tensorflow_text", reason="tensorflow-text is not installed")
    ours = request.getfixturevalue(language)
    made = ours.in_graph()
    for name in ("multi30k", "tatoeba_eng_cmn", "bert_vocab"):
        texts = real_texts(shared_data, name)
        ids = made.tokenize(texts)
        assert ids.dtype == "int32"
        assert ids.to_list() == ours.encode_batch(texts)
        back = made.detokenize(ids.to_tensor(ours.pad_id)).numpy()
        assert [text.decode() for text in back] == ours.decode_batch(ours.encode_batch(texts))
    path = shared_data / "tokenizer_reference" / "wordpiece_vectors.json"
    for vector in json.loads(path.read_text(encoding="utf-8")):
        plain = made.tokenize_plain([vector["text"]]).to_list()[0]
        assert plain == ours.encode(vector["text"], special=False)


@pytest.mark.needs_tf
def test_words_that_stock_parts_get_wrong_are_right(graph, english):
    texts = ["Straße", "UNwantéd,running", "", " \t ", "é" * 100, "é" * 101, "x" * 101, "[SEP]"]
    assert graph.tokenize(texts).to_list() == english.encode_batch(texts)
    assert graph.tokenize(np.array([], object)).to_list() == []
    assert graph.tokenize([b"caf\xc3"]).to_list() == english.encode_batch(["caf"])  # cut UTF-8


@pytest.mark.needs_tf
@pytest.mark.prove
def test_random_unicode_in_canonical_order_is_the_same_in_the_graph(english, graph, proof_size):
    from hypothesis import given, settings
    from hypothesis import strategies as st

    clean = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False
    )
    order = normalizers.NFD()
    jamo = st.integers(0x1100, 0x11FF).map(chr) | st.integers(0xAC00, 0xD7A3).map(chr)
    marks = st.integers(0x300, 0x36F).map(chr)

    @settings(max_examples=proof_size(4_000), deadline=None, database=None, derandomize=True)
    @given(st.lists(any_text() | st.text(jamo | marks | st.just("a")), min_size=1, max_size=20))
    def same(texts):
        texts = [order.normalize_str(clean.normalize_str(text)) for text in texts]
        assert graph.tokenize(texts).to_list() == english.encode_batch(texts)
        assert strings(graph.words(texts)) == in_words(english, texts)

    same()


@pytest.mark.needs_tf
def test_what_still_differs_is_marks_out_of_order_that_bert_keeps(english, graph):
    """A table of single code points cannot swap two of them."""
    swapped = ["a\U0001d16d\u302e", "a\u302f\u1bf2"]  # a musical dot, Hangul tones, a Batak virama
    ordered = [normalizers.NFD().normalize_str(text) for text in swapped]
    assert swapped != ordered
    assert strings(graph.words(swapped)) == [[text] for text in swapped]
    assert in_words(english, swapped) == [[text] for text in ordered]
    assert strings(graph.words(ordered)) == in_words(english, ordered)
    # Accents in any order are taken away, and Hangul has no such marks.
    same = ["a\u0301\u0327b", "a\u0327\u0301b", "한글", "\u1112\u1161\u11ab글"]
    assert strings(graph.words(same)) == in_words(english, same)


@pytest.mark.needs_tf
def test_it_runs_in_a_dataset_and_in_a_process_that_knows_only_tensorflow(
    english, graph, tmp_path, shared_data
):
    import tensorflow as tf

    texts = ["Straße, it's 3.5 km!", "UNwantéd 中国", ""]
    dataset = tf.data.Dataset.from_tensor_slices(texts).batch(2).map(graph.tokenize)
    assert [row for batch in dataset for row in batch.to_list()] == english.encode_batch(texts)

    tf.saved_model.save(graph, str(tmp_path / "tokenizer"))
    script = (
        "import sys, json, tensorflow as tf, tensorflow_text\n"
        "loaded = tf.saved_model.load(sys.argv[1])\n"
        "ids = loaded.tokenize(tf.constant(json.loads(sys.argv[2])))\n"
        "back = loaded.detokenize(ids.to_tensor(0)).numpy()\n"
        "assert not {'course', 'tokenizers'} & sys.modules.keys()\n"
        "print(json.dumps([ids.to_list(), [t.decode() for t in back]]))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "tokenizer"), json.dumps(texts)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    ids, back = json.loads(done.stdout)
    assert ids == english.encode_batch(texts)
    assert back == english.decode_batch(ids)


@pytest.mark.needs_tf
def test_bpe_has_no_graph_and_a_bare_vocabulary_no_frame(tokenizer):
    pytest.importorskip("tensorflow_text", reason="tensorflow-text is not installed")
    with pytest.raises(ValueError, match="WordPiece only"):
        tokenizer.learn(SENTENCES, 270, "bpe").in_graph()
    bare = tokenizer.from_vocab(["[UNK]", "a"]).in_graph()
    assert bare.tokenize_plain(["a b"]).to_list() == [[1, 0]]
    with pytest.raises(ValueError, match="use tokenize_plain"):
        bare.tokenize(["a"])


@pytest.mark.backend
@pytest.mark.parametrize(
    ("lengths", "size", "share"),
    [([2, 9, 3, 8], 2, 12 / 34), ([2, 3, 8, 9], 2, 2 / 24), ([5], 8, 0.0), ([1, 4, 4], 2, 3 / 8)],
)
def test_the_share_of_padding_is_counted_in_the_order_given(lengths, size, share):
    from course.tokens.bucketing import padding_share

    assert padding_share(lengths, size) == pytest.approx(share)


def test_a_share_of_nothing_is_refused():
    from course.tokens.bucketing import padding_share

    with pytest.raises(ValueError, match="0 lengths"):
        padding_share([], 2)


def test_merges_are_learned_as_by_hand():
    from course.tokens.merges import learn_merges

    counts = {"hug": 10, "pug": 5, "pun": 12, "bun": 4}
    merges, pieces = learn_merges(counts, 2)
    assert merges == [("p", "##u"), ("pu", "##n")]  # 17 times, then 12
    assert pieces["pun"] == ["pun"] and pieces["pug"] == ["pu", "##g"]
    assert learn_merges(counts, 99)[1] == {word: [word] for word in counts}
    with pytest.raises(ValueError, match="has to be 0 or more"):
        learn_merges(counts, -1)


def test_merges_learned_and_applied_are_the_librarys():
    """Where no two pairs are equally frequent, `tokenizers` learns the same."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from course.tokens.merges import learn_merges

    counts = {"banana": 41, "bandana": 23, "cabana": 11, "nab": 5, "can": 2}
    learner = Tokenizer(models.BPE(continuing_subword_prefix="##"))
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    text = [" ".join([word] * times) for word, times in counts.items()]
    trainer = trainers.BpeTrainer(
        vocab_size=60, continuing_subword_prefix="##", show_progress=False, min_frequency=3
    )
    learner.train_from_iterator(text, trainer)
    for num_merges in (1, 2, 3, 4):
        merges, _ = learn_merges(counts, num_merges)
        theirs = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
        assert theirs[:num_merges] == merges
