"""The demo's last act: a candidate goes to everybody, by gate, shadow and canary."""

from __future__ import annotations

from gyre_client import Gyre
from rich.console import Console
from rich.rule import Rule

from gyre_local.judging import ANSWER, DATASET
from gyre_local.loop.material import demo_material
from gyre_local.loop.people import People
from gyre_local.loop.records import Records
from gyre_local.loop.story import Company, Stage, rolled_out
from gyre_local.loop.table import Turn

SENTENCES, FEWER = 8, 6
POLICY = f"""workload: answer
minimum: 10
fixed:
  dataset: {DATASET}
  limit: 16
  metrics:
    groundedness: {{margin: 0.2}}
"""
# So few judgements cannot show a small difference: the margin says which one is borne.
PLAN = {
    "gated": True,
    "steps": [0.5],
    "minimum": 15,
    "margin": 0.4,
    "shadow_share": 1.0,
    "shadow_pairs": 10,
}


async def promote(console: Console, gyre: Gyre) -> None:
    """The prompt with fewer sentences to choose from. Raises GyreError, TimeoutError."""
    stage = Stage(console)
    known, _ = await gyre.prompts.get(ANSWER)
    now = int(known.content["grounding"].get("sentences", SENTENCES))
    other = SENTENCES if now == FEWER else FEWER
    console.print(Rule(f"the prompt with {other} sentences instead of {now}: gate, shadow, canary"))
    stage.say("Simulated users ask, and say whether the answer cites the sentence that answers.")
    grounding = {**known.content["grounding"], "sentences": other}
    content = {**known.content, "grounding": grounding}
    version = (await gyre.prompts.register(ANSWER, content, message="the demo's")).version
    await gyre.gates.declare(POLICY)
    rollout = await gyre.rollouts.start(
        "prompt", str(version.version), name=ANSWER, workload="answer", plan=PLAN, message="demo"
    )
    people = People(gyre, Records(), "default", "demo-user")
    turn = Turn(f"{ANSWER}/{version.version}", "")
    await rolled_out(stage, Company(gyre, people, demo_material(), "default"), turn, rollout)
    stage.say(f"  {turn.outcome}, {sum(turn.seconds.values()):.0f} seconds")
