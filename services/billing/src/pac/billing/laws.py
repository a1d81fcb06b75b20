"""The laws of money, checked over everything there is: on a database, set-wise, at one position.

Tests ask after every touch of billing; operators and `verify` may ask at any time: it reads only.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

EXAMPLES_MAX = 5


class LedgerBroken(AssertionError):  # noqa: N818 - an assertion about the world, told as a sentence
    """At least one law of money does not hold; the message names each with up to five examples."""


@dataclass(frozen=True)
class Law:
    """`offenders`, reading what `given` names, selects one text column: a row for everything that breaks the law."""

    sentence: str
    offenders: str
    given: str = ""


# Legs of every ledger entry: (entry, account, book, amount).
_LEGS = """
    WITH legs AS (
        SELECT id, account_id, source AS book, source_amount AS amount FROM state.ledger
        UNION ALL
        SELECT id, account_id, target, target_amount FROM state.ledger
    )
"""
_SUMS = """
    , booked AS (
        SELECT account_id,
               coalesce(sum(amount) FILTER (WHERE book = 'available'), 0) AS available,
               coalesce(sum(amount) FILTER (WHERE book = 'reserved'), 0) AS reserved,
               coalesce(sum(amount) FILTER (WHERE book = 'spent'), 0) AS spent
        FROM legs GROUP BY account_id
    )
"""
# What the log alone says about each account.
_FOLD = """
    WITH said AS (
        SELECT (data->>'account_id')::uuid AS account_id, type, (data->>'amount')::bigint AS amount
        FROM log.events
        WHERE type IN ('CreditsGranted', 'CreditsReserved', 'CreditsCaptured', 'CreditsReleased')
    ),
    folded AS (
        SELECT account_id,
               coalesce(sum(CASE type WHEN 'CreditsGranted' THEN amount WHEN 'CreditsReserved' THEN -amount
                                      WHEN 'CreditsReleased' THEN amount ELSE 0 END), 0) AS available,
               coalesce(sum(CASE type WHEN 'CreditsReserved' THEN amount WHEN 'CreditsCaptured' THEN -amount
                                      WHEN 'CreditsReleased' THEN -amount ELSE 0 END), 0) AS reserved,
               coalesce(sum(CASE type WHEN 'CreditsCaptured' THEN amount ELSE 0 END), 0) AS spent
        FROM said GROUP BY account_id
    )
"""
_DIFFERS = """
    SELECT format('account %s: balance %s/%s/%s, {name} %s/%s/%s', coalesce(b.account_id, f.account_id),
                  b.available, b.reserved, b.spent, f.available, f.reserved, f.spent)
    FROM state.balances b FULL JOIN {fold} f ON f.account_id = b.account_id
    WHERE (coalesce(b.available, 0), coalesce(b.reserved, 0), coalesce(b.spent, 0))
          IS DISTINCT FROM (coalesce(f.available, 0), coalesce(f.reserved, 0), coalesce(f.spent, 0))
"""

LAWS = (
    Law(
        "the whole ledger sums to zero",
        "SELECT format('all legs: %s', sum(amount)) FROM legs HAVING coalesce(sum(amount), 0) <> 0",
        given=_LEGS,
    ),
    Law(
        "every entry sums to zero",
        "SELECT format('entry %s', id) FROM legs GROUP BY id HAVING sum(amount) <> 0 OR count(*) <> 2",
        given=_LEGS,
    ),
    Law(
        "nothing is below zero",
        "SELECT format('account %s', account_id) FROM state.balances WHERE least(available, reserved, spent) < 0",
    ),
    Law(
        "a hold begins once and has at most one end",
        """
        SELECT stream FROM log.events WHERE stream LIKE 'hold-%' GROUP BY stream
        HAVING count(*) FILTER (WHERE type IN ('CreditsReserved', 'CreditsRefused')) <> 1
            OR count(*) FILTER (WHERE type IN ('CreditsCaptured', 'CreditsReleased')) > 1
            OR (bool_or(type = 'CreditsRefused') AND bool_or(type IN ('CreditsCaptured', 'CreditsReleased')))
        """,
    ),
    Law(
        "an end is of the whole hold",
        """
        SELECT a.stream FROM log.events a JOIN log.events z ON z.stream = a.stream
        WHERE a.type = 'CreditsReserved' AND z.type IN ('CreditsCaptured', 'CreditsReleased')
          AND a.data->>'amount' <> z.data->>'amount'
        """,
    ),
    Law(
        "a balance is the sum of its ledger",
        _DIFFERS.format(name="ledger", fold="booked"),
        given=_LEGS + _SUMS,
    ),
    Law(
        "a balance is the fold of the log",
        _DIFFERS.format(name="log", fold="folded"),
        given=_FOLD,
    ),
    Law(
        "the running balance of the ledger never skips",
        """
        SELECT format('entry %s', id) FROM (
            SELECT id, balance, sum(amount) OVER (PARTITION BY account_id ORDER BY number) AS running FROM state.ledger
        ) entries WHERE balance <> running
        """,
    ),
)


async def broken_laws(connection: AsyncConnection) -> list[str]:
    """A sentence for every law that does not hold; empty when all is well. One snapshot if the caller opened one."""
    found = []
    for law in LAWS:
        result = await connection.execute(text(law.given + law.offenders))
        if offenders := [str(row[0]) for row in result.fetchmany(EXAMPLES_MAX)]:
            found.append(f"{law.sentence}: " + "; ".join(offenders))
    return found


async def check_ledger(connection: AsyncConnection) -> None:
    """Raises LedgerBroken unless every law of money holds in this database."""
    if found := await broken_laws(connection):
        raise LedgerBroken("\n".join(found))
