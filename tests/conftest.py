"""What all tests share: properties draw the same examples everywhere, and runs are checked."""

import os
from importlib import import_module

import pytest
from hypothesis import settings

from cimarch.engine import run as run_engine
from cimarch.program.check import check

# numba takes no other number once its threads are there, and benchmarks that tests import set it
os.environ["NUMBA_NUM_THREADS"] = "1"

settings.register_profile("cimarch", deadline=None, derandomize=True, print_blob=False)
settings.load_profile("cimarch")


LARGEST = 200_000
"""Tasks up to which every run of a test is checked."""


@pytest.fixture(autouse=True)
def every_run_is_legal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `simulate` reports in a test comes from a legal schedule (`cimarch.program.check`)."""
    module = import_module("cimarch.simulate")
    report = module.report

    def checked(program, ran, loading, loaded, **options):
        for written, run in ((program, ran), (loading, loaded)):
            if written is not None and len(written.work) <= LARGEST:
                timeline = run_engine(written.tasks)
                assert timeline.makespan == run.makespan
                check(written, timeline)
        return report(program, ran, loading, loaded, **options)

    monkeypatch.setattr(module, "report", checked)
