//! The command line.

use std::path::PathBuf;

use crate::peers::PEERS;

/// What the person who runs it asked for.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) quick: bool,
    pub(crate) json: bool,
    only: Vec<String>,
    pub(crate) dir: PathBuf,
    pub(crate) rounds: usize,
}

impl Args {
    /// Reads the arguments; the error is what to print.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
        let peers: Vec<_> = PEERS.iter().map(|entry| entry.dir).collect();
        let help = format!(
            "usage: qdjobs-peers [--quick] [--only PEER]… [--rounds N] [--dir PATH] [--json]\n\npeers: {}\n\n\
             --quick   little work; for a look, not for publication\n\
             --only    this peer; may be repeated\n\
             --rounds  measured rounds, after the runs that find out how much work a round holds; 3\n\
             --dir     where the databases are made; unless given, ./target or the current directory\n\
             --json    one JSON document instead of tables",
            peers.join(", ")
        );
        let target = PathBuf::from("target");
        let dir = if target.is_dir() { target } else { PathBuf::from(".") };
        let mut args = Args { quick: false, json: false, only: Vec::new(), dir, rounds: 3 };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n\n{help}"));
            match word.as_str() {
                "--quick" => args.quick = true,
                "--json" => args.json = true,
                "--only" => {
                    let name = value()?;
                    if !peers.contains(&name.as_str()) {
                        return Err(format!("there is no peer `{name}`\n\n{help}"));
                    }
                    args.only.push(name);
                }
                "--dir" => args.dir = PathBuf::from(value()?),
                "--rounds" => {
                    args.rounds = value()?.parse().ok().filter(|rounds| *rounds > 0).ok_or(&help)?
                }
                _ => return Err(help),
            }
        }
        args.dir = args.dir.canonicalize().map_err(|error| format!("{}: {error}", args.dir.display()))?;
        Ok(args)
    }

    pub(crate) fn wants(&self, peer: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == peer)
    }
}
