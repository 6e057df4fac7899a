"""The command line: ``python -m nfnumpy tour``, ``fit``, ``sample``, ``density``, ``check`` and ``homework``.

Exit status 0 means done; 1 that `check` found a property that does not hold, `homework check` something that is not
right yet, or that `fit` could not write a file that it was to keep beside the model; 2 that something is wrong with
what was given, which one sentence on stderr says, and that no file was changed (but those that grow with a training
that fails later: `--history`, `--checkpoint` and `--animate`); 130 means interrupted (Ctrl-C), except in the training
of `fit`, which ends it and keeps the best model so far; 141 that what is printed is read no more, as by ``head``, upon
which the command ends.
"""
import argparse
import errno
import importlib
import os
import re
import sys
import tempfile

import numpy as np

import nfnumpy as nf
from nfnumpy.commands.common import one_sentence, similar
from nfnumpy.commands.terminal import complain, prepare_streams

COMMANDS = {"tour": "fit the flows of the lecture to two data sets: a table and a picture, in under a minute",
            "fit": "learn the density of your data: a model file and a report",
            "sample": "draw new rows from a model",
            "density": "evaluate a model's log-density at the rows of a file",
            "check": "check every property of a flow: a table, and the smallest counterexample",
            "homework": "exercises of the lecture: write them out, check them, grade them"}
CLOSED_PIPE = 128 + 13                                           # as a shell says it of what SIGPIPE ended
STATUS = "exit status: 0 done; 2 not usable: one sentence on stderr says why, and no file is changed; 130 interrupted"


class Parser(argparse.ArgumentParser):
    """argparse, but with one sentence instead of the usage and the sentence."""

    def error(self, message):
        wrong = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        hint = similar(wrong[1], re.findall(r"[\w-]+", wrong[2])) if wrong else ""
        raise ValueError(f"{message}{hint}; see {self.prog} --help")


def main(argv=None):
    """Run the command line `argv` (default: the process's) and return the exit status.

    >>> main(["fit", "nowhere.csv"])                            # on stderr: nfnumpy: nowhere.csv: there is no such file
    2
    """
    try:
        try:
            args = parse(sys.argv[1:] if argv is None else list(argv))
            with np.errstate(all="ignore"):                      # results are checked, and warnings no sentences
                status = args.run(args) or 0
        except SystemExit as stop:                               # --help and --version
            status = int(stop.code or 0)
        sys.stdout.flush()                                       # here, where a closed pipe can still be caught
        return status
    except KeyboardInterrupt:
        return sorry("interrupted", 130)
    except (ValueError, OSError, MemoryError, FloatingPointError) as error:
        if is_closed_pipe(error):                                # the reader of `--out - | head` has seen enough
            abandon_stdout()
            return CLOSED_PIPE
        return sorry(one_sentence(error), 2)


def sorry(sentence, status):
    """Say on stderr what is wrong, after what was printed before; the status."""
    try:
        sys.stdout.flush()
    except OSError:                                              # a full disk: the sentence is about that
        abandon_stdout()
    complain(sentence)
    return status


def parse(argv):
    """The arguments; a ValueError for a command or an option that there is not, with the one that looks like it."""
    names = f"{', '.join(list(COMMANDS)[:-1])} and {list(COMMANDS)[-1]}"
    if not argv:
        raise ValueError(f"expected a command; there are {names}. Begin with python -m nfnumpy tour, or see python -m "
                         "nfnumpy --help")
    if argv[0] not in (*COMMANDS, "-h", "--help", "--version"):
        if argv[0].startswith("-"):
            raise ValueError(f"{argv[0]}: expected a command first, and its options behind it; the commands are "
                             f"{names}, see python -m nfnumpy --help")
        raise ValueError(f"{argv[0]}: there is no such command{similar(argv[0], COMMANDS)}; the commands are {names}, "
                         "see python -m nfnumpy --help")
    args, rest = build_parser().parse_known_args(argv)
    rest = [word for word in rest if word != "--"]               # behind which words are no options
    if rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest[0].partition("=")[0]
        options = re.findall(r"--[a-z-]+", args.parser.format_help())
        args.parser.error(f"{option}: there is no such option{similar(option, options)}")
    if rest:
        args.parser.error(f"{rest[0]}: one argument too many")
    return args


def is_closed_pipe(error):
    """Whether nobody reads what is printed: BrokenPipeError, or on Windows an "invalid argument" without a name."""
    return isinstance(error, BrokenPipeError) or (os.name == "nt" and isinstance(error, OSError)
                                                  and error.errno == errno.EINVAL and error.filename is None)


def abandon_stdout():
    """What is still to be printed goes nowhere, without a word when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser():
    """The parser of all commands; each declares its own arguments in ``nfnumpy/commands/``."""
    parser = Parser(prog="python -m nfnumpy", formatter_class=argparse.RawDescriptionHelpFormatter,
                    description="Normalizing flows in NumPy, with every gradient derived by hand.",
                    epilog="examples:\n"
                           "  python -m nfnumpy tour\n"
                           "  python -m nfnumpy fit data.csv --flow maf --out model.npz\n"
                           "  python -m nfnumpy sample model.npz -n 1000 --out samples.csv\n"
                           "  python -m nfnumpy density model.npz data.csv --out log_prob.csv\n\n"
                           "exit status:\n"
                           "  0    done\n"
                           "  1    check: a property does not hold; homework check: something is not right yet;\n"
                           "       fit: the model is there, but a file beside it could not be written\n"
                           "  2    not usable: one sentence on stderr says why, and no file is changed\n"
                           "  130  interrupted by Ctrl-C; the training of fit ends by it and keeps its best model: 0\n"
                           "  141  nobody reads what is printed any more, as behind a pipe to head\n\n"
                           "Colours are for terminals only, and not where the environment has NO_COLOR.")
    parser.add_argument("--version", action="version", version=f"nfnumpy {nf.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = importlib.import_module(f"nfnumpy.commands.{name}")
        below = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.",
                                    epilog=f"{command.EXAMPLE}\n\n{getattr(command, 'STATUS', STATUS)}",
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
        below.set_defaults(run=command.run, parser=below)
        command.add_arguments(below)
    return parser


if __name__ == "__main__":
    prepare_streams()
    with tempfile.TemporaryDirectory(prefix="nfnumpy_", ignore_cleanup_errors=True) as scratch:
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", scratch)   # of `check`: no folder beside the user's files
        sys.exit(main())
