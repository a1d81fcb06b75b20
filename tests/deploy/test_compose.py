"""docker-compose.yml: of the schema of compose files, and in agreement with what the services read."""

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from pac.cli.local.generated import of_servers, of_services
from pac.gateway.settings import Settings as GatewaySettings
from pac.runtime_notifier.settings import Settings as NotifierSettings
from pac.servicekit.settings import read_settings

from .places import DEPLOY, ROOT
from .wanted import SERVICES, known, required, settings_of

FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
EVERYTHING: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = ("migrate", "topics", "bucket")
NO_SHELL = {"otel-collector", "tempo"}  # nothing in these images could ask
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
EXAMPLE = (ROOT / ".env.example").read_text()


def test_it_is_of_the_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("service", [*SERVICES, "runtime"])
def test_a_process_is_given_what_it_needs_and_nothing_that_it_does_not_read(service: str) -> None:
    given = set(EVERYTHING[service]["environment"])
    assert given - known(service) == set()
    assert required(service) - given == set()
    assert EVERYTHING[service]["command"] == ["run", service]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_accepts_the_values(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in EVERYTHING[service]["environment"].items():
        if text is not None:
            monkeypatch.setenv(name, filled_in(str(text), of_services() | of_servers()))
    for one in settings_of(service):
        read_settings(one)


def test_the_example_of_several_runtimes_is_one_that_both_services_take(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("gateway", "runtime-notifier"):
        for name, text in EVERYTHING[service]["environment"].items():
            if text is not None:
                monkeypatch.setenv(name, filled_in(str(text), of_services() | of_servers()))
    for name, text in re.findall(r"^#(\w+_RUNTIMES)=(.*)$", EXAMPLE, re.MULTILINE):
        monkeypatch.setenv(name, text)
    names = read_settings(GatewaySettings).runtime_names
    assert names == read_settings(NotifierSettings).every_runtime.by_name.keys()
    assert names > {"default"}


def environment(one: dict[str, Any]) -> list[tuple[str, Any]]:
    return [*one.get("environment", {}).items()]


def filled_in(text: str, secrets: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, how, default = match.groups()
        return secrets[name] if how == "?" else secrets.get(name, default or "")

    return VARIABLE.sub(value, text)


def test_only_the_gateway_is_published() -> None:
    assert {name for name, one in EVERYTHING.items() if "ports" in one} == {"gateway"}
    assert EVERYTHING["gateway"]["ports"] == ["${GATEWAY_PORT:-4000}:4000"]


def test_whatever_runs_for_long_is_looked_at() -> None:
    looked_at = {name for name, one in EVERYTHING.items() if "healthcheck" in one}
    assert looked_at == set(EVERYTHING) - set(ONCE) - NO_SHELL


def test_nothing_is_waited_for_that_could_not_come() -> None:
    for name, one in EVERYTHING.items():
        for other, how in one.get("depends_on", {}).items():
            looked_at = "healthcheck" in EVERYTHING[other]
            expected = "service_healthy" if looked_at else "service_started"
            assert how["condition"] == ("service_completed_successfully" if other in ONCE else expected), (name, other)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_after_what_is_done_once(service: str) -> None:
    objects = {"bucket", "s3"} if service in {"packages", "runtime-notifier"} else set()
    assert set(EVERYTHING[service]["depends_on"]) == {"migrate", "topics", "kafka", "postgres"} | objects


def test_the_databases_of_all_services_are_migrated() -> None:
    given = EVERYTHING["migrate"]["environment"]
    assert given == {
        name: value
        for service in SERVICES
        for name, value in EVERYTHING[service]["environment"].items()
        if name.endswith("_DATABASE_URL")
    }
    assert len(given) == len(SERVICES)
    made = re.search(r"^for service in (.*); do$", (DEPLOY / "compose/databases.sh").read_text(), re.MULTILINE)
    assert made is not None
    assert made[1].split() == [service.replace("-", "_") for service in SERVICES]


@pytest.mark.parametrize("service", [*SERVICES, *ONCE])
def test_what_is_ours_may_write_nothing_and_become_nobody(service: str) -> None:
    one = EVERYTHING[service]
    assert (one["read_only"], one["cap_drop"], one["security_opt"]) == (True, ["ALL"], ["no-new-privileges:true"])


def test_agents_reach_the_object_store_and_who_drives_them_and_no_other_container() -> None:
    networks = {name: set(one.get("networks", ["default"])) for name, one in EVERYTHING.items()}
    reached = {name for name, theirs in networks.items() if theirs & networks["runtime"]} - {"runtime"}
    assert reached == {"s3", "runtime-notifier"}
    assert all("default" in theirs for name, theirs in networks.items() if name != "runtime")


def test_every_variable_is_explained_and_every_explained_one_is_read() -> None:
    passed_on = {name for one in EVERYTHING.values() for name, text in environment(one) if text is None}
    read = {match[1] for match in VARIABLE.finditer(FILE.read_text())} | passed_on
    assert set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)) == read


def test_the_secrets_that_one_command_makes_are_those_that_must_be_set() -> None:
    must = {match[1] for match in VARIABLE.finditer(FILE.read_text()) if match[2] == "?"}
    assert must == set(re.findall(r"^([A-Z][A-Z0-9_]+)=$", EXAMPLE, re.MULTILINE)) == {*of_services(), *of_servers()}


def test_every_file_that_is_mounted_is_there() -> None:
    mounted = [volume for one in EVERYTHING.values() for volume in one.get("volumes", ()) if volume.startswith("./")]
    paths = {volume.partition(":")[0] for volume in mounted}
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_every_volume_is_declared_and_used() -> None:
    mounted = [volume.partition(":")[0] for one in EVERYTHING.values() for volume in one.get("volumes", ())]
    assert {name for name in mounted if not name.startswith("./")} == set(COMPOSE["volumes"])


def test_prometheus_asks_every_service() -> None:
    jobs = yaml.safe_load((DEPLOY / "observe/prometheus.yml").read_text())["scrape_configs"]
    [pac] = [job for job in jobs if job["job_name"] == "pac"]
    assert pac["static_configs"][0]["targets"] == [
        f"{service}:{EVERYTHING[service]['environment'][service.replace('-', '_').upper() + '_ADMIN_PORT']}"
        for service in SERVICES
    ]
