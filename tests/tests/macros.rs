//! `#[task]` as people meet it.
#[test]
fn each_mistake_is_one_error() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
