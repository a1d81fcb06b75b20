"""`python -m pac.billing`: the process."""

from pac.billing.app import build_service
from pac.billing.settings import Settings
from pac.servicekit.run import run
from pac.servicekit.settings import load_settings


def main() -> None:
    run(lambda: build_service(load_settings(Settings)))


if __name__ == "__main__":
    main()
