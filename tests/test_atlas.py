"""The atlas: its page is current and complete, and every formula on it computes what the layer computes.

A "Formulas" section is Python for one sample. `Sheet` runs its rows, with the layer's parameters and constants as the
names that no line defines; ``J(y(x), x)`` is a Jacobian by complex steps.
"""
import copy
import functools
import importlib
import operator
import pkgutil
import re
import types

import atlas
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import nfnumpy as nf
from nfnumpy import flows
from nfnumpy.flow import Flow
from nfnumpy.flows.linear_map import LinearMap, beside_diagonal, triangle
from nfnumpy.flows.spline import softmax, softplus
from nfnumpy.nets.cnn import Conv2d
from nfnumpy.nets.made import split_params
from nfnumpy.nets.velocity import Velocity
from nfnumpy.parametrized import walk
from nfnumpy.testing.zoo import BUILDERS

LAYERS = [cls for layers in atlas.CHAPTERS.values() for cls in layers]
NETS = [nf.MLP, nf.MADE, Conv2d, Velocity]
some = settings(max_examples=10)
seeds = st.integers(0, 2 ** 32 - 1)


# Running formulas ---------------------------------------------------------------------------------------------------

class Image(np.ndarray):
    """``(height, width, channels)``, zero outside: ``image[i, j]`` for any whole i and j."""

    def __getitem__(self, key):
        if isinstance(key, tuple) and len(key) == 2 and not all(0 <= k < size for k, size in zip(key, self.shape)):
            return np.zeros(self.shape[2])
        return super().__getitem__(key).view(np.ndarray)


def total(values):
    """The sum of all entries of an array, or of the items of an iterable."""
    return np.sum(values) if isinstance(values, np.ndarray) else functools.reduce(operator.add, values)


def path(F, y, start, stop):
    """The solution of dy/dt = F(y, t) with y(start) = y, as a function of t."""
    return solve_ivp(lambda t, y: F(y, t), (start, stop), y, "DOP853", rtol=1e-12, atol=1e-12, dense_output=True).sol


def integral(F, start, stop):
    """Of a smooth function of t, by Gauss and Legendre: exact for polynomials of degree 47."""
    points, weights = np.polynomial.legendre.leggauss(24)
    half = (stop - start) / 2
    return half * sum(weight * F(start + half * (1 + point)) for point, weight in zip(points, weights))


FUNCTIONS = {"append": np.append, "path": path, "integral": integral,
             "exp": np.exp, "log": np.log, "tanh": np.tanh, "abs": np.abs, "outer": np.outer, "diag": np.diagonal,
             "solve": np.linalg.solve, "inv": np.linalg.inv, "det": np.linalg.det, "sum": total,
             "softmax": softmax, "softplus": softplus, "sum_pixels": lambda v: v.reshape(-1, v.shape[-1]).sum(axis=0),
             "strictly_lower": lambda A: A[beside_diagonal(len(A), lower=True)],
             "strictly_upper": lambda A: A[beside_diagonal(len(A), lower=False)]}


class Sheet(dict):
    """The names that the formulas of a class know and define; `run` runs a row of them."""

    def __init__(self, cls, **names):
        super().__init__(FUNCTIONS, J=self.jacobian, **names)
        self.rows = atlas.formulas(cls)
        self.setdefault("f", lambda x: self.at(x, "f", "z"))
        self.setdefault("log_det_f", lambda x: self.at(x, "log abs det", "log_det"))
        self.run("where")

    def run(self, label):
        text = "\n".join(self.rows.get(label, []))
        text = re.sub(r"^(\w+)\((\w+(?:, \w+)*)\) = ", r"\1 = lambda \2: ", text, flags=re.M)  # a(v, h) = ...
        text = re.sub(r"\bJ\((\w+\(\w+\)), (\w+)\)", r"J('\1', '\2')", text)
        for name in re.findall(r"(?<!\.)\b(\w+)\[", text):
            self.setdefault(name, {})                            # h[k] = ...: a table that nobody has declared
        exec(text, self)

    def at(self, x, label, name):
        """What a row says of `name` at another x."""
        saved = dict(self)
        self["x"] = x
        self.run(label)
        value = self[name]
        self.update(saved)
        return value

    def jacobian(self, expression, name):
        """The Jacobian matrix of an expression with respect to a vector, by complex steps."""
        here, columns = self[name], []
        for step in np.eye(len(here)):
            self[name] = here + 1e-30j * step
            columns.append(np.imag(eval(expression, self)) / 1e-30)
        self[name] = here
        return np.moveaxis(np.reshape(columns, (len(here), *np.shape(eval(expression, self)))), 0, -1)


# What each class calls its parameters, constants and parts ----------------------------------------------------------

def sheet_of(flow):
    """The sheet of a flow's class, with the names of this flow."""
    names = {key.split(".")[-1]: value for key, value in flow.named().items()}
    names.update({name: getattr(flow, name) for name in flow._constants})
    if len(flow.x_shape) == 3:
        height, width, c = flow.x_shape
        names.update(height=height, width=width, c=c, pixels=[(i, j) for i in range(height) for j in range(width)])
    names.update(NAMES.get(type(flow), lambda flow: {})(flow))
    sheet = Sheet(type(flow), **names)
    for cls, bind in PARTS.items():
        if isinstance(flow, cls):
            sheet.update(bind(flow, sheet))
    return sheet


def triangular_names(flow):
    return {"triangle": lambda off_diagonal, diagonal: triangle(off_diagonal, diagonal, flow.lower),
            "beside_diagonal": lambda A: A[beside_diagonal(len(A), flow.lower)]}


def squeeze_names(flow):
    height, width, c = flow.x_shape
    i, j, dy, dx, k = np.ogrid[:height // 2, :width // 2, :2, :2, :c]
    return {"order": flow.order, "i": i, "j": j, "dy": dy, "dx": dx, "k": k}


NAMES = {nf.Triangular: triangular_names, flows.Squeeze: squeeze_names,
         nf.Dense: lambda flow: {"W": flow.W},
         nf.PLU: lambda flow: {"P": np.eye(len(flow.b))[flow.perm], "L": flow.L, "U": flow.U},
         nf.QR: lambda flow: {"T": flow.T, "m": len(flow.b), "I": np.eye(len(flow.b))},
         nf.Conv1x1: lambda flow: {"W": flow.W},
         nf.MaskedConv: lambda flow: {"K": flow.K, "taps": list(np.ndindex(flow.K.shape[:2]))},
         nf.ActNorm: lambda flow: {"pixels": flow.pixels},
         flows.Logit: lambda flow: {"alpha": flow.alpha, "grey_levels": flow.grey_levels},
         nf.Composition: lambda flow: {"K": len(flow.flows)}, nf.EmergingConv: lambda flow: {"K": 2},
         flows.MultiScale: lambda flow: {"L": len(flow.levels)}}


def conditioner(flow, sheet):
    """mu and r as functions; theta means its coordinates along `directions`, onto which gradients are projected."""
    directions, partition = directions_of(flow), getattr(flow, "partition", None)
    nets = {"f": copy.copy(flow.net), "c": flow.net.astype(complex)}

    def output(index):
        def of(x):
            theta = flow.theta + directions @ sheet["theta"]
            net = nets[np.result_type(theta, x).kind]
            net.theta = theta
            if partition is None:
                return net.vjp(flow.beside_context(x[None]))[0][0, :, index]
            out, _ = net.vjp(flow.beside_context(x.reshape(partition.split(np.zeros((1, *flow.x_shape)))[0].shape)))
            return partition.restrict(split_params(out, 2))[0, ..., index].ravel()
        return of

    return {"theta": np.zeros(directions.shape[1]), "mu": output(0), "r": output(1)}


def directions_of(flow):
    return np.random.default_rng(0).standard_normal((flow.n_params, 3))


def velocity(flow, sheet):
    """v and dv/dx layer by layer, and derivatives by complex steps; theta means its coordinates along `directions`."""
    directions, m = directions_of(flow), flow.x_shape[0]

    def at(x, t, theta=flow.theta):
        layers, h, J = flow.net.parts(theta), np.append(x, t), np.eye(m + 1, m)
        for k in range(flow.net.depth):
            h, J = layers[f"W{k}"] @ h + layers[f"b{k}"], layers[f"W{k}"] @ J
            if k < flow.net.depth - 1:
                h = np.tanh(h)
                J = (1 - h ** 2)[:, None] * J
        return h, J

    def steps_in_x(x, t):
        return [at(x + 1e-30j * step, t) for step in np.eye(m)]

    def steps_in_theta(x, t):
        return [at(x, t, flow.theta + 1e-30j * step) for step in directions.T]

    def ddiv(steps):
        return lambda x, t: np.array([np.trace(J).imag for _, J in steps(x, t)]) / 1e-30

    return {"v": lambda x, t: at(x, t)[0], "dv_dx": lambda x, t: at(x, t)[1], "ddiv_dx": ddiv(steps_in_x),
            "dv_dtheta": lambda x, t: np.stack([v.imag for v, _ in steps_in_theta(x, t)], axis=1) / 1e-30,
            "ddiv_dtheta": ddiv(steps_in_theta)}


def chain(flow, sheet):
    """f[k], g[k], log_det_f[k] and both adjoints of the parts, at the input or output that the sheet has for them."""
    def output(k):
        return parts[k].forward(sheet["h"][k - 1][None])[0]

    parts = dict(enumerate(flow.flows if isinstance(flow, nf.Composition) else flow.levels, 1))
    return {"f": {k: lambda h, part=part: part.forward(h[None])[0][0] for k, part in parts.items()},
            "g": {k: lambda h, part=part: part.inverse(h[None])[0][0] for k, part in parts.items()},
            "log_det_f": {k: lambda h, part=part: part.forward(h[None])[1][0] for k, part in parts.items()},
            "adjoint_f": {k: lambda grad, w, k=k: one(parts[k].forward_vjp(sheet["h"][k - 1][None])[1](grad[None], w))
                          for k in parts},
            "adjoint_g": {k: lambda grad, w, k=k: one(parts[k].inverse_vjp(output(k))[1](grad[None], w))
                          for k in parts},
            "halves": lambda h: flow._divide(h), "join": lambda h, z: np.concatenate([h, z], axis=-1)}


def inner(flow, sheet):
    flow = flow.flow
    return {"flow": types.SimpleNamespace(
        f=lambda x: flow.forward(x[None])[0][0], g=lambda z: flow.inverse(z[None])[0][0],
        log_det_f=lambda x: flow.forward(x[None])[1][0],
        adjoint_f=lambda grad, w: one(flow.forward_vjp(sheet["z"][None])[1](grad[None], w)),
        adjoint_g=lambda grad, w: one(flow.inverse_vjp(sheet["x"][None])[1](grad[None], w)))}


def one(gradients):
    grad, grad_theta = gradients
    return grad[0], grad_theta


PARTS = {nf.GaussianAutoregressive: conditioner, nf.Coupling: conditioner, nf.ContinuousFlow: velocity,
         nf.Composition: chain, flows.MultiScale: chain, nf.Inverse: inner}


def give(flow, sheet, name, value):
    """Write a sample, or the gradient of one, under the names that the formulas have for it."""
    if isinstance(flow, nf.Coupling):
        parts = flow.partition.split(value[None])
        sheet.update({f"{name}_1": parts[0].ravel(), f"{name}_2": parts[1].ravel()})
    elif isinstance(flow, flows.MultiScale) and value.ndim == 1:
        sheet[name] = {k: piece[0] for k, piece in enumerate(flow.pieces(value[None]), 1)}
    elif isinstance(flow, (nf.Conv1x1, nf.MaskedConv)):
        turned = flow._turn(value[None])[0] if isinstance(flow, nf.MaskedConv) else value
        sheet[name] = turned.copy().view(Image)
    else:
        sheet[name] = value.copy()


def take(flow, sheet, name):
    """`give` backwards."""
    if isinstance(flow, nf.Coupling):
        shapes = [part.shape for part in flow.partition.split(np.zeros((1, *flow.x_shape)))]
        return flow.partition.join(*(sheet[f"{name}_{k}"].reshape(shape) for k, shape in enumerate(shapes, 1)))[0]
    if isinstance(sheet[name], dict):
        return flow.join([piece[None] for _, piece in sorted(sheet[name].items())])[0]
    value = np.asarray(sheet[name])
    return flow._turn(value[None])[0] if isinstance(flow, nf.MaskedConv) else value


# The tests ----------------------------------------------------------------------------------------------------------

def compare(name, formula, code):
    np.testing.assert_allclose(formula, code, rtol=1e-9, atol=1e-9 * (1 + np.abs(code).max(initial=0)), err_msg=name)


def compare_parameters(flow, sheet, grad_theta):
    """The gradients of parameters that the sheet has; all of them, where W is not decomposed further."""
    formula = sheet.get("grad_theta")
    if isinstance(flow, (nf.GaussianAutoregressive, nf.Coupling, nf.ContinuousFlow)):
        compare("grad_theta", formula, directions_of(flow).T @ grad_theta)
    elif formula is not None:
        parts = [formula[k] for k in sorted(formula)] if isinstance(formula, dict) else [formula]
        compare("grad_theta", np.concatenate(parts), grad_theta)
    else:
        for name, grad in flow.named(grad_theta).items():
            name = "grad_" + name.split(".")[-1]
            if name in sheet or not isinstance(flow, nf.Conv1x1):
                value = sheet[name]
                compare(name, np.array([value[k] for k in sorted(value)]) if isinstance(value, dict) else value, grad)


def check_formulas(flow, x, rng):
    """Both directions of one sample, by the formulas and by the code."""
    for label, vjp_of, of, to in (("f", flow.forward_vjp, "x", "z"), ("g", flow.inverse_vjp, "z", "x")):
        (out, log_det), vjp = vjp_of(x[None])
        grad_out, w = rng.standard_normal(out[0].shape), rng.standard_normal()
        grad_in, grad_theta = vjp(grad_out[None], w)
        sheet = sheet_of(flow)
        give(flow, sheet, of, x)
        give(flow, sheet, to, np.zeros_like(out[0]))
        sheet.run(label)
        compare(to, take(flow, sheet, to), out[0])
        sheet.run("log abs det")
        compare("log_det", sheet["log_det"] if label == "f" else -sheet["log_det"], log_det[0])
        give(flow, sheet, f"grad_{to}", grad_out)
        give(flow, sheet, f"grad_{of}", np.zeros_like(x))
        sheet["grad_log_det"] = w
        sheet.run(f"adjoint of {label}")
        compare(f"grad_{of}", take(flow, sheet, f"grad_{of}"), grad_in[0])
        compare_parameters(flow, sheet, grad_theta)
        x = out[0]


# The conditioners' formulas are written with the affine transformer; the others have rows of their own.
AFFINE = [name for name in BUILDERS if not name.endswith(("additive", "spline", "mixture"))]


@pytest.mark.parametrize("name", AFFINE)
@some
@given(dim=st.integers(1, 4), seed=seeds)
def test_formulas_of_flows(name, dim, seed):
    rng = np.random.default_rng(seed)
    flow = nf.testing.randomize(BUILDERS[name](dim, rng), rng)
    if isinstance(flow, nf.ContinuousFlow):                      # as close as `compare` looks, which takes its time
        flow.rtol = flow.atol = 1e-12
        if seed % 4:
            return
    check_formulas(flow, rng.standard_normal(flow.x_shape), rng)


def test_formulas_at_sizes_that_tell_more_than_the_zoo():
    """Logit with its own data; both orders of a squeeze, several blocks; pixels in two directions; several levels."""
    rng = np.random.default_rng(0)
    check_formulas(flows.Logit((3,), 0.05, 17), rng.uniform(0, 17, 3), rng)
    glow = nf.glow((4, 4, 1), levels=2, steps=1, width=3, activation="tanh", rng=rng).flow
    for flow in (flows.Squeeze((4, 6, 2), "pixel"), flows.Squeeze((4, 6, 2), "channel"),
                 nf.Conv1x1((2, 3, 2), "dense", rng), flows.MultiScale([flows.Squeeze((4, 4, 1)), flows.Squeeze((2, 2, 2))]),
                 *(part for part in walk(glow) if isinstance(part, Flow))):
        check_formulas(nf.testing.randomize(flow, rng), rng.standard_normal(flow.x_shape), rng)


def test_every_class_of_the_page_is_run():
    rng = np.random.default_rng(0)
    run = {type(part) for build in BUILDERS.values() for part in walk(build(3, rng))}
    others = {LinearMap, *map(type, TRANSFORMERS)}
    assert set(LAYERS) - run <= others, "Dense runs the formulas of LinearMap; transformers have a test of their own"


# What their formulas call the parameters of one coordinate, in order, and the constants.
TRANSFORMERS = {
    nf.Additive(): ({"mu": 1}, {}),
    nf.Affine(): ({"mu": 1, "r": 1}, {"bound": 5.0}),
    nf.RationalQuadratic(3, 1.5): ({"a": 3, "b": 3, "c": 2}, {
        "K": 3, "bound": 1.5, "smallest": 1e-3, "c_0": np.log(np.expm1(1 - 1e-3))}),
    nf.MixtureOfLogistics(3): ({"a": 3, "m": 3, "r": 3}, {"bound": 5.0, "c": np.array([-2.0, 0.0, 2.0])})}


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
@some
@given(seed=seeds)
def test_formulas_of_transformers(transformer, seed):
    """One coordinate; those whose parameters are one number each are written for all coordinates of a sample."""
    rng = np.random.default_rng(seed)
    sizes, constants = TRANSFORMERS[transformer]
    x, params = 2 * rng.standard_normal((1, 1)), rng.standard_normal((1, 1, transformer.n_params))  # in and out of 1.5
    split = functools.partial(np.split, indices_or_sections=np.cumsum(list(sizes.values()))[:-1])
    elementwise = max(sizes.values()) == 1
    for label, vjp_of, of, to in (("f", transformer.forward_vjp, "x", "z"), ("g", transformer.inverse_vjp, "z", "x")):
        (out, log_det), vjp = vjp_of(x, params)
        grad_out, w = rng.standard_normal((1, 1)), rng.standard_normal()
        grad_in, grad_params = vjp(grad_out, np.array([w]))
        sheet = Sheet(type(transformer), **constants, **dict(zip(sizes, split(params[0, 0]))))
        one = (lambda values: values[0]) if elementwise else (lambda values: values[0, 0])
        sheet.update({of: one(x), f"grad_{to}": one(grad_out), "grad_log_det": w})
        for row in (label, "log abs det", f"adjoint of {label}"):
            sheet.run(row)
        compare(to, sheet[to], one(out))
        compare("log_det", sheet["log_det"] * (1 if label == "f" else -1), log_det[0])
        compare(f"grad_{of}", sheet[f"grad_{of}"], one(grad_in))
        for name, grad in zip(sizes, split(grad_params[0, 0])):
            compare(f"grad_{name}", sheet[f"grad_{name}"], grad)
        x = out


NET_BUILDERS = {"mlp": lambda rng: nf.MLP(3, (5, 4), 2, "tanh", rng),
                "mlp, linear": lambda rng: nf.MLP(3, (), 2, rng=rng),
                "made": lambda rng: nf.MADE([2, 1, 3], (5, 4), 2, "tanh", rng),
                "conv2d, few channels below": lambda rng: Conv2d(2, 3, 3, rng=rng),
                "conv2d, many channels below": lambda rng: Conv2d(3, 2, [(-1, 0), (0, 2)], rng=rng)}


@pytest.mark.parametrize("name", NET_BUILDERS)
@some
@given(seed=seeds)
def test_formulas_of_networks(name, seed):
    rng = np.random.default_rng(seed)
    net = nf.testing.randomize(NET_BUILDERS[name](rng), rng)
    h = rng.standard_normal((4, 3, net.W.shape[1]) if isinstance(net, Conv2d) else net.sizes[0])
    out, vjp = net.vjp(h[None])
    grad_out = rng.standard_normal(out[0].shape)
    grad_h, grad_theta = vjp(grad_out[None])
    if isinstance(net, Conv2d):
        sheet = Sheet(Conv2d, W=net.W, b=net.b, taps=net.taps, pixels=list(np.ndindex(4, 3)), h=h.view(Image),
                      out=np.zeros_like(out[0]), grad_out=grad_out.view(Image), grad_h=np.zeros_like(h))
    else:
        K, flat = net.depth - 1, grad_out.T.ravel()              # MADE's outputs: all first parameters, then all second
        parameters = {name: [getattr(net, f"{name}{k}") for k in range(K + 1)] for name in ("W", "b")}
        if isinstance(net, nf.MADE):
            parameters["mask"] = [getattr(net, f"mask{k}") for k in range(K + 1)]
        sheet = Sheet(type(net), K=K, h={0: h}, phi=np.tanh, phi_slope=lambda a: 1 - np.tanh(a) ** 2, grad_out=flat,
                      **parameters)
    sheet.run("forward")
    sheet.run("adjoint")
    compare("out", sheet["out"], out[0] if isinstance(net, Conv2d) else out[0].T.ravel())
    compare("grad_h", sheet["grad_h"], grad_h[0])
    for name, grad in net.named(grad_theta).items():
        formula = sheet[f"grad_{name[0]}"]
        if isinstance(net, Conv2d) and name == "W":
            formula = np.array([formula[t] for t in range(len(net.taps))])
        compare(name, formula if isinstance(net, Conv2d) else formula[int(name[1:])], grad)


@some
@given(seed=seeds)
def test_formulas_of_the_velocity(seed):
    rng = np.random.default_rng(seed)
    net = nf.testing.randomize(Velocity(2, (4, 3), rng=rng), rng)
    x, t, grad_v, grad_trace = rng.standard_normal(2), rng.uniform(), rng.standard_normal(2), rng.standard_normal()
    (v, trace), vjp = net.with_trace(x[None], t, np.eye(2))
    grad_x, grad_theta = vjp(grad_v[None], np.array([grad_trace]))
    sheet = Sheet(Velocity, K=2, m=2, e=np.eye(2), x=x, t=t, phi=np.tanh, phi_slope=lambda a: 1 - np.tanh(a) ** 2,
                  phi_bend=lambda a: -2 * np.tanh(a) * (1 - np.tanh(a) ** 2), grad_v=grad_v, grad_trace=grad_trace,
                  **{name: [getattr(net, f"{name}{k}") for k in range(3)] for name in ("W", "b")})
    sheet.run("forward")
    sheet.run("adjoint")
    for name, code in (("v", v[0]), ("trace", trace[0]), ("grad_x", grad_x[0])):
        compare(name, sheet[name], code)
    for name, grad in net.named(grad_theta).items():
        compare(name, sheet[f"grad_{name[0]}"][int(name[1:])], grad)


def test_a_wrong_line_is_noticed():
    class Wrong(nf.Diagonal):
        __doc__ = nf.Diagonal.__doc__.replace("-grad_x * x - grad_log_det", "-grad_x * x + grad_log_det")

    rng = np.random.default_rng(0)
    check_formulas(nf.Diagonal(2), rng.standard_normal(2), rng)
    with pytest.raises(AssertionError, match="grad_log_diagonal"):
        check_formulas(Wrong(2), rng.standard_normal(2), rng)


def test_the_page_is_current():
    written = atlas.PAGE.read_text(encoding="utf-8")
    assert written == atlas.page(), "the docstrings or their lines have changed: run python -m lectures.lecture02 atlas"


def test_the_page_is_complete():
    """Every Flow of nfnumpy.composition and nfnumpy.flows has a section, and every section the rows of its kind."""
    modules = [importlib.import_module(f"nfnumpy.flows.{info.name}") for info in pkgutil.iter_modules(flows.__path__)]
    found = {value for module in [nf.composition, *modules] for value in vars(module).values()
             if isinstance(value, type) and issubclass(value, Flow)} - {Flow, flows.ConditionalFlow}
    assert found <= set(LAYERS)
    for cls in LAYERS:
        labels = atlas.NET_LABELS if cls in NETS else atlas.FLOW_LABELS
        assert tuple(atlas.formulas(cls)) in (labels, labels[1:]), cls


def test_a_class_without_formulas_is_refused():
    with pytest.raises(ValueError, match="Formulas"):
        atlas.formulas(Flow)
