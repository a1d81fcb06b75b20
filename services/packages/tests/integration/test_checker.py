"""The checker's worker processes: what they find, and what becomes of one that takes too much."""

import asyncio
import base64
import os
import re
import signal
from pathlib import Path

import psutil
import pytest
from pysequoia import SignatureMode, Tsk, sign_file

from pac.packages.checker import TOO_EXPENSIVE, Checker, CheckerDied, CheckLimits

from .harness import apkg, damaged

MIB = 1024 * 1024


def written(folder: Path, content: bytes) -> Path:
    path = folder / "agent.apkg"
    path.write_bytes(content)
    return path


async def test_inspect_looks_and_verify_reads_every_byte(tmp_path: Path) -> None:
    async with Checker(CheckLimits()) as checker:
        path = written(tmp_path, damaged())
        assert (await checker.inspect(path)).problems == ()
        assert [problem.code for problem in (await checker.verify(path)).problems] == ["checksum_wrong"]
        sound = await checker.verify(written(tmp_path, apkg("1.2.3")))
        assert (sound.problems, sound.name, sound.version) == ((), "echo-agent", "1.2.3")
        assert [file.name for file in sound.files] == ["manifest.json", ".env", "src/main.py"]
        mismatch = await checker.inspect(path, "9.9.9")
        assert [problem.code for problem in mismatch.problems] == ["version_mismatch"]
        assert len(checker._all) == 1


async def test_a_package_larger_than_a_workers_memory_has_its_signature_verified(tmp_path: Path) -> None:
    path, signature, key = tmp_path / "agent.apkg", tmp_path / "agent.apkg.sig", Tsk.generate("Alice")
    with path.open("wb") as file:
        file.truncate(192 * MIB)
    sign_file(key.signer(), path, signature, mode=SignatureMode.DETACHED)
    public = key.extract_certificate()
    certificates = [base64.b64encode(bytes(public)).decode()]
    asked = {"kind": "signature", "path": str(path), "certificates": certificates}
    async with Checker(CheckLimits(memory_bytes=128 * MIB)) as checker:
        answer = await checker.ask({**asked, "signature": base64.b64encode(signature.read_bytes()).decode()})
        assert answer is not None
        assert answer["signed_by"] == public.fingerprint
        [worker] = checker._all
        status = Path(f"/proc/{worker.process.pid}/status").read_text()
        assert int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) < 64 * 1024


async def test_workers_end_with_the_checker(tmp_path: Path) -> None:
    checker = Checker(CheckLimits(workers=2))
    async with checker:
        path = written(tmp_path, apkg())
        await asyncio.gather(*(checker.inspect(path) for _ in range(5)))
        processes = [worker.process for worker in checker._all]
        assert len(processes) == 2
    assert all(process.returncode is not None for process in processes)


async def test_a_missing_file_is_an_outage_and_no_verdict(tmp_path: Path) -> None:
    async with Checker(CheckLimits()) as checker:
        with pytest.raises(OSError, match="No such file"):
            await checker.verify(tmp_path / "gone.apkg")


@pytest.mark.parametrize(
    ("ended_by", "judged"), [(signal.SIGXCPU, True), (signal.SIGKILL, False), (signal.SIGSEGV, False)]
)
async def test_only_its_limits_make_a_dead_worker_a_verdict(tmp_path: Path, ended_by: int, *, judged: bool) -> None:
    async with Checker(CheckLimits()) as checker:
        path = written(tmp_path, apkg())
        await checker.inspect(path)
        [worker] = checker._all
        os.kill(worker.process.pid, signal.SIGSTOP)
        check = asyncio.create_task(checker.verify(path))
        while not checker._slots.locked() and worker in checker._idle:  # noqa: ASYNC110 - until it has been asked
            await asyncio.sleep(0.005)
        os.kill(worker.process.pid, ended_by)
        os.kill(worker.process.pid, signal.SIGCONT)
        if judged:
            assert (await check).problems == (TOO_EXPENSIVE,)
        else:
            with pytest.raises(CheckerDied):
                await check
        assert (await checker.verify(path)).problems == ()


async def test_a_worker_that_takes_too_long_is_replaced(tmp_path: Path) -> None:
    async with Checker(CheckLimits(timeout_seconds=5)) as checker:
        path = written(tmp_path, apkg())
        await checker.inspect(path)
        [worker] = checker._all
        slow = Checker(CheckLimits(timeout_seconds=0.1), _idle=[worker], _all=[worker])
        os.kill(worker.process.pid, signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            await slow.inspect(path)
        assert worker.process.returncode == -signal.SIGKILL
        checker._idle.clear()
        assert (await checker.inspect(path)).problems == ()


async def test_a_worker_may_take_only_so_much_memory_and_time(tmp_path: Path) -> None:
    async with Checker(CheckLimits(processor_seconds=7, memory_bytes=256 * MIB)) as checker:
        await checker.inspect(written(tmp_path, apkg()))
        [worker] = checker._all
        process = psutil.Process(worker.process.pid)
        assert process.rlimit(psutil.RLIMIT_AS) == (256 * MIB, 256 * MIB)
        seconds, _ = process.rlimit(psutil.RLIMIT_CPU)
        assert 7 <= seconds <= 10  # with what its start has taken
        assert process.environ().keys() <= {"TMPDIR", "LC_CTYPE"}
