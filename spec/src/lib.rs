//! What may a user write?
