"""Record a MAF, a RealNVP and a Glow of normflows: ``python record_normflows.py`` with torch and normflows."""
from importlib.metadata import version

import numpy as np

DIM, STEPS, WIDTH = 4, 3, 9
SHAPE, LEVELS, BLOCKS, CHANNELS = (1, 4, 4), 2, 2, 4             # of Glow; channels first


def main():
    import torch
    import normflows as nf

    from recording import record_torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng, versions = np.random.default_rng(3), [f"normflows {version('normflows')}"]
    maf, realnvp = [], []
    for _ in range(STEPS):
        made = nf.flows.MaskedAffineAutoregressive(DIM, WIDTH, num_blocks=1, use_residual_blocks=False)
        maf += [nf.flows.Reverse(made), nf.flows.Permute(DIM, mode="swap")]      # reversed: a density in one pass
        net = nf.nets.MLP([DIM // 2, WIDTH, WIDTH, 2 * (DIM - DIM // 2)])
        realnvp += [nf.flows.AffineCouplingBlock(net), nf.flows.Permute(DIM, mode="swap")]
    for name, flows in {"normflows_maf": maf, "normflows_realnvp": realnvp}.items():
        model = nf.NormalizingFlow(nf.distributions.DiagGaussian(DIM, trainable=False), flows).double()
        record_torch(name, model, model.log_prob, lambda x: each(x, [flow.inverse for flow in model.flows[::-1]]),
                     lambda z: each(z, model.flows), rng.standard_normal((16, DIM)), rng.standard_normal((8, DIM)),
                     versions, spread=0.1)                       # exp(s) has no bound, and more leads far out

    channels, height, width = SHAPE
    flows, bases, merges, noise = [], [], [], []                 # the coarsest level, which is deepest, comes first
    for level in range(LEVELS, 0, -1):
        inside = channels * 2 ** (level + 1)                     # channels after this level's squeeze
        leaving = inside if level == LEVELS else inside // 2     # what becomes noise here
        latent = (leaving, height // 2 ** level, width // 2 ** level)
        flows.append([nf.flows.GlowBlock(inside, CHANNELS) for _ in range(BLOCKS)] + [nf.flows.Squeeze()])
        bases.append(nf.distributions.DiagGaussian(latent, trainable=False))
        noise.append(rng.standard_normal((4, *latent)))
        merges += [] if level == LEVELS else [nf.flows.Merge()]
    glow = nf.MultiscaleFlow(bases, flows, merges, class_cond=False).double()
    for module in glow.modules():
        if isinstance(module, nf.flows.ActNorm):                 # else the first call would overwrite its parameters
            module.data_dep_init_done.fill_(1.0)
    record_torch("normflows_glow", glow, lambda x: glow.log_prob(x, None), glow.inverse_and_log_det,
                 glow.forward_and_log_det, rng.standard_normal((8, *SHAPE)), noise, versions)


def each(value, steps):
    """The steps one after another, and the sum of their log-determinants in float64.

    `NormalizingFlow.forward_and_log_det` computes the same, but adds the log-determinants up in float32.
    """
    total = 0
    for step in steps:
        value, log_det = step(value)
        total = total + log_det
    return value, total


if __name__ == "__main__":
    main()
