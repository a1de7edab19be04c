-- Clients with keys. Rows are never deleted, because records name clients. Times are
-- nanoseconds since 1970 (UTC); 0: never. Labels, policies, rates and budgets are JSON.
CREATE TABLE clients (
	name     TEXT    PRIMARY KEY,
	labels   TEXT    NOT NULL,
	policies TEXT    NOT NULL,
	rates    TEXT    NOT NULL,
	budgets  TEXT    NOT NULL,
	created  INTEGER NOT NULL,
	expires  INTEGER NOT NULL,
	revoked  INTEGER NOT NULL
) WITHOUT ROWID;

-- Keys of clients, by their SHA-256 in hexadecimal digits. A key is valid if neither it nor
-- its client has ended or is revoked.
CREATE TABLE keys (
	hash    TEXT    PRIMARY KEY,
	client  TEXT    NOT NULL,
	prefix  TEXT    NOT NULL, -- by which people recognise it
	created INTEGER NOT NULL,
	ends    INTEGER NOT NULL,
	revoked INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX keys_client ON keys (client);

-- Every change by an administrator. details is JSON.
CREATE TABLE audit (
	id      INTEGER PRIMARY KEY,
	time    INTEGER NOT NULL,
	who     TEXT    NOT NULL,
	action  TEXT    NOT NULL,
	subject TEXT    NOT NULL,
	details TEXT    NOT NULL
);
CREATE INDEX audit_subject ON audit (subject);

-- The names of clients in the configurations of running gateways, and when that was last
-- said. No client of the table above may have such a name.
CREATE TABLE file_clients (
	name TEXT    PRIMARY KEY,
	seen INTEGER NOT NULL
) WITHOUT ROWID;

-- How often clients and keys have changed. Every change updates the row first, so that
-- changes follow one another, and gateways read it to notice them.
CREATE TABLE keys_version (version INTEGER NOT NULL);
INSERT INTO keys_version VALUES (0);
