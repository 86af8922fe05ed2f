//! Is the canary as good as stable?
