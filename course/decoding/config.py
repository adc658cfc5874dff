"""What a call of the decoding functions asks for, in one hashable object."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GenerationConfig:
    """Settings of a search or of sampling, named as Hugging Face names them.

    Args:
        max_length: the most ids to generate, an integer ≥ 1.
        end_id: the id that ends a sentence; -1 if none does.
        start_id: the id that starts the targets of an encoder-decoder model; None where the inputs
            are prompts.
        pad_id: what fills up prompts, and results after their end.
        suppress_ids: tuple of ids that are not to be generated.
        repetition_penalty: see `course.decoding.repetition_penalty`; 1 changes nothing.
        temperature: what logits are divided by before an id is drawn.
        top_k: how many ids an id is drawn from; None means all.
        top_p: the probability that the ids an id is drawn from reach; None means all.
        num_beams: how many beginnings of a sentence go on side by side.
        num_return_sequences: how many sentences a beam search returns for each input.
        length_penalty: α of the score log P(y) / |y|^α.
        early_stopping: when a beam search stops: True, False or "never".

    Raises:
        ValueError: if a setting is out of range; the message names it.
    """

    max_length: int
    end_id: int
    start_id: int | None = None
    pad_id: int = 0
    suppress_ids: tuple[int, ...] = ()
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    num_beams: int = 1
    num_return_sequences: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False

    def __post_init__(self):
        if self.max_length < 1:
            raise ValueError(f"max_length = {self.max_length}: generate at least 1 id.")
        if not self.repetition_penalty > 0:
            raise ValueError(
                f"repetition_penalty = {self.repetition_penalty}: logits are divided by it, so it "
                "has to be above 0; 1 changes nothing."
            )
        if not self.temperature > 0:
            raise ValueError(
                f"temperature = {self.temperature}: logits are divided by it. Use greedy for 0."
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k = {self.top_k}: keep at least 1 id, or None for all.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(
                f"top_p = {self.top_p}: a probability above 0 and at most 1, or None for all."
            )
        if not 1 <= self.num_return_sequences <= self.num_beams:
            raise ValueError(
                f"num_return_sequences = {self.num_return_sequences} and num_beams = "
                f"{self.num_beams}: return at least 1 of the beams and at most all."
            )
        if self.early_stopping not in (True, False, "never"):
            raise ValueError(
                f'early_stopping = {self.early_stopping!r}: choose True, False or "never".'
            )
        # Hashable, and equal however the caller wrote it.
        object.__setattr__(self, "suppress_ids", tuple(int(each) for each in self.suppress_ids))
        for name in ("repetition_penalty", "temperature", "length_penalty"):
            object.__setattr__(self, name, float(getattr(self, name)))
