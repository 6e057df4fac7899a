"""Redraw the figures of the lecture, rewrite the page made from the docstrings, turn the pages into other forms.

    python -m lectures.lecture02                   every figure of the lecture, into figures/
    python -m lectures.lecture02 NAME ...          these figures only
    python -m lectures.lecture02 atlas             the page atlas.md, from the docstrings
    python -m lectures.lecture02 --list            the names
    python -m lectures.lecture02 notebook DIR      a Jupyter notebook of each page, into the folder DIR
    python -m lectures.lecture02 html FILE         the whole companion as one page that works offline, with players

Run it from a checkout, in its root. Exit status 0 means done, 1 that a file could not be written, 2 that a name or an
argument is wrong or a notebook that was changed would be lost, which one sentence says, 130 interrupted.
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

from nfnumpy.files import written_whole  # noqa: E402

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
            near = difflib.get_close_matches(name.removesuffix(".png").removesuffix(".gif"), [*known, *FORMS],
                                              n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}? (--list has all names)" if near else "--list has all names"
            raise ValueError(f"{name}: there is no such figure; {hint}")
    return list(dict.fromkeys(wanted))


def notebook_command(argv):
    """`notebook DIR`: a notebook of each page."""
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} notebook", description=(
        "Write each page of the lecture as a Jupyter notebook: text, figures inside the file, code as cells that run."))
    parser.add_argument("folder", metavar="DIR", type=pathlib.Path,
                        help="made if it is not there; a notebook in it whose text and code are still the page's is "
                             "left as it is, run or not; if one of them has been changed, nothing is written")
    parser.add_argument("--force", action="store_true", help="replace every notebook of the pages, changed ones too")
    args = parser.parse_args(argv)
    folder = args.folder
    if folder.exists() and not folder.is_dir():
        return refused(f"DIR: expected a folder, got the file {folder}")
    try:
        written = importlib.import_module("companion.notebook").write(folder, args.force)
    except FileExistsError as changed:
        return refused(f"DIR: expected no notebook with other text or code than its page's, got {changed}; nothing was "
                       "written (--force replaces all notebooks of the pages, with what you changed in them)")
    left = len(written) - sum(written.values())
    before = f", {left} of them there before and left as {'it is' if left == 1 else 'they are'}" if left else ""
    print(f"{len(written)} notebooks in {folder}{before}; begin with {next(iter(written)).name}")
    return 0


def html_command(argv):
    """`html FILE`: the companion as one page."""
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} html", description=(
        "Write the whole companion as one page of HTML that needs no network and no other file: pages, figures, the "
        "sources that the pages link to, and three players, which take some ten seconds to draw."))
    parser.add_argument("file", metavar="FILE", type=pathlib.Path, help="the page, as in companion.html")
    parser.add_argument("--no-players", action="store_true", help="leave the players out")
    args = parser.parse_args(argv)
    if args.file.suffix.lower() not in (".html", ".htm"):
        return refused(f"FILE: expected a name that ends in .html, got {args.file}")
    if args.file.is_dir() or not args.file.absolute().parent.is_dir():
        return refused(f"FILE: expected a file in a folder that is there, got {args.file}")
    text = importlib.import_module("companion.document").document(players=not args.no_players)
    with written_whole(args.file) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")
    print(f"{args.file}: {args.file.stat().st_size / 1e6:.1f} MB")
    return 0


def refused(message):
    """Say in one sentence what is wrong with an argument; exit status 2."""
    print(f"lectures.lecture02: {message}", file=sys.stderr)
    return 2


PROGRAM = "python -m lectures.lecture02"
FORMS = {"notebook": notebook_command, "html": html_command}


def main(argv=None):
    """Run the command line `argv` (default: the process's) and return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in FORMS:
        try:
            return FORMS[argv[0]](argv[1:])
        except OSError as error:
            print(f"lectures.lecture02: {error}", file=sys.stderr)
            return 1
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description=__doc__.split("\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"also:\n  {PROGRAM} notebook DIR   a Jupyter notebook of each page\n"
               f"  {PROGRAM} html FILE      the whole companion as one page that works offline\n"
               "each of the two has its own --help")
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
        return refused(error)
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
