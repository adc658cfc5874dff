"""The parts that a student's answer may stand in for, and a trial of each against the library's."""

from dataclasses import dataclass

import numpy as np

from course import exercises
from course.lab.use_mine import adapters
from course.lab.use_mine import training_adapters as training


@dataclass(frozen=True)
class Part:
    """One part of the library.

    Attributes:
        exercise: the id of the exercise that writes it.
        what: what it is, for "made with your ...".
        places: {dotted name in the library: the adapter that makes what is put there}.
        trial: function of a NumPy generator that computes something with the library; it is run
            with the library's part and with the student's.
        method: the method of the student's class that is called; None for a function.
    """

    exercise: str
    what: str
    places: dict
    trial: object
    method: str | None = None

    @property
    def declared(self):
        return exercises.find(self.exercise)

    @property
    def name(self):
        return self.declared.defines

    @property
    def title(self):
        return self.declared.title

    @property
    def number(self):
        return exercises.about(self.declared.lesson).number


def _floats(rng, *shape):
    from keras import ops

    return ops.convert_to_tensor(rng.normal(size=shape).astype("float32"))


def _ids(rng, rows=6, length=12, size=40):
    """Ids of which the last of some rows are padding."""
    ids = rng.integers(3, size, (rows, length)).astype("int32")
    ids[np.arange(length) >= rng.integers(length // 2, length + 1, rows)[:, None]] = 0
    return ids


def _mask(rng, rows=4, length=12):
    from keras import ops

    return ops.convert_to_tensor(_ids(rng, rows, length) != 0)


def _attention(rng):
    from course import attention

    query, key, value = (_floats(rng, 4, 2, 12, 8) for _ in range(3))
    mask = _mask(rng)[:, None, None, :]
    first = attention.scaled_dot_product_attention(query, key, value, return_weights=True)
    return first, attention.scaled_dot_product_attention(
        query, key, value, mask, return_weights=True
    )


def _masks(rng):
    from course import attention

    return attention.causal_mask(24), attention.padding_mask(_ids(rng, 16, 24))


def _multi_head(rng):
    from course import attention

    layer = attention.MultiHeadAttention(2, 16)
    x, mask = _floats(rng, 4, 12, 16), _mask(rng)[:, None, :]
    layer.build(x.shape)
    _random_weights(layer, rng)
    return layer(x, attention_mask=mask), layer(x)


def _random_weights(layer, rng):
    layer.set_weights([rng.normal(0, 0.3, w.shape).astype("float32") for w in layer.weights])


def _sinusoidal(rng):
    from course import positions

    return positions.sinusoidal_encoding(50, 32), positions.sinusoidal_encoding(9, 8, start=4)


def _rotary(rng):
    from course import positions

    return positions.rotary(_floats(rng, 2, 3, 12, 8))


def _alibi(rng):
    from course import positions

    return positions.alibi_bias(4, 12)


def _layer_norm(rng):
    from course import kernels

    return kernels.layer_norm(*(_floats(rng, *s) for s in ((4, 12, 32), (32,), (32,))), 1e-5)


def _block(rng):
    from course.transformer import blocks

    made = []
    for norm in ("post", "pre"):
        layer = blocks.EncoderBlock(16, 2, 32, norm=norm)
        layer.build((None, None, 16))
        _random_weights(layer, rng)
        x = _floats(rng, 4, 12, 16)
        made += [layer(x, attention_mask=_mask(rng)[:, None, :]), layer(x)]
    return made


def _decoding(rng):
    return _transformer(rng)((_ids(rng, 4, 9), _ids(rng, 4, 12)))


def _scores(rng):
    from course.translation import loss

    labels, logits = _ids(rng), _floats(rng, 6, 12, 40)
    return loss.masked_accuracy(labels, logits), loss.label_smoothed_loss(labels, logits, 0.0)


def _smoothing(rng):
    from course.translation import loss

    return loss.label_smoothed_loss(_ids(rng), _floats(rng, 6, 12, 40), 0.1)


def _schedule(rng):
    from course.training import schedules

    rate = schedules.InverseSquareRoot(64, 100)
    return [rate(step) for step in (0, 1, 99, 100, 5000)]


def _distribution(rng):
    from course.decoding import logits_processors

    logits = _floats(rng, 4, 40)
    settings = ((0.7, 5, None), (1.0, None, 0.8), (1.3, 20, 0.9), (1.0, None, None))
    return [logits_processors.next_distribution(logits, *each) for each in settings]


def _adamw(rng):
    import keras

    from course import kernels

    made = []
    for shape, epsilon in (((8, 5), 1e-6), ((7,), 1e-8)):
        weight, m = (keras.Variable(_floats(rng, *shape)) for _ in range(2))
        v, gradient = keras.Variable(_floats(rng, *shape) ** 2), _floats(rng, *shape)
        decay = 0.01 if len(shape) > 1 else 0.0
        numbers = (keras.ops.convert_to_tensor(n, "float32") for n in (3, 1e-3))
        settings = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": epsilon}
        kernels.adamw_update(weight, gradient, m, v, *numbers, decay, **settings)
        made += [weight.value, m.value, v.value]
    return made


def _transformer(rng):
    from course.transformer import Transformer

    model = Transformer(1, 16, 2, 32, source_vocab_size=40, target_vocab_size=40, dropout=0.0)
    _random_weights(model, rng)
    return model


def _greedy(rng):
    from course import decoding

    settings = {"max_length": 8, "start_id": 1, "end_id": 2}
    return decoding.greedy(_transformer(rng), _ids(rng, 3, 9), **settings)


def _beam_search(rng):
    from course import decoding

    settings = {"max_length": 6, "start_id": 1, "end_id": 2, "num_beams": 3}
    return decoding.beam_search(_transformer(rng), _ids(rng, 2, 9), **settings)[0]


def _hiding(rng):
    from course.pretraining import masking

    ids, draws = _ids(rng, 8, 30), rng.random((3, 8, 30))
    return masking.mask_tokens(ids, draws, np.array([0, 1, 2, 3]), 3, 40, 0.3)


# In the order of the course: a later one may stand on an earlier one at the same place.
PARTS = (
    Part(
        "attention.scaled_dot_product",
        "attention",
        {"course.attention.scaled_dot_product_attention": adapters.attention},
        _attention,
    ),
    Part(
        "attention.masks",
        "masks",
        {
            "course.attention.causal_mask": adapters.causal_mask,
            "course.attention.padding_mask": adapters.padding_mask,
        },
        _masks,
    ),
    Part(
        "attention.fully_masked_row",
        "masked attention",
        {"course.attention.scaled_dot_product_attention": adapters.masked_attention},
        _attention,
    ),
    Part(
        "attention.multi_head",
        "heads",
        {"course.attention.MultiHeadAttention.call": adapters.multi_head},
        _multi_head,
    ),
    Part(
        "positions.sinusoidal",
        "positions",
        {"course.positions.sinusoidal_encoding": adapters.sinusoidal},
        _sinusoidal,
    ),
    Part(
        "positions.rotary",
        "rotary positions",
        {"course.positions.rotary": adapters.rotary},
        _rotary,
    ),
    Part("positions.alibi", "ALiBi", {"course.positions.alibi_bias": adapters.alibi}, _alibi),
    Part(
        "transformer.layer_norm",
        "layer norm",
        {"course.kernels.layer_norm": adapters.layer_norm},
        _layer_norm,
    ),
    Part(
        "transformer.sublayer",
        "feed-forward sublayer",
        {
            "course.transformer.blocks.EncoderBlock.feed_forward_sublayer": (
                adapters.feed_forward_sublayer
            )
        },
        _block,
    ),
    Part(
        "transformer.encoder_block",
        "encoder blocks",
        {"course.transformer.blocks.EncoderBlock.call": adapters.encoder_block},
        _block,
        method="call",
    ),
    Part(
        "transformer.decoder_inputs",
        "decoder inputs",
        {"course.transformer.model.target_mask": adapters.target_mask},
        _decoding,
    ),
    Part(
        "translation.masked",
        "masked loss",
        {
            "course.translation.loss.masked_accuracy": training.masked_accuracy,
            "course.translation.loss.label_smoothed_loss": training.plain_loss,
            "course.translation.loss.teacher_forcing_loss": training.plain_teacher_forcing,
        },
        _scores,
    ),
    Part(
        "translation.smoothing",
        "label smoothing",
        {
            "course.translation.loss.label_smoothed_loss": training.smoothed_loss,
            "course.translation.loss.teacher_forcing_loss": training.smoothed_teacher_forcing,
        },
        _smoothing,
    ),
    Part(
        "translation.schedule",
        "schedule",
        {"course.training.schedules.inverse_square_root": training.schedule},
        _schedule,
    ),
    Part(
        "decoding.greedy",
        "greedy search",
        {"course.decoding.strategies.greedy": training.greedy},
        _greedy,
    ),
    Part(
        "decoding.beam",
        "beam search",
        {"course.decoding.strategies.beam_search": training.beam_search},
        _beam_search,
    ),
    Part(
        "decoding.filtered",
        "sampling filter",
        {"course.decoding.logits_processors.next_distribution": training.next_distribution},
        _distribution,
    ),
    Part(
        "pretraining.mask",
        "masking",
        {"course.pretraining.masking.mask_tokens": training.mask_tokens},
        _hiding,
    ),
    Part(
        "fine_tuning.adamw",
        "AdamW",
        {"course.kernels.adamw_update": training.adamw},
        _adamw,
    ),
)
