"""The secrets of a new installation: what `pac up` makes for its state folder, for those who keep them elsewhere."""

import secrets

from pac.cli.local.environment import SERVICES, variable
from pac.cli.local.keys import identity_public_key, new_key, sealing_public_key

PASSWORD_BYTES = 24


def new_password() -> str:
    """Hexadecimal digits, so that it may stand in a URL as it is."""
    return secrets.token_hex(PASSWORD_BYTES)


def of_services() -> dict[str, str]:
    """Variable → a new value of each key that services cannot do without; public halves belong to private ones."""
    identity, sealing = new_key(), new_key()
    return {
        "GATEWAY_ADMIN_KEY": new_key(),
        "GATEWAY_KEY_PEPPER": new_key(),
        "GATEWAY_IDENTITY_KEY": identity,
        "GATEWAY_IDENTITY_PUBLIC_KEY": identity_public_key("GATEWAY_IDENTITY_KEY", identity),
        "PACKAGES_SEALING_PUBLIC_KEY": sealing_public_key("RUNTIME_NOTIFIER_SEALING_KEY", sealing),
        "PACKAGES_FINGERPRINT_KEY": new_key(),
        "RUNTIME_NOTIFIER_SEALING_KEY": sealing,
        "RUNTIME_NOTIFIER_KEY_ENCRYPTION_KEY": new_key(),
        "RUNTIME_NOTIFIER_RUNTIME_SECRET": new_password(),
        **{variable(service, "PROOF_KEY"): new_key() for service in SERVICES if service != "gateway"},
    }


def of_servers() -> dict[str, str]:
    """Variable → a new value of each password of the servers that docker-compose.yml starts."""
    return {
        "POSTGRES_PASSWORD": new_password(),
        **{variable(service, "DATABASE_PASSWORD"): new_password() for service in SERVICES},
        "AWS_ACCESS_KEY_ID": "pac",
        "AWS_SECRET_ACCESS_KEY": new_password(),
        "GRAFANA_PASSWORD": new_password(),
    }
