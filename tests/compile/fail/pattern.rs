use qdjobs::prelude::*;

#[task("move")]
fn move_to((x, y): (u32, u32)) {
    let _ = (x, y);
}

fn main() {}
