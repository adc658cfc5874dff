"""The Transformer: torch with copied weights, the cache against no cache, and who may see whom.

Parity error is max|Δ| / max|reference|. A sentence without any word has no reference (torch says
NaN): here it only has to stay finite.
"""

import numpy as np
import pytest
from conftest import numbers

from course import runtime
from course.checks.judges import error as parity_error

pytestmark = pytest.mark.backend

TIGHT = 1e-5
KINDS = ["sinusoidal", "learned", "rotary", "alibi"]
D_MODEL, HEADS, D_FF, SOURCE, TARGET = 16, 4, 32, 23, 29


@pytest.fixture(scope="module")
def course(keras):
    from course import transformer

    return transformer


@pytest.fixture(scope="module")
def torch():
    import torch

    # The fast path of inference writes zeros where there is padding.
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield torch
    torch.backends.mha.set_fastpath_enabled(was)


def randomized(layer, rng):
    """The layer with random numbers in every weight: zeros and ones would hide a slip."""
    for weight in layer.weights:
        value = rng.normal(size=weight.shape) / 3 + ("gamma" in weight.path)
        weight.assign(value.astype("float32"))
    return layer


def transformer(course, rng=None, num_layers=2, vocabularies=(SOURCE, TARGET), **settings):
    model = course.Transformer(num_layers, D_MODEL, HEADS, D_FF, *vocabularies, **settings)
    return model if rng is None else randomized(model, rng)


def sentences(rng, batch=4, source_length=7, target_length=6):
    """Ids from 1 on, padded at the end with 0; the first of each batch has no padding."""
    source = rng.integers(1, SOURCE, (batch, source_length)).astype("int32")
    target = rng.integers(1, TARGET, (batch, target_length)).astype("int32")
    for ids in (source, target):
        lengths = rng.integers(2, ids.shape[1] + 1, batch)
        lengths[:2] = ids.shape[1], 3
        ids[np.arange(ids.shape[1]) >= lengths[:, None]] = 0
    return source, target


# torch, weight by weight


def attention_pairs(ours, theirs):
    """Triples of our weight, torch's parameter and the rows of it; kernels are transposed."""
    dense = (ours.query_dense, ours.key_dense, ours.value_dense)
    for i, each in enumerate(dense):
        rows = slice(i * ours.d_model, (i + 1) * ours.d_model)
        yield each.kernel, theirs.in_proj_weight, rows
        yield each.bias, theirs.in_proj_bias, rows
    yield from dense_pairs(ours.output_dense, theirs.out_proj)


def dense_pairs(ours, theirs):
    yield ours.kernel, theirs.weight, slice(None)
    yield ours.bias, theirs.bias, slice(None)


def norm_pairs(ours, theirs):
    yield ours.gamma, theirs.weight, slice(None)
    yield ours.beta, theirs.bias, slice(None)


def block_pairs(ours, theirs):
    yield from attention_pairs(ours.self_attention, theirs.self_attn)
    yield from dense_pairs(ours.feed_forward.inner, theirs.linear1)
    yield from dense_pairs(ours.feed_forward.outer, theirs.linear2)
    norms = [ours.attention_norm, ours.feed_forward_norm]
    if hasattr(theirs, "multihead_attn"):
        yield from attention_pairs(ours.cross_attention, theirs.multihead_attn)
        norms.insert(1, ours.cross_norm)
    for i, norm in enumerate(norms):
        yield from norm_pairs(norm, getattr(theirs, f"norm{i + 1}"))


def stack_pairs(ours, theirs):
    for block, layer in zip(ours.blocks, theirs.layers, strict=True):
        yield from block_pairs(block, layer)
    yield from norm_pairs(ours.final_norm, theirs.norm)


def model_pairs(ours, theirs):
    yield from stack_pairs(ours.encoder, theirs.encoder)
    yield from stack_pairs(ours.decoder, theirs.decoder)


def copy(pairs):
    import torch

    pairs = list(pairs)
    with torch.no_grad():
        for weight, parameter, rows in pairs:
            parameter[rows] = torch.from_numpy(numbers(weight).T.copy())
    return pairs


def torch_settings(norm, activation="relu"):
    return {
        "dim_feedforward": D_FF,
        "dropout": 0.0,
        "activation": activation,
        "batch_first": True,
        "norm_first": norm == "pre",
    }


def hidden(mask):
    """torch's masks say what may NOT be seen; ours say what may."""
    import torch

    return torch.from_numpy(~np.asarray(mask))


@pytest.fixture
def vectors(rng):
    x, memory = (rng.normal(size=(3, length, D_MODEL)).astype("float32") for length in (6, 9))
    x_real = np.arange(6) < np.array([[6], [4], [1]])
    memory_real = np.arange(9) < np.array([[9], [2], [7]])
    return x, memory, x_real, memory_real


@pytest.mark.grid
@pytest.mark.parity
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_an_encoder_block_is_torchs(course, torch, rng, vectors, norm, activation, note):
    _, x, _, real = vectors
    ours = course.EncoderBlock(D_MODEL, HEADS, D_FF, norm=norm, activation=activation)
    ours.build(x.shape)
    theirs = torch.nn.TransformerEncoderLayer(D_MODEL, HEADS, **torch_settings(norm, activation))
    copy(block_pairs(randomized(ours, rng), theirs))
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(x), src_key_padding_mask=hidden(real))
    error = parity_error(ours(x, real[:, None, :]), expected)
    note(f"parity error with torch, encoder block, {norm}-norm, {activation}: {error:.1e}")
    assert error < TIGHT


@pytest.mark.parity
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_decoder_block_is_torchs(course, torch, rng, vectors, norm, note):
    x, memory, x_real, memory_real = vectors
    ours = course.DecoderBlock(D_MODEL, HEADS, D_FF, norm=norm)
    ours.build(x.shape)
    theirs = torch.nn.TransformerDecoderLayer(D_MODEL, HEADS, **torch_settings(norm))
    copy(block_pairs(randomized(ours, rng), theirs))
    with torch.no_grad():
        expected = theirs.eval()(
            *map(torch.from_numpy, (x, memory)),
            tgt_mask=hidden(np.tril(np.ones((6, 6), bool))),
            tgt_key_padding_mask=hidden(x_real),
            memory_key_padding_mask=hidden(memory_real),
        )
    error = parity_error(ours(x, memory, x_real[:, None, :], memory_real), expected)
    note(f"parity error with torch, decoder block, {norm}-norm: {error:.1e}")
    assert error < TIGHT


@pytest.mark.parity
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_decoder_block_without_cross_attention_is_torchs_causal_encoder_block(
    course, torch, rng, vectors, norm
):
    x, _, real, _ = vectors
    ours = course.DecoderBlock(D_MODEL, HEADS, D_FF, cross_attention=False, norm=norm)
    ours.build(x.shape)
    theirs = torch.nn.TransformerEncoderLayer(D_MODEL, HEADS, **torch_settings(norm))
    copy(block_pairs(randomized(ours, rng), theirs))
    with torch.no_grad():
        expected = theirs.eval()(
            torch.from_numpy(x),
            src_mask=hidden(np.tril(np.ones((6, 6), bool))),
            src_key_padding_mask=hidden(real),
        )
    assert parity_error(ours(x, attention_mask=real[:, None, :]), expected) < TIGHT


def torch_transformer(torch, ours, norm):
    theirs = torch.nn.Transformer(D_MODEL, HEADS, 2, 2, **torch_settings(norm)).eval()
    return theirs, copy(model_pairs(ours, theirs))


def torch_masks(source_real, target_real):
    length = target_real.shape[1]
    return {
        "tgt_mask": hidden(np.tril(np.ones((length, length), bool))),
        "src_key_padding_mask": hidden(source_real),
        "tgt_key_padding_mask": hidden(target_real),
        "memory_key_padding_mask": hidden(source_real),
    }


@pytest.mark.parity
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_stacks_on_vectors_are_torchs_transformer(course, torch, rng, vectors, norm, note):
    target, source, target_real, source_real = vectors
    ours = transformer(course, rng, norm=norm, final_norm=True)
    theirs, _ = torch_transformer(torch, ours, norm)
    with torch.no_grad():
        expected = theirs(
            *map(torch.from_numpy, (source, target)), **torch_masks(source_real, target_real)
        )
    memory = ours.encoder(source, source_real[:, None, :])
    error = parity_error(
        ours.decoder(target, memory, target_real[:, None, :], source_real), expected
    )
    note(f"parity error with torch, both stacks, {norm}-norm: {error:.1e}")
    assert error < TIGHT


def torch_logits(torch, theirs, ours, source, target, dtype="float32"):
    """The paper's sections 3.4 and 3.5 around torch's stacks; its parameters, in order."""
    from course.positions import sinusoidal_encoding

    waves = torch.from_numpy(numbers(sinusoidal_encoding(16, D_MODEL)).astype(dtype))
    tables = [
        torch.nn.Parameter(torch.from_numpy(numbers(each.embeddings).astype(dtype)))
        for each in (ours.source_embedding, ours.target_embedding)
    ]
    output = torch.nn.Linear(D_MODEL, TARGET, dtype=getattr(torch, dtype))
    copy(dense_pairs(ours.output_dense, output))
    words = [
        table[torch.from_numpy(ids).long()] * D_MODEL**0.5 + waves[: ids.shape[1]]
        for table, ids in zip(tables, (source, target), strict=True)
    ]
    return output(theirs(*words, **torch_masks(source != 0, target != 0))), tables, output


@pytest.mark.parity
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_whole_model_is_torchs_transformer(course, torch, rng, norm, note):
    source, target = sentences(rng)
    ours = transformer(course, rng, norm=norm, final_norm=True)
    theirs, _ = torch_transformer(torch, ours, norm)
    expected, *_ = torch_logits(torch, theirs, ours, source, target)
    error = parity_error(ours((source, target)), expected.detach())
    note(f"parity error with torch, whole model, {norm}-norm: {error:.1e}")
    assert error < TIGHT


def test_gelu_and_its_gradient_are_those_of_the_normal_distribution(course, keras, rng, backend):
    from scipy.stats import norm

    from course.kernels import gelu

    x = np.linspace(-12, 12, 97).astype("float32")
    x64, layer = x.astype("float64"), keras.layers.Dense(97, gelu, use_bias=False)
    layer.build((None, 97))
    layer.set_weights([np.diag(x)])
    (slope,) = gradients(layer, lambda layer: keras.ops.sum(layer(np.ones((1, 97)))), backend)
    assert numbers(gelu(x)) == pytest.approx(x64 * norm.cdf(x64), rel=1e-5, abs=1e-30)
    expected = norm.cdf(x64) + x64 * norm.pdf(x64)
    assert np.diag(slope) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    for dtype in ("float16", "bfloat16"):
        half = gelu(keras.ops.cast(x, dtype))
        assert keras.backend.standardize_dtype(half.dtype) == dtype
        assert numbers(keras.ops.cast(half, "float32")) == pytest.approx(
            x64 * norm.cdf(x64), abs=0.06
        )


def gradients(model, loss, backend):
    """The gradient of `loss(model)` at each trainable weight."""
    if backend == "jax":
        import jax
        import keras

        def at(values):
            mapping = list(zip(model.trainable_variables, values, strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                return loss(model)

        found = jax.grad(at)([v.value for v in model.trainable_variables])
        return [np.asarray(g) for g in found]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss(model)
    found = tape.gradient(value, [v.value for v in model.trainable_variables])
    return [tf.convert_to_tensor(g).numpy() for g in found]


@pytest.mark.parity
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_gradients_are_torchs(course, keras, torch, rng, backend, norm, note):
    source, target = sentences(rng)
    ours = transformer(course, rng, norm=norm, final_norm=True)
    theirs, _ = torch_transformer(torch, ours, norm)
    theirs = theirs.double()  # so that the noise of float32 is counted once
    pairs = list(model_pairs(ours, theirs))
    weights = rng.normal(size=(4, 6, TARGET)).astype("float32")
    logits, tables, output = torch_logits(torch, theirs, ours, source, target, "float64")
    (logits * torch.from_numpy(weights)).sum().backward()
    pairs += list(dense_pairs(ours.output_dense, output))
    expected = {id(weight): np.array(p.grad[rows]).T for weight, p, rows in pairs}
    for embedding, table in zip(
        (ours.source_embedding, ours.target_embedding), tables, strict=True
    ):
        expected[id(embedding.embeddings)] = table.grad.numpy()

    def loss(model):
        return keras.ops.sum(model((source, target)) * weights)

    found = gradients(ours, loss, backend)
    assert len(found) == len(expected) == len(ours.weights)
    largest = max(np.abs(g).max() for g in expected.values())
    worst = 0
    for weight, gradient in zip(ours.trainable_variables, found, strict=True):
        reference = expected[id(weight)]
        # A key's bias adds the same to every score: its gradient is 0, and noise has no scale.
        scale = largest if "key/bias" in weight.path else np.abs(reference).max()
        assert gradient.shape == reference.shape
        worst = max(worst, np.abs(gradient - reference).max() / scale)
    note(
        f"parity error with torch, gradients of all {len(found)} weights, {norm}-norm: {worst:.1e}"
    )
    # Each against its own largest entry, so that a small gradient counts as much as a large one;
    # up to 1e-5 of it is float32's noise here, on the way back through two stacks.
    assert worst < 3e-5


# The cache


@pytest.mark.grid
@pytest.mark.parametrize(("kind", "norm"), [*((kind, "post") for kind in KINDS), ("alibi", "pre")])
def test_cached_decoding_equals_uncached_token_for_token(course, rng, kind, norm):
    """200 sentences of random lengths, each continued greedily from a prompt of random length."""
    model = transformer(course, rng, positions=kind, norm=norm)
    count, length = 200, 12
    source, _ = sentences(rng, count, 9)
    given = rng.integers(1, 7, count)
    prompts = rng.integers(1, TARGET, (count, length))

    def following(logits, t):
        chosen = logits[:, 1:].argmax(-1) + 1  # not the padding, which would end a sentence
        return np.where(t + 1 < given, prompts[:, t + 1], chosen) if t + 1 < length else chosen

    cached, uncached = (np.zeros((count, length), "int32") for _ in range(2))
    cached[:, 0] = uncached[:, 0] = prompts[:, 0]
    cache = model.start_cache(source, length)
    memory, real = model.encode(source), source != 0
    for t in range(length):
        stepped, cache = model.step(cached[:, t], cache, t)
        whole = numbers(model.logits(model.decode(uncached, memory, real)[:, t]))
        assert parity_error(stepped, whole) < TIGHT
        if t + 1 < length:
            cached[:, t + 1] = following(numbers(stepped), t)
            uncached[:, t + 1] = following(whole, t)
    assert (cached == uncached).all()
    assert len({tuple(row) for row in cached.tolist()}) > 150  # they are different sentences


def test_rows_of_the_cache_may_be_reordered_and_repeated(course, keras, rng):
    """What a beam search does with it."""
    model = transformer(course, rng)
    source, target = sentences(rng, 3)
    target = np.maximum(target, 1)
    order = np.array([2, 2, 0, 1])
    cache = model.start_cache(source, 6)
    for t in range(3):
        _, cache = model.step(target[:, t], cache, t)
    cache = keras.tree.map_structure(lambda x: keras.ops.take(x, order, axis=0), cache)
    logits, _ = model.step(target[order, 3], cache, 3)
    assert parity_error(logits, numbers(model((source, target)))[order, 3]) < TIGHT


def test_continuations_of_one_source_share_its_memory_in_a_cache_that_grows(course, keras, rng):
    """Beams: the words' rows are repeated and reordered, the memory's stay one for each source."""
    model = transformer(course, rng)
    source, target = sentences(rng, 3)
    target = np.concatenate([rng.integers(1, TARGET, (6, 3)), np.zeros((6, 3))], 1).astype("int32")
    target[1::2, :2] = target[::2, :2]  # two continuations each, which part at their third word
    _, cache = model.step(target[::2, :2], model.start_cache(source, 2), 0)
    cache = model.grow_cache(model.reorder_cache(cache, np.arange(6) // 2), 5)
    logits, cache = model.step(target[:, 2], cache, 2)
    whole = numbers(model((np.repeat(source, 2, 0), target[:, :3])))
    assert parity_error(logits, whole[:, 2]) < TIGHT
    words, memory = cache["blocks"][0]
    assert words[0].shape[:3] == (6, HEADS, 5) and memory[0].shape[:3] == (3, HEADS, 7)
    order = np.array([1, 1, 3, 2, 4, 4])
    logits, _ = model.step(target[order, 0], model.reorder_cache(cache, order), 3)
    longer = np.concatenate([target[order, :3], target[order, :1]], 1)
    whole = numbers(model((np.repeat(source, 2, 0), longer)))
    assert parity_error(logits, whole[:, 3]) < TIGHT


def test_tied_logits_may_have_a_bias(course, rng):
    model = transformer(course, rng, tie_embeddings="target", output_bias=True)
    source, target = sentences(rng)
    before, bias = numbers(model((source, target))), rng.normal(size=TARGET).astype("float32")
    model.bias.assign_add(bias)
    assert parity_error(model((source, target)), before + bias) < TIGHT
    assert transformer(course, tie_embeddings="target").bias is None


def test_a_language_model_reads_its_prompt_at_once_and_goes_on_word_by_word(course, rng, vectors):
    x = vectors[0]
    for kind in (None, "rotary", "alibi"):
        decoder = course.Decoder(2, D_MODEL, HEADS, D_FF, cross_attention=False, positions=kind)
        decoder.build(x.shape)
        whole = numbers(randomized(decoder, rng)(x))
        out, cache = decoder(x[:, :4], cache=decoder.start_cache(3, 8), cache_index=0)
        parts = [numbers(out)]
        for t in (4, 5):
            out, cache = decoder(x[:, t : t + 1], cache=cache, cache_index=t)
            parts.append(numbers(out))
        assert parity_error(np.concatenate(parts, 1), whole) < TIGHT


def compiled(function, backend, *signature):
    if backend == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    specs = [tf.TensorSpec(shape, "int32") for shape in signature]
    return tf.function(function, input_signature=specs, autograph=False)


@pytest.mark.grid
@pytest.mark.parametrize("kind", ["sinusoidal", "rotary", "alibi"])
def test_it_compiles_for_any_batch(course, keras, rng, backend, kind):
    """The model and a loop of steps over a cache; TensorFlow knows neither batch nor length."""
    ops, length = keras.ops, 5
    model = transformer(course, rng, positions=kind)

    def greedy(source):
        def body(t, ids, cache):
            logits, cache = model.step(ids[:, t], cache, t)
            chosen = ops.cast(ops.argmax(logits[:, 1:], -1), "int32") + 1
            return t + 1, ops.slice_update(ids, (0, t + 1), chosen[:, None]), cache

        ids = ops.ones((ops.shape(source)[0], length + 1), "int32")
        cache = model.start_cache(source, length)
        return ops.while_loop(lambda t, *_: t < length, body, (ops.array(0), ids, cache))[1]

    forward = compiled(lambda s, t: model((s, t)), backend, (None, None), (None, None))
    loop = compiled(greedy, backend, (None, None))
    for batch in (4, 2) if backend == "tensorflow" else (4,):
        source, target = sentences(rng, batch, 5 + batch)
        assert parity_error(forward(source, target), numbers(model((source, target)))) < TIGHT
        ids = numbers(loop(source))
        again = numbers(model((source, ids[:, :-1])))[..., 1:].argmax(-1) + 1
        assert (ids[:, 1:] == again).all()


def test_the_cache_refuses_more_than_there_is_room_for(course, rng):
    model = transformer(course, positions="learned", max_length=8)
    source, _ = sentences(rng)
    with pytest.raises(ValueError, match="max_length = 9, and the model has 8 positions"):
        model.start_cache(source, 9)
    with pytest.raises(ValueError, match="cache_index = 3 and 1 new tokens need 4 places"):
        model.step(source[:, 0], model.start_cache(source, 3), 3)


# Who may see whom


@pytest.mark.grid
@pytest.mark.parametrize("kind", [*KINDS, None])
def test_a_later_target_changes_no_earlier_logits(course, rng, kind):
    model = transformer(course, rng, positions=kind)
    source, target = sentences(rng)
    before = numbers(model((source, target)))
    for t in (1, 3, 5):
        changed = target.copy()
        changed[:, t] = changed[:, t] % (TARGET - 1) + 1
        after = numbers(model((source, changed)))
        assert np.abs(after[:, :t] - before[:, :t]).max() < 1e-5
        assert (np.abs(after[:, t] - before[:, t]).max(-1) > 1e-3).all()


@pytest.mark.grid
@pytest.mark.parametrize("kind", [*KINDS, None])
def test_padding_of_the_source_changes_nothing(course, rng, kind):
    """Not its length, and not the vectors that stand there."""
    model = transformer(course, rng, positions=kind)
    source, target = sentences(rng)
    logits = numbers(model((source, target)))
    longer = np.pad(source, ((0, 0), (0, 5)))
    assert parity_error(model((longer, target)), logits) < TIGHT
    memory, real = numbers(model.encode(source)), source != 0
    memory[~real] += 100
    assert parity_error(model.logits(model.decode(target, memory, real)), logits) < TIGHT
    memory[real] += 1
    assert parity_error(model.logits(model.decode(target, memory, real)), logits) > 0.01


def test_padding_of_the_target_is_not_seen_but_a_start_symbol_is_never_padding(course, rng):
    from course.attention import recorded_weights

    model = transformer(course, rng)
    source, target = sentences(rng)
    target[0] = [0, 5, 0, 7, 8, 9]  # Marian starts with its padding
    with recorded_weights() as seen:
        model((source, target))
    weights = numbers(dict(seen)[f"{model.name}/decoder/block_1/self_attention"])
    assert not weights[0, :, 3:, 2].any()
    assert weights[0, :, :, 0].all()
    assert weights.sum(-1) == pytest.approx(np.ones((4, HEADS, 6)), abs=1e-5)


def test_cross_attention_sees_the_whole_source_and_only_it(course, rng):
    from course.attention import recorded_weights

    model = transformer(course, rng)
    source, target = sentences(rng)
    with recorded_weights() as seen:
        model((source, target))
    assert len(seen) == 6  # two encoder blocks with one, two decoder blocks with two
    for name, weights in seen:
        if name.endswith("cross_attention"):
            weights = numbers(weights)
            assert weights.shape == (4, HEADS, 6, 7)
            visible = np.broadcast_to((source != 0)[:, None, None, :], weights.shape)
            assert weights[visible].all() and not weights[~visible].any()


def test_another_id_may_be_the_padding(course, rng):
    model = transformer(course, rng, pad_id=SOURCE - 1)
    source, target = sentences(rng)
    source, target = (np.where(ids == 0, SOURCE - 1, ids) for ids in (source, target))
    longer = np.pad(source, ((0, 0), (0, 4)), constant_values=SOURCE - 1)
    assert parity_error(model((longer, target)), numbers(model((source, target)))) < TIGHT


def test_a_source_without_words_stays_finite(course, keras, rng, backend):
    source, target = sentences(rng)
    source[1] = 0
    model = transformer(course, rng)
    logits = numbers(model((source, target)))
    assert np.isfinite(logits).all()
    others = [0, 2, 3]
    assert parity_error(logits[others], numbers(model((source[others], target[others])))) < TIGHT

    def loss(model):
        return keras.ops.sum(model((source, target)) ** 2)

    assert all(np.isfinite(g).all() for g in gradients(model, loss, backend))


# Settings


def test_norms_before_and_after_differ_and_end_as_they_should(course, keras, rng):
    source, target = sentences(rng)
    post = transformer(course, rng)
    pre = transformer(course, norm="pre", final_norm=False)
    pre.set_weights(post.get_weights())
    assert parity_error(pre((source, target)), numbers(post((source, target)))) > 0.1
    assert post.encoder.final_norm is None and post.decoder.final_norm is None
    closed = transformer(course, norm="pre")
    assert len(closed.weights) == len(pre.weights) + 4
    for memory in (closed.encode(source), transformer(course).encode(source)):
        assert numbers(memory).mean(-1) == pytest.approx(np.zeros((4, 7)), abs=1e-5)
        assert numbers(memory).std(-1) == pytest.approx(np.ones((4, 7)), abs=1e-3)


def test_tied_embeddings_share_one_weight(course, rng):
    same = (SOURCE, SOURCE)
    free, target, both = (
        transformer(course, vocabularies=same, tie_embeddings=tie).count_params()
        for tie in (False, "target", "all")
    )
    table = SOURCE * D_MODEL
    assert (free - target, target - both) == (table + SOURCE, table)
    model = transformer(course, rng, vocabularies=same, tie_embeddings="all")
    assert model.source_embedding is model.target_embedding
    x = rng.normal(size=(3, D_MODEL)).astype("float32")
    table = numbers(model.target_embedding.embeddings)
    assert parity_error(model.logits(x), x.astype("float64") @ table.T) < TIGHT


def test_logits_may_be_asked_for_at_chosen_positions_only(course, rng):
    model = transformer(course, rng)
    source, target = sentences(rng)
    x = model.decode(target, model.encode(source), source != 0)
    real = target != 0
    whole = numbers(model((source, target)))[real]
    assert parity_error(model.logits(numbers(x)[real]), whole) < TIGHT


def test_embeddings_are_scaled_so_that_words_and_waves_weigh_the_same(course, rng):
    model = course.Transformer(1, 256, HEADS, D_FF, 500, 500)
    x = numbers(model.embed(np.arange(500)[None], model.source_embedding, None))
    assert x.std() == pytest.approx(1, abs=0.02)
    table = numbers(model.source_embedding.embeddings)
    assert x[0] == pytest.approx(16 * table, rel=1e-6)


def test_dropout_acts_in_training_only_and_at_every_place(course, keras, rng):
    source, target = sentences(rng)
    kinds = ["dropout", "attention_dropout", "activation_dropout"]
    for kind in kinds:
        rates = dict.fromkeys(kinds, 0.0) | {kind: 0.3}
        model = transformer(course, rng, **rates)
        still = numbers(model((source, target)))
        assert numbers(model((source, target), training=False)) == pytest.approx(still, abs=1e-6)
        noisy = numbers(model((source, target), training=True))
        assert np.abs(noisy - still).max() > 0.01, kind
        again = numbers(model((source, target), training=True))
        assert np.abs(noisy - again).max() > 0.01, kind
    block = course.EncoderBlock(D_MODEL, HEADS, D_FF, dropout=0.3)
    x = rng.normal(size=(1, 5, D_MODEL))
    assert np.abs(numbers(block(x, training=True)) - numbers(block(x))).max() > 0.01


def test_what_does_not_fit_is_told_by_name(course, rng, vectors):
    x, memory, *_ = vectors
    for wrong, message in (
        ({"norm": "rms"}, "norm = 'rms': choose \"post\""),
        ({"positions": "rope"}, "positions = 'rope'"),
        ({"tie_embeddings": True}, "tie_embeddings = True"),
        ({"tie_embeddings": "all"}, "vocabularies of 23 and 29"),
    ):
        with pytest.raises(ValueError, match=message):
            transformer(course, **wrong)
    with pytest.raises(ValueError, match="memory is missing and cross_attention is True"):
        course.DecoderBlock(D_MODEL, HEADS, D_FF)(x)
    with pytest.raises(ValueError, match="memory is given and cross_attention is False"):
        course.DecoderBlock(D_MODEL, HEADS, D_FF, cross_attention=False)(x, memory)


# Life as a Keras model


SETTINGS = [
    {},
    {
        "norm": "pre",
        "positions": "learned",
        "tie_embeddings": "target",
        "activation": "gelu",
        "max_length": 32,
        "pad_id": 1,
        "final_norm": False,
        "attention_dropout": 0.2,
        "activation_dropout": 0.3,
        "epsilon": 1e-6,
        "name": "small",
    },
    {"positions": "rotary", "tie_embeddings": "all", "final_norm": True, "dropout": 0.0},
    {"positions": "alibi", "dtype": "mixed_bfloat16"},
]


@pytest.mark.grid
@pytest.mark.parametrize("settings", SETTINGS)
def test_it_is_saved_and_loaded_with_all_its_settings(course, keras, rng, tmp_path, settings):
    model = transformer(course, rng, vocabularies=(SOURCE, SOURCE), **settings)
    source, target = sentences(rng)
    target %= SOURCE
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    config = loaded.get_config()
    assert config == model.get_config()
    assert config.items() >= {k: v for k, v in settings.items() if k != "dtype"}.items()
    given, expected = (m((source, target)) for m in (loaded, model))
    assert (numbers(given) == numbers(expected)).all()
    assert len(loaded.weights) == len(model.weights)
    assert loaded.encoder.blocks[0].get_config() == model.encoder.blocks[0].get_config()


def test_an_initializer_is_kept_and_draws_new_numbers_for_each_kernel(course, keras):
    chosen = keras.initializers.TruncatedNormal(stddev=0.02)
    encoder = course.Encoder(2, 64, HEADS, 64, initializer=chosen, positions="rotary", name="body")
    again = course.Encoder.from_config(encoder.get_config())
    assert again.get_config() == encoder.get_config()
    again.build((None, None, 64))
    kernels = [numbers(w) for w in again.weights if "kernel" in w.path]
    assert len(kernels) == 12
    assert all(0.01 < kernel.std() < 0.025 for kernel in kernels)
    assert len({kernel[0, 0].item() for kernel in kernels}) == 12


@pytest.mark.grid
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", ["sinusoidal", "rotary", "alibi"])
def test_half_precision_stays_finite_and_near(course, keras, rng, policy, kind):
    source, target = sentences(rng)
    settings = {"positions": kind, "tie_embeddings": "target"}
    full = transformer(course, **settings)
    half = transformer(course, dtype=policy, **settings)
    half.set_weights(full.get_weights())
    assert {w.dtype for w in half.weights} == {"float32"}
    logits = half((source, target))
    assert keras.backend.standardize_dtype(logits.dtype) == policy.removeprefix("mixed_")
    logits = numbers(keras.ops.cast(logits, "float32"))
    assert np.isfinite(logits).all()
    assert parity_error(logits, numbers(full((source, target)))) < 0.05
    step, _ = half.step(target[:, 0], half.start_cache(source, 6), 0)
    assert parity_error(keras.ops.cast(step, "float32"), logits[:, 0]) < 0.05


def test_it_learns_to_copy(course, keras, rng):
    keras.utils.set_random_seed(0)
    model = transformer(
        course, num_layers=1, vocabularies=(12, 12), tie_embeddings="all", positions="rotary"
    )
    source = rng.integers(2, 12, (64, 5)).astype("int32")
    shifted = np.concatenate([np.ones((64, 1), "int32"), source[:, :-1]], 1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=runtime.jit_compile())
    history = model.fit((source, shifted), source, batch_size=32, epochs=20, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert history["loss"][-1] < 0.7 * history["loss"][0]


def test_it_is_a_part_of_a_functional_model(course, keras, rng):
    model = transformer(course, rng)
    ids = [keras.Input((None,), dtype="int32") for _ in range(2)]
    outer = keras.Model(ids, keras.ops.argmax(model(tuple(ids)), axis=-1))
    source, target = sentences(rng)
    expected = numbers(model((source, target))).argmax(-1)
    assert (numbers(outer([source, target])) == expected).all()
