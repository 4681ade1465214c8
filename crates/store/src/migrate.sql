-- From the tables of version 1, which had one PAN. They were renamed to old_*, the present ones are there and
-- empty; both go by the same names otherwise.

UPDATE ledger SET revision = (SELECT revision FROM old_ledger);

INSERT INTO pans SELECT pan_id, channel, mesh_prefix FROM old_domain;

INSERT INTO domain SELECT id, pan_id, manager_addr, window_until FROM old_domain;

INSERT INTO link_keys
    SELECT pan_id, key_index, key, state FROM old_link_keys, old_domain;

INSERT INTO groups SELECT group_id, name, port, csb_id, generation, tek_id, tgk, rand FROM old_groups;

INSERT INTO devices
    SELECT eui64, identity, psk, kind, name, room, state,
        CASE WHEN short IS NOT NULL THEN pan_id END, short
    FROM old_devices LEFT JOIN old_domain;

INSERT INTO addresses SELECT pan_id, short, eui64 FROM devices WHERE short <> 0;

INSERT INTO members SELECT group_id, eui64, role FROM old_members;

INSERT INTO sender_ids
    SELECT group_id, pan_id, eui64, sender_id FROM old_members, old_domain
    WHERE sender_id IS NOT NULL;

DROP TABLE old_members;
DROP TABLE old_devices;
DROP TABLE old_groups;
DROP TABLE old_link_keys;
DROP TABLE old_domain;
DROP TABLE old_ledger;
