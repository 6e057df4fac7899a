"""Who is sequential in which direction: counted and timed, not remembered.

    python lectures/lecture02/who_is_sequential.py

For one layer of each flow the conditioner's passes are counted by a network that counts its calls, in the formulas as the
slides write them; the times are those of the package's own density and sampling, medians of several runs, in units of the
time of RealNVP's density of as many samples.
"""
import statistics
import time

import nfnumpy as nf


def counting(flow):
    """The flow, with a network that counts its passes in the list that comes with it."""
    layer = flow.flow if isinstance(flow, nf.Inverse) else flow
    calls, vjp = [], layer.net.vjp

    def counted(h):
        calls.append(len(h))
        return vjp(h)

    layer.net.vjp = counted
    if hasattr(layer, "inverse_by_passes"):
        layer.inverse = layer.inverse_by_passes                  # the slide's formula, without the shortcut
    return flow, calls


def passes(build, dim):
    """Passes of one layer's network for a density and for a sample, one after another."""
    flow, calls = counting(build(dim))
    z, _ = flow.forward(nf.StandardNormal(dim).sample(3, rng=0))
    density = len(calls)
    flow.inverse(z)
    return density, len(calls) - density


def seconds(call, repeats=7):
    """The median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


ONE_LAYER = {"MAF": lambda dim: nf.GaussianAutoregressive(dim, (128, 128), rng=0),
             "IAF": lambda dim: nf.Inverse(nf.GaussianAutoregressive(dim, (128, 128), rng=0)),
             "RealNVP": lambda dim: nf.Coupling(dim, (128, 128), rng=0)}
MODELS = {"MAF": nf.maf, "IAF": nf.iaf, "RealNVP": nf.realnvp}


def table(dim=64, n=1000):
    """The rows of the table: name, passes and relative time of a density, passes and relative time of a sample."""
    x, times = nf.StandardNormal(dim).sample(n, rng=0), {}
    for name, build in MODELS.items():
        model = build(dim, steps=4, hidden=(128, 128), rng=0)
        times[name] = seconds(lambda: model.log_prob(x)), seconds(lambda: model.sample(n, rng=0))
    unit = times["RealNVP"][0]
    for name, build in ONE_LAYER.items():
        (density_passes, sample_passes), (density, sample) = passes(build, dim), times[name]
        yield name, density_passes, density / unit, sample_passes, sample / unit


if __name__ == "__main__":
    print("           density           sample\n          passes  time    passes  time")
    for name, density_passes, density, sample_passes, sample in table():
        print(f"{name:8}{density_passes:8}{density:6.1f}{sample_passes:10}{sample:6.1f}")
