PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 2002928963;
BEGIN TRANSACTION;
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
INSERT INTO "alarm_changes" VALUES(1,'01a1fc05-5c50-76b4-8b62-b89e254abf98','bed1',1800000000000000000,'start','nurse 7','01a1fc05-5c50-76e6-948f-c492bc641d23','asystole','Asystole','physiological','high','active',1,1800000000000000000,1800000001000000000,1800000009000000000,4.2,4.0,0.93,'rhythm 1.2.0',1,'Look at the patient.');
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
INSERT INTO "audit" VALUES(1,1800000000000000000,'bed1','nurse 7','set',1,'','{"limits":{"hr_high":130},"patient":"P-17"}');
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
CREATE TABLE clock_steps (
    run INTEGER NOT NULL REFERENCES runs (number),
    at_ns INTEGER NOT NULL,
    step_ns INTEGER NOT NULL,
    host_ns INTEGER NOT NULL
) STRICT;
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
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    lane INTEGER NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    content_type TEXT NOT NULL
) STRICT;
INSERT INTO "outbox" VALUES(1,'01a1fc05-5c50-77c3-9b6b-a3f0a85e4452',0,'wardbeat/v1/site/unit/bed/1/ALARM',X'7B22746167223A22616C61726D227D','application/json');
INSERT INTO "outbox" VALUES(2,'01a1fc05-5c50-780f-9b93-d51a48a45c74',1,'wardbeat/v1/site/unit/bed/1/STRIP',X'7B22746167223A22616C61726D227D','application/json');
INSERT INTO "outbox" VALUES(3,'01a1fc05-5c53-7e68-b1e6-07ac99dada9e',2,'wardbeat/v1/site/unit/bed/1/SUMMARY',X'7B22746167223A22616C61726D227D','application/json');
CREATE TABLE rhythm_changes (
    stream INTEGER NOT NULL REFERENCES streams (number),
    start_s REAL NOT NULL,
    start_ns INTEGER NOT NULL,
    rhythm TEXT NOT NULL,
    confidence REAL NOT NULL,
    judged_by TEXT NOT NULL,
    PRIMARY KEY (stream, start_s)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    boot TEXT NOT NULL,
    version TEXT NOT NULL,
    started_ns INTEGER NOT NULL,
    host_ns INTEGER NOT NULL
) STRICT;
INSERT INTO "runs" VALUES(1,'boot-of-old','0.1.0',1800000000000000000,5000000000000);
CREATE TABLE settings (
    bed TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    set_ns INTEGER NOT NULL,
    who TEXT NOT NULL,
    PRIMARY KEY (bed, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "settings" VALUES('bed1','limits','{"hr_high":130}',1800000000000000000,'nurse 7');
INSERT INTO "settings" VALUES('bed1','patient','"P-17"',1800000000000000000,'nurse 7');
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
INSERT INTO "streams" VALUES(1,'01a1fc05-5c43-7eae-aa7b-0e40bbf03743',1,'bed1','OpenBCI Cyton','/dev/serial/by-id/usb-FTDI-0','DM00Q0QE','v3.1.1',250.0,'[{"name":"II","microvolts_per_count":0.02235,"offset_counts":0.0,"full_scale_counts":[-8388608,8388607],"calibrated":true},{"name":"V1","microvolts_per_count":0.02235,"offset_counts":0.0,"full_scale_counts":null,"calibrated":true}]',1800000000000000000,5000000000000);
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
INSERT INTO "summaries" VALUES('0190-summary','bed1',1800000000000000000,60.0,68.0,72.4,79.0,72,1,'{"normal": 58.0}',2.0,0,0,31.0,44.0,0.08,'[]');
CREATE TABLE trials (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns INTEGER NOT NULL,
    bed TEXT NOT NULL,
    candidate TEXT NOT NULL,
    seconds REAL NOT NULL
) STRICT;
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
INSERT INTO "vitals" VALUES(1,'bed1',1800000000000000000,72.0,833.0,2,'usable',0.98,'normal',0.9,0.4,12.5);
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
INSERT INTO "waves" VALUES(2,1,0,400,1800000000000000000,5000000000000,250.0,'','flac',X'664C61430000002210001000000338000338000FA37000000190B0B623CF2ECE9B33C094F7B5D07C83E484000028200000007265666572656E6365206C6962464C414320312E342E3320323032333036323300000000FFF87E1C00018F0019DC12009CBA01B9751C59ED617DF4E9090AA8D175A5AA5028B9E2EB10D162CA359B8A822B98E6AC10F4081A8D1AC4A5AD4BE6447B85580B596EAECDB8741D51C28901D630ECB829192A9D31FA6F0D0826166D14BBAEB0B3514E1EFCB33E0854505EA0D447829A9AAB4AA08960411460C7D5567B18FE4F2C527DEB7E62512648A4F316AFE0A4B4942A44577629444658B8AD6678B65039209DC5A179E026D830A6A8F93C11E0E0EBDCB7DDCE5B72F28AEB01C89AFE6E92C894161B77D04D0E67A554626E04DE5F59884628F92A796FA45F372B9B1790976E0E6E9E112796253E17C8729FC533EA62EF886ABFDE21B33229CD0ED0AD104F74998CA905196C82A28180A72A568AD92A60DF5C9B0E2B39B2C38DF8648BF80E3DE55165F25C86E22804B7BF2956BC23F30E810F61097C836D598B264BEAEB44CB7785311BE14A0D15CA8D0BE6A327F61F6532044EC47638F65E209B47B5C74F8C4D0DD58C0866B6C45D890578EB117678CF4847D02682D8F570C979F4D30FC61FAC1C995ECE517EE99D8A2B1C8F42324B98E0F7667682D968EF12C588A0CE2189004DD300C8766D81435A7EDB75CF1ED02FBC6146507A11D51FE3AD119BD197434FA90B4DA4CF6924D7D8226AD1212D7CDF95104D285AC8C54108391CB3A0130B6BE9D5E92D1058543AAAFAB64D408138EB33BE7E2C42633502154C2C0108236D58DC213E3893DF1330615C4E2431A0C4AB569918699A8029D129AC27A0D85D0A5421FFA44B9AE288B8A8CD2CB5AC649252D8C281690DAE4C64325EC12599C2216DA90B2673D90D401792F51101B52534F56274C5F44CEB1889D2DA544A3514170509B76FA3310CAC085B4C9EE8F8363A13170E83A2A695AFEF532C3ECE45F4C08459DFD62BF772616A8EF5892284B0A30582C955F8CF0F1D1E064212A34085F84ABFCE08CD19414D0BDFECDDB2E428899B980402C6D6CDA26A31324BB013C8165A57B87E2E2BF37E5D2C1117171D61151572B0E42FA914340626BA216D2E7E340CB78F0F5D996C7533D1539E2414BDE9451119D7E58740B19C50915E499D82F0A94421CF310B760B2850454D34C9A59A0D4A3C5C1075D992D100827F38A08809D7457113FF328DDAE8E26AA2409644B085EE90BABB782B56');
CREATE INDEX streams_of_bed ON streams (bed, start_ns);
CREATE UNIQUE INDEX waves_by_sample ON waves (stream, first);
CREATE INDEX waves_by_time ON waves (stream, start_ns, count, true_rate_hz);
CREATE INDEX waves_pieces ON waves (stream, first)
WHERE codec = 'delta-zlib' AND count < 30.0 * true_rate_hz;
CREATE INDEX gaps_by_time ON gaps (start_ns);
CREATE INDEX vitals_by_time ON vitals (bed, at_ns);
CREATE INDEX summaries_by_time ON summaries (start_ns);
CREATE INDEX beats_by_time ON beats (at_ns);
CREATE INDEX rhythm_changes_by_time ON rhythm_changes (start_ns);
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
CREATE INDEX findings_by_time ON findings (onset_ns);
CREATE INDEX alarm_changes_of_alarm ON alarm_changes (alarm_id, number);
CREATE INDEX alarm_changes_by_time ON alarm_changes (bed, at_ns);
CREATE INDEX alarm_changes_open ON alarm_changes (bed, number) WHERE state <> 'inactive';
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
CREATE INDEX outbox_in_order ON outbox (lane, number);
CREATE INDEX audit_by_time ON audit (at_ns);
CREATE INDEX feedback_of_alarm ON feedback (alarm_id, number);
CREATE INDEX disagreements_by_time ON disagreements (at_ns);
CREATE INDEX trials_by_time ON trials (at_ns);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('alarm_changes',1);
INSERT INTO "sqlite_sequence" VALUES('outbox',3);
INSERT INTO "sqlite_sequence" VALUES('audit',1);
INSERT INTO "sqlite_sequence" VALUES('streams',1);
INSERT INTO "sqlite_sequence" VALUES('waves',2);
COMMIT;
PRAGMA user_version = 2;
