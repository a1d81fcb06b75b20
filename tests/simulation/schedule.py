"""Runs from a seed: surroundings, a profile of wishes, one consumer that is slow, and an order for everything else."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from .catalog import Law
from .possible import Action
from .services import Rules, Setting
from .simulation import Simulation
from .stage import Stage
from .world import Violation

STEPS = 500
Profile = dict[str, int]
PROFILES: tuple[Profile, ...] = (
    {"deploy": 2, "stored": 1, "retry": 1, "timeout": 2},
    {"deploy": 3, "cancel": 2, "timeout": 3, "grant": 1, "expire": 1},
    {"deploy": 2, "rollback": 1, "delete": 1},
    {"deploy": 1, "retry": 2, "cancel": 2, "fail": 2, "timeout": 2, "delete": 1},
    {"deploy": 2, "upload": 1, "stored": 2, "delete": 1, "timeout": 2},
    {"deploy": 2, "delete_app": 1, "cancel": 0},
    {"deploy": 3, "stored": 1, "rollback": 2, "cancel": 0, "fail": 0, "timeout": 0, "replay": 0},
    {"deploy": 3, "rollback": 1, "retry": 1, "timeout": 2, "delete": 1, "grant": 1},
    {"deploy": 4, "rollback": 1, "unpin": 1, "stop": 1, "cancel": 0, "fail": 0, "timeout": 0, "replay": 0},
    {"deploy": 3, "stop": 2, "rollback": 1, "timeout": 2, "forget": 1, "at_runtime": 1},
    {"deploy": 2, "forget": 1, "timeout": 2, "fail": 2},
    {"deploy": 2, "fail": 3, "timeout": 3, "wake": 2, "at_runtime": 1, "stubborn": 1},
    {"deploy": 2, "upload": 1, "stored": 2, "poison": 1},
    {"deploy": 2, "cancel": 2, "timeout": 2, "fail": 2, "at_runtime": 1, "crash": 8},
    {"deploy": 2, "cancel": 1, "delete_app": 1, "delete_late": 1, "crash": 4},
    {"upload": 2, "deploy": 3, "stored": 2, "delete": 6, "cancel": 0},
    {"deploy": 3, "timeout": 9, "crash": 4, "fail": 0, "cancel": 0},
    {"deploy": 3, "delete_app": 1, "upload": 1, "rollback": 1, "cancel": 1, "timeout": 1, "at_runtime": 1},
)


@dataclass(frozen=True)
class Story:
    """All that is needed to live it again."""

    rules: Rules
    setting: Setting
    budget: Profile
    actions: Sequence[Action]
    broken: str | None = None
    events: int = 0
    ends: Sequence[str] = ()
    looked: Counter[Law] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)


def run(
    stage: Stage, seed: int, rules: Rules, profiles: Sequence[Profile] = PROFILES, surroundings: Setting | None = None
) -> Story:
    chance = random.Random(seed)  # noqa: S311 - a seed that can be repeated
    budget = chance.choice(profiles)
    drawn = Setting(
        apps=1 if chance.random() < 0.8 else 2,
        accounts=chance.choice((1, 1, 2)),
        sign_up_credits=chance.choice((0, 2, 4, 20, 20, 20, 20)),
        parallel=chance.choice((1, 2)),
        local_runtime=chance.random() < 0.5,
    )
    setting = surroundings or drawn
    simulation = Simulation(stage, rules, setting, budget)
    slow = chance.choice((None, "packages", "deployments", "billing", "runtime-notifier"))
    wishful = chance.choice((0.01, 0.03, 0.1))
    frozen: set[Action] = set()  # what comes very late: one key of a topic at one consumer, one worker, one runtime
    freezing = chance.choice((0.0, 0.01, 0.03))
    broken = None
    try:
        for _ in range(STEPS):
            flowing = simulation.may.flowing() + simulation.may.parked()
            if flowing and chance.random() < freezing:
                frozen.add(chance.choice(flowing)[:4])
            if slow and chance.random() < 0.9:
                flowing = [action for action in flowing if slow not in action[1:2]] or flowing
            flowing = [action for action in flowing if action[:4] not in frozen] or flowing
            wishes = simulation.may.wishes() if not flowing or chance.random() < wishful else []
            if wishes:
                kind = chance.choice(sorted({wish[0] for wish in wishes}))
                wishes = [wish for wish in wishes if wish[0] == kind]
            if not wishes and not flowing:
                break
            simulation.act(chance.choice(wishes or flowing))
        simulation.settle(chance.choice)
    except Violation as violation:
        broken = str(violation)
    hub = simulation.services.hub
    ends = [hub.now(one).status for one in simulation.services.packages.tables.submissions]
    world = simulation.world
    return Story(rules, setting, budget, simulation.done, broken, world.events, ends, world.looked, world.met)


def replayed(stage: Stage, story: Story, actions: Sequence[Action], *, traced: bool = False) -> tuple[Story, list[str]]:
    """What can be done of these actions is done, then everything flows. Gives the trace as well."""
    simulation = Simulation(stage, story.rules, story.setting, story.budget, traced=traced)
    broken, kept = None, 0
    try:
        for action in actions:
            if simulation.may.enabled(action):
                simulation.act(action)
        kept = len(simulation.done)
        simulation.world.tell("» then everything flows")
        simulation.settle()
    except Violation as violation:
        broken = str(violation)
    done = simulation.done[:kept] if kept else simulation.done
    again = Story(story.rules, story.setting, story.budget, done, broken)
    return again, simulation.world.trace or []
