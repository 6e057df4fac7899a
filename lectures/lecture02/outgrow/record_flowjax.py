"""Record a masked autoregressive and a coupling flow of FlowJAX: ``python record_flowjax.py`` with jax and flowjax."""
from importlib.metadata import version

import numpy as np

DIM, STEPS, WIDTH, DEPTH = 5, 3, 8, 2


def main():
    import equinox as eqx
    import jax
    import paramax
    from flowjax.distributions import StandardNormal
    from flowjax.flows import coupling_flow, masked_autoregressive_flow

    from recording import write

    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(4)
    for name, build in {"flowjax_maf": masked_autoregressive_flow, "flowjax_realnvp": coupling_flow}.items():
        flow = build(jax.random.key(0), base_dist=StandardNormal((DIM,)), flow_layers=STEPS, nn_width=WIDTH,
                     nn_depth=DEPTH)
        trained, fixed = eqx.partition(flow, eqx.is_inexact_array)
        trained = jax.tree.map(lambda array: array + 0.2 * rng.standard_normal(array.shape), trained)
        flow = paramax.unwrap(eqx.combine(trained, fixed))       # the masks are applied here
        x, noise = rng.standard_normal((16, DIM)), rng.standard_normal((8, DIM))

        def loss(trained, x):
            return -paramax.unwrap(eqx.combine(trained, fixed)).log_prob(x).mean()

        z, z_log_det = jax.vmap(flow.bijection.inverse_and_log_det)(x)
        sample, sample_log_det = jax.vmap(flow.bijection.transform_and_log_det)(noise)
        write(name, named(eqx.filter(eqx.combine(trained, fixed), eqx.is_array)), named(jax.grad(loss)(trained, x)),
              [f"jax {jax.__version__}", f"flowjax {version('flowjax')}", f"equinox {version('equinox')}"],
              x=x, log_prob=np.asarray(flow.log_prob(x)), gradient_x=jax.grad(loss, argnums=1)(trained, x),
              z=z, z_log_det=z_log_det, noise=noise, sample=sample, sample_log_det=sample_log_det)


def named(tree):
    """``{path: array}`` of a tree's arrays; a path reads like the attribute access that leads there."""
    import jax

    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


if __name__ == "__main__":
    main()
