"""The doctor looks at a server that has a key with the token that it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doctor.looking import look
from tests.kit.server import MakeSettings, serve_here
from tests.web.guarded import KEY, bearer, caller
from vyomo_rt.clockwork import wall_now
from vyomo_rt.doctor.server import UsageError, options


async def test_with_a_token_it_sees_what_its_owner_sees_and_without_one_it_says_what_lacks(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    now_s = wall_now() // 1000
    times = {"iat": now_s, "exp": now_s + 600}
    path = tmp_path / "token"
    path.write_text(bearer(sessions="*", **times)["Authorization"].removeprefix("Bearer ") + "\n")
    async with serve_here(make_settings(auth_key=KEY)) as rest:
        admin = caller(rest, sub="root", role="admin", **times)
        await admin.open_trade(await admin.new_session(), symbol="NIFTY", entryPrice=100)
        await admin.tick("NIFTY", 100)
        seen = await look(rest.url, token_file=str(path))
        assert seen.code == 0, seen.lines
        assert "401" in (await look(rest.url)).of("requests")


def test_a_file_without_a_token_is_a_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "token"
    for text in ("", "two words", "é"):
        path.write_text(text)
        with pytest.raises(UsageError, match="holds no token"):
            options("localhost", token_file=str(path))
    with pytest.raises(UsageError, match="cannot be read"):
        options("localhost", token_file=str(tmp_path / "none"))
    assert "x.y.z" not in repr(options("localhost", token_file=str(written(path, "x.y.z"))))


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
