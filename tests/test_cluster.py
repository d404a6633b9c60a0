"""Work on a cluster, with threads for nodes: at least once done, exactly once answered, by proven weights alone."""

import asyncio
import random
import threading
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest

import clustered
import toy
from rationem.engines import adapters
from rationem.engines.cluster.dispatch import MOST_LOSSES, Dispatcher, Job
from rationem.engines.cluster.ray_cluster import Node
from rationem.engines.cluster.weights import parcel_of, stored, unpacked
from rationem.errors import RunError
from rationem.sampling import rounds


class Threads:
    """A cluster whose actors are objects with a thread each; ``lose`` takes a node away."""

    class GoneError(Exception):
        pass

    def __init__(self, *names, cpus=1.0):
        self._nodes = {name: Node(name, f"10.0.0.{n}", cpus, 0.0) for n, name in enumerate(names)}
        self.actors, self._objects, self.started = [], {}, []

    def nodes(self):
        return list(self._nodes.values())

    def start(self, node, cpus, gpus, holder, arguments):
        loop = asyncio.new_event_loop()

        def serve():
            loop.run_forever()
            loop.close()

        threading.Thread(target=serve, daemon=True).start()
        actor = {"it": holder(*arguments), "loop": loop, "node": node.name, "open": []}
        self.actors.append(actor)
        self.started.append(node.name)
        return actor

    def call(self, actor, method, *arguments):
        answer = Future()
        if actor["loop"] is None or actor["node"] not in self._nodes:
            answer.set_exception(self.GoneError("gone"))
            return answer
        actor["open"].append(answer)

        def tell(done):
            if not answer.done():
                error = done.exception()
                answer.set_exception(error) if error else answer.set_result(done.result())

        work = getattr(actor["it"], method)(*arguments)
        asyncio.run_coroutine_threadsafe(work, actor["loop"]).add_done_callback(tell)
        return answer

    def kill(self, actor):
        if actor["loop"] is not None:
            actor["loop"].call_soon_threadsafe(actor["loop"].stop)
            actor["loop"] = None

    def lose(self, name):
        del self._nodes[name]
        for actor in self.actors:
            for answer in actor["open"] if actor["node"] == name else ():
                if not answer.done():
                    answer.set_exception(self.GoneError("gone"))

    def add(self, name):
        self._nodes[name] = Node(name, "10.0.0.9", 1.0, 0.0)

    def is_lost(self, error):
        return isinstance(error, self.GoneError)

    def put(self, data):
        self._objects[len(self._objects)] = data
        return len(self._objects) - 1

    @property
    def get(self):
        return self._objects.__getitem__


@pytest.fixture
def theta(tmp_path):
    return toy.write(toy.THETA, tmp_path / "theta")


@pytest.mark.parametrize("seed", range(20))
def test_every_job_is_answered_once_whatever_is_lost(seed):
    """Workers join, are lost and answer in any order, also after they were given up."""
    chance = random.Random(seed)
    queue, jobs, given, told, workers, now = Dispatcher(chunk=3), [], [], [], 0, 0.0
    for step in range(2_000):
        now += chance.random()
        if step < 300:
            jobs.append(Job(chance.choice("ab"), step))
            queue.submit(jobs[-1])
        act = chance.random()
        if act < 0.02 or not queue.members:
            workers += 1
            queue.join(workers, "a", 4)
            queue.join(workers, "b", 4)
        elif act < 0.03 and step < 1_000:
            for job in queue.lose(chance.randint(1, workers)):
                told.append(job)
                assert job.losses == MOST_LOSSES
        given += [(n, job) for n, some in [*queue.assign(now), *queue.assign_late(now)] for job in some]
        if given and chance.random() < 0.7:
            worker, job = given.pop(chance.randrange(len(given)))
            if queue.answer(worker, job, now):
                told.append(job)
    for worker, job in given:
        if queue.answer(worker, job, now):
            told.append(job)
    assert sorted(job.content for job in told) == list(range(300))
    counts = queue.counts
    assert counts.answered + sum(job.losses >= MOST_LOSSES for job in told) == 300
    assert counts.again > 0
    assert not queue.unanswered


def test_a_worker_gets_no_request_for_weights_that_it_has_not_proven():
    queue = Dispatcher()
    queue.submit(Job("new", 1))
    queue.join(1, "old", 4)
    assert queue.assign(0.0) == []
    queue.join(2, "new", 4)
    assert [(worker, [job.content for job in jobs]) for worker, jobs in queue.assign(0.0)] == [(2, [1])]


def test_a_late_request_is_given_to_an_idle_worker_and_the_later_answer_is_dropped():
    queue = Dispatcher()
    first, second = Job("w", 1), Job("w", 2)
    for job in (first, second):
        queue.submit(job)
    for worker in (1, 2):
        queue.join(worker, "w", 1)
    assert [worker for worker, _ in queue.assign(0.0)] == [1, 2]
    assert queue.answer(1, first, 1.0)
    assert queue.assign_late(3.9) == []
    assert queue.assign_late(4.1) == [(1, [second])]
    assert queue.answer(1, second, 5.0)
    assert not queue.answer(2, second, 6.0)
    assert (queue.counts.answered, queue.counts.second, queue.counts.duplicates) == (2, 1, 1)


@pytest.fixture
def said(monkeypatch):
    """What the program says."""
    lines = []
    monkeypatch.setattr("rationem.progress.say", lines.append)
    return lines


@pytest.fixture
def wanted(tmp_path, theta):
    context = clustered.run_of(tmp_path / "rounds", 20)
    clustered.draw_all(context, toy.open_scoring_engine(theta), 20, rounds)
    found = clustered.rows(context)
    context.ledger.close()
    assert len(found) > 60
    return found


def drawn(tmp_path, theta, cluster, crew):
    context = clustered.run_of(tmp_path / "cluster", 20)
    try:
        engine = clustered.pool_on(cluster, crew).open(theta)
        clustered.draw_all(context, engine, 20)
        engine.close()
        return clustered.rows(context)
    finally:
        crew.close()
        context.ledger.close()


@pytest.mark.slow
def test_a_lost_node_and_a_new_one_leave_the_ledger_of_one_worker(tmp_path, theta, wanted, said):
    cluster = Threads("one", "two")
    crew = clustered.crew_on(cluster, partial(clustered.slow, 0.02))

    def change():
        while crew._dispatcher.counts.answered < 20:
            pass
        cluster.lose("two")
        cluster.add("three")

    threading.Thread(target=change, daemon=True).start()
    assert drawn(tmp_path, theta, cluster, crew) == wanted
    assert sorted(cluster.started) == ["one", "three", "two"]
    assert crew._dispatcher.counts.lost == 1
    assert crew._dispatcher.counts.again > 0
    assert "Lost: worker 2 on node 10.0.0.1" in " ".join(said)


@pytest.mark.slow
def test_a_worker_with_stale_weights_is_refused_by_name_and_the_others_draw(tmp_path, theta, wanted, said):
    stale = toy.write({**toy.THETA, "first": toy.THETA["second"]}, tmp_path / "stale")
    cluster = Threads("one", "two")
    opens = partial(clustered.slow, 0.0, stale, str(tmp_path / "first"))
    assert drawn(tmp_path, theta, cluster, clustered.crew_on(cluster, opens)) == wanted
    told = " ".join(said)
    assert "Refused: worker" in told
    assert "does not hold the weights" in told


class WrappedError(Exception):
    """As Ray tells what a task raised: its own text begins with an address."""

    def __init__(self, cause):
        super().__init__(f"ray::EngineHolder.hold() (pid=7)\n{cause}")
        self.cause = cause


def broken_weights():
    raise WrappedError(OSError("libgomp.so: cannot open"))


def test_why_a_worker_cannot_begin_is_told_and_not_where(tmp_path, theta):
    cluster = Threads("one")
    crew = clustered.crew_on(cluster, broken_weights)
    with pytest.raises(RunError, match=r"No worker can be used\. .*\): OSError: libgomp.so: cannot open$"):
        clustered.pool_on(cluster, crew).open(theta)
    crew.close()


@pytest.mark.slow
def test_where_no_worker_holds_the_weights_nothing_is_drawn(tmp_path, theta):
    stale = toy.write({**toy.THETA, "first": toy.THETA["second"]}, tmp_path / "stale")
    cluster = Threads("one")

    def pack(checkpoint):
        return stored(parcel_of(checkpoint, [Path(stale)]), cluster.put)

    crew = clustered.crew_on(cluster)
    pool = clustered.pool_on(cluster, crew)
    pool._pack = pack
    with pytest.raises(RunError, match=r"No worker can be used\. Refused: worker 2 on node 10\.0\.0\.0"):
        pool.open(theta)
    with pytest.raises(RunError, match="closed"):
        crew.submit("x", clustered.queries()[0])
    crew.close()


@pytest.mark.slow
def test_without_a_node_the_run_ends_with_what_to_do(tmp_path, theta):
    cluster = Threads()
    crew = clustered.crew_on(cluster, patience=0.5)
    with pytest.raises(RunError, match="There was no worker for 0 s"):
        clustered.pool_on(cluster, crew).open(theta)
    crew.close()


@pytest.mark.slow
def test_closing_the_engine_ends_its_workers_unless_they_are_kept(tmp_path, theta):
    for keep, left in ((True, 1), (False, 0)):
        cluster = Threads("one")
        crew = clustered.crew_on(cluster)
        clustered.pool_on(cluster, crew, keep=keep).open(theta).close()
        assert sum(actor["loop"] is not None for actor in cluster.actors) == left
        crew.close()


@pytest.mark.slow
def test_whoever_waits_for_a_release_hears_of_the_end_of_all_workers(tmp_path, theta):
    class Silent(Threads):
        def call(self, actor, method, *arguments):
            return Future() if method == "release" else super().call(actor, method, *arguments)

    cluster = Silent("one")
    crew = clustered.crew_on(cluster)
    engine = clustered.pool_on(cluster, crew).open(theta)
    closing = threading.Thread(target=engine.close, daemon=True)
    closing.start()
    closing.join(1.0)
    assert closing.is_alive()  # the worker does not answer
    crew.close()
    closing.join(10.0)
    assert not closing.is_alive()


def test_weights_arrive_as_they_were_sent_or_not_at_all(tmp_path, theta):
    store = []

    def put(data):
        store.append(data)
        return len(store) - 1

    parcel = stored(parcel_of(theta, [Path(theta)]), put)
    arrived = unpacked(parcel, tmp_path / "node", store.__getitem__)
    assert Path(arrived) == tmp_path / "node" / "0"
    assert toy.read(arrived) == toy.THETA
    store[0] = store[0][:-1]
    with pytest.raises(RunError, match="arrived with the SHA-256"):
        unpacked(parcel, tmp_path / "other", store.__getitem__)


def test_by_a_shared_path_nothing_is_copied_and_a_missing_file_is_named(tmp_path, theta):
    parcel = parcel_of(theta, [Path(theta)])
    assert unpacked(parcel, tmp_path / "node", None) == theta
    assert not (tmp_path / "node").exists()
    (Path(theta) / "theta.json").rename(tmp_path / "gone.json")
    with pytest.raises(RunError, match="do not share that directory"):
        unpacked(parcel, tmp_path / "node", None)


def test_an_adapter_arrives_with_its_base_and_names_it(tmp_path):
    base, adapter, store = tmp_path / "base", tmp_path / "adapter", []
    for place, name, text in (
        (base, "config.json", "{}"),
        (adapter, "adapter_config.json", '{"base_model_name_or_path": "/elsewhere"}'),
    ):
        place.mkdir()
        (place / name).write_text(text)
        (place / "optimizer.pt").write_text("stays")

    def put(data):
        store.append(data)
        return len(store) - 1

    arrived = Path(unpacked(stored(parcel_of("a", [base, adapter]), put), tmp_path / "n", store.__getitem__))
    assert adapters.base_of(arrived) == str(tmp_path / "n" / "0")
    assert "/elsewhere" in (adapter / "adapter_config.json").read_text()
    assert not (arrived / "optimizer.pt").exists()
