"""What BERT's tokenizer consists of, apart from its vocabulary."""

PAD, UNKNOWN, START, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


# What the five are called elsewhere: RoBERTa's names, in the same order.
OTHER_NAMES = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")


def bert_parts(lowercase, strip_accents=None, chinese_characters=True):
    """BERT's normalizer and its division into words.

    Args:
        lowercase: whether capitals are taken away.
        strip_accents: whether accents are; None means where capitals are.
        chinese_characters: whether each of them is a word.
    """
    from tokenizers import normalizers, pre_tokenizers

    normalizer = normalizers.BertNormalizer(
        lowercase=lowercase,
        strip_accents=strip_accents,
        handle_chinese_chars=chinese_characters,
    )
    return normalizer, pre_tokenizers.BertPreTokenizer()
