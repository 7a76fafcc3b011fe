-- What people think of alarms. Append-only: the newest row on an alarm counts.
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    bed TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    alarm_id TEXT NOT NULL,
    code TEXT NOT NULL,
    judgement TEXT NOT NULL,
    -- The rhythm they see; NULL where they said none.
    rhythm TEXT,
    note TEXT NOT NULL,
    who TEXT NOT NULL,
    -- Who raised the alarm, and the networks in use at the judgement (JSON).
    judged_by TEXT NOT NULL,
    models TEXT NOT NULL,
    -- The ECG around the alarm as the contract's strip (MessagePack); outlives the waves.
    strip BLOB
) STRICT;
CREATE INDEX feedback_of_alarm ON feedback (alarm_id, number);

-- Where a network that runs in shadow says otherwise than the one in use.
CREATE TABLE disagreements (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns INTEGER NOT NULL,
    bed TEXT NOT NULL,
    -- 'quality', 'rhythm' or 'beats'
    stage TEXT NOT NULL,
    in_use TEXT NOT NULL,
    in_use_said TEXT NOT NULL,
    in_use_confidence REAL NOT NULL,
    candidate TEXT NOT NULL,
    candidate_said TEXT NOT NULL,
    candidate_confidence REAL NOT NULL
) STRICT;
CREATE INDEX disagreements_by_time ON disagreements (at_ns);

-- How long a candidate ran beside the one in use, each minute a row: what the counts are of.
CREATE TABLE trials (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns INTEGER NOT NULL,
    bed TEXT NOT NULL,
    candidate TEXT NOT NULL,
    seconds REAL NOT NULL
) STRICT;
CREATE INDEX trials_by_time ON trials (at_ns);
