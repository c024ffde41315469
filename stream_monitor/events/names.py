"""Every metric name, status, unit and one-line help, in one file.

Names marked `computed=False` are reserved by the contract and not published yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

MISSING_TAG = "__missing__"  # a segment value where the event has no such tag
INVALID_TAG = "__invalid__"  # a tag that is an object or a list
ALL_SEGMENTS = "all"  # label of the overall series, whose segment is {}


class Status(StrEnum):
    """What a metric's value is worth."""

    OK = "ok"
    INSUFFICIENT_DATA = "insufficient_data"  # there is a value, but fewer samples than it takes to judge it
    NO_REFERENCE = "no_reference"  # nothing to compare with, or two schemas in one window
    NO_DATA = "no_data"  # nothing happened in the window


class TimeBasis(StrEnum):
    """Whose time put an event into the window."""

    PREDICTION = "prediction"
    LABEL = "label"


class ReferenceKind(StrEnum):
    TRAINING = "training"
    BOOTSTRAP = "bootstrap"
    PREVIOUS = "previous"
    SEASONAL = "seasonal"
    VERSION = "version"


class MetricName(StrEnum):
    PREDICTIONS = "predictions"
    TOO_LATE = "too_late"
    PSI = "psi"
    CSI = "csi"
    CSI_POINTS = "csi_points"
    JS_DISTANCE = "js_distance"
    HELLINGER = "hellinger"
    KS = "ks"
    WASSERSTEIN = "wasserstein"
    CHI2 = "chi2"
    MISSING_RATIO = "missing_ratio"
    UNSEEN_RATIO = "unseen_ratio"
    OUT_OF_RANGE_RATIO = "out_of_range_ratio"
    INVALID_RATIO = "invalid_ratio"
    LATENCY_P50 = "latency_p50"
    LATENCY_P95 = "latency_p95"
    LATENCY_P99 = "latency_p99"
    LATENCY_MEAN = "latency_mean"
    ACCURACY = "accuracy"
    PRECISION = "precision"
    RECALL = "recall"
    F1 = "f1"
    AUC_ROC = "auc_roc"
    GINI = "gini"
    KS_SEPARATION = "ks_separation"
    AVERAGE_PRECISION = "average_precision"
    LOG_LOSS = "log_loss"
    BRIER = "brier"
    ECE = "ece"
    RMSE = "rmse"
    MAE = "mae"
    R2 = "r2"
    BIAS = "bias"
    LABEL_COVERAGE = "label_coverage"
    LABEL_DELAY_P50 = "label_delay_p50"
    LABEL_DELAY_P95 = "label_delay_p95"
    LABELS_JOINED = "labels_joined"
    LABELS_PENDING = "labels_pending"
    LABELS_EXPIRED = "labels_expired"
    LABELS_ORPHANED = "labels_orphaned"
    CONFUSION_MATRIX = "confusion_matrix"
    CHANGE_DETECTED = "change_detected"


Family = Literal["count", "drift", "quality", "latency", "performance", "labels", "change"]
Unit = Literal["events", "score", "ratio", "seconds", "target", "target squared", "none"]


# Published for each class of a multiclass model, and once for all (class null).
PER_CLASS = frozenset(
    {
        MetricName.PRECISION,
        MetricName.RECALL,
        MetricName.F1,
        MetricName.AUC_ROC,
        MetricName.GINI,
        MetricName.KS_SEPARATION,
    }
)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """`target` as unit: that of the predicted value itself."""

    name: MetricName
    family: Family
    unit: Unit
    help: str
    computed: bool = True


_N = MetricName
_SPECS = (
    MetricSpec(_N.PREDICTIONS, "count", "events", "Predictions whose time lies in the window."),
    MetricSpec(_N.TOO_LATE, "count", "events", "Events that came after the window's last revision; sum them."),
    MetricSpec(_N.PSI, "drift", "score", "Population stability index of the model's output."),
    MetricSpec(_N.CSI, "drift", "score", "Population stability index of one input feature."),
    MetricSpec(_N.CSI_POINTS, "drift", "score", "Shift of one feature in scorecard points.", False),
    MetricSpec(_N.JS_DISTANCE, "drift", "score", "Jensen-Shannon distance to the reference.", False),
    MetricSpec(_N.HELLINGER, "drift", "score", "Hellinger distance to the reference.", False),
    MetricSpec(_N.KS, "drift", "score", "Kolmogorov-Smirnov distance to the reference.", False),
    MetricSpec(_N.WASSERSTEIN, "drift", "score", "Wasserstein distance to the reference.", False),
    MetricSpec(_N.CHI2, "drift", "score", "Chi-square statistic against the reference.", False),
    MetricSpec(_N.MISSING_RATIO, "quality", "ratio", "Share of events without the feature."),
    MetricSpec(_N.UNSEEN_RATIO, "quality", "ratio", "Share of categories that the reference lacks."),
    MetricSpec(_N.OUT_OF_RANGE_RATIO, "quality", "ratio", "Share of numbers beyond the reference's range."),
    MetricSpec(_N.INVALID_RATIO, "quality", "ratio", "Share of values of the wrong type, NaN or infinite."),
    MetricSpec(_N.LATENCY_P50, "latency", "seconds", "Median of latency_seconds."),
    MetricSpec(_N.LATENCY_P95, "latency", "seconds", "95th percentile of latency_seconds."),
    MetricSpec(_N.LATENCY_P99, "latency", "seconds", "99th percentile of latency_seconds."),
    MetricSpec(_N.LATENCY_MEAN, "latency", "seconds", "Mean of latency_seconds."),
    MetricSpec(_N.ACCURACY, "performance", "ratio", "Share of labelled predictions that were right."),
    MetricSpec(_N.PRECISION, "performance", "ratio", "Share of predictions of a class that were right."),
    MetricSpec(_N.RECALL, "performance", "ratio", "Share of a class that was predicted as such."),
    MetricSpec(_N.F1, "performance", "ratio", "Harmonic mean of precision and recall."),
    MetricSpec(_N.AUC_ROC, "performance", "ratio", "Area under the ROC curve, from binned scores."),
    MetricSpec(_N.GINI, "performance", "ratio", "2 · AUC - 1."),
    MetricSpec(_N.KS_SEPARATION, "performance", "ratio", "Largest distance of the two classes' score curves."),
    MetricSpec(_N.AVERAGE_PRECISION, "performance", "ratio", "Area under the precision-recall curve.", False),
    MetricSpec(_N.LOG_LOSS, "performance", "score", "Mean negative log-likelihood.", False),
    MetricSpec(_N.BRIER, "performance", "score", "Mean squared error of the probability.", False),
    MetricSpec(_N.ECE, "performance", "score", "Expected calibration error.", False),
    MetricSpec(_N.RMSE, "performance", "target", "Root of the mean squared error."),
    MetricSpec(_N.MAE, "performance", "target", "Mean absolute error."),
    MetricSpec(_N.R2, "performance", "score", "Share of the target's variance that is explained."),
    MetricSpec(_N.BIAS, "performance", "target", "Mean error, predicted minus actual.", False),
    MetricSpec(_N.LABEL_COVERAGE, "labels", "ratio", "Share of the window's predictions with a label.", False),
    MetricSpec(_N.LABEL_DELAY_P50, "labels", "seconds", "Median time from prediction to label."),
    MetricSpec(_N.LABEL_DELAY_P95, "labels", "seconds", "95th percentile from prediction to label."),
    MetricSpec(_N.LABELS_JOINED, "labels", "events", "Labels that found their prediction."),
    MetricSpec(_N.LABELS_PENDING, "labels", "events", "Predictions that still wait for their label."),
    MetricSpec(_N.LABELS_EXPIRED, "labels", "events", "Predictions whose label deadline passed unlabelled."),
    MetricSpec(_N.LABELS_ORPHANED, "labels", "events", "Labels whose prediction never came."),
    MetricSpec(_N.CONFUSION_MATRIX, "performance", "events", "Counts of actual × predicted class, as cells."),
    MetricSpec(_N.CHANGE_DETECTED, "change", "none", "1 if a change detector fired in the window, else 0."),
)

METRICS: Mapping[str, MetricSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})
