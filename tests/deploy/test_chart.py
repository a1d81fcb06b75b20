"""What the chart renders: valid for Kubernetes, in agreement with the services' settings, open for the arrows only."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pac.cli.local.generated import of_services
from pac.servicekit.settings import read_settings

from .charts import CRDS, FILES, KUBERNETES, NAMESPACE, Json, component, helm, of_kind, program, rendered, template
from .places import CHART, ROOT
from .policies import End, Policies
from .test_values import BAD
from .wanted import SERVICES, WITH_OBJECTS, known, required, settings_of

pytestmark = pytest.mark.long
ALL = ((), *(("--values", CHART / file) for file in FILES))
IDS = ("default", *FILES)
every_values = pytest.mark.parametrize("values", ALL, ids=IDS)


@every_values
def test_helm_finds_nothing_wrong(values: tuple[str | Path, ...]) -> None:
    done = helm("lint", "--strict", CHART, "--kube-version", f"{KUBERNETES}.0", *values)
    assert done.returncode == 0, done.stdout + done.stderr


@every_values
def test_kubernetes_would_accept_it(values: tuple[str | Path, ...], tmp_path: Path) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(rendered(*values)))
    command = [program("kubectl-validate"), "--version", KUBERNETES, "--local-crds", str(CRDS), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_kubernetes_would_refuse_is_noticed(tmp_path: Path) -> None:
    objects = rendered("--values", CHART / "values-production.yaml")
    objects[-1]["spec"]["nonsense"] = True
    of_kind(objects, "ScaledObject")["pac-billing"]["spec"]["maxReplicaCount"] = "many"
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    command = [program("kubectl-validate"), "--version", KUBERNETES, "--local-crds", str(CRDS), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "maxReplicaCount" in done.stdout + done.stderr


@pytest.mark.parametrize(("field", "wrong"), BAD, ids=[f"{field}-{number}" for number, (field, _) in enumerate(BAD)])
def test_helm_refuses_a_bad_value_with_its_field(field: str, wrong: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(wrong))
    done = template("--values", file)
    assert done.returncode != 0
    assert field in done.stderr


def environment(deployment: Json) -> dict[str, Json]:
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one for one in container["env"]}


@every_values
def test_a_service_is_given_what_it_needs_and_accepts_it(
    values: tuple[str | Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployments = {component(one): one for one in of_kind(rendered(*values), "Deployment").values()}
    assert set(deployments) == set(SERVICES)
    secrets = of_services() | {"KAFKA_SASL_PASSWORD": "one", "AWS_ACCESS_KEY_ID": "one", "AWS_SECRET_ACCESS_KEY": "one"}
    for service, deployment in deployments.items():
        given = environment(deployment)
        assert set(given) - known(service) == set()
        assert required(service) - set(given) == set()
        with monkeypatch.context() as process:
            for name, one in given.items():
                secret = secrets.get(name, "postgresql://one@postgres/one")
                process.setenv(name, str(one["value"]) if "value" in one else secret)
            for settings in settings_of(service):
                read_settings(settings)


def test_secrets_come_from_secrets() -> None:
    for deployment in of_kind(rendered("--values", CHART / "values-production.yaml"), "Deployment").values():
        for name, one in environment(deployment).items():
            if name in of_services() or re.search("PASSWORD|DATABASE_URL|SECRET|ACCESS_KEY", name):
                assert one["valueFrom"]["secretKeyRef"]["key"] == name


def subscriptions(service: str) -> set[tuple[str, str]]:
    """(group, topic), as the service's own table of contents says it."""
    module = service.replace("-", "_")
    text = (ROOT / f"services/{service}/src/pac/{module}/app.py").read_text()
    heard = re.findall(r"Subscription\(ServiceName\.(\w+)", text)
    return {(service, f"{one.lower().replace('_', '-')}.events") for one in heard}


def test_consumers_scale_by_the_lag_of_what_they_hear() -> None:
    scaled = of_kind(rendered("--values", CHART / "values-production.yaml"), "ScaledObject")
    assert {component(one) for one in scaled.values()} == {"deployments", "billing", "runtime-notifier"}
    for one in scaled.values():
        triggers = [trigger["metadata"] for trigger in one["spec"]["triggers"]]
        assert {(each["consumerGroup"], each["topic"]) for each in triggers} == subscriptions(component(one))
        assert {each["offsetResetPolicy"] for each in triggers} == {"earliest"}


@every_values
def test_every_pod_may_write_nothing_and_become_nobody(values: tuple[str | Path, ...]) -> None:
    for one in rendered(*values):
        if one["kind"] not in {"Deployment", "Job", "Pod"}:
            continue
        pod = one["spec"] if one["kind"] == "Pod" else one["spec"]["template"]["spec"]
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


# ---- who may reach whom ----------------------------------------------------------------------------------------------

SERVERS = {"postgres": 5432, "kafka": 9092, "s3": 7070, "runtime": 8090}
COLLECTOR, EUROPE = 4318, 8091  # the ports of otlpEndpoint, and of a further runtime
PORTS = (*SERVERS.values(), COLLECTOR, EUROPE, 53, 443, 4000, 8000, 9000)


def peer(namespace: str) -> Json:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def world() -> dict[str, End]:
    ours = {name: End(name, NAMESPACE, {**labels(name)}) for name in (*SERVICES, "migrate", "test")}
    others = {
        name: End(name, name)
        for name in (*SERVERS, "europe", "collector", "ingress", "monitoring", "kube-system", "stranger")
    }
    stranger = End("neighbour", NAMESPACE, {"app.kubernetes.io/name": "another"})
    return {**ours, **others, "neighbour": stranger, "public": End("public", address="93.184.215.14")}


def labels(name: str) -> dict[str, str]:
    part = "app.kubernetes.io"
    return {f"{part}/name": "pac", f"{part}/instance": "pac", f"{part}/component": name}


def arrows(*, sessions: bool) -> set[tuple[str, str, int]]:
    """The design's: who may reach whom, at which port."""
    behind = [service for service in SERVICES if service != "gateway"]
    return {
        ("ingress", "gateway", 4000),
        ("test", "gateway", 4000),
        *(("gateway", service, 8000) for service in behind),
        *(("monitoring", service, 9000) for service in SERVICES),
        *((one, server, SERVERS[server]) for one in (*SERVICES, "migrate") for server in ("postgres", "kafka")),
        *((service, "s3", SERVERS["s3"]) for service in WITH_OBJECTS),
        ("runtime-notifier", "runtime", SERVERS["runtime"]),
        ("runtime-notifier", "europe", EUROPE),
        *((service, "collector", COLLECTOR) for service in SERVICES),
        ("runtime-notifier", "public", 443),
        *([("gateway", "public", 443)] if sessions else []),
        *((one, "kube-system", 53) for one in (*SERVICES, "migrate", "test")),
    }


@pytest.mark.parametrize("sessions", [False, True])
def test_exactly_the_arrows_of_the_design_pass(tmp_path: Path, *, sessions: bool) -> None:
    settings = {"GATEWAY_SUPABASE_ISSUER": "https://ref.supabase.co/auth/v1"} if sessions else {}
    policy = {
        "ingressFrom": [peer("ingress")],
        "metricsFrom": [peer("monitoring")],
        **{name: {"port": port, "to": [peer(name)]} for name, port in SERVERS.items()},
        "runtimes": [{"port": EUROPE, "to": [peer("europe")]}],
        "collectorTo": [peer("collector")],
    }
    values = {
        "otlpEndpoint": f"http://traces.collector:{COLLECTOR}",
        "networkPolicy": policy,
        "gateway": {"settings": settings},
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    policies = Policies(list(of_kind(rendered("--values", file), "NetworkPolicy").values()), NAMESPACE)
    ends = world()
    ours = {name for name, end in ends.items() if end.labels.get("app.kubernetes.io/name") == "pac"}
    passing = {
        (source, target, port)
        for source in ends
        for target in ends
        for port in PORTS
        if source != target and ours & {source, target} and policies.passes(ends[source], ends[target], port)
    }
    assert passing == arrows(sessions=sessions)


def test_a_pod_of_ours_that_no_policy_names_reaches_nobody() -> None:
    policies = Policies(list(of_kind(rendered(), "NetworkPolicy").values()), NAMESPACE)
    unnamed = End("unnamed", NAMESPACE, labels("unnamed"))
    assert not any(policies.passes(unnamed, end, port) for end in world().values() for port in PORTS)
