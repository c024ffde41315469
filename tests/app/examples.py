"""Configs used by several tests."""

CONTRACT = """
kafka: {bootstrap.servers: "localhost:9092"}          # any librdkafka property, dangerous ones refused
topics: {predictions: predictions, labels: labels, prefix: "streammonitor."}
models:
  - name: credit
    task: binary                                      # binary | multiclass | regression
    positive_class: "1"
    reference: {profile: profiles/credit.json}
    windows: [{size: 5m}, {size: 1h, slide: 5m}]
    max_out_of_order: 10s
    max_past: 7d                                      # null: any age
    allowed_lateness: 2m
    labels: {join_window: 24h}
    segments: [[tags.country]]
    detectors: [{signal: error, kind: adwin}, {signal: error, kind: page_hinkley}]
alerts: {target_false_alarms_per_day: 0.1}
rules: [{name: input-drift, metric: csi, above: 0.2, for: 2, severity: warning}]
prometheus: {host: 127.0.0.1, port: 9108}
state_dir: ./state
"""
