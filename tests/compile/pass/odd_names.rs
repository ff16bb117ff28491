//! No name of a user meets one of the expansion's: parameters, functions, types that shadow the standard ones, and a
//! runtime that is re-exported from elsewhere.
#![deny(warnings)]

mod house {
    pub use qdjobs as jobs;
}

use house::jobs::{Registry, Task};

#[expect(dead_code)]
mod shadows {
    pub struct String;
    pub struct Option;
    pub struct Vec;
    pub struct Result;
    pub trait Into {}
}
#[expect(unused_imports)]
use shadows::*;

#[qdjobs::task("names")]
fn names(
    object: u8,
    json: &str,
    ctx: u8,
    params: u8,
    target: &[u8],
    queue: u8,
    serializer: u8,
    deserializer: u8,
    f: u8,
    other: u8,
    p0: u8,
    home: &std::path::Path,
) -> u8 {
    let _ = (json, target, home);
    object + ctx + params + queue + serializer + deserializer + f + other + p0
}

#[qdjobs::task("read")]
fn read() {}

#[qdjobs::task("finish")]
fn finish(r#struct: u8) -> u8 {
    r#struct
}

#[qdjobs::task("moved", crate = crate::house::jobs, retries = 4)]
fn moved(#[default(vec![1])] list: std::vec::Vec<u8>) -> std::string::String {
    format!("{list:?}")
}

fn main() {
    assert_eq!(Moved::new().list, [1]);
    assert_eq!(Moved::DEF.options.retries, 4);
    assert_eq!(Finish::DEF.params[0].name, "struct");
    assert_eq!(Registry::linked().len(), 4);
    let params = Names::new(1, "x", 1, 1, vec![], 1, 1, 1, 1, 1, 1, "/");
    assert_eq!(params.clone(), params);
    let _ = Read;
    let _ = (read(), finish(1), moved(vec![]), names(1, "x", 1, 1, &[], 1, 1, 1, 1, 1, 1, "/".as_ref()));
}
