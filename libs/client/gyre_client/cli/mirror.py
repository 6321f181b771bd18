"""`gyre prompts mirror`: the versions in MLflow's prompt registry too, for those who look there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gyre_client.cli.output import Json, console, print_json, run
from gyre_client.client import Gyre
from gyre_client.errors import InvalidError
from gyre_client.versions import PromptVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient

_VERSION, _DIGEST = "gyre.version", "gyre.digest"


def mirror_prompts(
    uri: Annotated[str, typer.Argument(help="MLflow's tracking URI.")],
    as_json: Json = False,
) -> None:
    """Copy every version to MLflow and set its aliases as the labels are. May be repeated.

    Nothing is read from there: MLflow shows prompts, gyre decides.

    Example: gyre prompts mirror http://127.0.0.1:5000
    """
    run(_mirror(uri, as_json))


async def _mirror(uri: str, as_json: bool) -> None:
    client = _client(uri)
    async with Gyre() as gyre:
        names = [one.name async for one in gyre.prompts.list()]
        for name in names:
            versions = sorted([one async for one in gyre.prompts.list(name)], key=_number)
            known = _known(client, name)
            for version in versions:
                if str(version.version) not in known:
                    whole, _ = await gyre.prompts.get(name, str(version.version))
                    known[str(version.version)] = _copy(client, whole)
            _point(client, name, versions, known)
            told = {"name": name, "versions": len(versions)}
            print_json(told) if as_json else console.print(f"{name}: {len(versions)} versions")


def _client(uri: str) -> MlflowClient:
    try:  # it takes seconds and 170 MB: only here
        from mlflow import MlflowClient
    except ImportError as error:
        told = 'MLflow is not installed: pip install "gyre-client[mlflow]"'
        raise InvalidError("FAILED_PRECONDITION", told) from error
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _known(client: MlflowClient, name: str) -> dict[str, int]:
    """Our version -> MLflow's, which counts from 1."""
    found: dict[str, int] = {}
    while (copy := _version(client, name, len(found) + 1)) is not None:
        found[str(copy.tags[_VERSION])] = int(copy.version)
    return found


def _version(client: MlflowClient, name: str, number: int) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_prompt_version(name, str(number))
    except MlflowException:
        return None


def _copy(client: MlflowClient, version: PromptVersion) -> int:
    content = version.content
    roles = [("system", content.get("system")), ("user", content["user"])]
    copied = client.register_prompt(
        name=version.name,
        template=[{"role": role, "content": text} for role, text in roles if text],
        commit_message=version.message,
        tags={_VERSION: str(version.version), _DIGEST: version.digest, "author": version.author},
    )
    return int(copied.version)


def _point(
    client: MlflowClient, name: str, versions: list[PromptVersion], known: dict[str, int]
) -> None:
    for version in versions:
        for label in version.labels:
            client.set_prompt_alias(name, label, known[str(version.version)])


def _number(version: PromptVersion) -> int:
    return version.version
