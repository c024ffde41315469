"""KeyCounts, Confusion, ScoreCounts, BottomK: exact below their limit, and lawful beyond it."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest

from stream_monitor.sketches.bottom_k import BottomK, sample_hashes
from stream_monitor.sketches.confusion import OTHER_CLASS, Confusion
from stream_monitor.sketches.hashing import hash64, hash_key, key_id
from stream_monitor.sketches.key_counts import KeyCounts
from stream_monitor.sketches.score_counts import DEFAULT_SCORE_EDGES, ScoreCounts


def test_hashes_are_keyed_blake2b_and_hex_is_the_same_number() -> None:
    expected = blake2b(b"EU", digest_size=8, key=b"k").digest()
    assert hash64("EU", b"k") == int.from_bytes(expected, "big")
    assert hash_key("EU", b"k") == f"{hash64('EU', b'k'):016x}" == expected.hex()
    assert hash64("EU", b"k") != hash64("EU", b"other")
    assert hash64("\ud800") != hash64("\ud801")  # lone surrogates from JSON
    assert key_id(b"k") != key_id(b"other")


@given(st.lists(st.text(max_size=3)))
def test_key_counts_are_a_counter_while_they_fit(texts: list[str]) -> None:
    sketch = KeyCounts()
    sketch.update(texts, b"k")
    assert sketch.counts == {hash64(text, b"k"): count for text, count in Counter(texts).items()}
    assert sketch.total == len(texts)
    assert not sketch.saturated


def test_saturated_key_counts_keep_exact_counts_of_the_smallest_hashes() -> None:
    texts = [str(i % 300) for i in range(2000)]
    sketch = KeyCounts(limit=50)
    for start in range(0, 2000, 100):
        sketch.update(texts[start : start + 100])
    exact = Counter(map(hash64, texts))
    assert sketch.counts == {hashed: exact[hashed] for hashed in sorted(exact)[:50]}
    assert sketch.total == 2000
    assert sketch.saturated


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"))))
def test_confusion_is_a_counter_of_pairs(pairs: list[tuple[str, str]]) -> None:
    sketch = Confusion()
    sketch.update([a for a, _ in pairs], [p for _, p in pairs])
    assert sketch.counts == Counter(pairs)
    assert sketch.total == len(pairs)
    assert sketch.classes == sorted({c for pair in pairs for c in pair})


def test_classes_beyond_the_limit_are_counted_as_other() -> None:
    names = [f"class{i}" for i in range(80)]
    sketch = Confusion(limit=50)
    for name in names:
        sketch.update([name], [name])
    kept = set(sorted(names, key=hash64)[:50])
    assert sketch.counts == {**{(c, c): 1 for c in kept}, (OTHER_CLASS, OTHER_CLASS): 30}
    assert sketch.saturated


@given(st.lists(st.tuples(st.floats(-0.5, 1.5), st.booleans())))
def test_scores_are_counted_on_half_open_bins(rows: list[tuple[float, bool]]) -> None:
    edges = np.array(DEFAULT_SCORE_EDGES)
    sketch = ScoreCounts()
    sketch.update("1", np.array([s for s, _ in rows]), np.array([p for _, p in rows], np.bool_), edges)
    expected = Counter((int(positive), bisect_right(DEFAULT_SCORE_EDGES, score)) for score, positive in rows)
    counts = sketch.counts["1"]
    assert counts.shape == (2, 256)
    assert {(int(r), int(b)): int(counts[r, b]) for r, b in np.argwhere(counts)} == expected


def test_scores_on_other_bins_do_not_merge() -> None:
    scores, positive = np.array([0.5]), np.array([True])
    a, b = ScoreCounts(), ScoreCounts()
    a.update("1", scores, positive, np.array([0.1, 0.2]))
    b.update("1", scores, positive, np.array([0.1]))
    with pytest.raises(ValueError, match="counted on 3 bins, not 2"):
        a.merge(b)


def test_score_classes_beyond_the_limit_are_dropped_by_hash() -> None:
    sketch = ScoreCounts(limit=3)
    for i in range(9):
        sketch.update(str(i), np.array([0.5]), np.array([True]), np.array([0.4]))
    assert set(sketch.counts) == set(sorted(map(str, range(9)), key=hash64)[:3])
    assert sketch.saturated


def test_the_sample_is_the_k_smallest_hashes_and_is_fed_in_time_order() -> None:
    ids = [f"id{i}" for i in range(500)]
    moments = [1000 + (i * 37) % 100 for i in range(500)]
    sketch = BottomK(k=64)
    for start in range(0, 500, 50):
        part = slice(start, start + 50)
        sketch.add_many(ids[part], moments[part], [1.0] * 50)
    hashes = sample_hashes(ids).tolist()
    chosen = sorted(range(500), key=hashes.__getitem__)[:64]
    assert [s.prediction_id for s in sketch.entries] == [ids[i] for i in chosen]
    assert [(s.label_ms, s.prediction_id) for s in sketch.ordered()] == sorted((moments[i], ids[i]) for i in chosen)
    assert all(s.error == 1.0 and s.score is None for s in sketch.entries)


def test_the_sample_of_numbered_ids_is_even_over_their_numbers() -> None:
    # crc32 alone is linear: of ids that count up it would pick in patterns.
    for text in ("pred-{:012d}", "{}", "0198c0de-0000-7000-8000-{:012x}"):
        hashes = sample_hashes([text.format(i) for i in range(20_000)])
        chosen = np.argsort(hashes)[:2_000]
        for period in (2, 7, 10, 16, 64, 1_000):
            shares = np.bincount(chosen % period, minlength=period)
            assert chisquare(shares).pvalue > 1e-4, (text, period)
        assert kstest(chosen / 20_000, "uniform").pvalue > 1e-4


def test_only_candidates_can_enter_the_sample() -> None:
    ids = [f"id{i}" for i in range(300)]
    whole, chosen = BottomK(k=16), BottomK(k=16)
    for start in range(0, 300, 60):
        part = ids[start : start + 60]
        places = chosen.candidates(sample_hashes(part)).tolist()
        assert len(places) <= 16
        chosen.add_many([part[i] for i in places], [1] * len(places))
        whole.add_many(part, [1] * 60)
    assert chosen.entries == whole.entries


def test_an_entry_added_twice_counts_twice() -> None:
    sketch = BottomK(k=3)
    sketch.add_many(["a", "a"], [5, 5], [0.0, float("nan")])
    assert [s.error for s in sketch.ordered()] == [None, 0.0]
