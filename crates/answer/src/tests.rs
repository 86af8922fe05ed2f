//! Tables through one check, and properties.
