"""Answers to the exercises of lesson 03, positions, and what each must be told.

Many are as one finds them: from the tutorials of TensorFlow and PyTorch, from Llama, from the code
of the ALiBi paper. Right there, some are wrong here, where the statement asks for another layout.
"""

import cmath
import math
from functools import partial

import keras
import numpy as np
from keras import ops

import course.positions
import course.positions as notes
from course.positions import AddPositions, alibi_slopes
from course.positions import rotary as ready_made

from . import Catalogue

CATALOGUE = Catalogue()
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


# 1. Waves

right = partial(CATALOGUE.right, "positions.sinusoidal")
wrong = partial(CATALOGUE.wrong, "positions.sinusoidal")


@right()
def stacked_and_reshaped(length, d_model):
    angles = np.arange(length)[:, None] / 10000 ** (2 * np.arange(d_model // 2) / d_model)
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return waves.reshape(length, d_model).astype("float32")


@right()
def as_in_the_annotated_transformer(length, d_model):
    pe = np.zeros((length, d_model), dtype="float32")
    position = np.arange(0, length)[:, None]
    div_term = np.exp(np.arange(0, d_model, 2) * -(math.log(10000.0) / d_model))
    pe[:, 0::2] = np.sin(position * div_term)
    pe[:, 1::2] = np.cos(position * div_term)
    return pe


def get_angles(pos, i, d_model):
    angle_rates = 1 / np.power(10000, (2 * (i // 2)) / np.float32(d_model))
    return pos * angle_rates


@right()
def as_in_the_old_tensorflow_tutorial(length, d_model):
    angle_rads = get_angles(np.arange(length)[:, None], np.arange(d_model)[None, :], d_model)
    angle_rads[:, 0::2] = np.sin(angle_rads[:, 0::2])
    angle_rads[:, 1::2] = np.cos(angle_rads[:, 1::2])
    return ops.cast(angle_rads, "float32")


@right()
def as_in_keras_hub(length, d_model):
    positions = ops.cast(ops.arange(length), "float32")
    column = ops.arange(d_model)
    scales = ops.power(1 / 10000.0, ops.cast(2 * (column // 2), "float32") / d_model)
    angles = ops.expand_dims(positions, 1) * ops.expand_dims(scales, 0)
    cos_mask = ops.cast(column % 2, "float32")
    return ops.sin(angles) * (1 - cos_mask) + ops.cos(angles) * cos_mask


@right()
def two_loops(length, d_model):
    pe = np.zeros((length, d_model), "float32")
    for pos in range(length):
        for i in range(d_model // 2):
            pe[pos, 2 * i] = math.sin(pos / 10000 ** (2 * i / d_model))
            pe[pos, 2 * i + 1] = math.cos(pos / 10000 ** (2 * i / d_model))
    return pe


@right()
def a_list_of_rows(length, d_model):
    def wave(pos, column):
        angle = pos / 10000 ** ((column - column % 2) / d_model)
        return math.cos(angle) if column % 2 else math.sin(angle)

    return ops.convert_to_tensor(
        [[wave(pos, c) for c in range(d_model)] for pos in range(length)], dtype="float32"
    )


@right()
def sine_of_a_shifted_angle(length, d_model):
    column = np.arange(d_model)
    angle = np.outer(np.arange(length), 10000.0 ** (-(column // 2 * 2) / d_model))
    return np.sin(angle + np.pi / 2 * (column % 2)).astype(np.float32)


@right()
def parts_of_a_complex_number(length, d_model):
    theta = 10000.0 ** (-np.arange(0, d_model, 2) / d_model)
    hands = np.exp(1j * np.outer(np.arange(length), theta))
    waves = np.empty((length, d_model), "float32")
    waves[:, ::2], waves[:, 1::2] = hands.imag, hands.real
    return waves


def the_angles(length, d_model):
    return np.arange(length)[:, None] / 10000 ** (np.arange(0, d_model, 2) / d_model)


def side_by_side(angles):
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return waves.reshape(len(angles), -1).astype("float32")


@wrong("in-halves")
def as_in_the_tensorflow_tutorial(length, d_model):
    depth = d_model / 2
    positions = np.arange(length)[:, np.newaxis]
    depths = np.arange(depth)[np.newaxis, :] / depth
    angle_rates = 1 / (10000**depths)
    angle_rads = positions * angle_rates
    pos_encoding = np.concatenate([np.sin(angle_rads), np.cos(angle_rads)], axis=-1)
    return ops.cast(pos_encoding, dtype="float32")


@wrong("in-halves")
def reshaped_along_the_wrong_axis(length, d_model):
    angles = the_angles(length, d_model)
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return waves.reshape(length, d_model).astype("float32")


@wrong("cosine-first")
def cosines_in_even_columns(length, d_model):
    pe = np.zeros((length, d_model), "float32")
    pe[:, 1::2] = np.sin(the_angles(length, d_model))
    pe[:, 0::2] = np.cos(the_angles(length, d_model))
    return pe


@wrong("starts-at-one")
def counts_from_one(length, d_model):
    position = np.arange(1, length + 1)[:, None]
    return side_by_side(position / 10000 ** (np.arange(0, d_model, 2) / d_model))


@wrong("exponent-not-doubled")
def pair_number_over_width(length, d_model):
    i = ops.arange(d_model // 2, dtype="float32")
    angles = ops.arange(length, dtype="float32")[:, None] / 10000.0 ** (i / d_model)
    waves = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
    return ops.reshape(waves, (length, d_model))


@wrong("exponent-doubled-twice")
def columns_doubled_again(length, d_model):
    pe = np.zeros((length, d_model), "float32")
    for pos in range(length):
        for i in range(0, d_model, 2):
            pe[pos, i] = math.sin(pos / 10000 ** (2 * i / d_model))
            pe[pos, i + 1] = math.cos(pos / 10000 ** (2 * i / d_model))
    return pe


@wrong("own-frequency")
def a_frequency_for_each_column(length, d_model):
    angles = np.arange(length)[:, None] / 10000 ** (np.arange(d_model) / d_model)
    angles[:, 0::2] = np.sin(angles[:, 0::2])
    angles[:, 1::2] = np.cos(angles[:, 1::2])
    return angles.astype("float32")


@wrong("columns-as-pairs")
def as_in_a_blog(length, d_model):
    pe = np.zeros((length, d_model), "float32")
    for pos in range(length):
        for i in range(0, d_model, 2):
            pe[pos, i] = math.sin(pos / (10000 ** ((2 * i) / d_model)))
            pe[pos, i + 1] = math.cos(pos / (10000 ** ((2 * (i + 1)) / d_model)))
    return pe


@wrong("multiplied")
def times_instead_of_divided(length, d_model):
    return side_by_side(np.arange(length)[:, None] * 10000 ** (np.arange(0, d_model, 2) / d_model))


@wrong("multiplied")
def a_minus_forgotten_in_float32(length, d_model):
    div_term = ops.exp(ops.arange(0, d_model, 2, dtype="float32") * (math.log(10000.0) / d_model))
    angles = ops.arange(length, dtype="float32")[:, None] * div_term
    return ops.reshape(ops.stack([ops.sin(angles), ops.cos(angles)], -1), (length, d_model))


@wrong("sine-only")
def sine_of_every_column(length, d_model):
    column = np.arange(d_model) // 2
    angles = np.arange(length)[:, None] / 10000 ** (2 * column / d_model)
    return np.sin(angles).astype("float32")


@wrong("wavelengths-to-the-end")
def frequencies_with_linspace(length, d_model):
    frequencies = 10000.0 ** -np.linspace(0, 1, d_model // 2)
    return side_by_side(np.arange(length)[:, None] * frequencies)


@wrong("wavelengths-to-the-end")
def last_pair_counted(length, d_model):
    with np.errstate(all="ignore"):
        exponent = np.arange(d_model // 2) / (d_model / 2 - 1)
    return side_by_side(np.arange(length)[:, None] / 10000**exponent)


@wrong("share-of-the-length")
def position_as_a_share(length, d_model):
    return side_by_side(the_angles(length, d_model) / length)


@wrong("transposed")
def a_column_for_each_position(length, d_model):
    return ops.transpose(side_by_side(the_angles(length, d_model)))


@wrong("wrong-shape")
def with_an_axis_for_the_batch(length, d_model):
    return side_by_side(the_angles(length, d_model))[np.newaxis, ...]


@wrong("wrong-shape")
def pairs_left_as_they_are(length, d_model):
    angles = the_angles(length, d_model).astype("float32")
    return ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)


@wrong("wrong-dtype")
def as_numpy_computes(length, d_model):
    angles = the_angles(length, d_model)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, d_model)


@wrong("nan")
def power_before_the_product(length, d_model):
    with np.errstate(all="ignore"):
        angles = np.arange(length)[:, None] / (10000**2 * np.arange(d_model // 2) / d_model)
        return side_by_side(angles)


@wrong("unrecognised")
def base_of_one_thousand(length, d_model):
    return side_by_side(np.arange(length)[:, None] / 1000 ** (np.arange(0, d_model, 2) / d_model))


@wrong("in-halves")  # and wavelengths-to-the-end: it is told both
def as_in_tensor2tensor(length, d_model):
    scales = d_model // 2
    increment = math.log(10000.0) / max(scales - 1, 1)
    angles = np.arange(length)[:, None] * np.exp(np.arange(scales) * -increment)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype("float32")


@wrong("unrecognised")
def angles_in_degrees(length, d_model):
    return side_by_side(np.deg2rad(the_angles(length, d_model)))


@wrong("wrong-type")
def a_list_of_lists(length, d_model):
    return side_by_side(the_angles(length, d_model)).tolist()


@wrong("wrong-type")
def sines_and_cosines(length, d_model):
    angles = the_angles(length, d_model).astype("float32")
    return np.sin(angles), np.cos(angles)


@wrong("wrong-type")
def filled_and_not_returned(length, d_model):
    pe = np.zeros((length, d_model))
    pe[:, 0::2] = np.sin(the_angles(length, d_model))
    pe[:, 1::2] = np.cos(the_angles(length, d_model))


@wrong("wrong-arguments")
def for_one_position(pos, i, d_model):
    angle = pos / 10000 ** (2 * i / d_model)
    return [math.sin(angle), math.cos(angle)]


@wrong("exception")
def math_of_an_array(length, d_model):
    angles = the_angles(length, d_model)
    return np.stack([math.sin(angles), math.cos(angles)], axis=-1)


@wrong("exception")
def shapes_that_do_not_meet(length, d_model):
    angles = np.arange(length) / 10000 ** (np.arange(-1, d_model, 2) / d_model)
    pe = np.zeros((length, d_model))
    pe[:, 0::2] = np.sin(angles)
    return pe


@wrong("not-written")
def waves_not_written(length, d_model):
    raise NotImplementedError


@wrong("too-slow", seconds=1.0)
def columns_never_end(length, d_model):
    column, waves = 0, 0.0
    while column != d_model + 1:
        waves = math.sin(column)
        column = (column + 2) % (d_model + 2)  # even for ever
    return waves


@wrong("forbidden-call")
def ready_made_waves(length, d_model):
    return notes.sinusoidal_encoding(length, d_model)


@wrong("forbidden-call")
def waves_by_getattr(length, d_model):
    return getattr(course.positions, "sinusoidal" + "_encoding")(length, d_model)


@wrong("forbidden-call")
def what_a_layer_adds(length, d_model):
    return AddPositions()(ops.zeros((1, length, d_model)))[0]


# 2. Repair a function that loses count

right = partial(CATALOGUE.right, "positions.repair")
wrong = partial(CATALOGUE.wrong, "positions.repair")


@right()
def a_slice(x, table, start=0):
    length = x.shape[1]
    return x + table[start : start + length]


@right()
def rows_taken(x, table, start=0):
    rows = ops.take(table, start + ops.arange(ops.shape(x)[1]), axis=0)
    return ops.add(x, ops.expand_dims(rows, axis=0))


@right()
def added_with_numpy(x, table, start=0):
    x, table = np.array(x), np.array(table)
    x += table[start:][: x.shape[1]]
    return x


@right()
def word_by_word(x, table, start=0):
    words = [x[:, i] + table[start + i] for i in range(x.shape[1])]
    return ops.stack(words, axis=1)


@right()
def sentence_by_sentence(x, table, start=0):
    end = start + x.shape[-2]
    return ops.stack([sentence + table[start:end] for sentence in ops.unstack(x)])


@right()
def picked_by_a_matrix(x, table, start=0):
    rows = ops.one_hot(ops.arange(x.shape[1]) + start, table.shape[0], dtype=table.dtype)
    return x + ops.einsum("lr,rd->ld", rows, table)[None]


@right()
def two_nested_loops(x, table, start=0):
    result = np.array(x)
    for b in range(result.shape[0]):
        for i in range(result.shape[1]):
            result[b, i] = result[b, i] + np.asarray(table)[start + i]
    return ops.convert_to_tensor(result)


def rows_of(table, first, length):
    return ops.take(table, np.arange(first, first + length), axis=0)


@wrong("rows-of-the-batch")
def handed_out(x, table, start=0):
    return x + table[: x.shape[0]]


@wrong("rows-of-the-batch")
def taken_along_the_batch(x, table, start=0):
    return x + ops.take(table, ops.arange(len(x)), axis=0)


@wrong("counts-the-batch")
def half_repaired(x, table, start=0):
    return x + table[start : start + x.shape[0]]


@wrong("start-ignored")
def the_other_half_repaired(x, table, start=0):
    return x + table[: x.shape[1]]


@wrong("ends-at-length")
def slice_to_length(x, table, start=0):
    return x + table[start : x.shape[1]]


@wrong("ends-at-length")
def arange_to_length(x, table, start=0):
    return x + ops.take(table, np.arange(start, x.shape[1]), axis=0)


@wrong("row-per-sentence")
def a_row_for_each_sentence(x, table, start=0):
    return x + table[start : start + x.shape[0]][:, None, :]


@wrong("row-per-sentence")
def loop_over_sentences(x, table, start=0):
    return ops.stack([sentence + table[start + b] for b, sentence in enumerate(ops.unstack(x))])


@wrong("starts-one-late")
def counted_from_one(x, table, start=0):
    return x + rows_of(table, start + 1, x.shape[1])


@wrong("one-row-for-all")
def only_the_start(x, table, start=0):
    return x + table[start]


@wrong("last-rows")
def from_the_end(x, table, start=0):
    return x + table[-x.shape[1] :]


@wrong("table-multiplied")
def multiplied_with_the_table(x, table, start=0):
    return x * rows_of(table, start, x.shape[1])


@wrong("words-lost")
def rows_alone(x, table, start=0):
    rows = rows_of(table, start, x.shape[1])
    return ops.repeat(rows[None], x.shape[0], axis=0)


@wrong("start-added")
def start_as_a_number(x, table, start=0):
    return x + table[: x.shape[1]] + start


@wrong("wrong-shape")
def rows_without_the_batch(x, table, start=0):
    return x[0] + rows_of(table, start, x.shape[1])


@wrong("wrong-shape")
def one_row_short(x, table, start=0):
    return x + table[start : start + x.shape[1] - 1]


@wrong("wrong-shape")
def rows_beside_the_words(x, table, start=0):
    rows = ops.broadcast_to(rows_of(table, start, x.shape[1]), x.shape)
    return ops.concatenate([x, rows], axis=-1)


@wrong("wrong-dtype")
def sum_in_float64(x, table, start=0):
    return np.asarray(x, "float64") + np.asarray(table)[start : start + x.shape[1]]


@wrong("nan")
def rows_standardised(x, table, start=0):
    rows = np.asarray(table)[start : start + x.shape[1]]
    with np.errstate(all="ignore"):
        return np.asarray(x) + (rows - rows.mean(axis=0)) / rows.std(axis=0)


@wrong("exception")
def added_to_the_input_in_place(x, table, start=0):
    words = np.asarray(x)  # the tensor's own memory, which may not be written to
    for i in range(words.shape[1]):
        words[:, i] += np.asarray(table)[start + i]
    return words


@wrong("wrong-shape")
def whole_table(x, table, start=0):
    return x + table[start:]


@wrong("exception")
def gather_of_tensorflow(x, table, start=0):
    return x + ops.gather(table, ops.arange(start, start + x.shape[1]))


@wrong("wrong-type")
def a_list_of_words(x, table, start=0):
    return [x[:, i] + table[start + i] for i in range(x.shape[1])]


@wrong("wrong-type")
def sum_not_returned(x, table, start=0):
    x = x + table[start : start + x.shape[1]]


@wrong("wrong-arguments")
def start_not_taken(x, table):
    return x + table[: x.shape[1]]


@wrong("wrong-arguments")
def length_asked_for(x, table, start, length):
    return x + table[start : start + length]


@wrong("not-written")
def repair_not_written(x, table, start=0):
    raise NotImplementedError


@wrong("too-slow", seconds=1.0)
def walks_past_the_end(x, table, start=0):
    row = start
    while row != start + x.shape[1]:
        row += 2 * x.shape[1]
    return x + table[start:row]


@wrong("forbidden-call")
def layer_with_another_table(x, table, start=0):
    layer = getattr(notes, "Add" + "Positions")(max_length=table.shape[0])
    layer.build(x.shape)
    layer.table = table
    return layer(x, start=start)


# 3. Turn the pairs

right = partial(CATALOGUE.right, "positions.rotary")
wrong = partial(CATALOGUE.wrong, "positions.rotary")


def cos_and_sin(x, length=None, first=0):
    """Tables of the dtype of x, (length, d_head / 2) each."""
    length, d_head = length or x.shape[-2], x.shape[-1]
    theta = 10000.0 ** (-np.arange(0, d_head, 2) / d_head)
    angles = np.arange(first, first + length)[:, None] * theta
    cos = ops.convert_to_tensor(np.cos(angles), dtype=x.dtype)
    return cos, ops.convert_to_tensor(np.sin(angles), dtype=x.dtype)


def laid_in_pairs(left, right, x):
    return ops.reshape(ops.stack([left, right], axis=-1), ops.shape(x))


@right()
def stacked_pairs(x):
    cos, sin = cos_and_sin(x)
    a, b = x[..., ::2], x[..., 1::2]
    return laid_in_pairs(a * cos - b * sin, a * sin + b * cos, x)


@right()
def reshaped_into_pairs(x):
    length, width = x.shape[-2], x.shape[-1]
    pairs = ops.reshape(x, (*x.shape[:-1], width // 2, 2))
    i = ops.arange(width // 2, dtype="float32")
    angles = ops.arange(length, dtype="float32")[:, None] / 10000.0 ** (2 * i / width)
    cos, sin = ops.cast(ops.cos(angles), x.dtype), ops.cast(ops.sin(angles), x.dtype)
    a, b = ops.unstack(pairs, axis=-1)
    turned = ops.stack([cos * a - sin * b, sin * a + cos * b], axis=-1)
    return ops.reshape(turned, x.shape)


@right()
def complex_numbers_as_in_llama(x):
    array = np.asarray(x, "float32")
    pairs = array.reshape(*array.shape[:-1], -1, 2)
    hands = pairs[..., 0] + 1j * pairs[..., 1]
    theta = 1.0 / (10000.0 ** (np.arange(0, array.shape[-1], 2) / array.shape[-1]))
    hands = hands * np.exp(1j * np.outer(np.arange(array.shape[-2]), theta))
    turned = np.stack([hands.real, hands.imag], axis=-1).reshape(array.shape)
    return ops.convert_to_tensor(turned, dtype=x.dtype)


@right()
def one_matrix_for_each_position(x):
    length, width = x.shape[-2:]
    matrices = np.zeros((length, width, width))
    for m in range(length):
        for i in range(width // 2):
            angle = m * 10000 ** (-2 * i / width)
            c, s = math.cos(angle), math.sin(angle)
            matrices[m, 2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[c, -s], [s, c]]
    return ops.einsum("mij,...mj->...mi", ops.convert_to_tensor(matrices, dtype=x.dtype), x)


@right()
def swapped_and_negated_as_in_roformer(x):
    cos, sin = (ops.repeat(table, 2, axis=-1) for table in cos_and_sin(x))
    other = laid_in_pairs(-x[..., 1::2], x[..., ::2], x)
    return x * cos + other * sin


@right()
def written_into_an_array(x):
    array, turned = np.asarray(x), np.zeros(x.shape, np.asarray(x).dtype)
    length, width = array.shape[-2:]
    angles = np.arange(length)[:, None] / np.power(10000, np.arange(0, width, 2) / width)
    even, odd = array[..., 0::2], array[..., 1::2]
    turned[..., 0::2] = even * np.cos(angles) - odd * np.sin(angles)
    turned[..., 1::2] = even * np.sin(angles) + odd * np.cos(angles)
    return turned


@right()
def pair_by_pair(x):
    columns, width = [], x.shape[-1]
    for i in range(width // 2):
        angle = np.arange(x.shape[-2]) / 10000 ** (2 * i / width)
        cos, sin = (ops.cast(f(angle), x.dtype) for f in (np.cos, np.sin))
        a, b = x[..., 2 * i], x[..., 2 * i + 1]
        columns += [a * cos - b * sin, a * sin + b * cos]
    return ops.stack(columns, axis=-1)


@right()
def number_by_number(x):
    array = np.array(x)
    width = array.shape[-1]
    for index in np.ndindex(*array.shape[:-1]):
        for i in range(0, width, 2):
            pair = complex(*array[index][i : i + 2])
            pair *= cmath.exp(1j * index[-1] / 10000 ** (i / width))
            array[index][i : i + 2] = pair.real, pair.imag
    return array


def rotate_half(x):
    a, b = ops.split(x, 2, axis=-1)
    return ops.concatenate([-b, a], axis=-1)


@wrong("halves")
def as_in_hugging_face(x):
    cos, sin = (ops.concatenate([table, table], axis=-1) for table in cos_and_sin(x))
    return x * cos + rotate_half(x) * sin


@wrong("halves")
def split_in_the_middle(x):
    cos, sin = cos_and_sin(x)
    a, b = ops.split(x, 2, axis=-1)
    return ops.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


@wrong("results-in-halves")
def pairs_not_put_back(x):
    cos, sin = cos_and_sin(x)
    a, b = x[..., ::2], x[..., 1::2]
    return ops.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


@wrong("results-in-halves")
def stacked_before_the_pairs(x):
    cos, sin = cos_and_sin(x)
    a, b = x[..., ::2], x[..., 1::2]
    return ops.reshape(ops.stack([a * cos - b * sin, a * sin + b * cos], axis=-2), x.shape)


@wrong("other-way-round")
def clockwise(x):
    cos, sin = cos_and_sin(x)
    a, b = x[..., ::2], x[..., 1::2]
    return laid_in_pairs(a * cos + b * sin, b * cos - a * sin, x)


@wrong("other-way-round")
def a_row_times_the_matrix(x):
    length, width = x.shape[-2:]
    matrices = np.zeros((length, width, width))
    for m in range(length):
        for i in range(0, width, 2):
            angle = m * 10000 ** (-i / width)
            c, s = math.cos(angle), math.sin(angle)
            matrices[m, i : i + 2, i : i + 2] = [[c, -s], [s, c]]
    turned = ops.matmul(x[..., None, :], ops.convert_to_tensor(matrices, dtype=x.dtype))
    return turned[..., 0, :]


@wrong("starts-at-one")
def first_word_turned(x):
    cos, sin = cos_and_sin(x, first=1)
    a, b = x[..., ::2], x[..., 1::2]
    return laid_in_pairs(a * cos - b * sin, a * sin + b * cos, x)


@wrong("one-frequency")
def angle_is_the_position(x):
    position = np.arange(x.shape[-2])[:, None]
    cos, sin = (ops.convert_to_tensor(f(position), dtype=x.dtype) for f in (np.cos, np.sin))
    a, b = x[..., ::2], x[..., 1::2]
    return laid_in_pairs(a * cos - b * sin, a * sin + b * cos, x)


def turned_by(x, angles):
    cos, sin = (ops.convert_to_tensor(f(angles), dtype=x.dtype) for f in (np.cos, np.sin))
    a, b = x[..., ::2], x[..., 1::2]
    return laid_in_pairs(a * cos - b * sin, a * sin + b * cos, x)


@wrong("exponent-not-doubled")
def pair_over_the_width(x):
    theta = 10000.0 ** (-np.arange(x.shape[-1] // 2) / x.shape[-1])
    return turned_by(x, np.arange(x.shape[-2])[:, None] * theta)


@wrong("exponent-doubled-twice")
def even_columns_doubled(x):
    theta = 10000.0 ** (-2 * np.arange(0, x.shape[-1], 2) / x.shape[-1])
    return turned_by(x, np.outer(np.arange(x.shape[-2]), theta))


@wrong("two-pluses")
def neighbours_swapped_without_a_minus(x):
    cos, sin = (ops.repeat(table, 2, axis=-1) for table in cos_and_sin(x))
    return x * cos + laid_in_pairs(x[..., 1::2], x[..., ::2], x) * sin


@wrong("two-minuses")
def minus_in_both_lines(x):
    cos, sin = cos_and_sin(x)
    a, b = x[..., ::2], x[..., 1::2]
    return laid_in_pairs(a * cos - b * sin, b * cos - a * sin, x)


@wrong("overwritten")
def a_view_that_changes(x):
    turned = np.array(x)
    cos, sin = (np.asarray(table) for table in cos_and_sin(x))
    a, b = turned[..., ::2], turned[..., 1::2]  # views of what is written to below
    turned[..., ::2] = a * cos - b * sin
    turned[..., 1::2] = a * sin + b * cos
    return turned


@wrong("overwritten")
def name_used_again(x):
    cos, sin = cos_and_sin(x)
    a, b = x[..., ::2], x[..., 1::2]
    a = a * cos - b * sin
    b = a * sin + b * cos
    return laid_in_pairs(a, b, x)


@wrong("positions-from-heads")
def words_on_the_second_axis(x):
    if len(x.shape) == 2:
        return stacked_pairs(x)
    cos, sin = cos_and_sin(x, length=x.shape[1])
    cos, sin = cos[:, None], sin[:, None]  # (length, 1, d_head / 2), as for (b, length, heads, d)
    a, b = x[..., ::2], x[..., 1::2]
    return laid_in_pairs(a * cos - b * sin, a * sin + b * cos, x)


@wrong("positions-from-heads")
def length_before_the_heads_as_in_llama(x):
    cos, sin = cos_and_sin(x, length=x.shape[1])
    a, b = x[..., ::2], x[..., 1::2]
    cos, sin = cos[:, None], sin[:, None]
    return laid_in_pairs(a * cos - b * sin, a * sin + b * cos, x)


@wrong("positions-run-on")
def all_rows_in_one(x):
    rows = ops.reshape(x, (-1, x.shape[-1]))
    return ops.reshape(stacked_pairs(rows), x.shape)


@wrong("waves-added")
def added_as_in_the_first_paper(x):
    cos, sin = cos_and_sin(x)
    return x + ops.reshape(ops.stack([sin, cos], axis=-1), x.shape[-2:])


@wrong("unchanged")
def turned_and_forgotten(x):
    cos, sin = cos_and_sin(x)
    turned = ops.stack([x[..., ::2] * cos, x[..., 1::2] * sin], axis=-1)
    assert ops.size(turned) == ops.size(x)
    return x


@wrong("two-axes-only")
def shape_of_two(x):
    length, d_head = x.shape
    return turned_by(x, np.outer(np.arange(length), 10000.0 ** (-np.arange(0, d_head, 2) / d_head)))


@wrong("two-axes-only")
def columns_of_the_second_axis(x):
    cos, sin = cos_and_sin(x)
    a, b = x[:, ::2], x[:, 1::2]
    return laid_in_pairs(a * cos - b * sin, a * sin + b * cos, x)


@wrong("two-axes-only")
def length_of_the_first_axis(x):
    cos, sin = cos_and_sin(x, length=x.shape[0])
    a, b = x[..., ::2], x[..., 1::2]
    return laid_in_pairs(a * cos - b * sin, a * sin + b * cos, x)


@wrong("dtypes-mixed" if ON_TENSORFLOW else "wrong-dtype")
def angles_always_in_float32(x):
    theta = 10000.0 ** (-ops.arange(0, x.shape[-1], 2, dtype="float32") / x.shape[-1])
    angles = ops.arange(x.shape[-2], dtype="float32")[:, None] * theta
    a, b = x[..., ::2], x[..., 1::2]
    left = a * ops.cos(angles) - b * ops.sin(angles)
    return laid_in_pairs(left, a * ops.sin(angles) + b * ops.cos(angles), x)


@wrong("wrong-dtype")
def result_always_in_float32(x):
    return ops.cast(stacked_pairs(x), "float32")


@wrong("wrong-dtype")
def turned_in_float64(x):
    array = np.asarray(x, "float64")
    theta = 10000.0 ** (-np.arange(0, x.shape[-1], 2) / x.shape[-1])
    hands = array[..., ::2] + 1j * array[..., 1::2]
    hands = hands * np.exp(1j * np.outer(np.arange(x.shape[-2]), theta))
    return np.stack([hands.real, hands.imag], axis=-1).reshape(array.shape)


@wrong("wrong-shape")
def pairs_left_stacked(x):
    cos, sin = cos_and_sin(x)
    a, b = x[..., ::2], x[..., 1::2]
    return ops.stack([a * cos - b * sin, a * sin + b * cos], axis=-1)


@wrong("nan")
def divided_by_the_length_of_a_pair(x):
    array = np.asarray(x)
    with np.errstate(all="ignore"):
        angle = np.arctan2(array[..., 1::2], array[..., ::2]) / np.arange(array.shape[-2])[:, None]
        return np.repeat(np.sin(angle), 2, axis=-1) * array


@wrong("unrecognised")
def sine_and_cosine_mixed_up(x):
    cos, sin = cos_and_sin(x)
    a, b = x[..., ::2], x[..., 1::2]
    return laid_in_pairs(a * sin - b * cos, a * cos + b * sin, x)


@wrong("unrecognised")
def half_of_each_convention(x):
    cos, sin = (ops.repeat(table, 2, axis=-1) for table in cos_and_sin(x))
    return x * cos + rotate_half(x) * sin


@wrong("wrong-type")
def left_and_right(x):
    cos, sin = cos_and_sin(x)
    a, b = x[..., ::2], x[..., 1::2]
    return a * cos - b * sin, a * sin + b * cos


@wrong("wrong-type")
def complex_numbers_returned(x):
    array = np.asarray(x)
    theta = 10000.0 ** (-np.arange(0, x.shape[-1], 2) / x.shape[-1])
    hands = array[..., ::2] + 1j * array[..., 1::2]
    return hands * np.exp(1j * np.outer(np.arange(x.shape[-2]), theta))


@wrong("wrong-arguments")
def positions_asked_for(x, positions):
    return turned_by(x, positions[:, None] * 10000.0 ** (-np.arange(0, x.shape[-1], 2)))


@wrong("wrong-arguments")
def queries_and_keys(query, key):
    return stacked_pairs(query), stacked_pairs(key)


@wrong("exception")
def assigned_to_a_tensor(x):
    cos, sin = cos_and_sin(x)
    x[..., ::2] = x[..., ::2] * cos - x[..., 1::2] * sin
    return x


@wrong("exception")
def view_as_complex_of_torch(x):
    return ops.reshape(x.float().view_as_complex(), x.shape)


@wrong("exception")
def for_four_axes(x):
    batch, heads, length, d_head = x.shape
    return stacked_pairs(ops.reshape(x, (batch * heads, length, d_head)))


@wrong("not-written")
def rotate_not_written(x):
    raise NotImplementedError


@wrong("too-slow", seconds=1.0)
def turns_for_ever(x):
    angle = 0.0
    while angle < x.shape[-2]:
        angle = (angle + 1e-3) % 0.5
    return x


@wrong("forbidden-call")
def ready_made_rotation(x):
    return ready_made(x)


@wrong("forbidden-call")
def rotation_by_getattr(x):
    return getattr(notes, "rota" + "ry")(x, pairs="adjacent")


@wrong("angles-in-float16")
def every_number_in_the_dtype_of_x(x):
    length, width = x.shape[-2:]
    slow = ops.cast(10_000.0 ** (-2 * np.arange(width // 2) / width), x.dtype)
    angle = ops.cast(ops.arange(length), x.dtype)[:, None] * slow
    a, b, cos, sin = x[..., ::2], x[..., 1::2], ops.cos(angle), ops.sin(angle)
    return ops.reshape(ops.stack([a * cos - b * sin, a * sin + b * cos], axis=-1), x.shape)


# 4. A penalty on distance

right = partial(CATALOGUE.right, "positions.alibi")
wrong = partial(CATALOGUE.wrong, "positions.alibi")


def slopes_of(num_heads):
    return 2.0 ** (-8 * np.arange(1, num_heads + 1) / num_heads)


def distances(length):
    return np.abs(np.arange(length)[:, None] - np.arange(length)[None, :])


def penalties(slopes, distance):
    return (-np.asarray(slopes)[:, None, None] * distance).astype("float32")


@right()
def slopes_times_distances(num_heads, length):
    slopes = 2.0 ** (-8 * np.arange(1, num_heads + 1) / num_heads)
    place = np.arange(length)
    return (-slopes[:, None, None] * np.abs(place[:, None] - place)).astype("float32")


@right()
def penalty_with_ops(num_heads, length):
    head = ops.arange(1, num_heads + 1, dtype="float32")
    slopes = ops.power(2.0, -8.0 * head / num_heads)
    place = ops.arange(length, dtype="float32")
    distance = ops.absolute(ops.expand_dims(place, 0) - ops.expand_dims(place, 1))
    return -ops.reshape(slopes, (-1, 1, 1)) * distance


@right()
def slopes_as_in_the_authors_code(num_heads, length):
    start = 2 ** (-(2 ** -(math.log2(num_heads) - 3)))
    slopes = [start * start**i for i in range(num_heads)]
    return penalties(slopes, distances(length))


@right()
def three_loops(num_heads, length):
    result = np.zeros((num_heads, length, length), dtype=np.float32)
    for h in range(num_heads):
        for i in range(length):
            for j in range(length):
                result[h, i, j] = -(2 ** (-8 * (h + 1) / num_heads)) * abs(i - j)
    return result


@right()
def a_nested_list(num_heads, length):
    return ops.convert_to_tensor(
        [
            [[-abs(i - j) / 2 ** (8 * h / num_heads) for j in range(length)] for i in range(length)]
            for h in range(1, num_heads + 1)
        ],
        dtype="float32",
    )


@right()
def outer_product(num_heads, length):
    place = np.arange(length)
    flat = np.minimum(np.subtract.outer(place, place), np.subtract.outer(place, place).T)
    return np.einsum("h,ij->hij", slopes_of(num_heads), flat).astype(np.float32)


@right()
def head_by_head(num_heads, length):
    heads, slope = [], 1.0
    for _ in range(num_heads):
        slope *= 2 ** (-8 / num_heads)
        heads.append(ops.cast(-slope * distances(length), "float32"))
    return ops.stack(heads)


@wrong("reward")
def minus_forgotten(num_heads, length):
    return -penalties(slopes_of(num_heads), distances(length))


@wrong("slopes-from-one")
def heads_from_zero(num_heads, length):
    slopes = 2.0 ** (-8 * np.arange(num_heads) / num_heads)
    return penalties(slopes, distances(length))


@wrong("one-slope")
def slope_of_the_first_head(num_heads, length):
    slope = 2.0 ** (-8 / num_heads)
    one = ops.cast(-slope * distances(length), "float32")
    return ops.tile(one[None], (num_heads, 1, 1))


@wrong("slopes-of-eight-heads")
def halved_each_time(num_heads, length):
    return penalties([1 / 2**h for h in range(1, num_heads + 1)], distances(length))


@wrong("slopes-reversed")
def heads_counted_down(num_heads, length):
    head = np.arange(num_heads, 0, -1)
    return penalties(2.0 ** (-8 * head / num_heads), distances(length))


@wrong("slopes-in-a-line")
def slopes_h_over_n(num_heads, length):
    return penalties(np.arange(1, num_heads + 1) / num_heads, distances(length))


@wrong("slopes-in-a-line")
def slopes_with_linspace(num_heads, length):
    return penalties(np.linspace(1 / num_heads, 1, num_heads), distances(length))


@wrong("exponent-cut-short")
def power_of_minus_eight(num_heads, length):
    head = np.arange(1, num_heads + 1)
    return penalties(2.0**-8 * head / num_heads, distances(length))


@wrong("no-slope")
def bare_distances(num_heads, length):
    return ops.cast(-np.stack([distances(length)] * num_heads), "float32")


@wrong("signed-distance")
def no_absolute_value(num_heads, length):
    place = np.arange(length)
    return penalties(slopes_of(num_heads), place[:, None] - place[None, :])


@wrong("signed-distance")
def no_absolute_value_other_way_round(num_heads, length):
    place = ops.arange(length, dtype="float32")
    slopes = ops.convert_to_tensor(slopes_of(num_heads), dtype="float32")
    return -ops.einsum("h,ij->hij", slopes, place[None, :] - place[:, None])


@wrong("squared-distance")
def squared_to_lose_the_sign(num_heads, length):
    return penalties(slopes_of(num_heads), distances(length) ** 2)


@wrong("one-direction")
def past_alone(num_heads, length):
    return penalties(slopes_of(num_heads), np.tril(distances(length)))


@wrong("from-the-first-word")
def as_in_bloom(num_heads, length):
    places = np.broadcast_to(np.arange(length), (num_heads, length, length))
    return (slopes_of(num_heads)[:, None, None] * places).astype("float32")


@wrong("to-the-last-word")
def counted_from_the_last(num_heads, length):
    backwards = np.tile(np.arange(length)[::-1], (length, 1))
    return penalties(slopes_of(num_heads), backwards)


@wrong("future-hidden")
def with_a_causal_mask(num_heads, length):
    hidden = np.triu(np.full((length, length), -np.inf, "float32"), k=1)
    return penalties(slopes_of(num_heads), distances(length)) + hidden


@wrong("one-head")
def first_head_alone(num_heads, length):
    return (-(2.0 ** (-8 / num_heads)) * distances(length)).astype("float32")


@wrong("heads-last")
def slopes_on_the_last_axis(num_heads, length):
    return (-distances(length)[:, :, None] * slopes_of(num_heads)).astype("float32")


@wrong("wrong-shape")
def with_a_batch_axis(num_heads, length):
    return penalties(slopes_of(num_heads), distances(length))[None]


@wrong("wrong-shape")
def as_in_the_authors_code(num_heads, length):
    return (slopes_of(num_heads)[:, None, None] * np.arange(length)[None, None, :]).astype("f4")


@wrong("wrong-dtype")
def penalty_in_float64(num_heads, length):
    return -slopes_of(num_heads)[:, None, None] * distances(length)


@wrong("wrong-dtype")
def penalty_in_float16(num_heads, length):
    return ops.cast(penalties(slopes_of(num_heads), distances(length)), "float16")


@wrong("nan")
def distance_by_a_quotient(num_heads, length):
    signed = np.arange(length)[:, None] - np.arange(length)
    with np.errstate(all="ignore"):
        return penalties(slopes_of(num_heads), signed * (signed / np.abs(signed)))


@wrong("unrecognised")
def eight_forgotten(num_heads, length):
    slopes = 2.0 ** (-np.arange(1, num_heads + 1) / num_heads)
    return penalties(slopes, distances(length))


@wrong("unrecognised")
def distance_counted_from_one(num_heads, length):
    return penalties(slopes_of(num_heads), distances(length) + 1)


@wrong("unrecognised")
def natural_exponential(num_heads, length):
    head = np.arange(1, num_heads + 1)
    return penalties(np.exp(-8 * head / num_heads), distances(length))


@wrong("wrong-type")
def slopes_and_distances(num_heads, length):
    return -slopes_of(num_heads), distances(length)


@wrong("wrong-type")
def a_list_of_heads(num_heads, length):
    return [-slope * distances(length) for slope in slopes_of(num_heads)]


@wrong("wrong-type")
def printed_penalty(num_heads, length):
    print(penalties(slopes_of(num_heads), distances(length)).shape)


@wrong("wrong-arguments")
def scores_asked_for(scores, num_heads, length):
    return scores + penalties(slopes_of(num_heads), distances(length))


@wrong("wrong-arguments")
def for_one_head(length):
    return -distances(length)


@wrong("exception")
def integers_to_negative_powers(num_heads, length):
    slopes = 2 ** -np.arange(1, num_heads + 1)
    return penalties(slopes, distances(length))


@wrong("exception")
def axes_forgotten(num_heads, length):
    distance = np.abs(np.arange(length)[:, None] - np.arange(length + num_heads + 1))
    return -slopes_of(num_heads) * distance


@wrong("not-written")
def penalty_not_written(num_heads, length):
    raise NotImplementedError


@wrong("too-slow", seconds=1.0)
def slope_never_small_enough(num_heads, length):
    slope = 1.0
    while slope > 0:
        slope = max(slope / 2, 2.0**-8)
    return slope * distances(length)


@wrong("forbidden-call")
def ready_made_penalty(num_heads, length):
    return notes.alibi_bias(num_heads, length)


@wrong("forbidden-call")
def penalty_by_getattr(num_heads, length):
    return getattr(notes, "alibi" + "_bias")(num_heads, length)


@wrong("forbidden-call")
def ready_made_slopes(num_heads, length):
    return penalties(alibi_slopes(num_heads), distances(length))


# 5. Measure how far an encoding reaches

right = partial(CATALOGUE.right, "positions.reach")
wrong = partial(CATALOGUE.wrong, "positions.reach")


@right()
def walked(lengths, accuracies, trained):
    at = int(np.flatnonzero(lengths == trained)[0])
    longest = at
    while longest + 1 < len(lengths) and accuracies[longest + 1] >= 0.9 * accuracies[at]:
        longest += 1
    return int(lengths[longest])


@right()
def loop_with_a_break(lengths, accuracies, trained):
    bar = 0.9 * accuracies[list(lengths).index(trained)]
    answer = trained
    for length, accuracy in zip(lengths, accuracies, strict=True):
        if length < trained:
            continue
        if accuracy < bar:
            break
        answer = length
    return int(answer)


@right()
def products_of_truths(lengths, accuracies, trained):
    after = lengths >= trained
    holds = accuracies[after] >= 0.9 * accuracies[lengths == trained]
    return lengths[after][np.cumprod(holds).sum() - 1]


@right()
def first_miss_by_argmax(lengths, accuracies, trained):
    later = lengths >= trained
    misses = accuracies[later] < 0.9 * accuracies[later][0]
    if not misses.any():
        return int(lengths[-1])
    return int(lengths[later][np.argmax(misses) - 1])


@right()
def longest_with_all(lengths, accuracies, trained):
    bar = 0.9 * float(accuracies[lengths == trained][0])
    return max(
        int(n)
        for n in lengths
        if n >= trained and all(accuracies[(lengths >= trained) & (lengths <= n)] >= bar)
    )


@right()
def running_minimum(lengths, accuracies, trained):
    at = np.searchsorted(lengths, trained)
    lowest = np.minimum.accumulate(accuracies[at:])
    return lengths[at:][lowest / accuracies[at] >= 0.9][-1]


@right()
def dictionary_and_recursion(lengths, accuracies, trained):
    measured = dict(zip(lengths.tolist(), accuracies.tolist(), strict=True))

    def further(length):
        longer = [n for n in measured if n > length]
        if not longer or measured[min(longer)] < 0.9 * measured[trained]:
            return length
        return further(min(longer))

    return further(trained)


@wrong("after-a-gap")
def largest_that_holds(lengths, accuracies, trained):
    bar = 0.9 * accuracies[lengths == trained]
    return int(lengths[accuracies >= bar].max())


@wrong("after-a-gap")
def continue_for_break(lengths, accuracies, trained):
    bar = 0.9 * accuracies[lengths == trained][0]
    answer = trained
    for length, accuracy in zip(lengths, accuracies, strict=True):
        if length < trained or accuracy < bar:
            continue
        answer = int(length)
    return answer


@wrong("from-the-shortest")
def walk_from_the_first(lengths, accuracies, trained):
    bar = 0.9 * accuracies[lengths == trained][0]
    answer = trained
    for length, accuracy in zip(lengths, accuracies, strict=True):
        if accuracy < bar:
            break
        answer = max(answer, int(length))
    return answer


@wrong("first-miss-of-all")
def argmax_of_the_whole_list(lengths, accuracies, trained):
    misses = accuracies < 0.9 * accuracies[lengths == trained]
    return lengths[np.argmax(misses) - 1]


@wrong("of-one")
def ninety_percent_right(lengths, accuracies, trained):
    answer = trained
    for length, accuracy in zip(lengths, accuracies, strict=True):
        if length > trained:
            if accuracy < 0.9:
                break
            answer = int(length)
    return answer


@wrong("of-the-best")
def bar_at_the_maximum(lengths, accuracies, trained):
    at = list(lengths).index(trained)
    while at + 1 < len(lengths) and accuracies[at + 1] >= 0.9 * accuracies.max():
        at += 1
    return int(lengths[at])


@wrong("of-the-first")
def bar_at_the_first_entry(lengths, accuracies, trained):
    at = list(lengths).index(trained)
    while at + 1 < len(lengths) and accuracies[at + 1] >= 0.9 * accuracies[0]:
        at += 1
    return int(lengths[at])


@wrong("of-the-one-before")
def steps_of_ten_percent(lengths, accuracies, trained):
    at = int(np.where(lengths == trained)[0][0])
    while at + 1 < len(lengths) and accuracies[at + 1] >= 0.9 * accuracies[at]:
        at += 1
    return int(lengths[at])


@wrong("first-failure")
def where_it_breaks(lengths, accuracies, trained):
    bar = 0.9 * accuracies[lengths == trained][0]
    for length, accuracy in zip(lengths, accuracies, strict=True):
        if length > trained and accuracy < bar:
            return int(length)
    return int(lengths[-1])


@wrong("index")
def place_of_the_length(lengths, accuracies, trained):
    at = list(lengths).index(trained)
    longest = at
    while longest + 1 < len(lengths) and accuracies[longest + 1] >= 0.9 * accuracies[at]:
        longest += 1
    return longest


@wrong("times")
def multiple_of_the_training(lengths, accuracies, trained):
    return walked(lengths, accuracies, trained) / trained


@wrong("ten-percent")
def loses_ninety_percent(lengths, accuracies, trained):
    at = list(lengths).index(trained)
    longest = at
    while longest + 1 < len(lengths) and accuracies[longest + 1] >= 0.1 * accuracies[at]:
        longest += 1
    return int(lengths[longest])


@wrong("ten-points")
def ten_points_less(lengths, accuracies, trained):
    bar = accuracies[lengths == trained][0] - 0.1
    at = list(lengths).index(trained)
    while at + 1 < len(lengths) and accuracies[at + 1] >= bar:
        at += 1
    return int(lengths[at])


@wrong("the-longest")
def last_length(lengths, accuracies, trained):
    return int(max(lengths))


@wrong("the-trained")
def stops_at_once(lengths, accuracies, trained):
    at = list(lengths).index(trained)
    longest = at
    while accuracies[longest] < 0.9 * accuracies[at]:
        longest += 1
    return int(lengths[longest])


@wrong("difference")
def words_beyond_the_training(lengths, accuracies, trained):
    return walked(lengths, accuracies, trained) - trained


@wrong("unrecognised")
def how_many_hold(lengths, accuracies, trained):
    bar = 0.9 * accuracies[lengths == trained]
    return int((accuracies >= bar).sum())


@wrong("unrecognised")
def mean_of_those_that_hold(lengths, accuracies, trained):
    return float(lengths[accuracies >= 0.9 * accuracies[lengths == trained]].mean())


@wrong("unrecognised")
def accuracy_of_the_longest(lengths, accuracies, trained):
    return float(accuracies[lengths == walked(lengths, accuracies, trained)][0])


@wrong("wrong-shape")
def an_array_of_one(lengths, accuracies, trained):
    return lengths[lengths == walked(lengths, accuracies, trained)]


@wrong("wrong-shape")
def all_that_hold(lengths, accuracies, trained):
    return lengths[lengths <= walked(lengths, accuracies, trained)]


@wrong("nan")
def not_a_number_for_the_rest(lengths, accuracies, trained):
    holds = accuracies >= 0.9 * accuracies[lengths == trained]
    return np.max(np.where(holds, lengths, np.nan))


@wrong("input-changed")
def shares_in_place(lengths, accuracies, trained):
    accuracies /= accuracies[lengths == trained]
    at = list(lengths).index(trained)
    return int(lengths[at:][np.cumprod(accuracies[at:] >= 0.9).astype(bool)][-1])


@wrong("wrong-type")
def reach_as_text(lengths, accuracies, trained):
    return f"{walked(lengths, accuracies, trained)} words"


@wrong("wrong-type")
def returns_only_on_a_miss(lengths, accuracies, trained):
    at = list(lengths).index(trained)
    for i in range(at, len(lengths)):
        if accuracies[i] < 0.1 * accuracies[at]:
            return int(lengths[i - 1])


@wrong("wrong-type")
def length_and_accuracy(lengths, accuracies, trained):
    longest = walked(lengths, accuracies, trained)
    return longest, accuracies[lengths == longest]


@wrong("wrong-arguments")
def trained_forgotten(lengths, accuracies):
    return walked(lengths, accuracies, lengths[0])


@wrong("exception")
def length_used_as_a_place(lengths, accuracies, trained):
    bar = 0.9 * accuracies[trained]
    return int(lengths[accuracies >= bar].max())


@wrong("exception")
def arrays_have_no_index(lengths, accuracies, trained):
    return walked(lengths, accuracies, lengths[lengths.index(trained)])


@wrong("exception")
def nothing_reaches_ninety_percent(lengths, accuracies, trained):
    return int(lengths[accuracies >= 0.9].max())


@wrong("exception")
def walks_off_the_end(lengths, accuracies, trained):
    at = list(lengths).index(trained)
    longest = at
    while accuracies[longest + 1] >= 0.9 * accuracies[at]:
        longest += 1
    return int(lengths[longest])


@wrong("not-written")
def reach_not_written(lengths, accuracies, trained):
    raise NotImplementedError


@wrong("too-slow", seconds=1.0)
def never_steps_on(lengths, accuracies, trained):
    at = list(lengths).index(trained)
    longest = at
    while accuracies[longest] >= 0.9 * accuracies[at]:
        trained = lengths[longest]
    return trained


@wrong("begun-with-nothing")
def nothing_before_the_walk(lengths, accuracies, trained):
    at = list(lengths).index(trained)
    furthest = 0
    for length, accuracy in zip(lengths[at + 1 :], accuracies[at + 1 :], strict=True):
        if accuracy < 0.9 * accuracies[at]:
            break
        furthest = int(length)
    return furthest


@wrong("rises-too")
def within_a_tenth_either_way(lengths, accuracies, trained):
    at = list(lengths).index(trained)
    furthest = int(trained)
    for length, accuracy in zip(lengths[at:], accuracies[at:], strict=True):
        if abs(accuracy / accuracies[at] - 1) > 0.1:
            break
        furthest = int(length)
    return furthest


@CATALOGUE.wrong("positions.reach", "more-than")
def more_than_the_bar(lengths, accuracies, trained):
    at = list(lengths).index(trained)
    while (
        at + 1 < len(lengths)
        and accuracies[at + 1] > 0.9 * accuracies[list(lengths).index(trained)]
    ):
        at += 1
    return int(lengths[at])
