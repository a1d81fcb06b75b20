"""`python -m pac.deployments`"""

from pac.deployments.app import build_service
from pac.deployments.settings import Settings
from pac.servicekit.run import run
from pac.servicekit.settings import load_settings

if __name__ == "__main__":
    run(lambda: build_service(load_settings(Settings)))
