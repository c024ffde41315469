"""The JSON of a profile, as it is and with its hashes made right: bins that can be used, or ProfileError."""

from __future__ import annotations

import json

import msgspec
import numpy as np

from stream_monitor.errors import ProfileError
from stream_monitor.events.decode import PredictionDecoder
from stream_monitor.events.unreadable import UNREADABLE
from stream_monitor.metrics.comparison import Comparison
from stream_monitor.metrics.panes import prediction_figures
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.reference.layout import bin_layout, feature_layout
from stream_monitor.reference.profile import FORMAT_VERSION, Profile, sealed
from stream_monitor.sketches.bins import BinCounter
from stream_monitor.sketches.pane import PredictionPane
from tests.events.test_decode_laws import POLICY
from tests.fuzz.harness import all_finite
from tests.fuzz.world import PROFILES

SMALL = msgspec.structs.replace(PROFILES["m"], features=PROFILES["m"].features[1:], score_edges={"1": (0.5,)})
SEEDS = (
    PROFILES["m"].to_json(),
    sealed(SMALL).to_json(),
    sealed(msgspec.structs.replace(SMALL, output=None, features=())).to_json(),
)


def check(data: bytes) -> None:
    for read in (Profile.from_json, _resealed):
        try:
            profile = read(data)
        except ProfileError:
            continue
        assert Profile.from_json(profile.to_json()) == profile
        _use(profile)


def _resealed(data: bytes) -> Profile:
    """As somebody who can compute a hash would write it."""
    try:
        profile = msgspec.json.decode(data, type=Profile)
    except UNREADABLE as error:
        raise ProfileError(str(error)) from error
    return sealed(msgspec.structs.replace(profile, v=FORMAT_VERSION))


def _use(profile: Profile) -> None:
    layout = bin_layout(profile)
    PredictionDecoder(POLICY, {profile.model_name: feature_layout(profile)})
    if layout.hash_key_id is None:
        BinCounter(layout)
    comparison = Comparison(profile)
    counts = np.zeros(layout.size, np.int64)
    for part in layout.slices.values():
        counts[part.start] = 50
    pane = PredictionPane(n=50, binned={profile.schema_id: counts})
    for figure in prediction_figures(pane, comparison, MetricPolicy()):
        all_finite(json.loads(msgspec.json.encode((figure.value, figure.p_value))))
