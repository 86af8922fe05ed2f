//! What does the controller say to its clients, and they to it?
//!
//! One definition of each form, serialised by one side and read by the other.

mod export;
mod time;

pub use export::{ExportQuery, Format, Table};
pub use time::{instant, moment};
