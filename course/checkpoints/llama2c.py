"""The files of llama2.c: a small Llama in one binary file, and its vocabulary in another."""

import itertools
from pathlib import Path

import numpy as np

from course.checkpoints import llama
from course.checkpoints.causal import fill
from course.checkpoints.shards import CheckpointError, Tensor
from course.language_modelling.model import CausalLM
from course.tokens import Tokenizer

HEADER = 7  # int32: d_model, d_ff, layers, heads, heads of keys and values, ids, positions


def load_llama2c(path):
    """A `CausalLM` from llama2.c's binary file (version 0: a header and float32 numbers).

    The file's queries and keys are made for rotary pairs that are adjacent; here their rows are put
    in the order of "halves", as Hugging Face's conversion does it.

    Args:
        path: of the file, such as `stories260K.bin`.

    Raises:
        CheckpointError: if the file is cut off, or not of that kind.
    """
    data = Path(path).read_bytes()
    header = np.frombuffer(data[: 4 * HEADER], "<i4")
    if len(header) < HEADER or min(header[:5]) < 1 or header[0] % header[3]:
        raise CheckpointError(f"{path} is no file of llama2.c: its first numbers are no sizes.")
    d_model, d_ff, layers, heads, shared, vocab, length = map(int, header)
    tied, vocab = vocab > 0, abs(vocab)  # a negative number says that the output has its own
    d_head = d_model // heads
    shapes = {
        "embed_tokens": (vocab, d_model),
        "input_layernorm": (layers, d_model),
        "self_attn.q_proj": (layers, d_model, d_model),
        "self_attn.k_proj": (layers, shared * d_head, d_model),
        "self_attn.v_proj": (layers, shared * d_head, d_model),
        "self_attn.o_proj": (layers, d_model, d_model),
        "post_attention_layernorm": (layers, d_model),
        "mlp.gate_proj": (layers, d_ff, d_model),
        "mlp.down_proj": (layers, d_model, d_ff),
        "mlp.up_proj": (layers, d_ff, d_model),
        "norm": (d_model,),
        "rotary tables": (2, length, d_head // 2),
    }
    shapes |= {} if tied else {"lm_head": (vocab, d_model)}
    numbers = np.frombuffer(data[4 * HEADER :], "<f4")
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    if len(numbers) != sum(sizes):
        raise CheckpointError(
            f"{path} has {len(numbers):,} numbers and its header promises {sum(sizes):,}: it is "
            "cut off, or of another version. Get it again."
        )
    parts = np.split(numbers, np.cumsum(sizes)[:-1])
    arrays = {n: p.reshape(s) for (n, s), p in zip(shapes.items(), parts, strict=True)}
    del arrays["rotary tables"]  # they follow from the positions
    for name, count in (("self_attn.q_proj", heads), ("self_attn.k_proj", shared)):
        pairs = arrays[name].reshape(layers, count, d_head // 2, 2, d_model)
        arrays[name] = pairs.swapaxes(2, 3).reshape(arrays[name].shape)
    tensors = {}
    for name, array in arrays.items():
        whole = name in ("embed_tokens", "norm", "lm_head")
        for i, each in enumerate([array] if whole else array):
            prefix = "" if whole else f"layers.{i}."
            tensors[f"{prefix}{name}.weight"] = Tensor(each.shape, lambda each=each: each)
    sizes = {"num_layers": layers, "d_model": d_model, "num_heads": heads, "d_ff": d_ff}
    more = {"num_key_value_heads": shared, "max_length": length, "tie_embeddings": tied}
    kind = llama.KIND | {"activation": "silu", "use_bias": False}
    model = CausalLM(vocab, **sizes, **more, **kind)
    fill(model, llama.places(model), tensors, str(path))
    return model


def load_llama2c_tokenizer(path):
    """The vocabulary of llama2.c, `tok512.bin` or such: SentencePiece's BPE with bytes to fall to.

    Args:
        path: of the file.

    Returns:
        A `Tokenizer`; the ids of a text begin with those of a space. Its start symbol has id 1.

    Raises:
        CheckpointError: if the file is cut off.
    """
    from tokenizers import AddedToken, decoders, models, normalizers
    from tokenizers import Tokenizer as Fast

    data, place, pieces, scores = Path(path).read_bytes(), 4, [], []
    while place < len(data):
        scores.append(float(np.frombuffer(data, "<f4", 1, place)[0]))
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        if not 0 < size <= len(data) - place - 8:
            raise CheckpointError(f"{path} is cut off, or no vocabulary of llama2.c.")
        pieces.append(data[place + 8 : place + 8 + size].decode().replace(" ", "▁"))
        place += 8 + size
    pieces[:3] = ("<unk>", "<s>", "</s>")
    ids = {piece: i for i, piece in enumerate(pieces)}
    ranked = sorted(range(3, len(pieces)), key=lambda i: -scores[i])
    merges = [
        (piece[:cut], piece[cut:])
        for piece in (pieces[i] for i in ranked if len(pieces[i]) > 1)
        for cut in range(1, len(piece))
        if {piece[:cut], piece[cut:]} <= ids.keys() and not piece.startswith("<0x")
    ]
    fast = Fast(models.BPE(ids, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    fast.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    fast.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    special = itertools.islice(pieces, 3)
    fast.add_special_tokens([AddedToken(piece, special=True) for piece in special])
    return Tokenizer(fast)
