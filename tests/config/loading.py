"""Settings from an environment, and what is said when they are wrong."""

from __future__ import annotations

import pytest

from vyomo_rt import config
from vyomo_rt.config import ConfigError, Settings, load


def settings_of(**environ: str) -> Settings:
    """Load from variables that are named without their prefix."""
    return load({}, {config.PREFIX + name: value for name, value in environ.items()})[0]


def error_of(flags: dict[str, object], environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as problem:
        load(flags, environ)
    return str(problem.value)
