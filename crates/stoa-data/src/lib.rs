//! The data half: parse → allow → store → render. Knows no socket of the caller's.
//!
//! A request becomes an [`operation`] (pure), the access rule becomes a condition in it (pure),
//! the [`store::Store`] runs it (the only step that may fail from outside), and the outcome is rendered (pure).

pub mod allow;
pub mod backup;
pub mod bucket;
pub mod codes;
pub mod introspect;
pub mod migrate;
pub mod operation;
pub mod store;
pub mod transfer;
pub mod value;

mod consistency;
mod cursor;
mod etag;
mod function;
mod handler;
mod json;
mod parse;
mod prepare;
mod read;
mod refusal;
mod render;
mod rest;
mod run_as;
mod short;
mod stitch;
#[cfg(test)]
mod testing;
mod trouble;
mod validate;
mod write;

pub use handler::{Data, OpenError};
