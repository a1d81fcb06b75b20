"""What the services find in their environment, and what the agents' runtime must never find."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pac.cli.local.environment import SERVICES, Own, Ports, Wiring
from pac.cli.local.errors import Expected
from pac.cli.local.keys import identity_public_key, new_key, sealing_public_key
from pac.cli.local.s3 import S3Settings

IDENTITY, SEALING = new_key(), new_key()


def kept() -> Callable[[str, Callable[[], str]], str]:
    made: dict[str, str] = {}
    return lambda name, make: made.setdefault(name, make())


def wiring(values: Mapping[str, str], *, s3: S3Settings | None = None, replicas: int = 1) -> Wiring:
    own = Own(values)
    free = iter(range(20_000, 30_000))
    return Wiring(
        own=own,
        ports=Ports.choose(own, lambda _: next(free), replicas),
        database_urls={service: f"postgresql://{service}:pw@127.0.0.1:1/{service}" for service in SERVICES},
        kafka_servers="127.0.0.1:2",
        s3=s3 or S3Settings("http://127.0.0.1:3", "bucket", "access", "secret"),
        runtime_folder=Path("/nowhere/runtime"),
        secret=kept(),
    )


def test_a_setting_of_ours_wins_over_a_generated_one() -> None:
    assert wiring({}).of_service("billing")["BILLING_SIGNUP_CREDITS"] == "1000"
    assert wiring({"BILLING_SIGNUP_CREDITS": "7"}).of_service("billing")["BILLING_SIGNUP_CREDITS"] == "7"


def test_any_setting_is_handed_on_to_every_service() -> None:
    made = wiring({"DEPLOYMENTS_STEP_DEADLINE_SECONDS": "5", "PAC_LOG_LEVEL": "debug"})
    assert all(made.of_service(service)["PAC_LOG_LEVEL"] == "debug" for service in SERVICES)
    assert made.of_service("deployments")["DEPLOYMENTS_STEP_DEADLINE_SECONDS"] == "5"


def test_a_secret_given_as_a_file_is_not_generated_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-a-file-of-mine\n")
    made = wiring({"GATEWAY_ADMIN_KEY_FILE": str(file)})
    assert "GATEWAY_ADMIN_KEY" not in made.of_service("gateway")
    assert made.value("GATEWAY_ADMIN_KEY") == "from-a-file-of-mine"


def test_a_secret_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Expected, match="GATEWAY_ADMIN_KEY_FILE cannot be read"):
        wiring({"GATEWAY_ADMIN_KEY_FILE": str(tmp_path / "none")}).value("GATEWAY_ADMIN_KEY")


def test_public_keys_follow_from_private_ones_of_ours() -> None:
    made = wiring({"GATEWAY_IDENTITY_KEY": IDENTITY, "RUNTIME_NOTIFIER_SEALING_KEY": SEALING})
    public = identity_public_key("GATEWAY_IDENTITY_KEY", IDENTITY)
    assert all(made.of_service(service)["GATEWAY_IDENTITY_PUBLIC_KEY"] == public for service in SERVICES)
    sealing = sealing_public_key("RUNTIME_NOTIFIER_SEALING_KEY", SEALING)
    assert made.of_service("packages")["PACKAGES_SEALING_PUBLIC_KEY"] == sealing


def test_a_key_that_is_none_is_named_without_its_value() -> None:
    with pytest.raises(Expected, match="GATEWAY_IDENTITY_KEY is not usable") as refused:
        wiring({"GATEWAY_IDENTITY_KEY": "hunter2"}).of_service("billing")
    assert "hunter2" not in str(refused.value)


def test_a_private_key_stays_with_its_owner() -> None:
    made = wiring({})
    for service in SERVICES:
        names = made.of_service(service).keys()
        assert ("GATEWAY_IDENTITY_KEY" in names) == (service == "gateway")
        assert ("RUNTIME_NOTIFIER_SEALING_KEY" in names) == (service == "runtime-notifier")
        assert ("AWS_SECRET_ACCESS_KEY" in names) == (service in ("packages", "runtime-notifier"))


def test_both_ends_of_the_runtime_know_the_same_secret() -> None:
    for values in ({}, {"LOCAL_RUNTIME_SECRET": "mine"}, {"RUNTIME_NOTIFIER_RUNTIME_SECRET": "mine"}):
        made = wiring(values)
        secret = made.of_runtime()["LOCAL_RUNTIME_SECRET"]
        assert secret == made.of_service("runtime-notifier")["RUNTIME_NOTIFIER_RUNTIME_SECRET"]
        assert not values or secret == "mine"


def test_credentials_for_amazon_do_not_go_to_the_local_object_store() -> None:
    mine = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "real", "AWS_SESSION_TOKEN": "t", "AWS_PROFILE": "p"}
    local = wiring(mine).of_service("packages")
    assert (local["AWS_ACCESS_KEY_ID"], local["AWS_SECRET_ACCESS_KEY"]) == ("access", "secret")
    assert not {"AWS_SESSION_TOKEN", "AWS_PROFILE"} & local.keys()
    there = wiring({**mine, "S3_ENDPOINT_URL": "https://s3.example"}).of_service("packages")
    assert (there["AWS_ACCESS_KEY_ID"], there["S3_ENDPOINT_URL"]) == ("AKIA", "https://s3.example")


def test_the_runtime_gets_nothing_but_what_is_meant_for_it() -> None:
    made = wiring(
        {
            "PATH": "/bin",
            "HOME": "/home/me",
            "OPENAI_API_KEY": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "GATEWAY_ADMIN_KEY": "c" * 20,
            "TEAM_ONE": "1",
            "TEAM_TWO": "2",
            "EXACT": "3",
            "EXACTLY": "4",
            "PIXELL_SECRETS_PROVIDER": "static",
            "LOCAL_RUNTIME_BASE_ENVIRONMENT": "TEAM_*, EXACT",
            "UV_INDEX_URL": "https://index.example",
        }
    ).of_runtime()
    assert made.keys() == {
        *("PATH", "HOME", "TEAM_ONE", "TEAM_TWO", "EXACT", "PIXELL_SECRETS_PROVIDER", "UV_INDEX_URL"),
        *("LOCAL_RUNTIME_BASE_ENVIRONMENT", "LOCAL_RUNTIME_HOST", "LOCAL_RUNTIME_PORT", "LOCAL_RUNTIME_SECRET"),
        *("LOCAL_RUNTIME_STATE_DIR", "LOCAL_RUNTIME_PACKAGE_ORIGINS"),
    }


def test_the_runtime_is_somebody_at_aws_only_where_its_secrets_come_from_there() -> None:
    mine = {"AWS_PROFILE": "p", "AWS_ACCESS_KEY_ID": "AKIA", "PIXELL_AWS_SECRETS": "my/app"}
    asks = wiring({**mine, "PIXELL_SECRETS_PROVIDER": "aws"}).of_runtime()
    assert {name: asks[name] for name in mine} == mine
    static = wiring({**mine, "PIXELL_SECRETS_PROVIDER": "static"}).of_runtime()
    assert not [name for name in static if name.startswith("AWS_")]


def test_the_runtime_fetches_packages_from_the_object_store_only() -> None:
    made = wiring({"S3_PUBLIC_ENDPOINT_URL": "https://objects.example"}).of_runtime()
    assert made["LOCAL_RUNTIME_PACKAGE_ORIGINS"] == "http://127.0.0.1:3,https://objects.example"


def test_a_port_that_is_none_is_named() -> None:
    for text in ("http", "0", "65536", "-1"):
        with pytest.raises(Expected, match="BILLING_ADMIN_PORT is not a port"):
            Ports.choose(Own({"BILLING_ADMIN_PORT": text}), lambda _: 1)


def test_only_ports_that_somebody_chose_are_looked_at_before_the_start() -> None:
    own = Own({"PACKAGES_PORT": "5001"})
    assert Ports.choose(own, lambda _: 1).chosen(own) == {"GATEWAY_PORT": 4000, "PACKAGES_PORT": 5001}


def test_settings_do_not_show_their_values() -> None:
    made = wiring({"GATEWAY_ADMIN_KEY": "do-not-show-this-key"})
    assert "do-not-show-this-key" not in repr(made)
    assert "pw@" not in repr(made)


def test_one_process_of_each_service_shares_nothing() -> None:
    made = wiring({}).of_service("gateway")
    assert (made["GATEWAY_REUSE_PORT"], made["GATEWAY_POOL_SIZE"]) == ("false", "10")
    assert "," not in made["GATEWAY_PACKAGES_URL"]


def test_gateways_share_their_port_and_know_all_processes_of_the_others() -> None:
    made = wiring({"GATEWAY_PORT": "4001", "PACKAGES_PORT": "5001", "PACKAGES_ADMIN_PORT": "5002"}, replicas=3)
    gateways = [made.of_service("gateway", number) for number in (1, 2, 3)]
    assert {(one["GATEWAY_PORT"], one["GATEWAY_REUSE_PORT"]) for one in gateways} == {("4001", "true")}
    assert len({one["GATEWAY_ADMIN_PORT"] for one in gateways}) == 3
    packages = [made.of_service("packages", number) for number in (1, 2, 3)]
    ports = [one["PACKAGES_PORT"] for one in packages]
    assert (len(set(ports)), ports[0], packages[0]["PACKAGES_ADMIN_PORT"]) == (3, "5001", "5002")
    assert len({one["PACKAGES_ADMIN_PORT"] for one in packages}) == 3
    assert {one["GATEWAY_PACKAGES_URL"] for one in gateways} == {",".join(f"http://127.0.0.1:{port}" for port in ports)}
    assert made.gateway_url == "http://127.0.0.1:4001"


def test_replicas_differ_in_nothing_but_their_ports() -> None:
    made = wiring({}, replicas=2)
    for service in SERVICES:
        one, two = made.of_service(service), made.of_service(service, 2)
        prefix = service.replace("-", "_").upper()
        assert {name for name in one if one[name] != two[name]} <= {f"{prefix}_PORT", f"{prefix}_ADMIN_PORT"}


def test_the_pools_of_four_replicas_fit_into_one_server() -> None:
    made = wiring({}, replicas=4)
    pools = [int(made.of_service(service)[f"{service.replace('-', '_').upper()}_POOL_SIZE"]) for service in SERVICES]
    assert sum(4 * (size + 1) for size in pools) < 190  # and one connection each to hear of commits
    assert wiring({"BILLING_POOL_SIZE": "3"}, replicas=4).of_service("billing")["BILLING_POOL_SIZE"] == "3"
