use qdjobs::prelude::*;

#[task("resize")]
fn resize(width: u32, path: &str) {
    let _ = (width, path);
}

fn main() {
    let _ = Resize::new(1, 2);
}
