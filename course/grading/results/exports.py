"""Grades in the forms that learning platforms take: Canvas' CSV, Gradescope's results.json.

`grades.csv` is the plain form. What could not be graded is left out of each: a platform takes an
empty field for "not graded yet", and a 0 for a 0.
"""

import csv
import io
import json

from course.grading.results import records
from course.grading.results.records import totals


def canvas(out, results, title):
    """Writes canvas.csv, which Canvas' gradebook imports.

    Canvas finds a student by its own number ("ID"), which it puts into the names of the files that
    it hands out; where submissions did not come from its zip, by the name.

    Args:
        out: the folder of results.
        results: [(student, [records])].
        title: the assignment's name; Canvas makes a column of this name if there is none.

    Returns:
        The file's path.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title])
    possible = max((totals(each)[1] for _, each in results), default=0.0)
    writer.writerow(["    Points Possible", "", "", "", "", f"{possible:g}"])
    for student, its in results:
        points, _ = totals(its)
        said = its[0]["platform"]  # another platform's numbers are not Canvas'
        number = said.get("number", "") if said["name"] == "canvas" else ""
        score = "" if points is None else f"{round(points, 4):g}"
        writer.writerow([records.text_of(student), number, "", "", "", score])
    path = out / "canvas.csv"
    records.write(path, file.getvalue())
    return path


def gradescope(out, results):
    """Writes gradescope/NAME.json for each student, the results.json of Gradescope's autograder.

    Args:
        out: the folder of results.
        results: [(student, [records])].

    Returns:
        The folder.
    """
    folder = out / "gradescope"
    for _, its in results:
        points, _ = totals(its)
        tests = [
            {
                "name": exercise["title"],
                "score": round(exercise["points"], 4),
                "max_score": round(exercise["max_points"], 4),
                "output": "\n".join(m["sentence"] for m in exercise["mistakes"]),
                "visibility": "visible",
            }
            for record in its
            for exercise in record["exercises"]
            if exercise["points"] is not None
        ]
        result = {
            "output": "\n".join(r["reason"] for r in its if r["reason"]),
            "execution_time": round(sum(record["seconds"] for record in its), 3),
            "tests": tests,
        }
        if points is not None:
            result["score"] = round(points, 4)
        text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
        records.write(folder / f"{its[0]['name']}.json", text)
    return folder
