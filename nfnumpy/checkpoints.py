"""Where a training run stood, in a file: enough to go on to the same bits as if it had never stopped."""
import dataclasses
import json
import numbers
from pathlib import Path

import numpy as np

from nfnumpy import files
from nfnumpy.saving import KINDS, encode

FORMAT = 4                                                       # 3 had means where Adam keeps weighted sums
CONTENTS = ("model", "x", "x_valid", "context", "context_valid")    # of which a run keeps a checksum


@dataclasses.dataclass
class Checkpoint:
    """A run of `nfnumpy.fit` and the file of its latest state.

    Attributes
    ----------
    path : path of the file
    run : dict
        What decides the bits of a run, of plain values: settings, the seed, and checksums of the model's description and
        of the data.
    """

    path: object
    run: dict

    def read(self):
        """``values, arrays`` that `write` wrote for this run; None where there is no such file.

        Raises OSError where the file cannot be read, and ValueError for a damaged file or the checkpoint of another run.
        """
        if not Path(self.path).exists():
            return None
        try:
            description, arrays = files.read(self.path)
            if not isinstance(description, dict) or description.get("program") != "nfnumpy" or "run" not in description:
                raise ValueError("of another program, or a model")
        except ValueError as error:
            raise ValueError(f"checkpoint: expected {self.path} to be a checkpoint of fit, got a file that is not, or "
                             f"a damaged one: {error}") from error
        if description["format"] != FORMAT:
            raise ValueError(f"checkpoint: expected a file of format {FORMAT}, got {self.path} of format "
                             f"{description['format']}, written by another version of nfnumpy")
        for name, value in self.run.items():
            before = description["run"].get(name)
            if before != value:
                got = f"another {name}" if name in CONTENTS else f"{name} = {value!r} instead of {before!r}"
                raise ValueError(f"checkpoint: expected the run that {self.path} was written by, got {got}; "
                                 "to start anew, name another file or delete that one")
        return description["values"], arrays

    def write(self, values, arrays):
        """Replace the file's content by plain `values` and named `arrays`, whole or not at all."""
        description = {"program": "nfnumpy", "format": FORMAT, "run": self.run, "values": values}
        with files.written_whole(self.path) as aside:
            files.write(aside, description, arrays)


def describe_run(model, x, x_valid, context, context_valid, rng, settings):
    """What decides the bits of a run: see `Checkpoint`. Of an `rng` without a seed it keeps the kind."""
    kind = type(rng.bit_generator).__name__ if isinstance(rng, np.random.Generator) else "None"
    description, arrays = encode(model) if isinstance(model, KINDS) else (type(model).__qualname__, {})
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    data = {"x": x, "x_valid": x_valid, "context": context, "context_valid": context_valid}
    return {"model": _digest(description=text, theta=np.empty((0, *model.theta.shape), model.theta.dtype), **arrays),
            **{name: None if values is None else _digest(values=values) for name, values in data.items()},
            "rng": int(rng) if isinstance(rng, numbers.Integral) else kind, **settings}


def rng_state(rng):
    """The state of a Generator in plain values.

    >>> rng_state(np.random.default_rng(0))["bit_generator"]
    'PCG64'
    """
    return as_plain(rng.bit_generator.state)


def as_plain(value):
    """Arrays and NumPy's numbers in a dictionary as lists and Python's numbers, which JSON can hold.

    >>> as_plain({"mean": np.zeros(2), "n": np.int64(3)})
    {'mean': [0.0, 0.0], 'n': 3}
    """
    if isinstance(value, dict):
        return {key: as_plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _digest(**arrays):
    return files.checksum(arrays).tobytes().hex()
