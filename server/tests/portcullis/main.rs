//! The administrators' command as its users run it: the real program, against a server whose answers the tests choose.

mod calls;
mod fake;
mod import;
mod output;
mod usage;
