"""`python -m pac.packages`."""

from pac.packages.app import build_service
from pac.packages.settings import Settings
from pac.servicekit.objects import ObjectsSettings
from pac.servicekit.run import run
from pac.servicekit.settings import load_settings

if __name__ == "__main__":
    run(lambda: build_service(load_settings(Settings), load_settings(ObjectsSettings)))
