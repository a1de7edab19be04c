-- Sums of the attempts with a value of a label, by day (UTC), as in the table daily.
CREATE TABLE labelled (
	label         TEXT    NOT NULL,
	value         TEXT    NOT NULL,
	day           TEXT    NOT NULL,
	client        TEXT    NOT NULL,
	policy        TEXT    NOT NULL,
	provider      TEXT    NOT NULL,
	model         TEXT    NOT NULL,
	outcome       TEXT    NOT NULL,
	attempts      INTEGER NOT NULL,
	requests      INTEGER NOT NULL,
	unknown       INTEGER NOT NULL,
	cost_micro    INTEGER NOT NULL,
	cost_rest     INTEGER NOT NULL,
	input         INTEGER NOT NULL,
	cached        INTEGER NOT NULL,
	written       INTEGER NOT NULL,
	output        INTEGER NOT NULL,
	reasoning     INTEGER NOT NULL,
	PRIMARY KEY (label, day, value, client, policy, provider, model, outcome)
) WITHOUT ROWID;
