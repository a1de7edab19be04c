-- One row for each attempt. Times are nanoseconds since 1970 (UTC) and durations are
-- nanoseconds; amounts are pico-dollars, NULL if unknown.
CREATE TABLE attempts (
	id             INTEGER PRIMARY KEY,
	time           INTEGER NOT NULL,
	request        TEXT    NOT NULL,
	number         INTEGER NOT NULL,
	client         TEXT    NOT NULL,
	session        TEXT    NOT NULL,
	api            TEXT    NOT NULL,
	stream         INTEGER NOT NULL,
	policy         TEXT    NOT NULL,
	first          TEXT    NOT NULL,
	reason         TEXT    NOT NULL,
	propensity     REAL    NOT NULL,
	decided        INTEGER NOT NULL,
	provider       TEXT    NOT NULL,
	model          TEXT    NOT NULL,
	upstream_model TEXT    NOT NULL,
	answer         TEXT    NOT NULL,
	outcome        TEXT    NOT NULL,
	status         INTEGER NOT NULL,
	error_code     TEXT    NOT NULL,
	error          TEXT    NOT NULL,
	input          INTEGER NOT NULL,
	cached         INTEGER NOT NULL,
	written        INTEGER NOT NULL,
	output         INTEGER NOT NULL,
	reasoning      INTEGER NOT NULL,
	estimated      INTEGER NOT NULL,
	cost           INTEGER,
	price_date     TEXT    NOT NULL,
	price_above    INTEGER NOT NULL,
	expected       INTEGER,
	first_token    INTEGER NOT NULL,
	upstream       INTEGER NOT NULL,
	overhead       INTEGER NOT NULL,
	rest           TEXT,    -- JSON: what few attempts have
	block          INTEGER, -- the block of its decision, NULL: it has none, or it is pruned
	place          INTEGER  -- which line of the block
);
CREATE INDEX attempts_time ON attempts (time);
CREATE INDEX attempts_request ON attempts (request);

-- Decisions, apart because they are long: blocks of lines in the form carrot.decision/1,
-- compressed with zstd. time is that of the latest attempt.
CREATE TABLE decisions (
	id   INTEGER PRIMARY KEY,
	time INTEGER NOT NULL,
	rows INTEGER NOT NULL,
	data BLOB    NOT NULL
);
CREATE INDEX decisions_time ON decisions (time);

-- Texts of requests and answers, if they are recorded: {"prompt":…,"answer":…},
-- compressed with zstd.
CREATE TABLE contents (
	attempt INTEGER PRIMARY KEY,
	data    BLOB NOT NULL
);

-- Sums of attempts by day (UTC). Costs are sums of the known ones, in micro-dollars and
-- the pico-dollars that are left over, so that sums have room.
CREATE TABLE daily (
	day           TEXT    NOT NULL,
	client        TEXT    NOT NULL,
	policy        TEXT    NOT NULL,
	provider      TEXT    NOT NULL,
	model         TEXT    NOT NULL,
	outcome       TEXT    NOT NULL,
	attempts      INTEGER NOT NULL,
	requests      INTEGER NOT NULL, -- first attempts
	unknown       INTEGER NOT NULL, -- attempts of unknown cost
	cost_micro    INTEGER NOT NULL,
	cost_rest     INTEGER NOT NULL,
	input         INTEGER NOT NULL,
	cached        INTEGER NOT NULL,
	written       INTEGER NOT NULL,
	output        INTEGER NOT NULL,
	reasoning     INTEGER NOT NULL,
	PRIMARY KEY (day, client, policy, provider, model, outcome)
) WITHOUT ROWID;

-- Up to where each process's journal is in the tables. It is updated together with them,
-- so that every attempt is there once.
CREATE TABLE journals (
	id      TEXT    PRIMARY KEY,
	segment INTEGER NOT NULL,
	place   INTEGER NOT NULL
) WITHOUT ROWID;

-- The lowest version of the schema that a program must know to use this one.
CREATE TABLE compatible (version INTEGER NOT NULL);
INSERT INTO compatible VALUES (1);
