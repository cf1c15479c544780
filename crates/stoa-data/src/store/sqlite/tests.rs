//! What is SQLite's own: durability, time limits, locks, full disks, tables that others made.

mod bound;
mod durable;
mod limits;
