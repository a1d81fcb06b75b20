"""What each service finds in its environment: values made by `pac up`, under those its own environment sets."""

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pac.agentkit.providers import PROVIDER
from pac.cli.local.errors import Expected
from pac.cli.local.keys import identity_public_key, new_key, sealing_public_key
from pac.cli.local.probes import HOST
from pac.cli.local.s3 import S3Settings

SERVICES = ("gateway", "packages", "deployments", "billing", "runtime-notifier")
RUNTIME = "runtime"
SIGNUP_CREDITS = "1000"
DEFAULT_GATEWAY_PORT = 4000
LOOPBACK = "127.0.0.0/8,::1/128"  # a receiver of webhooks that is being developed runs beside
POOL_SIZE = 10
POOLED_CONNECTIONS = 30  # of one service, all its processes together; the server takes 200, and others ask it too

# What the local runtime gets of our environment. It starts code of others: nothing else may come near it. The names of
# the second line are for installing an agent's requirements; the runtime does not hand them on to agents.
RUNTIME_NAMES = ("LOCAL_RUNTIME_*", "PIXELL_*", "PAC_LOG_*", "PATH", "HOME", "LANG", "TZ", "TMPDIR", "PYTHON*")
INSTALL_NAMES = ("UV_*", "PIP_*", "*_PROXY", "*_proxy", "SSL_CERT_*", "REQUESTS_CA_BUNDLE")
# Names that would make the S3 client talk to somebody else, or as somebody else, than the local server.
AWS_NAMES = ("AWS_*",)
S3_NAMES = ("S3_ENDPOINT_URL", *AWS_NAMES)


def variable(service: str, thing: str) -> str:
    """`runtime-notifier`, `PORT` → `RUNTIME_NOTIFIER_PORT`."""
    return f"{service.replace('-', '_').upper()}_{thing}"


def process_of(service: str, number: int) -> str:
    """`packages`, and for further replicas `packages-2`, …"""
    return service if number == 1 else f"{service}-{number}"


def database_of(service: str) -> str:
    return service.replace("-", "_")


@dataclass(frozen=True)
class Own:
    """Our own environment: what a user set on the command line of `pac up`."""

    values: Mapping[str, str] = field(repr=False)

    def get(self, name: str) -> str | None:
        """A setting, also by `<NAME>_FILE`; an empty one counts as not set."""
        if value := self.values.get(name):
            return value
        if not (path := self.values.get(f"{name}_FILE")):
            return None
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Expected(
                f"{name}_FILE cannot be read", f"{path}: {error.strerror}", f"unset {name}_FILE, or mend the file"
            ) from None

    def sets(self, name: str) -> bool:
        return bool(self.values.get(name) or self.values.get(f"{name}_FILE"))

    def over(self, generated: Mapping[str, str]) -> dict[str, str]:
        """Generated values, and ours over them. A generated one never stands beside our `<NAME>_FILE`."""
        return {**{name: value for name, value in generated.items() if not self.sets(name)}, **self.values}

    def only(self, names: tuple[str, ...]) -> "Own":
        return Own({name: value for name, value in self.values.items() if matches(name, names)})

    def without(self, names: tuple[str, ...]) -> "Own":
        return Own({name: value for name, value in self.values.items() if not matches(name, names)})


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True)
class Ports:
    """A public and an admin port for each process of a service; the runtime has one. All gateways share theirs."""

    public: Mapping[str, int]
    admin: Mapping[str, int]
    replicas: int = 1

    @classmethod
    def choose(cls, own: Own, free: Callable[[str], int], replicas: int = 1) -> "Ports":
        """A setting names the port of a service's first process; those of the others are looked for."""

        def port(service: str, thing: str) -> int:
            name = "LOCAL_RUNTIME_PORT" if service == RUNTIME else variable(service, thing)
            text = own.get(name)
            if text is None:
                is_gateway = (service, thing) == ("gateway", "PORT")
                return DEFAULT_GATEWAY_PORT if is_gateway else free(f"{service}-{thing.lower()}")
            if not text.isdecimal() or not 0 < int(text) < 1 << 16:
                raise Expected(f"{name} is not a port", "it must be a number from 1 to 65535", f"unset {name}")
            return int(text)

        public = {service: port(service, "PORT") for service in (*SERVICES, RUNTIME)}
        admin = {service: port(service, "ADMIN_PORT") for service in SERVICES}
        for number in range(2, replicas + 1):
            for service in SERVICES:
                name = process_of(service, number)
                public[name] = public[service] if service == "gateway" else free(f"{name}-port")
                admin[name] = free(f"{name}-admin_port")
        return cls(public, admin, replicas)

    def of(self, service: str) -> list[int]:
        """The public ports of all its processes."""
        return [self.public[process_of(service, number)] for number in range(1, self.replicas + 1)]

    def chosen(self, own: Own) -> dict[str, int]:
        """The ports that we did not look for ourselves, by the name of their setting: somebody may have taken them."""
        named = {variable(service, "PORT"): self.public[service] for service in SERVICES}
        named |= {variable(service, "ADMIN_PORT"): self.admin[service] for service in SERVICES}
        named["LOCAL_RUNTIME_PORT"] = self.public[RUNTIME]
        return {name: port for name, port in named.items() if name == "GATEWAY_PORT" or own.sets(name)}


@dataclass(frozen=True)
class Wiring:
    """All that the environments of the services are made from."""

    own: Own
    ports: Ports
    database_urls: Mapping[str, str] = field(repr=False)
    kafka_servers: str
    s3: S3Settings
    runtime_folder: Path
    secret: Callable[[str, Callable[[], str]], str] = field(repr=False)

    def value(self, name: str, make: Callable[[], str] = new_key) -> str:
        """A secret as the services see it: ours if set, else generated once."""
        return self.own.get(name) or self.secret(name, make)

    @property
    def gateway_url(self) -> str:
        return self._url("gateway")

    @property
    def runtime_url(self) -> str:
        return self._url(RUNTIME)

    def _url(self, service: str) -> str:
        return f"http://{HOST}:{self.ports.public[service]}"

    def _urls(self, service: str) -> str:
        return ",".join(f"http://{HOST}:{port}" for port in self.ports.of(service))

    def of_service(self, service: str, number: int = 1) -> dict[str, str]:
        """Of the service's process of that number."""
        generated = {**self._common(service), **self._special(service)}
        own = self.own if self.own.sets("S3_ENDPOINT_URL") else self.own.without(S3_NAMES)
        process = process_of(service, number)
        ports = {  # after ours, which name those of the first process
            variable(service, "PORT"): str(self.ports.public[process]),
            variable(service, "ADMIN_PORT"): str(self.ports.admin[process]),
        }
        return own.over(generated) | ports

    def of_runtime(self) -> dict[str, str]:
        inherited = tuple(name.strip() for name in self.own.values.get("LOCAL_RUNTIME_BASE_ENVIRONMENT", "").split(","))
        # The secrets provider asks AWS as whoever started us; agents get none of these, the runtime sees to that.
        provider = AWS_NAMES if self.own.values.get(PROVIDER, "").strip().lower() == "aws" else ()
        own = self.own.only((*RUNTIME_NAMES, *INSTALL_NAMES, *provider, *(name for name in inherited if name)))
        origins = {self.s3.endpoint, self.own.get("S3_ENDPOINT_URL"), self.own.get("S3_PUBLIC_ENDPOINT_URL")}
        return own.over(
            {
                "LOCAL_RUNTIME_HOST": HOST,
                "LOCAL_RUNTIME_PORT": str(self.ports.public[RUNTIME]),
                "LOCAL_RUNTIME_SECRET": self.runtime_secret,
                "LOCAL_RUNTIME_STATE_DIR": str(self.runtime_folder),
                "LOCAL_RUNTIME_PACKAGE_ORIGINS": ",".join(sorted(origin for origin in origins if origin)),
            }
        )

    @property
    def runtime_secret(self) -> str:
        return self.own.get("RUNTIME_NOTIFIER_RUNTIME_SECRET") or self.value("LOCAL_RUNTIME_SECRET")

    def _common(self, service: str) -> dict[str, str]:
        identity, proof = "GATEWAY_IDENTITY_KEY", variable(service, "PROOF_KEY")
        return {
            **({} if service == "gateway" else {proof: self.value(proof)}),
            "KAFKA_SERVERS": self.kafka_servers,
            "GATEWAY_PUBLIC_URL": f"http://localhost:{self.ports.public['gateway']}",
            "GATEWAY_IDENTITY_PUBLIC_KEY": identity_public_key(identity, self.value(identity)),
            variable(service, "DATABASE_URL"): self.database_urls[service],
            variable(service, "HOST"): HOST,
            variable(service, "POOL_SIZE"): str(min(POOL_SIZE, POOLED_CONNECTIONS // self.ports.replicas)),
        }

    def _special(self, service: str) -> dict[str, str]:
        objects = {
            "S3_ENDPOINT_URL": self.s3.endpoint,
            "S3_BUCKET": self.s3.bucket,
            "AWS_ACCESS_KEY_ID": self.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3.secret_key,
            "AWS_REGION": self.s3.region,
        }
        sealing = "RUNTIME_NOTIFIER_SEALING_KEY"
        match service:
            case "gateway":
                neighbours = {variable("gateway", variable(name, "URL")): self._urls(name) for name in SERVICES[1:]}
                return {
                    **neighbours,
                    "GATEWAY_REUSE_PORT": str(self.ports.replicas > 1).lower(),
                    "GATEWAY_ADMIN_KEY": self.value("GATEWAY_ADMIN_KEY"),
                    "GATEWAY_KEY_PEPPER": self.value("GATEWAY_KEY_PEPPER"),
                    "GATEWAY_IDENTITY_KEY": self.value("GATEWAY_IDENTITY_KEY"),
                }
            case "packages":
                return {
                    **objects,
                    "PACKAGES_SEALING_PUBLIC_KEY": sealing_public_key(sealing, self.value(sealing)),
                    "PACKAGES_FINGERPRINT_KEY": self.value("PACKAGES_FINGERPRINT_KEY"),
                }
            case "billing":
                return {"BILLING_SIGNUP_CREDITS": SIGNUP_CREDITS}
            case "runtime-notifier":
                return {
                    **objects,
                    "RUNTIME_NOTIFIER_RUNTIME_URL": self.runtime_url,
                    "RUNTIME_NOTIFIER_RUNTIME_SECRET": self.runtime_secret,
                    "RUNTIME_NOTIFIER_RUNTIME_ACCEPTS_ENVIRONMENT": "true",
                    sealing: self.value(sealing),
                    "RUNTIME_NOTIFIER_KEY_ENCRYPTION_KEY": self.value("RUNTIME_NOTIFIER_KEY_ENCRYPTION_KEY"),
                    "RUNTIME_NOTIFIER_WEBHOOK_ALLOWED_NETWORKS": LOOPBACK,
                }
            case _:
                return {}
