use qdjobs::prelude::*;

#[task("move")]
fn move_to(_: u32) {}

fn main() {}
