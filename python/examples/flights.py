"""Every departure from Seattle in 2014: define features, log, read, train, prove.

Needs pandas and pyarrow. Each `# %%` begins a cell of a notebook.
"""

# %% The data: local times to the minute, as they were published.
import tempfile
from pathlib import Path

import pandas as pd

import evenkeel

RAW = Path(__file__).resolve().parents[2] / "demo" / "data" / "raw"

flights = pd.read_parquet(RAW / "flights.parquet")
flights = flights[(flights["origin"] == "SEA") & flights["dep_time"].notna()]

# The date belongs to the schedule, which is the recorded departure less its delay.
clock = flights["dep_time"].astype(int)
minutes = clock // 100 * 60 + clock % 100 - flights["dep_delay"].astype(int)
day = pd.to_datetime(flights[["year", "month", "day"]])
scheduled = day + pd.to_timedelta(minutes % (24 * 60), unit="min")
departures = pd.DataFrame(
    {
        "carrier": flights["carrier"],
        "dest": flights["dest"],
        "distance": flights["distance"].astype(float),
        "dep_delay": flights["dep_delay"].astype(float),
        "departed_at": scheduled + pd.to_timedelta(flights["dep_delay"], unit="min"),
    }
)
# A time that two rows of one flight share is no reason to take one for the other.
departures.insert(0, "departure_id", range(len(departures)))
print(f"{len(departures)} departures")

# %% A project is a folder; times without a zone are in the source's.
store = evenkeel.open(tempfile.mkdtemp(prefix="flights-"))
plan = store.apply("""
CREATE ENTITY route (dest STRING);
CREATE ENTITY airline (carrier STRING);

CREATE STREAM departures (
  departure_id BIGINT, carrier STRING, dest STRING, distance DOUBLE, dep_delay DOUBLE,
  departed_at TIMESTAMP,
  EVENT ID (departure_id), EVENT TIME departed_at, KNOWN AT departed_at
) WITH (zone = 'America/Los_Angeles');

CREATE FEATURE VIEW route_delays ENTITY route (dest) AS
SELECT dest,
       count(*)       OVER day  AS departures_24h,
       avg(dep_delay) OVER week AS dep_delay_avg_7d,
       max(dep_delay) OVER week AS dep_delay_max_7d
FROM departures
WINDOW day AS (LAST 24 HOURS BEFORE), week AS (LAST 7 DAYS BEFORE);
""")
print(plan)

# %% Events from the data frame, and again: what is logged is logged once.
report = store.ingest("departures", departures)
print(f"{report.recorded} logged, {sum(report.rejected.values())} rejected")
print(f"{store.ingest('departures', departures).duplicates} were there already")

# %% The next cell leans on what is registered.
store.apply("""
CREATE FEATURE VIEW airline_delays ENTITY airline (carrier) AS
SELECT carrier, stddev_samp(dep_delay) OVER month AS dep_delay_stddev_30d
FROM departures WINDOW month AS (LAST 30 DAYS BEFORE);

CREATE FEATURE SERVICE delay_model AS route_delays (*), airline_delays (*);
""")

# %% Read: any entities, at any time.
asked = pd.DataFrame({"dest": ["SFO", "ANC", "XXX"], "carrier": ["AS", "AS", "AS"]})
answers = store.get("delay_model", asked, as_of="2014-07-04T12:00:00-07:00")
print(answers.values.to_pandas())
print(answers.statuses.to_pandas())

# %% Why is it this number?
print(store.explain("route_delays:dep_delay_max_7d", {"dest": "ANC"}, as_of="2014-07-04T19:00:00Z"))

# %% A training set: each row at its own time, in the frame's order, with its other columns.
spine = departures.sample(2_000, random_state=7)
spine["departed_at"] = spine["departed_at"].dt.tz_localize(
    "America/Los_Angeles", ambiguous=True, nonexistent="shift_forward"
)
training = store.train("delay_model", spine, time_column="departed_at")
frame = training.to_pandas()
print(frame.head())

# %% The same numbers: one read per row, at the row's time.
names = [feature.name for feature in training.features]


def read(row):
    keys = {"dest": row["dest"], "carrier": row["carrier"]}
    found = store.get("delay_model", keys, as_of=row["departed_at"], cut=training.cut)
    return found.to_pylist()[0]


rows = [(row, read(row)) for row in training.to_pylist()[:50]]
same = all(row[name] == found[name] for row, found in rows for name in names)
print(f"the training set has the same numbers as the reads: {same}")

# %% The proof, on a sample of all keys and times.
proof = store.verify(values=20_000)
print(f"{proof.values_checked} values: {'all bits equal' if proof.ok else proof.examples}")
store.close()
