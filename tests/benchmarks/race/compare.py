"""Side by side: nfnumpy and the flow libraries that people use, on the same workloads, in one run.

    sh tests/benchmarks/race/setup.sh DIR                        # once: the other libraries, in two environments in DIR
    python tests/benchmarks/race/compare.py --torch-python DIR/torch/bin/python --jax-python DIR/jax/bin/python

Each library runs in a process of its own; the processes take turns, round by round, so that a machine whose speed drifts
slows all of them alike. Printed: each library's median milliseconds, and nfnumpy's time over the fastest peer's (below 1:
nfnumpy is ahead). `workloads.py` says what is run, `worker.py` what each library is asked to do.
"""
import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

if __package__:
    from tests.benchmarks.race.workloads import WORKLOADS
else:
    from workloads import WORKLOADS

HERE = Path(__file__).resolve().parent


class Worker:
    """A process that times one library on request."""

    def __init__(self, library, python, cwd):
        threads = {name: "2" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        env = {**os.environ, **threads, "JAX_PLATFORMS": "cpu"}
        self.process = subprocess.Popen([python, "-W", "ignore", str(HERE / "worker.py"), library], cwd=cwd, env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def time(self, workload, repeats):
        """Median seconds of a repetition, or the line that says why there are none."""
        try:
            print(workload, repeats, file=self.process.stdin, flush=True)
        except OSError:
            return "skip the worker died"
        while True:
            answer = self.process.stdout.readline()
            if not answer:
                return "skip the worker died"
            answer = answer.strip()
            if answer.startswith("skip"):
                return answer
            try:
                return float(answer)
            except ValueError:
                continue                                         # a library that prints


def markdown(table):
    """The README's table: nfnumpy's milliseconds, and its time over that of the fastest eager and the compiled library."""
    lines = ["| workload | nfnumpy, ms | / eager PyTorch | / compiled JAX |", "| --- | --- | --- | --- |"]
    for name, times in table.items():
        if not times["nfnumpy"]:
            continue
        ratios = []
        for libraries in (("zuko", "nflows", "normflows", "torch"), ("flowjax",)):
            peers = [times[library] for library in libraries if times[library]]
            ratios.append(f"{times['nfnumpy'] / min(peers):.2f}" if peers else "")
        lines.append(f"| `{name}` | {1e3 * times['nfnumpy']:.2f} | {ratios[0]} | {ratios[1]} |")
    return "\n".join(lines)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", required=True, help="a Python that has PyTorch, zuko, nflows and normflows")
    parser.add_argument("--jax-python", required=True, help="a Python that has JAX and FlowJAX")
    parser.add_argument("--nfnumpy-python", default=sys.executable, help="a Python that has nfnumpy (default: this one)")
    parser.add_argument("--only", default="", help="workloads, separated by commas (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="turns, of which the median counts (default 5)")
    parser.add_argument("--json", help="also write the times to this file, in seconds")
    parser.add_argument("--markdown", action="store_true", help="at the end, print the README's table")
    args = parser.parse_args()
    names = [n for n in args.only.split(",") if n] or list(WORKLOADS)
    pythons = {"nfnumpy": args.nfnumpy_python, "zuko": args.torch_python, "nflows": args.torch_python,
               "normflows": args.torch_python, "flowjax": args.jax_python, "torch": args.torch_python}
    table = {}
    print(f"{'workload':16}" + "".join(f"{library:>11}" for library in pythons)
          + f"{'ratio':>9}   (ms; ratio: nfnumpy / fastest peer)")
    for name in names:
        workers = {library: Worker(library, python, os.getcwd()) for library, python in pythons.items()}
        samples = {library: [] for library in pythons}
        for _ in range(args.rounds):
            for library, worker in workers.items():
                if samples[library] and isinstance(samples[library][-1], str):
                    continue
                first = worker.time(name, 1)
                repeats = first if isinstance(first, str) else max(1, min(50, int(0.3 / max(first, 1e-6))))
                samples[library].append(first if isinstance(first, str) else worker.time(name, repeats))
        for worker in workers.values():
            with contextlib.suppress(OSError):                   # the pipe of one that died
                worker.process.stdin.close()
            worker.process.wait(timeout=60)
        medians = {library: None if any(isinstance(s, str) for s in values) else statistics.median(values)
                   for library, values in samples.items()}
        peers = [t for library, t in medians.items() if library != "nfnumpy" and t]
        ratio = medians["nfnumpy"] / min(peers) if medians["nfnumpy"] and peers else None
        table[name] = {**medians, "ratio": ratio}
        print(f"{name:16}" + "".join(f"{'-' if t is None else f'{1e3 * t:.3f}':>11}" for t in medians.values())
              + f"{'-' if ratio is None else f'{ratio:.2f}':>9}", flush=True)
        if medians["nfnumpy"] is None:
            print(f"    nfnumpy: {[s for s in samples['nfnumpy'] if isinstance(s, str)][0]}")
    if args.json:
        Path(args.json).write_text(json.dumps(table, indent=1))
    if args.markdown:
        print("\n" + markdown(table))


if __name__ == "__main__":
    main()
