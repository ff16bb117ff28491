//! Depends on a crate of tasks and never names it.

fn main() {
    link_worker::say();
}
