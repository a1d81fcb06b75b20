from pac.servicekit.objects import place_of


def test_a_bucket_names_its_region_but_where_none_may_be_named() -> None:
    assert place_of("us-east-1") == {}
    assert place_of("eu-central-1") == {"CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}
