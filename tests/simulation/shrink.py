"""Makes the story of a violation short: delta debugging over its actions, as `flow_model.py` does."""

from .schedule import Story, replayed
from .stage import Stage
from .world import named

LINES = 60


def shrunk(stage: Stage, story: Story) -> Story:
    """The same violation with as few actions as can be found; the story itself if a replay does not show it."""
    best, _ = replayed(stage, story, story.actions)
    if best.broken != story.broken:
        return story
    size = max(1, len(best.actions) // 2)
    while size:
        at, hit = 0, False
        while at < len(best.actions):
            shorter, _ = replayed(stage, story, [*best.actions[:at], *best.actions[at + size :]])
            if shorter.broken == story.broken and len(shorter.actions) < len(best.actions):
                best, hit = shorter, True
            else:
                at += size
        size = size if hit and size == 1 else size // 2
    return best


def told(stage: Stage, seed: int, story: Story) -> str:
    """What a failing test prints."""
    short = shrunk(stage, story)
    _, trace = replayed(stage, short, short.actions, traced=True)
    head = f"seed {seed}: {named(story.broken or 'no law is broken')}\n  {story.setting}\n"
    return head + "\n".join(f"  {line}" for line in trace[-LINES:])
