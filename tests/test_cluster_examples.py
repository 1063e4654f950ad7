"""The files of `examples/cluster`: their shell is valid, and the command lines in them are those of this version."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from helpers.command_lines import parse

CLUSTER = Path(__file__).parents[1] / "examples" / "cluster"
BASH = shutil.which("bash")
FAKE_SSH = """#!/bin/sh
for host do case "$host" in -*|BatchMode=yes) ;; *) break ;; esac; done
for command do :; done
echo "$command"
[ "$host" != broken ]
"""

needs_bash = pytest.mark.skipif(BASH is None, reason="there is no bash")


def test_the_rayjob_runs_a_command_of_this_version_on_nodes_of_one_image() -> None:
    job = yaml.safe_load((CLUSTER / "archive-rayjob.yaml").read_text(encoding="utf-8"))
    program, *words = shlex.split(job["spec"]["entrypoint"])
    assert program == "urbanpipe"
    parse(words)
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [group["template"]["spec"]["containers"][0] for group in groups]
    assert len({container["image"] for container in containers}) == 1
    assert all(container["envFrom"] == containers[0]["envFrom"] for container in containers)


@needs_bash
@pytest.mark.parametrize("name", ["archive.sbatch", "train.sbatch", "archive-ssh.sh"])
def test_the_shell_is_valid(name: str) -> None:
    subprocess.run([BASH or "bash", "-n", CLUSTER / name], check=True)


@needs_bash
def test_a_job_of_an_array_runs_its_share(tmp_path: Path) -> None:
    printed = run_with(
        tmp_path, "urbanpipe", '#!/bin/sh\necho "$@"\n', ["archive.sbatch", "s3://a/b", "--bundle", "b c"]
    )
    words = shlex.split(printed.stdout.replace("b c", "b_c"))
    assert words[-4:] == ["--shard", "2/8", "--workers", "4"]
    parse(words)


@needs_bash
def test_each_machine_gets_its_share_and_the_worst_status_is_returned(tmp_path: Path) -> None:
    done = run_with(tmp_path, "ssh", FAKE_SSH, ["archive-ssh.sh", "archive of 2026", "--bundle", "bundle"])
    assert done.returncode == 1
    assert [line.split(":")[1] for line in done.stdout.splitlines()] == [" exit status 0", " exit status 1"]
    for number, host in enumerate(("fine", "broken")):
        words = shlex.split((tmp_path / f"{host}.log").read_text())
        assert words[:3] == ["env", "OMP_NUM_THREADS=1", "urbanpipe"]
        assert words[-2:] == ["--shard", f"{number}/2"]
        assert "archive of 2026" in words
        parse(words[3:])


def run_with(folder: Path, program: str, script: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a file of the examples with a program replaced by a script."""
    (folder / program).write_text(script)
    (folder / program).chmod(0o755)
    job = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "8", "SLURM_CPUS_PER_TASK": "4"}
    environment = os.environ | job | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOSTS": "fine broken"}
    name, *arguments = words
    command = [BASH or "bash", str(CLUSTER / name), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
