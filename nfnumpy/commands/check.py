"""``python -m nfnumpy check TARGET``: every property of a flow, its worst error, and the smallest counterexample."""
import importlib
import importlib.util
import math
import pathlib
import sys
import warnings

import numpy as np

import nfnumpy as nf
from nfnumpy.commands import common
from nfnumpy.commands.terminal import FAILED, SKIPPED, paint
from nfnumpy.testing.checks import CHECKS, DRAWING
from nfnumpy.testing.common import require_flow
from nfnumpy.testing.counterexamples import call, call_in_words, counterexample, random_theta, shape_of

EXAMPLE = """examples: every flow of the package, a model file, and a flow of your own

  python -m nfnumpy check zoo
  python -m nfnumpy check model.npz
  python -m nfnumpy check my_flow.py:MyFlow

MyFlow is a flow with forward and inverse, a model with log_prob and sample, or a class or function that gives one when
it is called with the number of dimensions, or with nothing."""
STATUS = """exit status: 0 all properties hold; 1 one does not; 2 not usable: one sentence on stderr says why; 130
interrupted"""
DIM, ROWS = 3, 5
PROBABILITIES = 10 ** 8                                          # of single pixels, to compute in one check
RAISED = "the flow raised"
HINT = "with Hypothesis installed you would see the smallest counterexample: python -m pip install hypothesis"
MODEL_CHECKS = {"check_density": nf.testing.check_density, "check_samples": nf.testing.check_samples}


def add_arguments(parser):
    """Declare what `check` takes."""
    parser.add_argument("target", metavar="TARGET", help="zoo, a .npz file that `fit` wrote, module:Name or "
                                                         "file.py:Name")
    common.add_seed(parser)
    common.add_quiet(parser, "print only what fails, with its counterexample")


def run(args):
    """Print the table; 0 if every property holds, else 1."""
    if args.target == "zoo":
        results = check_zoo(args.seed)
        common.say(args, f"The {len(nf.testing.zoo(rng=args.seed))} flows of the package, each with random parameters:")
    else:
        thing, build = load(args.target)
        results = check_model(thing, args.seed) if is_model(thing) else check_one(thing, build, args.seed)
        if all(result == "skipped" or name == "check_theta" for name, result, _, _ in results):
            raise ValueError(f"{args.target}: no property of the map can be checked: {results[0][3]}")
        common.say(args, f"{args.target}: {headline(thing)}")
    common.say(args, table(results, {result: lambda text, colour=colour: paint(text, colour, sys.stdout)
                                     for result, colour in (("FAIL", FAILED), ("skipped", SKIPPED))}))
    failures = [result for result in results if result[1] == "FAIL"]
    for k, (_, _, _, note) in enumerate(failures):
        print(note if args.quiet and not k else f"\n{note}")
    skipped = sum(result[1] == "skipped" for result in results)
    common.say(args, f"\n{len(failures) or 'None'} of {len(results)} properties "
                     f"{'fails' if len(failures) == 1 else 'fail'}"
                     + (f", {skipped} {'was' if skipped == 1 else 'were'} skipped." if skipped else "."))
    return 1 if failures else 0


def headline(thing):
    """What is checked, on one line.

    >>> headline(nf.glow((4, 4, 1), levels=1, steps=1, width=4, grey_levels=2, rng=0))
    'GreyImageFlow, samples of shape (4, 4, 1), 272 parameters'
    """
    n_params = len(getattr(thing, "theta", ()))
    return (f"{type(thing).__name__}, samples of shape {shape_of(thing)}, "
            f"{n_params:,} parameter{'' if n_params == 1 else 's'}")


def check_zoo(seed):
    """``[(check, result, worst error, note)]`` over all flows of the package."""
    results, animals = [], nf.testing.zoo(rng=seed)
    for check in CHECKS:
        rows = [(*one(check, flow, x, seed), name) for name, (flow, x) in animals.items()]
        failed = [row for row in rows if row[1] == "FAIL"]
        name, result, error, note, animal = failed[0] if failed else max(rows, key=lambda row: row[2])
        results.append((name, result, error, f"{animal}: {note}" if failed else f"worst: {animal}" if error else ""))
    return results


def check_one(flow, build, seed):
    """The same for one flow, or for what `build(dim)` gives; failures come with their smallest counterexample."""
    try:
        require_flow(flow)
    except TypeError as error:                                   # `Flow` with neither direction, for one
        raise ValueError(error) from None
    x = np.random.default_rng(seed).standard_normal((ROWS, *shape_of(flow)))
    x = x.astype(nf.testing.common.dtype_of(flow, x))
    results = []
    for name, result, error, note in check_flow(flow, x, seed):
        wrong = result == "FAIL" and RAISED not in note
        results.append((name, result, error, smallest(name, build or flow, note) if wrong else note))
    return results


def check_model(model, seed):
    """The same for a model: its flow, if it has one, at its own samples, and its density."""
    x = model.sample(ROWS, seed)
    x = model.prepare(x, nf.arrays.as_rng(seed)) if hasattr(model, "prepare") else x
    results = check_flow(model.flow, x, seed) if hasattr(model, "flow") else []
    n = n_samples(model)
    return results + [verdict(name, lambda: check(model, n=n, rng=seed)) for name, check in MODEL_CHECKS.items()]


def n_samples(model):
    """How many samples to look at: fewer of large images, where each has a probability for every pixel and grey value.

    >>> n_samples(nf.maf(dim=2)), n_samples(nf.AutoregressiveMLP(784, grey_levels=256, hidden=(4,)))
    (4000, 498)
    """
    probabilities = math.prod(shape_of(model)) * getattr(model, "grey_levels", 1)
    return int(np.clip(PROBABILITIES // probabilities, 200, 4000))


def check_flow(flow, x, seed):
    """All checks on one flow; the first alone where it fails, since the others take arrays of the right shapes for
    granted.
    """
    first, *others = CHECKS
    results = [one(first, flow, x, seed)]
    if results[0][1] == "FAIL":
        return results + [(name, "skipped", np.nan, f"{first} comes first") for name in others]
    return results + [one(name, flow, x, seed) for name in others]


def one(name, flow, x, seed):
    """One check on one flow."""
    return verdict(name, lambda: CHECKS[name](flow, x, *([seed] if name in DRAWING else [])))


def verdict(name, call):
    """``name, result, worst error, note`` of a check; an exception of any kind is a failure, of the flow that raised
    it.
    """
    try:
        return name, "pass", float(call()), ""
    except AssertionError as error:
        return name, "FAIL", np.nan, str(error)
    except (nf.testing.NotApplicable, NotImplementedError) as reason:
        return name, "skipped", np.nan, str(reason).removeprefix(f"{name}: ")
    except Exception as error:                                   # a stranger's flow may fail in any way it likes
        return name, "FAIL", np.nan, f"{name}: {RAISED} {in_words(error)}"


def smallest(check, build, message):
    """The message at the smallest counterexample that Hypothesis finds, or the one there is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = counterexample(lambda flow, x: CHECKS[check](flow, x), build)
    except ImportError:
        return f"{message}\n({HINT})"
    return message if found is None else f"{check} fails; the smallest counterexample found:\n{found}"


def table(results, painted={}):
    """Aligned columns; `painted` has a function of the padded text for some of the results.

    >>> print(table([("check_shapes", "pass", 0.0, ""), ("check_vjp", "skipped", np.nan, "it has no vjps")]))
    property      result   worst error  note
    check_shapes  pass     0
    check_vjp     skipped               it has no vjps
    """
    rows = [("property", "result", "worst error", "note")]
    rows += [(name, result, "" if np.isnan(error) else f"{error:.2g}", "see below" if result == "FAIL" else note)
             for name, result, error, note in results]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(painted.get(cell, str)(cell.ljust(width)) for cell, width in zip(row, widths)).rstrip()
                     for row in rows)


def load(target):
    """``thing, build``: the flow or model behind TARGET, and, where a class or function gave it, that one."""
    path = pathlib.Path(target)
    if path.suffix.lower() == ".npz":
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file; `fit` writes models")
        return nf.load(path), None
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise ValueError(f"{target}: expected zoo, a model file (.npz), module:Name or path/to/file.py:Name")
    module = import_from(place)
    if not hasattr(module, name):
        raise ValueError(f"{target}: {place} has no {name}")
    thing = getattr(module, name)
    if is_flow(thing) or is_model(thing):
        return thing, None
    if not callable(thing):
        raise ValueError(f"{target}: expected a flow, a model, or a class or function that gives one, got {thing!r}")
    try:
        made = call(thing, DIM)
    except Exception as error:
        raise ValueError(f"{target}: {call_in_words(thing, DIM) or name} raised {in_words(error)}") from error
    if not (is_flow(made) or is_model(made)):
        raise ValueError(f"{target}: expected a flow with forward and inverse, or a model with log_prob and sample, "
                         f"got {made!r}")
    if is_flow(made) and len(getattr(made, "theta", ())):
        made.theta[...] = random_theta(made, 0)                  # not the identity at which many flows start
    return made, thing


def import_from(place):
    """The module of this name, or in this file."""
    path = pathlib.Path(place)
    try:
        if path.suffix == ".py":
            if not path.is_file():
                raise FileNotFoundError(f"{path}: there is no such file")
            spec = importlib.util.spec_from_file_location(path.stem, path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[path.stem] = module                      # where pickle and dataclasses look for it
            spec.loader.exec_module(module)
            return module
        return importlib.import_module(place)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{place}: cannot be imported: {in_words(error)}") from error


def in_words(error):
    """An exception of a stranger's code, and what a missing import needs.

    >>> in_words(KeyError("W")), in_words(NameError("name 'np' is not defined", name="np"))
    ("KeyError: 'W'", "NameError: name 'np' is not defined: is its import at the top of the file?")
    """
    missing = isinstance(error, NameError) and error.name in ("nf", "np")
    hint = ": is its import at the top of the file?" if missing else ""
    return f"{type(error).__name__}: {error}{hint}"


def is_flow(thing):
    """Whether it is an object with `forward` and `inverse`."""
    return not isinstance(thing, type) and callable(getattr(thing, "forward", None)) and callable(
        getattr(thing, "inverse", None))


def is_model(thing):
    """Whether it is an object with `log_prob` and `sample`."""
    return not isinstance(thing, type) and callable(getattr(thing, "log_prob", None)) and callable(
        getattr(thing, "sample", None))
