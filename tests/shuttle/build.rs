//! Turns the library's locks, threads and channels into shuttle's, here and nowhere else.

fn main() {
    println!("cargo::rustc-cfg=qdjobs_shuttle");
    println!("cargo::rerun-if-changed=build.rs");
}
