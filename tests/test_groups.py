"""Tests that share something expensive are run by one worker."""

from __future__ import annotations

import os

import pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there is one worker only")
@pytest.mark.xdist_group("of one worker")
def test_the_tests_of_a_group_are_sent_to_one_worker(request: pytest.FixtureRequest) -> None:
    """pytest-xdist knows them by the end of their id, and without that says nothing."""
    assert request.node.nodeid.endswith("@of one worker")
