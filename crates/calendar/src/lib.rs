//! Which moments do times of the week and days of the year name, by the wall clock of a place?
//!
//! [`Windows`] says whether a moment is within given times; [`Timetable`] says when something is due next. The rules of a
//! place come from the database of time zones that is compiled in: no clock, no file and no environment is read, so the
//! same build gives the same answer for ever.

mod timetable;
mod window;
mod zone;

pub use timetable::{TimeOfWeek, Times, Timetable};
pub use window::{Closed, Day, Freeze, Window, Windows, day_of, minute_of};
pub use zone::{known, like, offset};

#[cfg(test)]
mod tests;
