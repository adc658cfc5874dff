"""How `tokenizers.Tokenizer`s are put together: from a vocabulary, or from texts that teach one."""

from collections import Counter

from course.tokens.bert import END, SPECIAL, START, UNKNOWN, bert_parts


def normalization(normalizer):
    """Whether a normalizer, as its JSON says, takes capitals away; accents; divides Chinese."""
    if normalizer is None:
        return False, None, False
    parts = normalizer.get("normalizers", [normalizer])
    lowercase = any(part.get("lowercase") or part["type"] == "Lowercase" for part in parts)
    bert = next((part for part in parts if part["type"] == "BertNormalizer"), {})
    return lowercase, bert.get("strip_accents"), bert.get("handle_chinese_chars", True)


def wordpiece(vocabulary, parts, names=None):
    """BERT's tokenizer over a list of tokens, of which the last of two that are equal counts."""
    from tokenizers import Tokenizer, decoders, models

    ids = {token: i for i, token in enumerate(vocabulary)}
    unknown = names[UNKNOWN] if names else UNKNOWN
    fast = Tokenizer(models.WordPiece(ids, unk_token=unknown, max_input_chars_per_word=100))
    fast.normalizer, fast.pre_tokenizer = parts
    fast.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return with_special(fast, ids, names)


def with_special(fast, ids, names=None):
    """Adds BERT's frame of special tokens, where the vocabulary has them."""
    from tokenizers import AddedToken, processors

    names = names or dict(zip(SPECIAL, SPECIAL, strict=True))
    present = [names[token] for token in SPECIAL if names[token] in ids]
    fast.add_special_tokens([AddedToken(token, special=True) for token in present])
    frame, start, end = [], names[START], names[END]
    if start in ids and end in ids:
        frame.append(
            processors.TemplateProcessing(
                f"{start} $A {end}",
                f"{start} $A {end} $B:1 {end}:1",
                [(start, ids[start]), (end, ids[end])],
            )
        )
    if fast.model.__class__.__name__ == "BPE":
        frame.insert(0, processors.ByteLevel(trim_offsets=True))
    if frame:
        fast.post_processor = processors.Sequence(frame)
    return fast


def learn_bpe(texts, vocab_size, lowercase, min_frequency):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    least = len(alphabet) + len(SPECIAL)
    if vocab_size < least:
        raise ValueError(f"vocab_size = {vocab_size}: BPE begins with 256 bytes, at least {least}.")
    fast = Tokenizer(models.BPE())
    # The space in front makes a first word the same token as any other; `decode` takes it away.
    fast.normalizer = normalizers.Sequence(
        [normalizers.NFC(), *[normalizers.Lowercase()] * lowercase, normalizers.Prepend(" ")]
    )
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=False,
        special_tokens=list(SPECIAL),
        initial_alphabet=alphabet,
    )
    fast.train_from_iterator(texts, trainer)
    return with_special(fast, fast.get_vocab())


def learn_wordpiece(texts, vocab_size, lowercase, min_frequency, max_characters):
    """A WordPiece vocabulary as a list: special tokens, characters, continuations, joined pairs."""
    from tokenizers import Tokenizer, models, trainers

    normalizer, pre_tokenizer = bert_parts(lowercase)
    texts = [normalizer.normalize_str(text) for text in texts]
    characters = Counter("".join(texts))
    commonest = sorted(characters, key=lambda c: (-characters[c], c))
    alphabet = sorted(c for c in commonest[:max_characters] if not c.isspace())

    def train(size, fixed):
        fast = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
        fast.pre_tokenizer = pre_tokenizer
        trainer = trainers.WordPieceTrainer(
            vocab_size=size,
            min_frequency=min_frequency,
            show_progress=False,
            special_tokens=fixed,
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
        )
        fast.train_from_iterator(texts, trainer)
        ids = fast.get_vocab()
        return sorted(ids, key=ids.get)

    # The trainer numbers continuations in an order that changes from run to run, and of two pairs
    # that are equally common joins the one with the lower numbers. So: ask for the continuations
    # first, then give them fixed numbers.
    single = train(0, list(SPECIAL))
    pieces = sorted(set(single) - set(SPECIAL) - set(alphabet))
    fixed = [*SPECIAL, *alphabet, *pieces]
    if len(fixed) > vocab_size:
        raise ValueError(
            f"vocab_size = {vocab_size}: the texts hold {len(alphabet)} different characters, "
            f"which with {len(pieces)} continuations and {len(SPECIAL)} special tokens makes "
            f"{len(fixed)}: raise vocab_size or pass max_characters."
        )
    return train(vocab_size, fixed)
