"""Record a MAF and a RealNVP of zuko: ``python record_zuko.py`` in an environment with torch and zuko."""
from importlib.metadata import version

import numpy as np


def main():
    import torch
    import zuko

    from recording import record_torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    flows = {"zuko_maf": zuko.flows.MAF(5, 0, transforms=3, hidden_features=(8, 8)),
             "zuko_realnvp": zuko.flows.RealNVP(5, 0, transforms=3, hidden_features=(8, 8))}
    for name, flow in flows.items():
        flow = flow.double()
        record_torch(name, flow, lambda x: flow().log_prob(x), lambda x: flow().transform.call_and_ladj(x),
                     lambda z: flow().transform.inv.call_and_ladj(z), rng.standard_normal((16, 5)),
                     rng.standard_normal((8, 5)), [f"zuko {version('zuko')}"])


if __name__ == "__main__":
    main()
