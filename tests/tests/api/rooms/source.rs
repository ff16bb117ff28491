//! The source files of a crate as modules: their text without comments, strings and test code, and the paths
//! in it.
//!
//! Depends on std alone: a small lexer, since a parser would be a dependency of the tests alone. What the
//! paths lead to is decided by `graph`.

use std::path::Path;

/// A source file.
pub(super) struct File {
    /// Relative to the folder of the crate's sources.
    pub(super) path: String,
    /// The module that it is, below the crate.
    pub(super) module: Vec<String>,
    /// How many lines it has, tests and comments included.
    pub(super) lines: usize,
    pub(super) uses: Vec<Use>,
    /// Paths outside of `use` that begin with `crate`, `super`, `self` or a name.
    pub(super) paths: Vec<Use>,
    /// Modules that it declares for tests alone.
    test_modules: Vec<String>,
}

/// A path in the source, and the name that it brings into scope.
pub(super) struct Use {
    pub(super) line: usize,
    pub(super) path: Vec<String>,
    pub(super) name: String,
    /// `pub use` in any form.
    pub(super) is_public: bool,
}

/// The files below `dir`, without those that are compiled for tests alone.
pub(super) fn product_files(dir: &Path) -> Vec<File> {
    let mut files = Vec::new();
    read(dir, dir, &mut files);
    let tests: Vec<Vec<String>> = files
        .iter()
        .flat_map(|file| {
            file.test_modules.iter().map(|name| [&file.module[..], std::slice::from_ref(name)].concat())
        })
        .collect();
    files.retain(|file| !tests.iter().any(|test| file.module.starts_with(test)));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn read(root: &Path, dir: &Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(root, &path, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            files.push(File::parse(name, &text));
        }
    }
}

impl File {
    pub(super) fn parse(path: String, text: &str) -> File {
        let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| ["lib", "mod"].contains(&last.as_str())) {
            module.pop();
        }
        let mut tokens = tokens(text);
        let test_modules = remove_tests(&mut tokens);
        let (uses, paths) = paths(&tokens);
        File { path, module, lines: text.lines().count(), uses, paths, test_modules }
    }
}

/// An identifier, `::`, or one other character, with its line.
#[derive(Debug, PartialEq)]
struct Token {
    line: usize,
    text: String,
}

/// The tokens of a text, without comments, strings and characters.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut i, mut line, mut found) = (0, 1, Vec::new());
    while i < chars.len() {
        let start = i;
        let is_raw = |i: usize| at(i) == '"' || (at(i) == '#' && (at(i + 1) == '"' || at(i + 1) == '#'));
        match at(i) {
            '/' if at(i + 1) == '/' => i += chars[i..].iter().take_while(|it| **it != '\n').count(),
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    depth += i32::from(at(i) == '/' && at(i + 1) == '*');
                    depth -= i32::from(at(i) == '*' && at(i + 1) == '/');
                    i += 1 + usize::from(matches!((at(i), at(i + 1)), ('/', '*') | ('*', '/')));
                    if depth == 0 || i >= chars.len() {
                        break;
                    }
                }
            }
            'r' if is_raw(i + 1) => {
                let hashes = chars[i + 1..].iter().take_while(|it| **it == '#').count();
                let end: String = format!("\"{}", "#".repeat(hashes));
                let rest: String = chars[i + 2 + hashes..].iter().collect();
                let inside = rest.find(&end).map_or(rest.len(), |byte| rest[..byte].chars().count());
                i += 2 + hashes + inside + end.len();
            }
            '"' => {
                i += 1;
                while i < chars.len() && at(i) != '"' {
                    i += 1 + usize::from(at(i) == '\\');
                }
                i += 1;
            }
            // A character, and no lifetime.
            '\'' if at(i + 1) == '\\' => {
                i += 3 + chars[i + 3..].iter().take_while(|it| **it != '\'').count() + 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            it if it.is_alphanumeric() || it == '_' => {
                i += chars[i..].iter().take_while(|it| it.is_alphanumeric() || **it == '_').count();
                found.push(Token { line, text: chars[start..i].iter().collect() });
            }
            ':' if at(i + 1) == ':' => {
                i += 2;
                found.push(Token { line, text: "::".to_owned() });
            }
            it => {
                i += 1;
                if !it.is_whitespace() {
                    found.push(Token { line, text: it.to_string() });
                }
            }
        }
        line += chars[start..i.min(chars.len())].iter().filter(|it| **it == '\n').count();
    }
    found
}

/// Removes the items under `#[cfg(test)]` and `#[cfg(all(test, ..))]`; gives the modules among them that are
/// files.
fn remove_tests(tokens: &mut Vec<Token>) -> Vec<String> {
    let mut modules = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let texts = |from: usize, many: usize| -> Vec<&str> {
            tokens.iter().skip(from).take(many).map(|token| token.text.as_str()).collect()
        };
        let is_test = texts(i, 5) == ["#", "[", "cfg", "(", "test"]
            || texts(i, 7) == ["#", "[", "cfg", "(", "all", "(", "test"];
        if !is_test {
            i += 1;
            continue;
        }
        let (mut end, mut depth, mut has_body) = (i, 0, false);
        while let Some(token) = tokens.get(end) {
            match token.text.as_str() {
                "(" | "[" | "{" => {
                    has_body |= token.text == "{" && depth == 0;
                    depth += 1;
                }
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            end += 1;
            // The item ends with its body, or with a semicolon; what is before it are attributes.
            if depth == 0 && (token.text == ";" || (has_body && token.text == "}")) {
                break;
            }
        }
        let item: Vec<&str> = texts(i, end - i);
        if let Some(place) = item.iter().position(|text| *text == "mod")
            && item.get(place + 2) == Some(&";")
        {
            modules.push(item[place + 1].to_owned());
        }
        tokens.drain(i..end);
    }
    modules
}

/// The paths in `use` items, and all others.
fn paths(tokens: &[Token]) -> (Vec<Use>, Vec<Use>) {
    let (mut uses, mut paths) = (Vec::new(), Vec::new());
    let mut i = 0;
    while i < tokens.len() {
        let token = &tokens[i];
        let before = i.checked_sub(1).map_or("", |before| tokens[before].text.as_str());
        if token.text == "use" && [";", "}", "{", "pub", ")", "]", ""].contains(&before) {
            let is_public = before == "pub" || before == ")";
            i = tree(tokens, i + 1, &[], is_public, &mut uses);
        } else if token.text == "pub" && tokens.get(i + 1).is_some_and(|it| it.text == "(") {
            // The path of `pub(in ..)` is no import.
            i += tokens[i..].iter().take_while(|it| it.text != ")").count();
        } else if is_name(&token.text) && before != "::" && before != "." {
            let mut path = vec![token.text.clone()];
            let line = token.line;
            while tokens.get(i + 1).is_some_and(|it| it.text == "::")
                && tokens.get(i + 2).is_some_and(|it| is_name(&it.text))
            {
                path.push(tokens[i + 2].text.clone());
                i += 2;
            }
            if path.len() > 1 {
                paths.push(Use { line, name: String::new(), path, is_public: false });
            }
            i += 1;
        } else {
            i += 1;
        }
    }
    (uses, paths)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Reads one tree of a `use` from `i` on; gives the place behind it.
fn tree(tokens: &[Token], mut i: usize, prefix: &[String], is_public: bool, uses: &mut Vec<Use>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        let Some(token) = tokens.get(i) else { return i };
        match token.text.as_str() {
            "{" => {
                i += 1;
                while tokens.get(i).is_some_and(|it| it.text != "}") {
                    i = tree(tokens, i, &path, is_public, uses);
                    i += usize::from(tokens.get(i).is_some_and(|it| it.text == ","));
                }
                return i + 1;
            }
            "::" => i += 1,
            "self" if !path.is_empty() => i += 1,
            "as" => {
                let name = tokens[i + 1].text.clone();
                uses.push(Use { line: token.line, path, name, is_public });
                return i + 2;
            }
            text if is_name(text) || text == "*" => {
                path.push(text.to_owned());
                i += 1;
            }
            _ => {
                let name = path.last().cloned().unwrap_or_default();
                let line = tokens[i - 1].line;
                uses.push(Use { line, path, name, is_public });
                return i;
            }
        }
    }
}
