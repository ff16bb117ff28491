//! The guides in `qdjobs/docs` agree with the product: their SQL runs, the schema page is complete, and each error text
//! has its entry.
//!
//! Depends on the library and on the text of its sources. The Rust examples of the guides are doctests of the library
//! and do not come in here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use qdjobs::JobQueue;
use qdjobs::rusqlite::Connection;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join("qdjobs/docs").join(name)).unwrap()
}

/// The code blocks of a page that are marked with exactly this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let blocks = page.split(fence.as_str()).skip(1);
    blocks.map(|rest| rest.split_once("\n```").unwrap().0).collect()
}

/// A database as `JobQueue::open` leaves it.
fn database(dir: &Path) -> Connection {
    let path = dir.join("jobs.db");
    drop(JobQueue::open(&path).unwrap());
    Connection::open(path).unwrap()
}

#[test]
fn every_sql_statement_of_the_guides_runs_on_a_database_of_the_library() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path());
    let mut count = 0;
    for name in ["enqueueing.md", "deployment.md", "sql_schema.md"] {
        for block in blocks(&page(name), "sql") {
            let run = run_all(&db, block);
            assert!(run.is_ok(), "{name}: {run:?}\n{block}");
            count += 1;
        }
    }
    assert!(count >= 7, "{count} blocks");
    let found: i64 = db
        .query_row("SELECT count(*) FROM qdjobs_jobs WHERE idempotency_key = 'welcome-42'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(found, 1);
}

/// Runs each statement to its end, also those that return rows.
fn run_all(db: &Connection, sql: &str) -> qdjobs::rusqlite::Result<()> {
    for statement in sql.split(";\n") {
        let lines: Vec<&str> = statement.lines().filter(|line| !line.starts_with("--")).collect();
        let statement = lines.join("\n");
        if statement.trim().is_empty() {
            continue;
        }
        let mut prepared = db.prepare(statement.split(";   --").next().unwrap_or_default())?;
        let mut rows = prepared.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}

#[test]
fn a_repeated_insert_under_a_held_idempotency_key_is_skipped_as_the_schema_page_says() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path());
    let page = page("sql_schema.md");
    let insert =
        blocks(&page, "sql").into_iter().find(|block| block.contains("ON CONFLICT DO NOTHING")).unwrap();
    assert_eq!([db.execute(insert, []), db.execute(insert, [])], [Ok(1), Ok(0)]);
}

#[test]
fn the_schema_page_names_every_column_constraint_and_index() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(dir.path());
    let page = page("sql_schema.md");
    let names = |sql: &str| -> Vec<String> {
        let mut query = db.prepare(sql).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let mut missing = Vec::new();
    for table in names("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'qdjobs%'") {
        let start = page.find(&format!("\n## `{table}`")).unwrap_or_else(|| panic!("{table} has no section"));
        let section = page[start + 1..].split("\n## ").next().unwrap();
        let columns = names(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let lacks = |column: &String| !section.contains(&format!("`{column}`"));
        missing.extend(columns.into_iter().filter(lacks).map(|column| format!("{table}.{column}")));
    }
    for index in names("SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE 'qdjobs%'") {
        missing.extend(Some(index).filter(|index| !page.contains(&format!("`{index}`"))));
    }
    // Constraints are named by what they expect; those of columns that an insert leaves out need no entry.
    let schema = names("SELECT sql FROM sqlite_schema WHERE name = 'qdjobs_jobs'").remove(0);
    for named in schema.split("CONSTRAINT \"").skip(1) {
        let name = named.split_once('"').unwrap().0;
        if !name.starts_with("status") && !name.starts_with("availability") && !page.contains(name) {
            missing.push(name.to_owned());
        }
    }
    assert!(missing.is_empty(), "not on the page: {missing:#?}");
}

#[test]
fn the_lines_for_sqlx_and_diesel_in_the_guide_are_lines_of_the_programs_that_the_gate_runs() {
    let page = page("transactions.md");
    for (driver, least) in [("sqlx", 2), ("diesel", 3)] {
        let section =
            page.split(&format!("\n### {driver}\n")).nth(1).unwrap().split("\n### ").next().unwrap();
        let program = format!("{ROOT}/examples/drivers/src/bin/shop_{driver}.rs");
        let program = fs::read_to_string(program).unwrap();
        let blocks = blocks(section, "text");
        assert!(blocks.len() >= least, "{driver}: {} blocks", blocks.len());
        for block in blocks {
            // In this order; the program has further lines between them.
            let mut lines = program.lines();
            for line in block.lines() {
                assert!(lines.any(|own| own == line), "shop_{driver}.rs lacks: {line}");
            }
        }
    }
}

/// The text of the product sources and migrations in `dirs`, with joined string literals and `…` for each placeholder.
fn sources(dirs: &[&str]) -> String {
    let mut texts = Vec::new();
    for dir in dirs {
        gather(&Path::new(ROOT).join(dir), &mut texts);
    }
    texts.concat()
}

/// One text for each file.
fn gather(dir: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, texts);
        } else if !path.ends_with("tests.rs")
            && path.extension().is_some_and(|kind| kind == "rs" || kind == "sql")
        {
            let whole = fs::read_to_string(&path).unwrap();
            let product = whole.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
            texts.push(plain(product));
        }
    }
}

/// Joins literals that go on in the next line, and writes `…` for what is in braces.
fn plain(source: &str) -> String {
    let mut lines = source.split("\\\n");
    let mut joined = lines.next().unwrap_or_default().to_owned();
    lines.for_each(|line| joined.push_str(line.trim_start()));
    let mut plain = String::new();
    let mut rest = joined.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        plain.push_str(before);
        match after.split_once('}').filter(|(inside, _)| !inside.contains(['\n', '{', ' '])) {
            Some((_, after)) => {
                plain.push('…');
                rest = after;
            }
            None => {
                plain.push('{');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain.replace("\\\"", "\"")
}

/// The error texts that the page of troubleshooting quotes: in double backticks, in headings and beside them.
fn quoted(page: &str) -> Vec<String> {
    let product = page.split("\n## Errors of the compiler").next().unwrap();
    // A quotation may be broken between two lines.
    let lines =
        product.split("\n\n").filter(|part| part.starts_with("### ") || part.starts_with("The same holds"));
    let one_line = |part: &str| part.replace('\n', " ");
    lines
        .flat_map(|part| one_line(part).split("``").skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .map(|text| text.trim().to_owned())
        .collect()
}

#[test]
fn every_error_text_on_the_page_of_troubleshooting_is_in_the_sources() {
    let (sources, page) = (sources(&["qdjobs/src", "qdjobs-macros/src"]), page("troubleshooting.md"));
    let texts = quoted(&page);
    assert!(texts.len() > 60, "{} texts", texts.len());
    let is_gone = |text: &&String| text.split('…').any(|piece| !sources.contains(piece.trim_end()));
    let gone: Vec<&String> = texts.iter().filter(is_gone).collect();
    assert!(gone.is_empty(), "no longer a text of the product: {gone:#?}");
}

#[test]
fn every_error_text_of_the_sources_is_on_the_page_of_troubleshooting() {
    let (sources, page) = (sources(&["qdjobs/src"]), page("troubleshooting.md").replace('\n', " "));
    let (mut missing, mut count) = (Vec::new(), 0);
    let calls = sources.split("Error::new(").skip(1).map(|call| call.split(".help(").next().unwrap());
    let built_before =
        sources.split("let message = format!(").skip(1).map(|text| text.split(';').next().unwrap());
    for call in calls.chain(built_before) {
        // The text is the first literal, if that is a sentence. An entry may leave its end out.
        let Some(text) = call.split('"').nth(1).filter(|text| text.split(' ').count() > 2) else { continue };
        count += 1;
        let piece = text.split('…').find(|piece| piece.len() > 8).unwrap_or(text).trim();
        if !page.contains(piece) {
            missing.push(text.to_owned());
        }
    }
    assert!(count > 60, "{count} texts");
    assert!(missing.is_empty(), "without an entry: {missing:#?}");
}

#[test]
fn every_kind_of_error_is_in_the_table_of_the_page_of_troubleshooting() {
    let (source, page) = (
        fs::read_to_string(Path::new(ROOT).join("qdjobs/src/model/error.rs")).unwrap(),
        page("troubleshooting.md"),
    );
    let kinds = source.split_once("pub enum ErrorKind {").unwrap().1.split_once("\n}").unwrap().0;
    let kinds = kinds.lines().filter_map(|line| line.trim().strip_suffix(','));
    let kinds: Vec<&str> = kinds.filter(|kind| kind.chars().all(char::is_alphanumeric)).collect();
    assert!(kinds.len() > 15, "{kinds:?}");
    let missing: Vec<&&str> = kinds.iter().filter(|kind| !page.contains(&format!("`{kind}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_glossary_is_in_alphabetical_order() {
    let page = page("glossary.md");
    let terms = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let plain = |term: &str| term.replace(['`', '-', '_'], " ").trim().to_lowercase();
    let terms: Vec<String> = terms.map(|(term, _)| plain(term)).filter(|term| term != "term").collect();
    assert!(terms.len() > 80, "{} terms", terms.len());
    let mut sorted = terms.clone();
    sorted.sort();
    assert_eq!(terms, sorted);
}

/// Where the pages of the repository are on the web. The README is also shown on crates.io, so its links are absolute.
const REPOSITORY: &str = "https://github.com/qdjobs/qdjobs";

/// Where the documentation of the crate is.
const REFERENCE: &str = "https://docs.rs/qdjobs/latest/qdjobs/";

/// Whether a link of `page` leads to something that exists; `None` if it cannot be checked here.
fn leads_somewhere(page: &Path, target: &str, sources: &[String]) -> Option<bool> {
    let (place, anchor) = target.split_once('#').unwrap_or((target, ""));
    if let Some(path) = place.strip_prefix(REPOSITORY) {
        let root = Path::new(ROOT);
        return Some(match path.strip_prefix("/blob/main/") {
            Some(file) => root.join(file).is_file(),
            None => {
                path.is_empty() || path.strip_prefix("/tree/main/").is_some_and(|dir| root.join(dir).is_dir())
            }
        });
    }
    if let Some(path) = place.strip_prefix(REFERENCE) {
        return Some(is_documented(path.trim_end_matches(".html"), anchor, sources));
    }
    // The links of rustdoc's list are paths of Rust, which rustdoc checks. Other sites are not asked.
    let is_file = !place.is_empty() && !place.contains(['`', ' ', ':']);
    is_file.then(|| page.with_file_name(place).exists())
}

/// Whether rustdoc makes such a page: of a module of guides, or of a type, with the method of the anchor.
fn is_documented(path: &str, anchor: &str, sources: &[String]) -> bool {
    if let Some(guide) = path.strip_suffix("/index") {
        let module = guide.rsplit('/').next().unwrap();
        return sources.iter().any(|source| source.contains(&format!("pub mod {module}")));
    }
    let Some((kind, name)) = path.split_once('.') else { return false };
    let begins = |source: &str, item: &str| {
        source.match_indices(item).any(|(at, _)| {
            !source[at + item.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
        })
    };
    let is_type = sources.iter().any(|source| begins(source, &format!("pub {kind} {name}")));
    let has_method = |method: &str| {
        sources.iter().any(|source| {
            begins(source, &format!("impl {name}")) && begins(source, &format!("pub fn {method}"))
        })
    };
    is_type && (anchor.is_empty() || anchor.strip_prefix("method.").is_some_and(has_method))
}

#[test]
fn every_link_of_the_pages_leads_to_a_file_or_to_an_item_of_the_library() {
    let docs = fs::read_dir(Path::new(ROOT).join("qdjobs/docs")).unwrap().map(|entry| entry.unwrap().path());
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "examples/README.md",
        "tests/peers/README.md",
        "tests/fuzz/libfuzzer/README.md",
    ];
    let pages = docs.chain(others.map(|page| Path::new(ROOT).join(page)));
    let mut sources = Vec::new();
    gather(&Path::new(ROOT).join("qdjobs/src"), &mut sources);
    let (mut dead, mut relative, mut absolute) = (Vec::new(), 0, 0);
    for page in pages.filter(|page| page.extension().is_some_and(|kind| kind == "md")) {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let Some(leads) = leads_somewhere(&page, target, &sources) else { continue };
            *(if target.contains("://") { &mut absolute } else { &mut relative }) += 1;
            if !leads {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(relative > 20 && absolute > 20, "{relative} relative and {absolute} absolute links");
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn dead_links_are_found() {
    let page = Path::new(ROOT).join("README.md");
    let sources =
        ["pub struct Queue;\nimpl Queue {\n    pub fn open(&self) {}\n}\npub mod glossary {}".to_owned()];
    let leads = |target: &str| leads_somewhere(&page, target, &sources);
    for (alive, dead) in [
        (REPOSITORY.to_owned(), format!("{REPOSITORY}/wiki")),
        (format!("{REPOSITORY}/blob/main/README.md#x"), format!("{REPOSITORY}/blob/main/READ.md")),
        (format!("{REPOSITORY}/tree/main/qdjobs"), format!("{REPOSITORY}/blob/main/qdjobs")),
        (format!("{REFERENCE}struct.Queue.html"), format!("{REFERENCE}struct.Que.html")),
        (
            format!("{REFERENCE}struct.Queue.html#method.open"),
            format!("{REFERENCE}struct.Queue.html#method.op"),
        ),
        (format!("{REFERENCE}guide/glossary/index.html"), format!("{REFERENCE}guide/terms/index.html")),
        ("CHANGELOG.md".to_owned(), "CHANGES.md".to_owned()),
    ] {
        assert_eq!((leads(&alive), leads(&dead)), (Some(true), Some(false)), "{alive} and {dead}");
    }
    assert_eq!(leads("https://example.com/README.md"), None);
}

#[test]
fn the_dependency_line_of_the_readme_has_the_version_of_the_workspace() {
    let read = |file: &str| fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = \"")).unwrap();
    let compatible = version.rsplit_once('.').unwrap().0;
    let readme = read("README.md");
    let lines: Vec<&str> = readme.lines().filter(|line| line.starts_with("qdjobs = ")).collect();
    assert_eq!(lines, [format!("qdjobs = \"{compatible}\"")]);
}

#[test]
fn every_example_is_in_the_index_of_examples_with_its_command() {
    let manifest = fs::read_to_string(Path::new(ROOT).join("examples/Cargo.toml")).unwrap();
    let index = fs::read_to_string(Path::new(ROOT).join("examples/README.md")).unwrap();
    let names = manifest.split("[[example]]").skip(1).filter_map(|part| part.split('"').nth(1));
    let names: Vec<&str> = names.collect();
    assert!(names.len() >= 8, "{names:?}");
    let missing: Vec<&&str> =
        names.iter().filter(|name| !index.contains(&format!("--example {name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_thread_of_the_library_is_on_the_page_of_workers() {
    let (sources, page) = (sources(&["qdjobs/src"]), page("workers_and_shutdown.md"));
    let quoted = sources.split('"').filter_map(|literal| literal.strip_prefix("qdjobs-"));
    // Names of files for tests have more than one word, or end in a placeholder.
    let names: Vec<&str> =
        quoted.filter(|name| name.len() > 2 && name.chars().all(|it| it.is_ascii_lowercase())).collect();
    assert!(names.len() >= 10, "{names:?}");
    let missing: Vec<&&str> =
        names.iter().filter(|name| !page.contains(&format!("`qdjobs-{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
