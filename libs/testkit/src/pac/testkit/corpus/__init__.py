"""Hostile and odd packages, each with its verdict. Made when asked for: nothing of it lies in a file."""

from pac.testkit.corpus.bombs import BOMBS
from pac.testkit.corpus.case import Case
from pac.testkit.corpus.containers import CONTAINERS
from pac.testkit.corpus.contents import CONTENTS
from pac.testkit.corpus.envs import ENVS
from pac.testkit.corpus.headers import HEADERS
from pac.testkit.corpus.manifests import MANIFESTS
from pac.testkit.corpus.names import NAMES

__all__ = ["CORPUS", "Case"]

CORPUS: tuple[Case, ...] = (*CONTAINERS, *HEADERS, *CONTENTS, *BOMBS, *NAMES, *MANIFESTS, *ENVS)
