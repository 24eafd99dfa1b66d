"""Ray hands GPUs out to tasks; apart from other tests of engines, which share a cluster without any."""

import os
import sys

import pytest

from pellucid.data.engines import make_engine


def visible_gpus(number: int) -> str:
    """Says what Ray lets a task see of its GPUs."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all") + str(number)


@pytest.mark.slow
def test_a_ray_task_holds_the_gpu_it_asks_for() -> None:
    import ray

    # counted by Ray, not looked for: no GPU is needed to hand one out
    path = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}
    ray.init(num_cpus=2, num_gpus=1, log_to_driver=False, runtime_env=path)
    try:
        engine = make_engine("ray", workers=2, gpus_each=1.0)
        assert dict(engine.map(visible_gpus, [0, 1])) == {0: "00", 1: "01"}
    finally:
        ray.shutdown()
