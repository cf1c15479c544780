//! A real edge between raw clients and raw services, from outside.

mod body;
mod cors;
mod drain;
mod faults;
mod headers;
mod malformed;
mod paths;
mod policies;
mod support;
mod tunnel;
