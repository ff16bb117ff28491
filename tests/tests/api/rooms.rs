//! The structure of the library: no circle of imports among its files, no import from a higher layer, no long
//! file.
//!
//! `cargo test -p qdjobs-tests --test api rooms` prints what it finds. The lists
//! below name what is allowed, with the reason.

mod graph;
mod source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use graph::Arrow;
use source::File;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The most lines of a product file.
const LINES_MAX: usize = 600;

/// Circles that may stay, each with its reason: a circle has to lie within one of them.
const CIRCLES: &[(&[&str], &str)] = &[(
    &["task/task_trait.rs", "queue/request.rs"],
    "the public pair: a task makes a request (`Task::request`), a request names its task",
)];

/// Imports from a higher layer that are allowed: from, to.
const IMPORTS_UP: &[(&str, &str)] = &[];

/// The layers, lowest first. A file may import from its own layer and from lower layers. See ARCHITECTURE.md.
const LAYERS: &[&[&str]] =
    &[&["model", "sync.rs"], &["store"], &["queue", "context", "task"], &["worker", "guide.rs"]];

/// The library without what is compiled for tests alone.
fn library() -> Vec<File> {
    source::product_files(&Path::new(ROOT).join("qdjobs/src"))
}

/// The layer of a file; `None` for the root of the crate.
fn layer(path: &str) -> Option<usize> {
    let room = path.split('/').next().unwrap_or(path);
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

fn show(files: &[File], arrow: &Arrow) -> String {
    let Arrow { from, to, line, path } = arrow;
    format!("{}:{line} -> {} ({path})", files[*from].path, files[*to].path)
}

#[test]
fn no_imports_go_in_a_circle() {
    let files = library();
    let arrows = graph::arrows(&files);
    assert!(files.len() > 100 && arrows.len() > 300, "{} files, {} arrows", files.len(), arrows.len());
    let mut found = Vec::new();
    for circle in graph::circles(files.len(), &arrows) {
        let names: Vec<&str> = circle.iter().map(|&file| files[file].path.as_str()).collect();
        if CIRCLES.iter().any(|(allowed, _)| names.iter().all(|name| allowed.contains(name))) {
            continue;
        }
        let within = arrows.iter().filter(|arrow| circle.contains(&arrow.from) && circle.contains(&arrow.to));
        let lines: BTreeSet<String> = within.map(|arrow| show(&files, arrow)).collect();
        found.push(format!("{names:#?}\n{lines:#?}"));
    }
    assert!(found.is_empty(), "{} circles of imports:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_file_imports_from_a_higher_layer() {
    let files = library();
    let unknown: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let unknown: Vec<_> =
        unknown.into_iter().filter(|path| *path != "lib.rs" && layer(path).is_none()).collect();
    assert!(unknown.is_empty(), "in no layer: {unknown:?}");
    let is_up = |arrow: &&Arrow| {
        let (from, to) = (&files[arrow.from].path, &files[arrow.to].path);
        layer(to) > layer(from)
            && layer(from).is_some()
            && !IMPORTS_UP.contains(&(from.as_str(), to.as_str()))
    };
    let up: Vec<String> =
        graph::arrows(&files).iter().filter(is_up).map(|arrow| show(&files, arrow)).collect();
    assert!(up.is_empty(), "{} imports from a higher layer: {up:#?}", up.len());
}

#[test]
fn no_product_file_is_long() {
    let mut long = Vec::new();
    for src in ["qdjobs/src", "qdjobs-macros/src"] {
        let files = source::product_files(&PathBuf::from(ROOT).join(src));
        let files = files.into_iter().filter(|file| file.lines > LINES_MAX);
        long.extend(files.map(|file| format!("{src}/{}: {} lines", file.path, file.lines)));
    }
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:#?}");
}

#[test]
fn arrows_and_circles_of_imports_are_found() {
    let file = |path: &str, text: &str| File::parse(path.to_owned(), text);
    let files = [
        file("lib.rs", "mod a; mod b; mod c; pub use a::x::Name;"),
        file("a/mod.rs", "mod x; pub(crate) use x::{Name, Other as Renamed}; use crate::b::helper;"),
        file("a/x.rs", "use super::super::c::{self, deep::{One, Two}}; struct Name; fn f() { c::g() }"),
        file("b.rs", "// use crate::c::X;\nfn helper() { let s = \"crate::c::X\"; crate::a::Renamed; 'c'; }"),
        file(
            "c.rs",
            "use std::fmt; use crate::Name;\n#[cfg(test)]\nmod tests { use crate::b::helper; }\n#[cfg(test)] mod t;",
        ),
    ];
    let arrows = graph::arrows(&files);
    let shown: Vec<String> = arrows.iter().map(|arrow| show(&files, arrow)).collect();
    assert_eq!(
        shown,
        [
            "a/mod.rs:1 -> b.rs (crate::b::helper)",
            "a/x.rs:1 -> c.rs (super::super::c)",
            "a/x.rs:1 -> c.rs (super::super::c::deep::One)",
            "a/x.rs:1 -> c.rs (super::super::c::deep::Two)",
            "b.rs:2 -> a/x.rs (crate::a::Renamed)",
            "c.rs:1 -> a/x.rs (crate::Name)",
        ]
    );
    let circles = graph::circles(files.len(), &arrows);
    assert_eq!(circles, [[2, 4]], "a/x.rs and c.rs");
}
