"""The built wheel, installed into an environment that has never seen this checkout, holds everything and works."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    run([sys.executable, "-m", "pip", "wheel", "--quiet", *options, str(ROOT)])
    (built,) = folder.glob("msae-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a fresh environment with the wheel in it; dependencies are borrowed from this one."""
    home = tmp_path_factory.mktemp("elsewhere")
    venv.create(home, with_pip=True)
    scripts = home / ("Scripts" if sys.platform == "win32" else "bin")
    run([str(scripts / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)])
    site_packages = run([str(scripts / "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    # A .pth file adds the folder alone: the editable install of this checkout, itself a .pth file, is not followed.
    Path(site_packages.strip(), "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


def run(command: list[str], cwd: Path | None = None) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def tracked_files(folder: str) -> set[str]:
    return set(run(["git", "ls-files", folder], cwd=ROOT).split())


def test_the_wheel_holds_every_tracked_file_of_the_package(wheel: Path) -> None:
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert tracked_files("msae") <= shipped
    assert {name.removeprefix("dashboards/") for name in tracked_files("dashboards/msae_dashboards")} <= shipped
    assert {Path(name).parts[0] for name in shipped} == {"msae", "msae_dashboards"}
    assert not {name for name in shipped if name.endswith((".pyc", ".pt", ".pkl"))}


def test_the_wheel_carries_licence_and_console_script(wheel: Path) -> None:
    files = zipfile.ZipFile(wheel)
    info = next(name.split("/")[0] for name in files.namelist() if ".dist-info/" in name)
    assert "MIT License" in files.read(f"{info}/licenses/LICENSE").decode()
    assert "msae = msae.cli:main" in files.read(f"{info}/entry_points.txt").decode()


def test_the_installed_package_is_the_wheel_and_works(installed: Path, tmp_path: Path) -> None:
    program = "\n".join(
        [
            "import msae, torch",
            "sae = msae.SparseAutoencoder(d_in=8, d_sae=32, activation_fn=msae.TopK(k=4),",
            "                             nesting=msae.FixedPrefixes((8, 32)))",
            "msae.save(sae.eval(), 'sae')",
            "print(msae.load('sae').reconstruct_levels(torch.ones(3, 8)).shape)",
            "print(msae.__file__)",
        ]
    )
    shape, file = run([str(installed / "python"), "-c", program], cwd=tmp_path).splitlines()
    assert shape == "torch.Size([2, 3, 8])"
    assert Path(file).is_relative_to(installed.parent)


def test_the_console_script_answers(installed: Path, tmp_path: Path) -> None:
    printed = run([str(installed / "msae"), "--help"], cwd=tmp_path)
    for command in ("demo", "harvest", "train", "eval", "analyze", "dashboard", "info"):
        assert command in printed
