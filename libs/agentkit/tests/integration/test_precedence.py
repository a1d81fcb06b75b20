"""One table of precedence, and everything that starts an agent or has a part in it."""

import base64
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from pac.agentkit.build import write_package
from pac.agentkit.environment import Layer, merge
from pac.packages.environment import Sealer
from pac.runtime_notifier.environments import Environments
from pac.runtime_notifier.errands import Facts
from pac.servicekit.objects import Objects
from pac.servicekit.sealing import public_key_of
from pac.testkit.dev import pac_dev
from pac.testkit.precedence import CASES, EXPECTED, all_layers, dotenv_text, seen_in, values_of

TELLS = "import os\n\ndef handler():\n    return dict(os.environ)\n"
BASE = {"LOCAL_RUNTIME_BASE_ENVIRONMENT": "T_*", **values_of(Layer.BASE)}
STATIC = {"PIXELL_SECRETS_PROVIDER": "static", "PIXELL_SECRETS_JSON": json.dumps(values_of(Layer.PROVIDER))}


@dataclass(frozen=True)
class Hands:
    """What the ways to an agent are made of."""

    start_runtime: Any
    packages: Any
    make_folder: Any
    objects: Objects
    tmp_path: Path

    def folder(self) -> Path:
        made: Path = self.make_folder(main=TELLS, env=dotenv_text())
        return made

    async def seen_by_an_agent(self, environ: Mapping[str, str], request: Mapping[str, str]) -> Mapping[str, str]:
        runtime = await self.start_runtime(environ)
        folder = self.folder()
        package = self.packages.put("/p.apkg", write_package(folder, folder.with_suffix(".apkg")).read_bytes())
        await runtime.deploy("d-1", package, environment=request)
        assert (await runtime.settled("d-1"))["healthy"]
        seen: Mapping[str, str] = (await runtime.invoke("d-1"))["response"]
        return seen


@dataclass(frozen=True)
class Stored:
    """Secrets stored for an app, as runtime-notifier is given them."""

    async def values_of(self, _app_id: UUID) -> Mapping[str, SecretStr]:
        return {name: SecretStr(value) for name, value in values_of(Layer.PROVIDER).items()}

    async def every_value_of(self, app_id: UUID) -> Sequence[SecretStr]:
        return tuple((await self.values_of(app_id)).values())


@pytest.fixture
def hands(start_runtime: Any, packages: Any, make_folder: Any, objects: Objects, tmp_path: Path) -> Hands:
    return Hands(start_runtime, packages, make_folder, objects, tmp_path)


async def the_function(_hands: Hands) -> Mapping[str, str]:
    return merge(all_layers())


async def the_server(hands: Hands) -> Mapping[str, str]:
    """packages seals the request's layer, runtime-notifier puts it over the stored one, the runtime over the rest."""
    sealing_key, deployment_id, app_id = secrets.token_bytes(32), uuid4(), uuid4()
    request = values_of(Layer.REQUEST)
    sealer = Sealer(public_key_of(sealing_key), SecretStr(base64.b64encode(sealing_key).decode()))
    described = sealer.described(request, deployment_id, app_id)
    await hands.objects.put_bytes(described.object_key, sealer.seal(request, deployment_id))
    facts = Facts(
        account_id=uuid4(), package_version="1.2.0", sha256="0" * 64, object_key="packages/x", environment=described
    )
    given = await Environments(hands.objects, Stored(), sealing_key).merged(app_id, facts)
    return await hands.seen_by_an_agent(BASE, {name: value.get_secret_value() for name, value in given.items()})


async def the_local_runtime(hands: Hands) -> Mapping[str, str]:
    return await hands.seen_by_an_agent({**BASE, **STATIC}, values_of(Layer.REQUEST))


async def pac_dev_of_its_folder(hands: Hands) -> Mapping[str, str]:
    request = hands.tmp_path / "request.env"
    request.write_text("".join(f"{key}={value}\n" for key, value in values_of(Layer.REQUEST).items()))
    environ = {**STATIC, **values_of(Layer.BASE)}
    async with pac_dev(hands.folder(), "--env", str(request), cache=hands.tmp_path / "cache", **environ) as dev:
        await dev.says("serves")
        seen: Mapping[str, str] = await dev.invoke()
        return seen


@pytest.mark.parametrize("user", [the_function, the_server, the_local_runtime, pac_dev_of_its_folder])
async def test_the_strongest_layer_that_gives_a_variable_wins(
    user: Callable[[Hands], Awaitable[Mapping[str, str]]], hands: Hands
) -> None:
    assert len(CASES) == len({case.key for case in CASES}) == 16
    assert seen_in(await user(hands)) == EXPECTED
