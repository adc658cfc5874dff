"""The instructor's report: one page, with no request to anywhere, made from records and answers.

How points are spread, the mistake most made in each exercise, every student with time and flags,
and who handed in nearly the same. Tables are sorted by a click on a column's name.
"""

from collections import Counter
from pathlib import Path

from course import exercises as bank
from course.grading.results import similarity
from course.grading.results.feedback import STYLE, escape
from course.grading.results.records import all_flags, totals
from course.grading.sandbox import visibility
from course.grading.submissions import matching, notebooks

_MORE = """
main { max-width: none; } body { max-width: 72rem; }
.wide { overflow-x: auto; }
.wide table { min-width: 40rem; }
.wide th, .wide td { overflow-wrap: normal; min-width: 5.5rem; }
.wide td:last-child { overflow-wrap: anywhere; }
.bars { display: grid; grid-template-columns: auto 1fr auto; gap: .25rem .75rem; }
.bars i { display: block; height: 1.1em; background: var(--good); }
th button { all: unset; cursor: pointer; text-decoration: underline dotted; }
th button:focus-visible { outline: 3px solid var(--good); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
"""
_SORT = """
for (const button of document.querySelectorAll("th button")) button.onclick = () => {
  const head = button.parentElement, table = head.closest("table"), body = table.tBodies[0];
  const column = [...head.parentElement.children].indexOf(head);
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.children[column].dataset.value ?? row.children[column].textContent;
  const order = (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true });
  body.append(...[...body.rows].sort((a, b) => down ? order(b, a) : order(a, b)));
};
"""


def page(results, answers):
    """The report of a class.

    Args:
        results: [(student, [records])].
        answers: {lesson: {student: what `similarity.pieces` gives}}.

    Returns:
        HTML, a whole page.
    """
    parts = [_head(results), _distribution(results)]
    lessons = sorted({r["lesson"] for _, its in results for r in its if r["exercises"]})
    for lesson in lessons:
        parts.append(_exercises(lesson, results))
    parts.append(_students(results))
    parts += [_alike(lesson, answers.get(lesson, {})) for lesson in lessons]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Report on a class</title>\n<style>{STYLE}{_MORE}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(parts)}</main>\n<script>{_SORT}</script>\n</body>\n</html>\n"
    )


def _head(results):
    graded = [totals(its) for _, its in results]
    known = [(points, most) for points, most in graded if points is not None and most]
    mean = sum(p / m for p, m in known) / len(known) if known else None
    shown = f"mean {mean:.0%} of the points, " if mean is not None else ""
    ungraded = len(results) - len(known)
    return (
        f'<h1>Report on a class</h1>\n<p class="score">{len(results)} students, {shown}'
        f'{ungraded} not graded</p>\n<p class="soft">For the instructor alone: it names students, '
        "and its flags may tell what hidden checks have seen.</p>\n"
    )


def _distribution(results):
    """Tenths of the points, and how many students have so many."""
    shares = [p / m for p, m in (totals(its) for _, its in results) if p is not None and m]
    counts = Counter(min(9, int(10 * share + 1e-9)) for share in shares)
    most = max(counts.values(), default=1)
    rows = "".join(
        f"<span>{10 * tenth}–{10 * tenth + 10} %</span>"
        f'<i style="width: {100 * counts[tenth] / most:.0f}%"></i><span>{counts[tenth]}</span>\n'
        for tenth in range(10)
    )
    return f'<h2>How the points are spread</h2>\n<div class="bars">\n{rows}</div>\n'


def _exercises(lesson, results):
    found = {}
    for _, its in results:
        for record in its:
            for each in record["exercises"] if record["lesson"] == lesson else ():
                found.setdefault(each["exercise"], []).append(each)
    rows = []
    for name, group in found.items():
        known = [e for e in group if e["points"] is not None]
        share = sum(e["points"] / e["max_points"] for e in known) / max(1, len(known))
        made = Counter(e["mistakes"][0]["id"] for e in known if e["mistakes"])
        sentence = {e["mistakes"][0]["id"]: e["mistakes"][0] for e in known if e["mistakes"]}
        told = "none"
        if made:
            mistake, times = made.most_common(1)[0]
            told = f"{times} of {len(known)}: {sentence[mistake]['sentence']}"
        seconds = sorted(e["seconds"] for e in group)[len(group) // 2]
        rows.append([(group[0]["title"], name), (f"{share:.0%}", share), told, _seconds(seconds)])
    heads = ("Exercise", "Mean", "The mistake most made", "Median time")
    return f"<h2>{escape(bank.about(lesson).title)}</h2>\n{_table(heads, rows)}"


def _students(results):
    rows = []
    for student, its in results:
        points, most = totals(its)
        shown = "not graded" if points is None else f"{round(points, 2):g} of {most:g}"
        flags = list(dict.fromkeys(flag for record in its for flag in all_flags(record)))
        seconds = sum(record["seconds"] for record in its)
        value = -1 if points is None else points
        rows.append([student, (shown, value), _seconds(seconds), "; ".join(flags)])
    heads = ("Student", "Points", "Time", "Flags")
    return f"<h2>Students</h2>\n{_table(heads, rows)}"


def _alike(lesson, answers):
    """Pairs of students, and students beside our solution, whose answers are nearly the same."""
    title = escape(bank.about(lesson).title)
    pairs = similarity.pairs(answers)
    ours = similarity.pieces(solution(lesson))
    copies = []
    for student, pieces in sorted(answers.items()):
        alike = similarity.likeness(pieces, ours) if ours else 0.0
        if alike >= similarity.THRESHOLD:
            copies.append((alike, student, "the course's solution"))
    rows = [[a, b, (f"{x:.0%}", x)] for x, a, b in [*sorted(copies, reverse=True), *pairs]]
    note = (
        f'<p class="soft">Compared are the answers’ syntax trees without names, comments and '
        f"layout, in pieces of {similarity.PIECE} nodes. A pair is listed if it shares at least "
        f"{similarity.THRESHOLD:.0%} of all its different pieces and has {similarity.SMALLEST} of "
        "them or more: below that, two students who follow the lesson may well write the same. "
        "A line is a reason to read both, and proves nothing.</p>\n"
    )
    if not ours:
        note += '<p class="soft">The course’s solution is not on this machine.</p>\n'
    body = _table(("Student", "Nearly the same as", "Shared"), rows) if rows else "<p>None.</p>\n"
    return f"<h2>Nearly the same: {title}</h2>\n{note}{body}"


def solution(lesson):
    """The texts of our own answers, where this machine has them."""
    path = visibility.PACKAGE.parent / "solutions" / bank.about(lesson).file
    if not Path(path).is_file():
        return []
    found = matching.match(notebooks.read(path), bank.of_lesson(lesson))
    return [each.source for each in found.values() if each.source]


def _table(heads, rows):
    """A table whose columns can be sorted; a field is a text or (text, what it is sorted by)."""
    head = "".join(
        f'<th scope="col"><button type="button">{escape(h)}</button></th>' for h in heads
    )
    body = ""
    for row in rows:
        fields = [each if isinstance(each, tuple) else (each, each) for each in row]
        cells = (f'<td data-value="{escape(key)}">{escape(text)}</td>' for text, key in fields)
        body += f"<tr>{''.join(cells)}</tr>\n"
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>'
        "</div>\n"
    )


def _seconds(value):
    return f"{value:.1f} s", f"{value:09.3f}"
