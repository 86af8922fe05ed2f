mod gates;
mod overdue;
mod property;
pub(crate) mod story;
mod table;
mod unread;
mod way_up;
