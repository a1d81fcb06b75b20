"""Small print of Kafka's tools."""

import base64

from pac.cli.local.kafka import new_cluster_id


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    made = [new_cluster_id() for _ in range(500)]
    assert len(set(made)) == 500
    assert all(one[0].isalpha() for one in made)
    assert all(len(base64.urlsafe_b64decode(one + "==")) == 16 for one in made)
