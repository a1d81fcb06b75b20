"""Who wins and who loses, who set it when, and what is not known: from what three services say."""

from datetime import UTC, datetime
from uuid import UUID

from pac.contracts.bodies.secrets import SecretView, StoredLayersReply
from pac.gateway.explaining import Found, explained

NOON, LATER = datetime(2026, 11, 25, 12, tzinfo=UTC), datetime(2026, 11, 25, 13, tzinfo=UTC)
DEPLOYMENT, PACKAGE = UUID(int=1), UUID(int=2)
SECRET = SecretView(key="TOKEN", version=3, set_by="key-1", set_at=LATER)
STORED = StoredLayersReply(
    is_given=True,
    deployment_id=DEPLOYMENT,
    package_id=PACKAGE,
    environment_of=DEPLOYMENT,
    request=("LEVEL", "TOKEN"),
    secrets_version=3,
    stored=(SECRET, SECRET.model_copy(update={"key": "ONLY"})),
)
NOTHING = StoredLayersReply(
    is_given=True,
    deployment_id=None,
    package_id=None,
    environment_of=None,
    request=(),
    secrets_version=0,
    stored=(),
)


def test_each_name_has_its_layers_the_strongest_first() -> None:
    reply = explained(Found(STORED, NOON, ("TOKEN", "HOST"), NOON))
    assert {one.key: (one.wins, one.loses) for one in reply.env} == {
        "HOST": (".env", ()),
        "LEVEL": ("request", ()),
        "ONLY": ("provider", ()),
        "TOKEN": ("request", ("provider", ".env")),
    }
    assert reply.unknown == ("base",)


def test_each_layer_says_who_and_when() -> None:
    reply = explained(Found(STORED, NOON, ("TOKEN",), NOON))
    token = next(one for one in reply.env if one.key == "TOKEN")
    assert [source.model_dump(mode="json") for source in token.sources] == [
        {"layer": "request", "set_at": "2026-11-25T12:00:00Z", "deployment_id": str(DEPLOYMENT)},
        {"layer": "provider", "set_at": "2026-11-25T13:00:00Z", "set_by": "key-1", "version": 3},
        {"layer": ".env", "set_at": "2026-11-25T12:00:00Z", "package_id": str(PACKAGE)},
    ]


def test_what_nobody_said_is_unknown_and_never_guessed() -> None:
    reply = explained(Found(STORED, None, None, None))
    assert reply.unknown == (".env", "base")
    assert all(".env" not in (one.wins, *one.loses) for one in reply.env)


def test_an_app_without_a_release_has_no_package_to_know_of() -> None:
    reply = explained(Found(NOTHING, None, None, None))
    assert (reply.env, reply.unknown, reply.deployment_id) == ((), ("base",), None)
