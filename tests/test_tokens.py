"""Batches of tokens: nothing lost, few shapes, the same order again."""

import numpy as np
import pytest

pytestmark = pytest.mark.backend


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
    assert widths == sorted(widths)


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


def test_lengths_that_first_agree_do_not_fix_what_fit_expects(batches, keras):
    """Keras on TensorFlow looks at two batches and takes a length that they share for fixed."""
    short, long = [[1] * 3] * 400, [[1] * 30] * 10
    model = keras.Sequential([keras.layers.Embedding(5, 1), keras.layers.GlobalMaxPooling1D()])
    model.compile("sgd", "mse", jit_compile=False)
    for seed in range(5):
        given = batches(short + long, 64, seed=seed, make=lambda ids: (ids, ids[:, :1] * 1.0))
        assert given[0][0].shape[1] != given[1][0].shape[1]
        model.fit(given, shuffle=False, verbose=0)


@pytest.mark.parametrize("seed", range(20))
def test_the_first_two_batches_differ_in_every_length_that_varies(batches, seed):
    rng = np.random.default_rng(seed)
    given = batches(pairs(rng, 60, most=40), 64, seed=seed)
    varies = [len(set(lengths)) > 1 for lengths in given.shapes.T]
    first, second = (np.array([a.shape[1] for a in given[i]]) for i in (0, 1))
    assert (first != second)[varies].all()
