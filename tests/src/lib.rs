//! Nothing to build: the tests are in e2e.
