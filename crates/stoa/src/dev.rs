//! What only `dev` has: the panel, the keys, the watch over the file, the token.

pub(crate) mod keys;
pub(crate) mod panel;
pub(crate) mod token;
pub(crate) mod try_line;
pub(crate) mod watch;
