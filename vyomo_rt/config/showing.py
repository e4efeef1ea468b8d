"""The settings as text for the operator: those in force, and a file to start from."""

from collections.abc import Mapping
from textwrap import wrap

from vyomo_rt.config.fields import Field
from vyomo_rt.config.reading import given_by
from vyomo_rt.config.settings import FIELDS, Settings


def describe(settings: Settings, flags: Mapping[str, object], environ: Mapping[str, str]) -> str:
    """What `load` made of `flags` and `environ`: a table of name, value and origin.

    Passwords and keys are hidden.
    """
    given = given_by(flags, environ)
    origins = {name: one.source for name, one in given.items()}
    if settings.demo and "feed" not in given:
        origins["feed"] = origins["demo"]
    rows = [
        (
            field.called,
            field.text(field.without_secret(getattr(settings, field.name))) or "(not set)",
            origins.get(field.name, "default"),
        )
        for field in FIELDS
    ]
    name_width, value_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(
        f"{name:<{name_width}}  {value:<{value_width}}  {origin}" for name, value, origin in rows
    )


def default_env() -> str:
    """A .env file that changes nothing: every setting with its default, commented out."""
    head = (
        "# Settings of vyomo-rt, for docker --env-file, systemd EnvironmentFile= and the like.\n"
        "# Every line shows a default; to change one, remove its # and edit what follows the =.\n"
    )
    return head + "".join(f"\n{_env_entry(field)}\n" for field in FIELDS)


def _env_entry(field: Field) -> str:
    text = f"{field.description} Expected: {field.expected}."
    if field.file_variable:
        text += f" {field.file_variable} may name a file with it instead."
    about = wrap(text, 90)
    return "\n".join(
        [*(f"# {line}" for line in about), f"#{field.variable}={field.text(field.default)}"]
    )
