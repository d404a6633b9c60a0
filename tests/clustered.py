"""The toy model on a cluster: what actors open, what a driver knows of it, and a driver that can be killed.

``python clustered.py ADDRESS RUN``: draws for all examples of the run, as the process that a test kills.
"""

import os
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import toy
from rationem import ScriptedEngine, parse_scheme
from rationem.engines import probe
from rationem.engines.cluster.crew import Crew
from rationem.engines.cluster.opening import ClusterPool, Reference
from rationem.engines.cluster.settings import RaySettings
from rationem.engines.cluster.weights import parcel_of, stored
from rationem.ledger import Ledger
from rationem.sampling import refill
from rationem.sampling.trials import SamplingContext
from rationem.types import Draft, Finish, Sampling, TokenQuery

SCHEME = "forward*3+rationalize"


def queries() -> list[TokenQuery]:
    """Every completion of both questions, as probes."""
    texts = [toy.TASK.format(z, level) for z in toy.RATIONALES for level in toy.SCALE.levels]
    asked = [toy.TASK.prompt(x.fields) for x in toy.examples()]
    return [TokenQuery(p, Draft(t, (*map(ord, t), 0), Finish.STOP, 0)) for p in asked for t in texts]


def reference(checkpoint: str) -> Reference:
    engine = toy.open_scoring_engine(checkpoint)
    return Reference(engine, queries(), probe.answers(engine, queries()))


@contextmanager
def slow(seconds: float, stale: str = "", first: str = ""):
    """Opens the toy model, which takes its time; whoever makes the file ``first`` opens ``stale`` instead."""

    def open_slow(checkpoint: str) -> ScriptedEngine:
        try:
            if first:
                os.close(os.open(first, os.O_CREAT | os.O_EXCL))
                checkpoint = stale
        except FileExistsError:
            pass
        engine = toy.open_scoring_engine(checkpoint)
        say = engine._say

        def say_slowly(request):
            time.sleep(seconds)
            return say(request)

        engine._say = say_slowly
        return engine

    yield open_slow


def crew_on(cluster, opens=None, workers=None, chunk=4, patience=60.0) -> Crew:
    opens = opens or partial(slow, 0.0)
    settings = RaySettings(ray_workers=workers)
    return Crew(cluster, settings, opens, chunk=chunk, room=2 * chunk, patience=patience)


def pool_on(cluster, crew: Crew, *, keep=True) -> ClusterPool:
    def pack(checkpoint):
        return stored(parcel_of(checkpoint, [Path(checkpoint)]), cluster.put)

    return ClusterPool(crew, pack, reference, keep=keep, least=16)


def run_of(directory: Path, copies: int = 100) -> SamplingContext:
    ledger = Ledger(directory)
    ledger.start({"task": toy.TASK.describe(), "config": {}, "notes": {}}, {"train": toy.examples(copies)})
    return SamplingContext(toy.TASK, ledger, 0, Sampling(), max_prompt_tokens=10_000)


def draw_all(context: SamplingContext, engine, copies: int = 100, sampler=refill) -> None:
    sampler.attempt(toy.examples(copies), parse_scheme(SCHEME), lambda _: engine, context, iteration=1)


def rows(context: SamplingContext) -> list[str]:
    return sorted(map(repr, context.ledger.db.execute("SELECT * FROM trials")))


def main(address: str, directory: str, theta: str, seconds: str) -> None:
    from rationem.engines.cluster.ray_cluster import RayCluster

    cluster = RayCluster(RaySettings(ray_address=address))
    crew = crew_on(cluster, partial(slow, float(seconds)))
    context = run_of(Path(directory))
    try:
        draw_all(context, pool_on(cluster, crew).open(theta))
    finally:
        crew.close()
        cluster.close()
        context.ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
