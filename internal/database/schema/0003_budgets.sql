-- What is spent of each budget in each of its periods. Amounts are pico-dollars, or
-- requests, tokens and requests in progress for rates, whose names begin with ~. Times are
-- nanoseconds since 1970 (UTC).
CREATE TABLE budgets (
	period  TEXT    PRIMARY KEY, -- the budget's name, @ and the day on which the period began
	ends    INTEGER NOT NULL,    -- when the next period begins
	amount  INTEGER NOT NULL,    -- that may be spent
	soft    INTEGER NOT NULL,    -- more may be spent
	spent   INTEGER NOT NULL,
	unknown INTEGER NOT NULL,    -- the part of spent that is reserves of calls of unknown cost
	held    INTEGER NOT NULL,    -- leased to processes and not spent
	version INTEGER NOT NULL     -- rises with every change
) WITHOUT ROWID;

-- The parts of budgets that processes hold. Their sums are held, above. A process that
-- does not renew its lease may not spend it; what it holds stays held until the process
-- starts again and says what it has spent.
CREATE TABLE leases (
	period  TEXT    NOT NULL,
	process TEXT    NOT NULL,
	held    INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	PRIMARY KEY (period, process)
) WITHOUT ROWID;

-- Messages for the webhook, which are sent at least once.
CREATE TABLE notices (
	id    TEXT    PRIMARY KEY,
	time  INTEGER NOT NULL,
	data  TEXT    NOT NULL, -- JSON
	next  INTEGER NOT NULL, -- when it is tried next; 0: it was sent
	tries INTEGER NOT NULL
) WITHOUT ROWID;

-- What an attempt counts against, and what was reserved for it.
ALTER TABLE attempts ADD COLUMN budgets TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN held INTEGER NOT NULL DEFAULT 0;

-- Calls that a process has begun and not ended at its place in the journal.
ALTER TABLE journals ADD COLUMN begun BLOB;
