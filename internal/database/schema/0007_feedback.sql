-- What was said of the answers to requests, one row each time. Of a request's rows, the one
-- with the latest time counts, and of several with that time the one with the highest id; the
-- others are its history. score is NULL if it is unknown, such as that of a label without one.
CREATE TABLE feedback (
	id      INTEGER PRIMARY KEY,
	time    INTEGER NOT NULL,
	request TEXT    NOT NULL,
	client  TEXT    NOT NULL, -- of the request
	kind    TEXT    NOT NULL, -- score, thumb, label or success
	score   REAL,
	label   TEXT    NOT NULL,
	note    TEXT    NOT NULL,
	said_by TEXT    NOT NULL  -- empty: the client of the request
);
CREATE INDEX feedback_request ON feedback (request);
