from datetime import UTC, datetime
from uuid import UUID

from pac.contracts.packages import SigningKeysChanged
from pac.packages.domain.signers import SIGNERS, ReplaceSigners
from pac.testkit.given import given

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ACCOUNT, APP = UUID(int=1), UUID(int=2)
ONE, TWO = "a" * 40, "b" * 40


def replaced_by(*fingerprints: str) -> ReplaceSigners:
    return ReplaceSigners(APP, ACCOUNT, frozenset(fingerprints), NOON)


def changed_to(*fingerprints: str) -> SigningKeysChanged:
    return SigningKeysChanged(account_id=ACCOUNT, at=NOON, agent_app_id=APP, fingerprints=fingerprints)


def test_the_keys_that_may_sign_are_said_in_order() -> None:
    given(SIGNERS).when(replaced_by(TWO, ONE)).then(changed_to(ONE, TWO))
    given(SIGNERS, changed_to(ONE, TWO)).when(replaced_by(TWO)).then(changed_to(TWO))
    given(SIGNERS, changed_to(TWO)).when(replaced_by()).then(changed_to())


def test_the_same_keys_again_are_no_news() -> None:
    given(SIGNERS).when(replaced_by()).then()
    given(SIGNERS, changed_to(ONE, TWO)).when(replaced_by(TWO, ONE)).then()
