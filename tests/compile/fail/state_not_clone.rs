use qdjobs::prelude::*;

struct Db;

#[task("count")]
fn count(#[state] db: Db) {
    let _ = db;
}

fn main() {}
