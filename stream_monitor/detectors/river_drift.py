"""river's ADWIN and Page-Hinkley without the rest of `river.drift`.

The package imports its data sets with its detectors, and these scipy.stats, and scikit-learn where it is installed:
0.6 s and 60 MB, where the two modules needed take 0.1 s and 12 MB.  So they are imported under a stand-in for the
package, which then goes: whoever imports `river.drift` itself gets all of it, with the same two classes.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any

_PACKAGE = "river.drift"


def _imported() -> tuple[type[Any], type[Any]]:
    spec = None if _PACKAGE in sys.modules else find_spec(_PACKAGE)
    if spec is not None:
        sys.modules[_PACKAGE] = module_from_spec(spec)  # its folder is known, its code is not run
    try:
        return import_module(f"{_PACKAGE}.adwin").ADWIN, import_module(f"{_PACKAGE}.page_hinkley").PageHinkley
    finally:
        if spec is not None:
            del sys.modules[_PACKAGE]


ADWIN, PageHinkley = _imported()
