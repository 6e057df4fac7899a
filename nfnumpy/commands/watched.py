"""The training of ``python -m nfnumpy fit``, with what can be watched: a film, a table that grows, a checkpoint."""
import nfnumpy as nf
from nfnumpy.commands import common
from nfnumpy.checkpoints import Checkpoint
from nfnumpy.commands.terminal import complain

WORDS = {"out": "the model", "report": "the report", "animate": "the film", "history": "the learning curve",
         "checkpoint": "the state of the training"}


def fit(args, paths, model, x, x_valid=None, **options):
    """`nfnumpy.fit` with the options of the command line; ``history, problem``, an OSError or None.

    A film, a table or a checkpoint that cannot be written once training has begun, on a full disk for instance, ends
    it, but not the command: the model is worth more. A ValueError for the checkpoint of another run. The film of a run
    that is done already is taken out of `paths`.
    """
    go_on(args, paths)
    kinds, states = {"history": nf.callbacks.CsvHistory, "animate": nf.callbacks.Animation}, []
    callbacks = {option: kind(paths[option]) for option, kind in kinds.items() if option in paths}
    problem = None
    try:
        history = nf.fit(model, x, x_valid, max_steps=args.max_steps, batch_size=args.batch_size, lr=args.lr,
                         warmup=args.warmup, weight_decay=args.weight_decay, patience=args.patience,
                         callback=[*callbacks.values(), states.append], checkpoint=paths.get("checkpoint"),
                         progress=False if args.quiet else None, **options)
    except ValueError as error:
        if not str(error).startswith("checkpoint:"):
            raise
        raise ValueError(f"--{error}{'; is DATA what it was?' if 'got another' in str(error) else ''}") from None
    except FloatingPointError as error:                          # the option's name, and data are standardised here
        raise FloatingPointError(str(error).replace("smaller lr", "smaller --lr").partition(", or stand")[0]) from None
    except OSError as error:
        if not states:                                           # nothing is lost yet
            raise
        history, problem = states[-1].history, error
    if "animate" in callbacks and callbacks["animate"].frames:   # a second Ctrl-C, while it was drawn
        del paths["animate"]
    return history, problem


def go_on(args, paths):
    """Say where a checkpoint that is there goes on, or a ValueError for one of other options or for a film to lose."""
    path = paths.get("checkpoint")
    try:
        saved = path and Checkpoint(path, {}).read()
    except ValueError as error:
        raise ValueError(f"--{error}") from None
    before = saved and saved[0].get("info", {}).get("options")
    if not before:                                               # of nf.fit elsewhere: it knows what it compares
        return
    compare(args.options, before, path)
    history = nf.History(**saved[0]["history"])
    if history.step[-1] >= args.max_steps or history.since_best() >= args.patience:
        nothing = "nothing to train" if paths.pop("animate", None) is None else "nothing to train or to film"
        common.say(args, f"{path} says that this run is done: {nothing}.")
        return
    if "animate" in paths and paths["animate"].exists():
        raise ValueError(f"--animate: {paths['animate']} exists, and its place would be taken by a film that begins at "
                         f"step {history.step[-1]}, where {path} goes on; name another file")
    common.say(args, f"Going on from step {history.step[-1]} of {args.max_steps}, as {path} says.")


def compare(options, before, path):
    """A ValueError that names the first of `options` that is not what the checkpoint at `path` had `before`.

    >>> compare({"seed": 1, "a new option": 2}, {"seed": 1}, "run.npz")
    >>> compare({"seed": 1}, {"seed": 0}, "run.npz")
    Traceback (most recent call last):
        ...
    ValueError: --seed is 1, run.npz was written with 0; to start anew, name another --checkpoint or delete that one
    """
    for name in (name for name in options if name in before):
        is_now, was = (",".join(map(str, one)) if isinstance(one, (list, tuple)) else one
                       for one in (options[name], before[name]))
        if is_now != was:
            why = (": the learning rate falls over all steps, so that a run cannot be made longer or shorter"
                   if name == "max_steps" else "")
            raise ValueError(f"--{name.replace('_', '-')} is {is_now}, {path} was written with {was}{why}; to start "
                             "anew, name another --checkpoint or delete that one")


def finish(args, paths, problem):
    """Say what was written where, and what could not be; the exit status."""
    if problem is None:
        common.say(args, written(paths))
        return 0
    common.say(args, written({option: paths[option] for option in ("out", "report")}))
    complain(common.one_sentence(problem))
    return 1


def written(paths):
    """What was written where.

    >>> written({"out": "model.npz", "report": "report.png", "history": "history.csv"})
    'Wrote the model to model.npz, the report to report.png and the learning curve to history.csv.'
    """
    *first, last = [f"{WORDS[option]} to {path}" for option, path in paths.items()]
    return f"Wrote {', '.join(first)} and {last}."
