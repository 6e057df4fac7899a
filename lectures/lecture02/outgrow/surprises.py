"""What surprised us in the other libraries, measured: ``python surprises.py`` prints what the environment can run.

Each function needs one library and returns what outgrow.md quotes; nothing here is used by the tests.
"""
import warnings

import numpy as np


def nflows_coupling_cannot_squeeze():
    """nflows: scale = sigmoid(r + 2) + 0.001 is at most 1.001, so that no density exceeds the base's by much."""
    import torch
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms import AffineCouplingTransform, CompositeTransform

    class Net(MLP):
        def __init__(self, n_in, n_out):
            super().__init__((n_in,), (n_out,), [32, 32])

        def forward(self, inputs, context=None):
            return super().forward(inputs)

    torch.manual_seed(0)
    x = 0.1 * torch.randn(2000, 2)
    flow = Flow(CompositeTransform([AffineCouplingTransform([k % 2, (k + 1) % 2], Net) for k in range(4)]),
                StandardNormal([2]))
    adam = torch.optim.Adam(flow.parameters(), 3e-3)
    for _ in range(1500):
        adam.zero_grad()
        (-flow.log_prob(x[torch.randint(2000, (128,))]).mean()).backward()
        adam.step()
    truth = torch.distributions.Normal(0, 0.1).log_prob(x).sum(dim=1).mean().item()
    return (f"x ~ N(0, 0.1^2 I) in two dimensions, mean log p: truth {truth:.2f}, four trained layers "
            f"{flow.log_prob(x).mean().item():.2f}, at the very most {4 * np.log(1.001) - np.log(2 * np.pi):.2f}")


def nflows_samples_in_float32():
    """nflows: the base density draws float32 whatever the dtype of the flow."""
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.transforms import MaskedAffineAutoregressiveTransform

    try:
        return f"{Flow(MaskedAffineAutoregressiveTransform(3, 8), StandardNormal([3])).double().sample(5).dtype}"
    except RuntimeError as error:
        return f"a flow in double, .sample(5): RuntimeError: {error}"


def normflows_network_without_activation():
    """normflows: MADE with ``use_residual_blocks=False`` has no activation after its first layer."""
    import torch
    from normflows.nets.made import MADE

    torch.manual_seed(0)
    network = MADE(3, 8, num_blocks=0, use_residual_blocks=False).double()
    a, b = torch.randn(2, 1, 3).double()
    defect = (network(a + b) + network(0 * a) - network(a) - network(b)).abs().max().item()
    return f"num_blocks=0: the network is affine, f(a + b) + f(0) - f(a) - f(b) is {defect:.0e}"


def normflows_sums_in_float32():
    """normflows: forward_and_log_det, inverse_and_log_det and forward_kld add log-determinants up in float32."""
    import torch
    import normflows as nf

    torch.manual_seed(0)
    flows = [nf.flows.AffineCouplingBlock(nf.nets.MLP([2, 16, 4])) for _ in range(4)]
    model = nf.NormalizingFlow(nf.distributions.DiagGaussian(4, trainable=False), flows).double()
    x = torch.randn(200, 4).double()
    loss, nll = model.forward_kld(x), -model.log_prob(x).mean()
    error = abs(loss.item() - nll.item())
    return f"a model in double: forward_kld is {loss.dtype}, off by {error:.0e} from -log_prob.mean()"


def normflows_first_call_sets_weights():
    """normflows: ActNorm takes its parameters from the first batch it sees, in whichever direction that goes."""
    import copy

    import torch
    import normflows as nf

    torch.manual_seed(0)
    flows = [[nf.flows.GlowBlock(4, 4), nf.flows.Squeeze()]]
    glow = nf.MultiscaleFlow([nf.distributions.DiagGaussian((4, 2, 2), trainable=False)], flows, [], class_cond=False)
    x, fresh, sampled = 3 + 2 * torch.randn(8, 1, 4, 4), copy.deepcopy(glow), copy.deepcopy(glow)
    sampled.sample(64)
    return (f"log p of one image: {glow.log_prob(x, None)[0].item():.1f} in a first batch of 8, "
            f"{fresh.log_prob(x[:4], None)[0].item():.1f} in a first batch of 4, "
            f"{sampled.log_prob(x, None)[0].item():.1f} if sample() was called before")


def flowjax_coordinates_that_never_move():
    """FlowJAX: the permutations of a coupling flow are random, and some leave a coordinate among x_1 every time."""
    import equinox as eqx
    import jax
    from flowjax.distributions import StandardNormal
    from flowjax.flows import coupling_flow

    unmoved = 0
    for seed in range(300):
        flow = coupling_flow(jax.random.key(seed), base_dist=StandardNormal((4,)), flow_layers=4, nn_width=2)
        (permutations, _) = jax.tree.leaves(eqx.filter(flow.bijection.bijection.bijection.bijections[1], eqx.is_array))
        coordinates, moved = np.arange(4), set()
        for perm in np.asarray(permutations):
            moved.update(coordinates[2:].tolist())               # the second half moves, then all are permuted
            coordinates = coordinates[perm]
        unmoved += len(moved) < 4
    return f"four coordinates, four layers: {unmoved} of 300 keys leave a coordinate unmoved"


def flowjax_normal_is_trained():
    """FlowJAX: the mean and scale of a `Normal` base are parameters."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    from flowjax.distributions import Normal, StandardNormal

    count = [sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(base, eqx.is_inexact_array)))
             for base in (Normal(jnp.zeros(3)), StandardNormal((3,)))]
    return f"trained numbers in the base, three coordinates: Normal {count[0]}, StandardNormal {count[1]}"


def main():
    warnings.simplefilter("ignore")
    for name, function in list(globals().items()):
        if name.startswith(("nflows_", "normflows_", "flowjax_")):
            try:
                print(f"{name}: {function()}")
            except ImportError as error:
                print(f"{name}: skipped, {error}")


if __name__ == "__main__":
    main()
