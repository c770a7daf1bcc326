"""Searches on Dask and Ray: equal results, dying workers, time limits.

One cluster of two workers serves all tests of a library; each starts in seconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rosearch.evolve import RayExecutor
from tests.evolve.evaluations import Waits, kill_once, synthetic
from tests.evolve.workers.test_executors import check_troubled, evolver, rows, troubled_search

ROOT = str(Path(__file__).parents[3])
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")]


def process_id(genome, *, seed):
    return {**synthetic(genome, seed=seed), "process": os.getpid()}


def slow_process_id(genome, *, seed):
    """Slow enough that a cluster which grows has something to do for its new workers."""
    time.sleep(1)
    return process_id(genome, seed=seed)


@pytest.fixture(scope="module")
def with_tests():
    """Workers can import this package of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")]))
        yield


@contextlib.contextmanager
def local_dask(workers, threads=1):
    """A cluster of Dask on this machine, and a client of it."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=threads, dashboard_address=None, memory_limit=0
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield cluster, client


@pytest.fixture(scope="module")
def dask(with_tests):
    with local_dask(2) as (_, client):
        yield client.get_executor()


@pytest.fixture(scope="module")
def ray(with_tests):
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        # Ray lowers the priority of its workers by 15. Beside any other work they would get a few
        # hundredths of a core, and import PyTorch in minutes.
        patch.setenv("RAY_worker_niceness", "0")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield RayExecutor()
        ray.shutdown()


@pytest.fixture(params=["dask", "ray"])
def cluster(request):
    return request.getfixturevalue(request.param)


def test_a_cluster_gives_the_serial_result(cluster):
    serial = evolver().run(5, progress=False)
    assert rows(evolver().run(5, executor=cluster, workers=1, progress=False)) == rows(serial)
    serial = evolver(overlap=2).run(6, progress=False)
    assert rows(evolver(overlap=2).run(6, executor=cluster, progress=False)) == rows(serial)


def test_a_candidate_is_retried_if_its_cluster_worker_is_killed(cluster, tmp_path):
    whole = evolver(Waits()).run(4, progress=False)
    victim = whole.trials[2]
    waits = Waits(victim.seed, tmp_path)
    killer = threading.Thread(target=kill_once, args=(tmp_path / "process",))
    killer.start()
    result = evolver(waits).run(4, executor=cluster, workers=1, progress=False)
    killer.join()
    assert (tmp_path / "process").exists()
    assert rows(result) == rows(whole)


def test_each_kind_of_failure_is_recorded(cluster):
    check_troubled(troubled_search().run(7, executor=cluster, time_limit=1, progress=False))


def test_capacity_of_a_cluster(dask, ray):
    from rosearch.evolve.workers.executors import Workers
    from tests.evolve.evaluations import synthetic

    assert Workers(synthetic, dask).count == 2
    assert Workers(synthetic, ray).count == 2
    assert Workers(synthetic, ray, workers=1).count == 1
    assert RayExecutor(num_cpus=0.5).capacity() == 4
    assert RayExecutor(num_cpus=2).capacity() == 1
    assert RayExecutor(num_gpus=0.25, workers=8).capacity() == 8


def test_an_adaptive_cluster_grows(with_tests):
    from rosearch.evolve.workers.executors import Workers

    with local_dask(0) as (cluster, client):
        executor = client.get_executor()
        assert Workers(synthetic, executor).count == 1
        cluster.adapt(minimum=0, interval="50ms")  # there is no maximum
        assert Workers(synthetic, executor).count == 2
        cluster.adapt(minimum=0, maximum=3, interval="50ms", target_duration="100ms")
        assert Workers(synthetic, executor).count == 3
        assert Workers(synthetic, executor, workers=1).count == 1
        # Two are enough to run on: each takes seconds to start.
        cluster.adapt(minimum=0, maximum=2, interval="50ms", target_duration="100ms")
        result = evolver(slow_process_id, overlap=3).run(6, executor=executor, progress=False)
        cluster.adapt().stop()
        assert Workers(synthetic, executor).count == max(1, sum(client.nthreads().values()))
    serial = evolver(overlap=3).run(6, progress=False)
    assert [t.key for t in result.trials] == [t.key for t in serial.trials]
    assert len({t.metrics["process"] for t in result.trials}) > 1


def test_dask_workers_with_two_threads_use_child_processes(with_tests):
    serial = evolver().run(5, progress=False)
    with local_dask(0, threads=2) as (cluster, client):
        late = threading.Timer(2.0, cluster.scale, [1])
        late.start()
        result = evolver(process_id).run(5, executor=client.get_executor(), progress=False)
        late.join()
        (worker,) = client.run(os.getpid).values()
    assert [t.key for t in result.trials] == [t.key for t in serial.trials]
    assert all(t.metrics["process"] != worker for t in result.trials)


def test_each_cluster_process_loads_the_evaluation_once(cluster, tmp_path):
    from tests.evolve.evaluations import Loaded

    evolver(Loaded(tmp_path)).run(8, executor=cluster, progress=False)
    loads = [name.name.split("-")[0] for name in tmp_path.iterdir()]
    assert 1 <= len(loads) <= 3  # a cluster may start a third process
    assert len(set(loads)) == len(loads)


def test_cancelling_kills_a_ray_task(ray, tmp_path):
    from tests.evolve.evaluations import write_process_and_wait

    future = ray.submit(write_process_and_wait, tmp_path / "process")
    deadline = time.monotonic() + 60
    while not (tmp_path / "process").exists():
        assert time.monotonic() < deadline, "the task did not start"
        time.sleep(0.1)
    pid = int((tmp_path / "process").read_text())
    assert future.cancel()
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "the task goes on"
        time.sleep(0.1)
    assert ray.submit(max, 1, 2).result() == 2


def test_the_page_on_clusters_runs_as_a_script(with_tests, tmp_path):
    pytest.importorskip("distributed")
    page = (Path(ROOT) / "docs" / "cluster.md").read_text(encoding="utf-8")
    script = tmp_path / "page.py"
    script.write_text(
        "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "6 complete, 0 failed" in done.stdout


def test_invalid_ray_resources_are_refused(ray):
    for settings in ({"num_cpus": 0}, {"num_gpus": -1}, {"num_gpus": 1.5}, {"workers": 0}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            RayExecutor(**settings)
    with pytest.raises(ValueError, match="room for one candidate"):
        RayExecutor(num_cpus=64)
    executor = RayExecutor()
    future = executor.submit(max, 1, 2)
    executor.shutdown()
    assert future.done()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(max, 1, 2)
