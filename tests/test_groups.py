"""Tests that share something expensive are run by one worker."""

from __future__ import annotations

import os

import pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there is one worker only")
@pytest.mark.xdist_group("of one worker")
def test_the_tests_of_a_group_are_sent_to_one_worker(request: pytest.FixtureRequest) -> None:
    """pytest-xdist knows them by the end of their id, and without that says nothing."""
    assert request.node.nodeid.endswith("@of one worker")


def test_all_tests_with_a_browser_are_in_groups(request: pytest.FixtureRequest) -> None:
    """Otherwise each worker starts one, and the servers beside it."""
    with_browser = [item for item in request.session.items if item.get_closest_marker("browser")]
    assert [item for item in with_browser if not item.get_closest_marker("xdist_group")] == []
