//! What moves by value through every step of every run.

use std::mem::size_of;

use crate::{Effect, Event, State};

/// A step holds a dozen copies at once where nothing is optimised, inside the frames of whoever calls it; a thread has
/// two megabytes for all. What is large and hardly changes is shared or boxed: the plan, the last publication.
#[test]
fn what_moves_is_small() {
    for (what, size, most) in [
        ("State", size_of::<State>(), 1_536),
        ("Effect", size_of::<Effect>(), 192),
        ("Event", size_of::<Event>(), 192),
    ] {
        assert!(size <= most, "{what} has {size} bytes: box what is large in it, or what is seldom there");
    }
}
