// #[task("move")]
::core::compile_error! {
    "a parameter needs a name: it becomes a field of `MoveTo` and a key of the stored JSON\nhelp: name it here, and take it apart in the body"
}
fn move_to(map: &Map, (x, y): (u8, u8)) {
    body(x, y)
}
