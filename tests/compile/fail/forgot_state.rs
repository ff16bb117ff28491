use qdjobs::prelude::*;

struct Db;

#[task("send")]
fn send_it(to: &str, db: &Db) {
    let _ = (to, db);
}

fn main() {}
