"""Time one library on request: reads `WORKLOAD REPEATS` lines, answers the median seconds of a repetition.

    python worker.py LIBRARY        LIBRARY: nfnumpy, zuko, nflows, normflows, flowjax, or torch (plain PyTorch)

A line that cannot be run answers `skip REASON`.
"""
import statistics
import sys
import time

if __package__:
    from tests.benchmarks.race.workloads import WORKLOADS, batch
else:
    from workloads import WORKLOADS, batch


def nfnumpy(name):
    """One repetition, as a function: here, and in all that follow."""
    import numpy as np
    import nfnumpy as nf

    kind, model_name, shape, steps, hidden, n = WORKLOADS[name]
    x = batch(name)
    if model_name == "glow":
        model = nf.glow(shape=shape, levels=steps[0], steps=steps[1], width=hidden, rng=0, dtype=np.float32)
    elif model_name == "realnvp_image":
        model = nf.realnvp_image(shape=shape, couplings=steps[0], blocks=steps[1], width=hidden, rng=0, dtype=np.float32)
    else:
        build = {"maf": nf.maf, "realnvp": nf.realnvp}[model_name]
        model = build(dim=shape, steps=steps, hidden=hidden, rng=0, dtype=np.float32)
    if kind == "density":
        return lambda: model.log_prob(x)
    if kind == "sample":
        rng = np.random.default_rng(0)
        return lambda: model.sample(n, rng=rng)
    adam = nf.Adam(model.theta, lr=1e-3)

    def step():
        _, gradient = nf.negative_log_likelihood(model, x)
        adam.step(gradient)

    return step


def torch_step(parameters, nll):
    """A training step of PyTorch."""
    import torch

    adam = torch.optim.Adam(parameters, lr=1e-3)

    def step():
        adam.zero_grad()
        nll().backward()
        adam.step()

    return step


def zuko(name):
    """zuko, eager PyTorch."""
    import torch
    import zuko

    kind, model_name, dim, steps, hidden, n = WORKLOADS[name]
    torch.set_num_threads(2)
    if "glow" in model_name or "image" in model_name:
        raise NotImplementedError("no image flows")
    if model_name == "maf":
        flow = zuko.flows.MAF(dim, 0, transforms=steps, hidden_features=hidden)
    else:
        flow = zuko.flows.RealNVP(dim, 0, transforms=steps, hidden_features=hidden)
    x = torch.from_numpy(batch(name))
    if kind == "train":
        return torch_step(flow.parameters(), lambda: -flow().log_prob(x).mean())
    run = (lambda: flow().log_prob(x)) if kind == "density" else (lambda: flow().sample((n,)))
    return torch.no_grad()(run)


def nflows(name):
    """nflows, eager PyTorch."""
    import torch
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms import (AffineCouplingTransform, CompositeTransform,
                                   MaskedAffineAutoregressiveTransform, ReversePermutation)

    kind, model_name, dim, steps, hidden, n = WORKLOADS[name]
    torch.set_num_threads(2)
    if "glow" in model_name or "image" in model_name:
        raise NotImplementedError("no ready-made Glow")

    class Net(MLP):
        def __init__(self, n_in, n_out):
            super().__init__((n_in,), (n_out,), list(hidden))

        def forward(self, inputs, context=None):
            return super().forward(inputs)

    layers = []
    for k in range(steps):
        if model_name == "maf":
            layers += [ReversePermutation(dim), MaskedAffineAutoregressiveTransform(
                dim, hidden[0], num_blocks=len(hidden) - 1, use_residual_blocks=False)]
        else:
            mask = [(i + k) % 2 for i in range(dim)]
            layers += [AffineCouplingTransform(torch.tensor(mask), Net)]
    flow = Flow(CompositeTransform(layers), StandardNormal([dim]))
    x = torch.from_numpy(batch(name))
    if kind == "train":
        return torch_step(flow.parameters(), lambda: -flow.log_prob(x).mean())
    return torch.no_grad()((lambda: flow.log_prob(x)) if kind == "density" else (lambda: flow.sample(n)))


def normflows(name):
    """normflows, eager PyTorch."""
    import torch
    import normflows as nf

    kind, model_name, shape, steps, hidden, n = WORKLOADS[name]
    torch.set_num_threads(2)
    if model_name == "maf":
        flows = []
        for _ in range(steps):
            made = nf.flows.MaskedAffineAutoregressive(shape, hidden[0], num_blocks=len(hidden) - 1,
                                                       use_residual_blocks=False)
            flows += [nf.flows.Reverse(made), nf.flows.Permute(shape, mode="swap")]  # reversed: density in one pass
        model = nf.NormalizingFlow(nf.distributions.DiagGaussian(shape, trainable=False), flows)
    elif model_name == "realnvp":
        flows = []
        for _ in range(steps):
            half = (shape + 1) // 2
            net = nf.nets.MLP([half, *hidden, 2 * (shape - half)], init_zeros=True)
            flows += [nf.flows.AffineCouplingBlock(net), nf.flows.Permute(shape, mode="swap")]
        model = nf.NormalizingFlow(nf.distributions.DiagGaussian(shape, trainable=False), flows)
    elif model_name == "realnvp_image":
        raise NotImplementedError("no checkerboard couplings")
    else:
        levels, per_level = steps
        height, width, channels = shape
        bases, merges, flows = [], [], []
        for i in range(levels):
            flows.append([nf.flows.GlowBlock(channels * 2 ** (levels + 1 - i), hidden, split_mode="channel", scale=True)
                          for _ in range(per_level)] + [nf.flows.Squeeze()])
            if i > 0:
                merges.append(nf.flows.Merge())
                latent = (channels * 2 ** (levels - i), height // 2 ** (levels - i), width // 2 ** (levels - i))
            else:
                latent = (channels * 2 ** (levels + 1), height // 2 ** levels, width // 2 ** levels)
            bases.append(nf.distributions.DiagGaussian(latent, trainable=False))
        model = nf.MultiscaleFlow(bases, flows, merges)
    x = torch.from_numpy(batch(name))
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous()
    if kind == "train":
        return torch_step(model.parameters(), lambda: model.forward_kld(x))
    return torch.no_grad()((lambda: model.log_prob(x)) if kind == "density" else (lambda: model.sample(n)))


def torch(name):
    """RealNVP for images as one writes it in plain PyTorch: what students of the course do as homework."""
    import torch
    from torch import nn

    kind, model_name, (height, width, channels), (couplings, blocks), filters, n = WORKLOADS[name]
    if model_name != "realnvp_image":
        raise NotImplementedError("only the homework's model")
    torch.set_num_threads(2)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(filters, filters, 1), nn.ReLU(), nn.Conv2d(filters, filters, 3, padding=1),
                                      nn.ReLU(), nn.Conv2d(filters, filters, 1))

        def forward(self, h):
            return h + self.body(h)

    def network(c_in, c_out):
        return nn.Sequential(nn.Conv2d(c_in, filters, 3, padding=1), nn.ReLU(), *[Block() for _ in range(blocks)],
                             nn.ReLU(), nn.Conv2d(filters, c_out, 3, padding=1))

    class Coupling(nn.Module):
        def __init__(self, c, mask):  # mask: 1 where x passes through
            super().__init__()
            self.mask, self.net = mask, network(c, 2 * c)
            self.scale, self.loc, self.log_s = (nn.Parameter(torch.zeros(s)) for s in ((1,), (1, c, 1, 1), (1, c, 1, 1)))

        def forward(self, x):
            mu, log_sigma = self.net(x * self.mask).chunk(2, dim=1)
            log_sigma = self.scale * torch.tanh(log_sigma) * (1 - self.mask)
            z = (x - mu * (1 - self.mask)) * torch.exp(-log_sigma)
            log_det = -log_sigma.sum((1, 2, 3)) + self.log_s.sum() * x.shape[2] * x.shape[3]
            return z * torch.exp(self.log_s) + self.loc, log_det  # with its activation normalization

    board = (torch.arange(height)[:, None] + torch.arange(width)[None]) % 2
    half = torch.cat([torch.ones(2 * channels), torch.zeros(2 * channels)])[None, :, None, None]
    stages = nn.ModuleList(nn.ModuleList(Coupling(c, m if k % 2 else 1 - m) for k in range(couplings)) for c, m in
                           ((channels, board), (4 * channels, half), (channels, board)))
    x = torch.from_numpy(batch(name)).permute(0, 3, 1, 2).contiguous()

    def nll():
        z, total = x, 0
        for i, stage in enumerate(stages):
            if i == 1:
                z = nn.functional.pixel_unshuffle(z, 2)
            if i == 2:
                z = nn.functional.pixel_shuffle(z, 2)
            for coupling in stage:
                z, log_det = coupling(z)
                total = total + log_det
        return (0.5 * (z ** 2).sum((1, 2, 3)) - total).mean()

    return torch_step(stages.parameters(), nll)


def flowjax(name):
    """FlowJAX, compiled by JAX."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax
    import paramax
    from flowjax.bijections import Affine
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow, masked_autoregressive_flow

    kind, model_name, dim, steps, hidden, n = WORKLOADS[name]
    if "glow" in model_name or "image" in model_name:
        raise NotImplementedError("no image flows")
    build = masked_autoregressive_flow if model_name == "maf" else coupling_flow
    flow = build(jax.random.key(0), base_dist=Normal(jnp.zeros(dim)), transformer=Affine(), flow_layers=steps,
                 nn_width=hidden[0], nn_depth=len(hidden), invert=True)
    x = jnp.asarray(batch(name))
    if kind == "density":
        run = eqx.filter_jit(lambda flow, x: flow.log_prob(x))
        return lambda: run(flow, x).block_until_ready()
    if kind == "sample":
        run = eqx.filter_jit(lambda flow, key: flow.sample(key, (n,)))
        return lambda: run(flow, jax.random.key(1)).block_until_ready()
    params, static = eqx.partition(flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable))
    adam = optax.adam(1e-3)
    state = [params, adam.init(params)]

    @eqx.filter_jit
    def update(params, opt_state, x):
        nll = lambda p: -paramax.unwrap(eqx.combine(p, static)).log_prob(x).mean()
        loss, grads = eqx.filter_value_and_grad(nll)(params)
        updates, opt_state = adam.update(grads, opt_state, params)
        return eqx.apply_updates(params, updates), opt_state, loss

    def step():
        state[0], state[1], loss = update(*state, x)
        loss.block_until_ready()

    return step


def main(library):
    """Answer requests, line by line."""
    build, ready = globals()[library], {}
    for line in sys.stdin:
        name, repeats = line.split()
        try:
            if name not in ready:
                ready.clear()                                    # one model in memory at a time
                ready[name] = build(name)
                for _ in range(3):
                    ready[name]()
            times = []
            for _ in range(int(repeats)):
                start = time.perf_counter()
                ready[name]()
                times.append(time.perf_counter() - start)
            print(f"{statistics.median(times):.9f}", flush=True)
        except Exception as error:                               # the driver prints the reason beside the row
            print(f"skip {type(error).__name__}: {error}".replace("\n", " ")[:200], flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
