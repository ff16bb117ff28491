use qdjobs::prelude::*;

#[task("count")]
fn count(n: Vec<u128>) {
    let _ = n;
}

fn main() {}
