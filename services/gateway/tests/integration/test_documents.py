"""The API's description is there for everybody, and cheap for whoever has it already."""

import json
from typing import Any

import pytest

from pac.gateway.openapi import content


async def test_the_document_is_served_to_anybody(stage: Any) -> None:
    answer = await stage.gateway.call("GET", "/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(answer.body) == json.loads(content())
    assert answer.headers["Cache-Control"].startswith("public")


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
async def test_whoever_has_it_is_told_so(stage: Any, form: str) -> None:
    etag = (await stage.gateway.call("GET", "/openapi.json")).headers["ETag"]
    again = await stage.gateway.call("GET", "/openapi.json", headers={"If-None-Match": form.format(etag)})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    other = await stage.gateway.call("GET", "/openapi.json", headers={"If-None-Match": '"other"'})
    assert other.status == 200
