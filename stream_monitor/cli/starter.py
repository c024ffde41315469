"""The commented config that `init` writes: the contract's example, every key at its default unless said otherwise."""

STARTER = """\
# stream-monitor config. Every key has a default, but a model's name.
# Any key can be overridden by the environment: STREAM_MONITOR_KAFKA__BOOTSTRAP_SERVERS,
# STREAM_MONITOR_PROMETHEUS__PORT, STREAM_MONITOR_MODELS__0__MAX_PAST.
# Durations: 10s, 5m, 1h30m, 24h, 7d, or a number of seconds.
# Relative paths start at this file's folder. Check it with: stream-monitor validate -c FILE

kafka:                          # any librdkafka property
  bootstrap.servers: localhost:9092
  # security.protocol: SASL_SSL

topics:
  predictions: predictions      # both keyed by prediction_id, with the same number of partitions
  labels: labels
  prefix: streammonitor.        # the monitor's own topics: streammonitor.metrics, streammonitor.alerts, ...

# repartition: true             # if they are keyed by something else; then their partitions may differ too
# timestamp_unit: s             # of numeric timestamps: s, ms, us or ns
# mapping:                      # where our fields stand in your events, if elsewhere
#   prediction_id: payload.request_id

models:
  - name: my-model              # the model_name of its events
    task: binary                # binary, multiclass or regression
    positive_class: "1"         # the class whose probability prediction.score is
    reference:                  # what the stream is compared with
      bootstrap: {events: 10000, max_age: 24h}    # the first events, or a file:
      # profile: profiles/my-model.json           # made by: stream-monitor profile build
    windows:
      - {size: 5m}
      - {size: 1h, slide: 5m}
    max_out_of_order: 10s       # how far events may arrive out of order
    allowed_lateness: 2m        # how long a closed window is still corrected
    max_past: 7d                # older events are rejected; null: any age
    labels: {join_window: 24h}  # how long a prediction waits for its label
    segments: []                # windows of their own by tag, such as [[tags.country]]
    detectors:                  # of changes in the relation of inputs and outcome
      - {signal: error, kind: adwin}

alerts:
  target_false_alarms_per_day: 0.1    # per model

rules:
  - {name: input-drift, metric: csi, above: 0.2, for: 2, severity: warning}
  - {name: output-drift, metric: psi, above: 0.2, for: 2, severity: warning}
  - {name: concept-drift, metric: change_detected, above: 0, severity: critical, keep_firing_for: 1h}

# react:
#   webhook: {url: "https://example.com/alerts"}

prometheus: {host: 127.0.0.1, port: 9108}
state_dir: ./state
"""
