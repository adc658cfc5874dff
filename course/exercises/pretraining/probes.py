"""Exercises of lesson 07, pretraining: probes and the mistakes they find; words in the TOML file.

The first two, on what a model reads, are in `masking.py`.
"""

import numpy as np

from course.checks import families
from course.checks.declaration import Probe, call, draw_until, step, tensor
from course.checks.judges import Match, MatchRows, mends_among, only_if
from course.checks.references import turned, turning
from course.checks.texts import exercise, lesson, questions
from course.exercises.pretraining.masking import MASK, MAY_NOT_CALL, PACK
from course.exercises.transformer.probes import attention, dense, weights_of
from course.exercises.transformer.sublayers import gelu, layer_norm
from course.exercises.translation.probes import log_softmax, mean, of_labels

LESSON = lesson("pretraining")

# 3. The loss at the chosen places


def gathered(i, how="each row"):
    """The vectors at the positions, `(batch, places, d_model)`."""
    sequence, positions = i["sequence"].astype("float64"), i["positions"]
    if how == "first row":
        return sequence[0][positions]
    if how == "in order":
        return sequence[:, : positions.shape[1]]
    if how == "first position":
        return np.take_along_axis(sequence, positions[:, :1, None], 1).repeat(positions.shape[1], 1)
    return np.take_along_axis(sequence, positions[..., None], 1)


def head_losses(i, *, how="each row", bias=1.0, of=None, transposed=True):
    """The cross-entropy at each place."""
    table = i["table"].astype("float64")
    logits = gathered(i, how) @ (table.T if transposed else table) + bias * i["bias"]
    values = -log_softmax(logits) if of is None else of(logits)
    return of_labels(values, i["labels"])


def masked_loss(i, average="tokens", *, real=None, **knobs):
    real = i["labels"] != i["pad_id"] if real is None else real(i)
    return mean(head_losses(i, **knobs), real, average)


loss_of = turning(masked_loss)


def _before_a_gap(i):
    return np.cumprod(i["labels"] != i["pad_id"], axis=1) > 0


def _cut_to_the_most(i):
    real = i["labels"] != i["pad_id"]
    return real & (np.arange(real.shape[1]) < real.sum(1).max())


def _only_losses_above_0(i):
    losses = head_losses(i).astype("float32") * (i["labels"] != i["pad_id"])
    return losses.sum() / max((losses > 0).sum(), 1)


def _clipped(values):
    return np.clip(values, 1e-7, 1 - 1e-7)


def _taken_for_shares(logits):
    """-log of what Keras makes of logits that it takes for probabilities, on TensorFlow."""
    shares = _clipped(logits)
    return -np.log(shares / shares.sum(-1, keepdims=True))


def _gaps(i):
    return (i["labels"] == i["pad_id"]).any()


def _several(i):
    return len(i["labels"]) > 1


def _not_finite(i, got):
    wide = np.abs(i["sequence"]).max() > 50
    return masked_loss(i) if wide and not np.isfinite(np.float64(got)) else None


judge_loss = Match(
    masked_loss,
    {
        "softmax-twice": loss_of(of=lambda logits: -families.softmax_twice(logits)),
        "softmax-over-places": loss_of(of=lambda logits: -families.over_places(logits)),
        "other-base": [loss_of(of=lambda logits, f=f: -f(logits)) for f in families.OTHER_BASES],
        "empty-places-counted": only_if(_gaps, loss_of("all places")),
        "one-too-many-labels": lambda i: (
            masked_loss(i, "sum") / ((i["labels"] != i["pad_id"]).sum() + 1)
        ),
        "divided-by-all": only_if(_gaps, loss_of("divided by all")),
        "sum-over-empty": only_if(_gaps, loss_of("not masked")),
        "mean-of-rows": only_if(lambda i: _gaps(i) and _several(i), loss_of("sentences")),
        "per-row": only_if(lambda i: i["labels"].size > 1, loss_of("per sentence")),
        "summed": only_if(lambda i: i["labels"].size > 1, loss_of("sum")),
        "nothing-chosen": only_if(
            lambda i: (i["labels"] == i["pad_id"]).all(), loss_of("nothing real")
        ),
        "pad-id-ignored": only_if(lambda i: i["pad_id"], loss_of(real=lambda i: i["labels"] != 0)),
        "labels-above-pad-id": only_if(
            lambda i: i["pad_id"], loss_of(real=lambda i: i["labels"] > i["pad_id"])
        ),
        "stops-at-a-gap": loss_of(real=_before_a_gap),
        "cut-to-the-most": loss_of(real=_cut_to_the_most),
        "zero-losses-left-out": _only_losses_above_0,
        "zero-by-the-first-row": turned(
            masked_loss, then=lambda r, i: r * (i["labels"][0] != i["pad_id"]).any()
        ),
        "zero-by-the-sum": turned(masked_loss, then=lambda r, i: r * (i["labels"].sum() != 0)),
        "positions-decide": loss_of(real=lambda i: i["positions"] != 0),
        "first-row-for-all": only_if(_several, loss_of(how="first row")),
        "places-in-order": loss_of(how="in order"),
        "first-position-only": only_if(
            lambda i: i["labels"].shape[1] > 1, loss_of(how="first position")
        ),
        "no-bias": loss_of(bias=0),
        "bias-subtracted": loss_of(bias=-1),
        "not-transposed": only_if(
            lambda i: i["table"].shape[0] == i["table"].shape[1], loss_of(transposed=False)
        ),
        "no-softmax": loss_of(of=lambda logits: -logits),
        "logits-for-shares": loss_of(of=_taken_for_shares),
        "logits-for-shares-divided": loss_of(  # the other backends divide first
            of=lambda logits: -np.log(_clipped(logits / logits.sum(-1, keepdims=True)))
        ),
        "no-logarithm": loss_of(of=lambda logits: -np.exp(log_softmax(logits))),
        "no-minus": loss_of(of=log_softmax),
        "cut-off": only_if(
            lambda i: np.abs(i["sequence"]).max() > 50,
            loss_of(
                of=lambda logits: -np.log(np.clip(np.exp(log_softmax(logits)), 1e-7, 1 - 1e-7))
            ),
        ),
        "epsilon-in-the-logarithm": [
            loss_of(of=lambda logits, f=f: -f(logits)) for f in families.logarithms_with_epsilon()
        ],
    },
    dtype=None,
    mends={"not-finite": _not_finite},
)


def places(
    counts,
    length=6,
    vocab_size=7,
    d_model=4,
    most=None,
    pad_id=0,
    scale=1.0,
    given=None,
    scattered=False,
    sure=False,
):
    """Vectors of rows, and so many chosen places in each; rows with fewer are filled up.

    Args:
        given: the labels of each row, where they are not drawn.
        scattered: whether empty places stand between the others.
        sure: whether the first place is as good as certain, its loss 0 in float32.
    """

    def inputs(rng):
        batch, most_ = len(counts), most or max(*counts, 1)
        positions, labels = np.zeros((batch, most_), int), np.full((batch, most_), pad_id)
        ordinary = np.array([n for n in range(vocab_size) if n != pad_id])
        for row, count in enumerate(counts):
            # Not the first places, and in no order: a row that is read in order is another one.
            positions[row, :count] = rng.permutation(np.arange(length))[:count]
            if count == 1 and positions[row, 0] < most_:
                positions[row, 0] = length - 1
            labels[row, :count] = given[row] if given else rng.choice(ordinary, count)
        if counts[0] > 1:
            positions[0, :2] = length - 1, 0  # a chosen place may be 0: labels say what counts
        sequence = scale * rng.normal(size=(batch, length, d_model))
        table = rng.normal(size=(vocab_size, d_model))
        if sure:
            table[labels[0, 0]] = 3 * np.sign(table[labels[0, 0]])
            sequence[0, positions[0, 0]] = scale * table[labels[0, 0]]
        if scattered:
            for row in range(batch):
                for array in (positions, labels):
                    array[row] = np.roll(array[row], 1 + row % 2)
        return {
            "sequence": sequence.astype("float32"),
            "positions": positions.astype("int32"),
            "labels": labels.astype("int32"),
            "table": table.astype("float32"),
            "bias": rng.normal(size=vocab_size).astype("float32"),
            "pad_id": pad_id,
        }

    return inputs


def call_loss(i):
    more = {"pad_id": i["pad_id"]} if i["pad_id"] else {}
    names = ("sequence", "positions", "labels", "table", "bias")
    return call(*(tensor(i[name]) for name in names), **more)


def loss_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, call_loss, judge_loss, **more)


LOSS = exercise(
    "pretraining.loss",
    defines="masked_lm_loss",
    may_not_call=MAY_NOT_CALL,
    probes=(
        loss_probe("one place", 1, places([1])),
        loss_probe("two places of one row", 0.5, places([2])),
        loss_probe("rows, each with its own places", 1, places([2, 2, 2])),
        loss_probe("rows with fewer places", 1, places([3, 1, 2], most=4, scattered=True)),
        loss_probe("as many ids as dimensions", 0.5, places([2, 1], vocab_size=5, d_model=5)),
        loss_probe("another pad_id", 0.5, places([0, 2, 1], pad_id=6, given=[[], [1, 5], [0]])),
        loss_probe("labels that are 0", 0.5, places([2], pad_id=3, given=[[0, 0]])),
        loss_probe("no place at all: 0", 0.5, places([0, 0])),
        loss_probe("logits in the hundreds", 0.5, places([2, 1], scale=150.0, sure=True)),
    ),
)


# 4. Repair the two ends of BERT

HANDED_OUT = ("embeddings-not-normalized", "no-tanh", "gelu-approximated")
NORMS = ("attention_norm", "feed_forward_norm")


def approximated(x):
    return x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2


def normal(i, name, x):
    gain, bias = (i["weights"][f"{name}.{n}"].astype("float64") for n in ("gamma", "beta"))
    return layer_norm(x, gain, bias, 1e-12)


def block(i, x, mask):
    """The encoder block between the two ends: lesson 04's, post-norm, with GELU."""
    inside = {k.removeprefix("block."): v for k, v in i["weights"].items() if k[:6] == "block."}
    inside = {k.replace("feed_forward.", ""): v for k, v in inside.items()}
    j = {"weights": inside, "num_heads": i["num_heads"]}
    x = normal(j, NORMS[0], x + attention(j, "self_attention", mask)(x))
    return normal(j, NORMS[1], x + dense(j, "outer", gelu(dense(j, "inner", x))))


def small_bert(
    i,
    *,
    normalized="the sum",
    tanh=np.tanh,
    activation=gelu,
    mask=lambda real: real[:, None, :],
    pooled=lambda x, real: x[:, 0],
    positions=1,
    segments=lambda ids: ids,
    transform_norm=True,
    norm_first=False,
    transform=True,
    bias=1,
    pooled_from="the block",
    tanh_first=False,
):
    """Logits and the pooled vector in float64, with a knob for each slip."""
    table, place, text = (
        i["weights"][f"{name}_embedding.embeddings"].astype("float64")
        for name in ("token", "position", "segment")
    )
    ids, real = i["ids"], i["ids"] != 0
    words, rest = table[ids], positions * place[: ids.shape[1]]
    rest = rest + (text[segments(i["segments"])] if segments else 0)
    if normalized == "the sum":
        x = normal(i, "embedding_norm", words + rest)
    elif normalized == "the words":
        x = normal(i, "embedding_norm", words) + rest
    elif normalized == "without positions":
        place = positions * place[: ids.shape[1]]
        x = normal(i, "embedding_norm", words + rest - place) + place
    else:
        x = words + rest
    embedded = x
    shape = (len(ids), ids.shape[1], ids.shape[1])
    x = block(i, x, None if mask is None else np.broadcast_to(mask(real), shape))
    vectors = dense(i, "transform", x) if transform else x
    vectors = normal(i, "transform_norm", vectors) if norm_first else vectors
    vectors = activation(vectors) if transform else vectors
    vectors = normal(i, "transform_norm", vectors) if transform_norm else vectors
    sources = {"the block": x, "the embeddings": embedded, "the transform": vectors}
    first = pooled(sources[pooled_from], real)
    head = dense(i, "pooler", tanh(first)) if tanh_first else tanh(dense(i, "pooler", first))
    return vectors @ table.T + bias * i["weights"]["bias"], head


bert_of = turning(small_bert)


SLIPS = {
    "embeddings-not-normalized": {"normalized": "nothing"},
    "no-tanh": {"tanh": lambda x: x},
    "gelu-approximated": {"activation": approximated},
}


def with_slips(i, slips):
    """The model with any of the slips that it is handed out with."""
    return small_bert(i, **{knob: value for name in slips for knob, value in SLIPS[name].items()})


def _padded(i):
    return (i["ids"] == 0).any()


def _long(i):
    return i["ids"].shape[1] > 1


def _mean_of_real(x, real):
    return (x * real[..., None]).sum(1) / real.sum(1, keepdims=True)


judge_bert = Match(
    small_bert,
    {
        "words-normalized-alone": bert_of(normalized="the words"),
        "positions-after-norm": bert_of(normalized="without positions"),
        "positions-missing": bert_of(positions=0),
        "positions-twice": bert_of(positions=2),
        "segments-missing": bert_of(segments=None),
        "segments-exchanged": bert_of(segments=lambda ids: 1 - ids),
        "mask-missing": only_if(_padded, bert_of(mask=None)),
        "mask-inverted": only_if(_padded, bert_of(mask=lambda real: ~real[:, None, :])),
        "pooled-mean": only_if(_long, bert_of(pooled=lambda x, real: x.mean(1))),
        "pooled-mean-of-real": only_if(_padded, bert_of(pooled=_mean_of_real)),
        "pooled-last": only_if(_long, bert_of(pooled=lambda x, real: x[:, -1])),
        "pooled-largest": only_if(_long, bert_of(pooled=lambda x, real: x.max(1))),
        "pooled-embedding": bert_of(pooled_from="the embeddings"),
        "pooled-after-transform": bert_of(pooled_from="the transform"),
        "sigmoid": bert_of(tanh=lambda x: 1 / (1 + np.exp(-x))),
        "pooler-gelu": bert_of(tanh=gelu),
        "tanh-before-pooler": bert_of(tanh_first=True),
        "relu": bert_of(activation=lambda x: np.maximum(x, 0)),
        "no-activation": bert_of(activation=lambda x: x),
        "transform-tanh": bert_of(activation=np.tanh),
        "transform-not-normalized": bert_of(transform_norm=False),
        "norm-before-gelu": bert_of(norm_first=True, transform_norm=False),
        "no-transform": bert_of(transform=False),
        "head-left-out": bert_of(transform=False, transform_norm=False),
        "no-bias": bert_of(bias=0),
        "swapped": turned(small_bert, then=lambda r, i: r[::-1]),
    },
    labels=("logits", "pooled"),
    mends=mends_among(small_bert, with_slips, HANDED_OUT),
)


def bert_inputs(lengths, *, vocab_size=9, max_length=7, d_model=4, heads=2, d_ff=6):
    """Rows of two texts, padded to the longest, and every weight of a small BERT."""

    def inputs(rng):
        width = max(lengths)
        place, length = np.arange(width), np.array(lengths)[:, None]
        ids = np.where(place < length, rng.integers(1, vocab_size, (len(lengths), width)), 0)
        segments = (place >= (length + 1) // 2) & (place < length)
        made = weights_of(rng, d_model, d_ff, ["self_attention"], NORMS)
        inner = ("inner", "outer")
        weights = {
            f"block.{'feed_forward.' * (k.split('.')[0] in inner)}{k}": v for k, v in made.items()
        }
        for name, size in (("token", vocab_size), ("position", max_length), ("segment", 2)):
            weights[f"{name}_embedding.embeddings"] = rng.normal(size=(size, d_model))
        for name in ("pooler", "transform"):
            weights[f"{name}.kernel"] = 1.5 * rng.normal(size=(d_model, d_model))
            weights[f"{name}.bias"] = rng.normal(size=d_model)
        for name in ("embedding_norm", "transform_norm"):
            weights[f"{name}.gamma"] = rng.uniform(0.5, 2, d_model)
            weights[f"{name}.beta"] = rng.normal(size=d_model)
        weights["bias"] = rng.normal(size=vocab_size)
        return {
            "ids": ids.astype("int32"),
            "segments": segments.astype("int32"),
            "num_heads": heads,
            "sizes": [vocab_size, max_length, d_model, heads, d_ff],
            "weights": {name: value.astype("float32") for name, value in weights.items()},
        }

    return inputs


def plan_bert(i):
    """Makes the layer, which has its weights then, sets them and calls it."""
    args = [tensor(i["ids"]), tensor(i["segments"])]
    return {
        "steps": [
            step("call", args=i["sizes"], save="layer"),
            step("weights", on="layer", values=i["weights"], save="set"),
            step("call", on="layer", args=args, save="result"),
        ],
        "return": ["result"],
    }


def bert_probe(title, points, lengths, **more):
    return Probe(title, points, bert_inputs(lengths, **more), plan_bert, judge_bert)


REPAIR = exercise(
    "pretraining.repair",
    defines="SmallBert",
    may_not_call=MAY_NOT_CALL,
    probes=(
        bert_probe("one token", 1.5, [1]),
        bert_probe("two texts in a row", 1.5, [5]),
        bert_probe("rows with padding", 1.5, [6, 3], vocab_size=11, d_model=8, heads=4, d_ff=10),
    ),
)


# 5. Count


def counted(
    i,
    *,
    positions=1,
    segments=2,
    embedding_norms=1,
    pooler=1,
    biases=1,
    norms=2,
    layers=None,
    projections=4,
    tied=1,
    transform=1,
    transform_norm=1,
    output_bias=1,
    following=2,
    norm_parts=2,
    network=2,
    network_biases=None,
):
    """Parameters of the encoder and of the heads, with a knob for each slip."""
    vocab_size, d, d_ff = i["vocab_size"], i["d_model"], i["d_ff"]
    layers = i["num_layers"] if layers is None else layers
    norm, square = norm_parts * d, d * d + biases * d
    inside = network * d * d_ff + (biases * (d_ff + d) if network == 2 else biases * d_ff)
    if network_biases is not None:
        inside = 2 * d * d_ff + network_biases(d, d_ff)
    one = projections * square + inside + norms * norm
    encoder = (vocab_size + positions * i["max_length"] + segments) * d + embedding_norms * norm
    encoder += layers * one + pooler * square
    heads = transform * square + transform_norm * norm + output_bias * vocab_size
    heads += following * d + biases * following + (1 - tied) * vocab_size * d
    return encoder, heads


counted_with = turning(counted)


judge_count = MatchRows(
    counted,
    {
        "no-positions": counted_with(positions=0),
        "no-segments": counted_with(segments=0),
        "one-segment": counted_with(segments=1),
        "no-embedding-norm": counted_with(embedding_norms=0),
        "a-norm-for-each-embedding": counted_with(embedding_norms=3),
        "no-pooler": counted_with(pooler=0),
        "no-biases": counted_with(biases=0),
        "no-block-norms": counted_with(norms=0),
        "one-block-norm": counted_with(norms=1),
        "one-number-a-norm": counted_with(norm_parts=1),
        "three-projections": counted_with(projections=3),
        "one-block": only_if(lambda i: i["num_layers"] > 1, counted_with(layers=1)),
        "half-the-network": counted_with(network=1),
        "network-without-biases": counted_with(network_biases=lambda d, d_ff: 0),
        "network-biases-of-d-model": counted_with(network_biases=lambda d, d_ff: 2 * d),
        "network-biases-of-d-ff": counted_with(network_biases=lambda d, d_ff: 2 * d_ff),
        "table-again": counted_with(tied=0),
        "no-transform": counted_with(transform=0),
        "no-transform-norm": counted_with(transform_norm=0),
        "no-output-bias": counted_with(output_bias=0),
        "no-next-sentence": counted_with(following=0),
        "one-logit": counted_with(following=1),
        "pooler-in-the-heads": lambda i: (
            counted(i, pooler=0)[0],
            counted(i)[1] + i["d_model"] ** 2 + i["d_model"],
        ),
        "together": lambda i: (sum(counted(i)), counted(i)[1]),
        "swapped": turned(counted, then=lambda r, i: r[::-1]),
        "in-millions": lambda i: tuple(n / 1e6 for n in counted(i)),
    },
    labels=("encoder", "heads"),
    dtype=None,
    tolerance=1e-9,
)

SIZES = ("vocab_size", "num_layers", "d_model", "d_ff", "max_length")


def sizes(vocab_size, num_layers, d_model, d_ff, max_length):
    """Sizes drawn around these."""
    return lambda rng: {
        "vocab_size": vocab_size + int(rng.integers(0, 50)),
        "num_layers": num_layers,
        "d_model": d_model * int(rng.integers(1, 4)),
        "d_ff": d_ff + int(rng.integers(0, 8)),
        "max_length": max_length + int(rng.integers(0, 9)),
    }


def count_probe(title, points, inputs):
    plan = lambda i: call(*(i[name] for name in SIZES)) | {"keras": False}  # noqa: E731
    return Probe(title, points, inputs, plan, judge_count)


COUNT = exercise(
    "pretraining.count",
    defines="count_bert",
    may_not_call=(*MAY_NOT_CALL, "course.pretraining.BertForPretraining"),
    probes=(
        count_probe("one block", 1.5, sizes(10, 1, 4, 20, 6)),
        count_probe("three blocks", 1, sizes(90, 3, 8, 50, 40)),
        count_probe("the size of base", 0.5, sizes(30_000, 12, 768, 3000, 500)),
    ),
)


# 6. Does it read?


def verdict(
    i,
    *,
    seen=None,
    add=1,
    total_grows=None,
    weights=None,
    log=np.log,
    average="places",
    better=np.less,
):
    """The figures of a run beside those of the frequencies, with a knob for each slip."""
    seen = np.asarray(i["train_counts"] if seen is None else seen(i), "float64")
    labels = np.asarray(i["label_counts"] if weights is None else weights(i), "float64")
    total = seen.sum() + (add * len(seen) if total_grows is None else total_grows)
    baseline = -(labels * np.where(labels > 0, log((seen + add) / total), 0)).sum() / labels.sum()
    losses, counts = (np.asarray(i[n], "float64") for n in ("batch_losses", "batch_places"))
    model = {
        "places": (losses * counts).sum() / counts.sum(),
        "batches": losses.mean(),
        "sum": (losses * counts).sum(),
        "divided by batches": (losses * counts).sum() / len(counts),
        "last": losses[-1],
        "best": losses.min(),
    }[average]
    found = {"baseline": baseline, "model": model}
    return found | {"better": np.array(better(model, baseline))}


verdict_with = turning(verdict)


def _best_guess(i):
    """The share of labels that the commonest token gets wrong, in place of a cross-entropy."""
    labels = np.asarray(i["label_counts"], "float64")
    wrong = 1 - labels[np.argmax(i["train_counts"])] / labels.sum()
    model = verdict(i)["model"]
    return {"baseline": wrong, "model": model, "better": np.array(model < wrong)}


def _perplexities(i):
    found = verdict(i)
    return found | {name: np.exp(found[name]) for name in ("baseline", "model")}


def _better_if_rounded(model, baseline):
    return round(model, 2) < round(baseline, 2)


def _by_batches(i):
    return np.array(np.mean(i["batch_losses"]) < verdict(i)["baseline"])


def _not_rounded(i, got):
    """The answer, if this is it with its numbers rounded to two, three or four places."""
    right = verdict(i)
    for digits in (2, 3, 4):
        said = {name: np.round(right[name], digits) for name in ("baseline", "model")}
        if all(abs(got[name] - said[name]) < 1e-6 for name in said):
            return right
    return None


judge_verdict = Match(
    verdict,
    {
        "mean-of-batches": verdict_with(average="batches"),
        "model-summed": verdict_with(average="sum"),
        "divided-by-batches": verdict_with(average="divided by batches"),
        "last-batch": verdict_with(average="last"),
        "best-batch": verdict_with(average="best"),
        "validation-frequencies": verdict_with(seen=lambda i: i["label_counts"]),
        "training-weights": verdict_with(weights=lambda i: i["train_counts"]),
        "weights-not-used": verdict_with(weights=lambda i: np.ones(len(i["train_counts"]))),
        "nothing-added": verdict_with(add=0),
        "added-above-only": verdict_with(total_grows=0),
        "one-in-the-sum": verdict_with(total_grows=1),
        "added-to-zeros": verdict_with(seen=lambda i: np.maximum(i["train_counts"], 1), add=0),
        "uniform": verdict_with(seen=lambda i: np.ones(len(i["train_counts"])), add=0),
        "in-bits": verdict_with(log=np.log2),
        "no-minus": lambda i: (
            (found := verdict(i)) | {"baseline": -found["baseline"], "better": np.array(False)}
        ),
        "best-guess": _best_guess,
        "perplexities": _perplexities,
        "compared-by-batches": turned(verdict, then=lambda r, i: r | {"better": _by_batches(i)}),
        "compared-rounded": verdict_with(better=_better_if_rounded),
        "wants-a-margin": verdict_with(better=lambda m, b: m < 0.99 * b),
        "inverted": verdict_with(better=np.greater),
        "always-better": verdict_with(better=lambda model, baseline: True),
        "never-better": verdict_with(better=lambda model, baseline: False),
    },
    dtype=None,
    tolerance=1e-6,
    mends={"rounded": _not_rounded},
)


def run(sizes, offsets, unseen=0, noise=0.01):
    """A validation: batches of these sizes, whose losses lie so far from the baseline."""

    def inputs(rng):
        vocab_size = 12
        train = rng.permutation(np.sort(rng.integers(2, 60, vocab_size)) ** 2)
        # One of the ids is no label, the others share the predicted tokens.
        drawn = rng.integers(0, vocab_size - 1, sum(sizes) - (vocab_size - 1))
        labels = np.bincount(drawn, minlength=vocab_size)
        labels[:-1] += 1
        train[:unseen] = 0
        drawn = {"train_counts": train, "label_counts": labels}
        drawn |= {"batch_losses": np.zeros(2), "batch_places": np.ones(2)}
        level = verdict(drawn)["baseline"]
        return drawn | {
            "batch_losses": level + np.array(offsets) + rng.uniform(-noise, noise, len(sizes)),
            "batch_places": np.array(sizes),
        }

    return inputs


def _not_by_rounding(i):
    return not _better_if_rounded(*(verdict(i)[name] for name in ("model", "baseline")))


def verdict_probe(title, points, *args, parts=lambda i: True, **more):
    names = ("train_counts", "label_counts", "batch_losses", "batch_places")
    plan = lambda i: call(*(i[name] for name in names)) | {"keras": False}  # noqa: E731
    return Probe(title, points, draw_until(run(*args, **more), parts), plan, judge_verdict)


DECIDE = exercise(
    "pretraining.decide",
    defines="judge_run",
    probes=(
        verdict_probe(
            "batches of equal size, a model that reads", 1, [8] * 4, [-0.5, -0.9, -0.55, -0.8]
        ),
        verdict_probe(
            "batches of unequal size: their mean would say yes",
            1,
            [90, 5, 5, 5],
            [0.3, -0.9, -0.7, -0.8],
        ),
        verdict_probe(
            "tokens that training never had", 0.5, [7, 30, 3], [0.4, -0.6, 0.1], unseen=3
        ),
        verdict_probe("a model that is worse", 0.5, [20, 10, 6], [0.2, 0.6, 0.3]),
        verdict_probe(
            "a model that is hardly better",
            0.5,
            [20, 10],
            [-5e-4, -4e-4],
            noise=1e-5,
            parts=_not_by_rounding,
        ),
    ),
)

EXERCISES = (MASK, PACK, LOSS, REPAIR, COUNT, DECIDE)

QUESTIONS = questions("pretraining")
