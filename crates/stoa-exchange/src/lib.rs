//! One exchange: the request, its reply, and what is known about both on the way. Knows neither the
//! gateway half nor the data half; both speak in these words.

pub mod access;
pub mod clock;
pub mod codes;
pub mod position;
pub mod text;

mod body;
mod context;
mod handler;
mod identity;
mod problem;
mod record;
mod trail;

pub use access::RequestFacts;
pub use body::{Body, BodyError, read_to_limit};
pub use codes::Code;
pub use context::{Context, RequestId, Scheme, Trace};
pub use handler::{Halt, Handler, HandlerFuture, PartCause, Reply, Request};
pub use identity::{Caller, Identity};
pub use problem::{FieldError, Problem};
pub use record::{EndpointTurn, Mirrored, Observer, Record};
pub use trail::Trail;
