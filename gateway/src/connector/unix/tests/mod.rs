//! The connector on real shadow-utils, in a scratch root of its own, called as the server calls it.
//! These tests need root, as the connector does; without it they say that they were skipped.

mod account_files;
mod belongings;
mod bench;
mod done;
mod guard_rails;
mod homes;
mod listing;
mod look;
mod membership;
mod pages;
mod rollback;
mod syncs;
mod verbs;
