//! The command line.

use std::path::PathBuf;

use qdjobs::store::sqlite::Durability;

/// What the caller asked for.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) quick: bool,
    pub(crate) json: bool,
    pub(crate) only: Vec<String>,
    pub(crate) durability: Durability,
    pub(crate) dir: PathBuf,
    pub(crate) rounds: usize,
}

impl Args {
    /// Reads the arguments; the error is what to print.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>, figures: &[&str]) -> Result<Args, String> {
        let help = format!(
            "usage: qdjobs-bench [--quick] [--only FIGURE]… [--durability full|relaxed] [--dir PATH] \
             [--rounds N] [--json]\n\nfigures: {}\n\n\
             --quick       small sizes, under a minute; for a check, not for publication\n\
             --only        this figure; may be repeated\n\
             --durability  full (the default): a commit survives a power failure; relaxed: the end of the process\n\
             --dir         where the databases are created; unless given, ./target or the current directory\n\
             --rounds      measured rounds for each figure, after one for warming up; 5, or 2 with --quick\n\
             --json        one JSON document instead of tables",
            figures.join(", ")
        );
        let target = PathBuf::from("target");
        let mut args = Args {
            quick: false,
            json: false,
            only: Vec::new(),
            durability: Durability::Full,
            dir: if target.is_dir() { target } else { PathBuf::from(".") },
            rounds: 0,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n\n{help}"));
            match word.as_str() {
                "--quick" => args.quick = true,
                "--json" => args.json = true,
                "--only" => {
                    let name = value()?;
                    if !figures.contains(&name.as_str()) {
                        return Err(format!("there is no figure `{name}`\n\n{help}"));
                    }
                    args.only.push(name);
                }
                "--durability" => args.durability = durability(&value()?).ok_or(&help)?,
                "--dir" => args.dir = PathBuf::from(value()?),
                "--rounds" => {
                    args.rounds = value()?.parse().ok().filter(|rounds| *rounds > 0).ok_or(&help)?;
                }
                _ => return Err(help),
            }
        }
        if args.rounds == 0 {
            args.rounds = if args.quick { 2 } else { 5 };
        }
        Ok(args)
    }

    pub(crate) fn wants(&self, figure: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == figure)
    }
}

/// Parses `full` or `relaxed`.
pub(crate) fn durability(word: &str) -> Option<Durability> {
    match word {
        "full" => Some(Durability::Full),
        "relaxed" => Some(Durability::Relaxed),
        _ => None,
    }
}

/// The name of the setting.
pub(crate) fn word(durability: Durability) -> &'static str {
    if durability == Durability::Full { "full" } else { "relaxed" }
}
