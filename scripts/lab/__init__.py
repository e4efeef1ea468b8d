"""Measures and disturbs a server; the programs beside this folder are its commands.

``load``, ``bench`` and ``soak`` do not know each other; all use ``crowd`` (clients) and ``site``
(the server, its machine), which know none of them. import-linter enforces
this, by ``scripts/setup.cfg``.
"""
