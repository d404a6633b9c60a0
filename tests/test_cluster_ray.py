"""A real Ray cluster of three raylets on this machine: nodes and driver are killed; nothing is lost or doubled."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

import clustered
import shared
import toy
from rationem.sampling import rounds

pytestmark = [
    pytest.mark.engine,
    # Ray leaves sockets and log files to its interpreter's end.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
if find_spec("ray") is None and os.environ.get("CI") != "true":
    pytest.skip("Ray is not installed: make engine", allow_module_level=True)

TESTS = str(Path(__file__).parent)
STORE = 80 << 20


@pytest.fixture(scope="module")
def ray_cluster():
    """The driver's node without CPUs, and two nodes of one worker each."""
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "RAY_USAGE_STATS_ENABLED", "RAY_ADDRESS")}
    path = [TESTS, str(Path(clustered.toy.__file__).parents[1] / "src"), before["PYTHONPATH"]]
    os.environ |= {"PYTHONPATH": os.pathsep.join(filter(None, path)), "RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    os.environ["RAY_ADDRESS"] = made.address
    grown(made)
    grown(made)
    yield made
    made.shutdown()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def grown(made):
    return made.add_node(num_cpus=1, object_store_memory=STORE)


@pytest.fixture
def connected(ray_cluster):
    from rationem.engines.cluster.ray_cluster import RayCluster
    from rationem.engines.cluster.settings import RaySettings

    made = RayCluster(RaySettings(ray_address=ray_cluster.address))
    yield made
    made.close()


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr("rationem.progress.say", lines.append)
    return lines


@pytest.fixture(scope="module")
def theta(tmp_path_factory):
    return toy.write(toy.THETA, tmp_path_factory.mktemp("theta") / "theta")


@pytest.fixture(scope="module")
def wanted(tmp_path_factory, theta):
    """The ledger of one worker in this process."""
    context = clustered.run_of(tmp_path_factory.mktemp("one") / "run")
    clustered.draw_all(context, toy.open_scoring_engine(theta), sampler=rounds)
    found = clustered.rows(context)
    context.ledger.close()
    assert len(found) > 400
    return found


def workers(ray_cluster):
    return [node for node in ray_cluster.list_all_nodes() if node is not ray_cluster.head_node]


def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_raylet_killed_in_mid_sampling_and_a_node_added_leave_the_ledger_of_one_worker(
    ray_cluster, connected, said, theta, wanted, tmp_path
):
    crew = clustered.crew_on(connected, partial(clustered.slow, 0.06))
    queue, found = crew._dispatcher, []

    def draw():
        context = clustered.run_of(tmp_path / "run")
        clustered.draw_all(context, clustered.pool_on(connected, crew).open(theta))
        found.extend(clustered.rows(context))
        context.ledger.close()

    drawing = threading.Thread(target=draw, daemon=True)
    drawing.start()
    try:
        until(lambda: queue.members == 2 and queue.counts.answered > 40)
        ray_cluster.remove_node(workers(ray_cluster)[0], allow_graceful=False)
        grown(ray_cluster)
        until(lambda: queue.counts.lost == 1 and queue.members == 2)
        assert queue.counts.answered < len(wanted), "the new node had no part in it"
        drawing.join(120)
        assert found == wanted
        assert queue.counts.answered == len(wanted)
        assert queue.counts.again > 0
        assert sum(line.startswith("Lost: worker") for line in said) == 1
    finally:
        crew.close()


def test_a_killed_driver_started_again_leaves_the_ledger_of_one_worker(ray_cluster, theta, wanted, tmp_path):
    words = [sys.executable, str(Path(TESTS) / "clustered.py"), ray_cluster.address, str(tmp_path / "run"), theta]
    driver = subprocess.Popen([*words, "0.06"])
    file = tmp_path / "run" / "ledger.sqlite"
    deadline = time.monotonic() + 120
    while (written := count(file)) < 60:
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert written <= count(file) < len(wanted)
    subprocess.run([*words, "0.0"], check=True, timeout=180)
    context = clustered.run_of(tmp_path / "run")
    assert clustered.rows(context) == wanted
    context.ledger.close()


def count(file):
    if not file.is_file():
        return 0
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
            return db.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
    except sqlite3.OperationalError:  # it is being made
        return 0


def test_a_worker_with_stale_weights_is_refused_by_name(connected, said, theta, wanted, tmp_path):
    stale = toy.write({**toy.THETA, "first": toy.THETA["second"]}, tmp_path / "stale")
    crew = clustered.crew_on(connected, partial(clustered.slow, 0.0, stale, str(tmp_path / "first")))
    context = clustered.run_of(tmp_path / "run")
    try:
        engine = clustered.pool_on(connected, crew).open(theta)
        deadline = time.monotonic() + 60
        while not any(line.startswith("Refused: worker") and "does not hold the weights" in line for line in said):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        clustered.draw_all(context, engine)
        assert clustered.rows(context) == wanted
    finally:
        crew.close()
        context.ledger.close()


def test_a_whole_fit_on_a_cluster_draws_the_completions_of_one_process(ray_cluster, tmp_path):
    """The tokens are the same; a batch's shape changes the last bits of their log-probabilities."""
    drawn = []
    for name, more in (("here", {}), ("ray", {"engine": "ray", "ray_workers": 2, "ray_address": ray_cluster.address})):
        run = shared.run(tmp_path / name, "run", iterations=1, **more)
        with sqlite3.connect(run / "ledger.sqlite") as db:
            asked = (
                "SELECT iteration, purpose, example_id, attempt, retry, proposal, seed, token_ids, outcome FROM trials"
            )
            drawn.append(set(db.execute(asked)))
            if more:
                told = db.execute("SELECT record FROM iterations WHERE phase='handover'").fetchall()
                assert len(told) == 2
    assert len(drawn[0]) == len(drawn[1]) > 100
    before_training = [{row for row in rows if row[0] == 0} for rows in drawn]
    assert len(before_training[0] & before_training[1]) >= 0.99 * len(before_training[0])
