-- Keys of pairs, since version 3. The seed is a key.

CREATE TABLE pair_polynomial (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    set_id     INTEGER NOT NULL CHECK (set_id BETWEEN 0 AND 65535),
    generation INTEGER NOT NULL CHECK (generation BETWEEN 0 AND 255),
    degree     INTEGER NOT NULL CHECK (degree BETWEEN 1 AND 255),
    seed       BLOB NOT NULL CHECK (length(seed) = 32)
) STRICT;

-- Expelled devices with shares: of the polynomial in force, or of the one before.
CREATE TABLE pair_losses (
    position INTEGER PRIMARY KEY,
    eui64    TEXT NOT NULL UNIQUE REFERENCES devices,
    earlier  INTEGER NOT NULL CHECK (earlier IN (0, 1))
) STRICT;
