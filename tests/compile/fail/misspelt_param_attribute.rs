use qdjobs::prelude::*;

struct Db;

#[task("send_email")]
fn send_email(#[stat] db: &Db) {
    let _ = db;
}

fn main() {}
