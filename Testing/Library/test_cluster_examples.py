"""The examples of `docs/how-to/many-machines.md`: they are what their systems take, and their
shares are all shares, each once.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from SkullImplantLib.cli.main import build_parser
from SkullImplantLib.evaluation.shards import read_shard

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "many-machines.md"
BLOCK = re.compile(r"^### (\w+)\n.*?^```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES: dict[str, str] = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
SHARES = 20
needs_shell = pytest.mark.skipif(sys.platform == "win32", reason="there is no sh")


@pytest.fixture
def called(tmp_path: Path) -> Any:
    """Run a script in which `skull-implant` only writes down its arguments; return these."""
    command = tmp_path / "skull-implant"
    told = tmp_path / "arguments"
    command.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{told}"\n')
    command.chmod(0o755)

    def run(script: list[str], **variables: str) -> list[str]:
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, **variables}
        subprocess.run(script, env=environment, check=True, timeout=60)
        return told.read_text().splitlines()

    return run


def checked(arguments: list[str], share: str | None) -> None:
    """The command line takes the arguments, and they say which share is made."""
    options = build_parser().parse_args(arguments)
    assert options.verb == "evaluate" and str(options.cohort) == "/data/SkullBreak"
    assert options.shard == share


def test_there_is_an_example_of_each() -> None:
    assert set(EXAMPLES) == {"Slurm", "Kubernetes", "Nextflow"}


@needs_shell
def test_slurm_makes_every_share_once(called: Any, tmp_path: Path) -> None:
    script = EXAMPLES["Slurm"]
    first, last = map(int, re.findall(r"#SBATCH --array=(\d+)-(\d+)\n", script)[0])
    assert (first, last) == (1, SHARES) and script.startswith("#!/bin/bash\n#SBATCH ")
    (tmp_path / "job.sh").write_text(script)
    for number in (1, 7, SHARES):
        arguments = called(
            ["bash", str(tmp_path / "job.sh")],
            SLURM_ARRAY_TASK_ID=f"{number}",
            SLURM_CPUS_PER_TASK="4",
        )
        checked(arguments, f"{number}/{SHARES}")
        assert "--threads\n4" in "\n".join(arguments)


def test_kubernetes_takes_the_job() -> None:
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed"
    )
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    job = yaml.safe_load(EXAMPLES["Kubernetes"])
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(job, version, strict=True)
    job["spec"]["completion"] = job["spec"].pop("completions")
    with pytest.raises(kubernetes_validate.ValidationError):  # it would have told
        kubernetes_validate.validate(job, version, strict=True)


@needs_shell
def test_kubernetes_makes_every_share_once(called: Any) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    spec = yaml.safe_load(EXAMPLES["Kubernetes"])["spec"]
    assert spec["completionMode"] == "Indexed" and spec["completions"] == SHARES
    (container,) = spec["template"]["spec"]["containers"]
    # Kubernetes puts variables in for $(NAME) and leaves what names none.
    command = [*container["command"], *container["args"]]
    assert all(re.search(r"\$\(\w+\)", word) is None for word in command)
    for index in range(SHARES):
        share = f"{index + 1}/{SHARES}"
        checked(called(command, JOB_COMPLETION_INDEX=f"{index}"), share)
        read_shard(share)


def test_nextflow_reads_the_workflow(tmp_path: Path) -> None:
    reftrace = pytest.importorskip("reftrace", reason="reftrace is not installed")
    file = tmp_path / "main.nf"
    file.write_text(EXAMPLES["Nextflow"])
    module = reftrace.Module.from_file(str(file))
    assert not isinstance(module, reftrace.ParseError), module.error
    assert [one.name for one in module.processes] == ["shard", "table"]
    assert {one.name for one in module.params} == {"cohort", "output", "shards"}
    file.write_text(EXAMPLES["Nextflow"].replace("process shard {", "process shard {{"))
    assert isinstance(reftrace.Module.from_file(str(file)), reftrace.ParseError)


@needs_shell
def test_nextflow_makes_every_share_once(called: Any, tmp_path: Path) -> None:
    scripts = re.findall(r'"""\n(.*?)"""', EXAMPLES["Nextflow"], re.DOTALL)
    values = dict(re.findall(r"^params\.(\w+) = '?([^'\s]+)'?", EXAMPLES["Nextflow"], re.MULTILINE))
    assert (
        values["shards"] == f"{SHARES}" and "Channel.of(1..params.shards)" in EXAMPLES["Nextflow"]
    )
    for script, share in zip(scripts, (f"3/{SHARES}", None), strict=True):
        known = {f"params.{name}": value for name, value in values.items()}
        known |= {"number": "3", "task.cpus": "4"}
        # As Groovy does: values for names, and what ends in a backslash goes on in the next line.
        shown = re.sub(r"\$\{([\w.]+)\}", lambda found, known=known: known[found[1]], script)
        checked(called(["sh", "-c", shown.replace("\\\n", " ")]), share)
