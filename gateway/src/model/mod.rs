//! The data model of a call, checked: what has one of these types is known to be well-formed.
//!
//! The wire's messages are parsed once, in `parse`, and never seen behind it; `encode` turns
//! answers back.

mod encode;
mod evidence;
mod filter;
mod lockout;
mod name;
mod object;
mod outcome;
mod parse;
mod request;
mod roles;
mod schema;
mod standing;
mod sync;
mod value;
mod verb;

pub use evidence::{Evidence, Look};
pub use filter::{Comparison, Filter, FilterOperation};
pub use lockout::{Lockout, LockoutLimit};
pub use name::{ActionName, AttributeName, CallId, ConnectorName, NameError, ObjectId, ObjectName};
pub use object::{Attribute, Identity, Object, ObjectRef, Selector};
pub use outcome::{
    CallError, Done, Failure, FailureKind, Indeterminate, Native, Outcome, SearchEvent,
};
pub use parse::{
    MAX_ATTRIBUTES, MAX_FILTER_DEPTH, MAX_FILTER_NODES, MAX_VALUES, ModelError, parse_call,
};
pub use request::{
    Call, Cookie, Create, Get, LogIn, Modification, Operation, Request, Rotation, Run, Search,
    Update,
};
pub use roles::{AttributeRole, GuardDefaults, NameComparison, Role, Roles};
pub use schema::{AttributeSchema, ClassSchema, RunResult, Schema};
pub use standing::{AccountStanding, GroupStanding, IdRange, IdRanges, Standings, Touched};
pub use sync::{Change, SyncEvent, SyncSince, SyncToken, Synced};
pub use value::{Password, Value, ValueKey, ValueType};
pub use verb::{ObjectClass, Verb};
