"""What a teacher takes away: a table for a spreadsheet, everything as JSON, Gradescope's format, a page for each
student.
"""
import csv
import io
import json
import pathlib

from nfnumpy.homework.feedback import clean, markdown, part_lines

FORMULA = ("=", "+", "-", "@", "\t", "\r")                       # how a cell begins that a spreadsheet would run


def rows_of(graded):
    """``[{"submission", "points": {exercise: number}, "total", "remarks", "exercises"}]``, plain values."""
    return [{"submission": one.name, "points": {slug: one.points(slug) for slug in one.verdicts}, "total": one.total,
             "remarks": [*(clean(remark) for remark in one.remarks),
                         *(f"{slug}: no file handed in" for slug in one.without)],
             "exercises": {slug: {part: part_record(verdict, one.pack.points[slug][part])
                                  for part, verdict in verdicts.items()} for slug, verdicts in one.verdicts.items()}}
            for one in graded]


def part_record(verdict, points):
    """One part's verdict as plain values: points, state, properties that failed, the reason."""
    return {"points": round(verdict.credit * points, 2), "of": points, "state": verdict.state, "held": verdict.held,
            "properties": len(verdict.results),
            "failed": [result.name for result in verdict.results if not result.holds],
            "convention": verdict.convention, "reason": clean(verdict.reason)}


def as_csv(rows, slugs):
    """The table: ``submission``, a column an exercise, ``total``, ``remarks``.

    >>> as_csv([{"submission": "=1+1", "points": {"a": 2.0}, "total": 2.0, "remarks": []}], ["a"])
    "submission,a,total,remarks\\r\\n'=1+1,2,2,\\r\\n"
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["submission", *slugs, "total", "remarks"])
    for row in rows:
        points = [f"{row['points'][slug]:g}" for slug in slugs]
        remarks = safe_cell("; ".join(row["remarks"]))
        writer.writerow([safe_cell(row["submission"]), *points, f"{row['total']:g}", remarks])
    return text.getvalue()


def safe_cell(text):
    """A text that a spreadsheet shows and does not run."""
    return f"'{text}" if text.startswith(FORMULA) else text


def as_json(rows, pack, seed):
    """All rows with pack, variant and seed, as the JSON text that `--only` goes on from."""
    return json.dumps({"pack": pack.name, "version": pack.version, "variant": pack.variant, "seed": seed,
                       "of": pack.total, "submissions": rows}, ensure_ascii=False, indent=1) + "\n"


def gradescope(one, level):
    """Gradescope's results.json of one submission: a test a part."""
    tests = [{"name": f"{slug}: {part}", "score": round(verdict.credit * one.pack.points[slug][part], 2),
              "max_score": one.pack.points[slug][part], "output_format": "text",
              "output": "\n".join(part_lines(verdict, one.pack.points[slug][part], level))}
             for slug, verdicts in one.verdicts.items() for part, verdict in verdicts.items()]
    return json.dumps({"score": one.total, "output": "\n".join(map(clean, one.remarks)), "visibility": "visible",
                       "tests": tests}, ensure_ascii=False, indent=1) + "\n"


def read_earlier(path, pack):
    """The rows of an earlier ``grades.json``, for a regrade of one exercise; ValueError if it is of another pack."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        rows = {row["submission"]: row for row in earlier["submissions"]}
        same = (earlier["pack"], earlier["variant"]) == (pack.name, pack.variant)
    except FileNotFoundError:
        raise ValueError(f"--only: {path} is missing: it holds the other exercises' points; grade all of them "
                         "first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected what an earlier grading wrote") from error
    if not same:
        raise ValueError(f"{path}: it is of pack {earlier['pack']}, variant {earlier['variant']}, and now graded is "
                         f"{pack.name}, variant {pack.variant}")
    return rows


def merged(rows, earlier, only, pack):
    """New points of one exercise, all others as they were; a submission that is new has the others' at 0."""
    result = []
    for row in rows:
        new = {"points": {}, "exercises": {}, "remarks": ["new since the first grading"]}
        old = earlier.get(row["submission"], new)
        points = {slug: (row if slug == only else old)["points"].get(slug, 0) for slug in pack.exercises}
        parts = {slug: (row if slug == only else old)["exercises"].get(slug, {}) for slug in pack.exercises}
        result.append({"submission": row["submission"], "points": points, "total": round(sum(points.values()), 2),
                       "remarks": list(dict.fromkeys([*(r for r in old["remarks"] if not r.startswith(f"{only}: ")),
                                                      *row["remarks"]])), "exercises": parts})
    missing = [row for name, row in earlier.items() if name not in {row["submission"] for row in rows}]
    return sorted([*result, *missing], key=lambda row: row["submission"])


def safe_names(names, suffix):
    """``{name: a file name}`` on any system, no two the same.

    >>> safe_names(["../a", "..:a"], ".md")
    {'../a': '__a.md', '..:a': '__a 2.md'}
    """
    found, used = {}, set()
    for name in names:
        base = "".join("_" if letter in '/\\:*?"<>|' or not letter.isprintable() else letter for letter in name)
        base = (base.replace("..", "_").strip(". ") or "_")[:100]
        candidate, k = base, 1
        while candidate.lower() in used:
            k += 1
            candidate = f"{base} {k}"
        used.add(candidate.lower())
        found[name] = candidate + suffix
    return found


def write_pages(graded, folder, level):
    """A Markdown page for each submission."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = safe_names([one.name for one in graded], ".md")
    for one in graded:
        (folder / names[one.name]).write_text(markdown(one, level), encoding="utf-8", newline="\n")


def write_gradescope(graded, beside, level):
    """``results.json`` beside the table, as Gradescope wants it, which grades one at a time; of several, a folder of
    them.
    """
    if len(graded) == 1:
        (beside / "results.json").write_text(gradescope(graded[0], level), encoding="utf-8", newline="\n")
        return beside / "results.json"
    folder = beside / "results"
    folder.mkdir(exist_ok=True)
    names = safe_names([one.name for one in graded], ".json")
    for one in graded:
        (folder / names[one.name]).write_text(gradescope(one, level), encoding="utf-8", newline="\n")
    return folder
