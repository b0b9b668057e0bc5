"""What is free is the least of all limits; refused is only what surely does not fit."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.core import free_memory, memory_need
from SkullImplantLib.core.free_memory import free_bytes
from SkullImplantLib.core.memory_need import (
    Extent,
    design_bytes,
    reading_bytes,
    require_memory,
    require_room_to_load,
    telling_need,
)
from SkullImplantLib.errors import (
    DiskError,
    OutOfMemory,
    Remedy,
    SkullImplantError,
    expected,
    lacks_memory,
)

GB = 1e9


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A Linux machine with 6 GiB available, and no control groups."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable: 6291456 kB\n")
    return tmp_path


def group(folder: Path, names: tuple[str, str, str], limit: str, used: int, kept: int) -> None:
    """Write a control group's files: its limit, what is used, and how much of that are files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {kept}\n")


V1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
V2 = "memory.max", "memory.current", "inactive_file"


def test_without_a_group_the_machine_s_memory_is_free(machine: Path) -> None:
    assert free_bytes(machine) == 6 * 2**30


def test_a_container_s_limit_holds_in_version_2_also_from_further_up(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("0::/users/job\n")
    group(machine / "sys/fs/cgroup/users/job", V2, "max", 2**30, 0)
    assert free_bytes(machine) == 6 * 2**30
    group(machine / "sys/fs/cgroup/users", V2, str(3 * 2**30), 2 * 2**30, 2**29)
    assert free_bytes(machine) == 2**30 + 2**29
    (machine / "proc/self/cgroup").write_text("0::/\n")  # as a container of its own sees it
    group(machine / "sys/fs/cgroup", V2, str(2**30), 2**28, 0)
    assert free_bytes(machine) == 2**30 - 2**28


def test_a_container_s_limit_holds_in_version_1(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("7:cpu,cpuacct:/a\n5:memory:/outside/of/it\n")
    group(machine / "sys/fs/cgroup/memory", V1, str(2**31), 2**30, 2**20)
    assert free_bytes(machine) == 2**30 + 2**20


def test_a_full_group_leaves_nothing_and_not_less(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("0::/\n")
    group(machine / "sys/fs/cgroup", V2, str(2**30), 2**30 + 2**20, 0)
    assert free_bytes(machine) == 0


def test_where_nothing_is_told_nothing_is_known_and_nothing_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert free_bytes(tmp_path) is None
    monkeypatch.setattr(memory_need, "free_bytes", lambda: None)
    require_memory(1e15)


def test_the_process_s_own_limit_of_addresses_holds(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    (machine / "proc/self/status").write_text("VmSize: 1048576 kB\nVmRSS: 1024 kB\n")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (3 * 2**30, 4 * 2**30))
    assert free_memory.address_bytes(machine) == 2 * 2**30
    assert free_bytes(machine) == 2 * 2**30


sizes = st.tuples(*[st.integers(20, 1200)] * 3)
spacings = st.tuples(*[st.floats(0.1, 3.0)] * 3)


@given(sizes, spacings, st.sampled_from([1, 2, 4, 8]))
def test_more_is_foreseen_for_more_and_less_for_coarser(
    size: tuple[int, ...], spacing_mm: tuple[float, ...], voxel_bytes: int
) -> None:
    extent = Extent(size, spacing_mm, voxel_bytes)
    larger = Extent(tuple(n + 10 for n in size), spacing_mm, voxel_bytes)
    assert reading_bytes(extent) <= design_bytes(extent) <= design_bytes(larger)
    assert design_bytes(extent.coarser((2, 2, 2))) < design_bytes(extent)
    wider = Extent(size, spacing_mm, 2 * voxel_bytes)
    assert design_bytes(extent) <= design_bytes(wider)


def test_a_large_ct_is_foreseen_within_what_the_issue_allows() -> None:
    assert 3 * GB < design_bytes(Extent((1024, 1024, 600), (0.25, 0.25, 0.4), 2)) < 8 * GB


@pytest.mark.parametrize(
    ("needed", "refused", "told"), [(4.9, False, False), (6.5, False, True), (8.0, True, True)]
)
def test_between_what_is_free_and_what_surely_is_not_enough_there_is_a_word(
    needed: float,
    refused: bool,
    told: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(memory_need, "free_bytes", lambda: int(4.5 * GB))
    monkeypatch.setattr(memory_need, "resident_bytes", lambda: int(0.5 * GB))
    if refused:
        with pytest.raises(OutOfMemory) as raised:
            require_memory(needed * GB)
        assert str(raised.value) == "This image needs about 8.0 GB of memory, and 5.0 GB are free."
        assert raised.value.remedy is Remedy.LESS_MEMORY
    else:
        require_memory(needed * GB)
        assert bool(caplog.records) is told


def test_libraries_that_will_not_load_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("address_bytes", "free_bytes"):
        monkeypatch.setattr(memory_need, name, lambda: None)
    for name in ("reserved_bytes", "resident_bytes"):
        monkeypatch.setattr(memory_need, name, lambda: int(0.01 * GB))
    require_room_to_load(4)
    monkeypatch.setattr(memory_need, "free_bytes", lambda: int(0.1 * GB))
    with pytest.raises(OutOfMemory, match="The program itself needs about 250 MB of memory"):
        require_room_to_load(4)
    monkeypatch.setattr(memory_need, "address_bytes", lambda: int(0.85 * GB))
    with pytest.raises(OutOfMemory, match=r"1\.0 GB of memory, and 860 MB are free"):
        require_room_to_load(4)


MEMORY = [
    MemoryError(),
    RuntimeError("Exception: Failed to allocate memory for image."),
    RuntimeError("std::bad_alloc"),
    ImportError("libvtkCommonCore.so: failed to map segment from shared object"),
    RuntimeError("can't start new thread"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]


@pytest.mark.parametrize("error", MEMORY, ids=str)
def test_a_want_of_memory_is_known_by_whoever_raises_it_and_tells_the_need(
    error: Exception,
) -> None:
    assert lacks_memory(error)
    with pytest.raises(OutOfMemory) as raised, telling_need(lambda: 5.0 * GB):
        raise error
    assert str(raised.value) == "This image needs about 5.0 GB of memory, more than is free."
    # A file that cannot be read for want of memory is not damaged.
    with pytest.raises(OutOfMemory), telling_need(lambda: 5.0 * GB):
        try:
            raise error
        except Exception as reason:
            raise SkullImplantError("head.nrrd cannot be decoded; export it again.") from reason
    assert isinstance(expected(error), OutOfMemory)


@pytest.mark.parametrize(
    "error",
    [
        ImportError("No module named 'torch'"),
        ValueError("no"),
        DiskError("Cannot write it; free space."),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
    ids=str,
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert not lacks_memory(error)
    with pytest.raises(type(error)) as raised, telling_need(lambda: 5.0 * GB):
        raise error
    assert raised.value is error
