"""`gyre erase`: a person is forgotten, in every service."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from gyre_client.cli.output import Json, console, print_json, run
from gyre_client.client import Gyre
from gyre_client.privacy import Erasure


def erase(
    user: Annotated[str, typer.Argument(help="The person, as requests name it: end_user.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    key: Annotated[str, typer.Option("--key", help="Makes a repetition the same erasure.")] = "",
    show: Annotated[str, typer.Option("--show", help="An erasure's id: how far it is.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Until every service is done.")] = False,
    as_json: Json = False,
) -> None:
    """Erase what a person said and was told. It cannot be taken back. Datasets and models that
    learnt from it are told by `gyre lineage user USER --forward`, before.

    Example: gyre erase user-17 --reason "asked by letter" --watch
    """
    if bool(user) == bool(show) or (user and not reason):
        raise typer.BadParameter("give a user and --reason, or --show with an erasure's id")

    async def work() -> None:
        async with Gyre() as gyre:
            if show:
                known = await gyre.privacy.get(show)
            else:
                known = await gyre.privacy.erase(user, reason=reason, creation_key=key)
            if watch:
                async for now in gyre.privacy.watch(known.erasure_id):
                    _print(now, as_json)
                return
        _print(known, as_json)

    run(work())


def _print(known: Erasure, as_json: bool) -> None:
    if as_json:
        print_json(known)
        return
    table = Table("service", "done", "erased", title=f"erasure {known.erasure_id}")
    for one in known.services:
        erased = ", ".join(f"{count} {kind}" for kind, count in sorted(one.erased.items()))
        when = f"{one.forget_time:%Y-%m-%d %H:%M:%S}" if one.forget_time else "-"
        table.add_row(one.service, when, (erased or "nothing") if one.forget_time else "")
    console.print(table)
