"""The vocabulary that belongs to a checkpoint."""

import json
from pathlib import Path

from course import runtime
from course.checkpoints.opening import files_of, read_json
from course.checkpoints.shards import CheckpointError
from course.tokens import Tokenizer


def load_tokenizer(source, *, revision=None):
    """The `Tokenizer` of a checkpoint: from its `vocab.txt`, else from its `tokenizer.json`.

    Args:
        source, revision: see `load_bert`; not a `BertBackbone`.

    Raises:
        CheckpointError: if it has neither, or its settings are not BERT's.
    """
    files = files_of(source, revision)
    settings = read_json(files, "tokenizer_config.json") or {}
    lowercase = settings.get("do_lower_case", True)
    vocabulary = files.get("vocab.txt")
    if vocabulary is None and (preset := files.get("assets/tokenizer/vocabulary.txt")):
        vocabulary = preset  # keras-hub's
        kept = (read_json(files, "tokenizer.json") or {}).get("config", {})
        lowercase = kept.get("lowercase", False)
    if vocabulary is not None:
        accents = settings.get("strip_accents")
        if accents not in (None, lowercase) or settings.get("tokenize_chinese_chars") is False:
            raise CheckpointError(
                f"{files}: tokenizer_config.json has strip_accents = {accents!r} with "
                f"do_lower_case = {lowercase!r}, and tokenize_chinese_chars = "
                f"{settings.get('tokenize_chinese_chars', True)!r}, which BERT's tokenizer here "
                "cannot do."
            )
        try:
            return Tokenizer.from_vocab(vocabulary, lowercase=bool(lowercase))
        except ValueError as error:
            raise CheckpointError(f"{vocabulary}: {error}") from None
    path = files.get("tokenizer.json")
    if path is None:
        raise CheckpointError(f"{files} has neither vocab.txt nor tokenizer.json.")
    tokenizer = Tokenizer.load(Path(path).parent)
    tokenizer.fast.no_truncation()
    tokenizer.fast.no_padding()
    return tokenizer


def save_tokenizer(tokenizer, folder, max_length, model_type="bert"):
    """Writes `tokenizer.json`, `tokenizer_config.json` and (WordPiece) `vocab.txt`.

    Args:
        tokenizer: a `Tokenizer`.
        folder: where to.
        max_length: the longest input of its model.
    """
    tokenizer.save(folder)
    settings = {"model_max_length": max_length, "do_lower_case": tokenizer.lowercase}
    if tokenizer.kind == "wordpiece":
        settings["tokenizer_class"] = "BertTokenizer"
        lines = "".join(f"{token}\n" for token in tokenizer.vocabulary)
        runtime.write_atomically(folder / "vocab.txt", lines.encode())
    else:
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    for kind, token in (("pad", "[PAD]"), ("unk", "[UNK]"), ("cls", "[CLS]"), ("sep", "[SEP]")):
        settings[f"{kind}_token"] = token
    settings["mask_token"] = "[MASK]"
    told = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    runtime.write_atomically(folder / "tokenizer_config.json", told.encode())
