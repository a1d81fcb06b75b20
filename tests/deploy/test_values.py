"""The chart's values: its own pass, and what is wrong is refused with the name of its field."""

from typing import Any

import jsonschema
import pytest

from pac.cli.local.topics import read_topics

from .charts import FILES, SCHEMA, merged, values_of
from .places import DEPLOY
from .wanted import SERVICES, known

DEFAULTS = values_of()


def faults(values: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(values)]


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", ["values.yaml", *FILES])
def test_its_own_values_pass(file: str) -> None:
    assert faults(merged(DEFAULTS, values_of(file))) == []


BAD: list[tuple[str, dict[str, Any]]] = [
    ("replica", {"gateway": {"replica": 3}}),
    ("replicas", {"gateway": {"replicas": "three"}}),
    ("replicas", {"billing": {"replicas": 0}}),
    ("publicUrl", {"publicUrl": "pac.example.com"}),
    ("logLevel", {"logLevel": "loud"}),
    ("existingSecret", {"existingSecret": ""}),
    ("existingSecret", {"externalPostgres": {"existingSecret": "Not A Name"}}),
    ("password", {"externalPostgres": {"password": "in plain sight"}}),
    ("servers", {"externalKafka": {"servers": "kafka"}}),
    ("securityProtocol", {"externalKafka": {"securityProtocol": "TLS"}}),
    ("saslUsername", {"externalKafka": {"securityProtocol": "SASL_SSL", "existingSecret": "kafka"}}),
    ("existingSecret", {"externalKafka": {"securityProtocol": "SASL_SSL", "saslUsername": "pac"}}),
    ("existingSecret", {"externalKafka": {"caFile": True}}),
    ("endpointUrl", {"externalS3": {"endpointUrl": "s3"}}),
    ("bucket", {"externalS3": {"bucket": "No_Bucket"}}),
    ("maxReplicas", {"deployments": {"scaling": {"maxReplicas": 7}}}),
    ("autoscaling", {"deployments": {"autoscaling": {"enabled": True}}}),
    ("cpuPercent", {"gateway": {"autoscaling": {"cpuPercent": 0}}}),
    ("memory", {"gateway": {"resources": {"limits": {"memory": "much"}}}}),
    ("PACKAGES_MAX_SIZE_BYTES", {"gateway": {"settings": {"PACKAGES_MAX_SIZE_BYTES": "1"}}}),
    ("GATEWAY_TRUSTED_PROXIES", {"gateway": {"settings": {"GATEWAY_TRUSTED_PROXIES": 1}}}),
    ("url", {"runtime": {"url": "ftp://runtime"}}),
    ("host", {"ingress": {"enabled": True}}),
    ("port", {"networkPolicy": {"kafka": {"port": "kafka"}}}),
    ("to", {"networkPolicy": {"kafka": {"to": [{"everybody": True}]}}}),
    ("interval", {"metrics": {"serviceMonitor": {"interval": "often"}}}),
    ("postgresql", {"postgresql": {"enabled": True}}),
]


@pytest.mark.parametrize(("field", "wrong"), BAD, ids=[f"{field}-{number}" for number, (field, _) in enumerate(BAD)])
def test_a_bad_value_is_refused_with_its_field(field: str, wrong: dict[str, Any]) -> None:
    found = faults(merged(DEFAULTS, wrong))
    assert len(found) == 1, found
    assert field in found[0]


def test_consumers_scale_up_to_the_partitions_of_a_topic() -> None:
    partitions = {one.partitions for one in read_topics(DEPLOY / "topics.toml") if one.name.endswith(".events")}
    scaling = SCHEMA["properties"]["deployments"]["properties"]["scaling"]["properties"]
    assert {scaling["maxReplicas"]["maximum"]} == partitions


@pytest.mark.parametrize("file", FILES)
def test_settings_in_values_are_settings_of_the_service(file: str) -> None:
    for service in SERVICES:
        assert set(values_of(file).get(service, {}).get("settings", {})) - known(service) == set()
