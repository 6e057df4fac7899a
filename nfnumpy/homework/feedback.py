"""What a student reads: how many properties hold, the smallest counterexample, and as much help as the level allows.

Level 0 is the property and a counterexample, level 1 the question that the symptom asks, level 2 the slide to read
again. No level has a formula, and none has anything of the hidden inputs but their shapes.
"""
import numpy as np

from nfnumpy.testing.common import show

LEVELS = (0, 1, 2)


def part_lines(verdict, points, level):
    """Lines on one part."""
    if verdict.state == "not started":
        return [f"{verdict.name}: not started (0 of {points:g})"]
    if verdict.state != "done":
        return [f"{verdict.name}: could not be tested (0 of {points:g})", f"    {clean(verdict.reason)}"]
    lines = [f"{verdict.name}: {verdict.held} of {len(verdict.results)} properties hold "
             f"({round(verdict.credit * points, 2):g} of {points:g})"]
    if verdict.convention:
        lines.append(f"    {verdict.convention}")
    lines += [f"    Note: {note}" for note in verdict.notes]
    shown, said = None, set()
    for result in verdict.results:
        if result.holds:
            continue
        lines.append(f"    does not hold: {result.name}")
        if (result.seen, id(result.case)) not in said:
            lines.append(f"        {clean(result.seen)}")
            if result.case is not shown:
                lines += [f"        {line}" for line in case_lines(result.case, result.shows)]
        said, shown = said | {(result.seen, id(result.case))}, result.case
        if level >= 1 and result.question:
            lines.append(f"        {clean(result.question)}")
        if level >= 2 and result.read:
            lines.append(f"        Read again: {result.read}.")
    return lines


def case_lines(case, names=()):
    """The inputs of a case that may be shown, or that it is a hidden one."""
    if case is None:
        return []
    if case.hidden:
        arrays = [f"{name} {value.shape}" for name, value in vars(case).items() if isinstance(value, np.ndarray)]
        return [f"at hidden inputs{': ' if arrays else ''}{', '.join(arrays)}"]
    return ["at", *(f"    {name} = {value if isinstance(value, str) else shown_value(value)}"
                    for name, value in case.show.items() if not names or name in names)]


def shown_value(value):
    """Numbers, or a tuple or list of arrays.

    >>> shown_value((np.zeros(1), np.ones(2)))
    '[0.], [1., 1.]'
    """
    return ", ".join(map(show, value)) if isinstance(value, (tuple, list)) else show(value)


def clean(text, most=400):
    """A submission's text on one line, without what a terminal would take for a command.

    >>> clean("a\\x1b[2J\\nb")
    'a[2J b'
    """
    text = " ".join(str(text).split())
    text = "".join(letter for letter in text if letter.isprintable())
    return text if len(text) <= most else text[:most] + " ..."


def table(rows):
    """Aligned columns, the first row the heads.

    >>> print(table([("part", "points"), ("z", "1 of 2")]))
    part  points
    z     1 of 2
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def state_words(verdict):
    """Of one part, for the table."""
    if verdict.state == "done":
        held = f"{verdict.held} of {len(verdict.results)} properties"
        return held + (", another convention" if verdict.convention else "")
    return {"not started": "not started", "missing": "not there", "failed": "could not be tested"}[verdict.state]


def summary(graded):
    """The table of one submission: a row a part, and the total."""
    rows = [("exercise", "part", "points", "")]
    for slug, verdicts in graded.verdicts.items():
        for part, verdict in verdicts.items():
            points = graded.pack.points[slug][part]
            rows.append((slug, part, f"{round(verdict.credit * points, 2):g} of {points:g}", state_words(verdict)))
    return table([*rows, ("total", "", f"{graded.total:g} of {graded.most:g}", "")])


def markdown(graded, level):
    """The feedback file of one submission."""
    lines = [f"# {clean(graded.name)}", "",
             f"{graded.total:g} of {graded.pack.total:g} points ({graded.pack.title})", ""]
    lines += [f"- {clean(remark)}" for remark in graded.remarks] + [""] * bool(graded.remarks)
    for slug, verdicts in graded.verdicts.items():
        lines += [f"## {graded.pack.exercises[slug].title}", "", "```text"]
        for part, verdict in verdicts.items():
            lines += [line.replace("```", "'''") for line in part_lines(verdict, graded.pack.points[slug][part], level)]
        lines += ["```", ""]
    return "\n".join(lines)
