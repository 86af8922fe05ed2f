//! The three-way scenario table.
