//! The everyday layouts: a file per task whose module has the function's name, re-exports of one or of both, globs.
mod send_email {
    use qdjobs::prelude::*;

    #[task("send_email")]
    pub fn send_email(to: &str) {
        let _ = to;
    }
}
pub use send_email::{SendEmail, send_email};

mod tasks {
    pub mod inner {
        #[qdjobs::task("deep")]
        pub(super) fn deep(n: u8) -> u8 {
            n
        }

        #[qdjobs::task("private")]
        fn private() {}
    }
    pub fn call() -> u8 {
        let _ = inner::Deep::new(1);
        inner::deep(1)
    }
    #[qdjobs::task("globbed")]
    pub fn globbed() {}
}
use tasks::*;

fn main() {
    send_email("a@b");
    let _ = SendEmail::new("a@b");
    globbed();
    let _ = Globbed::new();
    assert_eq!(call(), 1);
    let names: Vec<&str> = qdjobs::Registry::linked().iter().map(|task| task.name).collect();
    assert_eq!(names, ["deep", "globbed", "private", "send_email"]);
}
