-- Version 1. Times are milliseconds since the Unix epoch, 0 for "not known". Hashes are 64 bits, stored signed.

-- Bots by name, ever; the counters of the proof. accepted is also the last position that was given out.
CREATE TABLE bots (
    id               INTEGER PRIMARY KEY,
    name             TEXT    NOT NULL UNIQUE,
    accepted         INTEGER NOT NULL DEFAULT 0,
    told_named       INTEGER NOT NULL DEFAULT 0,
    told_counted     INTEGER NOT NULL DEFAULT 0,
    superseded       INTEGER NOT NULL DEFAULT 0,
    dead             INTEGER NOT NULL DEFAULT 0,
    unannounced_dead INTEGER NOT NULL DEFAULT 0,
    fallback         TEXT
) STRICT;

-- By which policies an alert came to a bot.
CREATE TABLE vias (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- Webhook bodies as received, each once; kept while a head refers to them.
CREATE TABLE bodies (
    id          INTEGER PRIMARY KEY,
    received_ms INTEGER NOT NULL,
    body        BLOB    NOT NULL
) STRICT;

-- What waits: one row per bot and alert state. key is the bot's id in the upper bits and the position in the lower 40,
-- so that the table's own order is (bot, position) and needs no index. body_len lets the bodies' sizes be summed at
-- start without reading them.
CREATE TABLE heads (
    key         INTEGER PRIMARY KEY,
    body        INTEGER NOT NULL,
    body_len    INTEGER NOT NULL,
    idx         INTEGER NOT NULL,
    fp          INTEGER NOT NULL,
    grp         INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    severity    INTEGER NOT NULL,
    flags       INTEGER NOT NULL,
    starts_ms   INTEGER NOT NULL,
    ends_ms     INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    via         INTEGER NOT NULL
) STRICT;

-- The newest state of each alert that a bot's chat was told, and the message that told it.
CREATE TABLE told (
    bot         INTEGER NOT NULL,
    fp          INTEGER NOT NULL,
    grp         INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    starts_ms   INTEGER NOT NULL,
    ends_ms     INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    told_ms     INTEGER NOT NULL,
    message     INTEGER,
    PRIMARY KEY (bot, fp)
) STRICT, WITHOUT ROWID;

-- One row per webhook URL, named by its hash.
CREATE TABLE robots (
    id               INTEGER PRIMARY KEY,
    hash             TEXT    NOT NULL UNIQUE,
    paused_until_ms  INTEGER NOT NULL DEFAULT 0,
    failures         INTEGER NOT NULL DEFAULT 0,
    failing_since_ms INTEGER NOT NULL DEFAULT 0,
    last_verdict     TEXT    NOT NULL DEFAULT '',
    last_verdict_ms  INTEGER NOT NULL DEFAULT 0,
    reason           TEXT    NOT NULL DEFAULT '',
    remedy           TEXT    NOT NULL DEFAULT ''
) STRICT;

-- Every attempt, committed before its first byte. Ids are never reused: pacing compares them.
CREATE TABLE attempts (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    robot      INTEGER NOT NULL,
    message    INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms   INTEGER,
    verdict    TEXT
) STRICT;
CREATE INDEX attempts_robot ON attempts (robot);
CREATE INDEX attempts_ended ON attempts (ended_ms);
CREATE INDEX attempts_open ON attempts (message) WHERE ended_ms IS NULL;

-- History, and what an unknown outcome needs to be sent again: covers and body are there only while open is 1.
-- The large columns come last, so that a filter over the small ones does not read them.
CREATE TABLE messages (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT    NOT NULL UNIQUE,
    bot      INTEGER NOT NULL,
    robot    INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    grp      INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    verdict  TEXT    NOT NULL,
    attempts INTEGER NOT NULL,
    open     INTEGER NOT NULL,
    reason   TEXT    NOT NULL,
    text     TEXT    NOT NULL,
    alerts   TEXT    NOT NULL,
    covers   BLOB,
    body     BLOB
) STRICT;
CREATE INDEX messages_at ON messages (at_ms);
CREATE INDEX messages_bot ON messages (bot);
CREATE INDEX messages_open ON messages (seq) WHERE open = 1;

-- Alerts that a robot refused alone, or that nobody is left to tell.
CREATE TABLE dead_letters (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    bot      INTEGER NOT NULL,
    pos      INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    via      INTEGER NOT NULL,
    grp      INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    reason   TEXT    NOT NULL,
    alert    TEXT    NOT NULL,
    body     BLOB    NOT NULL
) STRICT;
CREATE INDEX dead_letters_bot ON dead_letters (bot);
CREATE INDEX dead_letters_at ON dead_letters (at_ms);
