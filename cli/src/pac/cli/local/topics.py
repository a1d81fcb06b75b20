"""Topics of the broker, made as `deploy/topics.toml` says."""

import asyncio
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pac.cli.local.errors import Expected

PATIENCE_SECONDS = 30.0
HOUR_MILLISECONDS = 3_600_000


@dataclass(frozen=True)
class Topic:
    name: str
    partitions: int
    retention_hours: int


@dataclass(frozen=True)
class Outcome:
    """`different`: topics that exist with another number of partitions; they are left as they are."""

    created: tuple[str, ...]
    existing: tuple[str, ...]
    different: tuple[str, ...]


def topics_file(chosen: Path | None = None) -> Path:
    """The file given, or the checkout's, or the one below the working folder."""
    checkout = Path(__file__).resolve().parents[5] / "deploy" / "topics.toml"
    candidates = [chosen] if chosen is not None else [checkout, Path("deploy/topics.toml")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise Expected("the topics file is missing", f"looked for {candidates[0]}", "pac topics apply --file FILE")


def read_topics(path: Path) -> list[Topic]:
    try:
        described = tomllib.loads(path.read_text(encoding="utf-8"))["topics"]
        return [Topic(name, int(one["partitions"]), int(one["retention_hours"])) for name, one in described.items()]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise Expected(f"{path} cannot be read", f"{type(error).__name__}: {error}", f"mend {path}") from None


def security(environment: Mapping[str, str]) -> dict[str, Any]:
    """The client's options for a broker that asks who we are: KAFKA_SECURITY_PROTOCOL and its companions."""
    protocol = environment.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    options: dict[str, Any] = {"security_protocol": protocol}
    if "SASL" in protocol:
        options["sasl_mechanism"] = environment.get("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
        options["sasl_plain_username"] = environment.get("KAFKA_SASL_USERNAME")
        options["sasl_plain_password"] = _secret(environment, "KAFKA_SASL_PASSWORD")
    if "SSL" in protocol.replace("SASL", ""):
        context = ssl.create_default_context(cafile=environment.get("KAFKA_SSL_CA_FILE"))
        if certificate := environment.get("KAFKA_SSL_CERTIFICATE_FILE"):
            context.load_cert_chain(certificate, environment.get("KAFKA_SSL_KEY_FILE"))
        options["ssl_context"] = context
    return options


def _secret(environment: Mapping[str, str], name: str) -> str | None:
    if path := environment.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environment.get(name)


async def apply_topics(
    servers: str, topics: list[Topic], *, replication: int = 1, options: Mapping[str, Any] | None = None
) -> Outcome:
    """Makes the missing ones; waits for a broker that is still starting. Raises Expected when there is none."""
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415 (slow to import)
    from aiokafka.errors import KafkaError  # noqa: PLC0415

    problem = "no answer"
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                client = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=5000, **(options or {}))
                try:
                    await client.start()
                    return await _apply(client, topics, replication)
                except (KafkaError, OSError) as error:
                    problem = f"{type(error).__name__}: {error}"
                finally:
                    await client.close()
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise Expected("topics could not be made", f"{servers}: {problem}", "pac doctor") from None


async def _apply(client: Any, topics: list[Topic], replication: int) -> Outcome:
    from aiokafka.admin import NewTopic  # noqa: PLC0415
    from aiokafka.errors import TopicAlreadyExistsError, for_code  # noqa: PLC0415

    known = set(await client.list_topics())
    missing = [topic for topic in topics if topic.name not in known]
    there = {topic.name: topic for topic in topics if topic.name in known}
    wanted = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=replication,
            topic_configs={"retention.ms": str(topic.retention_hours * HOUR_MILLISECONDS)},
        )
        for topic in missing
    ]
    if wanted:
        answer = await client.create_topics(wanted)
        for name, code, *_ in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(name)
    described = await client.describe_topics(list(there)) if there else []
    different = tuple(
        f"{one['topic']}: has {len(one['partitions'])} partitions, the file says {there[one['topic']].partitions}"
        for one in described
        if len(one["partitions"]) != there[one["topic"]].partitions
    )
    return Outcome(tuple(topic.name for topic in missing), tuple(there), different)
