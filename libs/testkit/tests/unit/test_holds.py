"""Results are kept by the line, the newest of a name is shown, and a README that shows others is told."""

from pathlib import Path

import pytest

from pac.testkit.holds import BEGIN, END, KEPT, README, Result, keep, main, newest


def result(name: str, *, held: bool = True, deployments: int = 500) -> Result:
    figures = {"deployments": deployments, "slowest GET": 1.2345}
    return Result(name, "a fault", "a load", "nothing is lost", held, figures, seconds=61.2, seed=7)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / README).write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    return tmp_path


def test_the_newest_result_of_a_name_is_shown(checkout: Path) -> None:
    keep(result("of another suite"), checkout=checkout)
    keep(result("kafka", held=False), checkout=checkout)
    keep(result("kafka", deployments=300), checkout=checkout)
    assert len((checkout / KEPT).read_text().splitlines()) == 3
    assert [(one["name"], one["held"], one["figures"]["deployments"]) for one in newest(checkout)] == [
        ("kafka", True, 300),
        ("of another suite", True, 500),
    ]


def test_the_section_is_written_between_its_markers_and_found_to_be_old(checkout: Path) -> None:
    keep(result("kafka"), checkout=checkout)
    assert main(["--check"], checkout=checkout) == 1
    assert main([], checkout=checkout) == 0
    assert main(["--check"], checkout=checkout) == 0
    page = (checkout / README).read_text()
    assert page.startswith(f"before\n{BEGIN}\n\n| fault | load |")
    assert "| a fault | a load | nothing is lost | yes | deployments 500; slowest GET 1.23 | 61.2 | 7 | " in page
    assert page.endswith(f"|\n\n{END}\nafter\n")


def test_what_does_not_hold_is_not_hidden(checkout: Path) -> None:
    keep(result("kafka", held=False), checkout=checkout)
    main([], checkout=checkout)
    assert "| **no** |" in (checkout / README).read_text()


def test_a_page_without_markers_is_refused(checkout: Path) -> None:
    (checkout / README).write_text("nothing\n")
    with pytest.raises(ValueError, match="no section"):
        main([], checkout=checkout)
