"""What a recipe's numbers are for a trainer of transformers, and how a job listens to it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from transformers import PrinterCallback, TrainerCallback

from gyre_retraining.recipes.ending import Stopped

if TYPE_CHECKING:
    from pathlib import Path

    from gyre_retraining.recipes.schema import Recipe
    from gyre_retraining.recipes.sitting import Sitting

_SPEEDS = ("runtime", "samples_per_second", "steps_per_second", "num_tokens", "epoch")


def arguments(recipe: Recipe, folder: Path, *, evaluate: bool) -> dict[str, Any]:
    """Arguments that all of transformers' trainers share; folder: of the checkpoints."""
    training = recipe.training
    if recipe.limits.threads:
        torch.set_num_threads(recipe.limits.threads)
    often = evaluate and training.evaluate_every > 0
    graphics = torch.cuda.is_available()
    sharded = {"fsdp": True} if recipe.accelerate.fsdp else {}
    return {
        "output_dir": str(folder),
        "num_train_epochs": training.epochs,
        "max_steps": training.max_steps or -1,
        "per_device_train_batch_size": training.batch_size,
        "per_device_eval_batch_size": training.batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation,
        "learning_rate": training.learning_rate,
        "warmup_steps": training.warmup_ratio,
        "lr_scheduler_type": training.scheduler,
        "weight_decay": training.weight_decay,
        "seed": training.seed,
        "eval_strategy": "steps" if often else "no",
        "eval_steps": training.evaluate_every if often else None,
        "save_strategy": "steps",
        "save_steps": training.checkpoint_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "bf16": training.precision == "bfloat16",
        "gradient_checkpointing": training.gradient_checkpointing,
        "use_cpu": not graphics,
        "dataloader_pin_memory": graphics,
        "report_to": "none",
        "disable_tqdm": True,
    } | sharded


def run(trainer: Any, sitting: Sitting, *, evaluate: bool) -> tuple[int, dict[str, float]]:
    """Trains from the sitting's checkpoint; the steps and the last metrics of the validation split.

    Raises `Stopped` once it was asked to stop and its checkpoint is kept.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(JobCallback(sitting))
    with suppress(_AllStepsDone):
        trainer.train(resume_from_checkpoint=sitting.resume_from)
    if sitting.should_stop:
        raise Stopped
    found = trainer.evaluate() if evaluate else {}
    return trainer.state.global_step, measured(found)


class _AllStepsDone(Exception):
    """The checkpoint is that of the last step: transformers would take one more."""


class JobCallback(TrainerCallback):
    """Tells the sitting how far the trainer is, and the trainer to stop."""

    def __init__(self, sitting: Sitting) -> None:
        self._sitting = sitting

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The checkpoint is loaded by now."""
        if state.global_step >= state.max_steps:
            raise _AllStepsDone

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Losses of steps, and metrics of evaluations."""
        known = logs or {}
        loss = known.get("loss")
        told = measured({k: v for k, v in known.items() if k.startswith("eval_")})
        if loss is not None or told:
            self._sitting.tell(state.global_step, state.max_steps, loss, told)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """All processes stop at the same step: a checkpoint is made by all of them together."""
        if _any(self._sitting.should_stop):
            self._sitting.ask_to_stop()
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The files are whole."""
        self._sitting.keep(state.global_step)


def measured(metrics: dict[str, Any]) -> dict[str, float]:
    """Numbers about the model; how fast it was measured is left out."""
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and not name.endswith(_SPEEDS)
    }


def _any(flag: bool) -> bool:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return flag
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    shared = torch.tensor(int(flag), device=device)
    torch.distributed.all_reduce(shared)
    return bool(shared.item())
