//! The reader of a configuration file, for both programs: it reports all that is wrong at once, with file, line, key
//! and what is allowed.

mod problem;
mod section;
mod table;

pub use problem::{ConfigProblem, Problems};
pub use section::Section;
pub use table::Table;
