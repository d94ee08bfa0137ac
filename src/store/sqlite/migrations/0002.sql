-- Version 2: storms. See version 1 for what times and hashes are.

-- How the bot's storm stood after the last message that was told in it: JSON.
ALTER TABLE bots ADD COLUMN storm TEXT;

-- Further alerts of a message that tells many, as JSON like messages.alerts. They are kept before the message has a row,
-- so its id names them. How many of them are named and counted stands before the large column: a page's heading needs
-- only that.
CREATE TABLE message_parts (
    id      INTEGER PRIMARY KEY,
    message TEXT    NOT NULL,
    part    INTEGER NOT NULL,
    named   INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    alerts  TEXT    NOT NULL,
    UNIQUE (message, part)
) STRICT;

-- Messages that have parts and have not been begun since. since_ms is when clean-up first met it, 0 before.
CREATE TABLE unbegun (
    message  TEXT    NOT NULL PRIMARY KEY,
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
