mod gates;
mod overdue;
mod property;
mod story;
mod table;
mod way_up;
