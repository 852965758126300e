-- The store, version 1. Times are milliseconds since 1970. CHECKs repeat the rules of each state, so that a
-- wrong statement fails instead of leaving a row that no query finds. They use OR, because SQLite builds a
-- table for an IN with more than two values, again for each statement.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Small rows that are kept for long, because repeats are detected by them. Text of people is in `bodies`.
CREATE TABLE events (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL,
    via          TEXT    NOT NULL,
    type         TEXT    NOT NULL,
    feedback_id  TEXT,
    feedback_app TEXT,
    received_at  INTEGER NOT NULL,
    state        TEXT    NOT NULL
        CHECK (state = 'routed' OR state = 'unrouted' OR state = 'noted' OR state = 'ignored'
           OR state = 'unreadable'),
    -- The hashes of the reporter's ids, one after the other, so that `erase --user` finds the event. Erasing is
    -- rare, so it may scan all events.
    users        BLOB,
    CHECK ((feedback_id IS NULL) = (feedback_app IS NULL))
) STRICT;
-- Includes the receiving app: an event of one app must not hide a report of another.
CREATE UNIQUE INDEX events_by_feedback ON events (feedback_id, feedback_app, via)
    WHERE feedback_id IS NOT NULL;
CREATE INDEX events_by_via ON events (via, seq);
-- Excludes routed events, which are nearly all. Written with OR, because SQLite detects that `state = 'noted'`
-- implies this condition, but not that it implies `state <> 'routed'` or an IN.
CREATE INDEX events_by_state ON events (state, seq)
    WHERE state = 'unrouted' OR state = 'noted' OR state = 'ignored' OR state = 'unreadable';
CREATE INDEX events_by_time ON events (received_at);

-- The ids of all events except the newest (see event_id_index.rs). `key` is a part of the id's hash.
CREATE TABLE event_ids (
    key       INTEGER NOT NULL,
    event_seq INTEGER NOT NULL,
    PRIMARY KEY (key, event_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE bodies (
    event_seq INTEGER PRIMARY KEY REFERENCES events (seq) ON DELETE CASCADE,
    body      TEXT    NOT NULL
) STRICT;

CREATE TABLE deliveries (
    id               INTEGER PRIMARY KEY,
    event_seq        INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    destination      TEXT    NOT NULL,
    -- The severity of a report; an operator notice is below all reports.
    rank             TEXT    NOT NULL
        CHECK (rank = 'critical' OR rank = 'warning' OR rank = 'info' OR rank = 'notice'),
    trigger          TEXT    NOT NULL
        CHECK (trigger = 'event' OR trigger = 'late_images' OR trigger = 'edit' OR trigger = 'fallback'
           OR trigger = 'replay' OR trigger = 'test' OR trigger = 'incident'),
    state            TEXT    NOT NULL
        CHECK (state = 'pending' OR state = 'sending' OR state = 'delivered' OR state = 'dead'
           OR state = 'discarded' OR state = 'unconfirmed' OR state = 'held' OR state = 'merged'
           OR state = 'suppressed'),
    form             TEXT    NOT NULL
        CHECK (form = 'full' OR form = 'no_images' OR form = 'post' OR form = 'text'),
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    failures         INTEGER NOT NULL DEFAULT 0,  -- attempts that count for the backoff
    unanswered       INTEGER NOT NULL DEFAULT 0,  -- failures whose answer was lost
    tried            INTEGER NOT NULL DEFAULT 0 CHECK (tried = 0 OR tried = 1),  -- whether an attempt has failed
    failed_at        INTEGER,                     -- uptime (see uptime.rs) of the last failure
    created_at       INTEGER NOT NULL,
    due_at           INTEGER NOT NULL,
    first_due_at     INTEGER NOT NULL,
    rerouted         INTEGER NOT NULL DEFAULT 0 CHECK (rerouted = 0 OR rerouted = 1),  -- whether the fallback has it
    due_since        INTEGER,                     -- uptime from which retry_for counts; NULL: a command made it due
    waits_for_images INTEGER NOT NULL DEFAULT 0 CHECK (waits_for_images IN (0, 1)),
    lease_token      INTEGER,
    lease_until      INTEGER,
    shown            INTEGER NOT NULL DEFAULT 0,  -- one bit for each image that was shown
    spec            TEXT    NOT NULL,            -- rule, template, mentions, labels, wait
    reason           TEXT,
    edits            INTEGER,                     -- the delivery whose message an edit changes
    incident_id      INTEGER,                     -- the incident whose messages count a merged report
    silence_id       INTEGER,                     -- the silence that muted it
    rules            TEXT,                        -- JSON: the rules that name the destination; NULL: the one in `spec`
    summary_seq      INTEGER,                     -- the event of the summary that counts it
    -- Why it is held or was summarised, and the windows of `hold`.
    held_for         TEXT
        CHECK (held_for IS NULL OR held_for = 'late' OR held_for = 'hold' OR held_for = 'stale'),
    held_hours       TEXT,
    reported_at      INTEGER,                     -- when its report was made; NULL unless held or summarised
    again            INTEGER NOT NULL DEFAULT 0 CHECK (again IN (0, 1)),
    CHECK ((trigger = 'edit') = (edits IS NOT NULL)),
    CHECK (again = 0 OR trigger = 'edit'),
    CHECK (state <> 'merged' OR incident_id IS NOT NULL OR summary_seq IS NOT NULL),
    CHECK (state <> 'held' OR held_for IS NOT NULL),
    CHECK (state <> 'suppressed' OR silence_id IS NOT NULL),
    CHECK (trigger <> 'edit' OR state <> 'dead'),
    CHECK ((state = 'sending') = (lease_token IS NOT NULL)),
    CHECK ((state = 'sending') = (lease_until IS NOT NULL)),
    CHECK (waits_for_images = 0 OR state = 'pending')
) STRICT;
CREATE INDEX deliveries_due ON deliveries (destination, rank, tried, due_at) WHERE state = 'pending';
CREATE INDEX deliveries_tried ON deliveries (destination, due_since) WHERE state = 'pending' AND tried = 1;
CREATE INDEX deliveries_leased ON deliveries (destination, lease_until) WHERE state = 'sending';
CREATE INDEX deliveries_ended ON deliveries (state, destination, id)
    WHERE state = 'dead' OR state = 'discarded' OR state = 'unconfirmed';
CREATE INDEX deliveries_suppressed ON deliveries (silence_id, id) WHERE state = 'suppressed';
CREATE INDEX deliveries_held ON deliveries (destination, due_at) WHERE state = 'held';
CREATE INDEX deliveries_summarised ON deliveries (summary_seq, reported_at) WHERE summary_seq IS NOT NULL;
CREATE INDEX deliveries_by_event ON deliveries (event_seq, destination);
-- A message has at most one open edit, so that two edits of it are never in flight together.
CREATE UNIQUE INDEX deliveries_editing ON deliveries (edits)
    WHERE edits IS NOT NULL AND (state = 'pending' OR state = 'sending');

-- The platforms' ids of sent messages that can be replied to and edited later.
CREATE TABLE messages (
    delivery_id INTEGER PRIMARY KEY REFERENCES deliveries (id) ON DELETE CASCADE,
    event_seq   INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    destination TEXT    NOT NULL,
    handle      TEXT    NOT NULL,
    sent_at     INTEGER NOT NULL,
    -- Whether the platform no longer changes it: readers removed it, or it is too old.
    is_final    INTEGER NOT NULL DEFAULT 0 CHECK (is_final = 0 OR is_final = 1)
) STRICT;
CREATE INDEX messages_by_event ON messages (event_seq, destination, delivery_id);

-- Reports that are counted together: those that a rule matched, of one type (`kind`) and with the same values of
-- its `group_by` (`key`).
CREATE TABLE incidents (
    id           INTEGER PRIMARY KEY,
    -- What timers depend on (see decide/incident.rs). `columns::progress` reads these columns by their positions.
    state        TEXT    NOT NULL
        CHECK (state = 'open' OR state = 'quiet' OR state = 'continued' OR state = 'done' OR state = 'closed'),
    terms        TEXT    NOT NULL,
    opened_at    INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    shown_at     INTEGER,
    edit_due     INTEGER NOT NULL CHECK (edit_due = 0 OR edit_due = 1),
    digested     INTEGER NOT NULL,
    digested_at  INTEGER NOT NULL,
    notified     INTEGER NOT NULL,
    notified_at  INTEGER NOT NULL,
    steps_done   INTEGER NOT NULL,
    claimed      INTEGER NOT NULL CHECK (claimed = 0 OR claimed = 1),
    -- The reports up to `applied_to` have the status of the last button action; those up to `applies_to` get it.
    applied_to   INTEGER NOT NULL DEFAULT 0,
    applies_to   INTEGER NOT NULL DEFAULT 0,
    ended_at     INTEGER,
    late         INTEGER NOT NULL DEFAULT 0,      -- how many of its reports were late
    burst_from   INTEGER,                         -- the number of reports at the start of a period, and its start
    burst_at     INTEGER,
    reopened     INTEGER NOT NULL,                -- how many with this key became quiet in the day before
    silence_id   INTEGER,                         -- the silence that mutes it, or its last one after its end
    muted_until  INTEGER,
    silenced     INTEGER NOT NULL DEFAULT 0,      -- reports that silences muted
    silenced_before INTEGER NOT NULL DEFAULT 0,   -- those before the last mute began
    next_at      INTEGER,                         -- when the next timer is due
    rule         TEXT    NOT NULL,
    kind         INTEGER,
    key          TEXT    NOT NULL,
    key_hash     BLOB    NOT NULL,
    severity     TEXT    NOT NULL
        CHECK (severity = 'critical' OR severity = 'warning' OR severity = 'info'),
    people       INTEGER NOT NULL DEFAULT 0,
    tenants      INTEGER NOT NULL DEFAULT 0,
    keys         INTEGER NOT NULL DEFAULT 0,
    previous     INTEGER,                         -- the last incident with this key
    fault_hash   BLOB,                            -- of type, app and fault; NULL unless it is grouped by both
    -- The last button action: the status that it set, when, and by whom. NULL if there was none.
    status       INTEGER,
    acted_at     INTEGER,
    through      TEXT CHECK (through = 'feishu' OR through = 'slack'),
    by_name      TEXT,
    by_id        TEXT,
    by_app       TEXT,
    here_only    INTEGER NOT NULL DEFAULT 0 CHECK (here_only = 0 OR here_only = 1),
    operators    TEXT,                            -- JSON: the actor's open id for each receiving app
    event_seq    INTEGER REFERENCES events (seq) ON DELETE SET NULL,  -- its own event, with its messages
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK ((burst_from IS NULL) = (burst_at IS NULL)),
    CHECK ((silence_id IS NULL) = (muted_until IS NULL)),
    CHECK ((status IS NULL) = (acted_at IS NULL)),
    CHECK ((status IS NULL) = (through IS NULL))
) STRICT;
-- Whether an incident is open is decided by this index alone.
CREATE UNIQUE INDEX incidents_open ON incidents (rule, key_hash) WHERE state = 'open';
CREATE INDEX incidents_by_key ON incidents (rule, key_hash, id);
-- Open ones with messages of their own: those that monitoring lists. There are few.
CREATE INDEX incidents_merging ON incidents (id) WHERE state = 'open' AND shown_at IS NOT NULL;
CREATE INDEX incidents_due ON incidents (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX incidents_ended ON incidents (ended_at) WHERE ended_at IS NOT NULL;
-- Only those whose messages people have seen.
CREATE INDEX incidents_by_fault ON incidents (fault_hash, ended_at)
    WHERE fault_hash IS NOT NULL AND shown_at IS NOT NULL AND ended_at IS NOT NULL;
CREATE INDEX incidents_by_event ON incidents (event_seq) WHERE event_seq IS NOT NULL;

CREATE TABLE incident_events (
    incident_id INTEGER NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    event_seq   INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    number      INTEGER NOT NULL,   -- how many reports the incident had then, including this one
    PRIMARY KEY (incident_id, event_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_events_by_event ON incident_events (event_seq);

-- What the reports of an incident come from, as hashes: people (`kind` 0), tenants (1), and the keys that a collective
-- incident counts (2). The rows only prevent that one is counted twice.
CREATE TABLE incident_sources (
    incident_id INTEGER NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    kind        INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),
    source      BLOB    NOT NULL,
    PRIMARY KEY (incident_id, kind, source)
) STRICT, WITHOUT ROWID;

-- The destinations of an incident, with the message spec of its first report there.
CREATE TABLE incident_destinations (
    incident_id INTEGER NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    destination TEXT    NOT NULL,
    severity    TEXT    NOT NULL
        CHECK (severity = 'critical' OR severity = 'warning' OR severity = 'info'),
    spec        TEXT    NOT NULL,
    PRIMARY KEY (incident_id, destination)
) STRICT, WITHOUT ROWID;

-- Silences: no messages about some reports for a while. `conditions` is JSON: texts written as in `match` of a rule.
-- `key_hash` is that of an incident. `author_id` is the person who used a button.
CREATE TABLE silences (
    id          INTEGER PRIMARY KEY,
    rule        TEXT,
    conditions  TEXT,
    incident_id INTEGER,
    key_hash    BLOB,
    created_at  INTEGER NOT NULL,
    ends_at     INTEGER NOT NULL,
    ended_at    INTEGER,                          -- when an operator ended it early
    remind_at   INTEGER,                          -- when the reminder is due; NULL if it is sent, or there is none
    reason      TEXT,
    author      TEXT,
    author_id   TEXT,
    source      TEXT    NOT NULL CHECK (source = 'command' OR source = 'button'),
    destination TEXT,                             -- where the button was used
    reports     INTEGER NOT NULL DEFAULT 0,       -- reports of which it muted messages
    CHECK (rule IS NOT NULL OR conditions IS NOT NULL),
    CHECK ((incident_id IS NULL) = (key_hash IS NULL)),
    CHECK (key_hash IS NULL OR rule IS NOT NULL),
    CHECK (ends_at > created_at)
) STRICT;
CREATE INDEX silences_active ON silences (ends_at) WHERE ended_at IS NULL;
CREATE INDEX silences_reminding ON silences (remind_at) WHERE remind_at IS NOT NULL;

-- How many messages each silence muted. Unlike deliveries, these rows are few.
CREATE TABLE silence_counts (
    silence_id  INTEGER NOT NULL REFERENCES silences (id) ON DELETE CASCADE,
    rule        TEXT    NOT NULL,
    destination TEXT    NOT NULL,
    messages    INTEGER NOT NULL,
    PRIMARY KEY (silence_id, rule, destination)
) STRICT, WITHOUT ROWID;

-- Renderings that retries repeat.
CREATE TABLE payloads (
    delivery_id INTEGER PRIMARY KEY REFERENCES deliveries (id) ON DELETE CASCADE,
    form        TEXT NOT NULL,
    payload     TEXT NOT NULL
) STRICT;

CREATE TABLE attempts (
    delivery_id INTEGER NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL CHECK (number >= 1),
    started_at  INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    form        TEXT    NOT NULL,
    outcome     TEXT    NOT NULL
        CHECK (outcome = 'delivered' OR outcome = 'ambiguous' OR outcome = 'retry' OR outcome = 'slow_down'
           OR outcome = 'degrade' OR outcome = 'rejected' OR outcome = 'stop' OR outcome = 'unknown'),
    status      INTEGER,
    code        TEXT,
    reason      TEXT,
    excerpt     TEXT,
    paced       INTEGER NOT NULL DEFAULT 0 CHECK (paced = 0 OR paced = 1),  -- whether a rate limit counts it
    PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;
-- Only for attempts that a rate limit counts. They are few a second; destinations without a limit are fast.
CREATE INDEX attempts_paced ON attempts (started_at) WHERE paced = 1;

-- A pending job is ready for its first attempt (`stage` 0) or another one (1), or waits until `due_at` (2): for
-- its next attempt, or for the end of its lease. `attempts` counts leases. `leases_lost` counts consecutive leases
-- that expired without a result.
CREATE TABLE image_jobs (
    event_seq   INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    ordinal     INTEGER NOT NULL CHECK (ordinal BETWEEN 0 AND 31),
    url         TEXT,
    host        TEXT    NOT NULL,
    state       TEXT    NOT NULL
        CHECK (state = 'pending' OR state = 'kept' OR state = 'lost' OR state = 'removed'),
    stage       INTEGER NOT NULL DEFAULT 0 CHECK (stage BETWEEN 0 AND 2),
    attempts    INTEGER NOT NULL DEFAULT 0,
    due_at      INTEGER NOT NULL,
    deadline_at INTEGER NOT NULL,
    lease_token INTEGER,
    leases_lost INTEGER NOT NULL DEFAULT 0,
    refused     INTEGER NOT NULL DEFAULT 0 CHECK (refused BETWEEN 0 AND 1),  -- its host is not allowed, so no message waits for it
    image_id    TEXT,
    reason      TEXT,
    PRIMARY KEY (event_seq, ordinal),
    CHECK ((state = 'pending') = (url IS NOT NULL)),
    CHECK (lease_token IS NULL OR (state = 'pending' AND stage = 2)),
    CHECK ((state = 'kept') = (image_id IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX image_jobs_ready ON image_jobs (stage, host, deadline_at) WHERE state = 'pending';
CREATE INDEX image_jobs_waiting ON image_jobs (due_at) WHERE state = 'pending' AND stage = 2;
CREATE INDEX image_jobs_by_image ON image_jobs (image_id) WHERE image_id IS NOT NULL;

CREATE TABLE images (
    id      TEXT    NOT NULL PRIMARY KEY,
    format  TEXT    NOT NULL
        CHECK (format = 'jpeg' OR format = 'png' OR format = 'gif' OR format = 'webp' OR format = 'bmp'
           OR format = 'heif' OR format = 'avif' OR format = 'tiff' OR format = 'ico' OR format = 'jp2'),
    bytes   INTEGER NOT NULL,
    width   INTEGER NOT NULL,
    height  INTEGER NOT NULL,
    kept_at INTEGER NOT NULL,
    state   TEXT    NOT NULL CHECK (state IN ('kept', 'removed'))
) STRICT, WITHOUT ROWID;
CREATE INDEX images_kept ON images (kept_at, bytes) WHERE state = 'kept';

CREATE TABLE image_keys (
    image_id TEXT NOT NULL,
    app_id   TEXT NOT NULL,
    key      TEXT NOT NULL,
    PRIMARY KEY (image_id, app_id)
) STRICT, WITHOUT ROWID;

-- The status of each feedback since its first change. `event_seq` is the event that created the feedback; NULL if
-- only changes of it have arrived.
CREATE TABLE feedback_states (
    feedback_app TEXT    NOT NULL,
    feedback_id  TEXT    NOT NULL,
    event_seq    INTEGER REFERENCES events (seq) ON DELETE CASCADE,
    status       INTEGER NOT NULL,
    previous     INTEGER NOT NULL,                -- the status that an undo restores
    previous_here_only INTEGER NOT NULL DEFAULT 0 CHECK (previous_here_only IN (0, 1)),
    changed_at   INTEGER NOT NULL,
    through      TEXT    NOT NULL
        CHECK (through = 'feishu' OR through = 'slack' OR through = 'platform'),
    by_name      TEXT,
    by_id        TEXT,
    by_app       TEXT,
    undo_until   INTEGER,
    here_only    INTEGER NOT NULL DEFAULT 0 CHECK (here_only IN (0, 1)),
    platform_at  INTEGER,                         -- the newest `update_time` of the platform
    PRIMARY KEY (feedback_app, feedback_id),
    CHECK (undo_until IS NULL OR through <> 'platform')
) STRICT, WITHOUT ROWID;
CREATE INDEX feedback_states_by_event ON feedback_states (event_seq);
CREATE INDEX feedback_states_undo ON feedback_states (undo_until) WHERE undo_until IS NOT NULL;
CREATE INDEX feedback_states_unknown ON feedback_states (changed_at) WHERE event_seq IS NULL;

-- The periods of digests that ended, with their counts for the comparison with the next one.
CREATE TABLE digests (
    name   TEXT    NOT NULL,
    due_at INTEGER NOT NULL,                      -- the end of the period
    counts TEXT    NOT NULL,
    PRIMARY KEY (name, due_at)
) STRICT, WITHOUT ROWID;

-- The history of statuses: button actions and platform reports. `told_by` is the event of the platform report.
CREATE TABLE feedback_acts (
    id           INTEGER PRIMARY KEY,
    feedback_app TEXT    NOT NULL,
    feedback_id  TEXT    NOT NULL,
    told_by      INTEGER REFERENCES events (seq) ON DELETE CASCADE,
    at           INTEGER NOT NULL,
    act          TEXT
        CHECK (act = 'claim' OR act = 'done' OR act = 'not_ours' OR act = 'undo'),
    status       INTEGER NOT NULL,
    through      TEXT    NOT NULL
        CHECK (through = 'feishu' OR through = 'slack' OR through = 'platform'),
    by_name      TEXT,
    by_id        TEXT,
    by_app       TEXT,
    effect       TEXT    NOT NULL
        CHECK (effect = 'changed' OR effect = 'known' OR effect = 'stale'),
    FOREIGN KEY (feedback_app, feedback_id)
        REFERENCES feedback_states (feedback_app, feedback_id) ON DELETE CASCADE,
    CHECK ((act IS NULL) = (through = 'platform'))
) STRICT;
CREATE INDEX feedback_acts_by_feedback ON feedback_acts (feedback_app, feedback_id, id);
CREATE INDEX feedback_acts_by_event ON feedback_acts (told_by) WHERE told_by IS NOT NULL;

-- The status outbox: statuses to write to the platform, one entry for each feedback. A leased entry keeps its
-- state; its `due_at` is then the end of the lease. `sent` is the status last sent to the platform.
CREATE TABLE status_jobs (
    feedback_app TEXT    NOT NULL,
    feedback_id  TEXT    NOT NULL,
    event_seq    INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    status       INTEGER NOT NULL,
    operator     TEXT,
    state        TEXT    NOT NULL
        CHECK (state = 'pending' OR state = 'done' OR state = 'dead'),
    attempts     INTEGER NOT NULL DEFAULT 0,
    due_at       INTEGER NOT NULL,
    first_due_at INTEGER NOT NULL,
    lease_token  INTEGER,
    sent         INTEGER,
    sent_at      INTEGER,
    reason       TEXT,
    PRIMARY KEY (feedback_app, feedback_id),
    FOREIGN KEY (feedback_app, feedback_id)
        REFERENCES feedback_states (feedback_app, feedback_id) ON DELETE CASCADE,
    CHECK (lease_token IS NULL OR state = 'pending'),
    CHECK ((state = 'pending') = (operator IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX status_jobs_due ON status_jobs (due_at) WHERE state = 'pending';
CREATE INDEX status_jobs_dead ON status_jobs (feedback_app) WHERE state = 'dead';
CREATE INDEX status_jobs_by_event ON status_jobs (event_seq);

CREATE TABLE gates (
    destination   TEXT NOT NULL PRIMARY KEY,
    blocked_until INTEGER,
    open_since    INTEGER,
    stopped       TEXT,
    failing_since INTEGER,
    failing_from  INTEGER,                        -- the uptime at failing_since
    resumes       INTEGER NOT NULL DEFAULT 0,     -- how often `destinations resume` was called
    missing_from  INTEGER                         -- the uptime since which it is not configured while deliveries wait for it
) STRICT, WITHOUT ROWID;
