"""The process that runs a submission: it loads the file, is called with inputs, and answers with plain numbers.

Started by `nfnumpy.homework.runner` as ``python -I child.py LIMITS`` in a temporary folder. There is nothing in it
that is worth looking for: no expected value, no seed, no points, and of nfnumpy no more than this file's neighbours.
"""
import ast
import json
import os
import pathlib
import sys
import traceback
import types

SKIPPED = (ast.Expr, ast.For, ast.While, ast.With, ast.Assert)   # of a notebook: plots, loops, self-checks


def limit(limits):
    """Ask the system to stop this process before it harms the machine; where it cannot, the clock has to do."""
    try:
        import resource
    except ImportError:                                          # Windows
        return
    def at_most(name, value):
        kind = getattr(resource, name, None)
        if kind is None or value is None:
            return
        hard = resource.getrlimit(kind)[1]
        try:
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
        except (ValueError, OSError):                            # macOS refuses some
            pass
    at_most("RLIMIT_CPU", limits["cpu"])
    at_most("RLIMIT_AS", limits["memory"])
    at_most("RLIMIT_FSIZE", limits["file"])
    at_most("RLIMIT_CORE", 0)
    at_most("RLIMIT_NPROC", limits["processes"])


class Submission:
    """The module that a submission's sources make, cell by cell."""

    def __init__(self, name, folder=None):
        self.module, self.folder, self.files = types.ModuleType(name), folder, []
        self.module.__file__ = str(pathlib.Path(folder or ".") / f"{name}.py")

    def load(self, cells, whole, names, beside):
        """Run the sources in order: `names` that are functions or classes then, and what went wrong on the way.

        `beside` are the texts of the other .py files of the same student, by name, since one may import another.

        The one cell of a .py file is run whole, as Python does. Of a notebook's cells only definitions, imports and
        assignments are, each on its own, and what fails is remembered.
        """
        sys.modules[self.module.__name__] = self.module          # where dataclasses look for it
        for name, text in beside.items() if self.folder else ():
            (pathlib.Path(self.folder) / name).write_text(text, encoding="utf-8")
        problems = []
        for k, source in enumerate(cells):
            label = self.module.__file__ if whole else f"cell {k + 1}"
            self.files.append(label)
            if whole and self.folder:
                pathlib.Path(label).write_text(source, encoding="utf-8")
            try:
                tree = ast.parse(source, label)
            except SyntaxError as error:
                if whole:
                    raise
                problems.append(f"{label}, line {error.lineno}: {error.msg}")
                continue
            for part in [tree] if whole else parts_of(tree):
                try:
                    exec(compile(part, label, "exec"), self.module.__dict__)
                except Exception as error:
                    if whole:
                        raise
                    problems.append(f"{self.where(error)}: {type(error).__name__}: {error}")
        found = {name: getattr(self.module, name, None) for name in names}
        return {name: thing for name, thing in found.items() if callable(thing)}, problems[:20]

    def where(self, error):
        """The last line of the submission that an exception went through."""
        if isinstance(error, SyntaxError) and error.filename in self.files:
            return f"{pathlib.Path(error.filename).name}, line {error.lineno}"
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in self.files]
        return f"{pathlib.Path(lines[-1].filename).name}, line {lines[-1].lineno}" if lines else ""


def parts_of(tree):
    """A cell's statements that define something, one by one."""
    return [ast.Module([statement], []) for statement in tree.body if not isinstance(statement, SKIPPED)]


def main():
    """Load what the parent sends and answer its calls over the pipe, within the limits of the first argument (JSON)."""
    limits = json.loads(sys.argv[1])
    if os.name == "nt":
        import msvcrt
        for descriptor in (0, 1):
            msvcrt.setmode(descriptor, os.O_BINARY)
    reader, writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)                                          # input() meets its end
    os.dup2(2, 1)                                                # and print() goes where errors go: not to the grader
    for path in limits["path"]:
        if path not in sys.path:
            sys.path.append(path)                                # where numpy and scipy are, if not in the usual place
    package = types.ModuleType("neighbours")                     # this file's folder, without the rest of nfnumpy
    package.__path__ = [str(pathlib.Path(__file__).parent)]
    sys.modules["neighbours"] = package
    from neighbours import peer as peers
    from neighbours import stubs
    package.__path__ = []
    stubs.install()
    limit(limits)
    sys.path.insert(0, os.getcwd())
    sys.argv = [f"{limits['name']}.py"]
    submission = Submission(limits["name"], os.getcwd())
    peer = peers.Peer(catch=BaseException, where=submission.where, student=True)
    peer.shelf.lend(submission.load, ())                         # number 0: the only thing to call at first
    peers.serve(peer, reader, writer)


if __name__ == "__main__":
    main()
