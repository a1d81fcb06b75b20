import threading

from pac.servicekit.telemetry import done_within


def test_what_does_not_end_is_not_waited_for() -> None:
    ended = threading.Event()
    assert not done_within(0.05, ended.wait)
    ended.set()
    assert done_within(30.0, ended.wait)
