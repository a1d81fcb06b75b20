"""`pac storage create-bucket` on a real store."""

from uuid import uuid4

from pac.servicekit.objects import ObjectsSettings
from pac.testkit.pac_up import Finished, command


async def create_bucket(settings: ObjectsSettings, bucket: str, **changes: str) -> Finished:
    environment = {
        "S3_ENDPOINT_URL": settings.endpoint_url,
        "S3_BUCKET": bucket,
        "AWS_ACCESS_KEY_ID": settings.access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.secret_access_key.get_secret_value(),
        "AWS_REGION": settings.region,
    }
    return await command("storage", "create-bucket", environment=environment | changes)


async def test_a_bucket_is_made_and_then_found(objects_settings: ObjectsSettings) -> None:
    bucket = f"made-{uuid4()}"
    for word in ("created", "found"):
        said = await create_bucket(objects_settings, bucket)
        assert (said.code, said.out.split()) == (0, [word, bucket]), said


async def test_a_wrong_key_gets_advice_and_no_traceback(objects_settings: ObjectsSettings) -> None:
    said = await create_bucket(objects_settings, f"made-{uuid4()}", AWS_SECRET_ACCESS_KEY="another-secret")
    assert said.code == 1, said
    assert "the bucket could not be made" in said.err
    assert "Traceback" not in said.err
    assert "another-secret" not in said.err
