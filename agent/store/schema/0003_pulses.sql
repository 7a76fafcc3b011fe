-- Pacing pulses that were marked in the minute; the samples themselves keep each of them.
ALTER TABLE summaries ADD COLUMN pulses INTEGER NOT NULL DEFAULT 0;
