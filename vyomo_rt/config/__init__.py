"""The settings: their names, their allowed values, where a value came from.

Invariant: nothing else reads the environment. A flag wins over the environment, the environment
over the default; an empty value in the environment counts as not set.
"""

from vyomo_rt.config.fields import PREFIX, Field
from vyomo_rt.config.reading import ConfigError, load
from vyomo_rt.config.settings import FIELDS, Settings
from vyomo_rt.config.showing import default_env, describe
from vyomo_rt.config.values import hide_password, is_loopback

__all__ = [
    "FIELDS",
    "PREFIX",
    "ConfigError",
    "Field",
    "Settings",
    "default_env",
    "describe",
    "hide_password",
    "is_loopback",
    "load",
]
