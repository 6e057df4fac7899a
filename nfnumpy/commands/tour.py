"""``python -m nfnumpy tour``: the lecture's flows on two data sets, one table and one picture, in under a minute."""
import numpy as np

import nfnumpy as nf
from nfnumpy.commands import common
from nfnumpy.flows.triangular import Triangular
from nfnumpy.targets import TOY

EXAMPLE = """example: a table on the screen and a picture in tour.png

  python -m nfnumpy tour"""

# data set: (title, rows or None for all of them, names of the axes, options of the builders, options of `nf.fit`)
FAITHFUL = ("Old Faithful", None, ("eruption, minutes", "waiting, minutes"),
            {"hidden": (24, 24), "activation": "tanh"},
            {"max_steps": 1500, "lr": 2e-3, "weight_decay": 1.0, "valid_fraction": 0.2})
# Batches and layers this small are multiplied on one core: on a busy machine BLAS loses more by waiting for its threads
# than they gain.
MOONS = ("Moons", 10000, ("x1", "x2"),
         {"hidden": (40, 40), "activation": "tanh"},
         {"max_steps": 3000, "lr": 1e-2, "batch_size": 128, "eval_every": 50, "valid_fraction": 0.05})
DATA = {"faithful": FAITHFUL, "moons": MOONS}
BUILDERS = {"MAF": nf.maf, "RealNVP": nf.realnvp}
JACOBIANS = 200                                                  # test rows whose Jacobian is computed

HEADER = ("data", "model", "log p, nats", "above Gaussian", "round trip", "log-det", "passes")
LEGEND = """\
log p           mean log p(x) of the held-out rows, in nats, in the units of the data
above Gaussian  mean difference to the linear flow, row by row, with its standard error
round trip      worst |g(f(x)) - x| over the held-out rows
log-det         worst difference to numpy.linalg.slogdet of a Jacobian computed by complex steps
passes          of each layer's network, for a density / for a sample"""


def add_arguments(parser):
    """Declare what `tour` takes."""
    parser.add_argument("--out", default="tour.png", metavar="FILE",
                        help="the picture, a .png, .pdf or .svg file (default %(default)s)")
    common.add_seed(parser)
    common.add_quiet(parser)


def run(args):
    """Fit the flows to both data sets, print the table, write the picture."""
    path = common.output_path(args.out, "--out", common.PICTURES)
    lines, pictures = [], []
    for name, (title, n, columns, options, training) in DATA.items():
        train, test = nf.datasets.load(name, n=n, rng=args.seed)
        common.say(args, f"{title}: {len(train)} rows to learn from, {len(test)} held out")
        linear = nf.NormalizingFlow(Triangular.whitening(train))
        reference = common.log_prob(linear, test)
        lines.append((title, "linear Gaussian", *measure(linear, test, reference)))
        drawn = []
        for model_name, build in BUILDERS.items():
            model = build(2, rng=args.seed, **options).standardized(train)
            history = nf.fit(model, train, rng=args.seed, progress=False if args.quiet else None, **training)
            if history.stopped == "interrupted":
                raise KeyboardInterrupt
            common.say(args, f"  {model_name}: {history.step[-1]} steps in {history.seconds:.1f} s")
            lines.append((title, model_name, *measure(model, test, reference)))
            drawn.append((model_name, model, model.sample(len(train), args.seed)))
        pictures.append((title, train, columns, drawn))
        if name in TOY:
            log_p = TOY[name]().log_prob(test)
            lines.append((title, "true density", f"{log_p.mean():.3f}", difference(log_p - reference), "", "", ""))

    from nfnumpy import plot                                     # here, since matplotlib takes long to load
    common.save_figure(plot.comparison(pictures), path)
    print(f"\n{as_table(HEADER, lines)}\n\n{LEGEND}\n")
    common.say(args, f"Wrote the picture to {path}.")


def measure(model, test, reference):
    """The table's entries for a model: log-likelihood, difference to `reference`, both errors, passes."""
    log_p = common.log_prob(model, test)
    z, _ = model.flow.forward(test)
    round_trip = np.abs(model.flow.inverse(z)[0] - test).max()
    x = test[:JACOBIANS]
    J = nf.testing.jacobian(lambda v: model.flow.forward(v)[0], x)
    log_det = np.abs(model.flow.forward(x)[1] - np.linalg.slogdet(J)[1]).max()
    return (f"{log_p.mean():.3f}", difference(log_p - reference), f"{round_trip:.0e}", f"{log_det:.0e}",
            passes(model.flow))


def difference(values):
    """The mean with its standard error; nothing for the reference itself."""
    return "{:+.3f} +- {:.3f}".format(*common.mean_and_error(values)) if np.any(values) else ""


def passes(flow):
    """How often one layer's network is evaluated for a density and for a sample: of each layer that has one.

    >>> passes(nf.maf(dim=2, rng=0).flow), passes(nf.realnvp(dim=2, rng=0).flow)
    ('1 / 2', '1 / 1')
    """
    layers = {layer.passes for layer in flat(flow) if hasattr(layer, "net")}
    return ", ".join(f"{density} / {sampling}" for density, sampling in sorted(layers)) or "no network"


def flat(flow):
    """The layers of a flow, compositions inside compositions opened."""
    for layer in getattr(flow, "flows", []):
        yield from flat(layer)
    if not hasattr(flow, "flows"):
        yield flow


def as_table(header, lines):
    """Columns of text, numbers to the right.

    >>> print(as_table(("model", "nats"), [("MAF", "-1.0"), ("linear", "-12.5")]))
    model    nats
    -------------
    MAF      -1.0
    linear  -12.5
    """
    widths = [max(map(len, column)) for column in zip(header, *lines)]
    texts = ["  ".join(f"{cell:{'<' if j < 2 - (len(header) == 2) else '>'}{width}}"
                       for j, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in (header, *lines)]
    return "\n".join([texts[0], "-" * max(map(len, texts)), *texts[1:]])
