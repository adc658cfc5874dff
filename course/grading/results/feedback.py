"""A student's feedback page: which mechanisms hold, the named mistakes, their own output.

The page is one file with no request to anywhere. It is made from records alone and never shows a
hidden input or an expected value: of what a check saw it tells the form (a type, a kind of error),
never numbers, shapes or lines, and no message that an error composed from its inputs.
"""

import html
import re

from course.grading.results.records import totals

# Mistakes whose detail tells a form. What others saw are numbers of hidden inputs.
_FORMS = {"forbidden-call", "missing", "nan", "wrong-dtype", "wrong-type"}
# A shape, a line or a name that an answer chose by its inputs would carry them out, so that no
# number is told but those in the names of types.
_TYPES = re.compile(r"\b(?:b?float|u?int|complex)\d+\b")
_HOW = {
    "name": "found by the name that it defines",
    "metadata": "found by the notebook's metadata",
}

STYLE = """
:root { color-scheme: light dark; --text: #1a1a1a; --soft: #555; --ground: #fff; --line: #ccc;
  --good: #005a8c; --bad: #a33c00; --block: #f3f3f1; }
@media (prefers-color-scheme: dark) { :root { --text: #eee; --soft: #b5b5b5; --ground: #16181a;
  --line: #444; --good: #6cc0f2; --bad: #ffa366; --block: #222528; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; padding: 1.5rem 1rem 4rem; background: var(--ground);
  color: var(--text); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 0; }
p { margin: .5rem 0; }
.soft { color: var(--soft); }
.score { font-size: 1.15rem; font-weight: 600; }
table { width: 100%; border-collapse: collapse; margin: 1rem 0; }
caption { text-align: left; color: var(--soft); padding-bottom: .25rem; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; padding-right: 0; }
section.exercise { border: 1px solid var(--line); border-left: .35rem solid var(--mark);
  border-radius: .35rem; padding: .9rem 1rem; margin: 1rem 0; }
.right { --mark: var(--good); } .wrong { --mark: var(--bad); } .none { --mark: var(--soft); }
.head { display: flex; flex-wrap: wrap; gap: .25rem 1rem; justify-content: space-between; }
.mistake { border-radius: .35rem; background: var(--block); padding: .6rem .8rem; }
ul.probes { list-style: none; padding: 0; margin: .75rem 0; }
ul.probes li { padding-left: 1.6rem; text-indent: -1.6rem; margin: .2rem 0; }
.tick { display: inline-block; width: 1.6rem; text-indent: 0; font-weight: 700;
  color: var(--soft); }
.tick.good { color: var(--good); } .tick.bad { color: var(--bad); }
pre, code { font: .875rem/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { background: var(--block); padding: .6rem .8rem; border-radius: .35rem; margin: .4rem 0;
  white-space: pre-wrap; max-height: 20rem; overflow: auto; }
summary { cursor: pointer; } a { color: var(--good); }
:focus-visible { outline: 3px solid var(--good); outline-offset: 2px; }
@media print { pre { max-height: none; } }
"""


def page(student, records):
    """The feedback page of one student.

    Args:
        student: the name as it was handed in.
        records: the student's records, one for each lesson.

    Returns:
        HTML, a whole page.
    """
    points, possible = totals(records)
    name = escape(student)
    if points is None:
        total = "Not graded yet, or not in full: your instructor knows."
    else:
        total = f"{points:g} of {possible:g} points"
    body = "".join(_lesson(record) for record in records)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Feedback for {name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>Feedback for {name}</h1>\n<p class="score">{total}</p>\n'
        '<p class="soft">Your answers were checked with other numbers than those of the checks in '
        "your notebook. The mistakes are named; to see them with numbers, run "
        "<code>check(…)</code> in your notebook.</p>\n"
        f"{body}</main>\n</body>\n</html>\n"
    )


def _lesson(record):
    title = escape(record["title"] or "A file that could not be matched to a lesson")
    parts = [f"<h2>{title}</h2>\n"]
    if record["files"]:
        parts.append(f'<p class="soft">From {escape(record["files"][0])}, the newest file.</p>\n')
    if record["late"]:
        parts.append("<p>It was saved after the deadline. That alone costs no points here.</p>\n")
    if record["state"] != "graded":
        parts.append(f'<p class="mistake"><b>Not graded.</b> {_why(record["reason"])}</p>\n')
        return "".join(parts)
    rows = "".join(
        f'<tr><th scope="row"><a href="#{_anchor(e)}">{escape(e["title"])}</a></th>'
        f'<td>{_state(e)[1]}</td><td class="number">{_points(e)}</td></tr>\n'
        for e in record["exercises"]
    )
    parts.append(
        "<table><caption>Your exercises</caption><thead><tr>"
        '<th scope="col">Exercise</th><th scope="col">State</th>'
        '<th scope="col" class="number">Points</th></tr></thead>\n'
        f"<tbody>\n{rows}</tbody></table>\n"
    )
    parts += [_exercise(e) for e in record["exercises"]]
    if record["flags"]:
        items = "".join(f"<li>{escape(_first_upper(flag))}.</li>" for flag in record["flags"])
        parts.append(f"<h3>What else was noticed</h3>\n<ul>{items}</ul>\n")
    return "".join(parts)


def _why(reason):
    if reason.startswith("our fault"):
        return "The grading machine had a problem. It costs you nothing; it will be tried again."
    return f"{escape(_first_upper(reason))}. Save the notebook again and hand it in again."


def _exercise(exercise):
    kind, state = _state(exercise)
    parts = [
        f'<section class="exercise {kind}" id="{_anchor(exercise)}">\n<div class="head">'
        f"<h3>{escape(exercise['title'])}</h3>"
        f"<span><b>{_points(exercise)}</b> points, {state}</span></div>\n"
    ]
    if exercise["cell"]:
        how = f", {_HOW[exercise['how']]}" if exercise["how"] in _HOW else ""
        where = f"<code>{escape(exercise['defines'])}</code> in code cell {exercise['cell']}{how}"
        parts.append(f'<p class="soft">{where}</p>\n')
    if exercise["status"] == "duplicated":
        listed = next((f for f in exercise["flags"] if " counts" in f), "")
        parts.append(f"<p>It is there more than once: {escape(listed)}.</p>\n")
    if exercise["fault"]:
        parts.append("<p>It could not be graded. That is not your fault.</p>\n")
    if exercise["mistakes"]:
        sentences = "<br>Or: ".join(escape(m["sentence"]) for m in exercise["mistakes"])
        parts.append(f'<p class="mistake"><b>{sentences}</b>{_detail(exercise)}</p>\n')
    parts.append(_cell_error(exercise))
    if exercise["probes"]:
        parts.append(f'<ul class="probes">\n{"".join(map(_probe, exercise["probes"]))}</ul>\n')
    if exercise["output"]:
        parts.append(
            "<details><summary>What your cell printed</summary>\n"
            f'<pre tabindex="0">{escape(exercise["output"])}</pre></details>\n'
        )
    parts.append("</section>\n")
    return "".join(parts)


def _state(exercise):
    if exercise["passed"] is None:
        return "none", "not graded"
    if exercise["passed"]:
        return "right", "all checks passed"
    if exercise["status"] == "missing":
        return "wrong", "not found"
    ids = [mistake["id"] for mistake in exercise["mistakes"]]
    if "not-written" in ids:
        return "wrong", "not written yet"
    return "wrong", "partly right" if exercise["points"] else "not right yet"


def _probe(probe):
    mark, kind, word = {
        True: ("✓", "good", "passed"),
        False: ("✗", "bad", "failed"),
        None: ("·", "", "not reached"),
    }[probe["passed"]]
    return (
        f'<li><span class="tick {kind}" aria-hidden="true">{mark}</span>{escape(probe["title"])} '
        f'<span class="soft">({word}, {probe["points"]:g} of {probe["max_points"]:g})</span></li>\n'
    )


def _detail(exercise):
    """What may be told of what was seen: its form, and what stopped it."""
    failed = next((p for p in exercise["probes"] if p["passed"] is False), None)
    if failed is None:
        return ""
    if failed["where"]:
        return "<br>" + _told(failed["where"])
    if failed["mistakes"] and failed["mistakes"][0] in _FORMS:
        numbers = re.search(r"\d", _TYPES.sub("", failed["detail"]))
        return "" if numbers else f"<br>{escape(failed['detail'])}"
    return ""


def _told(where):
    # A line of an answer that ran on hidden inputs may have been chosen by them.
    line = f" in line {where['line']}" if where["line"] and where["in_cell"] else ""
    text = escape(f"{where['what']}{line}".rstrip("."))
    text += f": <code>{escape(where['source'])}</code>" if line and where["source"] else "."
    return text + (f"<br><code>{escape(where['message'])}</code>" if where["message"] else "")


def _cell_error(exercise):
    """A cell that stopped after its definition costs nothing, and its owner should know."""
    error = exercise["cell_error"]
    if not error or exercise["status"] == "missing":
        return ""
    places = [probe["where"] for probe in exercise["probes"] if probe["passed"] is not None]
    if any(place and place["what"].startswith("The cell") for place in places):
        return ""  # told already
    if error.get("type") == "time":
        what = f"was stopped after {error['message']} s"
    else:
        what = f"stopped with {error.get('type') or 'an error'}"
    line = f" in line {error['line']}" if isinstance(error.get("line"), int) else ""
    return f"<p>{escape(f'Its cell {what}{line}. Your definition was graded all the same.')}</p>\n"


def _points(exercise):
    points = "–" if exercise["points"] is None else f"{round(exercise['points'], 4):g}"
    return f"{points} of {round(exercise['max_points'], 4):g}"


def _anchor(exercise):
    return re.sub(r"[^a-z0-9]+", "-", exercise["exercise"].lower())


def _first_upper(text):
    return text[:1].upper() + text[1:]


def escape(text):
    """Text made safe inside HTML; control characters, which terminals act on, are dropped."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(text))
    return html.escape(re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text))
