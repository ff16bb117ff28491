//! A crate that knows nothing of the other one, and uses one of its names.

#[qdjobs::task("top")]
fn top_of_its_own() {}
