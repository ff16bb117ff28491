use qdjobs::prelude::*;

trait Mailer: Send + Sync {}

#[task("send")]
fn send_it(#[state] mailer: &dyn Mailer) {
    let _ = mailer;
}

fn main() {}
