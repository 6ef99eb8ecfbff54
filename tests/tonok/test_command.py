"""The `tonok` command: exit statuses, what it prints, and that it is installed alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.conftest import Workshop, build_summary
from tests.service.model_files import ZIP
from tests.service.processes import CHECKOUT
from tonok.__main__ import main


@pytest.fixture(autouse=True)
def address(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONOK_URL", f"http://127.0.0.1:{port}")


def test_a_job_is_submitted_watched_listed_and_fetched(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "spec.json").write_text('{"dataset": "digits", "epochs": 9}')
    assert main(["submit", "train", "architecture=lenet5", "epochs=2", "--spec", str(tmp_path / "spec.json")]) == 0
    job_id = capsys.readouterr().out.strip()
    assert main(["get", job_id]) == 0
    spec = json.loads(capsys.readouterr().out)["spec"]
    assert spec == {"dataset": "digits", "architecture": "lenet5", "epochs": 2}
    lease = workshop.claim()
    workshop.report(lease, 1, 0.5)
    model_id = workshop.succeed(lease, build_summary(test=0.9))
    assert main(["watch", job_id]) == 0
    shown = capsys.readouterr()
    assert shown.out.strip() == model_id
    assert "epoch 1" in shown.err
    for what, names in (("jobs", (job_id, "succeeded")), ("models", (model_id, "0.9"))):
        assert main(["ls", what]) == 0
        [_, line] = capsys.readouterr().out.splitlines()
        assert all(name in line for name in names)
    assert main(["get", model_id, "-o", str(tmp_path / "model.safetensors")]) == 0
    assert (tmp_path / "model.safetensors").read_bytes() == b"weights"


def test_models_are_compared_with_the_first(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    baseline = workshop.train()
    small = workshop.compress(baseline)
    assert main(["compare", baseline, small]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["model_id", baseline, small]
    assert len(lines) == 5


def test_an_upload_is_a_job(workshop: Workshop, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "pictures.zip").write_bytes(ZIP)
    assert main(["upload", "dataset", str(tmp_path / "pictures.zip"), "name=mine"]) == 0
    job = workshop.client.get(f"/v1/jobs/{capsys.readouterr().out.strip()}").json()
    assert (job["kind"], job["name"]) == ("import_dataset", "mine")


def test_what_goes_wrong_is_one_message_and_status_1(
    workshop: Workshop, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    job_id = workshop.submit()
    workshop.fail(workshop.claim())
    for arguments, told in (
        (["submit", "train", "epochs=0"], "/epochs"),
        (["submit", "train", "epochs"], "FIELD=VALUE"),
        (["submit", "train", "--spec", str(tmp_path / "nowhere.json")], "nowhere.json"),
        (["watch", job_id], "diverged"),
        (["get", "job_01M8FMXETZM3ZZZHH54D2NTGK6"], "404"),
        (["--url", "http://127.0.0.1:9", "ls"], "http://127.0.0.1:9"),
    ):
        assert main(arguments) == 1
        shown = capsys.readouterr()
        assert told in shown.err
        assert "Traceback" not in shown.err


@pytest.mark.slow
def test_it_is_installed_alone_and_needs_nothing_but_python(tmp_path: Path) -> None:
    # A copy: what builds a package leaves its traces beside it.
    source = shutil.copytree(CHECKOUT / "tonok", tmp_path / "source")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    pip = [sys.executable, "-m", "pip", "install", *offline, "--target", str(tmp_path / "site"), str(source)]
    subprocess.run(pip, check=True, cwd=tmp_path)
    assert (tmp_path / "site" / "bin" / "tonok").is_file()
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import tonok, tonok.__main__;"
        "print(tonok.__file__, *{name.partition('.')[0] for name in sys.modules})"
    )
    alone = [sys.executable, "-I", "-S", "-c", script]
    finished = subprocess.run(alone, check=True, cwd=tmp_path, capture_output=True, text=True)
    file, *loaded = finished.stdout.split()
    assert Path(file).is_relative_to(tmp_path / "site")
    assert set(loaded) - sys.stdlib_module_names - {"__main__"} == {"tonok"}
