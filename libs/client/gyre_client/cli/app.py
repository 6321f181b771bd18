"""The commands by name."""

from __future__ import annotations

import typer

from gyre_client.cli import (
    alerts,
    ask,
    chains,
    deadletters,
    documents,
    drift,
    erase,
    evaluation,
    experiments,
    feedback,
    gate,
    indexes,
    ingest,
    lineage,
    models,
    prompts,
    replay,
    review,
    rollouts,
    search,
    status,
    train,
)

app = typer.Typer(
    name="gyre",
    help="Documents in, grounded and cited answers out.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)
app.command("ingest")(ingest.ingest)
app.command("ask")(ask.ask)
app.command("search")(search.search)
app.add_typer(documents.app, name="documents")
app.add_typer(feedback.app, name="feedback")
app.add_typer(review.app, name="review")
app.add_typer(prompts.app, name="prompts")
app.add_typer(chains.app, name="chains")
app.add_typer(experiments.app, name="experiments")
app.add_typer(rollouts.app, name="rollout")
app.add_typer(alerts.app, name="alerts")
app.add_typer(drift.app, name="drift")
app.add_typer(indexes.app, name="index")
app.command("status")(status.status)
app.add_typer(deadletters.app, name="deadletters")
app.add_typer(evaluation.app, name="eval")
app.add_typer(train.app, name="train")
app.add_typer(models.app, name="models")
app.command("lineage")(lineage.lineage)
app.command("erase")(erase.erase)
app.add_typer(replay.app, name="replay")
app.add_typer(gate.app, name="gate")


def main() -> None:
    """Entry point of the `gyre` command."""
    app()
