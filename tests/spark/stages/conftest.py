"""Single stages in a workspace of their own."""

import pytest

from clickweave.contracts.manifest import Manifest
from clickweave.stages.context import StageRun
from clickweave.store.workspace import Workspace


@pytest.fixture(scope="session")
def stages_in(spark):
    """folder -> (stage module, recipe -> its result and run, committed to a workspace in that folder)."""

    def make(folder):
        place = Workspace(str(folder / "w"))

        def run(module, recipe):
            name = module.__name__.rpartition(".")[2]
            step = StageRun(name, f"{name} key", recipe, place, place.new_attempt(name), lambda: spark, lambda _: None)
            result = module.run(step)
            about = {
                "key": step.key,
                "run_id": step.key,
                "seed": 0,
                "config_hash": "",
                "code_version": "",
                "inputs": {},
            }
            place.commit(Manifest(stage=name, outputs=step.outputs, rows=result.rows, **about))
            return result, step

        return run

    return make


@pytest.fixture
def stage_on(stages_in, tmp_path):
    """stage module, recipe -> its result and run, in a workspace of the test's own."""
    return stages_in(tmp_path)
