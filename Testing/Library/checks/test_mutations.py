"""Implants spoilt on purpose: each is caught, and the true piece gives no alarm."""

import sys
from pathlib import Path

import pytest

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.checks import CheckOptions, check_implant
from spoilt_implants import SPOILT
from true_piece import Cut, TruePiece

BENCHMARK = Path(__file__).parents[2] / "Benchmarks" / "fit"
# What has to see it, whatever else does.
SEEN_BY = {
    "grown into contact": {"rim gap 5 %", "rim gap median"},
    "2 mm proud": {"outer step median", "outer step along 30 mm"},
    "2 mm sunk": {"outer step median", "outer step along 30 mm", "inner step along 30 mm"},
    "four 5 mm holes": {"tunnels"},
    "dent to 1 mm": {"least wall"},
    "hook under the bone": {"way in"},
    "2 mm spike": {"spurs"},
    "rim step 1.5 mm on a quarter": {"outer step along 30 mm"},
    "left for right": {"overlap with bone"},
    "RAS for LPS": {"rim gap"},
    "metres": {"area", "rim gap"},
    "a facet turned": {"mesh faults"},
}


@pytest.fixture(scope="module")
def piece(patient: SamplePatient) -> TruePiece:
    return TruePiece(Cut(patient.defective, patient.implant))


@pytest.fixture(scope="module")
def field(piece: TruePiece):
    return piece.field(solid=True)


def failed(piece: TruePiece, mesh) -> set[str]:
    found = check_implant(
        mesh, piece.bone, CheckOptions(), piece.direction, completed=piece.completed
    )
    return {check.name for check in found.checks if not check.passed}


@pytest.mark.slow
def test_the_true_piece_gives_no_alarm(piece, field):
    assert failed(piece, piece.mesh(field)) == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", SPOILT)
def test_each_fault_is_caught(piece, field, name):
    assert SEEN_BY[name] <= failed(piece, SPOILT[name](piece, field))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["visible-human-female-ct-bilateral", "brainweb-49-bilateral"])
def test_on_a_real_head_as_well(name, shared_data, tmp_path, monkeypatch):
    """One head of each kind; `mutations.py` of the benchmark does all."""
    monkeypatch.syspath_prepend(str(BENCHMARK))
    from fit_cases import all_cases, make_case

    from mutations import TRUE, check_case

    case = next(case for case in all_cases(tmp_path) if case.name == name)
    make_case(case, shared_data / "test", [sys.executable, "-m", "SkullImplantLib"])
    told = {
        spoilt: {check for check, (_, _, passed) in each["checks"].items() if not passed}
        for spoilt, each in check_case(case).items()
    }
    assert told[TRUE] == set()
    assert [spoilt for spoilt in SPOILT if not told[spoilt]] == []
