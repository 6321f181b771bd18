"""The demo's last act: two prompts are run on the demo's questions and compared."""

from __future__ import annotations

from pathlib import Path

from gyre_client import Gyre
from gyre_client.cli.evaluation import differences_table, followed, write_report
from gyre_client.evaluation import Target
from gyre_demo.questions import read_questions
from rich.console import Console
from rich.rule import Rule

DATASET = "demo-questions"
# Both are of the kind that the reference model was trained for: asked to write freely, it writes
# nothing, and what says nothing has neither grounds nor citations to compare.
ANSWER, NARROW = "answer", "answer-narrow"
FEW = 3
METRICS = ("token_f1", "groundedness", "citation_recall", "refusal_correctness")
# Enough pairs for a verdict, few enough not to keep anybody waiting.
EXAMPLES = 30


async def evaluate(console: Console, gyre: Gyre, page: Path) -> None:
    """page: where the report goes. Raises GyreError."""
    console.print(Rule(f"two prompts on {EXAMPLES} questions"))
    await gyre.evaluation.upload_dataset(DATASET, examples())
    await register_narrow(gyre)
    ended = []
    for prompt in (ANSWER, NARROW):
        target = Target(prompt_name=prompt)
        started = await gyre.evaluation.start_run(DATASET, target, metrics=METRICS, limit=EXAMPLES)
        ended.append(await followed(gyre, started, quiet=False))
    if all(run.state == "succeeded" for run in ended):
        runs = [run.run_id for run in ended]
        (compared,) = await gyre.evaluation.compare(runs)
        console.print(differences_table(compared))
        await write_report(gyre, runs, page)
    else:
        console.print(*(f"run {run.run_id} {run.state}: {run.detail}" for run in ended))


async def register_narrow(gyre: Gyre) -> None:
    """As `answer`, with few sentences to choose from. Raises GyreError."""
    known, _ = await gyre.prompts.get(ANSWER)
    grounding = {**known.content["grounding"], "sentences": FEW}
    content = {**known.content, "grounding": grounding}
    await gyre.prompts.register(NARROW, content, message=f"the demo's: {FEW} sentences")


def examples() -> list[dict[str, object]]:
    return [
        {
            "question": one.question,
            "references": [one.reference_answer] if one.answer else [],
            "unanswerable": one.answer is None,
            "language": one.language,
            "slices": {"kind": one.kind},
        }
        for one in read_questions()
    ]
