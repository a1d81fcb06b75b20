from pac.servicekit.consuming import Consuming

FIRST, SECOND = ("packages.events", 0), ("billing.events", 3)


def subscribed() -> Consuming:
    return Consuming(subscribed=True)


def test_nothing_known_is_not_caught_up() -> None:
    assert not subscribed().caught_up()


def test_everything_heard_is_caught_up() -> None:
    consuming = subscribed()
    assert consuming.looked({FIRST: 5, SECOND: 0}, {FIRST: 5, SECOND: 0}) == {FIRST: 0, SECOND: 0}
    assert consuming.caught_up()


def test_one_partition_behind_is_not_caught_up() -> None:
    consuming = subscribed()
    assert consuming.looked({FIRST: 5, SECOND: 2}, {FIRST: 5, SECOND: 1}) == {FIRST: 0, SECOND: 1}
    assert not consuming.caught_up()


def test_what_was_said_since_the_last_look_does_not_count() -> None:
    """Under steady traffic there is always something new; what was there at the look before is heard."""
    consuming = subscribed()
    consuming.looked({FIRST: 100}, {FIRST: 90})
    assert not consuming.caught_up()
    consuming.looked({FIRST: 200}, {FIRST: 110})
    assert consuming.caught_up()
    consuming.looked({FIRST: 300}, {FIRST: 199})
    assert not consuming.caught_up()


def test_one_that_has_stopped_is_not_caught_up() -> None:
    consuming = subscribed()
    consuming.looked({FIRST: 5}, {FIRST: 5})
    consuming.stopped()
    assert not consuming.caught_up()
