"""From the verdicts on all probes to the mistake that a student is told.

Mistakes that agree with every probe come first, those that passed included. Then come two mistakes
at once. Then a mistake that more probes speak for than against. Where none is left, a property of
what came back is told: a true symptom is worth more than a guess.
"""

from dataclasses import dataclass, field

from course.checks import properties

# What a first failure may show on the surface while a later probe knows the mistake by its name.
VAGUE = ("unrecognised", "nan", "exception", "wrong-shape")


@dataclass(frozen=True)
class Explanation:
    """What explains the failures of an exercise.

    Attributes:
        mistakes: at most two ids, the likeliest first; empty when nothing failed.
        together: whether both mistakes are in the answer, where there are two.
        symptom: the sentence of a property, where no mistake is known by name; else "".
    """

    mistakes: tuple = ()
    together: bool = False
    symptom: str = ""


@dataclass
class Hearing:
    """The verdicts on an exercise and what each says of the known mistakes.

    Attributes:
        known: ids of the exercise's own mistakes, in its order.
        verdicts: one for each probe that was reached.
        judged: what each verdict agrees with, a set of ids or None, worked out when first asked.
    """

    known: tuple
    verdicts: list
    judged: list = field(init=False)

    def __post_init__(self):
        self.judged = [verdict.agreeing() for verdict in self.verdicts]

    @property
    def failed(self):
        return [verdict for verdict in self.verdicts if not verdict.passed]

    def agreed(self):
        """The mistakes that explain a failure and that every probe agrees with."""
        sets = [agreeing for agreeing in self.judged if agreeing is not None]
        alike = frozenset.intersection(*map(frozenset, sets)) if sets else ()
        named = {m for verdict in self.failed for m in verdict.mistakes}
        return tuple(m for m in self.known if m in alike and m in named)

    def balance(self, mistake):
        """(failures that it explains, probes that contradict it)."""
        speak_for = sum(mistake in verdict.mistakes for verdict in self.failed)
        against = sum(
            agreeing is not None
            and mistake not in agreeing
            and mistake not in verdict.mistakes
            and _knows(verdict, mistake)
            for verdict, agreeing in zip(self.verdicts, self.judged, strict=True)
        )
        if any(mistake in verdict.mistakes for verdict in self.failed if verdict.evidence is None):
            # What an exception suggests has to explain the other failures too.
            against += sum(mistake not in verdict.mistakes for verdict in self.failed)
        return speak_for, against

    def survivors(self):
        """Mistakes that more failures speak for than probes against, the likeliest first."""
        named = dict.fromkeys(m for verdict in self.failed for m in verdict.mistakes)
        balances = {m: self.balance(m) for m in named if m in self.known}
        alive = [
            m
            for m, (speak_for, against) in balances.items()
            if speak_for >= against and not (speak_for == 1 and self.speaks_against(m))
        ]
        return tuple(sorted(alive, key=lambda m: balances[m][1] - balances[m][0]))

    def speaks_against(self, mistake):
        """Whether a failure that nothing explains contradicts it.

        A name that one probe alone suggests may be chance, and no name is better than a wrong one.
        """
        return any(
            verdict.mistakes[0] not in self.known
            and agreeing is not None
            and mistake not in agreeing
            and _knows(verdict, mistake)
            for verdict, agreeing in zip(self.verdicts, self.judged, strict=True)
            if not verdict.passed
        )

    def pair(self):
        """Two mistakes that explain everything together, or ()."""
        cases = [v.evidence for v in self.verdicts if v.evidence is not None]
        wrong = [v.evidence for v in self.failed if v.evidence is not None]
        if not wrong or any(v.evidence is None for v in self.failed):
            return ()
        # The largest result says most: two mistakes agree with it by chance least easily.
        first = max(wrong, key=lambda evidence: properties.size(evidence.expected))
        found = first.pairs()
        found = [(names, both) for names, both in found if all(_agree(both, c) for c in cases)]
        if not found:
            return ()
        shared = [n for n in found[0][0] if all(n in names for names, _ in found)]
        if len(found) > 1 and not shared:
            return ()  # several stories, and nothing that all of them tell
        return found[0][0] if len(found) == 1 else tuple(shared)


def _knows(verdict, mistake):
    """Whether the judge of this verdict could have told the mistake: else it says nothing of it."""
    return verdict.evidence is None or mistake in verdict.evidence.judge.names


def _agree(both, evidence):
    fits = evidence.fits(both)
    return fits or (fits is None and _right(evidence))


def _right(evidence):
    from course.checks.judges import same

    return same(evidence.got, evidence.expected, evidence.tolerance)


def explain(exercise, verdicts):
    """The `Explanation` of all verdicts on an exercise."""
    hearing = Hearing(tuple(exercise.mistakes), list(verdicts))
    failed = hearing.failed
    if not failed:
        return Explanation()
    first = failed[0].mistakes
    if first[0] not in exercise.mistakes and first[0] not in VAGUE:
        return Explanation(tuple(first[:2]))
    agreed = hearing.agreed()
    if agreed:
        return Explanation(agreed[:2])
    pair = _or_nothing(hearing.pair, ())
    if pair:
        return Explanation(tuple(pair[:2]), together=True)
    alive = hearing.survivors()
    if alive:
        equal = [m for m in alive if hearing.balance(m) == hearing.balance(alive[0])]
        return Explanation(tuple(equal[:2]))
    nameless = next((v for v in failed if v.mistakes[0] not in exercise.mistakes), None)
    if nameless is None:  # each failure suggests another mistake, and the rest contradict it
        return Explanation(("unrecognised",), symptom=_symptom(failed))
    return Explanation(nameless.mistakes[:1], symptom=_symptom(failed))


def _symptom(failed):
    return _or_nothing(lambda: properties.symptom([v for v in failed if v.evidence]), "")


def _or_nothing(function, nothing):
    """What it returns; a result so odd that it cannot be compared costs the name, not the check."""
    try:
        return function()
    except Exception:  # the value came from a student's process
        return nothing
