"""A run in another process: how it is started, its lines, and its ends in words."""

import json
import os
import subprocess
import sys

import pytest

from SkullImplantLib.errors import Remedy
from SkullImplantLib.job import protocol as job
from SkullImplantLib.job.protocol import JobProgress, explain_exit


def test_it_opens_in_a_moment_and_without_the_heavy_packages() -> None:
    code = (
        "import sys, time; start = time.process_time(); import SkullImplantLib.job.protocol; "
        "seconds = time.process_time() - start; "
        "assert not {'torch', 'numpy', 'SimpleITK', 'vtk', 'scipy'} & set(sys.modules); "
        "print(seconds)"
    )
    command = [sys.executable, "-c", code]
    # The processor's time, and the best of three: the machine may be busy with other things.
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.1


def test_the_command_runs_the_library_in_its_folder() -> None:
    arguments = job.command(sys.executable, "design", ["--help"])
    assert arguments[:4] == [sys.executable, "-m", "SkullImplantLib", "design"]
    assert arguments[-2:] == ["--progress", "json"]
    assert (job.library_folder() / "SkullImplantLib" / "__main__.py").is_file()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | job.environment()
    run = subprocess.run(
        arguments, cwd=job.library_folder(), env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0 and "--clearance-mm" in run.stdout


def test_lines_become_steps_and_the_whole_goes_only_onward() -> None:
    progress = JobProgress()
    assert progress.feed('{"pid": 77}\n') is None and progress.pid == 77
    told = [
        ("reading", 0.0), ("reading", 1.0), ("skull", 0.5), ("skull", 0.4), ("unheard-of", 0.9),
        ("completion", 0.2), ("prior", 0.5), ("export", 1.0),
    ]  # fmt: skip
    steps = [progress.feed(f'{{"stage": "{s}", "fraction": {f}, "message": "m"}}') for s, f in told]
    assert all(step is not None for step in steps)
    assert [(s.stage, s.fraction) for s in steps if s] == told
    overall = [s.overall for s in steps if s]
    assert overall == sorted(overall) and overall[0] == 0.0 and overall[-1] == pytest.approx(1.0)
    assert steps[2] and steps[2].title == "Finding the skull" and steps[2].message == "m"
    assert steps[4] and steps[4].title == "Unheard-of"
    assert progress.feed('{"done": true}') is None and progress.done


def test_a_step_tells_where_a_network_runs() -> None:
    progress = JobProgress()
    line = {"stage": "completion", "fraction": 0.5, "message": "completing the skull"}
    for device in ("cuda", "cpu", None):
        step = progress.feed(json.dumps(line | ({"device": device} if device else {})))
        assert step and step.device == device


@pytest.mark.parametrize(
    ("line", "error", "remedy"),
    [
        ({"error": "Too dark; give --x.", "message": "Too dark.", "remedy": "use-cpu"},
         "Too dark.", Remedy.USE_CPU),
        ({"error": "Too dark.", "message": "Too dark.", "remedy": None}, "Too dark.", None),
        ({"error": "Too dark; give --x."}, "Too dark; give --x.", None),
        ({"error": "Too dark; give --x.", "message": "Too dark.", "remedy": "unheard-of"},
         "Too dark; give --x.", None),
    ],
)  # fmt: skip
def test_an_error_is_read_with_its_remedy(
    line: dict[str, str | None], error: str, remedy: Remedy | None
) -> None:
    progress = JobProgress()
    assert progress.feed(json.dumps({**line, "code": 2})) is None
    assert (progress.error, progress.remedy, progress.error_code) == (error, remedy, 2)


def test_a_remedy_is_said_in_the_words_of_the_program_that_started_the_run() -> None:
    line = {"error": "It is dark; give --x.", "message": "It is dark.", "remedy": "use-cpu"}
    progress = _ended(json.dumps({**line, "code": 2}))
    words = {Remedy.USE_CPU: "choose the CPU"}
    assert explain_exit(2, progress, None, words) == "It is dark; choose the CPU."
    assert explain_exit(2, progress) == "It is dark."


def test_what_is_no_progress_is_kept_as_the_log() -> None:
    progress = JobProgress()
    lines = [f"line {i}" for i in range(job.LOG_LINES + 10)]
    strange = ["3", "[1, 2]", '{"stage": 3}', '{"stage": "skull", "fraction": "x"}', "{"]
    for line in [*lines, "", "  \n", *strange]:
        assert progress.feed(line) is None
    assert list(progress.log) == [*lines[-(job.LOG_LINES - len(strange)) :], *strange]
    progress.feed('{"error": "The CT is empty; check the file.", "code": 2}')
    assert progress.error == "The CT is empty; check the file." and progress.error_code == 2
    assert len(progress.log) == job.LOG_LINES


def _ended(line: str = "") -> JobProgress:
    progress = JobProgress()
    progress.feed(line)
    return progress


@pytest.mark.parametrize(
    ("code", "line", "free_bytes", "sentence"),
    [
        (2, '{"error": "The CT is empty; crop less.", "code": 2}', None, "The CT is empty; crop"),
        (130, '{"error": "Cancelled.", "code": 130}', None, "The design was cancelled."),
        (-9, "", None, "memory ran out"),
        (137, "", 10**12, "memory ran out"),
        (-11, "", None, "ended in a crash"),
        (139, "", None, "ended in a crash"),
        (-7, "", None, "ended in a crash"),
        (0xC0000005, "", None, "ended in a crash"),
        (0xC0000005 - 2**32, "", None, "ended in a crash"),
        (0xC0000017, "", None, "memory ran out"),
        (-6, "terminate called after throwing 'std::bad_alloc'", None, "memory ran out"),
        (-6, "Fatal Python error: Aborted", None, "ended in a crash"),
        (-6, "", None, "memory ran out or because of a crash"),
        (-15, "", None, "by another program"),
        (1, "Traceback ...", None, "copy the log and report it"),
        (1, '{"error": "Internal error: KeyError: 3", "code": 1}', None, "error in the program"),
        (1, "", 0, "disk is full"),
        (0, "", None, "without a complete result"),
        (2, "usage: ...", None, "install the extension again"),
    ],
)
def test_every_end_is_one_sentence(
    code: int, line: str, free_bytes: int | None, sentence: str
) -> None:
    said = explain_exit(code, _ended(line), free_bytes)
    assert sentence in said and said.endswith(".") and "\n" not in said
    assert "KeyError" not in said


def test_a_crash_behind_slicers_launcher_is_told_as_a_crash() -> None:
    """The launcher ends with 1 whatever became of its child, which had told that it works."""
    progress = JobProgress()
    progress.feed('{"pid": 4321}')
    progress.feed("error: [python-real] exit abnormally - Report the problem.")
    assert "ended by the system" in explain_exit(1, progress)
    progress.feed("Fatal Python error: Segmentation fault")
    assert "ended in a crash" in explain_exit(1, progress)


def test_a_real_crash_is_told_in_the_output_and_as_no_lack_of_memory() -> None:
    code = "import ctypes; ctypes.string_at(0)"
    environment = {**os.environ, **job.environment()}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    progress = JobProgress()
    for line in run.stderr.decode().splitlines():
        progress.feed(line)
    said = explain_exit(run.returncode, progress)
    assert "crash" in said and "memory" not in said
