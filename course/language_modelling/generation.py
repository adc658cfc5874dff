"""Prompts in, texts out: whole, or piece by piece as they are written."""

import weakref

import numpy as np
from keras import ops

from course import decoding
from course.decoding.compilation import compiled
from course.decoding.logits_processors import draw, next_distribution, suppress
from course.language_modelling.scoring import start_and_end


def encode_prompts(tokenizer, prompts):
    """Prompts as ids, each with the start symbol: int32 array, padded at the end with -1.

    Args:
        tokenizer: a `Tokenizer`.
        prompts: list of strings; an empty one is the start symbol alone.
    """
    start, _ = start_and_end(tokenizer)
    rows = [[start, *ids] for ids in tokenizer.encode_batch(prompts, special=False)]
    ids = np.full((len(rows), max(map(len, rows))), -1, "int32")
    for row, found in zip(ids, rows, strict=True):
        row[: len(found)] = found
    return ids


def generate(
    model,
    tokenizer,
    prompts,
    *,
    max_new_tokens=200,
    temperature=1.0,
    top_k=None,
    top_p=None,
    repetition_penalty=1.0,
    num_beams=1,
    seed=0,
):
    """Goes on with texts.

    Args:
        model: a `CausalLM`.
        tokenizer: its `Tokenizer`.
        prompts: list of strings. They are written as they are; an empty one begins a new text.
        max_new_tokens: the most tokens to write; fewer where a text ends, or the model is full.
        temperature: 0 takes the likeliest token each time; 1 draws as the model says.
        top_k, top_p, repetition_penalty: see `decoding.sample`.
        num_beams: more than 1 searches with beams, and draws nothing.
        seed: of the draws.

    Returns:
        A list of strings: what was written, without the prompts.

    Raises:
        ValueError: if a prompt fills the model, or a setting is out of range.
    """
    if isinstance(prompts, str):
        raise ValueError("a list of prompts was expected, and one string came.")
    ids = encode_prompts(tokenizer, prompts)
    room = _room(model, ids.shape[1], max_new_tokens)
    _, end = start_and_end(tokenizer)
    settings = {"max_length": room, "end_id": end, "pad_id": -1}
    settings["suppress_ids"] = suppressed(tokenizer)
    if num_beams > 1:
        found, _ = decoding.beam_search(model, ids, num_beams=num_beams, **settings)
        found = found[:, 0]
    elif temperature == 0:
        found = decoding.greedy(model, ids, repetition_penalty=repetition_penalty, **settings)
    else:
        found = decoding.sample(
            model,
            ids,
            seed=seed,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            repetition_penalty=repetition_penalty,
            **settings,
        )
    rows = np.asarray(ops.convert_to_numpy(found))
    return tokenizer.decode_batch([[i for i in row if i not in (-1, end)] for row in rows])


def suppressed(tokenizer):
    """Ids that are no text and no end: padding, unknown characters, the start, the mask."""
    _, end = start_and_end(tokenizer)
    names = ("[PAD]", "[UNK]", "[CLS]", "[MASK]", "<unk>", "<s>")
    known = set(tokenizer.vocabulary)
    ids = {tokenizer.token_to_id(name) for name in names if name in known}
    return tuple(sorted(ids - {end}))


def _room(model, width, max_new_tokens):
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens = {max_new_tokens}: write at least 1.")
    room = min(max_new_tokens, model.max_length - width)
    if room < 1:
        raise ValueError(
            f"the prompt has {width} tokens and the model reads {model.max_length}: nothing can "
            "be written behind it. Shorten the prompt."
        )
    return room


_steps = weakref.WeakKeyDictionary()  # {model: {settings: compiled}}


def stream(
    model,
    tokenizer,
    prompt="",
    *,
    max_new_tokens=200,
    temperature=1.0,
    top_k=None,
    top_p=None,
    seed=0,
):
    """Goes on with a text, piece by piece: what `generate` returns, as soon as it is known.

    Args:
        model, tokenizer, max_new_tokens, temperature, top_k, top_p, seed: see `generate`.
        prompt: a string.

    Yields:
        Strings; together they are the text that was written. A character whose bytes are several
        tokens comes whole.
    """
    ids = encode_prompts(tokenizer, [prompt])
    room = _room(model, ids.shape[1], max_new_tokens)
    _, end = start_and_end(tokenizer)
    draws = np.random.default_rng(seed).random((1, room), "float32")  # as `decoding.sample` draws
    step = _step(model, temperature, top_k, top_p, suppressed(tokenizer))
    cache = model.start_cache(ids, ids.shape[1] + room)
    written, shown, index, new = [], "", 0, ids
    for t in range(room):
        at = ops.convert_to_tensor(index, "int32")
        uniform = ops.convert_to_tensor(draws[:, t : t + 1])
        chosen, cache = step(ops.convert_to_tensor(new), cache, at, uniform)
        index += new.shape[1]
        new = np.asarray(ops.convert_to_numpy(chosen)).reshape(1, 1).astype("int32")
        if new[0, 0] == end:
            break
        written.append(int(new[0, 0]))
        text = tokenizer.decode(written)
        if not text.endswith("\ufffd") and text.startswith(shown):
            yield text[len(shown) :]
            shown = text
    text = tokenizer.decode(written)
    if text != shown:
        yield text[len(shown) :]


def _step(model, temperature, top_k, top_p, suppress_ids):
    """One step and one draw, compiled once for each model and settings."""
    graphs = _steps.setdefault(model, {})
    key = (temperature, top_k, top_p, suppress_ids)
    if key not in graphs:
        owner = weakref.ref(model)

        def step(ids, cache, index, uniform):
            logits, cache = owner().step(ids, cache, index)
            logits = ops.cast(logits, "float32")
            logits = suppress(logits, suppress_ids) if suppress_ids else logits
            if temperature == 0:
                return ops.argmax(logits, axis=-1), cache
            return draw(next_distribution(logits, temperature, top_k, top_p), uniform), cache

        graphs[key] = compiled(step, model)
    return graphs[key]
