-- The manager's records. Plain tables, for people to read; only the manager writes.
-- Keys are BLOBs: psk, key, tgk, rand.

CREATE TABLE ledger (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO ledger VALUES (1, 0);

CREATE TABLE domain (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    pan_id       INTEGER NOT NULL,
    channel      INTEGER NOT NULL,
    mesh_prefix  TEXT NOT NULL,
    manager_addr TEXT NOT NULL,
    window_until INTEGER -- microseconds of the owner's clock; NULL is closed
) STRICT;

CREATE TABLE link_keys (
    key_index INTEGER PRIMARY KEY CHECK (key_index BETWEEN 1 AND 254),
    key       BLOB NOT NULL CHECK (length(key) = 16),
    state     TEXT NOT NULL UNIQUE CHECK (state IN ('active', 'staged'))
) STRICT;

CREATE TABLE groups (
    group_id   INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    port       INTEGER NOT NULL UNIQUE,
    csb_id     INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    tek_id     INTEGER NOT NULL CHECK (tek_id BETWEEN 1 AND 65535),
    tgk        BLOB NOT NULL CHECK (length(tgk) = 16),
    rand       BLOB NOT NULL CHECK (length(rand) = 16)
) STRICT;

CREATE TABLE devices (
    eui64    TEXT PRIMARY KEY,
    identity BLOB NOT NULL UNIQUE CHECK (length(identity) BETWEEN 1 AND 128),
    psk      BLOB NOT NULL CHECK (length(psk) BETWEEN 16 AND 64),
    kind     TEXT NOT NULL CHECK (kind IN ('border-router', 'light', 'switch', 'sensor')),
    name     TEXT NOT NULL,
    room     TEXT NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('expected', 'admitted', 'revoked')),
    short    INTEGER CHECK (short BETWEEN 0 AND 65533),
    CHECK (state <> 'admitted' OR short IS NOT NULL),
    CHECK (state <> 'expected' OR short IS NULL)
) STRICT, WITHOUT ROWID;

-- The border router's successor takes its address 0 over; no other address comes back.
CREATE UNIQUE INDEX devices_short ON devices (short) WHERE short <> 0 OR state = 'admitted';

CREATE TABLE members (
    group_id  INTEGER NOT NULL REFERENCES groups,
    eui64     TEXT NOT NULL REFERENCES devices,
    role      TEXT NOT NULL CHECK (role IN ('listener', 'sender', 'both')),
    sender_id INTEGER CHECK (sender_id BETWEEN 1 AND 254), -- of the present epoch
    PRIMARY KEY (group_id, eui64),
    UNIQUE (group_id, sender_id)
) STRICT, WITHOUT ROWID;
