"""The API's description and its page are there for everybody, need no other host, and cost little the second time."""

import gzip
import hashlib
import json
import re
from typing import Any

import pytest

from pac.gateway.documents import HERE, PAGES, POLICY
from pac.gateway.openapi import content


async def test_the_document_is_served_to_anybody(stage: Any) -> None:
    answer = await stage.gateway.call("GET", "/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(answer.body) == json.loads(content())
    assert answer.headers["Cache-Control"].startswith("public")


@pytest.mark.parametrize("path", ["/openapi.json", *PAGES])
@pytest.mark.parametrize("form", ["{}", '"other", {}', "*"])
async def test_whoever_has_it_is_told_so(stage: Any, path: str, form: str) -> None:
    etag = (await stage.gateway.call("GET", path)).headers["ETag"]
    again = await stage.gateway.call("GET", path, headers={"If-None-Match": form.format(etag)})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    other = await stage.gateway.call("GET", path, headers={"If-None-Match": '"other"'})
    assert other.status == 200


async def test_it_is_packed_for_whoever_can_unpack(stage: Any) -> None:
    plain = await stage.gateway.call("GET", "/docs/swagger-ui-bundle.js", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    async with stage.gateway.http.get(
        f"{stage.gateway.url}/docs/swagger-ui-bundle.js", headers={"Accept-Encoding": "gzip"}, auto_decompress=False
    ) as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(await packed.read()) == plain.body


async def test_the_page_may_reach_nobody_but_the_gateway(stage: Any) -> None:
    for path, (_, media_type) in PAGES.items():
        answer = await stage.gateway.call("GET", path)
        assert answer.headers["Content-Type"] == media_type
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "unsafe" not in POLICY
    page = (await stage.gateway.call("GET", "/docs")).body.decode()
    parts = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {f"/{part}" for part in parts if part.startswith("docs/")} == set(PAGES) - {"/docs"}
    assert not [part for part in parts if "//" in part]
    assert not re.search(r"<script>|<style|\son\w+=", page), "the policy would refuse it"


def test_the_explorer_is_the_package_that_its_readme_names() -> None:
    sums = dict(re.findall(r"\| `([\w.-]+)` \| `([0-9a-f]{64})` \|", (HERE / "explorer" / "README.md").read_text()))
    assert set(sums) == {"swagger-ui-bundle.js", "swagger-ui.css"}
    for name, wanted in sums.items():
        assert hashlib.sha256((HERE / "explorer" / name).read_bytes()).hexdigest() == wanted
