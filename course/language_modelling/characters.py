"""A vocabulary of characters: nothing is joined, every character is a token."""

from course.tokens import Tokenizer
from course.tokens.bert import END, MASK, PAD, START, UNKNOWN


def learn_characters(texts):
    """A `Tokenizer` whose tokens are the characters of some texts.

    A character that was not there is `[UNK]`. Line ends and blanks are characters like any other.

    Args:
        texts: list of strings.
    """
    from tokenizers import AddedToken, decoders, models, normalizers
    from tokenizers import Tokenizer as Fast

    special = [PAD, UNKNOWN, START, END, MASK]
    characters = sorted(set().union(*texts))
    ids = {token: i for i, token in enumerate([*special, *characters])}
    fast = Fast(models.BPE(ids, [], unk_token=UNKNOWN))  # without merges each stays by itself
    fast.normalizer = normalizers.Sequence([])  # none: every character is kept
    fast.decoder = decoders.Fuse()
    fast.add_special_tokens([AddedToken(token, special=True) for token in special])
    return Tokenizer(fast)
