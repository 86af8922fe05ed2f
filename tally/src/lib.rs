//! What is a counter called, and which bin does a value fall in?
