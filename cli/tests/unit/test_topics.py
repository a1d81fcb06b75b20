"""The topics file and the topics of the code are the same."""

from pathlib import Path

import pytest

from pac.cli.local.errors import Expected
from pac.cli.local.topics import read_topics, security, topics_file
from pac.contracts.topics import ServiceName


def test_every_service_has_its_topic_and_its_dead_letters() -> None:
    partitions = {topic.name: topic.partitions for topic in read_topics(topics_file())}
    assert partitions == {
        **{service.topic: 6 for service in ServiceName},
        **{service.dead_letters: 1 for service in ServiceName},
    }


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(Expected, match="topics file is missing"):
        topics_file(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text('[topics."a.events"]\npartitions = 6\n')
    with pytest.raises(Expected, match="retention_hours"):
        read_topics(broken)


def test_a_broker_that_asks_who_we_are_is_told(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    asked = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "pac"}
    assert security({**asked, "KAFKA_SASL_PASSWORD_FILE": str(file)}) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "pac",
        "sasl_plain_password": "s3cret",
    }
    assert "ssl_context" in security({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})
    assert "ssl_context" in security({"KAFKA_SECURITY_PROTOCOL": "SSL"})
