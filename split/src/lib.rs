//! Which version does this request go to?
