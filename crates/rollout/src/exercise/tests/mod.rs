mod differ;
mod drill;
mod parity;
