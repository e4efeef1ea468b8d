"""What access control costs."""

from __future__ import annotations

import pytest

from lab.access import COMMAND_US, TOKEN_US, measure


@pytest.mark.quiet
async def test_a_token_and_a_question_about_rights_cost_no_more_than_their_budgets() -> None:
    """By CPU time; twice the budgets, because a busy machine's caches make all of it slower."""
    figures = await measure(3)
    for name, cost_us in figures.items():
        if not name.startswith("refused"):
            budget_us = TOKEN_US if name.startswith("token") else COMMAND_US
            assert cost_us <= 2 * budget_us, figures
