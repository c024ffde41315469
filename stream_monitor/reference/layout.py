"""From a profile to what ingest needs of it: slots to count into, features to decode."""

from __future__ import annotations

from stream_monitor.events.columns import FeatureLayout
from stream_monitor.reference.profile import Feature, NumericFeature, Profile
from stream_monitor.sketches.bins import BinLayout, BinSpec, CategoricalBins, NumericBins


def bin_layout(profile: Profile) -> BinLayout:
    """The slots of the profile's features and output; its schema_id is the profile's."""
    return BinLayout(
        features=tuple(map(bin_spec, profile.features)),
        output=None if profile.output is None else bin_spec(profile.output),
        schema_id=profile.schema_id,
        hash_key_id=profile.hash_key_id,
    )


def bin_spec(feature: Feature) -> BinSpec:
    """The slots of one feature."""
    if isinstance(feature, NumericFeature):
        return NumericBins(feature.name, feature.edges)
    return CategoricalBins(
        name=feature.name,
        categories=feature.categories,
        other_hashes=frozenset(feature.other_hashes),
        open_vocabulary=feature.open_vocabulary,
        hashed=feature.hashed,
    )


def needs_hashes(feature: Feature) -> bool:
    """Whether counting this feature takes the hash key its profile was built with."""
    spec = bin_spec(feature)
    return isinstance(spec, CategoricalBins) and spec.needs_hashes


def feature_layout(profile: Profile) -> FeatureLayout:
    """Names and kinds for decoding, in the profile's order."""
    return FeatureLayout(
        names=tuple(feature.name for feature in profile.features),
        kinds=tuple("numeric" if isinstance(f, NumericFeature) else "categorical" for f in profile.features),
    )
