"""Every block of README.md and docs/ that a program can read: run, or looked at as far as it can be."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from pac.testkit.cli_reference import commands
from pac.testkit.snippets import CHECKOUT, PAGES, Snippet, pages, snippets_of

SNIPPETS = [snippet for page in pages() for snippet in snippets_of(page)]
SHELL = [one for one in SNIPPETS if one.language in ("bash", "console")]
RUN_BY = {
    "docs/how-to/back-up-and-restore.md": "tests/docs/test_restore.py",
    "docs/tutorial/1-first-deployment.md": "tests/e2e/test_tutorial.py",
    "docs/tutorial/2-release-and-rollback.md": "tests/e2e/test_tutorial.py",
}
# Page → why its blocks are looked at, and not run.
NOT_RUN = {
    "README.md": "make's own targets, and calls with a reader's own names in capitals; the tutorial makes them",
    "docs/how-to/build-and-check-a-package.md": "the tutorial makes the same calls",
    "docs/how-to/compose.md": "needs Docker; tests/deploy looks at the file",
    "docs/how-to/develop-an-agent.md": "pac dev runs until it is stopped; cli/tests drives it",
    "docs/how-to/kubernetes.md": "needs a cluster; tests/deploy renders the chart",
    "docs/how-to/look-after-storage.md": "only looks; what it finds is tested by cli/tests",
    "docs/how-to/observe.md": "a stack in the foreground; tests/e2e writes traces of every run",
    "docs/how-to/runtimes.md": "needs two runtimes; tests of gateway and runtime-notifier have them",
    "docs/how-to/secrets.md": "names in capitals stand for a reader's own; tests/e2e/test_secrets.py makes the calls",
    "docs/how-to/sign-a-package.md": "needs gpg and sq; tests/e2e/test_signing.py makes the calls",
    "docs/how-to/webhooks.md": "needs a receiver; tests/e2e/test_webhooks.py has one",
    "docs/reference/environment.md": "needs Amazon's Secrets Manager; libs/agentkit/tests has a stand-in",
    **{
        str(
            page.relative_to(CHECKOUT)
        ): "for a PAC that has the fault; its commands are looked up, here and in tests/deploy"
        for page in (PAGES / "runbooks").glob("Pac*.md")
    },
}
NOT_JSON = {"docs/reference/errors.md": "the second example ends with … for what the first one shows"}
COMMANDS = dict(commands())
_END = re.compile(r"[;&|<>()]+")


def named(snippet: Snippet) -> str:
    return str(snippet.page.relative_to(CHECKOUT))


def test_each_shell_block_is_run_or_named_with_a_reason() -> None:
    there = {named(one) for one in SHELL}
    assert there <= RUN_BY.keys() | NOT_RUN.keys(), there - RUN_BY.keys() - NOT_RUN.keys()
    for page, test in RUN_BY.items():
        assert (CHECKOUT / test).is_file(), f"{page}: {test}"
    for page in sorted(there & NOT_RUN.keys()):
        print(f"not run: {page}: {NOT_RUN[page]}")  # noqa: T201 (a reader of the test's output is told)


def calls(snippet: Snippet) -> Iterator[list[str]]:
    """Each call of `pac`, in words, without redirections and what comes after a pipe."""
    text = re.sub(r"<<'END'\n.*?^END$", "", snippet.text, flags=re.MULTILINE | re.DOTALL).replace("\\\n", " ")
    for line in text.splitlines():
        words = shlex.shlex(
            line.removeprefix("$ ").replace("$(", " ; ").replace("…", "x"), posix=True, punctuation_chars=True
        )
        words.commenters, words.whitespace_split = "#", True
        call: list[str] = []
        for word in [*words, ";"]:
            if not _END.fullmatch(word):
                call.append(word)
                continue
            while call and ("=" in call[0] or call[0] == "do"):
                call = call[1:]
            if call[:1] == ["pac"]:
                yield call
            call = []


def parsed(call: list[str]) -> str | None:
    """What is wrong with a call of `pac`, else None."""
    for length in (3, 2):
        if (command := COMMANDS.get(" ".join(call[:length]))) is not None:
            return _faults(command, call[length:])
    return "there is no such command"


def _faults(command: Any, words: list[str]) -> str | None:
    given = [one for one in command.params if one.param_type_name == "argument"]
    options = {name: one for one in command.params if one not in given for name in (*one.opts, *one.secondary_opts)}
    free, left = 0, iter(words)
    for word in left:
        name, _, value = word.partition("=")
        if not word.startswith("-"):
            free += 1
        elif name not in options:
            return f"there is no option {name}"
        elif not options[name].is_flag and not value and next(left, None) is None:
            return f"{name} needs a value"
    least = sum(one.required for one in given)
    most = 99 if any(one.nargs == -1 for one in given) else len(given)
    return None if least <= free <= most else f"{free} words, where {least} to {most} are needed"


@pytest.mark.parametrize("snippet", SHELL, ids=str)
def test_each_call_of_pac_is_one_that_the_command_knows(snippet: Snippet) -> None:
    wrong = {" ".join(call): fault for call in calls(snippet) if (fault := parsed(call)) is not None}
    assert not wrong, wrong


def test_calls_are_found_and_a_renamed_option_is_seen() -> None:
    assert sum(len(list(calls(one))) for one in SHELL) >= 30
    assert parsed(["pac", "log", "verify"]) is None
    assert parsed(["pac", "log", "verify", "--deep"]) is not None
    assert parsed(["pac", "log", "prove"]) is not None
    assert parsed(["pac", "down", "now"]) is not None


@pytest.mark.parametrize("snippet", [one for one in SNIPPETS if one.language == "json"], ids=str)
def test_json_is_json(snippet: Snippet) -> None:
    try:
        json.loads(snippet.text)
    except ValueError:
        assert named(snippet) in NOT_JSON, snippet


@pytest.mark.parametrize("snippet", [one for one in SNIPPETS if one.language == "python"], ids=str)
def test_python_compiles(snippet: Snippet) -> None:
    ast.parse(snippet.text, filename=str(snippet))


def test_links_lead_to_files() -> None:
    link = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
    broken = {
        f"{page.relative_to(CHECKOUT)}: {target}"
        for page in pages()
        for target in link.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    }
    assert not broken


def test_the_index_names_every_page() -> None:
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    parts = ("tutorial", "how-to", "reference", "explanation")
    missing = [str(page.relative_to(PAGES)) for part in parts for page in (PAGES / part).glob("*.md")]
    assert not [page for page in missing if f"({page})" not in index]
