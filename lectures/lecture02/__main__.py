"""Redraw the figures of the lecture, and rewrite the page that is made from the docstrings.

    python -m lectures.lecture02                   every figure of the lecture, into figures/
    python -m lectures.lecture02 NAME ...          these figures only
    python -m lectures.lecture02 atlas             the page atlas.md, from the docstrings
    python -m lectures.lecture02 --list            the names

Run it from a checkout. Exit status 0 means done, 2 that a name is wrong, which one sentence says, 130 interrupted.
"""
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")               # small matrices: threads would only wait for each other

import argparse  # noqa: E402
import difflib  # noqa: E402
import importlib  # noqa: E402
import pathlib  # noqa: E402
import re  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))                                # the scripts import each other by their plain names


def names():
    """``{figure: script}`` of every figure that a script of the lecture draws, read without running the scripts.

    >>> names()["kl_directions"]
    'kl_figures'
    """
    found = {}
    for path in sorted(HERE.glob("*.py")):
        table = re.search(r"^FIGURES = \{(.*?)\}", path.read_text(encoding="utf-8"), re.M | re.S)
        for name in re.findall(r'"(\w+)":', table.group(1)) if table else ():
            if name in found:
                raise ValueError(f"{name}: expected one script for each figure, got {found[name]}.py and {path.name}")
            found[name] = path.stem
    return found


def draw(name, script, **where):
    """Draw a figure and save it, into `figures/` or into ``folder=...``; the path."""
    save = importlib.import_module("drawing").save               # here, so that --list need not load matplotlib
    return save(importlib.import_module(script).FIGURES[name](), name, **where)


def chosen(wanted, known):
    """The names `wanted`, each once; a ValueError with the nearest names for one that is not `known`.

    >>> chosen(["energy"], ["energies", "tour"])
    Traceback (most recent call last):
        ...
    ValueError: energy: there is no such figure; did you mean energies? (--list has all names)
    """
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name.removesuffix(".png").removesuffix(".gif"), known, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}? (--list has all names)" if near else "--list has all names"
            raise ValueError(f"{name}: there is no such figure; {hint}")
    return list(dict.fromkeys(wanted))


def main(argv=None):
    """Run the command line `argv` (default: the process's) and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lectures.lecture02", description=__doc__.split("\n")[0])
    parser.add_argument("name", nargs="*", help="a figure, or atlas for the page atlas.md; default: every figure")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    args = parser.parse_args(argv)
    known = names()
    if args.list:
        print("\n".join([*known, "atlas"]))
        return 0
    try:
        wanted = chosen(args.name or known, [*known, "atlas"])
    except ValueError as error:
        print(f"lectures.lecture02: {error}", file=sys.stderr)
        return 2
    start = time.monotonic()
    for k, name in enumerate(wanted, 1):
        before = time.monotonic()
        path = importlib.import_module("atlas").write() if name == "atlas" else draw(name, known[name])
        print(f"{k} of {len(wanted)}: {path.name}, {time.monotonic() - before:.1f} s", flush=True)
    if len(wanted) > 1:
        print(f"{len(wanted)} files in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:                                    # what is drawn so far stays, each file whole
        sys.exit(130)
