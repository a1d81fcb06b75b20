"""Real PostgreSQL, Kafka and S3: they work, survive kill -9, and leave nothing."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from psycopg.errors import OperationalError

from pac.cli.local import Expected, LocalStack, cache_folder
from pac.cli.local.ports import holder_of, is_free
from pac.cli.local.records import Records, until
from pac.cli.local.topics import Topic, apply_topics
from pac.cli.local.users import everybody_reaches, reachable_copy

HERE = Path(__file__).parent
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


def all_of(folder: Path) -> list[psutil.Process]:
    """Every process of a stack, with all below it."""
    found = [psutil.Process(record.pid) for record in Records(folder / "processes.json").read()]
    return [*found, *(child for process in found for child in process.children(recursive=True))]


def is_over(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    async with LocalStack(tmp_path_factory.mktemp("stack") / "state") as stack:
        yield stack


async def test_postgres_starts_over_the_empty_lock_file_that_a_kill_at_its_start_leaves(tmp_path: Path) -> None:
    async with LocalStack(tmp_path / "state", kafka=False, s3=False) as stack:
        [postgres] = [one for one in stack.supervisor.status() if one.name == "postgres"]
        assert postgres.ready
    lock = tmp_path / "state" / "postgres" / "postmaster.pid"
    assert not lock.exists()
    lock.touch(0o600)
    async with LocalStack(tmp_path / "state", kafka=False, s3=False) as stack:
        await stack.supervisor.wait_ready("postgres", timeout_seconds=20)
        assert lock.stat().st_size > 0


async def test_a_database_belongs_to_its_role_which_may_not_wait_for_ever(stack: LocalStack) -> None:
    database = await stack.create_database("orders-2")
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
        await connection.execute("CREATE TABLE a (n int)")
        rows = await (await connection.execute("SHOW transaction_timeout")).fetchone()
        assert rows == ("10s",)
        rows = await (await connection.execute("SHOW idle_in_transaction_session_timeout")).fetchone()
        assert rows == ("5s",)
        assert await (await connection.execute("SHOW fsync")).fetchone() == ("on",)
        assert await (await connection.execute("SELECT version() LIKE 'PostgreSQL 18%'")).fetchone() == (True,)
    again = await stack.create_database("orders-2")  # safe to repeat; the password is the newest
    with pytest.raises(OperationalError):
        await psycopg.AsyncConnection.connect(database.url)
    await (await psycopg.AsyncConnection.connect(again.url)).close()
    await stack.drop_database("orders-2")
    with pytest.raises(OperationalError):
        await psycopg.AsyncConnection.connect(again.url)


async def test_what_a_migration_makes_belongs_to_the_role_and_may_take_its_time(stack: LocalStack) -> None:
    database = await stack.create_database("migrated")
    async with await psycopg.AsyncConnection.connect(database.migration_url, autocommit=True) as connection:
        await connection.execute("CREATE TABLE made (n int)")
        assert await (await connection.execute("SHOW transaction_timeout")).fetchone() == ("0",)
    async with await psycopg.AsyncConnection.connect(database.url) as connection:
        await connection.execute("INSERT INTO made VALUES (1)")


async def test_a_role_does_not_enter_the_database_of_another(stack: LocalStack) -> None:
    one, two = await stack.create_database("one"), await stack.create_database("two")
    stranger = one.url.rpartition("/")[0] + "/two"
    with pytest.raises(OperationalError, match="permission denied"):
        await psycopg.AsyncConnection.connect(stranger)
    await (await psycopg.AsyncConnection.connect(two.url)).close()


async def test_topics_are_made_once_and_carry_messages(stack: LocalStack) -> None:
    topics = [Topic("some.events", 6, 24), Topic("some.dead-letters", 1, 24)]
    made = await apply_topics(stack.kafka_servers, topics)
    assert made.created == ("some.events", "some.dead-letters")
    other = await apply_topics(stack.kafka_servers, [Topic("some.events", 3, 24), topics[1]])
    assert (other.created, other.existing) == ((), ("some.events", "some.dead-letters"))
    assert other.different == ("some.events: has 6 partitions, the file says 3",)
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_servers, enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait("some.events", b"hello", key=b"k")
    await producer.stop()
    consumer = AIOKafkaConsumer(
        "some.events", bootstrap_servers=stack.kafka_servers, group_id="g", auto_offset_reset="earliest"
    )
    await consumer.start()
    assert (await asyncio.wait_for(consumer.getone(), 20)).value == b"hello"
    await consumer.stop()


async def test_a_topic_is_not_made_by_using_it(stack: LocalStack) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_servers, request_timeout_ms=1000)
    await producer.start()
    try:
        with pytest.raises(Exception, match=r"(?i)unknown|timeout|leader"):
            await asyncio.wait_for(producer.send_and_wait("nobody.made-this", b"x"), 15)
    finally:
        await producer.stop()


async def test_objects_come_back_for_those_who_sign(stack: LocalStack) -> None:
    import aioboto3  # noqa: PLC0415 - slow to import
    import aiohttp  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    s3 = stack.s3_settings
    stack.ensure_bucket("second")
    session = aioboto3.Session(s3.access_key, s3.secret_key, region_name=s3.region)
    config = Config(
        signature_version="s3v4", s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
    )
    async with session.client("s3", endpoint_url=s3.endpoint, config=config) as client:
        await client.put_object(Bucket=s3.bucket, Key="a/b", Body=b"content")
        await client.copy_object(Bucket="second", Key="c", CopySource={"Bucket": s3.bucket, "Key": "a/b"})
        url = await client.generate_presigned_url("get_object", Params={"Bucket": "second", "Key": "c"})
    async with aiohttp.ClientSession() as http:
        async with http.get(url) as answer:
            assert (answer.status, await answer.read()) == (200, b"content")
        async with http.get(f"{s3.endpoint}/second/c") as answer:
            assert answer.status == 403


async def test_servers_listen_on_this_machine_only(stack: LocalStack) -> None:
    names = {psutil.Process(one.pid).pid for one in stack.supervisor.status() if one.pid is not None}
    listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.pid in names]
    assert len(listening) >= 4  # postgres, broker, controller, s3
    addresses = [tuple(connection.laddr) for connection in listening]
    assert {str(address[0]).removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}


@pytest.mark.parametrize("name", ["postgres", "kafka", "s3"])
async def test_each_comes_back_with_its_data_after_kill_9(stack: LocalStack, name: str) -> None:
    database = await stack.create_database("survivor", "password")
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS a (n int)")
        await connection.execute("INSERT INTO a VALUES (1)")
    await apply_topics(stack.kafka_servers, [Topic("survivor.events", 1, 24)])
    before = {one.name: one for one in stack.supervisor.status()}[name]
    stack.supervisor.kill(name, signal.SIGKILL)

    def is_back() -> bool:
        now = {one.name: one for one in stack.supervisor.status()}[name]
        return now.ready and now.pid != before.pid and now.restarts == before.restarts + 1

    assert await until(is_back, 30)
    async with await psycopg.AsyncConnection.connect(database.url) as connection:
        count = await (await connection.execute("SELECT count(*) > 0 FROM a")).fetchone()
        assert count == (True,)
    assert (await apply_topics(stack.kafka_servers, [Topic("survivor.events", 1, 24)])).created == ()


async def test_no_two_programs_run_the_same_folder(stack: LocalStack) -> None:
    with pytest.raises(Expected, match="this stack runs already"):
        await LocalStack(stack.state_dir, kafka=False, s3=False).start()
    assert all(one.ready for one in stack.supervisor.status())


async def test_stopping_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path / "state")
    await stack.start()
    processes = all_of(stack.state_dir)
    assert {process.pid for process in processes} > {one.pid for one in stack.supervisor.status()}
    ports = [int(port) for port in stack.state.read("ports.json").values()]
    assert not any(is_free(port) for port in ports)
    begun = time.monotonic()
    await stack.stop()
    assert time.monotonic() - begun < 10
    assert await until(lambda: all(is_over(process) for process in processes), 2)
    assert all(is_free(port) for port in ports)
    assert "database system is shut down" in (stack.state.logs / "postgres.log").read_text()


async def test_two_stacks_run_side_by_side(stack: LocalStack, tmp_path: Path) -> None:
    async with LocalStack(tmp_path / "state") as other:
        assert other.postgres_url != stack.postgres_url
        assert other.kafka_servers != stack.kafka_servers
        await apply_topics(other.kafka_servers, [Topic("mine.alone", 1, 1)])
        assert (await apply_topics(stack.kafka_servers, [Topic("mine.alone", 1, 1)])).created == ("mine.alone",)
        mine = await other.create_database("same", "other")
        await stack.create_database("same", "first")
        await (await psycopg.AsyncConnection.connect(mine.url)).close()
    assert all(one.ready for one in stack.supervisor.status())


async def test_a_stack_left_by_kill_9_is_ended_and_its_data_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    program = subprocess.Popen(  # noqa: ASYNC220 - it takes milliseconds
        [sys.executable, str(HERE / "run_stack.py"), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert await asyncio.to_thread(program.stdout.readline) == "up\n"
    left = all_of(folder)
    program.kill()
    program.wait()
    program.stdout.close()
    assert len(left) > 2
    leaders = [record for record in Records(folder / "processes.json").read() if record.is_alive()]
    assert {record.name for record in leaders} == {"postgres", "kafka"}  # they outlived their supervisor
    said: list[str] = []
    async with LocalStack(folder, kafka=False, s3=False, say=said.append) as stack:
        assert await until(lambda: all(is_over(process) for process in left), 2)
        assert sorted(line.split(" (")[0] for line in said) == ["ended kafka", "ended postgres"]
        url = stack.server.url_of("kept", "password", "kept")
        await (await psycopg.AsyncConnection.connect(url)).close()


async def test_a_port_of_a_former_run_that_is_taken_now_is_replaced(tmp_path: Path) -> None:
    async with LocalStack(tmp_path / "state", kafka=False, s3=False) as stack:
        first = stack.server.port
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", first))
        squatter.listen()
        holder = holder_of(first)
        assert holder is not None
        assert holder.pid == os.getpid()
        assert "pytest" in holder.command
        async with LocalStack(tmp_path / "state", kafka=False, s3=False) as stack:
            assert stack.server.port != first
    async with LocalStack(tmp_path / "state", kafka=False, s3=False) as again:
        assert again.server.port == stack.server.port


async def test_a_kafka_whose_ports_moved_still_has_its_topics(tmp_path: Path) -> None:
    topics = [Topic("moved.events", 2, 1)]
    async with LocalStack(tmp_path / "state", postgres=False, s3=False) as stack:
        await apply_topics(stack.kafka_servers, topics)
        first = stack.kafka_servers
        (tmp_path / "state/ports.json").unlink()
    async with LocalStack(tmp_path / "state", postgres=False, s3=False) as stack:
        assert stack.kafka_servers != first
        assert (await apply_topics(stack.kafka_servers, topics)).existing == ("moved.events",)


@AS_ROOT
async def test_root_runs_the_database_below_a_folder_that_only_root_enters(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with LocalStack(home / "x/pac/.pac", kafka=False, s3=False) as stack:
        pid = stack.supervisor.status()[0].pid
        assert pid is not None
        assert psutil.Process(pid).username() == "pac-postgres"
        assert (home / "x/pac/.pac/postgres/PG_VERSION").read_text() == "18\n"
    assert not everybody_reaches(home)


@AS_ROOT
def test_programs_that_nobody_else_reaches_are_copied_to_where_everybody_does(tmp_path: Path) -> None:
    hidden = tmp_path / "home"
    hidden.mkdir(mode=0o700)
    source = hidden / "site/package/install"
    (source / "bin").mkdir(parents=True)
    (source / "bin/postgres").write_text("program")
    (hidden / "site/package.libs").mkdir()
    (hidden / "site/package.libs/lib.so").write_text("library")
    name = f"test-{tmp_path.name}-{os.getpid()}"
    copy = reachable_copy(source, name, beside=(hidden / "site/package.libs",), cache=cache_folder())
    home = copy.parents[1]
    try:
        assert everybody_reaches(copy / "bin")
        assert (copy / "bin/postgres").read_text() == "program"
        assert (copy / "../../package.libs/lib.so").resolve().read_text() == "library"
        assert reachable_copy(source, name, cache=cache_folder()) == copy
    finally:
        shutil.rmtree(home)
