"""The first account of a fresh stack, with an app and an API key; made once per state folder."""

import asyncio
from dataclasses import asdict, dataclass, field

from pac.cli.local.gateway import Denied, Gateway
from pac.cli.local.state import StateFolder

FILE = "account.json"
CREDITS_SECONDS = 10.0


@dataclass(frozen=True)
class LocalAccount:
    account_id: str
    app_id: str
    api_key: str = field(repr=False)


async def ensure_account(state: StateFolder, url: str, admin_key: str) -> LocalAccount:
    """The account on file if the gateway still knows it, else a new one."""
    if kept := state.read(FILE):
        account = LocalAccount(**kept)
        if await _is_known(url, account):
            return account
    async with Gateway(url, admin_key) as gateway:
        made = await gateway.call("POST", "/api/admin/accounts", body={"name": "local"})
        account_id = str(made["account"]["id"])
        named = await gateway.call("POST", f"/api/admin/accounts/{account_id}/api-keys", body={"name": "pac up"})
        key = str(named["api_key"]["key"])
    async with Gateway(url, key) as gateway:
        app = await gateway.call("POST", "/api/agent-apps", body={"name": "local-app"})
        account = LocalAccount(account_id, str(app["agent_app"]["id"]), key)
        await _credits_opened(gateway)
    state.write(FILE, asdict(account))
    return account


async def _is_known(url: str, account: LocalAccount) -> bool:
    async with Gateway(url, account.api_key) as gateway:
        try:
            await gateway.call("GET", f"/api/agent-apps/{account.app_id}")
        except Denied as denied:
            if denied.status in {401, 404}:
                return False
            raise
    return True


async def _credits_opened(gateway: Gateway) -> None:
    """Billing hears of a new account a moment later; a deployment before that would find no credits.

    Waited for a while only: the account is good without it.
    """
    try:
        async with asyncio.timeout(CREDITS_SECONDS):
            while True:
                try:
                    if (await gateway.call("GET", "/api/credits")).get("available"):
                        return
                except Denied as denied:
                    if denied.status != 404:  # noqa: PLR2004
                        raise
                await asyncio.sleep(0.05)
    except TimeoutError:
        return
