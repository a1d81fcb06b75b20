"""Asks a running agent through the local runtime's own contract."""

from dataclasses import dataclass
from typing import Any

from pac.testkit.pac_up import Pac


@dataclass(frozen=True)
class LocalRuntime:
    pac: Pac

    async def invoke(self, deployment: str, context: Any) -> Any:
        """The handler's own answer; the id on the wire begins with the deployment's."""
        url, secret = self.pac.status["runtime_url"], self.pac.status["runtime_secret"]
        listed = await self.pac.call("GET", f"{url}/deployments", secret)
        assert listed.status == 200, listed
        (wire,) = [
            one["id"]
            for one in listed.body["deployments"]
            if one["id"].startswith(deployment) and one["status"] == "healthy"
        ]
        body = {"action": "invoke", "context": context}
        answer = await self.pac.call("POST", f"{url}/deployments/{wire}/invoke", secret, json=body)
        assert answer.status == 200, answer
        assert answer.body["success"], answer
        return answer.body["response"]
