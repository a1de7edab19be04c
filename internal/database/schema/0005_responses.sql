-- Who made which response: a hash of the client and the response's id, and the candidate and
-- key that made it. expires is nanoseconds since 1970 (UTC).
CREATE TABLE responses (
	id      TEXT    PRIMARY KEY,
	maker   TEXT    NOT NULL,
	expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX responses_expires ON responses (expires);
