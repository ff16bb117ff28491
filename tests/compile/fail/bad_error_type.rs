use qdjobs::prelude::*;

struct MyErr;

#[task("send")]
fn send_it() -> Result<(), MyErr> {
    Err(MyErr)
}

fn main() {}
