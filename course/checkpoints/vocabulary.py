"""The vocabulary that belongs to a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from course import runtime
from course.checkpoints.opening import files_of, json_object, json_value, read_json, read_text
from course.checkpoints.shards import CheckpointError
from course.tokens import Tokenizer
from course.tokens.bert import SPECIAL

# Classes of `transformers`, without "Fast", whose vocab.txt is BERT's, and whose BPE is GPT-2's.
WORDPIECE = ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer")
BYTE_LEVEL = ("RobertaTokenizer", "GPT2Tokenizer", "LongformerTokenizer", "BartTokenizer")
GENERAL = ("PreTrainedTokenizer", "TokenizersBackend")  # all of it is in tokenizer.json
_KEYS = dict(
    zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True)
)
_ROBERTA = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")


def load_tokenizer(source: Any, *, revision: str | None = None) -> Tokenizer:
    """The `Tokenizer` of a checkpoint.

    It is made from `vocab.txt` (WordPiece), else from `tokenizer.json`, else from `vocab.json` and
    `merges.txt` (byte-level BPE), with the settings of `tokenizer_config.json` and the tokens of
    `added_tokens.json`.

    Args:
        source, revision: see `load_bert`; not a keras-hub model.

    Raises:
        CheckpointError: if it has none of them, or they are damaged, or the tokenizer is of a class
            that cannot be had here.
    """
    files = files_of(source, revision)
    settings = read_json(files, "tokenizer_config.json") or {}
    kind = _class_of(files, settings)
    names = _special_tokens(files, settings)
    preset = files.get("assets/tokenizer/vocabulary.txt")
    vocabulary, whole = files.get("vocab.txt") or preset, files.get("tokenizer.json")
    if vocabulary is not None and kind not in BYTE_LEVEL:
        if preset is not None and vocabulary == preset:  # keras-hub's
            inner = json_object(whole).get("config") if whole else None
            lowercase = inner.get("lowercase", False) if isinstance(inner, dict) else False
            settings, whole = {"do_lower_case": lowercase}, None
        tokenizer = _wordpiece(vocabulary, settings, names, files)
        return _with_added(tokenizer, _added_tokens(files, settings, whole), files)
    if whole is not None:
        try:
            tokenizer = Tokenizer.load(Path(whole).parent, names)
        except CheckpointError:
            raise
        except Exception as error:  # `tokenizers` raises nothing narrower
            json_object(whole)  # says it better, if it is no JSON at all
            raise CheckpointError(
                f"{whole} cannot be read as WordPiece or BPE ({error}). {_readable()}"
            ) from None
        tokenizer.fast.no_truncation()
        tokenizer.fast.no_padding()
        return tokenizer
    words, merges = files.get("vocab.json"), files.get("merges.txt")
    if words is not None and merges is not None:
        tokenizer = _byte_level(words, merges, settings, names)
        return _with_added(tokenizer, _added_tokens(files, settings, None), files)
    raise CheckpointError(
        f"{files} has neither vocab.txt nor tokenizer.json, nor vocab.json with merges.txt: get "
        "the files of the tokenizer from where the weights are from."
    )


def _readable() -> str:
    return (
        f"This course reads {', '.join(WORDPIECE[:2])} (vocab.txt), {BYTE_LEVEL[0]} (vocab.json "
        "and merges.txt) and a tokenizer.json of WordPiece or BPE; for another kind use "
        "`transformers`."
    )


def _class_of(files: Any, settings: dict[str, Any]) -> str | None:
    """The class of `transformers` that a checkpoint asks for, if that can be had here."""
    config = read_json(files, "config.json") or {}
    named = settings.get("tokenizer_class") or config.get("tokenizer_class")
    kind = str(named).removesuffix("Fast") if named else None
    word, sub = (settings.get(f"{each}_tokenizer_type") for each in ("word", "subword"))
    japanese = kind == "BertJapaneseTokenizer"
    if word not in (None, "basic") or sub not in (None, "wordpiece") or (japanese and not word):
        shown = word if word not in (None, "basic") else sub
        raise CheckpointError(
            f"{files}: its tokenizer is {named or 'BertJapaneseTokenizer'}, which divides words by "
            f"{shown or 'MeCab'} before it looks into the vocabulary: its ids cannot be had here. "
            f"{_readable()}"
        )
    if kind is None or kind in (*WORDPIECE, *BYTE_LEVEL, *GENERAL) or japanese:
        return kind
    if files.get("tokenizer.json") is None or files.get("vocab.txt") is not None:
        raise CheckpointError(f"{files}: its tokenizer is {named}. {_readable()}")
    return kind


def _special_tokens(files: Any, settings: dict[str, Any]) -> dict[str, str]:
    """{"[PAD]": its name, …} of the special tokens that are called otherwise."""
    kept = read_json(files, "special_tokens_map.json") or {}
    found = {}
    for key, usual in _KEYS.items():
        value = settings.get(key, kept.get(key))
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str) and value and value != usual:
            found[usual] = value
    return found


def _wordpiece(
    path: str | Path, settings: dict[str, Any], names: dict[str, str], files: Any
) -> Tokenizer:
    lowercase = settings.get("do_lower_case", True)
    accents = settings.get("strip_accents")
    chinese = settings.get("tokenize_chinese_chars", True)
    given = {"do_lower_case": lowercase, "tokenize_chinese_chars": chinese}
    given |= {} if accents is None else {"strip_accents": accents}
    for key, value in given.items():
        if not isinstance(value, bool):
            raise CheckpointError(
                f"{files}: tokenizer_config.json has {key} = {value!r}: expected true or false."
            )
    if settings.get("do_basic_tokenize") is False:
        raise CheckpointError(
            f"{files}: tokenizer_config.json has do_basic_tokenize = False: texts would have to be "
            "divided into words before, which BERT's tokenizer here cannot leave out."
        )
    lines = read_text(path).removesuffix("\n").split("\n")  # not splitlines: U+2028 is a token
    lines = [line.removesuffix("\r") for line in lines]
    try:
        return Tokenizer.from_vocab(
            lines,
            lowercase,
            strip_accents=accents,
            chinese_characters=chinese,
            special_tokens=names,
            duplicates=True,
        )
    except ValueError as error:
        raise CheckpointError(f"{path}: {error} Is it the vocabulary of a BERT?") from None


def _byte_level(
    vocab: str | Path, merges: str | Path, settings: dict[str, Any], names: dict[str, str]
) -> Tokenizer:
    """RoBERTa's tokenizer: GPT-2's pieces in a frame of `<s>` and `</s>`."""
    from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
    from tokenizers import Tokenizer as Fast

    ids, prefix_space = json_object(vocab), bool(settings.get("add_prefix_space"))
    given = settings.get("mask_token")
    lstrip = isinstance(given, dict) and given.get("lstrip") is True
    if not all(isinstance(i, int) and 0 <= i < 10**7 for i in ids.values()):
        raise CheckpointError(f"{vocab} holds ids that are no numbers from 0. Get it again.")
    lines = read_text(merges).split("\n")
    lines = [
        line.rstrip("\r") for line in lines if line.strip() and not line.startswith("#version")
    ]
    pairs = [tuple(line.split(" ")) for line in lines]
    odd = next((line for line, pair in zip(lines, pairs, strict=True) if len(pair) != 2), None)
    if odd is not None:
        raise CheckpointError(f"{merges} has the line {odd[:40]!r}: expected two pieces a line.")
    try:
        fast = Fast(models.BPE(ids, pairs))
    except Exception as error:  # `tokenizers` raises nothing narrower
        raise CheckpointError(
            f"{vocab} and {merges} do not fit: {error}. Get both again."
        ) from None
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    fast.decoder = decoders.ByteLevel()
    named = dict(zip(SPECIAL, _ROBERTA, strict=True)) | names
    present = [named[token] for token in SPECIAL if named[token] in ids]
    mask = named[SPECIAL[4]]
    fast.add_special_tokens(
        [
            AddedToken(t, special=True, normalized=False, lstrip=lstrip and t == mask)
            for t in present
        ]
    )
    start, end = named[SPECIAL[2]], named[SPECIAL[3]]
    if start in ids and end in ids:
        fast.post_processor = processors.RobertaProcessing(
            (end, ids[end]), (start, ids[start]), True, prefix_space
        )
    else:
        fast.post_processor = processors.ByteLevel(trim_offsets=True)
    return Tokenizer(fast, {usual: name for usual, name in named.items() if name in ids})


def _added_tokens(files: Any, settings: dict[str, Any], whole: Any) -> dict[int, dict[str, Any]]:
    """{id: what `tokenizers.AddedToken` takes} of the tokens that were added to a vocabulary.

    Args:
        files, settings: of the checkpoint.
        whole: its `tokenizer.json`, or None.
    """
    found = {}
    path = files.get("added_tokens.json")
    extra = settings.get("additional_special_tokens") or []
    special = {str(each.get("content") if isinstance(each, dict) else each) for each in extra}
    for token, i in (json_object(path) if path else {}).items():
        found[i] = {
            "content": token,
            "special": token in special,
            "normalized": token not in special,
        }
    listed = json_value(whole) if whole else None
    rows = listed.get("added_tokens") if isinstance(listed, dict) else None
    decoder = settings.get("added_tokens_decoder") or {}
    try:
        found |= {row["id"]: dict(row) for row in rows or ()}
        found |= {int(i): dict(row) for i, row in decoder.items()}
        keys = ("content", "special", "normalized", "lstrip", "rstrip", "single_word")
        found = {i: {k: row[k] for k in keys if k in row} for i, row in found.items()}
        good = all(
            isinstance(i, int) and 0 <= i < 10**7 and isinstance(row["content"], str)
            for i, row in found.items()
        )
        if not good:
            raise ValueError("an id is no number, or a token no text")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{files}: the tokens that were added to its vocabulary make no sense ({error}). Get "
            "added_tokens.json, tokenizer_config.json and tokenizer.json again."
        ) from None
    return found


def _with_added(tokenizer: Tokenizer, added: dict[int, dict[str, Any]], files: Any) -> Tokenizer:
    """The tokenizer with tokens that were added to its vocabulary, each with its id there."""
    from tokenizers import AddedToken
    from tokenizers import Tokenizer as Fast

    known = set(tokenizer.special_tokens.values())
    added = {i: row for i, row in sorted(added.items()) if row["content"] not in known}
    if not added:
        return tokenizer
    data = json.loads(tokenizer.fast.to_str())
    ids, pieces = tokenizer.fast.get_vocab(), data["model"]["vocab"]
    following = max(len(pieces), *(row["id"] + 1 for row in data["added_tokens"]), 0)
    for i, row in added.items():
        token = row["content"]
        if token in ids and ids[token] != i:
            raise CheckpointError(
                f"{files}: the added token {token!r} has the id {i}, and {ids[token]} in the "
                "vocabulary: the files do not belong together."
            )
        if i < len(tokenizer.vocabulary) and tokenizer.vocabulary[i] not in ("", token):
            raise CheckpointError(
                f"{files}: the added token {token!r} has the id {i}, which is "
                f"{tokenizer.vocabulary[i]!r} in the vocabulary: the files do not belong together."
            )
        if token not in ids and i != following:  # the library would give it another id
            pieces[token] = i
        following = max(following, i + 1)
    fast = Fast.from_str(json.dumps(data))
    for row in added.values():
        token = AddedToken(**row)
        (fast.add_special_tokens if row.get("special") else fast.add_tokens)([token])
    made = Tokenizer(fast, tokenizer.special_tokens, tokenizer.vocabulary)
    made.added_tokens = {row["content"]: i for i, row in added.items() if row["content"] not in ids}
    return made


def save_tokenizer(
    tokenizer: Tokenizer, folder: str | Path, max_length: int, model_type: str = "bert"
) -> None:
    """Writes `tokenizer.json`, `tokenizer_config.json` and (WordPiece) `vocab.txt`.

    Args:
        tokenizer: a `Tokenizer`.
        folder: where to.
        max_length: the longest input of its model.
        model_type: of its model, after which `transformers` names the class.
    """
    folder = Path(folder)
    tokenizer.save(folder)
    settings: dict[str, Any] = {
        "model_max_length": max_length,
        "do_lower_case": tokenizer.lowercase,
    }
    if tokenizer.kind == "wordpiece":
        named = {"distilbert": "DistilBertTokenizer"}
        settings["tokenizer_class"] = named.get(model_type, "BertTokenizer")
        _, accents, chinese = tokenizer.normalization
        settings |= {} if accents is None else {"strip_accents": accents}
        settings |= {} if chinese else {"tokenize_chinese_chars": False}
        added = set(tokenizer.added_tokens.values())
        rows = enumerate(tokenizer.vocabulary)
        lines = "".join(f"{token}\n" for i, token in rows if i not in added)
        runtime.write_atomically(folder / "vocab.txt", lines.encode())
    else:
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    for key, usual in _KEYS.items():
        settings[key] = tokenizer.special_tokens[usual]
    if tokenizer.added_tokens:
        text = json.dumps(tokenizer.added_tokens, indent=2, ensure_ascii=False) + "\n"
        runtime.write_atomically(folder / "added_tokens.json", text.encode())
    text = json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    runtime.write_atomically(folder / "tokenizer_config.json", text.encode())
