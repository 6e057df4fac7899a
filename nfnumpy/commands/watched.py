"""The training of ``python -m nfnumpy fit``, with what can be watched: a film, a table that grows, a checkpoint."""
import nfnumpy as nf


def fit(args, paths, model, x, x_valid=None, **options):
    """`nfnumpy.fit` with the options of the command line; a ValueError for the checkpoint of another run.

    A film that Ctrl-C cut short is taken from `paths`.
    """
    kinds = {"history": nf.callbacks.CsvHistory, "animate": nf.callbacks.Animation}
    callbacks = {option: kind(paths[option]) for option, kind in kinds.items() if option in paths}
    try:
        history = nf.fit(model, x, x_valid, max_steps=args.max_steps, batch_size=args.batch_size, lr=args.lr,
                         warmup=args.warmup, weight_decay=args.weight_decay, patience=args.patience,
                         callback=list(callbacks.values()), checkpoint=paths.get("checkpoint"),
                         progress=False if args.quiet else None, **options)
    except ValueError as error:
        if not str(error).startswith("checkpoint:"):
            raise
        hint = ("; DATA, --seed, --test-fraction, --flow and the options of the flow decide the model and its data"
                if "got another" in str(error) else "")
        raise ValueError(f"--{error}{hint}") from None
    if "animate" in callbacks and callbacks["animate"].frames:   # a second Ctrl-C, while it was drawn
        del paths["animate"]
    return history


def written(paths):
    """What was written where.

    >>> written({"out": "model.npz", "report": "report.png", "history": "history.csv"})
    'Wrote the model to model.npz, the report to report.png and the learning curve to history.csv.'
    """
    words = {"out": "the model", "report": "the report", "animate": "the film", "history": "the learning curve",
             "checkpoint": "the state of the training"}
    *first, last = [f"{words[option]} to {path}" for option, path in paths.items()]
    return f"Wrote {', '.join(first)} and {last}."
