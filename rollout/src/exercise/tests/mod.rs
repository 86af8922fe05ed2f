mod drill;
mod parity;
