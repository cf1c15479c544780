//! What only a server shows: that it may go, stall and come back.

mod bound;
mod conflicts;
mod cuts;
mod limits;
mod nineteen;
mod outages;
mod pooler;
mod replicas;
mod roles;
mod row;
mod tls;
