"""`gyre status`: is everything up, and who is behind?"""

from __future__ import annotations

from rich.table import Table

from gyre_client.cli.output import UNREACHABLE, Json, console, print_json, run
from gyre_client.operators import ConsumerLag, ServiceStatus, connected, service_statuses
from gyre_client.settings import ClientSettings


def status(as_json: Json = False) -> None:
    """Show services and versions, the lag of each consumer, and the number of dead letters.

    Example: gyre status
    """
    run(_status(as_json))


async def _status(as_json: bool) -> int:
    services = await service_statuses(ClientSettings())
    async with connected() as bus:
        consumers, letters = await bus.consumers(), await bus.dead_letter_count()
    if as_json:
        print_json({"services": services, "consumers": consumers, "dead_letters": letters})
    else:
        console.print(_services(services))
        console.print(_consumers(consumers))
        hint = "; see `gyre deadletters list`" if letters else ""
        console.print(f"{letters} dead letters{hint}")
    return 0 if all(one.state == "SERVING" for one in services) else UNREACHABLE


def _services(services: list[ServiceStatus]) -> Table:
    table = Table("service", "state", "version", "address")
    for one in services:
        color = "green" if one.state == "SERVING" else "red"
        table.add_row(one.name, f"[{color}]{one.state}[/]", one.version, one.address)
    return table


def _consumers(consumers: list[ConsumerLag]) -> Table:
    """Without the stream, which the event's name tells, so that it fits 80 columns."""
    table = Table()
    table.add_column("consumer", no_wrap=True)
    for heading in ("lag", "pending", "unacknowledged", "redelivered"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in consumers:
        numbers = (one.lag, one.pending, one.unacknowledged, one.redelivered)
        table.add_row(one.consumer, *map(str, numbers))
    return table
