import pytest
from hypothesis import given
from hypothesis import strategies as st

from pac.billing.pricing import cost_of
from pac.contracts.base import Source

MIB = 1_048_576


@pytest.mark.parametrize(
    ("size_bytes", "cost"),
    [(0, 1), (1, 1), (MIB - 1, 1), (MIB, 1), (MIB + 1, 2), (10 * MIB, 10), (10 * MIB + 1, 11), (100 * MIB, 100)],
)
def test_one_credit_per_started_mebibyte_and_at_least_one(size_bytes: int, cost: int) -> None:
    assert cost_of(size_bytes, Source.UPLOAD, billable=True) == cost


@pytest.mark.parametrize("source", [Source.UPLOAD, Source.STORED, Source.RETRY])
def test_a_stored_deploy_and_a_retry_cost_as_an_upload(source: Source) -> None:
    assert cost_of(3 * MIB, source, billable=True) == 3


def test_a_rollback_is_free() -> None:
    assert cost_of(3 * MIB, Source.ROLLBACK, billable=True) == 0


def test_what_is_not_billable_is_free() -> None:
    assert cost_of(3 * MIB, Source.UPLOAD, billable=False) == 0


@given(st.integers(1, 2**40))
def test_the_credits_cover_the_bytes_and_not_one_mebibyte_more(size_bytes: int) -> None:
    cost = cost_of(size_bytes, Source.UPLOAD, billable=True)
    assert (cost - 1) * MIB < size_bytes <= cost * MIB
