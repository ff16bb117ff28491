use qdjobs::prelude::*;

#[task("count")]
fn count(n: &mut u32) {
    *n += 1;
}

fn main() {}
