"""How a scenario is run and its table shown, also when it passes: the table is what the bench is for."""

from collections.abc import Awaitable

import pytest

from pac.testkit.chaos import Show


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    async def shown(run: Awaitable[str]) -> None:
        text = await run
        with capsys.disabled():
            print(text)  # noqa: T201 - see above

    return shown
