//! The arrows between the files of a crate, and the circles among them.
//!
//! Depends on `source`. A re-export is no arrow: a path through it leads to the file that defines the name.

use super::source::{File, Use};

/// A file that names an item of another.
#[derive(Debug, PartialEq)]
pub(super) struct Arrow {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) line: usize,
    pub(super) path: String,
}

/// All arrows between the files.
pub(super) fn arrows(files: &[File]) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for (from, file) in files.iter().enumerate() {
        let imports = file.uses.iter().filter(|it| !it.is_public);
        for it in imports.chain(&file.paths) {
            let Some(to) = resolve(files, from, &it.path, 0).filter(|to| *to != from) else { continue };
            arrows.push(Arrow { from, to, line: it.line, path: it.path.join("::") });
        }
    }
    arrows
}

/// The file that defines what a path leads to; `None` for other crates.
fn resolve(files: &[File], from: usize, path: &[String], depth: usize) -> Option<usize> {
    let of = |module: &[String]| files.iter().position(|file| file.module == module);
    let mut module = files[from].module.clone();
    let mut rest = path;
    let mut is_ours = false;
    while let Some((first, after)) = rest.split_first() {
        match first.as_str() {
            "crate" => module.clear(),
            "super" => drop(module.pop()),
            "self" => {}
            _ => break,
        }
        (rest, is_ours) = (after, true);
    }
    let mut current = of(&module)?;
    for (place, name) in rest.iter().enumerate() {
        module.push(name.clone());
        if let Some(child) = of(&module) {
            (current, is_ours) = (child, true);
            continue;
        }
        let import = |it: &&Use| it.name == *name && (is_ours || current != from || it.path != path);
        // No path of a program's own has more than a few re-exports; a name that imports itself would never
        // end.
        let Some(import) = files[current].uses.iter().find(import).filter(|_| depth < 8) else { break };
        if place == 0 && !is_ours && current == from {
            // A name that is in scope: its `use` is an arrow already.
            return None;
        }
        let path = [&import.path[..], &rest[place + 1..]].concat();
        return resolve(files, current, &path, depth + 1);
    }
    is_ours.then_some(current)
}

/// The groups of files that reach each other, the largest first.
pub(super) fn circles(many: usize, arrows: &[Arrow]) -> Vec<Vec<usize>> {
    let reached: Vec<Vec<bool>> = (0..many)
        .map(|start| {
            let mut reached = vec![false; many];
            let mut next = vec![start];
            while let Some(file) = next.pop() {
                for arrow in arrows.iter().filter(|arrow| arrow.from == file) {
                    if !std::mem::replace(&mut reached[arrow.to], true) {
                        next.push(arrow.to);
                    }
                }
            }
            reached
        })
        .collect();
    let mut circles: Vec<Vec<usize>> = Vec::new();
    for file in (0..many).filter(|&file| reached[file][file]) {
        match circles.iter_mut().find(|circle| reached[circle[0]][file] && reached[file][circle[0]]) {
            Some(circle) => circle.push(file),
            None => circles.push(vec![file]),
        }
    }
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}
