-- A file of version 1: one PAN with everything that a domain could hold.

-- The manager's records. Plain tables, for people to read; only the manager writes.
-- Keys are BLOBs: psk, key, tgk, rand.

CREATE TABLE ledger (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO ledger VALUES (1, 41);

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

INSERT INTO domain VALUES (1, 4660, 15, 'fd00:1:2:3::', 'fd00:b::1', 5000000);
INSERT INTO link_keys VALUES (3, x'33333333333333333333333333333333', 'active');
INSERT INTO link_keys VALUES (4, x'44444444444444444444444444444444', 'staged');
INSERT INTO groups VALUES (7, 'lights', 61616, 99, 2, 5,
    x'77777777777777777777777777777777', x'88888888888888888888888888888888');
INSERT INTO devices VALUES ('02-00-00-00-00-00-00-01', x'0200000000000001', zeroblob(16),
    'border-router', 'first', '', 'revoked', 0);
INSERT INTO devices VALUES ('02-00-00-00-00-00-00-02', x'0200000000000002', zeroblob(16),
    'border-router', 'second', '', 'admitted', 0);
INSERT INTO devices VALUES ('02-00-00-00-00-00-00-03', x'0200000000000003', zeroblob(16),
    'switch', 'switch', 'Kitchen', 'admitted', 1);
INSERT INTO devices VALUES ('02-00-00-00-00-00-00-04', x'0200000000000004', zeroblob(16),
    'light', 'light', 'Kitchen', 'revoked', 2);
INSERT INTO devices VALUES ('02-00-00-00-00-00-00-05', x'0200000000000005', zeroblob(16),
    'light', 'light', 'Kitchen', 'expected', NULL);
INSERT INTO devices VALUES ('02-00-00-00-00-00-00-06', x'0200000000000006', zeroblob(16),
    'light', 'light', 'Kitchen', 'revoked', NULL);
INSERT INTO members VALUES (7, '02-00-00-00-00-00-00-02', 'sender', 1);
INSERT INTO members VALUES (7, '02-00-00-00-00-00-00-03', 'both', 3);
INSERT INTO members VALUES (7, '02-00-00-00-00-00-00-04', 'listener', NULL);
INSERT INTO members VALUES (7, '02-00-00-00-00-00-00-05', 'listener', NULL);
PRAGMA user_version = 1;
