use qdjobs::prelude::*;

#[task("echo")]
fn echo(text: &str) -> &str {
    text
}

fn main() {}
