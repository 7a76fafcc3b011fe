-- Times ending in _ns are UTC nanoseconds since 1970; host_ns is the host's monotonic clock and
-- comparable within one boot only. Times ending in _s are stream seconds: sample / rate_hz.

-- One row per start of the agent; number is the boot counter.
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    boot TEXT NOT NULL,
    version TEXT NOT NULL,
    started_ns INTEGER NOT NULL,
    host_ns INTEGER NOT NULL
) STRICT;

-- The host's wall clock was set: what this run wrote before at_ns is off by step_ns.
CREATE TABLE clock_steps (
    run INTEGER NOT NULL REFERENCES runs (number),
    at_ns INTEGER NOT NULL,
    step_ns INTEGER NOT NULL,
    host_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE streams (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    run INTEGER NOT NULL REFERENCES runs (number),
    bed TEXT NOT NULL,
    device TEXT NOT NULL,
    address TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    firmware TEXT NOT NULL,
    rate_hz REAL NOT NULL,
    -- [{"name", "microvolts_per_count", "offset_counts", "full_scale_counts", "calibrated"}, …]
    leads TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    host_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX streams_of_bed ON streams (bed, start_ns);

-- Consecutive samples, none missing, all leads, as the device's own integers.
CREATE TABLE waves (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    stream INTEGER NOT NULL REFERENCES streams (number),
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    host_ns INTEGER NOT NULL,
    true_rate_hz REAL NOT NULL,
    -- What the device said of each lead, constant over the row: 'on off'; '' when it says nothing.
    lead_states TEXT NOT NULL,
    codec TEXT NOT NULL,
    samples BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX waves_by_sample ON waves (stream, first);
-- With what sums up the hours stored, so that a start need not read the waves.
CREATE INDEX waves_by_time ON waves (stream, start_ns, count, true_rate_hz);
-- Short pieces, waiting to be folded into a block.
CREATE INDEX waves_pieces ON waves (stream, first)
WHERE codec = 'delta-zlib' AND count < 30.0 * true_rate_hz;

CREATE TABLE gaps (
    stream INTEGER NOT NULL REFERENCES streams (number),
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    cause TEXT NOT NULL,
    exact INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    host_ns INTEGER NOT NULL,
    PRIMARY KEY (stream, first)
) STRICT, WITHOUT ROWID;
CREATE INDEX gaps_by_time ON gaps (start_ns);

CREATE TABLE vitals (
    number INTEGER PRIMARY KEY,
    bed TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    rate_bpm REAL,
    rr_ms REAL,
    pvc_per_min INTEGER,
    quality TEXT NOT NULL,
    p_usable REAL NOT NULL,
    rhythm TEXT NOT NULL,
    rhythm_confidence REAL NOT NULL,
    rate_age_s REAL,
    lag_ms REAL NOT NULL
) STRICT;
CREATE INDEX vitals_by_time ON vitals (bed, at_ns);

CREATE TABLE summaries (
    id TEXT NOT NULL PRIMARY KEY,
    bed TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    duration_s REAL NOT NULL,
    rate_min REAL,
    rate_mean REAL,
    rate_max REAL,
    beats INTEGER NOT NULL,
    pvcs INTEGER NOT NULL,
    seconds_by_rhythm TEXT NOT NULL,
    seconds_unusable REAL NOT NULL,
    gaps INTEGER NOT NULL,
    lost_samples INTEGER NOT NULL,
    rmssd_ms REAL,
    sdnn_ms REAL,
    pnn50 REAL,
    models TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX summaries_by_time ON summaries (start_ns);

CREATE TABLE beats (
    stream INTEGER NOT NULL REFERENCES streams (number),
    time_s REAL NOT NULL,
    at_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    rr_s REAL,
    confidence REAL NOT NULL,
    judged_by TEXT NOT NULL,
    amplitude_uv REAL NOT NULL,
    PRIMARY KEY (stream, time_s)
) STRICT, WITHOUT ROWID;
CREATE INDEX beats_by_time ON beats (at_ns);

CREATE TABLE rhythm_changes (
    stream INTEGER NOT NULL REFERENCES streams (number),
    start_s REAL NOT NULL,
    start_ns INTEGER NOT NULL,
    rhythm TEXT NOT NULL,
    confidence REAL NOT NULL,
    judged_by TEXT NOT NULL,
    PRIMARY KEY (stream, start_s)
) STRICT, WITHOUT ROWID;
CREATE INDEX rhythm_changes_by_time ON rhythm_changes (start_ns);

-- Each rhythm with its end: the next change in the same stream, NULL for the last.
CREATE VIEW rhythm_segments AS
SELECT
    streams.bed,
    changes.stream,
    changes.start_s,
    LEAD(changes.start_s) OVER following AS end_s,
    changes.start_ns,
    LEAD(changes.start_ns) OVER following AS end_ns,
    changes.rhythm,
    changes.confidence,
    changes.judged_by
FROM rhythm_changes AS changes
JOIN streams ON streams.number = changes.stream
WINDOW following AS (PARTITION BY changes.stream ORDER BY changes.start_s);

CREATE TABLE findings (
    stream INTEGER NOT NULL REFERENCES streams (number),
    kind TEXT NOT NULL,
    onset_s REAL NOT NULL,
    onset_ns INTEGER NOT NULL,
    found_s REAL NOT NULL,
    ended_s REAL,
    ended_ns INTEGER,
    value REAL,
    limit_value REAL,
    confidence REAL NOT NULL,
    judged_by TEXT NOT NULL,
    -- Stream times of the beats that made it, JSON.
    beats TEXT NOT NULL,
    PRIMARY KEY (stream, kind, onset_s)
) STRICT, WITHOUT ROWID;
CREATE INDEX findings_by_time ON findings (onset_ns);

-- Append-only: each row is one change with the whole alarm after it.
CREATE TABLE alarm_changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    bed TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    phase TEXT NOT NULL,
    who TEXT NOT NULL,
    alarm_id TEXT NOT NULL,
    code TEXT NOT NULL,
    text TEXT NOT NULL,
    kind TEXT NOT NULL,
    priority TEXT NOT NULL,
    state TEXT NOT NULL,
    acknowledged INTEGER NOT NULL,
    onset_ns INTEGER NOT NULL,
    raised_ns INTEGER NOT NULL,
    ended_ns INTEGER,
    value REAL,
    limit_value REAL,
    confidence REAL NOT NULL,
    judged_by TEXT NOT NULL,
    hidden INTEGER NOT NULL,
    remedy TEXT NOT NULL
) STRICT;
CREATE INDEX alarm_changes_of_alarm ON alarm_changes (alarm_id, number);
CREATE INDEX alarm_changes_by_time ON alarm_changes (bed, at_ns);
CREATE INDEX alarm_changes_open ON alarm_changes (bed, number) WHERE state <> 'inactive';

-- Every alarm as it stands: its last change.
CREATE VIEW alarms AS
SELECT
    alarm_id AS id, bed, code, text, kind, priority, state, acknowledged, onset_ns, raised_ns,
    ended_ns, value, limit_value, confidence, judged_by, hidden, remedy, number AS last_change,
    at_ns AS changed_ns
FROM alarm_changes AS change
WHERE NOT EXISTS (
    SELECT 1 FROM alarm_changes AS later
    WHERE later.alarm_id = change.alarm_id AND later.number > change.number
);

-- What must still reach the broker; AUTOINCREMENT, so that a number in flight is never reused.
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    lane INTEGER NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    content_type TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_in_order ON outbox (lane, number);

CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns INTEGER NOT NULL,
    bed TEXT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    accepted INTEGER NOT NULL,
    reason TEXT NOT NULL,
    details TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at_ns);

CREATE TABLE settings (
    bed TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    set_ns INTEGER NOT NULL,
    who TEXT NOT NULL,
    PRIMARY KEY (bed, name)
) STRICT, WITHOUT ROWID;
