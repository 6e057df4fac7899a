"""Record a MAF and a RealNVP of nflows: ``python record_nflows.py`` in an environment with torch and nflows."""
from importlib.metadata import version

import numpy as np

DIM, STEPS, HIDDEN = 5, 3, (8, 8)


def main():
    import torch
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms import (AffineCouplingTransform, CompositeTransform, MaskedAffineAutoregressiveTransform,
                                   ReversePermutation)

    from recording import record_torch

    class Net(MLP):
        """nflows' MLP takes no context; its coupling layer passes one, which is None here."""

        def __init__(self, n_in, n_out):
            super().__init__((n_in,), (n_out,), HIDDEN)

        def forward(self, inputs, context=None):
            return super().forward(inputs)

    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(2)
    maf, realnvp = [], []
    for k in range(STEPS):
        maf += [ReversePermutation(DIM), MaskedAffineAutoregressiveTransform(
            DIM, HIDDEN[0], num_blocks=len(HIDDEN) - 1, use_residual_blocks=False)]
        realnvp.append(AffineCouplingTransform([(i + k) % 2 for i in range(DIM)], Net))
    for name, layers in {"nflows_maf": maf, "nflows_realnvp": realnvp}.items():
        transform = CompositeTransform(layers).double()
        flow = Flow(transform, StandardNormal([DIM]))
        record_torch(name, flow, flow.log_prob, transform, transform.inverse, rng.standard_normal((16, DIM)),
                     rng.standard_normal((8, DIM)), [f"nflows {version('nflows')}"])


if __name__ == "__main__":
    main()
