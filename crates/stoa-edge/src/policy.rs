//! The policies: one thing done to a request on its way each. Their order is fixed in `answer`.

pub mod access;
pub(crate) mod admission;
pub mod auth;
pub(crate) mod compress;
pub(crate) mod cors;
pub(crate) mod edit;
pub(crate) mod fault;
pub(crate) mod mirror;
pub(crate) mod share;
pub(crate) mod shed;
pub(crate) mod validate;
