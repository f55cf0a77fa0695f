//! The fronts: each translates between its wire and the use cases, and does nothing else.

pub mod grpc;
