"""The command line: ``python -m nfnumpy tour``, ``fit``, ``sample``, ``density``, ``check`` and ``homework``.

Exit status 0 means done; 1 that `check` found a property that does not hold; 2 that something is wrong with what was
given, which one sentence on stderr says, and that no file was changed; 130 means interrupted (Ctrl-C), except in the
training of `fit`, which ends it and keeps the best model so far.
"""
import argparse
import importlib
import os
import sys

import numpy as np

import nfnumpy as nf

COMMANDS = {"tour": "fit the flows of the lecture to two data sets: a table and a picture, in under a minute",
            "fit": "learn the density of your data: a model file and a report",
            "sample": "draw new rows from a model",
            "density": "evaluate a model's log-density at the rows of a file",
            "check": "check every property of a flow: a table, and the smallest counterexample",
            "homework": "exercises of the lecture: write them out, check them, grade them"}


class Parser(argparse.ArgumentParser):
    """argparse, but with one sentence instead of the usage and the sentence."""

    def error(self, message):
        raise ValueError(f"{message}; see python -m nfnumpy{self.prog.removeprefix('python -m nfnumpy')} --help")


def main(argv=None):
    """Run the command line `argv` (default: the process's) and return the exit status.

    >>> main(["fit", "nowhere.csv"])                            # on stderr: nfnumpy: nowhere.csv: there is no such file
    2
    """
    try:
        args = build_parser().parse_args(argv)
        with np.errstate(all="ignore"):                          # results are checked, and warnings no sentences
            status = args.run(args)
        sys.stdout.flush()                                       # here, where a closed pipe can still be caught
        return status or 0
    except SystemExit as stop:                                   # --help and --version
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print("nfnumpy: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:                                      # the reader of `--out - | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, MemoryError, FloatingPointError) as error:
        print(f"nfnumpy: {one_sentence(error)}", file=sys.stderr)
        return 2


def build_parser():
    """The parser of all commands; each declares its own arguments in ``nfnumpy/commands/``."""
    parser = Parser(prog="python -m nfnumpy", formatter_class=argparse.RawDescriptionHelpFormatter,
                    description="Normalizing flows in NumPy, with every gradient derived by hand.",
                    epilog="examples:\n"
                           "  python -m nfnumpy tour\n"
                           "  python -m nfnumpy fit data.csv --flow maf --out model.npz\n"
                           "  python -m nfnumpy sample model.npz -n 1000 --out samples.csv\n"
                           "  python -m nfnumpy density model.npz data.csv --out log_prob.csv")
    parser.add_argument("--version", action="version", version=f"nfnumpy {nf.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = importlib.import_module(f"nfnumpy.commands.{name}")
        below = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.",
                                    epilog=command.EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
        command.add_arguments(below)
        below.set_defaults(run=command.run)
    return parser


def one_sentence(error):
    """What is wrong, in one line.

    >>> one_sentence(OSError(13, "Permission denied", "model.npz"))
    'model.npz: permission denied'
    >>> one_sentence(MemoryError())
    'not enough memory; try a smaller --batch-size, smaller --hidden or --width, or less data'
    """
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror[0].lower()}{error.strerror[1:]}"
    if isinstance(error, MemoryError):
        return "not enough memory; try a smaller --batch-size, smaller --hidden or --width, or less data"
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
