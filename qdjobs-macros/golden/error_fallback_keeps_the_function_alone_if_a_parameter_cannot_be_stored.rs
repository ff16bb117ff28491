// #[task("move")]
::core::compile_error! {
    "a parameter must be a plain name: it is a field of `MoveTo` and a key of the JSON\nhelp: give the parameter a name, and destructure it in the body"
}
fn move_to(map: &Map, (x, y): (u8, u8)) {
    body(x, y)
}
