mod gates;
mod overdue;
mod overrides;
mod property;
pub(crate) mod story;
mod table;
mod unread;
mod way_up;
mod words;
