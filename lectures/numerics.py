"""How exact the flows are: round trips and log-determinants of every flow, measured; prints the tables of numerics.md.

    python lectures/numerics.py         takes half a minute on one core
"""
import platform

import numpy as np
import scipy

import nfnumpy as nf
from nfnumpy.parametrized import walk
from nfnumpy.testing.calculus import jacobian
from nfnumpy.testing.zoo import BUILDERS, randomize

DTYPES = (np.float64, np.float32)
DIMS, SIZES, DEPTHS = (1, 2, 16, 64, 256), (1.0, 1e3, 1e6), (1, 4, 16, 64)
STACKS = {"maf": nf.maf, "iaf": nf.iaf, "realnvp": nf.realnvp}
WIDE = ("autoregressive", "coupling", "composition", "maf", "iaf", "realnvp", "dense", "plu", "qr", "triangular",
        "diagonal")                                              # up to dim 256; the others to 16


def round_trip(flow, x):
    """Worst |g(f(x)) - x| of any coordinate, relative to 1 + the largest |x| of its row; infinite where not finite."""
    x = np.asarray(x, flow.dtype)
    with np.errstate(all="ignore"):                              # what overflows is found below
        error = np.abs(flow.inverse(flow.forward(x)[0])[0].astype(np.float64) - x).reshape(len(x), -1).max(axis=1)
    error = error / (1 + np.abs(x).reshape(len(x), -1).max(axis=1))
    return float(np.where(np.isfinite(error), error, np.inf).max())


def log_det_error(flow, x):
    """Worst |log_det - log abs det J|, relative to 1 + |log det|, J by complex steps in float64, same theta and x."""
    x = np.asarray(x, flow.dtype).astype(np.float64)
    exact = flow.astype(np.float64)
    expected = np.linalg.slogdet(jacobian(lambda v: exact.forward(v)[0], x))[1]
    return float((np.abs(flow.forward(x)[1] - expected) / (1 + np.abs(expected))).max())


def batch(flow, size, rng, n=4):
    return size * rng.uniform(-1, 1, (n, *flow.x_shape))


def saturated(flow, level=1e3):
    """All r of the affine transformers at +-`level`: every log sigma at its bound, half of them at either."""
    for part in walk(flow):
        if isinstance(part, nf.MLP):
            out = getattr(part, f"b{part.depth - 1}")
            out[1::2] = level * np.where(np.arange(len(out[1::2])) % 2, 1, -1)
    return flow


def last_layers_times(scale, flow):
    """The flow with the last layer of every network scaled: 0 would make it the identity, where training starts."""
    for part in walk(flow):
        if isinstance(part, nf.MLP):
            getattr(part, f"W{part.depth - 1}")[...] *= scale
            getattr(part, f"b{part.depth - 1}")[...] *= scale
    return flow


def conditioned(build, dim, condition, rng):
    """A linear flow whose W has singular values from condition^-1/2 to condition^1/2, between two rotations."""
    left, right = (np.linalg.qr(rng.standard_normal((dim, dim)))[0] for _ in range(2))
    return build(dim, (left * np.geomspace(condition ** -0.5, condition ** 0.5, dim)) @ right)


def triangular(dim, W):
    """The triangle of W's QR decomposition, whose singular values are W's."""
    R = np.linalg.qr(W.T)[1].T
    return nf.Triangular(dim, W=R, signs=np.sign(np.diag(R)))


def row(*cells):
    print("| " + " | ".join(cell if isinstance(cell, str) else f"{cell:.0e}" for cell in cells) + " |")


def header(*cells):
    row(*cells)
    row(*["---"] * len(cells))


def worst(flows, size, measure, dtype, rng):
    return max(measure(flow.astype(dtype), batch(flow, size, rng)) for flow in flows)


def measure_zoo():
    header("flow", "dim", *(f"{name}, x to {size:g}" for name in ("f64", "f32") for size in SIZES),
           "log-det f64", "f32")
    for name, build in BUILDERS.items():
        dims, rng = (DIMS if name in WIDE else (1, 2, 16)), np.random.default_rng(0)
        flows = [randomize(build(dim, rng), rng) for dim in dims for _ in range(2)]
        small = [flow for flow in flows if np.prod(flow.x_shape) <= 64]
        sizes = SIZES if name != "logit, inverse" else SIZES[:1]
        trips = [[worst(flows, size, round_trip, dtype, rng) for size in sizes] + ["-"] * (len(SIZES) - len(sizes))
                 for dtype in DTYPES]
        row(name, f"{dims[0]} to {dims[-1]}", *trips[0], *trips[1],
            *(worst(small, 1.0, log_det_error, dtype, rng) for dtype in DTYPES))


def measure_depth():
    header("stack", "last layers", "dim", *(f"{name}, {depth}" for name in ("f64", "f32") for depth in DEPTHS))
    for name, build in STACKS.items():
        for scale, dim in ((0.1, 2), (0.1, 16), (0.1, 256), (1.0, 2), (1.0, 16)):
            rng = np.random.default_rng(0)
            flows = [last_layers_times(scale, randomize(build(dim, depth, (32,), "relu", rng=rng).flow, rng))
                     for depth in DEPTHS]
            row(name, f"times {scale:g}", str(dim), *(worst([flow], 1.0, round_trip, dtype, rng)
                                                      for dtype in DTYPES for flow in flows))


def measure_adversarial():
    header("flow", "parameters", "round trip f64", "f32", "log-det f64", "f32")
    rng = np.random.default_rng(0)
    cases = [(name, f"every log sigma at +-5, layers: {depth}",
              saturated(randomize(build(4, depth, (16,), rng=rng).flow, rng)))
             for name, build in STACKS.items() for depth in (1, 4)]
    for name, build in (("dense", nf.Dense), ("plu", nf.PLU), ("qr", nf.QR), ("triangular", triangular)):
        cases += [(name, f"condition number {condition:.0e}", conditioned(build, 16, condition, rng))
                  for condition in (1e4, 1e8)]
    for name, parameters, flow in cases:
        row(name, parameters, *(worst([flow], 1.0, measure, dtype, rng) for measure in (round_trip, log_det_error)
                                for dtype in DTYPES))


def measure_trained():
    header("model", "data", "round trip f64", "f32", "x to 1e6, f64", "f32", "log-det f64", "f32")
    train, test = nf.datasets.load("moons", n=2000, rng=0)
    images = nf.datasets.digits()[0]
    models = [(f"{name}, {activation}", "moons", build(2, activation=activation, rng=0).standardized(train), train,
               test) for name, build in STACKS.items() for activation in ("relu", "tanh") if name != "iaf"]
    models += [("glow", "digits", nf.glow((8, 8, 1), 2, 2, 16, grey_levels=17, rng=0), images[:1500], images[1500:])]
    for name, data, model, train, test in models:
        nf.fit(model, train, rng=0, max_steps=1000, batch_size=100, lr=3e-3, progress=False)
        x, flow = model.prepare(test[:50], np.random.default_rng(0)), model.flow
        if hasattr(model, "grey_levels"):                        # what follows the logit takes any real x
            x, flow = flow.flows[0].forward(x)[0], flow.flows[1]
        far = batch(flow, 1e6, np.random.default_rng(0), 50)
        row(name, data, *(round_trip(flow.astype(dtype), v) for v in (x, far) for dtype in DTYPES),
            *(log_det_error(flow.astype(dtype), x[:4]) for dtype in DTYPES))


def largest_depth(build, dtype, size):
    """The most layers with every log sigma at its bound -5 for which log p is finite; at most 128."""
    for depth in range(1, 129):
        model = build(2, depth, (), dtype=dtype)
        for part in walk(model.flow):
            if isinstance(part, nf.MLP):
                part.b0[1::2] = -1e3 if build is not nf.iaf else 1e3
        with np.errstate(all="ignore"):
            if not np.isfinite(model.log_prob(np.full((1, 2), size))).all():
                return depth - 1
    return 128


def measure_range():
    header("stack", *(f"{name}, x to {size:g}" for name in ("f64", "f32") for size in (1.0, 1e6)))
    for name, build in STACKS.items():
        row(name, *(str(largest_depth(build, dtype, size)) for dtype in DTYPES for size in (1.0, 1e6)))


def decreasing_radius(log_prob, direction, radii):
    """The radius from which on log p decreases strictly along the ray to the last of `radii`."""
    log_p = log_prob(radii[:, None] * direction)
    rising = np.flatnonzero(~(np.diff(log_p) < 0))
    return float(radii[rising[-1] + 1]) if len(rising) else float(radii[0])


def measure_rays():
    header("model", "activation", "median radius", "largest radius", "of rays")
    rng, radii = np.random.default_rng(0), np.geomspace(0.1, 1e6, 2000)
    for name, build in STACKS.items():
        for activation in ("relu", "tanh"):
            found = []
            for _ in range(20):
                model = build(3, 3, (16,), activation, rng=rng)
                randomize(model.flow, rng)
                for v in rng.standard_normal((10, 3)):
                    found.append(decreasing_radius(model.log_prob, v / np.linalg.norm(v), radii))
            row(name, activation, f"{np.median(found):.3g}", f"{max(found):.3g}", f"{len(found)}")


if __name__ == "__main__":
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}")
    for measure in (measure_zoo, measure_depth, measure_adversarial, measure_trained, measure_range, measure_rays):
        print(f"\n{measure.__name__}\n")
        measure()
