"""Which command is which function."""

import typer

from pac.cli.commands import (
    account,
    bench,
    deploy,
    dev,
    dlq,
    doctor,
    install,
    log,
    operate,
    package,
    projections,
    releases,
    secrets,
    storage,
    up,
    verify,
)


def build() -> typer.Typer:
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,  # they may hold keys
        help="PAC: a control plane for AI agents.",
    )
    app.command("up")(up.up)
    app.command("up-detached", hidden=True)(up.up_detached)
    app.command("down")(up.down)
    app.command("status")(up.status)
    app.command("doctor")(doctor.doctor)
    app.command("run")(install.run)
    app.add_typer(install.config, name="config")
    app.command("migrate")(operate.migrate)
    app.add_typer(operate.topics, name="topics")
    app.add_typer(install.accounts, name="accounts")
    app.add_typer(account.keys, name="keys")
    app.add_typer(account.credits_, name="credits")
    app.add_typer(secrets.secrets, name="secrets")
    app.add_typer(log.log, name="log")
    app.add_typer(projections.projections, name="projections")
    app.add_typer(dlq.dlq, name="dlq")
    app.command("build")(package.build)
    app.command("check")(package.check)
    app.add_typer(storage.storage, name="storage")
    app.command("dev")(dev.dev)
    app.command("deploy")(deploy.deploy)
    app.command("watch")(deploy.watch)
    app.command("rollback")(releases.rollback)
    app.command("release")(releases.release)
    app.command("stop")(releases.stop)
    app.command("verify")(verify.verify)
    app.command("bench")(bench.bench)
    return app
