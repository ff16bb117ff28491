use qdjobs::prelude::*;

#[task("nightly", schedule = "0 3 * * *")]
fn nightly(to: &str) {
    let _ = to;
}

fn main() {}
