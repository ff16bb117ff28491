//! Support for the tests of qdjobs.
