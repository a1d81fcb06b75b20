"""`python -m pac.runtime_notifier`: the process."""

from pac.runtime_notifier.app import build_service
from pac.runtime_notifier.settings import Settings
from pac.servicekit.objects import ObjectsSettings
from pac.servicekit.run import run
from pac.servicekit.settings import load_settings


def main() -> None:
    run(lambda: build_service(load_settings(Settings), load_settings(ObjectsSettings)))


if __name__ == "__main__":
    main()
