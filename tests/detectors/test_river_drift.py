"""river's two detectors come without the rest of river, and are still river's own."""

import subprocess
import sys


def run(program: str) -> str:
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return said.stdout.strip()


def test_detectors_are_kept_and_restored_without_scipys_statistics() -> None:
    program = """
import sys
from stream_monitor.detectors.detector import Detector
from stream_monitor.detectors.policy import DetectorPolicy
for kind in ("adwin", "page_hinkley"):
    detector = Detector(DetectorPolicy(kind=kind))
    detector.update([0.0, 1.0] * 200)
    again = Detector.from_bytes(detector.to_bytes(), detector.policy)
    assert again.to_bytes() == detector.to_bytes()
print({"scipy.stats", "sklearn", "river.datasets", "river.drift"} & set(sys.modules))
"""
    assert run(program) == "set()"


def test_the_whole_package_can_be_imported_before_and_after_with_the_same_classes() -> None:
    ours = "from stream_monitor.detectors.river_drift import ADWIN, PageHinkley"
    whole = "import river.drift; from river.drift import KSWIN"
    same = "assert (ADWIN, PageHinkley) == (river.drift.ADWIN, river.drift.PageHinkley); print(river.drift.__file__)"
    for first, second in ((ours, whole), (whole, ours)):
        assert run(f"{first}; {second}; {same}").endswith("__init__.py")
