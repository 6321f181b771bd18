"""What is applied to a cluster: accepted by its schemas, and saying what was meant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from gyre_retraining.adapters.manifests import (
    FAILED,
    Cluster,
    Manifest,
    manifests,
    name_of,
    nodes_of,
)
from gyre_retraining.recipes import ending

sys.path.append(str(Path(__file__).parent))
from training_world import order, plan

IDENTITY = "0193a2b4-7f10-7cc3-9b1d-2f4a6c8e0d12"
FOLDER = f"/var/gyre/jobs/{IDENTITY}"
RELEASE = "1.37"
ONE = plan(limits={"memory_mb": 1000, "minutes": 30, "threads": 2})
EIGHT = plan(accelerate={"processes": 8, "fsdp": True}, limits={"memory_mb": 1000})


def cluster(**given: Any) -> Cluster:
    return Cluster("training", "gyre/models:1", "gyre", "/var/gyre", **given)


def rendered(given: Any = ONE, **about: Any) -> list[Manifest]:
    return manifests(order(IDENTITY, Path("/var/gyre"), given), FOLDER, cluster(**about))


def container(manifest: Manifest) -> dict[str, Any]:
    (found,) = manifest["spec"]["template"]["spec"]["containers"]
    return dict(found)


def variables(given: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in given["env"]}


@pytest.mark.parametrize("recipe", [ONE, EIGHT, plan()])
@pytest.mark.parametrize("accelerators", [0, 1, 4])
def test_a_job_is_one_that_kubernetes_accepts(recipe: Any, accelerators: int) -> None:
    made = rendered(recipe, accelerators=accelerators, priority_class="batch")
    for manifest in made:
        kubernetes_validate.validate(manifest, RELEASE, strict=True)
    assert made[-1]["kind"] == "Job"


def test_a_manifest_that_is_wrong_would_be_noticed() -> None:
    (job,) = rendered()
    job["spec"]["template"]["spec"]["containers"][0]["imagined"] = True
    with pytest.raises(Exception, match="imagined"):
        kubernetes_validate.validate(job, RELEASE, strict=True)


# The fields of trainer.kubeflow.org/v1alpha1 (Kubeflow Trainer 2.2) that are used here, and no
# other: https://github.com/kubeflow/trainer/blob/master/pkg/apis/trainer/v1alpha1/trainjob_types.go
def fields(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def nested(*names: str, inner: dict[str, Any]) -> dict[str, Any]:
    for name in reversed(names):
        inner = fields([], **{name: inner})
    return inner


TEXT, WORDS, FREE = {"type": "string"}, {"type": "array", "items": {"type": "string"}}, {}
NUMBER = {"type": "integer", "minimum": 1}
POD = fields(
    [],
    containers={"type": "array", "items": fields(["name"], name=TEXT, volumeMounts=FREE)},
    volumes=FREE,
)
REPLICATED = fields(["name"], name=TEXT, template=nested("spec", "template", "spec", inner=POD))
PATCH = fields(
    ["manager"],
    manager={"type": "string", "minLength": 1, "maxLength": 253},
    trainingRuntimeSpec=nested(
        "template", "spec", "replicatedJobs", inner={"type": "array", "items": REPLICATED}
    ),
)
TRAIN_JOB = fields(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "trainer.kubeflow.org/v1alpha1"},
    kind={"const": "TrainJob"},
    metadata=fields(
        ["name"],
        name={"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63},
        namespace=TEXT,
        labels={"type": "object", "additionalProperties": TEXT},
    ),
    spec=fields(
        ["runtimeRef"],
        runtimeRef=fields(["name"], name=TEXT, apiGroup=TEXT, kind=TEXT),
        trainer=fields(
            [],
            image=TEXT,
            command=WORDS,
            env=FREE,
            numNodes=NUMBER,
            numProcPerNode=NUMBER,
            resourcesPerNode=FREE,
        ),
        runtimePatches={"type": "array", "items": PATCH, "maxItems": 16},
        activeDeadlineSeconds=NUMBER,
    ),
)


@pytest.mark.parametrize("recipe", [ONE, EIGHT])
def test_a_train_job_has_documented_fields_only(recipe: Any) -> None:
    (made,) = rendered(recipe, kind="trainjob", accelerators=4)
    jsonschema.validate(made, TRAIN_JOB)


def test_the_parts_of_a_train_job_that_are_a_pods_are_valid_in_a_pod() -> None:
    (made,) = rendered(EIGHT, kind="trainjob", accelerators=4)
    trainer = made["spec"]["trainer"]
    (patch,) = made["spec"]["runtimePatches"]
    (patched,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = patched["template"]["spec"]["template"]["spec"]
    node = {
        "name": "node",
        "image": trainer["image"],
        "command": trainer["command"],
        "env": trainer["env"],
        "resources": trainer["resourcesPerNode"],
        "volumeMounts": pod["containers"][0]["volumeMounts"],
    }
    whole = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": made["metadata"],
        "spec": {"containers": [node], "volumes": pod["volumes"]},
    }
    kubernetes_validate.validate(whole, RELEASE, strict=True)
    assert patched["name"] == pod["containers"][0]["name"] == "node"


def test_a_train_job_spreads_over_nodes_as_the_recipe_wants_processes() -> None:
    (made,) = rendered(EIGHT, kind="trainjob", accelerators=4, runtime="ours")
    trainer = made["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 4)
    assert made["spec"]["runtimeRef"]["name"] == "ours"
    assert trainer["resourcesPerNode"]["limits"]["nvidia.com/gpu"] == "4"
    assert trainer["command"][0] == "torchrun"
    assert trainer["command"][-2:] == ["--job", FOLDER]


def test_one_process_is_a_job_of_one_pod_without_torchrun() -> None:
    (job,) = rendered()
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (1, 1)
    run = ["python", "-m", "gyre_retraining.recipes", "run", "--job", FOLDER]
    assert container(job)["command"] == run
    assert not [name for name in variables(container(job)) if name.startswith("PET_")]


def test_several_nodes_find_the_first_one_by_its_name() -> None:
    service, job = rendered(EIGHT, accelerators=4)
    known, pod = variables(container(job)), job["spec"]["template"]["spec"]
    assert (known["PET_NNODES"], known["PET_NPROC_PER_NODE"]) == ("2", "4")
    assert job["spec"]["completionMode"] == "Indexed"
    assert known["PET_MASTER_ADDR"] == f"{job['metadata']['name']}-0.{pod['subdomain']}"
    assert known["PET_NODE_RANK"]["fieldRef"]["fieldPath"].endswith("job-completion-index']")
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    selected = service["spec"]["selector"].items()
    assert selected <= job["spec"]["template"]["metadata"]["labels"].items()
    assert int(known["PET_MASTER_PORT"]) == service["spec"]["ports"][0]["port"]


def test_several_processes_of_one_node_need_no_service() -> None:
    (job,) = rendered(EIGHT, accelerators=8)
    known = variables(container(job))
    assert (known["PET_NNODES"], known["PET_NPROC_PER_NODE"]) == ("1", "8")
    assert known["PET_MASTER_ADDR"] == "127.0.0.1"


def test_limits_become_the_clusters() -> None:
    (job,) = rendered()
    assert job["spec"]["activeDeadlineSeconds"] == 30 * 60 + 300
    assert container(job)["resources"]["requests"]["memory"] == "1000Mi"
    assert container(job)["resources"]["limits"]["memory"] == "1250Mi"
    assert variables(container(job))["OMP_NUM_THREADS"] == "2"
    (endless,) = rendered(plan())
    assert "activeDeadlineSeconds" not in endless["spec"]
    assert "memory" not in container(endless)["resources"]["limits"]


def test_a_failure_that_would_come_again_is_not_tried_again() -> None:
    (job,) = rendered()
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [FAILED])
    assert FAILED == ending.FAILED
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_a_pod_has_no_right_that_it_does_not_need() -> None:
    (job,) = rendered()
    pod = job["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container(job)["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_names_are_those_of_dns() -> None:
    assert name_of("T-1") == "gyre-t-1"
    assert nodes_of(order(IDENTITY, Path("/x"), EIGHT), cluster(accelerators=3)) == 3
