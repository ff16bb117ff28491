//! Types and literals that come out of `macro_rules!` are wrapped in invisible groups.
use qdjobs::prelude::*;
use qdjobs::Registry;

macro_rules! tasks {
    ($($name:literal $function:ident($param:ident: $ty:ty) -> $output:ty = $retries:expr;)*) => {$(
        #[task($name, retries = $retries)]
        fn $function($param: $ty) -> $output {
            $param.into()
        }
    )*};
}

tasks! {
    "one" first(text: &str) -> String = 1;
    "two" second(number: Option<u8>) -> Option<u8> = 1 + 1;
    "three" third(list: Vec<u8>) -> std::collections::VecDeque<u8> = 3;
}

fn main() {
    assert_eq!(First::new("a").text, first("a"));
    assert_eq!(Second::new().number, None);
    assert_eq!(Registry::linked().get("two").map(|task| task.options.retries), Some(2));
}
