//! What went wrong in public bug reports of comparable tools, each case by the programs from end to
//! end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's own helpers fail the test"
)]

mod account_files;
mod accounts;
mod c01_csv_text_becomes_account;
mod c04_bom_in_other_text_files;
mod c05_double_lock;
mod c06_membership;
mod c07_gshadow;
mod c08_primary_group;
mod c09_homes;
mod c10_lines;
mod c11_latin_1;
mod c12_ageing;
mod c13_hashes;
mod c14_read_only;
mod c15_rename;
mod c17_scripts_that_cannot_start;
mod c18_what_a_script_printed;
mod c20_one_script_stops_the_gateway;
mod c22_answer_cannot_be_written;
mod c24_call_ids;
mod host;
mod long_lists;
mod namespace;
mod script_host;
