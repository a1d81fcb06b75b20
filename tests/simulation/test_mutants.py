"""Each rule marked ▸ in `flow.md`, taken out, breaks a law within some seeds: so the laws do look where the rule works.

Most mutants replace a function of the services. These rules live in SQL, in a library or in a route that is not built,
so that the simulation says them itself, and their mutant drops what is said here: `early_no_limit` (parking of eventlog
and servicekit), `slot_at_abort`, `overtaken` and half of `release_number` (SQL of deployments and packages),
`submission_stream` (the name of a stream is the category of a decider), `keep_bytes` (nothing deletes bytes yet),
`rollback_waits` (no route yet).
"""

import pytest

from .catalog import Law
from .faults import FAULTS
from .mutants import MUTANTS, Mutant
from .schedule import replayed, run
from .shrink import shrunk, told
from .stage import opened

SEEDS = 600  # most break within thirty, all within a hundred
ALL = (*MUTANTS, *FAULTS)
RULES = {
    "undo_whenever",
    "answer_per_attempt",
    "submission_stream",
    "settle_packages",
    "release_number",
    "refused_ends_abort",
    "capture_any_attempt",
    "slot_at_abort",
    "overtaken",
    "should_run",
    "app_deleted",
    "rollback_waits",
    "overwrite_at_end",
    "last_user_frees",
    "keep_bytes",
    "early_no_limit",
}


def test_every_rule_has_a_mutant() -> None:
    assert {mutant.rule.partition(":")[0] for mutant in MUTANTS} == RULES


def test_every_law_is_broken_by_somebody() -> None:
    assert {law for mutant in ALL for law in mutant.laws} == set(Law)


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.rule.replace(" ", "-"))
def test_without_the_rule_its_laws_break(mutant: Mutant) -> None:
    unseen = set(mutant.laws)
    with opened(mutant.replaced) as stage:
        for seed in range(SEEDS):
            broken = run(stage, seed, mutant.rules, mutant.profiles, mutant.setting).broken or ""
            unseen -= {law for law in unseen if broken.startswith(law)}
            if not unseen:
                return
    pytest.fail(f"without {mutant.rule}, unbroken in {SEEDS} seeds: {', '.join(sorted(unseen))}")


def test_the_story_of_a_violation_is_made_short_and_told() -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.rule == "refused_ends_abort")
    with opened(mutant.replaced) as stage:
        stories = ((seed, run(stage, seed, mutant.rules, mutant.profiles, mutant.setting)) for seed in range(SEEDS))
        seed, story = next((seed, story) for seed, story in stories if story.broken)
        short = shrunk(stage, story)
        again, _ = replayed(stage, short, short.actions)
        assert again.broken == story.broken
        assert len(short.actions) < len(story.actions) / 2
        text = told(stage, seed, story)
    assert f"seed {seed}: never ends: aborting" in text
    assert "» cancel d1" in text
    assert "DeploymentCancelled" not in text
