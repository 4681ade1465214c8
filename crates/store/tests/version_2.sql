-- A file of version 2: a domain with a device.

-- The manager's records. Plain tables, for people to read; only the manager writes.
-- Keys are BLOBs: psk, key, tgk, rand.

CREATE TABLE ledger (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO ledger VALUES (1, 41);

CREATE TABLE pans (
    pan_id      INTEGER PRIMARY KEY CHECK (pan_id BETWEEN 0 AND 65534),
    channel     INTEGER NOT NULL CHECK (channel BETWEEN 11 AND 26),
    mesh_prefix TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE domain (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    pan_id       INTEGER NOT NULL REFERENCES pans, -- the one it began with
    manager_addr TEXT NOT NULL,
    window_until INTEGER -- microseconds of the owner's clock; NULL is closed
) STRICT;

CREATE TABLE further_channels (
    channel INTEGER PRIMARY KEY CHECK (channel BETWEEN 11 AND 26)
) STRICT;

CREATE TABLE link_keys (
    pan_id    INTEGER NOT NULL REFERENCES pans,
    key_index INTEGER NOT NULL CHECK (key_index BETWEEN 1 AND 254),
    key       BLOB NOT NULL CHECK (length(key) = 16),
    state     TEXT NOT NULL CHECK (state IN ('active', 'staged')),
    PRIMARY KEY (pan_id, key_index),
    UNIQUE (pan_id, state)
) STRICT, WITHOUT ROWID;

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
    pan_id   INTEGER REFERENCES pans, -- with short: where it is, or was when it was expelled
    short    INTEGER CHECK (short BETWEEN 0 AND 65533),
    CHECK ((pan_id IS NULL) = (short IS NULL)),
    CHECK (state <> 'admitted' OR short IS NOT NULL),
    CHECK (state <> 'expected' OR short IS NULL)
) STRICT, WITHOUT ROWID;

-- A border router's successor takes its address 0 over.
CREATE UNIQUE INDEX border_routers ON devices (pan_id) WHERE short = 0 AND state = 'admitted';

-- Every address that anybody has or had, but those of border routers: none comes back to somebody else.
CREATE TABLE addresses (
    pan_id INTEGER NOT NULL REFERENCES pans,
    short  INTEGER NOT NULL CHECK (short BETWEEN 1 AND 65533),
    eui64  TEXT NOT NULL REFERENCES devices,
    PRIMARY KEY (pan_id, short),
    UNIQUE (eui64, pan_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
    group_id  INTEGER NOT NULL REFERENCES groups,
    eui64     TEXT NOT NULL REFERENCES devices,
    role      TEXT NOT NULL CHECK (role IN ('listener', 'sender', 'both')),
    PRIMARY KEY (group_id, eui64)
) STRICT, WITHOUT ROWID;

-- Of the present epochs: each sender's last in each PAN.
CREATE TABLE sender_ids (
    group_id  INTEGER NOT NULL,
    pan_id    INTEGER NOT NULL REFERENCES pans,
    eui64     TEXT NOT NULL,
    sender_id INTEGER NOT NULL CHECK (sender_id BETWEEN 1 AND 254),
    PRIMARY KEY (group_id, pan_id, eui64),
    UNIQUE (group_id, pan_id, sender_id),
    FOREIGN KEY (group_id, eui64) REFERENCES members
) STRICT, WITHOUT ROWID;

INSERT INTO pans VALUES (4660, 15, 'fd00:1:2:3::');
INSERT INTO domain VALUES (1, 4660, 'fd00:b::1', NULL);
INSERT INTO link_keys VALUES (4660, 3, X'33333333333333333333333333333333', 'active');
INSERT INTO devices VALUES
    ('02-00-00-00-00-00-00-01', X'0200000000000001', zeroblob(16), 'light', 'one', 'Kitchen',
        'admitted', 4660, 1);
INSERT INTO addresses VALUES (4660, 1, '02-00-00-00-00-00-00-01');

PRAGMA user_version = 2;
