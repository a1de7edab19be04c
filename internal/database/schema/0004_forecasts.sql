-- The end user of an attempt, as a hash with a key of the store, and the policy's default.
ALTER TABLE attempts ADD COLUMN end_user TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN standby TEXT NOT NULL DEFAULT '';

-- Keys of hashes.
CREATE TABLE salts (
	name TEXT PRIMARY KEY,
	data BLOB NOT NULL
) WITHOUT ROWID;

-- What requests that a policy routed would have cost with another candidate, as their
-- decisions forecast it, by day (UTC). Forecasts are in USD. A row without a model has the
-- requests as a whole: ranked are all that were served, served those at a known cost, and
-- others the failed attempts that have a cost.
CREATE TABLE forecasts (
	day        TEXT    NOT NULL,
	client     TEXT    NOT NULL,
	policy     TEXT    NOT NULL,
	standby    TEXT    NOT NULL, -- the policy's default
	model      TEXT    NOT NULL, -- the candidate
	ranked     INTEGER NOT NULL, -- requests that it might have answered
	quality    REAL    NOT NULL, -- sum of its forecasts for these
	served     INTEGER NOT NULL, -- requests that it answered, at a known cost
	served_micro INTEGER NOT NULL, -- their cost
	served_rest  INTEGER NOT NULL,
	others     INTEGER NOT NULL, -- that another one answered at a known cost, and for which its cost is forecast
	others_micro INTEGER NOT NULL, -- what they cost
	others_rest  INTEGER NOT NULL,
	others_f   REAL    NOT NULL, -- sum of its forecasts for these
	others_ff  REAL    NOT NULL, -- and of their squares
	fitted     INTEGER NOT NULL, -- requests that it answered, whose cost f was forecast (above 0) and whose cost c is known
	fitted_f   REAL    NOT NULL, -- sums over these
	fitted_c   REAL    NOT NULL,
	fitted_ff  REAL    NOT NULL,
	fitted_fc  REAL    NOT NULL,
	fitted_cc  REAL    NOT NULL,
	fitted_r   REAL    NOT NULL, -- of c/f
	fitted_rr  REAL    NOT NULL,
	PRIMARY KEY (day, client, policy, standby, model)
) WITHOUT ROWID;
