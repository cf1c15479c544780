//! Which route a request meets.

pub(crate) mod path;
pub(crate) mod table;
