"""The training of ``python -m nfnumpy fit``, with what can be watched: a film, a table that grows, a checkpoint."""
import nfnumpy as nf
from nfnumpy.commands import common
from nfnumpy.commands.terminal import complain

WORDS = {"out": "the model", "report": "the report", "animate": "the film", "history": "the learning curve",
         "checkpoint": "the state of the training"}


def fit(args, paths, model, x, x_valid=None, **options):
    """`nfnumpy.fit` with the options of the command line; ``history, problem``, an OSError or None.

    A film, a table or a checkpoint that cannot be written once training has begun, on a full disk for instance, ends
    it, but not the command: the model is worth more. A ValueError for the checkpoint of another run.
    """
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
        hint = ("; DATA, --seed, --test-fraction, --flow and the options of the flow decide the model and its data"
                if "got another" in str(error) else "")
        raise ValueError(f"--{error}{hint}") from None
    except OSError as error:
        if not states:                                           # nothing is lost yet
            raise
        history, problem = states[-1].history, error
    if "animate" in callbacks and callbacks["animate"].frames:   # a second Ctrl-C, while it was drawn
        del paths["animate"]
    return history, problem


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
