"""Models of trainings: the one that it starts from, and the one that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gyre_retraining.domain.jobs import Result
from gyre_retraining.domain.models import (
    CANDIDATE,
    CHAMPION,
    DatasetFacts,
    Making,
    ModelDamaged,
    ModelKind,
    ModelRefused,
    ModelUnknown,
    ModelVersion,
)
from gyre_retraining.domain.trainings import Plan, Training, TrainingImpossible
from gyre_retraining.use_cases.importing import ImportModels
from gyre_retraining.use_cases.models import BrowseModels
from gyre_retraining.use_cases.registering import Made, RegisterModels


@dataclass(frozen=True, slots=True)
class Base:
    """A model that a training starts from. model: `name/version`."""

    model: str
    folder: Path


class MakeModels:
    """code_version: of the code that trains. Every method may be repeated, and raises
    `RegistryUnavailable`."""

    def __init__(
        self,
        browse: BrowseModels,
        register: RegisterModels,
        importing: ImportModels,
        code_version: str,
    ) -> None:
        self._browse = browse
        self._register = register
        self._importing = importing
        self._code_version = code_version

    async def base(self, tenant: str, model: str) -> Base:
        """model: `name/version`, or a name: its champion, else its newest version, else the import
        of the settings. Raises `TrainingImpossible` where there is none that can be used."""
        try:
            await self._importing.ensure(tenant, model.partition("/")[0])
            version = await self._version(tenant, model)
            return Base(version.model, await self._browse.folder(tenant, version.model))
        except ModelUnknown as error:
            detail = f"the registry has no model {model}: name it in GYRE_MODEL_IMPORTS"
            raise TrainingImpossible("no_base_model", detail) from error
        except (ModelDamaged, ModelRefused) as error:
            raise TrainingImpossible("bad_base_model", str(error)) from error

    async def register(
        self, training: Training, dataset: DatasetFacts, result: Result
    ) -> ModelVersion:
        """The same training again is the same version; it is the candidate of its name. Raises
        `TrainingImpossible` where its files may not be kept."""
        made = Made(
            tenant=training.tenant,
            name=name_of(training.plan),
            kind=training.plan.kind,
            folder=result.output,
            training_id=training.training_id,
            base_model=training.base_model,
            metrics=result.metrics,
            dataset=dataset,
            making=self._making(training, result),
            tracking_run_id=result.tracking_run_id,
        )
        try:
            version = await self._register.register(made)
        except (ModelRefused, ModelDamaged) as error:
            raise TrainingImpossible("model_refused", str(error)) from error
        name, number = version.record.name, version.version
        return await self._browse.point(training.tenant, name, CANDIDATE, number)

    async def _version(self, tenant: str, model: str) -> ModelVersion:
        name, _, version = model.partition("/")
        if version:
            return await self._browse.model(tenant, name, version)
        try:
            return await self._browse.model(tenant, name, CHAMPION)
        except ModelUnknown:
            return await self._browse.model(tenant, name)

    def _making(self, training: Training, result: Result) -> Making:
        plan = training.plan
        return Making(
            recipe=plan.name,
            recipe_hash=plan.hash,
            method=plan.method,
            reason=training.trigger.reason,
            recipe_yaml=plan.yaml,
            steps=result.steps,
            seconds=result.seconds,
            peak_memory_bytes=result.peak_memory_bytes,
            code_version=self._code_version,
        )


def name_of(plan: Plan) -> str:
    """A model that learnt more is the next version of what it was. One that judges is another."""
    return plan.name if plan.kind is ModelKind.REWARD else plan.base_model.partition("/")[0]
