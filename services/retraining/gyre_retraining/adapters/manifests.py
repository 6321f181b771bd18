"""A job as manifests of Kubernetes: a `TrainJob` of Kubeflow Trainer 2.2, or an indexed `Job`."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

from gyre_retraining.domain.jobs import Order

Manifest = dict[str, Any]
PORT = 29500
GRACE_SECONDS = 300
RETRIES = 3
FAILED = 2  # the runner's exit code: starting it again would not help
MANAGER = "gyre.retraining/service"
INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where jobs run. runtime: of Kubeflow Trainer, for `trainjob`. image: holds the model
    environment as `python`. claim: a volume that the service and every node mount at `mount`, with
    datasets, models and jobs on it. accelerators: of a node, each one process; 0 is none.
    grace: seconds between the request to end and the end."""

    namespace: str
    image: str
    claim: str
    mount: str
    kind: Literal["job", "trainjob"] = "job"
    runtime: str = "torch-distributed"
    accelerators: int = 1
    accelerator: str = "nvidia.com/gpu"
    cpus: int = 4
    grace: int = 120
    priority_class: str = ""


def name_of(training_id: str) -> str:
    """Starts with a letter, as names of services must."""
    return f"gyre-{training_id.lower()}"


def nodes_of(order: Order, cluster: Cluster) -> int:
    return ceil(order.plan.processes / max(cluster.accelerators, 1))


def manifests(order: Order, folder: str, cluster: Cluster) -> list[Manifest]:
    """What is applied, in order. folder: of the job, on the volume."""
    if cluster.kind == "trainjob":
        return [_train_job(order, folder, cluster)]
    nodes = nodes_of(order, cluster)
    service = [_service(order, cluster)] if nodes > 1 else []
    return [*service, _job(order, folder, cluster)]


def _train_job(order: Order, folder: str, cluster: Cluster) -> Manifest:
    node: Manifest = {
        "containers": [{"name": "node", "volumeMounts": _mounts(cluster)}],
        "volumes": _volumes(cluster),
    }
    patch = {"name": "node", "template": {"spec": {"template": {"spec": node}}}}
    spec: Manifest = {
        "runtimeRef": {
            "apiGroup": "trainer.kubeflow.org",
            "kind": "ClusterTrainingRuntime",
            "name": cluster.runtime,
        },
        "trainer": {
            "image": cluster.image,
            "command": _command(folder, spread=True),
            "env": _environment(order),
            "numNodes": nodes_of(order, cluster),
            "numProcPerNode": _processes(order, cluster),
            "resourcesPerNode": _resources(order, cluster),
        },
        "runtimePatches": [
            {
                "manager": MANAGER,
                "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [patch]}}},
            }
        ],
    }
    if deadline := _deadline(order):
        spec["activeDeadlineSeconds"] = deadline
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": _metadata(order, cluster),
        "spec": spec,
    }


def _job(order: Order, folder: str, cluster: Cluster) -> Manifest:
    nodes = nodes_of(order, cluster)
    rule = {
        "action": "FailJob",
        "onExitCodes": {"containerName": "node", "operator": "In", "values": [FAILED]},
    }
    spec: Manifest = {
        "backoffLimit": RETRIES,
        "completionMode": "Indexed",
        "completions": nodes,
        "parallelism": nodes,
        "podFailurePolicy": {"rules": [rule]},
        "template": {
            "metadata": {"labels": _labels(order)},
            "spec": _pod(order, folder, cluster),
        },
    }
    if deadline := _deadline(order):
        spec["activeDeadlineSeconds"] = deadline
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(order, cluster),
        "spec": spec,
    }


def _pod(order: Order, folder: str, cluster: Cluster) -> Manifest:
    spread = order.plan.processes > 1
    environment = _environment(order) + (_rendezvous(order, cluster) if spread else [])
    pod: Manifest = {
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": "node",
                "image": cluster.image,
                "command": _command(folder, spread=spread),
                "env": environment,
                "resources": _resources(order, cluster),
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": _mounts(cluster),
            }
        ],
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": cluster.grace,
        "volumes": _volumes(cluster),
    }
    if nodes_of(order, cluster) > 1:
        pod["subdomain"] = name_of(order.training_id)
    if cluster.priority_class:
        pod["priorityClassName"] = cluster.priority_class
    return pod


def _service(order: Order, cluster: Cluster) -> Manifest:
    """Gives every node a name, before it is ready: they look for each other at their start."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(order, cluster),
        "spec": {
            "clusterIP": "None",
            "ports": [{"name": "rendezvous", "port": PORT}],
            "publishNotReadyAddresses": True,
            "selector": _labels(order),
        },
    }


def _command(folder: str, *, spread: bool) -> list[str]:
    """torchrun takes everything else from `PET_...`, which Kubeflow's runtime sets as we do."""
    runner = ["-m", "gyre_retraining.recipes", "run", "--job", folder]
    return ["torchrun", *runner] if spread else ["python", *runner]


def _rendezvous(order: Order, cluster: Cluster) -> list[Manifest]:
    nodes, name = nodes_of(order, cluster), name_of(order.training_id)
    first = f"{name}-0.{name}" if nodes > 1 else "127.0.0.1"
    return [
        _variable("PET_NNODES", nodes),
        _variable("PET_NPROC_PER_NODE", _processes(order, cluster)),
        _variable("PET_MASTER_ADDR", first),
        _variable("PET_MASTER_PORT", PORT),
        {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": INDEX}}},
    ]


def _environment(order: Order) -> list[Manifest]:
    threads = order.plan.limits.threads
    return [
        _variable("HOME", "/tmp"),
        _variable("PYTHONUNBUFFERED", 1),
        *([_variable("OMP_NUM_THREADS", threads)] if threads else []),
    ]


def _processes(order: Order, cluster: Cluster) -> int:
    """Of one node."""
    return ceil(order.plan.processes / nodes_of(order, cluster))


def _resources(order: Order, cluster: Cluster) -> Manifest:
    memory = order.plan.limits.memory_mb * _processes(order, cluster)
    requests: Manifest = {"cpu": str(cluster.cpus)}
    limits: Manifest = {}
    if memory:
        # The job watches itself and ends with a word; the cluster ends it without one, later.
        requests["memory"], limits["memory"] = f"{memory}Mi", f"{memory + memory // 4}Mi"
    if cluster.accelerators:
        limits[cluster.accelerator] = str(_processes(order, cluster))
    return {"requests": requests, "limits": limits}


def _deadline(order: Order) -> int:
    minutes = order.plan.limits.minutes
    return int(minutes * 60) + GRACE_SECONDS if minutes else 0


def _mounts(cluster: Cluster) -> list[Manifest]:
    return [
        {"name": "gyre", "mountPath": cluster.mount},
        {"name": "shared-memory", "mountPath": "/dev/shm"},
    ]


def _volumes(cluster: Cluster) -> list[Manifest]:
    return [
        {"name": "gyre", "persistentVolumeClaim": {"claimName": cluster.claim}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
    ]


def _metadata(order: Order, cluster: Cluster) -> Manifest:
    return {
        "name": name_of(order.training_id),
        "namespace": cluster.namespace,
        "labels": _labels(order),
    }


def _labels(order: Order) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "gyre-training",
        "app.kubernetes.io/managed-by": "gyre-retraining",
        "gyre.training": order.training_id,
        "gyre.recipe": order.plan.name,
    }


def _variable(name: str, value: object) -> Manifest:
    return {"name": name, "value": str(value)}
